/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves which vhost-user messages pass the gate: all that QEMU and User-Mode Linux send, and
 * of the others none.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vhost_check.h"
#include "vhost_msg.h"
#include "vsw_base.h"
#include "vsw_test.h"

#define SPAN (1ull << 40)
#define SIZE 0x10000u

static int memory, event, pair[2], pipes[2], sealed;

static const char *
check(uint32_t request, uint32_t flags, const void *payload, uint32_t size, const int *fds,
      unsigned int n_fds)
{
	struct vsw_vhost_raw msg = {.request = request, .flags = flags, .size = size};

	if (size > 0)
		memcpy(msg.payload, payload, size);
	return vsw_vhost_check(&msg, fds, n_fds, SPAN);
}

struct table {
	uint32_t n, padding;
	struct {
		uint64_t gpa, size, user_addr, offset;
	} region[9];
};

static void
test_what_vmms_send_passes(void **state)
{
	static const uint32_t plain[] = {
		VSW_VHOST_USER_GET_FEATURES, VSW_VHOST_USER_SET_OWNER, VSW_VHOST_USER_RESET_OWNER,
		VSW_VHOST_USER_GET_PROTOCOL_FEATURES, VSW_VHOST_USER_GET_QUEUE_NUM};
	static const uint32_t states[] = {
		VSW_VHOST_USER_SET_VRING_NUM, VSW_VHOST_USER_SET_VRING_BASE,
		VSW_VHOST_USER_SET_VRING_ENABLE, VSW_VHOST_USER_GET_VRING_BASE};
	static const uint32_t files[] = {VSW_VHOST_USER_SET_VRING_KICK,
					 VSW_VHOST_USER_SET_VRING_CALL,
					 VSW_VHOST_USER_SET_VRING_ERR};
	const uint64_t features = 1ull << 32, no_fd = 0x102, index = 2;
	const uint32_t ring[] = {2, 256}, config[5] = {0, 8};
	const struct table table = {
		.n = 2, .region = {{0, SIZE, 0x7f0000, 0}, {SIZE, 0x1000, 0x8f0000, 0}}};
	const uint64_t addr[5] = {2, 0x1000, 0x2000, 0x3000, 0};
	const int fds[] = {memory, memory};

	for (size_t i = 0; i < VSW_ARRAY_SIZE(plain); i++)
		assert_null(check(plain[i], 1, NULL, 0, NULL, 0));
	for (size_t i = 0; i < VSW_ARRAY_SIZE(states); i++)
		assert_null(check(states[i], 9, ring, sizeof(ring), NULL, 0));
	for (size_t i = 0; i < VSW_ARRAY_SIZE(files); i++) {
		assert_null(check(files[i], 1, &index, 8, &event, 1));
		assert_null(check(files[i], 9, &index, 8, &pair[0], 1));
		assert_null(check(files[i], 1, &no_fd, 8, NULL, 0));
	}
	assert_null(check(VSW_VHOST_USER_SET_FEATURES, 9, &features, 8, NULL, 0));
	assert_null(check(VSW_VHOST_USER_SET_PROTOCOL_FEATURES, 1, &features, 8, NULL, 0));
	assert_null(check(VSW_VHOST_USER_SET_MEM_TABLE, 9, &table, 8 + 2 * 32, fds, 2));
	assert_null(check(VSW_VHOST_USER_SET_VRING_ADDR, 1, addr, sizeof(addr), NULL, 0));
	assert_null(check(VSW_VHOST_USER_GET_CONFIG, 1, config, sizeof(config), NULL, 0));
	assert_null(check(VSW_VHOST_USER_SET_BACKEND_REQ_FD, 9, NULL, 0, &pair[1], 1));
}

static void
test_no_other_request_passes(void **state)
{
	uint8_t payload[300] = {0};

	for (uint32_t request = 0; request < 300; request++) {
		bool is_ours = (request >= 1 && request <= 5) || (request >= 8 && request <= 18) ||
			       request == 21 || request == 24;

		if (!is_ours)
			assert_non_null(check(request, 1, payload, sizeof(payload), NULL, 0));
		/* not of this version, or a reply */
		assert_non_null(check(request, 0, payload, sizeof(payload), NULL, 0));
		assert_non_null(check(request, 5, payload, sizeof(payload), NULL, 0));
	}
	assert_non_null(check(UINT32_MAX, 1, payload, 8, NULL, 0));
}

static void
test_descriptors_must_be_right(void **state)
{
	const int many[8] = {event, event, event, event, event, event, event, event};
	const uint64_t index = 1;
	uint8_t payload[300] = {0};

	for (uint32_t request = 0; request < 40; request++) {
		for (unsigned int n = 2; n <= 8; n++)
			assert_non_null(check(request, 1, payload, 264, many, n));
	}
	assert_non_null(check(VSW_VHOST_USER_GET_CONFIG, 1, payload, 20, many, 1));
	assert_non_null(check(VSW_VHOST_USER_SET_BACKEND_REQ_FD, 1, NULL, 0, NULL, 0));
	assert_non_null(check(VSW_VHOST_USER_SET_VRING_CALL, 1, &index, 8, NULL, 0));
	assert_non_null(check(VSW_VHOST_USER_SET_VRING_CALL, 1, &index, 8, &pipes[1], 1));
	assert_non_null(check(VSW_VHOST_USER_SET_VRING_KICK, 1, &index, 8, &memory, 1));
	assert_non_null(check(VSW_VHOST_USER_SET_VRING_KICK, 1, &(uint64_t){3}, 8, &event, 1));
	assert_non_null(
		check(VSW_VHOST_USER_SET_VRING_KICK, 1, &(uint64_t){1ull << 63}, 8, &event, 1));
	assert_non_null(check(VSW_VHOST_USER_SET_VRING_KICK, 1, &(uint64_t){0x101}, 8, &event, 1));
}

static void
test_numbers_must_be_right(void **state)
{
	static const uint32_t sizes[] = {0, 3, 65535, 65536, 1u << 31, UINT32_MAX};
	const uint64_t addr[5] = {1ull << 32 | 1, 0, 0, 0, 0}; /* with a log */
	const uint32_t config[70] = {0, 257};

	for (size_t i = 0; i < VSW_ARRAY_SIZE(sizes); i++)
		assert_non_null(check(VSW_VHOST_USER_SET_VRING_NUM, 1, (uint32_t[]){0, sizes[i]}, 8,
				      NULL, 0));
	assert_null(check(VSW_VHOST_USER_SET_VRING_NUM, 1, (uint32_t[]){0, 32768}, 8, NULL, 0));
	assert_non_null(
		check(VSW_VHOST_USER_SET_VRING_BASE, 1, (uint32_t[]){0, 65536}, 8, NULL, 0));
	assert_non_null(check(VSW_VHOST_USER_GET_VRING_BASE, 1, (uint32_t[]){3, 0}, 8, NULL, 0));
	assert_non_null(check(VSW_VHOST_USER_GET_VRING_BASE, 1, (uint32_t[]){0, 0}, 7, NULL, 0));
	assert_non_null(check(VSW_VHOST_USER_SET_VRING_ADDR, 1, addr, sizeof(addr), NULL, 0));
	assert_non_null(check(VSW_VHOST_USER_GET_CONFIG, 1, config, sizeof(config), NULL, 0));
	assert_non_null(check(VSW_VHOST_USER_GET_CONFIG, 1, (uint32_t[]){0, 8, 0}, 12, NULL, 0));
}

static void
test_memory_must_be_right(void **state)
{
	static const struct {
		uint64_t gpa, size, user_addr, offset;
	} wrong[] = {
		{0, 0, 0, 0},
		{0, SIZE + 1, 0, 0},
		{0, SIZE, 0, 1},
		{UINT64_MAX - 1, SIZE, 0, 0},
		{0, SIZE, UINT64_MAX - 1, 0},
		{0, SIZE, 0, UINT64_MAX - 1},
		{0, UINT64_MAX, 0, 0},
		{0, 1ull << 63, 0, 1ull << 63},
	};
	const int files[] = {event, pair[0], pipes[0], sealed, -1};
	struct table table = {.n = 1};

	for (size_t i = 0; i < VSW_ARRAY_SIZE(wrong); i++) {
		memcpy(&table.region[0], &wrong[i], sizeof(wrong[i]));
		assert_non_null(check(VSW_VHOST_USER_SET_MEM_TABLE, 1, &table, 40, &memory, 1));
	}
	table.region[0].gpa = table.region[0].offset = 0;
	table.region[0].size = SIZE;
	assert_null(check(VSW_VHOST_USER_SET_MEM_TABLE, 1, &table, 40, &memory, 1));
	for (size_t i = 0; i < VSW_ARRAY_SIZE(files); i++)
		assert_non_null(check(VSW_VHOST_USER_SET_MEM_TABLE, 1, &table, 40, &files[i], 1));
	assert_non_null(check(VSW_VHOST_USER_SET_MEM_TABLE, 1, &table, 39, &memory, 1));
	assert_non_null(check(VSW_VHOST_USER_SET_MEM_TABLE, 1, &table, 40, NULL, 0));
	for (uint32_t n = 0; n < 12; n++) {
		table.n = n;
		if (n != 1)
			assert_non_null(check(VSW_VHOST_USER_SET_MEM_TABLE, 1, &table, 8 + 9 * 32,
					      &memory, 1));
	}
	/* more than its part of the address space */
	assert_int_equal(ftruncate(memory, (off_t)(2 * SPAN)), 0);
	table.n = 1;
	table.region[0].size = SPAN;
	assert_null(check(VSW_VHOST_USER_SET_MEM_TABLE, 1, &table, 40, &memory, 1));
	table.region[0].offset = 1;
	assert_non_null(check(VSW_VHOST_USER_SET_MEM_TABLE, 1, &table, 40, &memory, 1));
	assert_int_equal(ftruncate(memory, SIZE), 0);
}

static int
setup(void **state)
{
	memory = memfd_create("memory", MFD_CLOEXEC);
	sealed = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	event = eventfd(0, EFD_CLOEXEC);
	if (ftruncate(memory, SIZE) != 0 || ftruncate(sealed, SIZE) != 0 ||
	    fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE) != 0 || pipe(pipes) != 0)
		return -1;
	return socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_vmms_send_passes),
		cmocka_unit_test(test_no_other_request_passes),
		cmocka_unit_test(test_descriptors_must_be_right),
		cmocka_unit_test(test_numbers_must_be_right),
		cmocka_unit_test(test_memory_must_be_right),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
