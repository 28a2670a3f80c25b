/* SPDX-License-Identifier: MIT */
/*
 * Tests of os/list.c: lists of any form and length are read, a file that is not there is an error.
 */
#include "os/os.h"

#include "../unit.h"

#include <stdio.h>
#include <unistd.h>

/* The list in a file with this text, in the first 64 * @words numbers. */
static int list_of(const char *text, uint64_t *mask, unsigned words)
{
	char path[] = "/tmp/stele-test-nodes-XXXXXX";
	int fd = mkstemp(path), n;
	size_t length = strlen(text);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, length), length);
	close(fd);
	memset(mask, 0, words * sizeof(*mask));
	n = stele_os_read_list(path, mask, words);
	unlink(path);
	return n;
}

static void lists_are_read_as_the_kernel_writes_them(void **state)
{
	static const struct {
		const char *text;
		int count;
		uint64_t mask;
	} lists[] = {
		{ "", 0, 0 },
		{ "\n", 0, 0 },
		{ "0\n", 1, 1 },
		{ "0-3\n", 4, 0xf },
		{ "0-1,8-11\n", 6, 0xf03 },
		{ "0,2,63", 3, 1 | 4 | 1ull << 63 },
		{ "5-5\n", 1, 0x20 },
		{ "3-1\n", 0, 0 },
		{ "62-65\n", 4, 3ull << 62 },
		{ "1000000\n", 1, 0 },
		{ "abc,4,-,7\n", 2, 0x90 },
	};
	uint64_t mask;

	(void)state;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		assert_int_equal(list_of(lists[i].text, &mask, 1), lists[i].count);
		assert_int_equal(mask, lists[i].mask);
	}
}

/* Longer than what is read at a time: every second of 4096. */
static void a_long_list_is_read_to_its_end(void **state)
{
	static char text[4096 * 5];
	static uint64_t mask[64];
	size_t at = 0;

	(void)state;
	for (unsigned i = 0; i < 4096; i += 2)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%u%s", i,
				       i < 4094 ? "," : "\n");
	assert_int_equal(list_of(text, mask, 64), 2048);
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(mask[i], 0x5555555555555555);
}

static void a_file_that_is_not_there_is_an_error_and_leaves_errno(void **state)
{
	static uint64_t mask[64];

	(void)state;
	errno = 4711;
	assert_int_equal(stele_os_read_list("/nowhere/at/all", mask, 64), -ENOENT);
	assert_int_equal(errno, 4711);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_are_read_as_the_kernel_writes_them),
		cmocka_unit_test(a_long_list_is_read_to_its_end),
		cmocka_unit_test(a_file_that_is_not_there_is_an_error_and_leaves_errno),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
