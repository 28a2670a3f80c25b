/* SPDX-License-Identifier: MIT */
/*
 * base/warn.h - a message that appears once per process and place
 *
 * Idea      A caller's mistake in a loop must not drown its program in text; the kernel
 *           calls this WARN_ON_ONCE.
 * Context   any: one atomic exchange, then one write(2).
 */
#ifndef STELE_BASE_WARN_H
#define STELE_BASE_WARN_H

#include <stdatomic.h>

#include "base/fmt.h"
#include <stdbool.h>

/* The option quiet (options.c). */
bool stele_is_quiet(void);

#define STELE_WARN_ONCE(...)                                                                       \
	do {                                                                                       \
		static atomic_flag said = ATOMIC_FLAG_INIT;                                        \
                                                                                                   \
		if (!stele_is_quiet() &&                                                            \
		    !atomic_flag_test_and_set_explicit(&said, memory_order_relaxed))               \
			stele_say(__VA_ARGS__);                                                    \
	} while (0)

#endif
