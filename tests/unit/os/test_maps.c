/* SPDX-License-Identifier: MIT */
/*
 * Tests of os/maps.c: the mappings of this process, and memory that cannot be read.
 */
#include "os/maps.h"
#include "os/os.h"

#include "../unit.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

struct found {
	const void *address;
	struct stele_mapping mapping;
	unsigned n;
};

static bool look(const struct stele_mapping *m, void *arg)
{
	struct found *f = arg;

	f->n++;
	assert_true(m->start < m->end);
	if ((uintptr_t)f->address - m->start < m->end - m->start)
		f->mapping = *m;
	return true;
}

static struct stele_mapping mapping_of(const void *address)
{
	struct found f = { .address = address };

	stele_os_each_mapping(look, &f);
	assert_true(f.n > 4);
	return f.mapping;
}

static void a_mapping_has_its_bounds_and_permissions(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *p = mmap(NULL, 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct stele_mapping m;

	(void)state;
	assert_true(p != MAP_FAILED && mprotect(p + page, page, PROT_READ | PROT_WRITE) == 0);
	m = mapping_of(p + page);
	assert_int_equal(m.start, (uintptr_t)p + page);
	assert_int_equal(m.end, (uintptr_t)p + 2 * page);
	assert_true(m.readable && m.writable && !m.inode && !m.name[0]);
	m = mapping_of(p);
	assert_true(!m.readable && !m.writable);
	munmap(p, 3 * page);
}

static void code_lies_in_a_file(void **state)
{
	struct stele_mapping m = mapping_of((const void *)(uintptr_t)&mapping_of);

	(void)state;
	assert_true(m.readable && !m.writable && m.inode);
	assert_non_null(strstr(m.name, "maps"));
}

static bool enough(const struct stele_mapping *m, void *arg)
{
	(void)m;
	return ++*(unsigned *)arg < 2;
}

static void the_list_ends_where_the_caller_says(void **state)
{
	unsigned n = 0;

	(void)state;
	stele_os_each_mapping(enough, &n);
	assert_int_equal(n, 2);
}

static void memory_is_copied_up_to_where_it_cannot_be_read(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *p = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char copy[64] = { 0 };

	(void)state;
	assert_true(p != MAP_FAILED && mprotect(p + page, page, PROT_NONE) == 0);
	memset(p, 7, page);
	if (STELE_TEST_EMULATED) { /* it has no such call */
		assert_int_equal(stele_os_peek(copy, (uintptr_t)p, sizeof(copy)), -ENOSYS);
		munmap(p, 2 * page);
		return;
	}
	assert_int_equal(stele_os_peek(copy, (uintptr_t)p, sizeof(copy)), sizeof(copy));
	assert_true(copy[0] == 7 && copy[63] == 7);
	assert_int_equal(stele_os_peek(copy, (uintptr_t)p + page - 16, sizeof(copy)), 16);
	assert_int_equal(stele_os_peek(copy, (uintptr_t)p + page, sizeof(copy)), 0);
	munmap(p, 2 * page);
	assert_int_equal(stele_os_peek(copy, (uintptr_t)p, sizeof(copy)), 0);
}

static void pages_that_nobody_touched_are_passed_over(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size = 1000 * page;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uintptr_t at = (uintptr_t)p;
	int fd = stele_os_open_touched();

	(void)state;
	assert_true(p != MAP_FAILED && madvise(p, size, MADV_NOHUGEPAGE) == 0);
	assert_true(fd >= 0);
	assert_int_equal(stele_os_next_touched(fd, at, at + size), at + size);
	p[700 * page + 5] = 1;
	assert_int_equal(stele_os_next_touched(fd, at, at + size), at + 700 * page);
	assert_int_equal(stele_os_next_touched(fd, at + 700 * page + 8, at + size),
			 at + 700 * page + 8);
	assert_int_equal(stele_os_next_touched(fd, at + 701 * page, at + size), at + size);
	assert_int_equal(stele_os_next_touched(-1, at, at + size), at);
	stele_os_close(fd);
	assert_int_equal(stele_os_next_touched(fd, at, at + size), at);
	munmap(p, size);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mapping_has_its_bounds_and_permissions),
		cmocka_unit_test(code_lies_in_a_file),
		cmocka_unit_test(the_list_ends_where_the_caller_says),
		cmocka_unit_test(pages_that_nobody_touched_are_passed_over),
		cmocka_unit_test(memory_is_copied_up_to_where_it_cannot_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
