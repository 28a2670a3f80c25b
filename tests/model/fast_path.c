/* SPDX-License-Identifier: MIT */
/*
 * tests/model/fast_path.c - percpu/fast_path.h: the fast paths do not stay open against a reason
 *
 * Idea      The first thread takes a reason away, which was there before. In the end the word
 *           agrees with the area and with the reasons that are left. Runs the shipped code.
 * Scenes    CLOSES  the second thread has another reason, and the third one chooses the area
 *           OPENS   the third one chooses the area
 * Broken    FAST_ONCE   no thread looks again after it has written the word
 *           FAST_AREA   the reasons are looked at again, and the area is not
 *           FAST_SET    the word is read and written relaxed (GenMC; x86 shows it as well, seldom)
 */
#ifdef BROKEN_FAST_SET
#define ORDER_FAST_SET memory_order_relaxed
#endif
#define MODEL_DICE 0
#define MODEL_THREADS 3
enum { SCENE_CLOSES, SCENE_OPENS, SCENES };
#define MODEL_SCENES SCENES
#include "model.h"
#include "percpu/fast_path.h"

enum { BEFORE = 1, NOW = 2 }; /* reasons */
enum { DEAD = 8, FIRST = 16, OWN = 24 };

static struct fast_path path;
static long word;

static void apply(void)
{
#if defined(BROKEN_FAST_ONCE) || defined(BROKEN_FAST_AREA)
	uint32_t closed;
	long area;

	do {
		closed = load_seq(&path.closed);
		area = load_seq(&path.area);
		STELE_POINT("model:looked");
		fast_path_set(&word, closed ? DEAD : area);
#ifdef BROKEN_FAST_ONCE
		break;
#endif
	} while (closed != load_seq(&path.closed));
#else
	fast_path_apply(&path, &word, DEAD);
#endif
}

static void model_thread(int me)
{
	if (me == 2 && model_scene == SCENE_OPENS)
		return;
	STELE_POINT("model:begins");
	if (me == 1)
		fast_path_open(&path, BEFORE);
	else if (me == 2)
		fast_path_close(&path, NOW);
	else
		fast_path_choose(&path, OWN);
	STELE_POINT("model:said");
	apply();
}

static void model_setup(void)
{
	path.area = FIRST;
	path.closed = BEFORE;
	word = DEAD;
}

static void model_check(void)
{
	model_assert(path.area == OWN);
	model_assert(path.closed == (model_scene == SCENE_CLOSES ? NOW : 0));
	model_assert(word == (path.closed ? DEAD : OWN));
}
