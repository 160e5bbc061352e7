/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * PUT /vsock, as in Firecracker: it sets up the device that has the id `vsock_id`; doing it
 * again changes that device. There a VM has one such device, and the VMM is the server; here
 * the VMM has to be told where to connect: to `<uds_path>.vhost`.
 *
 * A device is the guest of the name vsock_id; a number, which Firecracker's examples use, is
 * no name here, so that "1" becomes "vsock-1".
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <bsd/string.h>

#include "api_priv.h"
#include "json.h"

static struct vsw_guest_info *
find(struct exchange *x, const char *name)
{
	for (unsigned int i = 0; i < x->req.n_guests; i++) {
		if (strcmp(x->req.guests[i].spec.name, name) == 0)
			return &x->req.guests[i];
	}
	return NULL;
}

/* All else that the guest is stays. */
static void
add_or_change(struct exchange *x)
{
	struct vsw_guest_spec wanted = x->req.spec;
	struct vsw_guest_info *old = find(x, wanted.name);

	if (old == NULL) {
		exchange_ask(x, VSW_REQUEST_ADD_GUEST, exchange_answer_nothing);
		return;
	}
	x->req.spec = old->spec;
	x->req.spec.cid = wanted.cid;
	if (strcmp(old->spec.uds_path, wanted.uds_path) != 0) {
		strlcpy(x->req.spec.uds_path, wanted.uds_path, sizeof(wanted.uds_path));
		strlcpy(x->req.spec.socket, wanted.socket, sizeof(wanted.socket));
	}
	exchange_change(x, (unsigned int)(old - x->req.guests), api_vsock_put,
			exchange_answer_nothing);
}

static int
set(struct vsw_guest_spec *spec, const char *field, const char *key, const char *value,
    char error[VSW_ERROR_SIZE])
{
	char why[VSW_WHY_SIZE];

	if (vsw_guest_spec_set(spec, key, value, why) == 0)
		return 0;
	snprintf(error, VSW_ERROR_SIZE, "%s: %s", field, why);
	return -EINVAL;
}

/* A guest's name out of an id; NULL: there is none. */
static void
name_of(const char *id, uint32_t cid, char *name, size_t size)
{
	if (id == NULL)
		snprintf(name, size, "vm%u", cid);
	else if (id[0] != '\0' && id[strspn(id, "0123456789")] == '\0')
		snprintf(name, size, "vsock-%s", id);
	else
		snprintf(name, size, "%s", id);
}

static int
read_vsock(const json_t *body, struct vsw_request *req, char error[VSW_ERROR_SIZE])
{
	struct vsw_guest_spec *spec = &req->spec;
	static const struct json_field fields[] = {
		{"vsock_id", false, false},
		{"guest_cid", true, true},
		{"uds_path", true, false},
		{NULL},
	};
	char name[VSW_NAME_SIZE + 8], number[16], socket[sizeof(spec->uds_path) + 8];
	int rc = json_check_fields(body, fields, error);

	if (rc != 0)
		return rc;
	vsw_guest_spec_init(spec);
	snprintf(number, sizeof(number), "%u",
		 (uint32_t)json_integer_value(json_object_get(body, "guest_cid")));
	rc = set(spec, "guest_cid", "guest-cid", number, error);
	if (rc == 0)
		rc = set(spec, "uds_path", "uds-path",
			 json_string_value(json_object_get(body, "uds_path")), error);
	name_of(json_string_value(json_object_get(body, "vsock_id")), spec->cid, name,
		sizeof(name));
	if (rc == 0)
		rc = set(spec, "vsock_id", "name", name, error);
	if (rc != 0)
		return rc;
	snprintf(socket, sizeof(socket), "%s.vhost", spec->uds_path);
	return set(spec, "uds_path", "socket", socket, error);
}

void
api_vsock_put(struct exchange *x)
{
	if (exchange_take(x, read_vsock))
		api_ask_for_guests(x, "", add_or_change);
}
