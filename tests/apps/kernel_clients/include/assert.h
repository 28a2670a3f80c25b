/* SPDX-License-Identifier: MIT */
/*
 * assert.h - an assertion of the kernel's test programs is counted before it stops anything
 *
 * Their checks, when they fail, end in assert(0): adapter.c says what follows from that.
 * As the standard's own header, it may be included again after NDEBUG has changed.
 */
#undef assert

void adapter_assertion(const char *what, const char *file, int line, const char *function);
#define assert(x) ((x) ? (void)0 : adapter_assertion(#x, __FILE__, __LINE__, __func__))
