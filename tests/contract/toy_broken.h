/* SPDX-License-Identifier: MIT */
/*
 * tests/contract/toy_broken.h - controls wait until a broken grace period has ended
 */
#ifndef STELE_TESTS_CONTRACT_TOY_BROKEN_H
#define STELE_TESTS_CONTRACT_TOY_BROKEN_H

#include "../nap.h"
#include "../toy_flavor.h"

/* Where grace periods are broken, one must be seen to end: on a busy machine, some time later. */
static inline void toy_wait_if_broken(void)
{
	uint64_t before = toy_periods;

	for (int i = 0; toy_broken && i < 300 && toy_periods == before; i++)
		nap_ms(10);
}

#endif
