/* SPDX-License-Identifier: MIT */
/*
 * rcu/rcu.h - what the files of this folder share
 */
#ifndef STELE_RCU_RCU_H
#define STELE_RCU_RCU_H

#include "sync/grace.h"
#include <stele/rcu.h>

/* ---- runner.c ---- */
/* Sees to it that a thread runs the rounds of @g. 0 or -errno. Ordinary threads. */
int stele_runner_start(struct stele_grace *g);

/* ---- wait.c ---- */
/* Too much waits: waits as well, if that can end. @patient: until it is less, however long. */
void stele_runner_hold_back(struct stele_grace *g, bool patient);
/* A grace period, in this thread. 0 or -errno. */
int stele_runner_synchronize(struct stele_grace *g);
/* All that was put into the queue before is done, or all of the cache @own, if not NULL. 0 or -errno:
 * it cannot be had. */
int stele_runner_barrier(struct stele_grace *g, const struct kmem_cache *own);

/* ---- door.c ---- */
/* The same for the calls: this floor is then open to those below. */
int stele_rcu_serve(struct stele_grace *g);

/* ---- flavors.c ---- */
/* Says, once, that the process has no flavour of readers. */
void stele_rcu_say_no_flavor(void);

/* ---- done.c ---- */
/* A round calls this for a single object. Returns the bytes that it counted as. 0: it was free
 * already, or is no object; the round then gives up the rest of its list. */
uint64_t stele_rcu_head_done(struct stele_grace_link *link);

#endif
