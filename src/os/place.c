/* SPDX-License-Identifier: MIT */
/*
 * os/place.c - in which file of the program is this code, and where in it?
 *
 * Idea      An address says little of a program that the system loads somewhere else each time. The
 *           kernel's list of mappings (os/maps.c) names the file that an address lies in, and where
 *           the file begins.
 * Files     A file that was linked for fixed addresses keeps the address as it is, since that is what
 *           addr2line(1) wants of it.
 * Context   any. errno is kept.
 * Failure   without /proc, and for code that is in no file, the bare address.
 * Tests     tests/unit/os/test_place.c
 */
#include "base/fmt.h"
#include "os/maps.h"
#include "os/os.h"
#include <elf.h>

struct search {
	uintptr_t code;
	struct stele_mapping file; /* the first mapping of the last file */
	bool found;
};

/* Mappings of one file follow each other; others between them have no inode. */
static bool look_at_mapping(const struct stele_mapping *m, void *arg)
{
	struct search *s = arg;

	if (!m->inode)
		return true;
	if (m->inode != s->file.inode || m->device != s->file.device)
		s->file = *m;
	s->found = s->code - m->start < m->end - m->start;
	return !s->found;
}

/* Whether the file is loaded at the addresses that it was linked for. */
static bool is_fixed(const struct stele_mapping *file)
{
	const Elf64_Ehdr *head = (const Elf64_Ehdr *)file->start;

	return stele_os_is_readable(head) && head->e_ident[EI_MAG0] == ELFMAG0 &&
	       head->e_type == ET_EXEC;
}

const char *stele_os_place(const void *code, char text[STELE_OS_PLACE_SIZE])
{
	/* The call is before the address to which it returns, which may be the next function's. */
	struct search s = { .code = (uintptr_t)code - 1 };
	struct stele_out out;

	stele_out_init(&out, text, STELE_OS_PLACE_SIZE);
	stele_os_each_mapping(look_at_mapping, &s);
	if (s.found)
		stele_fmt(&out, "%s+0x%lx", s.file.name,
			  is_fixed(&s.file) ? s.code : s.code - s.file.start);
	else
		stele_out_ptr(&out, code);
	return text;
}
