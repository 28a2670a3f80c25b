/* SPDX-License-Identifier: MIT */
/*
 * base/fmt.h - text without malloc and stdio
 *
 * Idea      an allocator that must speak cannot use printf: it may allocate, lock, or have been
 *           interrupted half-way by the very call that now reports. So: a buffer, a length, and
 *           functions that append.
 * Warnings  A caller's mistake in a loop must not drown its program in text, so a warning appears once
 *           per process and place. The kernel calls this WARN_ON_ONCE.
 * Context   any, a signal handler included. No memory but the caller's, no lock, errno kept.
 * Failure   a text that does not fit is cut; it always ends in NUL (when size is not 0).
 * Tests     tests/unit/base/test_fmt.c
 */
#ifndef STELE_BASE_FMT_H
#define STELE_BASE_FMT_H

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Invariant when size > 0: len < size and buf[len] == 0. One thread's own. */
struct stele_out {
	char *buf;
	size_t size; /* of buf, fixed at start */
	size_t len;  /* characters stored, without the NUL */
};

/* Longest text stele_say() writes; longer ones end in "...\n". */
#define STELE_SAY_MAX 222

void stele_out_init(struct stele_out *o, char *buf, size_t size);
void stele_out_chars(struct stele_out *o, const char *s, size_t n);
void stele_out_str(struct stele_out *o, const char *s);
void stele_out_u64(struct stele_out *o, uint64_t v);
void stele_out_i64(struct stele_out *o, int64_t v);
void stele_out_hex(struct stele_out *o, uint64_t v);
void stele_out_ptr(struct stele_out *o, const void *p);

/**
 * stele_fmt - append formatted text
 * @o:   where to
 * @fmt: %s %c %d %i %u %x %p %%, with flags '-' and '0', a width, the lengths l ll z j t, and for
 *       %s a precision ("%.5s", "%.*s"). From the first other conversion on, the format is copied
 *       as it stands: where the following arguments are cannot be known any more.
 *
 * A NULL string prints "(null)", a pointer "0x" and hexadecimal digits, NULL as "0x0".
 */
void stele_fmt(struct stele_out *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void stele_vfmt(struct stele_out *o, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));

/* The end of a noun after the number @n. */
static inline const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

/**
 * stele_say - one message on standard error
 * @fmt: as stele_fmt(); prefix "stele: " and the newline are the caller's
 *
 * One write(2), so that messages of several threads do not mix within a line. A message
 * longer than STELE_SAY_MAX is cut and ends in "...\n". A write that fails is not
 * reported: there is nowhere to report it.
 */
void stele_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The same of text that is there already, in a buffer of STELE_SAY_MAX + 2 bytes. */
void stele_say_out(struct stele_out *o);

/**
 * stele_say_keep - keep a way to standard error for what is said at exit
 *
 * Many programs (all of the GNU core utilities) close their standard error in an exit
 * handler, which runs before a library's. This call makes a duplicate. When descriptor 2 is
 * closed, stele_say() writes to the duplicate, if its number still stands for the same file. It
 * costs one descriptor, so only for a user who asked for output at exit; where none is free,
 * nothing changes. Call before the second thread.
 */
void stele_say_keep(void);

/* ---- warnings ---- */

/* The option quiet (options.c). */
bool stele_is_quiet(void);

#define STELE_WARN_ONCE(...)                                                                       \
	do {                                                                                       \
		static atomic_flag said = ATOMIC_FLAG_INIT;                                        \
                                                                                                   \
		if (!stele_is_quiet() &&                                                           \
		    !atomic_flag_test_and_set_explicit(&said, memory_order_relaxed))               \
			stele_say(__VA_ARGS__);                                                    \
	} while (0)

#endif
