/* SPDX-License-Identifier: MIT */
/*
 * tools/preloadable.c - would the dynamic linker preload the drop-in, and into this program?
 *
 * Idea      The dynamic linker ignores LD_PRELOAD without a word for a static program and for one
 *           with more rights than its caller, and with a puzzling message for a program of another
 *           architecture. The user who asked for Stele should hear that the program runs without
 *           it. The linker also passes over a file that is no library, and the program then runs
 *           with another malloc. So the file must be our drop-in: its soname tells, whatever its
 *           path and name are.
 * Failure   a program that cannot be read, or is no ELF file (a script: its interpreter will be
 *           one), counts as fine; execvp() says what is wrong with it.
 * Tests     tests/tools/test_stele.sh
 */
#include "tools/tools.h"

#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The file that execvp() would take for @program. */
static bool find_program(const char *program, char *path, size_t size)
{
	const char *dirs = getenv("PATH");

	if (strchr(program, '/'))
		return (size_t)snprintf(path, size, "%s", program) < size;
	/* execvp()'s own default differs by C library; these are in all of them. */
	for (dirs = dirs ? dirs : "/bin:/usr/bin"; *dirs; dirs += *dirs == ':') {
		int n = (int)strcspn(dirs, ":");

		snprintf(path, size, "%.*s/%s", n ? n : 1, n ? dirs : ".", program);
		if (access(path, X_OK) == 0)
			return true;
		dirs += n;
	}
	return false;
}

/* A program of our own kind, by whose header this one was built. */
static bool same_kind(const Elf64_Ehdr *head)
{
	Elf64_Ehdr own;
	FILE *f = fopen("/proc/self/exe", "rb");
	bool read = f && fread(&own, sizeof(own), 1, f) == 1;

	if (f)
		fclose(f);
	return !read || (own.e_machine == head->e_machine &&
			 own.e_ident[EI_CLASS] == head->e_ident[EI_CLASS]);
}

/* Whether a program header names the dynamic linker. True when in doubt. */
static bool has_interpreter(FILE *f, const Elf64_Ehdr *head)
{
	Elf64_Phdr part;

	if (head->e_phentsize != sizeof(part) || fseek(f, (long)head->e_phoff, SEEK_SET) != 0)
		return true;
	for (unsigned int i = 0; i < head->e_phnum; i++) {
		if (fread(&part, sizeof(part), 1, f) != 1 || part.p_type == PT_INTERP)
			return true;
	}
	return false;
}

static const char *look_into(FILE *f)
{
	Elf64_Ehdr head;

	if (fread(&head, sizeof(head), 1, f) != 1 || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0)
		return NULL;
	if (!same_kind(&head))
		return "is for another architecture";
	return has_interpreter(f, &head) ? NULL : "is statically linked";
}

/* As the kernel decides AT_SECURE from the file's owner; file capabilities are not looked at. */
static bool gains_rights(const struct stat *st)
{
	return ((st->st_mode & S_ISUID) && st->st_uid != getuid()) ||
	       ((st->st_mode & S_ISGID) && (st->st_mode & S_IXGRP) && st->st_gid != getgid());
}

/* The soname is one of the strings in the file. */
static bool has_our_soname(FILE *f)
{
	static const char soname[] = "\0" STELE_DROP_IN;
	size_t matched = 0;
	int c;

	rewind(f);
	while (matched < sizeof(soname) && (c = getc(f)) != EOF) {
		if (c == soname[matched])
			matched++;
		else
			matched = c == soname[0];
	}
	return matched == sizeof(soname);
}

static const char *look_into_library(FILE *f)
{
	Elf64_Ehdr head;

	if (fread(&head, sizeof(head), 1, f) != 1 || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 ||
	    head.e_type != ET_DYN)
		return "is no shared library";
	if (!same_kind(&head))
		return "is for another architecture";
	return !has_interpreter(f, &head) && has_our_soname(f) ? NULL : "is not " STELE_DROP_IN;
}

const char *stele_not_the_drop_in(const char *path)
{
	FILE *f = fopen(path, "rb");
	const char *why;

	if (!f)
		return strerror(errno);
	why = look_into_library(f);
	fclose(f);
	return why;
}

const char *stele_not_preloadable(const char *program)
{
	char path[PATH_MAX];
	struct stat st;
	const char *why;
	FILE *f;

	if (!find_program(program, path, sizeof(path)) || stat(path, &st) != 0 ||
	    !S_ISREG(st.st_mode))
		return NULL;
	if (gains_rights(&st))
		return "is set-user-ID or set-group-ID";
	f = fopen(path, "rb");
	if (!f)
		return NULL;
	why = look_into(f);
	fclose(f);
	return why;
}
