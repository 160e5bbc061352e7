/* SPDX-License-Identifier: BSD-3-Clause */
/* For check_cppcheck.py: macros of headers of the system, which cppcheck does not read. */
#ifndef CPPCHECK_H
#define CPPCHECK_H

#define LIST_HEAD(name, type)                                                                      \
	struct name {                                                                              \
		struct type *lh_first;                                                             \
	}
#define LIST_ENTRY(type)                                                                           \
	struct {                                                                                   \
		struct type *le_next;                                                              \
		struct type **le_prev;                                                             \
	}
#define TAILQ_HEAD(name, type)                                                                     \
	struct name {                                                                              \
		struct type *tqh_first;                                                            \
		struct type **tqh_last;                                                            \
	}
#define TAILQ_ENTRY(type)                                                                          \
	struct {                                                                                   \
		struct type *tqe_next;                                                             \
		struct type **tqe_prev;                                                            \
	}
#define TAILQ_HEAD_INITIALIZER(head)                                                               \
	{                                                                                          \
		0, 0                                                                               \
	}
#define LIST_FOREACH(var, head, field)                                                             \
	for ((var) = (head)->lh_first; (var); (var) = (var)->field.le_next)
#define TAILQ_FOREACH(var, head, field)                                                            \
	for ((var) = (head)->tqh_first; (var); (var) = (var)->field.tqe_next)
#define json_array_foreach(array, i, value)                                                        \
	for (i = 0; i < json_array_size(array) && (value = json_array_get(array, i)); i++)
#define json_object_foreach(object, key, value)                                                    \
	for (key = json_first(object); key && (value = json_at(object, key)); key = json_next(key))
#define json_object_foreach_safe(object, n, key, value)                                            \
	for (key = json_first(object), n = json_second(object);                                    \
	     key && (value = json_at(object, key)); key = json_next(n))
#define RTE_LCORE_FOREACH(i) for (i = 0; i < 128; i++)
#define RTE_LCORE_FOREACH_WORKER(i) for (i = 1; i < 128; i++)
#define RTE_LOG_REGISTER(type, name, level) int type
#define RTE_TRACE_POINT_ARGS
#define RTE_TRACE_POINT(point, args, ...)                                                          \
	static inline void point args                                                              \
	{                                                                                          \
	}
#define RTE_TRACE_POINT_REGISTER(point, name)

#endif /* CPPCHECK_H */
