/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/any_context/vfork_shadow.c - vfork() where return addresses are kept a second time
 *
 * Idea      A shadow stack (CET of x86) is shared by the child of vfork() and its parent. This
 *           program follows both, instruction by instruction, from the call of vfork() until each
 *           is back, and keeps the shadow stack itself: a call pushes, a `ret` must find its
 *           address on top. The child must come back with the address of its call still there, for
 *           its next calls would overwrite it. The parent comes back by a `ret`, which takes it
 *           off.
 * Control   "ret": the same for a vfork() whose child returns by `ret`. It must be found.
 * Runs      with the drop-in preloaded. x86-64.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEPTH 64
#define STEPS 200000

/* The bare call, back by `ret` in both. */
extern pid_t vfork_by_ret(void);
__asm__(".text\n"
	"vfork_by_ret:\n\t"
	"popq %rdx\n\t"
	"movl $58, %eax\n\t"
	"syscall\n\t"
	"pushq %rdx\n\t"
	"ret\n");

static void must(bool so, const char *what)
{
	if (so)
		return;
	fprintf(stderr, "not so: %s (errno %d)\n", what, errno);
	_exit(2);
}

/* ---- what is followed ---- */

static __attribute__((noinline)) void child_and_parent(pid_t (*make)(void))
{
	pid_t pid;

	raise(SIGSTOP);
	pid = make();
	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
}

/* ---- the follower ---- */

struct shadow {
	uint64_t address[DEPTH];
	int depth;
};

static uint64_t peek(pid_t pid, uint64_t address)
{
	return (uint64_t)ptrace(PTRACE_PEEKDATA, pid, (void *)address, NULL);
}

enum kind { OTHER, CALL, RET };

static enum kind kind_of(uint64_t code)
{
	const unsigned char *byte = (const unsigned char *)&code;

	while (*byte == 0x3e || *byte == 0xf2 || *byte == 0xf3 || (*byte & 0xf0) == 0x40)
		byte++;
	if (byte[0] == 0xe8 || (byte[0] == 0xff && (byte[1] >> 3 & 7) == 2))
		return CALL;
	return byte[0] == 0xc3 || byte[0] == 0xc2 ? RET : OTHER;
}

/* A signal that comes instead, as of a child that ended, is dropped. */
static bool step(pid_t pid)
{
	int status;

	do {
		if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) != 0 ||
		    waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status))
			return false;
	} while (WSTOPSIG(status) != SIGTRAP);
	return true;
}

/* Steps once. False: a `ret` found another address on top, or none. */
static bool follow(pid_t pid, struct shadow *shadow)
{
	struct user_regs_struct before, after;
	enum kind kind;

	must(ptrace(PTRACE_GETREGS, pid, NULL, &before) == 0, "registers");
	kind = kind_of(peek(pid, before.rip));
	must(step(pid), "a step");
	must(ptrace(PTRACE_GETREGS, pid, NULL, &after) == 0, "registers");
	if (kind == CALL) {
		must(shadow->depth < DEPTH, "room on the shadow stack");
		shadow->address[shadow->depth++] = peek(pid, after.rsp);
	} else if (kind == RET) {
		return shadow->depth > 0 && shadow->address[--shadow->depth] == after.rip;
	}
	return true;
}

/* Finds the next call instruction of @pid, from its present place on, that leads to @to. The shadow
 * stack is empty there. */
static void step_into(pid_t pid, uint64_t to, struct shadow *shadow)
{
	struct user_regs_struct regs;

	for (int i = 0; i < STEPS; i++) {
		must(ptrace(PTRACE_GETREGS, pid, NULL, &regs) == 0, "registers");
		if (regs.rip == to) {
			shadow->depth = 1;
			shadow->address[0] = peek(pid, regs.rsp);
			return;
		}
		must(step(pid), "a step");
	}
	must(false, "vfork() is called");
}

/* Until the call is over. */
static bool follow_back(pid_t pid, struct shadow *shadow, uint64_t back)
{
	struct user_regs_struct regs;

	for (int i = 0; i < STEPS; i++) {
		must(ptrace(PTRACE_GETREGS, pid, NULL, &regs) == 0, "registers");
		if (regs.rip == back)
			return true;
		if (!follow(pid, shadow))
			return false;
	}
	must(false, "the call comes back");
	return false;
}

/* Steps to the system call that makes the child, and returns the child, stopped. */
static pid_t follow_until_child(pid_t pid, struct shadow *shadow)
{
	unsigned long child = 0;
	int status;

	for (int i = 0; i < STEPS; i++) {
		if ((peek(pid,
			  (uint64_t)ptrace(PTRACE_PEEKUSER, pid,
					   (void *)offsetof(struct user_regs_struct, rip), NULL)) &
		     0xffff) != 0x050f) {
			must(follow(pid, shadow), "calls before the child are paired");
			continue;
		}
		must(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0 &&
			     waitpid(pid, &status, __WALL) == pid,
		     "a system call");
		if (status >> 8 != (SIGTRAP | PTRACE_EVENT_VFORK << 8))
			continue;
		must(ptrace(PTRACE_GETEVENTMSG, pid, NULL, &child) == 0, "the child's number");
		must(waitpid((pid_t)child, &status, __WALL) == (pid_t)child, "a child");
		return (pid_t)child;
	}
	must(false, "a child is made");
	return 0;
}

static int follow_both(pid_t pid, uint64_t to)
{
	struct shadow shadow, of_child;
	uint64_t back;
	int status;
	pid_t child;

	must(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status), "it stops");
	must(ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACEVFORK | PTRACE_O_EXITKILL) == 0,
	     "options");
	step_into(pid, to, &shadow);
	back = shadow.address[0];
	child = follow_until_child(pid, &shadow);
	of_child = shadow;
	if (!follow_back(child, &of_child, back) || of_child.depth != 1)
		return 1; /* the parent's address is off, or overwritten by the next call */
	must(ptrace(PTRACE_CONT, child, NULL, NULL) == 0, "the child goes on");
	must(waitpid(child, &status, __WALL) == child && WIFEXITED(status), "the child ends");
	must(follow_back(pid, &shadow, back), "the parent's returns are paired");
	must(shadow.depth == 0, "the parent comes back by a return");
	kill(pid, SIGKILL);
	return 0;
}

int main(int argc, char **argv)
{
	pid_t (*make)(void) = argc > 1 && !strcmp(argv[1], "ret") ? vfork_by_ret : vfork;
	pid_t pid;

	alarm(60);
	pid = fork();
	if (pid == 0) {
		must(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0, "it is traced");
		child_and_parent(make);
		_exit(0);
	}
	return follow_both(pid, (uint64_t)(uintptr_t)make);
}
