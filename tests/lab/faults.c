/* SPDX-License-Identifier: MIT */
/*
 * tests/lab/faults.c - what a test can do wrong in a guest, for the check that it is seen
 *
 * Argument  pass; or exit, signal, chatter (on standard error), hang, each of which must be told as
 *           "not ok"; or panic and halt, after which the guest says nothing more.
 */
#include "machine.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/reboot.h>

int main(int argc, char **argv)
{
	const char *fault = argc > 1 ? argv[1] : "none";

	if (strcmp(fault, "exit") == 0)
		return 1;
	if (strcmp(fault, "signal") == 0)
		raise(SIGSEGV);
	if (strcmp(fault, "chatter") == 0)
		fprintf(stderr, "something is odd\n");
	if (strcmp(fault, "hang") == 0)
		pause();
	if (strcmp(fault, "panic") == 0)
		write_file("/proc/sysrq-trigger", "c");
	if (strcmp(fault, "halt") == 0)
		reboot(RB_HALT_SYSTEM);
	return 0;
}
