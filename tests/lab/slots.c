/* SPDX-License-Identifier: MIT */
/*
 * tests/lab/slots.c - does the library use what this kernel has?
 *
 * Idea      A kernel says in the auxiliary vector how much of its area for restartable sequences
 *           it fills (since 6.3, when mm_cid was added). A kernel that says nothing has the CPU's
 *           number alone. The library must number slots by mm_cid if the guest's kernel has it,
 *           and not otherwise: else the guest's tests would test another mode than they say.
 * Argument  none: the environment takes nothing away. "no_mm_cid": it takes mm_cid away
 *           (STELE_MM_CID=0). "unregistered": the C library registers no thread, so Stele must.
 *           "often": as without an argument, in many processes one after another. The library
 *           proves at each start that a sequence is aborted, and must not be wrong about it on a
 *           slow CPU.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stele/slab.h>

#include "percpu/system.h"

#ifndef AT_RSEQ_FEATURE_SIZE
#define AT_RSEQ_FEATURE_SIZE 27
#endif
/* The end of the field mm_cid. */
#define WITH_MM_CID 28
#define STARTS 25

/* With several memory nodes slots are CPU numbers, so that each has a node. */
static bool nodes(void)
{
	return access("/sys/devices/system/node/node1", F_OK) == 0;
}

static int start_once(const char *without)
{
	unsigned long features = getauxval(AT_RSEQ_FEATURE_SIZE);
	bool mm_cid = features >= WITH_MM_CID && strcmp(without, "no_mm_cid") != 0 && !nodes();
	const struct stele_system *system = stele_system();
	void *p = kmalloc(100, GFP_KERNEL);

	kfree(p);
	printf("the kernel fills %lu bytes; mode %d (%s), own registration %d, %u slots\n",
	       features, system->mode, system->why ? system->why : "", system->own_registration,
	       system->slots);
	if (!p || system->mode != (mm_cid ? STELE_MODE_MM_CID : STELE_MODE_CPU_ID))
		return 1;
	return system->own_registration != (strcmp(without, "unregistered") == 0);
}

/* Returns how many of these starts went wrong. */
static int start_often(char **argv)
{
	int wrong = 0;

	for (int i = 0; i < STARTS; i++) {
		int status = -1;
		pid_t child = fork();

		if (child == 0) {
			dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
			argv[1] = NULL;
			execv("/proc/self/exe", argv);
			_exit(127);
		}
		wrong += waitpid(child, &status, 0) != child || status != 0;
	}
	printf("%d of %d starts chose something else\n", wrong, STARTS);
	return wrong;
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";

	return strcmp(how, "often") == 0 ? start_often(argv) != 0 : start_once(how);
}
