/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vsw stats, vsw top: counters, how fast they grow, and how long things take.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "commands.h"
#include "guest.h"
#include "http.h"
#include "table.h"
#include "vsw_now.h"

/* Counters whose names begin so, together. */
static long long
sum_of(json_t *guest, const char *prefix)
{
	long long sum = 0;
	const char *key;
	json_t *value;

	json_object_foreach(json_object_get(guest, "counters"), key, value)
	{
		if (strncmp(key, prefix, strlen(prefix)) == 0)
			sum += json_integer_value(value);
	}
	return sum;
}

static long long
malformed_of(json_t *guest)
{
	return sum_of(guest, "pkt_") + sum_of(guest, "chain_") + sum_of(guest, "ring_");
}

/* A guest's histograms, or those of all together. */
static void
print_times(const struct args *args, const json_t *object)
{
	static const char *const titles[] = {"TIME", ">COUNT", ">P50", ">P99", ">MAX", NULL};
	char text[HUMAN_SIZE];
	struct table table;
	const char *key;
	json_t *hist;

	table_begin(&table, titles);
	json_object_foreach(json_object_get(object, "histograms"), key, hist)
	{
		if (!args->is_all && number_at(hist, "count") == 0)
			continue;
		table_add(&table, "%s", key);
		table_add(&table, "%lld", number_at(hist, "count"));
		table_add(&table, "%s", duration(number_at(hist, "p50_us"), text));
		table_add(&table, "%s", duration(number_at(hist, "p99_us"), text));
		table_add(&table, "%s", duration(number_at(hist, "max_us"), text));
	}
	putchar('\n');
	table_end(&table, stdout);
}

static void
print_guest(const struct args *args, json_t *guest)
{
	static const char *const titles[] = {"COUNTER", ">VALUE", NULL};
	struct table table;
	const char *key;
	json_t *value;

	table_begin(&table, titles);
	json_object_foreach(json_object_get(guest, "counters"), key, value)
	{
		if (!args->is_all && json_integer_value(value) == 0)
			continue;
		table_add(&table, "%s", key);
		table_add(&table, "%lld", (long long)json_integer_value(value));
	}
	table_end(&table, stdout);
	print_times(args, guest);
}

static void
print_guests(json_t *guests)
{
	static const char *const titles[] = {
		">CID",      "NAME",     ">CONNS", ">FROM PACKETS", ">FROM BYTES", ">TO PACKETS",
		">TO BYTES", ">REFUSED", ">RESET", ">MALFORMED",    NULL};
	struct table table;
	json_t *guest;
	size_t i;

	table_begin(&table, titles);
	json_array_foreach(guests, i, guest)
	{
		json_t *counters = json_object_get(guest, "counters");

		table_add(&table, "%lld", number_at(guest, "guest_cid"));
		table_add(&table, "%s", text_at(guest, "name"));
		table_add(&table, "%lld",
			  number_at(json_object_get(guest, "status"), "connections"));
		table_add(&table, "%lld", number_at(counters, "from_guest_packets"));
		table_add(&table, "%lld", number_at(counters, "from_guest_bytes"));
		table_add(&table, "%lld", number_at(counters, "to_guest_packets"));
		table_add(&table, "%lld", number_at(counters, "to_guest_bytes"));
		table_add(&table, "%lld", sum_of(guest, "refused_"));
		table_add(&table, "%lld", sum_of(guest, "reset_"));
		table_add(&table, "%lld", malformed_of(guest));
	}
	table_end(&table, stdout);
}

static int
stats_of_guest(const struct args *args)
{
	json_t *guest;
	int status = http_call_named(args, "GET", NULL, &guest, "/guests", args->argv[0]);

	if (status != EXIT_SUCCESS)
		return status;
	if (args->is_json) {
		json_t *counters = json_object_get(guest, "counters");

		json_object_set(counters, "histograms", json_object_get(guest, "histograms"));
		print_json(counters);
	} else {
		print_guest(args, guest);
	}
	json_decref(guest);
	return EXIT_SUCCESS;
}

static int
stats_of_all(const struct args *args)
{
	json_t *reply, *total = NULL;
	int status = http_call(args, "GET", NULL, &reply, "/guests?counters=1%s",
			       args->is_json ? "&histograms=1" : "");

	if (status == EXIT_SUCCESS)
		status = http_call(args, "GET", NULL, &total, "/stats");
	if (status == EXIT_SUCCESS && args->is_json) {
		json_object_set(reply, "total", total);
		print_json(reply);
	} else if (status == EXIT_SUCCESS) {
		print_guests(json_object_get(reply, "guests"));
		print_times(args, total);
	}
	json_decref(reply);
	json_decref(total);
	return status;
}

int
cmd_stats(struct args *args)
{
	return args->argc > 0 ? stats_of_guest(args) : stats_of_all(args);
}

/*
 * Top: two looks and what lies between.
 */

struct look {
	json_t *guests, *lcores, *info;
	double time;
};

static void
forget(struct look *look)
{
	json_decref(look->guests);
	json_decref(look->lcores);
	json_decref(look->info);
	*look = (struct look){0};
}

static int
take_look(const struct args *args, struct look *look)
{
	int status;

	*look = (struct look){.time = (double)vsw_now_ns() / 1e9};
	status = http_call(args, "GET", NULL, &look->guests, "/guests?counters=1");
	if (status == EXIT_SUCCESS)
		status = http_call(args, "GET", NULL, &look->lcores, "/lcores");
	if (status == EXIT_SUCCESS)
		status = http_call(args, "GET", NULL, &look->info, "/info");
	return status;
}

/* The object of @p list whose @p key is the same as that of @p object. */
static json_t *
same(const json_t *list, const char *key, const json_t *object)
{
	json_t *other;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)list, i, other)
	{
		if (number_at(other, key) == number_at(object, key))
			return other;
	}
	return NULL;
}

static double
share(const json_t *old, const json_t *new, const char *part)
{
	double all = (double)(number_at(new, "total_cycles") - number_at(old, "total_cycles"));
	double some = (double)(number_at(new, part) - number_at(old, part));

	return all > 0 ? 100 * some / all : 0;
}

static void
print_lcores(const struct look *old, const struct look *new)
{
	static const char *const titles[] = {">LCORE",  "ROLES",     ">POLLED", ">BRIDGED",
					     ">BUSY %", ">SLEEPS/s", NULL};
	double seconds = new->time - old->time;
	struct table table;
	json_t *lcore;
	size_t i;

	table_begin(&table, titles);
	json_array_foreach(json_object_get(new->lcores, "lcores"), i, lcore)
	{
		json_t *before = same(json_object_get(old->lcores, "lcores"), "lcore", lcore);
		json_t *role;
		char roles[64] = "", number[HUMAN_SIZE];
		size_t k;

		json_array_foreach(json_object_get(lcore, "roles"), k, role)
			snprintf(roles + strlen(roles), sizeof(roles) - strlen(roles), "%s%s",
				 k > 0 ? "+" : "", json_string_value(role));
		table_add(&table, "%lld", number_at(lcore, "lcore"));
		table_add(&table, "%s", roles);
		table_add(&table, "%lld", number_at(lcore, "guests"));
		table_add(&table, "%lld", number_at(lcore, "bridged_guests"));
		table_add(&table, "%.1f", share(before, lcore, "busy_cycles"));
		table_add(&table, "%s",
			  human((double)(number_at(lcore, "sleeps") - number_at(before, "sleeps")) /
					seconds,
				number));
	}
	table_end(&table, stdout);
}

struct rate {
	json_t *old, *new;
	double seconds;
};

static void
add_rate(struct table *table, const struct rate *rate, const char *counter)
{
	long long grown = number_at(json_object_get(rate->new, "counters"), counter) -
			  number_at(json_object_get(rate->old, "counters"), counter);
	char number[HUMAN_SIZE];

	table_add(table, "%s", human(grown < 0 ? 0 : (double)grown / rate->seconds, number));
}

static void
print_rates(const struct look *old, const struct look *new)
{
	static const char *const titles[] = {">CID",        "NAME",      "STATE",     ">CONNS",
					     ">FROM pkt/s", ">FROM B/s", ">TO pkt/s", ">TO B/s",
					     ">STALLS/s",   ">DROPS",    NULL};
	struct table table;
	json_t *guest;
	size_t i;

	table_begin(&table, titles);
	json_array_foreach(json_object_get(new->guests, "guests"), i, guest)
	{
		struct rate rate = {
			same(json_object_get(old->guests, "guests"), "guest_cid", guest), guest,
			new->time - old->time};
		const json_t *state = json_object_get(guest, "status");

		table_add(&table, "%lld", number_at(guest, "guest_cid"));
		table_add(&table, "%s", text_at(guest, "name"));
		table_add(&table, "%s", text_at(state, "state"));
		table_add(&table, "%lld", number_at(state, "connections"));
		add_rate(&table, &rate, "from_guest_packets");
		add_rate(&table, &rate, "from_guest_bytes");
		add_rate(&table, &rate, "to_guest_packets");
		add_rate(&table, &rate, "to_guest_bytes");
		add_rate(&table, &rate, "credit_stalls");
		table_add(&table, "%lld",
			  sum_of(guest, "reset_") + sum_of(guest, "refused_") +
				  malformed_of(guest));
	}
	table_end(&table, stdout);
}

static void
print_top(const struct look *old, const struct look *new)
{
	if (isatty(STDOUT_FILENO))
		fputs("\033[H\033[J", stdout);
	printf("vswd %s: %lld guests, %lld connections; between two looks: %.1f s\n\n",
	       text_at(new->info, "version"), number_at(new->info, "guests"),
	       number_at(new->info, "connections"), new->time - old->time);
	print_lcores(old, new);
	putchar('\n');
	print_rates(old, new);
	if (!isatty(STDOUT_FILENO))
		putchar('\n');
	fflush(stdout);
}

int
cmd_top(struct args *args)
{
	const struct timespec delay = {(time_t)args->delay,
				       (long)((args->delay - (double)(time_t)args->delay) * 1e9)};
	struct look old, new;
	int status = take_look(args, &old);

	for (uint32_t n = 0; status == EXIT_SUCCESS && (args->count == 0 || n < args->count); n++) {
		nanosleep(&delay, NULL);
		status = take_look(args, &new);
		if (status == EXIT_SUCCESS)
			print_top(&old, &new);
		forget(&old);
		old = new;
	}
	forget(&old);
	return status;
}
