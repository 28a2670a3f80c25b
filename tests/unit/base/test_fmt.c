/* SPDX-License-Identifier: MIT */
/*
 * Tests of base/fmt.c. The judge is the C library's snprintf() wherever both know a conversion;
 * guard bytes around the buffer show a write outside of it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "base/fmt.h"

#include "stderr_of.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define GUARD 0x5a

/* Both formatters with the same arguments, at every buffer size from 0 to enough. */
#define assert_like_printf(...)                                                                    \
	do {                                                                                       \
		char want[256];                                                                    \
		for (size_t size = 0; size < 80; size++) {                                         \
			char got[82];                                                              \
			struct stele_out o;                                                        \
			memset(got, GUARD, sizeof(got));                                           \
			stele_out_init(&o, got, size);                                             \
			stele_fmt(&o, __VA_ARGS__);                                                \
			snprintf(want, size, __VA_ARGS__);                                         \
			assert_int_equal(got[size], GUARD);                                        \
			if (!size)                                                                 \
				continue;                                                          \
			assert_string_equal(got, want);                                            \
			assert_int_equal(o.len, strlen(want));                                     \
		}                                                                                  \
	} while (0)

static void numbers_print_as_printf_prints_them(void **state)
{
	(void)state;
	assert_like_printf("%d %d %d %i", 0, INT_MAX, INT_MIN, -1);
	assert_like_printf("%u %u", 0U, UINT_MAX);
	assert_like_printf("%ld %ld %ld", 0L, LONG_MAX, LONG_MIN);
	assert_like_printf("%lu %lx", ULONG_MAX, ULONG_MAX);
	assert_like_printf("%llu %lld", ULLONG_MAX, LLONG_MIN);
	assert_like_printf("%zu %zd %jd %td", SIZE_MAX, (ssize_t)-1, INTMAX_MIN, (ptrdiff_t)-5);
	assert_like_printf("%x %x", 0U, 0xdeadbeefU);
}

static void width_and_flags_line_columns_up(void **state)
{
	(void)state;
	assert_like_printf("[%6d][%-6d][%06d]", -42, -42, -42);
	assert_like_printf("[%016lx][%-8x][%8x]", 0x1234UL, 0x12U, 0x12U);
	assert_like_printf("[%2d][%02d][%-2d]", 12345, 12345, 12345);
	assert_like_printf("[%-17s][%17s][%s]", "kmalloc-64", "kmalloc-64", "");
	assert_like_printf("[%3c][%-3c][%c]", 'a', 'b', 'c');
	assert_like_printf("[%12p][%-14p]", (void *)0x7f00, (void *)0x7f00);
	assert_like_printf("[%.3s][%.9s][%-6.2s][%6.2s]", "abcdef", "abc", "abc", "abc");
	assert_like_printf("[%.*s][%.*s]", 4, "abcdef", -1, "abcdef");
	assert_like_printf("%-17s %6lu %6lu %6u %4u %4d : tunables", "dentry", 1UL, 2UL, 3U, 4U, 5);
	assert_like_printf("100%% of %s", "it");
}

static void string_with_precision_needs_no_nul(void **state)
{
	const char raw[3] = { 'a', 'b', 'c' };

	(void)state;
	assert_like_printf("[%.*s]", 3, raw);
}

static void null_pointers_are_printed_not_followed(void **state)
{
	char buf[64];
	struct stele_out o;
	const char *volatile none = NULL;

	(void)state;
	stele_out_init(&o, buf, sizeof(buf));
	stele_fmt(&o, "%s %p", none, (void *)NULL);
	assert_string_equal(buf, "(null) 0x0");
}

static void unknown_conversion_is_shown_and_ends_the_format(void **state)
{
	char buf[64];
	struct stele_out o;
	const char *volatile fmt = "%d %q %s"; /* not for the compiler to check */

	(void)state;
	stele_out_init(&o, buf, sizeof(buf));
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
	stele_fmt(&o, fmt, 1, (char *)1);
#pragma GCC diagnostic pop
	assert_string_equal(buf, "1 %q %s");

	stele_out_init(&o, buf, sizeof(buf));
	fmt = "half %";
	stele_fmt(&o, fmt, 0);
	assert_string_equal(buf, "half %");
}

static void huge_width_ends_at_the_buffer(void **state)
{
	char buf[16];
	struct stele_out o;

	(void)state;
	stele_out_init(&o, buf, sizeof(buf));
	stele_fmt(&o, "%2000000000d", 1);
	assert_int_equal(o.len, sizeof(buf) - 1);
	assert_string_equal(buf, "               ");
}

static void appending_goes_on_where_it_ended(void **state)
{
	char buf[128];
	struct stele_out o;

	(void)state;
	stele_out_init(&o, buf, sizeof(buf));
	stele_out_str(&o, "a=");
	stele_out_u64(&o, UINT64_MAX);
	stele_out_str(&o, " b=");
	stele_out_i64(&o, INT64_MIN);
	stele_out_str(&o, " c=");
	stele_out_hex(&o, 0xabcULL << 52);
	stele_out_str(&o, " d=");
	stele_out_ptr(&o, (void *)0x10);
	stele_out_chars(&o, "...", 1);
	assert_string_equal(buf, "a=18446744073709551615 b=-9223372036854775808 "
				 "c=0xabc0000000000000 d=0x10.");
	assert_int_equal(o.len, strlen(buf));
}

static void say_is_one_write_and_keeps_errno(void **state)
{
	struct stderr_text t;

	(void)state;
	assert_true(stderr_begin(&t));
	errno = 4711;
	stele_say("stele: %s: bad pointer %p (%u)\n", "kfree", (void *)0xabc, 7U);
	int after = errno;
	stderr_end(&t);
	assert_string_equal(t.text, "stele: kfree: bad pointer 0xabc (7)\n");
	assert_int_equal(after, 4711);
	assert_true(t.writes == 1 || t.writes == -1);
}

static void say_keeps_errno_when_stderr_is_closed(void **state)
{
	int old = dup(STDERR_FILENO);
	int after;

	(void)state;
	assert_true(old >= 0);
	close(STDERR_FILENO);
	errno = 4711;
	stele_say("nobody reads this\n");
	after = errno;
	dup2(old, STDERR_FILENO);
	close(old);
	assert_int_equal(after, 4711);
}

static void text_at_exit_survives_a_program_that_closed_stderr(void **state)
{
	struct stderr_text t;
	struct stderr_text reused;

	(void)state;
	assert_true(stderr_begin(&t));
	stele_say_keep();
	close(STDERR_FILENO);
	stele_say("to the kept one\n");
	/* Once descriptor 2 is open again, it is standard error, whichever file it is. */
	assert_int_equal(dup2(t.old, STDERR_FILENO), STDERR_FILENO);
	assert_true(stderr_begin(&reused));
	stele_say("to the new one\n");
	stderr_end(&reused);
	assert_string_equal(reused.text, "to the new one\n");
	/* The duplicate holds the pipe open: read what is there, do not wait for its end. */
	t.len = (size_t)read(t.pipe[0], t.text, sizeof(t.text) - 1);
	t.text[t.len] = 0;
	close(t.pipe[0]);
	close(t.pipe[1]);
	close(t.old);
	assert_string_equal(t.text, "to the kept one\n");
}

/* As a daemon closes all that it has, and opens its files. The one before has kept a descriptor. */
static void no_text_goes_into_a_file_that_took_the_kept_descriptor(void **state)
{
	FILE *file = tmpfile();
	int old = dup(STDERR_FILENO), taken = 0;

	(void)state;
	assert_non_null(file);
	for (int fd = 10; fd < 1024; fd++)
		if (fd != old && fcntl(fd, F_GETFD) == FD_CLOEXEC)
			taken += dup2(fileno(file), fd) == fd;
	assert_int_not_equal(taken, 0);
	close(STDERR_FILENO);
	stele_say("to nobody\n");
	assert_int_equal(dup2(old, STDERR_FILENO), STDERR_FILENO);
	close(old);
	assert_int_equal(lseek(fileno(file), 0, SEEK_END), 0);
	fclose(file);
}

/* Says a line of @n characters with its newline; returns what came. */
static void say_line(struct stderr_text *t, int n)
{
	char line[1024];

	memset(line, 'x', sizeof(line));
	assert_true(stderr_begin(t));
	stele_say("%.*s\n", n - 1, line);
	stderr_end(t);
}

static void long_message_still_ends_its_line(void **state)
{
	struct stderr_text t;

	(void)state;
	say_line(&t, STELE_SAY_MAX);
	assert_int_equal(t.len, STELE_SAY_MAX);
	assert_string_equal(t.text + t.len - 3, "xx\n");
	say_line(&t, STELE_SAY_MAX + 1);
	assert_int_equal(t.len, STELE_SAY_MAX);
	assert_string_equal(t.text + t.len - 5, "x...\n");
	say_line(&t, 1000);
	assert_int_equal(t.len, STELE_SAY_MAX);
	assert_string_equal(t.text + t.len - 5, "x...\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_print_as_printf_prints_them),
		cmocka_unit_test(width_and_flags_line_columns_up),
		cmocka_unit_test(string_with_precision_needs_no_nul),
		cmocka_unit_test(null_pointers_are_printed_not_followed),
		cmocka_unit_test(unknown_conversion_is_shown_and_ends_the_format),
		cmocka_unit_test(huge_width_ends_at_the_buffer),
		cmocka_unit_test(appending_goes_on_where_it_ended),
		cmocka_unit_test(say_is_one_write_and_keeps_errno),
		cmocka_unit_test(say_keeps_errno_when_stderr_is_closed),
		cmocka_unit_test(long_message_still_ends_its_line),
		/* Last: it keeps a text for good. */
		cmocka_unit_test(text_at_exit_survives_a_program_that_closed_stderr),
		cmocka_unit_test(no_text_goes_into_a_file_that_took_the_kept_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
