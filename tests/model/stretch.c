/* SPDX-License-Identifier: MIT */
/*
 * tests/model/stretch.c - sync/stretch.h: enlarged by several, and by one that stops in the middle
 *
 * Idea      The kernel is a few lines here: one mapping with an end, enlarged by a step that either
 *           finds the end where the caller thinks it is, or tells how far it reaches. Threads ask for
 *           more and use what they have; some leave right after the system call, and tell nobody.
 *           Nobody is refused what there is room for.
 * Scenes    BOTH    two ask for the same
 *           LEFT    one leaves in the middle, another asks for as much
 *           MORE    one leaves in the middle, another asks for more
 * Broken    STRETCH_SAY   the order relaxed: a race for the new mapping (TSan)
 *           STRETCH_ASK   nobody asks how far the mapping reaches: refused
 */
#define STELE_OS_MAP_H /* this file is the system */
#include <stdbool.h>
#include <stddef.h>
#define STELE_MAP_UNIT 65536ul

#ifdef BROKEN_STRETCH_SAY
#define ORDER_STRETCH_SAY memory_order_relaxed
#endif
enum { SCENE_NONE, SCENE_BOTH, SCENE_LEFT, SCENE_MORE, SCENES };
#define MODEL_SCENES SCENES
#include "model.h"
#include <errno.h>

static int stele_os_map_apart(void *p, size_t size);
static int stele_os_extend(void *p, size_t old, size_t size);
static bool stele_os_is_one_mapping(void *p, size_t size);
#include "sync/stretch.h"

#define UNITS 6u

static pthread_mutex_t kernel = PTHREAD_MUTEX_INITIALIZER;
static size_t end;	     /* of the mapping, in units */
static int fresh[UNITS + 1]; /* written by the thread that maps */
static struct stele_stretch stretch;

static int extend_locked(size_t old, size_t size)
{
	if (end < old)
		return -EFAULT;
	if (end > old || size > UNITS)
		return -ENOMEM;
	for (; end < size; end++)
		fresh[end] = 1;
	return 0;
}

static int extend(size_t old, size_t size)
{
	int error;

	pthread_mutex_lock(&kernel);
	error = extend_locked(old, size);
	pthread_mutex_unlock(&kernel);
	return error;
}

static int stele_os_extend(void *p, size_t old, size_t size)
{
	(void)p;
	return extend(old / STELE_MAP_UNIT, size / STELE_MAP_UNIT);
}

static bool stele_os_is_one_mapping(void *p, size_t size)
{
	(void)p, (void)size;
#ifdef BROKEN_STRETCH_ASK
	return false;
#else
	return extend(size / STELE_MAP_UNIT, UNITS + 1) == -ENOMEM;
#endif
}

/* Always too late: mremap() is to be had. */
static int stele_os_map_apart(void *p, size_t size)
{
	(void)p, (void)size;
	return -EEXIST;
}

static void ask(size_t units)
{
	model_assert(stretch_reach(&stretch, units * STELE_MAP_UNIT, units * STELE_MAP_UNIT) == 0);
	model_assert(fresh[units - 1] == 1);
}

static void leave(size_t units)
{
	stele_os_extend(stretch.start, load_acquire(&stretch.mapped), units * STELE_MAP_UNIT);
}

static void model_thread(int me)
{
	switch (model_scene) {
	case SCENE_BOTH:
		if (me != 3)
			ask(2);
		break;
	case SCENE_LEFT:
	case SCENE_MORE:
		if (me == 1)
			leave(2);
		else if (me == 2)
			ask(model_scene == SCENE_LEFT ? 2 : 3);
		break;
	default:
		for (size_t units = 2; units <= UNITS; units++) {
			if (model_chance(4))
				leave(units);
			else
				ask(units);
		}
	}
}

static void model_setup(void)
{
	for (size_t i = 0; i < UNITS; i++)
		fresh[i] = i == 0;
	end = 1;
	stretch.room = UNITS * STELE_MAP_UNIT;
	store_relaxed(&stretch.mapped, STELE_MAP_UNIT);
}

static void model_check(void)
{
	model_assert(load_relaxed(&stretch.mapped) <= end * STELE_MAP_UNIT);
}
