/* SPDX-License-Identifier: BSD-3-Clause */
#include "report.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static uint64_t
count_entries(const char *path)
{
	DIR *d = opendir(path);
	uint64_t n = 0;

	while (d != NULL && readdir(d) != NULL)
		n++;
	if (d != NULL)
		closedir(d);
	return n > 2 ? n - 2 : 0;
}

/* schedstat counts nanoseconds where stat counts ticks of 10 ms. */
static void
add_threads(struct usage *u, pid_t pid)
{
	char path[300];
	struct dirent *ent;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	d = opendir(path);
	while (d != NULL && (ent = readdir(d)) != NULL) {
		uint64_t cpu, wait;
		FILE *f;

		/* ".." would be the process, whose main thread is in here, too. */
		if (ent->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", (int)pid, ent->d_name);
		f = fopen(path, "r");
		if (f != NULL && fscanf(f, "%" SCNu64 " %" SCNu64, &cpu, &wait) == 2) {
			u->cpu_ns += cpu;
			u->wait_ns += wait;
		}
		if (f != NULL)
			fclose(f);
	}
	if (d != NULL)
		closedir(d);
}

struct usage
usage_of(pid_t pid)
{
	struct usage u = {0};
	char path[64], line[256];
	FILE *f;

	if (pid == 0)
		return u;
	add_threads(&u, pid);
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	u.n_fds = count_entries(path);
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "r");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		sscanf(line, "VmRSS: %" SCNu64, &u.rss_kib);
		sscanf(line, "RssAnon: %" SCNu64, &u.anon_kib);
	}
	if (f != NULL)
		fclose(f);
	return u;
}

void
stats_of(const struct rig *rig, struct vsw_guest_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	for (unsigned int i = 0; i < rig->n_vms; i++) {
		struct vsw_guest_stats s;

		if (rig->vms[i].g == NULL)
			continue;
		vsw_guest_stats(rig->vms[i].g, &s);
		stats->packets_sent += s.packets_sent;
		stats->packets_received += s.packets_received;
		stats->kicks += s.kicks;
		stats->interrupts += s.interrupts;
	}
}

static const char *
path_str(enum path path)
{
	static const char *const names[] = {
		[PATH_GUEST] = "guest",        [PATH_HOST] = "host",
		[PATH_GUEST_TO_HOST] = "g2h",  [PATH_HOST_TO_GUEST] = "h2g",
		[PATH_GUEST_TO_GUEST] = "g2g",
	};

	return names[path];
}

/* The receiver's figure where the receiver is here: what has arrived counts. */
static uint64_t
bytes_moved(const struct load *load)
{
	bool has_receiver = !load->opt->has_target || (load->opt->direction & RECV) != 0;

	if (load->opt->has_target && load->opt->direction == BOTH)
		return load->bytes_sent + load->bytes_received;
	return has_receiver ? load->bytes_received : load->bytes_sent;
}

static double
us(const struct load *load, double fraction)
{
	return (double)hist_at(&load->hist, fraction) / 1000;
}

static double
busy(const struct result *r)
{
	double all = (double)(r->busy_tsc + r->idle_tsc);

	return all > 0 ? (double)r->busy_tsc / all : 0;
}

static void
print_json(const struct load *load, const struct result *r)
{
	const struct options *opt = load->opt;
	double bytes = (double)bytes_moved(load);

	printf("{\"command\": \"%s\", \"path\": \"%s\", \"size\": %zu, \"guests\": %u, "
	       "\"connections\": %u, \"idle\": %u, \"seconds\": %.6f, ",
	       opt->command, path_str(opt->path), opt->size, opt->n_guests, opt->n_connections,
	       opt->n_idle, r->seconds);
	printf("\"bytes\": %.0f, \"gbps\": %.4f, \"messages_per_s\": %.1f, \"done\": %" PRIu64
	       ", \"done_per_s\": %.1f, \"refused_per_s\": %.1f, ",
	       bytes, bytes * 8e-9 / r->seconds, bytes / (double)opt->size / r->seconds,
	       load->n_done, (double)load->n_done / r->seconds,
	       (double)load->n_refused / r->seconds);
	printf("\"p50_us\": %.2f, \"p99_us\": %.2f, \"p999_us\": %.2f, \"max_us\": %.2f, "
	       "\"mean_us\": %.2f, ",
	       us(load, 0.5), us(load, 0.99), us(load, 0.999), (double)load->hist.max / 1000,
	       load->hist.n != 0 ? (double)load->hist.sum / (double)load->hist.n / 1000 : 0);
	printf("\"generator_busy\": %.3f, \"packets_to_switch\": %" PRIu64
	       ", \"packets_from_switch\": %" PRIu64 ", \"kicks\": %" PRIu64
	       ", \"interrupts\": %" PRIu64 ", ",
	       busy(r), r->stats.packets_sent, r->stats.packets_received, r->stats.kicks,
	       r->stats.interrupts);
	printf("\"watched_cpu_s\": %.6f, \"watched_rss_kib\": [%" PRIu64 ", %" PRIu64 ", %" PRIu64
	       "], \"watched_anon_kib\": [%" PRIu64 ", %" PRIu64 ", %" PRIu64
	       "], \"watched_fds\": [%" PRIu64 ", %" PRIu64 ", %" PRIu64 "], ",
	       (double)(r->end.cpu_ns - r->begin.cpu_ns) * 1e-9, r->unused.rss_kib,
	       r->begin.rss_kib, r->end.rss_kib, r->unused.anon_kib, r->begin.anon_kib,
	       r->end.anon_kib, r->unused.n_fds, r->begin.n_fds, r->end.n_fds);
	printf("\"own_wait_s\": %.6f, \"watched_wait_s\": %.6f, ",
	       (double)(r->own_end.wait_ns - r->own_begin.wait_ns) * 1e-9,
	       (double)(r->end.wait_ns - r->begin.wait_ns) * 1e-9);
	printf("\"verified\": %s, \"rc\": %d}\n", opt->is_verified ? "true" : "false", load->rc);
}

static void
print_text(const struct load *load, const struct result *r)
{
	const struct options *opt = load->opt;
	double bytes = (double)bytes_moved(load), s = r->seconds;

	printf("%s %s, %u guest%s x %u connection%s, %.2f s: ", opt->command, path_str(opt->path),
	       opt->n_guests, opt->n_guests == 1 ? "" : "s", opt->n_connections,
	       opt->n_connections == 1 ? "" : "s", s);
	if (strcmp(opt->command, "stream") == 0)
		printf("%.3f Gbit/s, %.0f messages/s of %zu bytes", bytes * 8e-9 / s,
		       bytes / (double)opt->size / s, opt->size);
	if (strcmp(opt->command, "churn") == 0)
		printf("%.0f made and %.0f refused each second", (double)load->n_done / s,
		       (double)load->n_refused / s);
	if (strcmp(opt->command, "ping") == 0)
		printf("%.0f round trips/s of %zu bytes", (double)load->n_done / s, opt->size);
	if (load->hist.n > 0)
		printf(", p50 %.1f us, p99 %.1f us, p99.9 %.1f us, max %.1f us", us(load, 0.5),
		       us(load, 0.99), us(load, 0.999), (double)load->hist.max / 1000);
	if (strcmp(opt->command, "hold") == 0)
		printf("held");
	printf("; generator %.0f %% busy", busy(r) * 100);
	if (opt->watched != 0)
		printf("; process %d: %.1f %% cpu, %" PRIu64 " KiB before, %" PRIu64
		       " KiB after, %" PRIu64 " descriptors",
		       (int)opt->watched, (double)(r->end.cpu_ns - r->begin.cpu_ns) * 1e-7 / s,
		       r->unused.rss_kib, r->end.rss_kib, r->end.n_fds);
	puts("");
}

void
report(const struct load *load, const struct result *r)
{
	if (load->opt->is_json)
		print_json(load, r);
	else
		print_text(load, r);
	fflush(stdout);
}
