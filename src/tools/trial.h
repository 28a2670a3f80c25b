/* SPDX-License-Identifier: MIT */
/*
 * tools/trial.h - one run of a program in which one allocation fails (trial.c)
 */
#ifndef STELE_TOOLS_TRIAL_H
#define STELE_TOOLS_TRIAL_H

#include "tools/place.h"
#include "tools/tools.h"

struct stele_trial {
	/* Asked for. */
	const struct stele_launch *launch;
	char **argv;
	unsigned nth;	  /* the allocation that fails; 0: none */
	unsigned seconds; /* after which the run is a hang */
	bool output;	  /* the program's own output is shown */
	bool stack;	  /* print the stack of the failed allocation */

	/* Found. */
	bool reached; /* the allocation was made, and failed */
	bool hung;
	int status; /* as waitpid() tells it */
	size_t bytes;
	char cache[64];
	struct stele_place place; /* of the call; without a file: not known */
};

/* False after a message: the program could not be started. */
bool stele_trial_run(struct stele_trial *trial);

#endif
