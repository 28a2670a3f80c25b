/* SPDX-License-Identifier: MIT */
/*
 * tests/nap.h - a thread sleeps for some milliseconds
 */
#ifndef STELE_TESTS_NAP_H
#define STELE_TESTS_NAP_H

#include <time.h>

static inline void nap_ms(long ms)
{
	const struct timespec nap = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&nap, NULL);
}

#endif
