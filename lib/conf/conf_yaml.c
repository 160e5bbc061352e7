/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration file.
 *
 * On libyaml's tree of nodes, each of which knows its line and column; libcyaml, which would
 * fill structs by a schema, keeps neither, so it could not tell where a CID is that two guests
 * have, and has no value that is a string or a list (`groups`). What a key means is in the
 * same table as for the command line (guest_spec.c); here is only what YAML adds: lists,
 * `limits:` and the keys around the guests.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <yaml.h>

#include <bsd/string.h>

#include "vsw_base.h"
#include "vsw_conf.h"

/* As many guests as there can be, with 8 KiB each. The tree of it takes up to 100 times as much. */
#define FILE_BYTES_MAX (4 * 1024 * 1024)

struct reader {
	struct vsw_conf *conf;
	yaml_document_t *doc;
	char *error;
};

static struct vsw_conf_pos
pos_of(const yaml_mark_t *mark)
{
	return (struct vsw_conf_pos){
		.line = (uint32_t)mark->line + 1,
		.column = (uint32_t)mark->column + 1,
	};
}

static int __attribute__((format(printf, 3, 4)))
fail(struct reader *r, const yaml_mark_t *mark, const char *fmt, ...)
{
	struct vsw_conf_pos pos = pos_of(mark);
	char text[VSW_CONF_ERROR_SIZE / 2];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(r->error, VSW_CONF_ERROR_SIZE, "%.1024s:%u:%u: %.2000s", r->conf->file, pos.line,
		 pos.column, text);
	return -EINVAL;
}

/* @return the text of a scalar; NULL: it is a list or a mapping, or has a NUL in it. */
static const char *
text_of(const yaml_node_t *node)
{
	const char *text;

	if (node->type != YAML_SCALAR_NODE)
		return NULL;
	text = (const char *)node->data.scalar.value;
	if (strlen(text) != node->data.scalar.length)
		return NULL;
	/* What YAML calls null is no value. */
	if (node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	    (strcmp(text, "~") == 0 || strcasecmp(text, "null") == 0))
		return "";
	return text;
}

static const char *
kind_of(const yaml_node_t *node)
{
	return node->type == YAML_SEQUENCE_NODE  ? "a list"
	       : node->type == YAML_MAPPING_NODE ? "a mapping"
						 : "a value";
}

/* It should be a value. */
static int
refuse(struct reader *r, const yaml_node_t *node, const char *key)
{
	if (node->type == YAML_SCALAR_NODE)
		return fail(r, &node->start_mark, "%.64s: there is a NUL character in it", key);
	return fail(r, &node->start_mark, "%.64s: it is a value, not %s", key, kind_of(node));
}

/*
 * Mappings: each key once, each told to a function.
 */

typedef int (*key_fn)(struct reader *r, void *ctx, const char *key, const yaml_node_t *key_node,
		      const yaml_node_t *value);

static const yaml_node_t *
node_at(struct reader *r, int index)
{
	return yaml_document_get_node(r->doc, index);
}

/* Is this key of the pair there before it, too? */
static bool
is_twice(struct reader *r, const yaml_node_t *map, const yaml_node_pair_t *pair, const char *key)
{
	for (const yaml_node_pair_t *p = map->data.mapping.pairs.start; p < pair; p++) {
		if (vsw_key_is(text_of(node_at(r, p->key)), key))
			return true;
	}
	return false;
}

static int
for_each_key(struct reader *r, const yaml_node_t *map, key_fn fn, void *ctx)
{
	const yaml_node_pair_t *pair;
	int rc = 0;

	for (pair = map->data.mapping.pairs.start; pair < map->data.mapping.pairs.top && rc == 0;
	     pair++) {
		const yaml_node_t *key_node = node_at(r, pair->key);
		const yaml_node_t *value = node_at(r, pair->value);
		const char *key = text_of(key_node);

		if (key == NULL || key[0] == '\0')
			return fail(r, &key_node->start_mark, "a key must be a word");
		if (is_twice(r, map, pair, key))
			return fail(r, &key_node->start_mark, "%.64s: it is given twice", key);
		rc = fn(r, ctx, key, key_node, value);
	}
	return rc;
}

/*
 * A guest.
 */

/* Key number k; key: as the user wrote it. */
static int
set_key(struct reader *r, struct vsw_conf_guest *guest, int k, const char *key,
	const yaml_node_t *value)
{
	const char *text = text_of(value);
	char why[VSW_WHY_SIZE];

	if (text == NULL)
		return refuse(r, value, key);
	if (vsw_guest_spec_set(&guest->spec, vsw_guest_spec_key_at((unsigned int)k), text, why) !=
	    0)
		return fail(r, &value->start_mark, "%.64s: %s", key, why);
	guest->key_at[k] = pos_of(&value->start_mark);
	return 0;
}

/* `{listen: PATH, port: N}` */
struct forward_text {
	const char *path, *port;
};

static int
on_forward_key(struct reader *r, void *ctx, const char *key, const yaml_node_t *key_node,
	       const yaml_node_t *value)
{
	struct forward_text *forward = ctx;
	const char *text = text_of(value);

	if (strcmp(key, "listen") != 0 && strcmp(key, "port") != 0)
		return fail(r, &key_node->start_mark,
			    "unknown key '%.64s'; a forward has listen and port", key);
	if (text == NULL)
		return refuse(r, value, key);
	*(key[0] == 'l' ? &forward->path : &forward->port) = text;
	return 0;
}

static int
read_forward(struct reader *r, struct vsw_conf_guest *guest, const yaml_node_t *node)
{
	struct forward_text forward = {"", ""};
	char why[VSW_WHY_SIZE];
	int rc = for_each_key(r, node, on_forward_key, &forward);

	if (rc != 0)
		return rc;
	if (forward.path[0] == '\0' || forward.port[0] == '\0')
		return fail(r, &node->start_mark,
			    "forward: %s is missing; it is as in {listen: PATH, port: 80}",
			    forward.path[0] == '\0' ? "listen" : "port");
	if (vsw_guest_spec_add_forward(&guest->spec, forward.path, forward.port, why) != 0)
		return fail(r, &node->start_mark, "forward: %s", why);
	return 0;
}

/* A list: of names, numbers, or in `forward` of mappings. */
static int
read_list(struct reader *r, struct vsw_conf_guest *guest, int k, const char *key,
	  const yaml_node_t *list)
{
	const yaml_node_item_t *item;
	char why[VSW_WHY_SIZE];
	int rc = 0;

	vsw_guest_spec_reset(&guest->spec, k);
	guest->key_at[k] = pos_of(&list->start_mark);
	for (item = list->data.sequence.items.start;
	     item < list->data.sequence.items.top && rc == 0; item++) {
		const yaml_node_t *node = node_at(r, *item);
		const char *text = text_of(node);

		if (node->type == YAML_MAPPING_NODE && vsw_guest_spec_kind(k) == VSW_KEY_FORWARDS)
			rc = read_forward(r, guest, node);
		else if (text == NULL)
			rc = fail(r, &node->start_mark, "%.64s: it is a list of values, not of %s",
				  key,
				  node->type == YAML_SEQUENCE_NODE  ? "lists"
				  : node->type == YAML_MAPPING_NODE ? "mappings"
								    : "text with NUL");
		else if (vsw_guest_spec_add(&guest->spec, k, text, why) != 0)
			rc = fail(r, &node->start_mark, "%.64s: %s", key, why);
	}
	return rc;
}

static int
on_limit(struct reader *r, void *ctx, const char *key, const yaml_node_t *key_node,
	 const yaml_node_t *value)
{
	int k = vsw_guest_spec_find_limit(key);
	char names[VSW_WHY_SIZE];

	if (k < 0)
		return fail(r, &key_node->start_mark, "unknown limit '%.64s'; known are %s", key,
			    vsw_guest_spec_known(VSW_KNOWN_LIMITS, names));
	return set_key(r, ctx, k, key, value);
}

static int
on_guest_key(struct reader *r, void *ctx, const char *key, const yaml_node_t *key_node,
	     const yaml_node_t *value)
{
	struct vsw_conf_guest *guest = ctx;
	char names[VSW_WHY_SIZE];
	int k;

	if (strcmp(key, "limits") == 0) {
		if (value->type != YAML_MAPPING_NODE)
			return fail(r, &value->start_mark,
				    "limits: it is a mapping, as in {connections: 1000}, not %s",
				    kind_of(value));
		return for_each_key(r, value, on_limit, guest);
	}
	k = vsw_guest_spec_find_key(key);
	if (k < 0 || vsw_guest_spec_kind(k) == VSW_KEY_LIMIT)
		return fail(r, &key_node->start_mark, "unknown key '%.64s'; known are %s", key,
			    vsw_guest_spec_known(VSW_KNOWN_FIELDS, names));
	if (value->type == YAML_SEQUENCE_NODE && vsw_key_is_list(vsw_guest_spec_kind(k)))
		return read_list(r, guest, k, key, value);
	return set_key(r, guest, k, key, value);
}

static int
read_guest(struct reader *r, const yaml_node_t *node)
{
	struct vsw_conf_guest guest = {.at = pos_of(&node->start_mark)};
	char origin[PATH_MAX + 32], why[VSW_WHY_SIZE];
	const char *key;
	int rc;

	if (node->type != YAML_MAPPING_NODE)
		return fail(r, &node->start_mark,
			    "vms: a guest is a mapping, as in {guest_cid: 3, socket: PATH, "
			    "uds_path: PATH}, not %s",
			    kind_of(node));
	vsw_guest_spec_init(&guest.spec);
	rc = for_each_key(r, node, on_guest_key, &guest);
	if (rc != 0)
		return rc;
	if (vsw_guest_spec_check(&guest.spec, &key, why) != 0) {
		vsw_conf_say(r->conf, &guest, key, why, r->error);
		return -EINVAL;
	}
	snprintf(origin, sizeof(origin), "%s:%u:%u", r->conf->file, guest.at.line, guest.at.column);
	return vsw_conf_add_guest(r->conf, &guest, origin, r->error);
}

/*
 * The file.
 */

static int
read_vms(struct reader *r, const yaml_node_t *list)
{
	const yaml_node_item_t *item;
	int rc = 0;

	if (list->type != YAML_SEQUENCE_NODE) {
		const char *text = text_of(list);

		if (text != NULL && text[0] == '\0')
			return 0;
		return fail(r, &list->start_mark, "vms: it is a list of guests, not %s",
			    kind_of(list));
	}
	for (item = list->data.sequence.items.start;
	     item < list->data.sequence.items.top && rc == 0; item++)
		rc = read_guest(r, node_at(r, *item));
	return rc;
}

static int
read_eal(struct reader *r, const yaml_node_t *list)
{
	struct vsw_conf *conf = r->conf;
	const yaml_node_item_t *item;

	if (list->type != YAML_SEQUENCE_NODE)
		return fail(r, &list->start_mark,
			    "eal: it is a list of arguments, as in [-l, 1-3, --in-memory], not %s",
			    kind_of(list));
	for (item = list->data.sequence.items.start; item < list->data.sequence.items.top; item++) {
		const yaml_node_t *node = node_at(r, *item);
		const char *text = text_of(node);

		if (text == NULL || text[0] == '\0')
			return fail(r, &node->start_mark, "eal: an argument is a word");
		if (strcmp(text, "--") == 0)
			return fail(r, &node->start_mark, "eal: it ends without --");
		if (conf->eal_len + strlen(text) + 1 > sizeof(conf->eal_text))
			return fail(r, &node->start_mark, "eal: the arguments are too long");
		memcpy(conf->eal_text + conf->eal_len, text, strlen(text) + 1);
		conf->eal_len += strlen(text) + 1;
		conf->n_eal++;
	}
	return 0;
}

static int
on_top_key(struct reader *r, void *ctx, const char *key, const yaml_node_t *key_node,
	   const yaml_node_t *value)
{
	bool *has_vms = ctx;
	char why[VSW_WHY_SIZE], names[VSW_WHY_SIZE];
	const char *text = text_of(value);
	int rc;

	if (strcmp(key, "vms") == 0) {
		*has_vms = true;
		return read_vms(r, value);
	}
	if (strcmp(key, "eal") == 0)
		return read_eal(r, value);
	rc = vsw_conf_set(r->conf, key, text != NULL ? text : "", why);
	if (rc == -EINVAL && text == NULL)
		return refuse(r, value, key);
	if (rc == -ENOENT)
		return fail(r, &key_node->start_mark, "unknown key '%.64s'; known are vms, %s", key,
			    vsw_conf_settings_str(UINT32_MAX, names));
	if (rc != 0)
		return fail(r, &value->start_mark, "%.64s: %s", key, why);
	if (vsw_key_is("bridge-lcores", key))
		r->conf->bridge_lcores_at = pos_of(&value->start_mark);
	if (vsw_key_is("api", key))
		r->conf->api_at = pos_of(&value->start_mark);
	return 0;
}

static int
read_root(struct reader *r)
{
	const yaml_node_t *root = yaml_document_get_root_node(r->doc);
	const yaml_mark_t begin = {0};
	bool has_vms = false;
	int rc;

	if (root == NULL)
		return fail(r, &begin, "the file is empty; it needs a list vms:");
	if (root->type != YAML_MAPPING_NODE)
		return fail(r, &root->start_mark,
			    "the file is %s; it must be a mapping with vms:", kind_of(root));
	rc = for_each_key(r, root, on_top_key, &has_vms);
	if (rc == 0 && !has_vms)
		rc = fail(r, &root->start_mark, "vms: it is missing; it is the list of guests");
	return rc;
}

static int
fail_to_parse(struct reader *r, const yaml_parser_t *parser)
{
	if (parser->error == YAML_MEMORY_ERROR) {
		snprintf(r->error, VSW_CONF_ERROR_SIZE, "%.1024s: out of memory", r->conf->file);
		return -ENOMEM;
	}
	if (parser->error == YAML_READER_ERROR) {
		snprintf(r->error, VSW_CONF_ERROR_SIZE,
			 "%.1024s:1:1: at byte %zu: %s; the file must be text in UTF-8",
			 r->conf->file, parser->problem_offset, parser->problem);
		return -EINVAL;
	}
	return fail(r, &parser->problem_mark, "this is not YAML: %s%s%s%s", parser->problem,
		    parser->context != NULL ? ", " : "",
		    parser->context != NULL ? parser->context : "",
		    strstr(parser->problem, "cannot start any token") != NULL
			    ? "; lines are indented by blanks, never by tabs, and text that begins "
			      "with @ or ` is quoted"
			    : "");
}

/* @return 0 when nothing follows. */
static int
expect_end(struct reader *r, yaml_parser_t *parser)
{
	yaml_document_t next;
	const yaml_node_t *root;
	int rc = 0;

	if (yaml_parser_load(parser, &next) == 0)
		return fail_to_parse(r, parser);
	root = yaml_document_get_root_node(&next);
	if (root != NULL)
		rc = fail(r, &root->start_mark,
			  "a second document begins; one is all there may be");
	yaml_document_delete(&next);
	return rc;
}

static int
read_stream(struct reader *r, FILE *file)
{
	yaml_parser_t parser;
	yaml_document_t doc;
	int rc;

	if (yaml_parser_initialize(&parser) == 0)
		return -ENOMEM;
	yaml_parser_set_input_file(&parser, file);
	if (yaml_parser_load(&parser, &doc) == 0) {
		rc = fail_to_parse(r, &parser);
	} else {
		r->doc = &doc;
		rc = read_root(r);
		if (rc == 0)
			rc = expect_end(r, &parser);
		yaml_document_delete(&doc);
	}
	yaml_parser_delete(&parser);
	return rc;
}

int
vsw_conf_read_file(struct vsw_conf *conf, const char *path, char error[VSW_CONF_ERROR_SIZE])
{
	struct reader r = {.conf = conf, .error = error};
	struct stat st = {0};
	FILE *file;
	int rc;

	if (strlcpy(conf->file, path, sizeof(conf->file)) >= sizeof(conf->file)) {
		snprintf(error, VSW_CONF_ERROR_SIZE, "%.64s...: the path is too long", path);
		return -ENAMETOOLONG;
	}
	/* A folder can be opened, but not read. */
	file = fopen(path, "re");
	if (file != NULL)
		(void)!fstat(fileno(file), &st);
	if (S_ISDIR(st.st_mode)) {
		fclose(file);
		file = NULL;
		errno = EISDIR;
	}
	if (file == NULL) {
		rc = -errno;
		snprintf(error, VSW_CONF_ERROR_SIZE, "%.1024s: it cannot be read: %s", path,
			 strerror(errno));
		return rc;
	}
	if (st.st_size > FILE_BYTES_MAX) {
		fclose(file);
		snprintf(error, VSW_CONF_ERROR_SIZE,
			 "%.1024s: it has %lld bytes; a configuration has at most %d", path,
			 (long long)st.st_size, FILE_BYTES_MAX);
		return -EINVAL;
	}
	rc = read_stream(&r, file);
	fclose(file);
	if (rc == -ENOMEM)
		snprintf(error, VSW_CONF_ERROR_SIZE, "%.1024s: out of memory", path);
	return rc;
}
