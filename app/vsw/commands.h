/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The subcommands of vsw, the exit statuses they share, and the options they take.
 */
#ifndef VSW_COMMANDS_H
#define VSW_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	EXIT_USAGE = 1,       /* the command line is wrong */
	EXIT_UNREACHABLE = 2, /* no vswd serves that path, or it is not ours to use */
	EXIT_REFUSED = 3,     /* vswd does, but says no: why was printed */
	EXIT_BROKEN = 4,      /* the connection broke in the middle */
};

/* Where guests and the API have their sockets, unless VSW_RUN_DIR or VSW_API say otherwise. */
#define RUN_DIR "/run/vsw"

#define UDS_MAX 64

/* What the command line of a subcommand says; only options that it takes are set. */
struct args {
	const struct command *command;
	const char *api;
	bool is_quiet; /* complain() says nothing */
	bool is_json;
	bool is_all;
	bool has_port;
	const char *guest;
	uint32_t port;
	double delay; /* seconds */
	uint32_t count;
	uint32_t snaplen;
	const char *types;
	const char *file;
	bool is_waiting;
	uint32_t seconds; /* 0: for ever */
	bool is_fdpass;
	const char *to;
	uint32_t max;
	const char *prefix;
	const char *ports;
	const char *uds[UDS_MAX];
	int n_uds;

	int argc; /* what is left */
	char **argv;
};

struct command {
	const char *name;    /* "guest list" */
	const char *options; /* letters of main.c's table */
	int min_args, max_args;
	const char *usage; /* its arguments */
	const char *help;  /* one phrase */
	int (*run)(struct args *args);
	const char *more; /* that --help tells; NULL: nothing */
};

/* Those of the API; none in a program that is built without it. */
extern const struct command api_commands[];
extern const size_t n_api_commands;

/* $VSW_RUN_DIR, or RUN_DIR. */
const char *run_dir(void);
/* $VSW_API, or vsw.api in $VSW_RUN_DIR. */
const char *default_api(void);

/* Ask vswd for the uds path of a guest. @return false, and @p why is a sentence. */
bool guest_uds_path(const char *who, char *path, size_t size, char *why, size_t why_size);

/* Print "vsw guest list: ..." to standard error. @return @p status. */
int complain(const struct args *args, int status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

int cmd_guest_list(struct args *args);
int cmd_guest_show(struct args *args);
int cmd_guest_add(struct args *args);
int cmd_guest_change(struct args *args);
int cmd_guest_del(struct args *args);
int cmd_conn_list(struct args *args);
int cmd_conn_close(struct args *args);
int cmd_stats(struct args *args);
int cmd_top(struct args *args);
int cmd_config_show(struct args *args);
int cmd_config_check(struct args *args);
int cmd_reload(struct args *args);
int cmd_log(struct args *args);
int cmd_capture(struct args *args);
int cmd_connect(struct args *args);
int cmd_forward(struct args *args);
int cmd_proxy(struct args *args);
int cmd_serve(struct args *args);
int cmd_ssh_config(struct args *args);

extern const char connect_more[];
extern const char forward_more[];
extern const char proxy_more[];
extern const char serve_more[];
extern const char ssh_config_more[];

#endif /* VSW_COMMANDS_H */
