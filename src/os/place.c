/* SPDX-License-Identifier: MIT */
/*
 * os/place.c - in which file of the program is this code, and where in it?
 *
 * Idea      An address says little of a program that the system loads somewhere else each time. The
 *           kernel's list of mappings names the file that an address lies in, and where the file
 *           begins. It is read piece by piece into a few words.
 * Unlike    dl_iterate_phdr(), which takes a lock of the dynamic linker: a report may come from a
 *           handler that interrupted dlopen().
 * Files     A file that was linked for fixed addresses keeps the address as it is, since that is what
 *           addr2line(1) wants of it.
 * Context   any. errno is kept.
 * Failure   without /proc, and for code that is in no file, the bare address.
 * Tests     tests/unit/os/test_place.c
 */
#include "arch/call.h"
#include "base/fmt.h"
#include "os/os.h"
#include <elf.h>
#include <fcntl.h>

#define NAME_MAX_SHOWN 32

/* "start-end perms offset major:minor inode      path": the fields are counted by what ends them. */
enum field { START, END, PERMISSIONS, OFFSET, DEVICE, INODE, PATH };

struct file {
	uint64_t device, inode;
	uintptr_t begin; /* of its first mapping */
};

struct search {
	uintptr_t code;
	uint64_t number[PATH]; /* of the line so far */
	enum field field;
	char name[NAME_MAX_SHOWN]; /* of the path, what follows the last slash */
	unsigned length;
	struct file file; /* of this line, or of the last one that has a file */
	bool found;
};

static void begin_line(struct search *s)
{
	for (unsigned i = 0; i < PATH; i++)
		s->number[i] = 0;
	s->field = START;
	s->length = 0;
}

/* Mappings of one file follow each other; others between them have no inode. */
static void end_line(struct search *s)
{
	if (s->number[INODE] &&
	    (s->number[INODE] != s->file.inode || s->number[DEVICE] != s->file.device))
		s->file = (struct file){ s->number[DEVICE], s->number[INODE], s->number[START] };
	s->found = s->number[INODE] &&
		   s->code - s->number[START] < s->number[END] - s->number[START];
	s->name[s->length] = 0;
	if (!s->found)
		begin_line(s);
}

static void add_digit(struct search *s, char c)
{
	uint64_t *number = &s->number[s->field];

	if (c >= '0' && c <= '9')
		*number = *number * (s->field == INODE ? 10 : 16) + (uint64_t)(c - '0');
	else if (c >= 'a' && c <= 'f')
		*number = *number * 16 + (uint64_t)(c - 'a') + 10;
}

static void add_to_path(struct search *s, char c)
{
	if (c == '/')
		s->length = 0;
	else if (s->length < NAME_MAX_SHOWN - 1 && (s->length || c != ' '))
		s->name[s->length++] = c;
}

static void next_char(struct search *s, char c)
{
	if (c == '\n')
		end_line(s);
	else if (s->field == PATH)
		add_to_path(s, c);
	else if (c == ' ' || (c == '-' && s->field == START))
		s->field++;
	else
		add_digit(s, c);
}

/* Whether the file is loaded at the addresses that it was linked for. */
static bool is_fixed(const struct file *file)
{
	const Elf64_Ehdr *head = (const Elf64_Ehdr *)file->begin;

	return stele_os_is_readable(head) && head->e_ident[EI_MAG0] == ELFMAG0 &&
	       head->e_type == ET_EXEC;
}

static void look_through_maps(struct search *s)
{
	int fd = (int)STELE_SYSCALL(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC);
	char buf[128];
	long n = fd;

	while (fd >= 0 && !s->found && (n = STELE_SYSCALL(SYS_read, fd, buf, sizeof(buf))) > 0)
		for (long i = 0; i < n && !s->found; i++)
			next_char(s, buf[i]);
	if (fd >= 0)
		stele_os_close(fd);
}

const char *stele_os_place(const void *code, char text[STELE_OS_PLACE_SIZE])
{
	/* The call is before the address to which it returns, which may be the next function's. */
	struct search s = { .code = (uintptr_t)code - 1 };
	struct stele_out out;

	stele_out_init(&out, text, STELE_OS_PLACE_SIZE);
	begin_line(&s);
	look_through_maps(&s);
	if (s.found)
		stele_fmt(&out, "%s+0x%lx", s.name,
			  is_fixed(&s.file) ? s.code : s.code - s.file.begin);
	else
		stele_out_ptr(&out, code);
	return text;
}
