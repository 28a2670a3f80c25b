/* SPDX-License-Identifier: MIT */
/*
 * sync/grace.c - putting things into the queues of sync/grace.h, and waking their runner
 *
 * Context   any: a few atomic operations, and one system call when the runner sleeps.
 * Failure   no runner: things stay where they are until one is started or a thread waits for them
 *           (rcu/runner.c).
 * Tests     tests/model/grace.c  tests/model/sleep.c
 */
#include "sync/grace.h"
#include "base/options.h"
#include "os/os.h"

struct stele_grace stele_graces[STELE_GRACES];
const struct stele_grace_runner *stele_grace_runner;

static _Atomic uint32_t used;

bool stele_grace_used(void)
{
	return load_relaxed(&used);
}

void stele_grace_use(void)
{
	if (!load_relaxed(&used))
		store_relaxed(&used, 1);
}

/* Before the put, so that it never falls below 0. */
static uint64_t count_bytes(struct stele_grace *g, uint64_t bytes)
{
	uint64_t now = add_relaxed(&g->waiting, bytes) + bytes, most = load_relaxed(&g->most);

	while (now > most && !cas_relaxed(&g->most, &most, now))
		;
	return now;
}

static void put(struct stele_grace *g, struct stele_grace_list *list, struct stele_grace_link *link,
		uint64_t bytes)
{
	uint64_t now = count_bytes(g, bytes);

	stele_grace_use();
	grace_put(list, link);
	if (grace_must_wake(g, now >= (uint64_t)stele_opt.rcu_expedite))
		stele_os_futex_wake(&g->asleep, 1);
}

void stele_grace_call(struct stele_grace *g, struct stele_grace_call *call, stele_grace_done *done,
		      uint64_t bytes)
{
	store_relaxed(&call->done, done);
	put(g, &g->calls, &call->link, bytes);
}

void stele_grace_head(struct stele_grace *g, struct stele_grace_link *link, uint64_t bytes)
{
	put(g, &g->heads, link, bytes);
}
