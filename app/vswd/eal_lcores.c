/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * EAL's syntax is that of DPDK 22.11 (Linux guide, "EAL parameters"): -l 1-3,5; -c f;
 * --lcores 0-1,(2,3)@(4-5); --main-lcore 1, otherwise the lowest. What is not understood here is
 * left to EAL.
 */
#include "eal_lcores.h"

#include <string.h>

#include "vsw_base.h"

const char *
eal_value(int argc, char *const *argv, int i, const char *name)
{
	size_t len = strlen(name);
	const char *rest = argv[i] + len;

	if (strncmp(argv[i], name, len) != 0)
		return NULL;
	if (*rest == '\0')
		return i + 1 < argc ? argv[i + 1] : "";
	if (strncmp(name, "--", 2) != 0)
		return rest;
	return *rest == '=' ? rest + 1 : NULL;
}

static bool
read_mask(struct vsw_lcores *lcores, const char *text)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";

	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
		text += 2;
	for (size_t i = strlen(text), lcore = 0; i > 0; i--, lcore += 4) {
		const char *digit = strchr(digits, text[i - 1]);

		if (digit == NULL || lcore + 4 > VSW_LCORES_MAX)
			return false;
		for (unsigned int bit = 0; bit < 4; bit++) {
			if ((digit - digits) & 1 << bit)
				vsw_lcores_add(lcores, (unsigned int)lcore + bit);
		}
	}
	return true;
}

/* A range, or "(" ranges ")". */
static bool
read_set(struct vsw_lcores *lcores, const char **text)
{
	if (**text != '(')
		return vsw_lcores_add_range(lcores, text);
	do {
		++*text;
		if (!vsw_lcores_add_range(lcores, text))
			return false;
	} while (**text == ',');
	return *(*text)++ == ')';
}

/* Sets, each perhaps with "@" and a set of cpus, which do not matter. */
static bool
read_map(struct vsw_lcores *lcores, const char *text)
{
	for (;; text++) {
		struct vsw_lcores cpus = {0};

		if (!read_set(lcores, &text))
			return false;
		if (*text == '@' && (text++, !read_set(&cpus, &text)))
			return false;
		if (*text != ',')
			return *text == '\0';
	}
}

/* The last one counts, as for EAL. @return NULL: there is none. */
static const char *
find(int argc, char *const *argv, const char *name, unsigned int *n)
{
	const char *value = NULL;

	for (int i = 1; i < argc && argv[i] != NULL; i++) {
		const char *found = eal_value(argc, argv, i, name);

		if (found == NULL)
			continue;
		value = found;
		++*n;
	}
	return value;
}

static bool
find_lcores(int argc, char *const *argv, struct vsw_lcores *lcores)
{
	static const struct {
		const char *name;
		bool (*read)(struct vsw_lcores *lcores, const char *text);
	} kinds[] = {
		{"-l", read_map},
		{"--lcores", read_map},
		{"-c", read_mask},
	};
	unsigned int n = 0, n_service = 0;

	memset(lcores, 0, sizeof(*lcores));
	for (size_t i = 0; i < VSW_ARRAY_SIZE(kinds); i++) {
		const char *value = find(argc, argv, kinds[i].name, &n);

		if (value != NULL && !kinds[i].read(lcores, value))
			return false;
	}
	find(argc, argv, "-s", &n_service);
	find(argc, argv, "-S", &n_service);
	return n == 1 && n_service == 0; /* EAL refuses two */
}

bool
eal_lcores_foresee(int argc, char *const *argv, struct vsw_lcores *lcores, unsigned int *main_lcore)
{
	struct vsw_lcores wanted = {0};
	unsigned int n = 0;
	const char *value = find(argc, argv, "--main-lcore", &n);

	if (!find_lcores(argc, argv, lcores) ||
	    (value != NULL && !vsw_lcores_add_range(&wanted, &value)))
		return false;
	for (*main_lcore = 0; *main_lcore < VSW_LCORES_MAX; ++*main_lcore) {
		if (lcores->has[*main_lcore] && (n == 0 || wanted.has[*main_lcore]))
			return true;
	}
	return false;
}
