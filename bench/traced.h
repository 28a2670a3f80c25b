/* SPDX-License-Identifier: MIT */
/*
 * bench/traced.h - start a program under ptrace
 */
#ifndef STELE_BENCH_TRACED_H
#define STELE_BENCH_TRACED_H

#include <stdint.h>
#include <sys/types.h>

/* Puts @preload into the environment ("-" leaves it clean). */
void preload(const char *library);

/* Starts argv[0] as a traced child; it is stopped at its first instruction, and its exit will
 * stop it once more while its memory is still there. */
pid_t traced_start(char **argv);

/* Waits for the next stop and returns the wait status. */
int traced_wait(pid_t child);

/* 1 when @status is the stop before the exit. */
int traced_at_exit(int status);

/* Where the child's rseq_cs lives, 0 when it has no restartable sequences. */
uintptr_t traced_rseq_cs(pid_t child);

/* Before each step, or a sequence would be aborted at every one (count_insns.c). */
void traced_forget_sequence(pid_t child, uintptr_t rseq_cs);

#endif
