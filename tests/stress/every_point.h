/* SPDX-License-Identifier: MIT */
/*
 * tests/stress/every_point.h - TABLE: where each named point is reached, and why some are not
 *
 * Idea      The library tells its points (sync/atomic.h). A point is in no row when an ordinary
 *           thread passes it at its ordinary work. Other points need a scene of their own
 *           (every_scene.h), or calls of one kind. The row of a point that no thread passes here, or
 *           in the fallback, has the reason. If a thread does pass the point there, the test fails.
 * Ways      those that the scene has: a thread of the library holds all signals back, so nothing
 *           makes it jump or exit there.
 */
#ifndef STELE_TESTS_STRESS_EVERY_POINT_H
#define STELE_TESTS_STRESS_EVERY_POINT_H

#include "every_kind.h"
#include "stress.h"

#include "../leaving.h"

enum scene_number {
	ORDINARY,
	FIRST_USE,
	FIRST_RUNNER,
	RUNNER,
	NO_THREADS,
	STUCK_RUNNER,
	REPLACED_RUNNER,
	FORKS,
	COLD_SLOTS,
	CHECKED,
	LOOKED_AT,
	NOTED,
	CROWD,
	STEPPED,
	LINE_HELD,
	LINE_LEFT,
	SCENES,
	BY_SEQUENCE_ONLY = SCENES, /* nowhere in the fallback */
	NOWHERE
};

#define ALL_WAYS 15u
#define STAYS (1u << LEAVING_STALLS | 1u << LEAVING_DIES)

struct row {
	const char *point;
	unsigned scene, ways;
	const char *why;
	unsigned kind; /* of most of the victim's calls; 0: as the scene says */
};

#define ALL_THAT(point, scene)                                                                     \
	{                                                                                          \
		point, scene, ALL_WAYS, NULL, 0                                                    \
	}
#define BY_CALLS(point, kind)                                                                      \
	{                                                                                          \
		point, ORDINARY, ALL_WAYS, NULL, kind                                              \
	}
#define ITS_THREAD(point)                                                                          \
	{                                                                                          \
		point, RUNNER, STAYS, NULL, 0                                                      \
	}
#define EACH_ROUND(point) ITS_THREAD(point), ALL_THAT(point, NO_THREADS)

static const struct row rows[] = {
	ALL_THAT("heap:starting", FIRST_USE),
	ALL_THAT("permanent:area", FIRST_USE),
	ALL_THAT("stretch:mapped", FIRST_USE),
	/* the runner's own */
	ITS_THREAD("grace:asleep"),
	ITS_THREAD("grace:gathering"),
	EACH_ROUND("grace:begun"),
	EACH_ROUND("grace:take"),
	EACH_ROUND("runner:begins"),
	EACH_ROUND("runner:taken"),
	EACH_ROUND("runner:busy"),
	EACH_ROUND("runner:syncing"),
	EACH_ROUND("runner:calls"),
	EACH_ROUND("runner:ends"),
	EACH_ROUND("runner:ended"),
	EACH_ROUND("rcu:sheaf-done"),
	EACH_ROUND("rcu:slab-done"),
	ITS_THREAD("runner:readers-left"),
	{ "runner:adopts", REPLACED_RUNNER, STAYS, NULL, 0 },
	ALL_THAT("runner:replaced", STUCK_RUNNER),
	{ "runner:pauses", FORKS, STAYS, NULL, 0 },
	/* others */
	BY_CALLS("runner:forks", FORK),
	BY_CALLS("mempool:part", POOL_LIVES),
	BY_CALLS("mempool:limit", RESIZE),
	BY_CALLS("dead:in-hand", SWEEP),
	BY_CALLS("rows:grabbed", HUGE),
	BY_CALLS("open:hint", HUGE),
	BY_CALLS("resting:detached", LARGE),
	BY_CALLS("resting:room", LARGE),
	BY_CALLS("decay:crossed", TIDE),
	BY_CALLS("decay:over", TIDE),
	BY_CALLS("later:note", NOLOCK),
	BY_CALLS("later:taken", NOLOCK),
	BY_CALLS("slot:fill", CPUS),
	BY_CALLS("trace:announced", TRACE),
	BY_CALLS("trace:leaves", TRACE),
	BY_CALLS("mempool:waits", POOL_WAIT),
	BY_CALLS("mempool:comes", POOL_WAIT),
	BY_CALLS("mempool:leaves", POOL_WAIT),
	BY_CALLS("mempool:kicked", POOL_WAIT),
	ALL_THAT("runner:became", FIRST_RUNNER),
	ALL_THAT("cpus:looking", COLD_SLOTS),
	ALL_THAT("cpus:cold", COLD_SLOTS),
	ALL_THAT("slot:paused", COLD_SLOTS),
	ALL_THAT("watch:begun", CHECKED),
	ALL_THAT("watch:looks", CHECKED),
	ALL_THAT("large:look", CHECKED),
	ALL_THAT("large:looked", LOOKED_AT),
	ALL_THAT("look:noted", CHECKED),
	ALL_THAT("look:seen", CHECKED),
	ALL_THAT("look:leave", NOTED),
	{ "look:bits-given", NOTED, ALL_WAYS, NULL, VALIDATE },
	ALL_THAT("names:buries", CROWD),
	ALL_THAT("fallback:line", STEPPED),
	ALL_THAT("fallback:pop", STEPPED),
	ALL_THAT("fallback:push", STEPPED),
	ALL_THAT("fallback:cas", STEPPED),
	ALL_THAT("line:waits", LINE_HELD),
	ALL_THAT("line:give-up", LINE_HELD),
	ALL_THAT("line:gone", LINE_LEFT),
	/* nowhere */
	{ "turn:gone", NOWHERE, 0, "the parent of a child of vfork() passes it", 0 },
	/* nowhere, in the fallback */
	{ "slot:paused", BY_SEQUENCE_ONLY, 0, "the fallback locks each line and pauses no slot",
	  0 },
	{ "slot:entry", BY_SEQUENCE_ONLY, 0, "a sequence finds its slot", 0 },
	{ "slot:cas", BY_SEQUENCE_ONLY, 0, "a step by sequence", 0 },
	{ "steal:marked", BY_SEQUENCE_ONLY, 0, "words are marked for sequences alone", 0 },
	{ "steal:finish", BY_SEQUENCE_ONLY, 0, "words are marked for sequences alone", 0 },
	{ "take:marked", BY_SEQUENCE_ONLY, 0, "words are marked for sequences alone", 0 },
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* ---- what the library has ---- */

#define POINTS 200

extern const char __start_stele_points[], __stop_stele_points[];
static const char *points[POINTS];
static unsigned points_count;

static unsigned point_number(const char *name)
{
	unsigned i = 0;

	while (i < points_count && strcmp(points[i], name) != 0)
		i++;
	return i;
}

/* The names lie one after the other, with zeros in between. */
static inline void find_points(void)
{
	for (const char *at = __start_stele_points; at < __stop_stele_points; at += strlen(at) + 1)
		if (*at && point_number(at) == points_count && points_count < POINTS)
			points[points_count++] = at;
}

/* ---- what the table says ---- */

static bool by_lock; /* the mode */

static inline bool is_nowhere(const struct row *row)
{
	return row->scene == NOWHERE || (by_lock && row->scene == BY_SEQUENCE_ONLY);
}

/* Why no thread can pass it, or NULL. */
static inline const char *why_nowhere(const char *point)
{
	for (unsigned i = 0; i < ROWS; i++)
		if (is_nowhere(&rows[i]) && !strcmp(rows[i].point, point))
			return rows[i].why;
	return NULL;
}

/* The calls that reach @point in @scene, or 0. */
static inline unsigned kind_of(const char *point, unsigned scene)
{
	for (unsigned i = 0; i < ROWS; i++)
		if (rows[i].scene == scene && !strcmp(rows[i].point, point))
			return rows[i].kind;
	return 0;
}

/* The ways in which a thread leaves @point in @scene; 0: the point is reached in another scene only. */
static inline unsigned ways_of(const char *point, unsigned scene)
{
	bool elsewhere = why_nowhere(point) != NULL;

	for (unsigned i = 0; i < ROWS && !why_nowhere(point); i++) {
		if (rows[i].scene >= SCENES || strcmp(rows[i].point, point) != 0)
			continue;
		if (rows[i].scene == scene)
			return rows[i].ways;
		elsewhere = true;
	}
	return scene == ORDINARY && !elsewhere ? ALL_WAYS : 0;
}

#endif
