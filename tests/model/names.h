/* SPDX-License-Identifier: MIT */
/*
 * tests/model/names.h - sync/names.h without a system below it
 *
 * Idea      sync/names.c, with parts that lie here instead of mappings.
 * Broken    NAMES_STORE  the place of a thread that is gone is freed by a store: the name that another
 *                        thread has entered there meanwhile is lost
 *           NAMES_ADD    a part is added by a store: that of another thread is lost, with its names
 */
#ifndef STELE_TESTS_MODEL_NAMES_H
#define STELE_TESTS_MODEL_NAMES_H

#ifndef NAMES_MORE
#define NAMES_MORE 2u
#endif
#include "sync/names.h"

#define MODEL_PARTS 4u

static struct names_part model_parts[MODEL_PARTS];
static _Atomic unsigned model_parts_used;

#ifdef BROKEN_NAMES_STORE
static bool model_bury(struct names *names)
{
	_Atomic uint64_t *place;
	bool any = false;

	for (unsigned i = 0; names->is_gone && (place = names_at(names, i)); i++) {
		uint64_t seen = load_relaxed(place);

		if ((uint32_t)seen && !names->is_gone((uint32_t)seen))
			continue;
		STELE_POINT("model:gone");
		store_release(place, name_free_word(seen));
		any = true;
	}
	return any;
}
#else
static bool model_bury(struct names *names)
{
	return names_bury(names);
}
#endif

static void model_add(struct names *names, struct names_part *part)
{
#ifdef BROKEN_NAMES_ADD
	store_release(&names->more, part);
#else
	names_add(names, part);
#endif
}

/* As sync/names.c. */
bool stele_names_room(struct names *names)
{
	unsigned part;

	if (model_bury(names))
		return true;
	part = add_relaxed(&model_parts_used, 1);
	model_assert(part < MODEL_PARTS);
	model_add(names, &model_parts[part]);
	return true;
}

/* Nobody is inside. */
static inline void model_names_reset(struct names *names)
{
	store_relaxed(&names->more, NULL);
	for (unsigned i = 0; i < NAMES_PLACES; i++)
		store_relaxed(&names->place[i], 0);
	for (unsigned part = 0; part < MODEL_PARTS; part++) {
		store_relaxed(&model_parts[part].more, NULL);
		for (unsigned i = 0; i < NAMES_MORE; i++)
			store_relaxed(&model_parts[part].place[i], 0);
	}
	store_relaxed(&model_parts_used, 0);
}

#endif
