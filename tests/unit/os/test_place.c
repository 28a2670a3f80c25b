/* SPDX-License-Identifier: MIT */
/*
 * Tests of os/place.c: a user finds the line of a bad call by what is printed.
 */
#include "os/os.h"

#include "../unit.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* What the dynamic linker says of @code, for the call before it. */
static const char *expected(const void *code, char *text, size_t size)
{
	Dl_info info;
	const char *name;

	assert_true(dladdr(code, &info) != 0);
	name = strrchr(info.dli_fname, '/');
	name = name ? name + 1 : info.dli_fname;
	snprintf(text, size, "%.31s+0x%lx", name,
		 (unsigned long)((const char *)code - 1 - (const char *)info.dli_fbase));
	return text;
}

static void code_is_named_by_file_and_offset(void **state)
{
	char text[STELE_OS_PLACE_SIZE], own[80], library[80],
		*real = realpath("/proc/self/exe", NULL);
	Dl_info info;

	(void)state;
	expected((const char *)&code_is_named_by_file_and_offset + 1, own, sizeof(own));
	assert_string_equal(
		stele_os_place((const char *)&code_is_named_by_file_and_offset + 1, text), own);
	assert_non_null(strstr(real, "place"));
	/* Of the C library, whose file may have another name than the linker knows it by. */
	assert_true(dladdr((void *)&qsort, &info) != 0);
	expected((const char *)(uintptr_t)&qsort + 1, library, sizeof(library));
	stele_os_place((const char *)(uintptr_t)&qsort + 1, text);
	assert_string_equal(strchr(text, '+'), strchr(library, '+'));
	free(real);
}

static void code_in_no_file_is_an_address(void **state)
{
	char text[STELE_OS_PLACE_SIZE], bare[32], here;

	(void)state;
	snprintf(bare, sizeof(bare), "%p", (void *)(&here + 1));
	assert_string_equal(stele_os_place(&here + 1, text), bare);
	assert_string_equal(stele_os_place(NULL, text), "0x0");
	assert_string_equal(stele_os_place((void *)1, text), "0x1");
	assert_string_equal(stele_os_place((void *)UINTPTR_MAX, text), "0xffffffffffffffff");
}

static void errno_is_kept_by_place(void **state)
{
	char text[STELE_OS_PLACE_SIZE];

	(void)state;
	errno = ENOTTY;
	stele_os_place(&errno_is_kept_by_place, text);
	stele_os_place(text, text);
	assert_int_equal(errno, ENOTTY);
}

/* A file of two pages with this start, mapped. */
static char *mapped(const char *path, const Elf64_Ehdr *head)
{
	long page = sysconf(_SC_PAGESIZE);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	char *p;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 2 * page), 0);
	assert_int_equal(write(fd, head, sizeof(*head)), sizeof(*head));
	p = mmap(NULL, 2 * (size_t)page, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	assert_true(p != MAP_FAILED);
	return p;
}

static void a_long_name_is_cut_and_the_offset_is_not(void **state)
{
	char folder[] = "/tmp/stele-test-place-XXXXXX", path[200], text[STELE_OS_PLACE_SIZE];
	char fixed[32], *p;
	Elf64_Ehdr head = { .e_ident = ELFMAG, .e_type = ET_DYN };
	long page = sysconf(_SC_PAGESIZE);

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path),
		 "%s/a name - with blanks, of more than thirty-one characters.so", folder);
	p = mapped(path, &head);
	assert_string_equal(stele_os_place(p + 0x11, text), "a name - with blanks, of more t+0x10");
	/* The offset is that in the file, in a second mapping of the file, too. */
	assert_int_equal(mprotect(p + page, (size_t)page, PROT_NONE), 0);
	stele_os_place(p + page + 1, text);
	assert_int_equal(strtoul(strchr(text, '+') + 1, NULL, 16), page);
	munmap(p, 2 * (size_t)page);

	/* Linked for fixed addresses: addr2line wants the address itself. */
	head.e_type = ET_EXEC;
	p = mapped(path, &head);
	snprintf(fixed, sizeof(fixed), "+%p", (void *)(p + 0x10));
	assert_string_equal(strchr(stele_os_place(p + 0x11, text), '+'), fixed);
	munmap(p, 2 * (size_t)page);
	unlink(path);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(code_is_named_by_file_and_offset),
		cmocka_unit_test(code_in_no_file_is_an_address),
		cmocka_unit_test(errno_is_kept_by_place),
		cmocka_unit_test(a_long_name_is_cut_and_the_offset_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
