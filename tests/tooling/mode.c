/* SPDX-License-Identifier: MIT */
/*
 * tests/tooling/mode.c - does a run that asks for restartable sequences really have them?
 *
 * Idea      The whole suite runs with STELE_RSEQ=1 and with STELE_RSEQ=0. Where the first
 *           cannot be had, every test would quietly run the fallback twice; this one fails.
 * Failure   exit 1 and both modes in words.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "percpu/system.h"

static const char *mode_name(int mode)
{
	switch (mode) {
	case STELE_MODE_FALLBACK:
		return "fallback";
	case STELE_MODE_CPU_ID:
		return "rseq by cpu_id";
	case STELE_MODE_MM_CID:
		return "rseq by mm_cid";
	}
	return "no known mode";
}

int main(void)
{
	const char *asked = getenv("STELE_RSEQ");
	const char *mm_cid = getenv("STELE_MM_CID");
	const struct stele_system *system = stele_system();
	int fallback = system->mode == STELE_MODE_FALLBACK;

	printf("STELE_RSEQ=%s, mode: %s (%s)\n", asked ? asked : "", mode_name(system->mode),
	       system->why ? system->why : "");
	if (!asked)
		return 0;
	if (mm_cid && strcmp(mm_cid, "0") == 0)
		return system->mode != STELE_MODE_CPU_ID;
	if (strcmp(asked, "1") == 0)
		return fallback;
	if (strcmp(asked, "0") == 0)
		return !fallback;
	printf("neither 0 nor 1 is asked for\n");
	return 1;
}
