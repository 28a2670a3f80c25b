/* SPDX-License-Identifier: MIT */
/*
 * os/list.c - the lists of numbers in which the kernel speaks of processors and nodes
 *
 * Idea      They are read piece by piece, as those of big machines are longer than a frame may be.
 * Context   any. errno is kept.
 * Tests     tests/unit/os/test_list.c
 */
#include "os/os.h"
#include "arch/call.h"
#include <fcntl.h>

/* A number that is being read, and what it may be the end of. */
struct reading {
	unsigned number, from;
	bool digit, range;
	int count;
};

static void number_ends(struct reading *r, uint64_t *mask, unsigned words)
{
	unsigned from = r->range ? r->from : r->number;

	if (!r->digit)
		return;
	for (unsigned i = from; i <= r->number && i < words * 64; i++)
		mask[i / 64] |= 1ull << i % 64;
	r->count += r->number >= from ? (int)(r->number - from + 1) : 0;
	r->digit = r->range = false;
}

static void read_char(struct reading *r, char c, uint64_t *mask, unsigned words)
{
	if (c >= '0' && c <= '9') {
		r->number = (r->digit ? r->number * 10 : 0) + (unsigned)(c - '0');
		r->digit = true;
	} else if (c == '-' && r->digit) {
		r->from = r->number;
		r->range = true;
		r->digit = false;
	} else {
		number_ends(r, mask, words);
	}
}

int stele_os_read_list(const char *path, uint64_t *mask, unsigned words)
{
	struct reading r = { 0 };
	int fd = (int)STELE_SYSCALL(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	long n = fd;
	char buf[64];

	while (fd >= 0 && (n = STELE_SYSCALL(SYS_read, fd, buf, sizeof(buf))) > 0)
		for (long i = 0; i < n; i++)
			read_char(&r, buf[i], mask, words);
	if (fd >= 0)
		stele_os_close(fd);
	number_ends(&r, mask, words);
	return n < 0 ? (int)n : r.count;
}
