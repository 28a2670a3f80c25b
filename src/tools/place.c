/* SPDX-License-Identifier: MIT */
/*
 * tools/place.c - where in a stopped process code lies, and how its source calls that
 *
 * Idea      The kernel's list of mappings names the file and where it begins; addr2line(1) names the
 *           function and the line. The stack needs the unwind tables of each file: that is left to
 *           gdb(1), where there is one.
 * Failure   a fact that cannot be found out is left out.
 * Tests     tests/tools/test_sweep.sh
 */
#include "tools/place.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#define COMMAND_MAX (PATH_MAX + 200)

/* Whether the file is loaded at the addresses that it was linked for. */
static bool is_linked_for_address(const char *file)
{
	FILE *f = fopen(file, "re");
	Elf64_Ehdr head = { .e_type = ET_NONE };
	bool read = f && fread(&head, sizeof(head), 1, f) == 1;

	if (f)
		fclose(f);
	return read && memcmp(head.e_ident, ELFMAG, SELFMAG) == 0 && head.e_type == ET_EXEC;
}

/* Mappings of one file follow each other; the first of them is where the file begins. */
static bool search_maps(FILE *maps, struct stele_place *place, unsigned long address)
{
	char line[PATH_MAX + 100], file[PATH_MAX];
	unsigned long start, end, begin = 0;

	place->file[0] = 0;
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx %*s %*s %*s %*s %4095[^\n]", &start, &end, file) != 3 ||
		    file[0] != '/')
			continue;
		if (strcmp(file, place->file) != 0) {
			snprintf(place->file, sizeof(place->file), "%s", file);
			begin = start;
		}
		if (address - start >= end - start)
			continue;
		place->offset = address - (is_linked_for_address(file) ? 0 : begin);
		return true;
	}
	return false;
}

bool stele_place_find(struct stele_place *place, pid_t pid, unsigned long address)
{
	char name[64];
	FILE *maps;
	bool found;

	snprintf(name, sizeof(name), "/proc/%d/maps", pid);
	maps = fopen(name, "re");
	if (!maps)
		return false;
	/* The call is before the address to which it returns. */
	found = search_maps(maps, place, address - 1);
	fclose(maps);
	return found;
}

bool stele_place_same(const struct stele_place *a, const struct stele_place *b)
{
	return a->offset == b->offset && strcmp(a->file, b->file) == 0;
}

/* A name with a quote in it is not given to a shell. */
static bool is_plain(const char *file)
{
	return !strpbrk(file, "'\\\n");
}

static bool ask_addr2line(const struct stele_place *place, char *text, size_t size)
{
	char command[COMMAND_MAX];
	FILE *f;
	bool known;

	if (!is_plain(place->file))
		return false;
	snprintf(command, sizeof(command), "addr2line -Cfpe '%s' 0x%lx 2>/dev/null", place->file,
		 place->offset);
	f = popen(command, "re");
	known = f && fgets(text, (int)size, f) && text[0] != '?';
	if (f)
		pclose(f);
	if (known)
		text[strcspn(text, "\n")] = 0;
	return known;
}

void stele_place_print(FILE *out, const struct stele_place *place)
{
	const char *slash = strrchr(place->file, '/');
	char text[1024];

	if (ask_addr2line(place, text, sizeof(text)))
		fprintf(out, "%s ", text);
	fprintf(out, "[%s+0x%lx]\n", slash ? slash + 1 : place->file, place->offset);
}

/* "#3  0x00005 in f (n=1) at file.c:7", without its number. */
static void print_frame(FILE *out, const char *line)
{
	const char *at = line + strcspn(line, " ");

	fprintf(out, "      %s", at + strspn(at, " "));
}

unsigned stele_stack_print(FILE *out, pid_t thread, unsigned long address)
{
	char command[COMMAND_MAX], line[1024], first[32];
	unsigned lines = 0;
	FILE *f;

	snprintf(first, sizeof(first), "%016lx in ", address);
	snprintf(command, sizeof(command),
		 "gdb -nx -batch -p %d -ex 'set filename-display basename' -ex 'backtrace 40' "
		 "2>/dev/null </dev/null",
		 thread);
	f = popen(command, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (line[0] != '#' || (!lines && !strstr(line, first)))
			continue;
		print_frame(out, line);
		lines++;
	}
	if (f)
		pclose(f);
	return lines;
}
