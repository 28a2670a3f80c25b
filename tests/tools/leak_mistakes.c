/* SPDX-License-Identifier: MIT */
/*
 * tests/tools/leak_mistakes.c MODE - programs that lose memory, and others that do not
 *
 * Modes     none     loses nothing; ends with 5
 *           small    loses four blocks of 100 bytes and one of 20; ends with 5
 *           large    loses a block of 300,000 bytes
 *           both     small, then large
 *           deaf     closes standard error when it ends, and loses as small does
 *           parent   runs itself as small, and loses nothing
 *           refused  the system does not let it read memory by process_vm_readv(); loses as small does
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct node {
	struct node *next;
	char text[40];
};

static struct node *kept;
static void *volatile last;

static void keep_some(void)
{
	for (int i = 0; i < 50; i++) {
		struct node *node = malloc(sizeof(*node));

		node->next = kept;
		kept = node;
	}
}

static void lose_small(void)
{
	for (int i = 0; i < 4; i++)
		last = malloc(100);
	last = malloc(20);
	last = NULL;
}

static void lose_large(void)
{
	last = malloc(300000);
	last = NULL;
}

/* As it is written over, a word of the calls before is not found any more. */
static void clear_stack(void)
{
	volatile char words[16384];

	for (size_t i = 0; i < sizeof(words); i++)
		words[i] = 0;
}

static void close_error(void)
{
	fclose(stderr);
}

static void refuse_reading(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, 2, &program))
		exit(77);
}

static void run_another(const char *program)
{
	char *argv[] = { (char *)program, "small", NULL };
	pid_t pid;
	int status;

	if (posix_spawn(&pid, program, NULL, NULL, argv, environ) ||
	    waitpid(pid, &status, 0) != pid)
		exit(77);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "none";

	keep_some();
	printf("written late\n");
	if (strcmp(mode, "parent") == 0)
		run_another(argv[0]);
	else if (strcmp(mode, "none") != 0 && strcmp(mode, "large") != 0)
		lose_small();
	if (strcmp(mode, "large") == 0 || strcmp(mode, "both") == 0)
		lose_large();
	if (strcmp(mode, "deaf") == 0)
		atexit(close_error);
	if (strcmp(mode, "refused") == 0)
		refuse_reading();
	clear_stack();
	return 5;
}
