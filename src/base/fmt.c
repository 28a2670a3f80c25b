/* SPDX-License-Identifier: MIT */
/*
 * base/fmt.c - text without malloc and stdio
 *
 * Idea      every conversion becomes a piece (sign or prefix, digits, padding) and every piece goes
 *           through stele_out_chars(), the only function that writes to the buffer.
 * Context   any; see fmt.h. The largest frame is that of stele_say(), below 512 bytes.
 * Tests     tests/unit/base/test_fmt.c
 */
#include "base/fmt.h"

#include "arch/call.h"
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIGITS_MAX 20 /* of a 64-bit number in base 10, the longer of our two bases */

/* One conversion between '%' and its letter. */
struct spec {
	bool left;
	bool zero;
	size_t width;
	size_t precision; /* SIZE_MAX: none */
	bool wide;	  /* the integer argument has 64 bits, not 32 */
};

void stele_out_init(struct stele_out *o, char *buf, size_t size)
{
	o->buf = buf;
	o->size = size;
	o->len = 0;
	if (size)
		buf[0] = 0;
}

void stele_out_chars(struct stele_out *o, const char *s, size_t n)
{
	if (o->size == 0)
		return;
	size_t room = o->size - 1 - o->len;
	if (n > room)
		n = room;
	memcpy(o->buf + o->len, s, n);
	o->len += n;
	o->buf[o->len] = 0;
}

void stele_out_str(struct stele_out *o, const char *s)
{
	if (!s)
		s = "(null)";
	stele_out_chars(o, s, strlen(s));
}

/* Fills @digits from its end; returns the index where the number starts. */
static size_t digits_of(char digits[DIGITS_MAX], uint64_t v, unsigned int base)
{
	size_t i = DIGITS_MAX;

	do {
		digits[--i] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	return i;
}

static void pad(struct stele_out *o, char c, size_t n)
{
	/* A width beyond the buffer must not loop beyond it. */
	for (; n && o->size && o->len < o->size - 1; n--)
		stele_out_chars(o, &c, 1);
}

/* @prefix is a sign or "0x": it stands before zeros, behind spaces. */
static void put_piece(struct stele_out *o, const struct spec *sp, const char *prefix, const char *s,
		      size_t n)
{
	size_t all = strlen(prefix) + n;
	size_t fill = sp->width > all ? sp->width - all : 0;
	bool zeros = sp->zero && !sp->left;

	if (!sp->left && !zeros)
		pad(o, ' ', fill);
	stele_out_chars(o, prefix, strlen(prefix));
	if (zeros)
		pad(o, '0', fill);
	stele_out_chars(o, s, n);
	if (sp->left)
		pad(o, ' ', fill);
}

static void put_number(struct stele_out *o, const struct spec *sp, const char *prefix, uint64_t v,
		       unsigned int base)
{
	char digits[DIGITS_MAX];
	size_t start = digits_of(digits, v, base);

	put_piece(o, sp, prefix, digits + start, DIGITS_MAX - start);
}

static void put_signed(struct stele_out *o, const struct spec *sp, int64_t v)
{
	/* Negate as unsigned: -INT64_MIN is not a signed number. */
	if (v < 0)
		put_number(o, sp, "-", 0 - (uint64_t)v, 10);
	else
		put_number(o, sp, "", (uint64_t)v, 10);
}

static void put_string(struct stele_out *o, const struct spec *sp, const char *s)
{
	if (!s)
		s = "(null)";
	put_piece(o, sp, "", s, strnlen(s, sp->precision));
}

static const struct spec plain = { .precision = SIZE_MAX };

void stele_out_u64(struct stele_out *o, uint64_t v)
{
	put_number(o, &plain, "", v, 10);
}

void stele_out_i64(struct stele_out *o, int64_t v)
{
	put_signed(o, &plain, v);
}

void stele_out_hex(struct stele_out *o, uint64_t v)
{
	put_number(o, &plain, "0x", v, 16);
}

void stele_out_ptr(struct stele_out *o, const void *p)
{
	stele_out_hex(o, (uintptr_t)p);
}

static const char *scan_number(const char *f, size_t *n)
{
	for (*n = 0; *f >= '0' && *f <= '9'; f++)
		*n = *n * 10 + (size_t)(*f - '0');
	return f;
}

/* l, ll, z, t and j are all the same to us. */
_Static_assert(sizeof(long) == 8 && sizeof(size_t) == 8, "64-bit systems only");

static const char *scan_flags(const char *f, struct spec *sp)
{
	for (;; f++) {
		if (*f == '-')
			sp->left = true;
		else if (*f == '0')
			sp->zero = true;
		else
			return f;
	}
}

/* va_list by address, so that what is taken here is taken for the caller too. */
static const char *scan_spec(const char *f, struct spec *sp, va_list *ap)
{
	int given;

	f = scan_number(scan_flags(f, sp), &sp->width);
	if (*f == '.' && f[1] == '*') {
		given = va_arg(*ap, int);
		sp->precision = given < 0 ? SIZE_MAX : (size_t)given;
		f += 2;
	} else if (*f == '.') {
		f = scan_number(f + 1, &sp->precision);
	}
	for (; *f == 'l' || *f == 'z' || *f == 't' || *f == 'j'; f++)
		sp->wide = true;
	return f;
}

static uint64_t take_unsigned(const struct spec *sp, va_list *ap)
{
	return sp->wide ? va_arg(*ap, uint64_t) : va_arg(*ap, unsigned int);
}

static int64_t take_signed(const struct spec *sp, va_list *ap)
{
	return sp->wide ? va_arg(*ap, int64_t) : va_arg(*ap, int);
}

/* False: a conversion we do not know, nothing was taken. */
static bool put_conversion(struct stele_out *o, char letter, const struct spec *sp, va_list *ap)
{
	char c;

	switch (letter) {
	case 's':
		put_string(o, sp, va_arg(*ap, const char *));
		return true;
	case 'c':
		c = (char)va_arg(*ap, int);
		put_piece(o, sp, "", &c, 1);
		return true;
	case 'd':
	case 'i':
		put_signed(o, sp, take_signed(sp, ap));
		return true;
	case 'u':
		put_number(o, sp, "", take_unsigned(sp, ap), 10);
		return true;
	case 'x':
		put_number(o, sp, "", take_unsigned(sp, ap), 16);
		return true;
	case 'p':
		put_number(o, sp, "0x", (uintptr_t)va_arg(*ap, void *), 16);
		return true;
	case '%':
		stele_out_chars(o, "%", 1);
		return true;
	default:
		return false;
	}
}

static void format(struct stele_out *o, const char *fmt, va_list *ap)
{
	for (;;) {
		size_t n = strcspn(fmt, "%");
		struct spec sp = plain;
		const char *f;

		stele_out_chars(o, fmt, n);
		fmt += n;
		if (!*fmt)
			return;
		f = scan_spec(fmt + 1, &sp, ap);
		if (!put_conversion(o, *f, &sp, ap)) {
			stele_out_str(o, fmt);
			return;
		}
		fmt = f + 1;
	}
}

void stele_vfmt(struct stele_out *o, const char *fmt, va_list ap)
{
	va_list mine; /* a va_list parameter may be a pointer in disguise: its address is no va_list * */

	va_copy(mine, ap);
	format(o, fmt, &mine);
	va_end(mine);
}

void stele_fmt(struct stele_out *o, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	format(o, fmt, &ap);
	va_end(ap);
}

/* Out of the way of programs that expect the lowest numbers; then anything that is free. */
#define KEPT_FD_MIN 200
#define KEPT_FD_ANY 10

/* A duplicate of standard error, or -1, and the file it was. Written once, before the second thread. */
static int kept_fd = -1;
static struct stat kept_file;

void stele_say_keep(void)
{
	if (kept_fd < 0)
		kept_fd =
			(int)STELE_SYSCALL(SYS_fcntl, STDERR_FILENO, F_DUPFD_CLOEXEC, KEPT_FD_MIN);
	if (kept_fd < 0)
		kept_fd =
			(int)STELE_SYSCALL(SYS_fcntl, STDERR_FILENO, F_DUPFD_CLOEXEC, KEPT_FD_ANY);
	if (kept_fd >= 0)
		STELE_SYSCALL(SYS_fstat, kept_fd, &kept_file);
}

/* By the system call: the C library's write() ends a thread that was cancelled. */
static bool try_write(int fd, const struct stele_out *o)
{
	long n;

	do
		n = STELE_SYSCALL(SYS_write, fd, o->buf, o->len);
	while (n == -EINTR);
	return n != -EBADF;
}

/* A daemon closes every descriptor, and a file that it opens then may get this number. The look
 * misses another thread that does so at this very moment. */
static __attribute__((noinline)) bool is_kept(void)
{
	struct stat now;

	return kept_fd >= 0 && STELE_SYSCALL(SYS_fstat, kept_fd, &now) == 0 &&
	       now.st_dev == kept_file.st_dev && now.st_ino == kept_file.st_ino &&
	       now.st_rdev == kept_file.st_rdev && now.st_mode == kept_file.st_mode;
}

/* The buffer has room for one character more than a message. A text that fills it is cut. */
static void mark_long(struct stele_out *o)
{
	if (o->len <= STELE_SAY_MAX)
		return;
	o->len = STELE_SAY_MAX - 4;
	stele_out_str(o, "...\n");
}

void stele_say_out(struct stele_out *o)
{
	mark_long(o);
	if (!try_write(STDERR_FILENO, o) && is_kept())
		(void)try_write(kept_fd, o);
}

void stele_say(const char *fmt, ...)
{
	char buf[STELE_SAY_MAX + 2]; /* one character more than fits, to see that it was cut */
	struct stele_out o;
	va_list ap;

	stele_out_init(&o, buf, sizeof(buf));
	va_start(ap, fmt);
	format(&o, fmt, &ap);
	va_end(ap);
	stele_say_out(&o);
}
