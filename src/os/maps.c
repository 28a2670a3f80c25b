/* SPDX-License-Identifier: MIT */
/*
 * os/maps.c - the mappings of this process, from the kernel's list; its memory, with care
 *
 * Idea      The list is read piece by piece into a few words: "start-end perms offset major:minor
 *           inode      path". The fields are counted by what ends them.
 * Unlike    dl_iterate_phdr(), which takes a lock of the dynamic linker: a report may come from a
 *           handler that interrupted dlopen().
 * Careful   process_vm_readv() copies memory of this process as well. It answers with an error where a
 *           load would end in a signal.
 * Touched   /proc/self/pagemap has an entry for each page, so the pages of a vast mapping that nobody
 *           touched need not be read.
 * Context   any. errno is kept.
 * Failure   without /proc there are no mappings.
 * Tests     tests/unit/os/test_maps.c  tests/unit/os/test_place.c
 */
#include "arch/call.h"
#include "base/basics.h"
#include "os/maps.h"
#include "os/os.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>

enum field { START, END, PERMISSIONS, OFFSET, DEVICE, INODE, PATH };

struct reader {
	uint64_t number[PATH]; /* of the line so far */
	enum field field;
	unsigned length; /* of the name */
	struct stele_mapping mapping;
	bool (*each)(const struct stele_mapping *, void *arg);
	void *arg;
	bool enough;
};

static void begin_line(struct reader *r)
{
	for (unsigned i = 0; i < PATH; i++)
		r->number[i] = 0;
	r->field = START;
	r->length = 0;
	r->mapping.readable = r->mapping.writable = false;
}

static void end_line(struct reader *r)
{
	r->mapping.start = r->number[START];
	r->mapping.end = r->number[END];
	r->mapping.device = r->number[DEVICE];
	r->mapping.inode = r->number[INODE];
	r->mapping.name[r->length] = 0;
	r->enough = !r->each(&r->mapping, r->arg);
	begin_line(r);
}

static void add_digit(struct reader *r, char c)
{
	uint64_t *number = &r->number[r->field];

	if (c >= '0' && c <= '9')
		*number = *number * (r->field == INODE ? 10 : 16) + (uint64_t)(c - '0');
	else if (c >= 'a' && c <= 'f')
		*number = *number * 16 + (uint64_t)(c - 'a') + 10;
}

static void add_permission(struct reader *r, char c)
{
	r->mapping.readable |= c == 'r';
	r->mapping.writable |= c == 'w';
}

static void add_to_path(struct reader *r, char c)
{
	if (c == '/')
		r->length = 0;
	else if (r->length < STELE_MAPPING_NAME - 1 && (r->length || c != ' '))
		r->mapping.name[r->length++] = c;
}

static void next_char(struct reader *r, char c)
{
	if (c == '\n')
		end_line(r);
	else if (r->field == PATH)
		add_to_path(r, c);
	else if (c == ' ' || (c == '-' && r->field == START))
		r->field++;
	else if (r->field == PERMISSIONS)
		add_permission(r, c);
	else
		add_digit(r, c);
}

void stele_os_each_mapping(bool (*each)(const struct stele_mapping *, void *arg), void *arg)
{
	int fd = (int)STELE_SYSCALL(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC);
	struct reader r = { .each = each, .arg = arg };
	char buf[128];
	long n = fd;

	begin_line(&r);
	while (fd >= 0 && !r.enough && (n = STELE_SYSCALL(SYS_read, fd, buf, sizeof(buf))) > 0)
		for (long i = 0; i < n && !r.enough; i++)
			next_char(&r, buf[i]);
	if (fd >= 0)
		stele_os_close(fd);
}

long stele_os_peek(void *to, uintptr_t from, size_t size)
{
	struct iovec mine = { to, size }, there = { (void *)from, size };
	long n = STELE_SYSCALL(SYS_process_vm_readv, stele_os_pid(), &mine, 1, &there, 1, 0);

	return n == -EFAULT ? 0 : n;
}

/* ---- pages that were touched ---- */

#define KEPT (3ull << 62) /* of an entry of /proc/self/pagemap: in memory, in swap space */
#define ENTRIES 512u

int stele_os_open_touched(void)
{
	return (int)STELE_SYSCALL(SYS_openat, AT_FDCWD, "/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
}

/* The same within ENTRIES pages from @from on, up to *to, which becomes their end. */
static uintptr_t next_of_some(int fd, uintptr_t from, uintptr_t *to)
{
	size_t page = stele_os_page_size();
	uint64_t entry[ENTRIES];
	long n = STELE_SYSCALL(SYS_pread64, fd, entry, sizeof(entry), from / page * sizeof(*entry));

	if (n <= 0)
		return from;
	for (long i = 0; i < n / (long)sizeof(*entry) && from < *to; i++) {
		if (entry[i] & KEPT)
			return from;
		from = (from / page + 1) * page;
	}
	*to = STELE_MIN(*to, from);
	return *to;
}

uintptr_t stele_os_next_touched(int fd, uintptr_t from, uintptr_t to)
{
	while (fd >= 0 && from < to) {
		uintptr_t end = to, found = next_of_some(fd, from, &end);

		if (found < end)
			return found;
		from = end;
	}
	return from;
}
