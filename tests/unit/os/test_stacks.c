/* SPDX-License-Identifier: MIT */
/*
 * Tests of os/stack.c: callers with frame pointers are found, and wild ones are not followed.
 */
#include "os/stack.h"

#include "../unit.h"

#include <sys/mman.h>
#include <ucontext.h>

/* Clang keeps the frame pointer in functions that take their frame's address. */
#ifdef __clang__
#define FRAMES __attribute__((noinline, disable_tail_calls))
#else
#define FRAMES                                                                                     \
	__attribute__((noinline, noclone,                                                          \
		       optimize("no-omit-frame-pointer", "no-optimize-sibling-calls")))
#endif
#define KEEP_FRAME() ((void)*(void *volatile *)&(void *){ __builtin_frame_address(0) })
#define STAY() __asm__ volatile("" ::: "memory")

static uintptr_t stack[STELE_STACK_MAX];
static unsigned found;

FRAMES static void innermost(unsigned most)
{
	KEEP_FRAME();
	found = stele_os_stack(__builtin_return_address(0), stack, most);
	STAY();
}

FRAMES static void middle(unsigned most)
{
	KEEP_FRAME();
	innermost(most);
	STAY();
}

FRAMES static void outer(unsigned most)
{
	KEEP_FRAME();
	middle(most);
	STAY();
}

static bool lies_in(uintptr_t code, void (*function)(unsigned))
{
	return code > (uintptr_t)function && code < (uintptr_t)function + 200;
}

static void callers_are_found_the_nearest_first(void **state)
{
	(void)state;
	outer(STELE_STACK_MAX);
	assert_true(found >= 2);
	assert_true(lies_in(stack[0], middle));
	assert_true(lies_in(stack[1], outer));
}

static void a_stack_has_no_more_callers_than_asked_for(void **state)
{
	(void)state;
	outer(1);
	assert_int_equal(found, 1);
	assert_true(lies_in(stack[0], middle));
	outer(2);
	assert_int_equal(found, 2);
}

/* Words that look like frames lead nowhere, or to the end of the mapping. */
static void wild_words_on_the_stack_do_no_harm(void **state)
{
	volatile uintptr_t wild[64];

	(void)state;
	for (unsigned i = 0; i < 64; i++)
		wild[i] = i % 3 ? (uintptr_t)&wild[i] + 4096ul * i : ~0ul - 7;
	outer(STELE_STACK_MAX);
	assert_true(found >= 1 && wild[0] == ~0ul - 7);
	assert_true(stele_os_stack((void *)1, stack, STELE_STACK_MAX) >= 1);
	assert_int_equal(stack[0], 1);
}

/* ---- stacks that a program switches to ---- */

#define ROOM (64ul << 10)

static ucontext_t before, other;
static char *room;

static void walk(void)
{
	stele_os_stack((void *)1, stack, STELE_STACK_MAX);
}

/* Walks where the upper half of the room begins. */
static void walk_in_the_middle(void)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0), middle = (uintptr_t)room + ROOM / 2;
	volatile char *below = __builtin_alloca(here - middle + 256);

	below[0] = 0;
	walk();
}

static void on_stack(size_t bytes, void (*function)(void))
{
	assert_int_equal(getcontext(&other), 0);
	other.uc_stack.ss_sp = room;
	other.uc_stack.ss_size = bytes;
	other.uc_link = &before;
	makecontext(&other, function, 0);
	assert_int_equal(swapcontext(&before, &other), 0);
}

static void a_shorter_stack_may_have_a_guard_where_a_longer_one_was(void **state)
{
	(void)state;
	room = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(room, MAP_FAILED);
	on_stack(ROOM, walk_in_the_middle);
	assert_int_equal(mprotect(room + ROOM / 2, ROOM / 2, PROT_NONE), 0);
	on_stack(ROOM / 2, walk);
	assert_int_equal(stack[0], 1);
	munmap(room, ROOM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(callers_are_found_the_nearest_first),
		cmocka_unit_test(a_stack_has_no_more_callers_than_asked_for),
		cmocka_unit_test(wild_words_on_the_stack_do_no_harm),
		cmocka_unit_test(a_shorter_stack_may_have_a_guard_where_a_longer_one_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
