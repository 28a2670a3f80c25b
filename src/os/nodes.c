/* SPDX-License-Identifier: MIT */
/*
 * os/nodes.c - /sys/devices/system/node, mbind and get_mempolicy
 *
 * Idea      The length of the kernel's masks of nodes was chosen when the kernel was built.
 * Tests     tests/unit/os/test_nodes.c
 */
#include "os/nodes.h"
#include "arch/call.h"
#include "base/fmt.h"
#include "os/os.h"
#include "base/layout.h"

#define POLICY_DEFAULT 0
#define POLICY_PREFERRED 1
#define POLICY_FLAGS (3 << 14)
#define POLICY_ALLOWED 4 /* get_mempolicy: the nodes that are allowed, not the policy */

#define KERNEL_NODES 1024u
#define BITS_OF_LONG (8 * sizeof(unsigned long))

#define PATH_BYTES 64

uint64_t stele_os_nodes(const char *what)
{
	char path[PATH_BYTES];
	struct stele_out out;
	uint64_t mask = 0;

	stele_out_init(&out, path, sizeof(path));
	stele_fmt(&out, "/sys/devices/system/node/%s", what);
	stele_os_read_list(path, &mask, 1);
	return mask;
}

int stele_os_node_cpus(unsigned node, uint64_t *mask)
{
	char path[PATH_BYTES];
	struct stele_out out;

	for (unsigned i = 0; i < STELE_OS_CPUS / 64; i++)
		mask[i] = 0;
	stele_out_init(&out, path, sizeof(path));
	stele_fmt(&out, "/sys/devices/system/node/node%u/cpulist", node);
	return stele_os_read_list(path, mask, STELE_OS_CPUS / 64);
}

int stele_os_node_distances(unsigned node, uint16_t *distance, unsigned most)
{
	static char text[STELE_NODES_MAX * 4 + 1]; /* not on the stack; one reader at a time */
	char path[PATH_BYTES];
	struct stele_out out;
	unsigned n = 0;
	ssize_t length;

	stele_out_init(&out, path, sizeof(path));
	stele_fmt(&out, "/sys/devices/system/node/node%u/distance", node);
	length = stele_os_read_file(path, text, sizeof(text));
	if (length < 0)
		return (int)length;
	for (const char *c = text; n < most && *c >= '0' && *c <= '9'; n++) {
		distance[n] = 0;
		for (; *c >= '0' && *c <= '9'; c++)
			distance[n] = (uint16_t)(distance[n] * 10 + (*c - '0'));
		while (*c == ' ')
			c++;
	}
	return (int)n;
}

uint64_t stele_os_nodes_allowed(void)
{
	unsigned long mask[KERNEL_NODES / BITS_OF_LONG] = { 0 };
	int policy = POLICY_DEFAULT;
	bool told = STELE_SYSCALL(SYS_get_mempolicy, &policy, NULL, 0, NULL, 0) == 0 &&
		    (policy & ~POLICY_FLAGS) == POLICY_DEFAULT &&
		    STELE_SYSCALL(SYS_get_mempolicy, NULL, mask, KERNEL_NODES, NULL,
				  POLICY_ALLOWED) == 0;

	return told ? mask[0] : 0;
}

int stele_os_prefer_node(void *p, size_t size, unsigned node)
{
	unsigned long mask = 1ul << node;

	/* The kernel takes one from the number of bits it is told. */
	return (int)STELE_SYSCALL(SYS_mbind, p, size, POLICY_PREFERRED, &mask, BITS_OF_LONG + 1, 0);
}

unsigned stele_os_cpu(void)
{
	unsigned cpu = 0;

	return STELE_SYSCALL(SYS_getcpu, &cpu, NULL, NULL) == 0 ? cpu : 0;
}
