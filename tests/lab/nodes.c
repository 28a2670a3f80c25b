/* SPDX-License-Identifier: MIT */
/*
 * tests/lab/nodes.c - memory is of the node that was asked for, as the kernel sees it
 *
 * Idea      move_pages() without a target says of each page on which node it is. For every node:
 *           objects of a cache, of kmalloc() small and large, and pages, asked for by node, from a
 *           CPU of every node; then without a node, which means the one whose CPU asks. An
 *           object freed on another node's CPU must not come back as this node's. At last numa_maps
 *           must count as many pages of the node where those objects are.
 * Argument  "wrong" for the control: every answer is compared with another node.
 * Needs     two nodes or more with free memory, CPUs in each, and a kernel that does not move pages
 *           by itself (numa_balancing off).
 */
#include "machine.h"

#include <dirent.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include <stele/page.h>
#include <stele/slab.h>
#include <stele/stats.h>

#include "percpu/system.h"

#define OBJECTS 600
#define ROUNDS 4

static struct kmem_cache *cache;
static unsigned asked, misplaced;
static int nodes, off; /* off: by how much the control is wrong */

/* ---- what the kernel says ---- */

/* The node of the page at @p, which must have been touched; or -errno. */
static int node_of(const void *p)
{
	void *page = (void *)((uintptr_t)p & ~(PAGE_SIZE - 1));
	int status = -EFAULT;

	if (syscall(SYS_move_pages, 0, 1ul, &page, NULL, &status, 0) != 0)
		return -errno;
	return status;
}

/* The part of numa_maps that @p is in: its policy, and how many pages of @node it has. */
static unsigned long pages_in_maps(const void *p, int node, char *policy)
{
	unsigned long pages = 0, start;
	char line[4096], key[16];
	FILE *file = fopen("/proc/self/numa_maps", "re");

	snprintf(key, sizeof(key), " N%d=", node);
	while (file && fgets(line, sizeof(line), file)) {
		const char *count = strstr(line, key);

		start = strtoul(line, NULL, 16);
		if (start > (uintptr_t)p)
			break;
		sscanf(line, "%*s %31s", policy);
		pages = count ? strtoul(count + strlen(key), NULL, 10) : 0;
	}
	if (file)
		fclose(file);
	return pages;
}

/* The CPUs of a node, from its first to its last. */
static void go_to_node(int node)
{
	char path[64], text[64];
	unsigned first, last;
	cpu_set_t set;

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/cpulist", node);
	if (sscanf(read_line(path, text, sizeof(text)), "%u-%u", &first, &last) != 2)
		abort();
	CPU_ZERO(&set);
	for (unsigned cpu = first; cpu <= last; cpu++)
		CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0)
		abort();
}

/* ---- what was had ---- */

/* All of @size bytes at @p, page by page. */
static void expect_on(void *p, size_t size, int node, const char *what)
{
	node = (node + off) % nodes;
	for (size_t at = 0; at < size; at += PAGE_SIZE) {
		int found;

		memset((char *)p + at, 0x5a, size - at < 64 ? size - at : 64);
		found = node_of((char *)p + at);
		asked++;
		if (found != node && misplaced++ < 10)
			printf("%s: a page at %p is on node %d, not %d\n", what,
			       (void *)((char *)p + at), found, node);
	}
}

static void *had(void *p, const char *what)
{
	if (!p) {
		printf("%s: nothing was had\n", what);
		exit(1);
	}
	return p;
}

static void objects_on(int node, gfp_t gfp, int freed_from)
{
	static void *p[OBJECTS];
	char policy[32] = "";
	unsigned long pages;

	for (unsigned i = 0; i < OBJECTS; i++) {
		p[i] = had(kmem_cache_alloc_node(cache, gfp, node), "kmem_cache_alloc_node");
		expect_on(p[i], 64, node, "kmem_cache_alloc_node");
	}
	pages = pages_in_maps(p[0], (node + off) % nodes, policy);
	if (pages < OBJECTS / 16 / 2) {
		printf("numa_maps has %lu pages of node %d there (%s)\n", pages, node, policy);
		misplaced++;
	}
	go_to_node(freed_from);
	for (unsigned i = 0; i < OBJECTS; i++)
		kmem_cache_free(cache, p[i]);
}

static void memory_on(int node, gfp_t gfp)
{
	static const size_t sizes[] = { 64, 1000, 8000, 100000, 3 << 20 };
	struct page *page;

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		void *p = had(kmalloc_node(sizes[i], gfp, node), "kmalloc_node");

		expect_on(p, sizes[i], node, "kmalloc_node");
		kfree(p);
	}
	for (unsigned order = 0; order <= MAX_PAGE_ORDER; order += 3) {
		page = had(alloc_pages_node(node, gfp, order), "alloc_pages_node");
		expect_on(page_address(page), PAGE_SIZE << order, node, "alloc_pages_node");
		__free_pages(page, order);
	}
}

/* No node is named: the one whose CPU asks. By thread, a slot stays with the node of its first
 * use. */
static void local_memory(int node)
{
	struct page *page = had(alloc_pages(GFP_KERNEL, 4), "alloc_pages");
	void *large = had(kmalloc(1 << 20, GFP_KERNEL), "kmalloc");

	expect_on(page_address(page), PAGE_SIZE << 4, node, "alloc_pages");
	expect_on(large, 1 << 20, node, "kmalloc");
	__free_pages(page, 4);
	kfree(large);
}

static void round_of(int round)
{
	for (int from = 0; from < nodes; from++)
		for (int node = 0; node < nodes; node++) {
			gfp_t gfp = GFP_KERNEL | (round % 2 ? __GFP_THISNODE : 0);

			go_to_node(from);
			objects_on(node, gfp, (from + round) % nodes);
			memory_on(node, gfp);
			go_to_node(node);
			if (stele_system()->mode != STELE_MODE_FALLBACK)
				local_memory(node);
		}
}

int main(int argc, char **argv)
{
	struct stele_stats stats;
	char path[64], text[8];

	do
		snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/cpulist", nodes);
	while (*read_line(path, text, sizeof(text)) && ++nodes);
	off = argc > 1 && strcmp(argv[1], "wrong") == 0;
	cache = kmem_cache_create("nodes", 256, 0, SLAB_NO_MERGE, NULL);
	if (nodes < 2 || !cache) {
		printf("%d nodes, cache %p\n", nodes, (void *)cache);
		return 1;
	}
	for (int round = 0; round < ROUNDS; round++)
		round_of(round);
	printf("%d nodes: %u pages asked about, %u misplaced\n", nodes, asked, misplaced);
	if (kmem_cache_shrink(cache) != 0)
		misplaced++;
	kmem_cache_destroy(cache);
	stele_stats_read(&stats);
	return misplaced != 0 || stats.reports != 0;
}
