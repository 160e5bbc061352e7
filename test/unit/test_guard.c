/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves that memory which is cut off while it is used costs nothing but its contents: reads
 * give zeroes, writes go nowhere, the slot is lost; that two threads may find out at once; and
 * that a SIGBUS that is nobody's still ends the process.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vsw_guard.h"
#include "vsw_test.h"

#define SIZE (8 * 4096)

struct mapping {
	int fd;
	uint8_t *mem;
};

/* For each test: cmocka has a handler of its own while one runs. */
static void
install(void)
{
	assert_int_equal(vsw_guard_install(), 0);
}

static struct mapping
map(void)
{
	struct mapping m = {.fd = memfd_create("guard", MFD_CLOEXEC)};

	assert_int_equal(ftruncate(m.fd, SIZE), 0);
	m.mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, m.fd, 0);
	assert_ptr_not_equal(m.mem, MAP_FAILED);
	memset(m.mem, 'x', SIZE);
	return m;
}

static void
unmap(struct mapping *m)
{
	munmap(m->mem, SIZE);
	close(m->fd);
}

static void
test_lost_memory_reads_as_zeroes(void **state)
{
	struct mapping m = map(), other = map();

	install();
	vsw_guard_set(7, 0, m.mem, SIZE);
	vsw_guard_set(8, 2, other.mem, SIZE);
	assert_false(vsw_guard_is_lost(7));
	assert_int_equal(ftruncate(m.fd, 4096), 0);
	assert_int_equal(m.mem[100], 'x'); /* of what is left nothing is noticed */
	assert_false(vsw_guard_is_lost(7));
	assert_int_equal(*(uint8_t volatile *)&m.mem[5 * 4096 + 1], 0);
	assert_true(vsw_guard_is_lost(7));
	m.mem[7 * 4096] = 1;
	assert_int_equal(m.mem[7 * 4096], 1);
	assert_false(vsw_guard_is_lost(8));
	assert_int_equal(other.mem[4096], 'x');

	vsw_guard_clear(7);
	assert_true(vsw_guard_is_lost(7)); /* until another VMM comes */
	vsw_guard_forget(7);
	assert_false(vsw_guard_is_lost(7));
	vsw_guard_clear(8);
	unmap(&m);
	unmap(&other);
}

static void *
touch_all(void *arg)
{
	const struct mapping *m = arg;

	for (int i = 0; i < SIZE; i += 512)
		((uint8_t volatile *)m->mem)[i] = (uint8_t)i;
	return NULL;
}

static void
test_several_threads_may_find_out(void **state)
{
	install();
	for (int round = 0; round < 50; round++) {
		struct mapping m = map();
		pthread_t thread[3];

		vsw_guard_set(0, 0, m.mem, SIZE);
		assert_int_equal(ftruncate(m.fd, 0), 0);
		for (int i = 0; i < 3; i++)
			pthread_create(&thread[i], NULL, touch_all, &m);
		for (int i = 0; i < 3; i++)
			pthread_join(thread[i], NULL);
		assert_true(vsw_guard_is_lost(0));
		vsw_guard_clear(0);
		vsw_guard_forget(0);
		unmap(&m);
	}
}

static void
test_a_thread_may_be_allowed_more(void **state)
{
	struct mapping m = map();
	unsigned int before = vsw_guard_n_faults();

	install();
	vsw_guard_this_thread();
	assert_int_equal(ftruncate(m.fd, 0), 0);
	assert_int_equal(*(uint8_t volatile *)&m.mem[4096], 0);
	assert_int_equal(vsw_guard_n_faults(), before + 1);
	unmap(&m);
}

static void *
touch_strange(void *arg)
{
	return touch_all(arg);
}

static void
test_any_other_sigbus_is_the_end(void **state)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		struct mapping m = map();
		pthread_t thread;

		/* sanitizers would make a report of it */
		signal(SIGBUS, SIG_DFL);
		vsw_guard_install();
		(void)!ftruncate(m.fd, 0);
		pthread_create(&thread, NULL, touch_strange, &m); /* allowed nothing */
		pthread_join(thread, NULL);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGBUS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lost_memory_reads_as_zeroes),
		cmocka_unit_test(test_several_threads_may_find_out),
		cmocka_unit_test(test_a_thread_may_be_allowed_more),
		cmocka_unit_test(test_any_other_sigbus_is_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
