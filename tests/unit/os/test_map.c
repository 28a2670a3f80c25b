/* SPDX-License-Identifier: MIT */
/*
 * Tests of os/map.c: nothing of somebody else's is replaced, a mapping grows and tells its length,
 * a move that is refused leaves both blocks.
 */
#include "os/map.h"
#include "base/options.h"

#include "../unit.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MIB (1ul << 20)

/* @size bytes where nothing is mapped, and nothing on both sides. */
static char *free_place(size_t size)
{
	char *p = stele_os_find_room(size + 8 * MIB);

	assert_non_null(p);
	return (char *)(((uintptr_t)p + 4 * MIB) & ~(MIB - 1));
}

static bool is_mapped(char *p)
{
	unsigned char resident;

	return mincore(p, 1, &resident) == 0;
}

static void a_mapping_is_not_replaced(void **state)
{
	char *p = free_place(MIB);

	(void)state;
	assert_int_equal(stele_os_map(p + 65536, 65536), 0);
	memset(p + 65536, 7, 65536);
	assert_int_equal(stele_os_map(p, MIB), -EEXIST);
	assert_int_equal(stele_os_map_readable(p + 65536, 4096), -EEXIST);
	assert_true(all_bytes(p + 65536, 65536, 7));
	assert_false(is_mapped(p));
	assert_false(is_mapped(p + 2 * 65536));
	assert_int_equal(stele_os_unmap(p, MIB), 0);
	assert_false(is_mapped(p + 65536));
}

static void readable_pages_become_writable(void **state)
{
	char *p = free_place(MIB);

	(void)state;
	assert_int_equal(stele_os_map_readable(p, MIB), 0);
	assert_true(all_bytes(p, MIB, 0));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(stele_os_map_writable(p + 65536, 65536), 0);
		memset(p + 65536, 3, 65536);
	}
	assert_true(all_bytes(p + 2 * 65536, MIB - 2 * 65536, 0));
	stele_os_unmap(p, MIB);
}

static void a_mapping_grows_in_place_and_tells_its_length(void **state)
{
	char *p = free_place(MIB);

	(void)state;
	assert_int_equal(stele_os_map_apart(p, 65536), 0);
	p[0] = 5;
	assert_int_equal(stele_os_extend(p, 65536, 3 * 65536), 0);
	p[3 * 65536 - 1] = 6;
	/* A thread that does not know of it. */
	assert_int_equal(stele_os_extend(p, 65536, 2 * 65536), -ENOMEM);
	assert_true(stele_os_is_one_mapping(p, 2 * 65536));
	assert_false(stele_os_is_one_mapping(p, 4 * 65536));
	assert_int_equal(p[0], 5);
	stele_os_unmap(p, MIB);
}

/* Somebody else's mapping behind one of ours, with such @flags: whether we take it for ours. */
static bool takes_a_neighbour_for_ours(int flags)
{
	char *p = free_place(MIB), *other;
	bool one;

	assert_int_equal(stele_os_map_apart(p, 65536), 0);
	other = mmap(p + 65536, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags,
		     -1, 0);
	assert_ptr_equal(other, p + 65536);
	memset(other, 9, 65536);
	assert_true(stele_os_extend(p, 65536, 2 * 65536) != 0);
	one = stele_os_is_one_mapping(p, 2 * 65536);
	assert_true(all_bytes(other, 65536, 9));
	stele_os_unmap(p, MIB);
	return one;
}

/* qemu-user accepts any advice, and does nothing. */
static bool system_knows_advice(void)
{
	char *p = free_place(MIB);
	int refused;

	assert_int_equal(stele_os_map(p, 65536), 0);
	refused = madvise(p, 65536, 0x7fff);
	stele_os_unmap(p, MIB);
	return refused;
}

static void a_neighbour_ends_the_growth_and_is_no_part_of_it(void **state)
{
	bool before = stele_opt.thp, knows = system_knows_advice();

	(void)state;
	for (int thp = 0; thp < 2; thp++) {
		stele_opt.thp = thp;
		assert_false(takes_a_neighbour_for_ours(0));
		assert_false(takes_a_neighbour_for_ours(MAP_NORESERVE) && knows);
	}
	stele_opt.thp = before;
}

static void a_move_takes_the_pages_along(void **state)
{
	char *from = free_place(MIB), *to;

	(void)state;
	assert_int_equal(stele_os_map(from, MIB), 0);
	memset(from, 0x55, MIB);
	to = free_place(2 * MIB);
	assert_int_equal(stele_os_map(to, 2 * MIB), 0);
	memset(to, 1, 2 * MIB);
	assert_int_equal(stele_os_move(from, MIB, to, 2 * MIB), 0);
	assert_true(all_bytes(to, MIB, 0x55));
	assert_true(all_bytes(to + MIB, MIB, 0));
	assert_false(is_mapped(from));
	assert_true(stele_os_is_one_mapping(to, 2 * MIB));
	stele_os_unmap(to, 2 * MIB + STELE_MAP_UNIT);
}

/* Two mappings at the source, of which the kernel could move one. */
static void a_refused_move_leaves_both(void **state)
{
	char *from = free_place(MIB), *to;

	(void)state;
	assert_int_equal(stele_os_map(from, MIB), 0);
	memset(from, 0x66, MIB);
	assert_int_equal(mprotect(from + MIB / 2, MIB / 2, PROT_READ), 0);
	to = free_place(2 * MIB);
	assert_int_equal(stele_os_map(to, 2 * MIB), 0);
	assert_int_equal(stele_os_move(from, MIB, to, 2 * MIB), -ENOMEM);
	assert_true(all_bytes(from, MIB, 0x66));
	assert_true(all_bytes(to, 2 * MIB, 0));
	memset(to, 1, 2 * MIB);
	stele_os_unmap(from, MIB);
	stele_os_unmap(to, 2 * MIB);
}

/* ---- a kernel without huge pages, and a filter that refuses advice ---- */

/* From now on this thread's madvise() of such @advice fails, of any if it is -1. */
static void refuse_advice(int advice)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)advice, 0, advice < 0 ? 0 : 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	assert_int_equal(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), 0);
}

static void *without_huge_pages(void *wrong)
{
	char *p = free_place(MIB);

	refuse_advice(MADV_NOHUGEPAGE);
	*(bool *)wrong = takes_a_neighbour_for_ours(MAP_NORESERVE);
	/* Our own is told still. */
	*(bool *)wrong |= stele_os_map_apart(p, 65536) != 0 ||
			  stele_os_extend(p, 65536, 2 * 65536) != 0 ||
			  !stele_os_is_one_mapping(p, 2 * 65536);
	stele_os_unmap(p, MIB);
	return NULL;
}

static void *without_advice(void *wrong)
{
	refuse_advice(-1);
	*(bool *)wrong = takes_a_neighbour_for_ours(MAP_NORESERVE);
	return NULL;
}

static bool wrong_in_thread(void *(*work)(void *))
{
	bool wrong = true;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, work, &wrong), 0);
	pthread_join(thread, NULL);
	return wrong;
}

static void a_neighbour_is_told_by_other_means(void **state)
{
	(void)state;
	assert_false(wrong_in_thread(without_huge_pages));
}

/* Last: from now on no mapping tells its length. */
static void nothing_is_told_where_there_are_no_means(void **state)
{
	(void)state;
	assert_false(wrong_in_thread(without_advice));
}

/* ---- a kernel that unmaps the target before it refuses ---- */

struct refused_move {
	char *from, *to;
	_Atomic int listener;
	int result;
};

/* From now on another thread answers this one's mremap(). */
static int listen_to_mremap(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mremap, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -1;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
			    &program);
}

static void *move_that_is_refused(void *arg)
{
	struct refused_move *m = arg;
	int listener = listen_to_mremap();

	m->listener = listener;
	if (listener >= 0)
		m->result = stele_os_move(m->from, MIB, m->to, 2 * MIB);
	return NULL;
}

/* The target is gone, and [to+at, to+at+size) is another's by now, with @prot. */
static int refuse_after_unmapping(struct refused_move *m, size_t at, size_t size, int prot)
{
	struct seccomp_notif asked = { 0 };
	struct seccomp_notif_resp answer = { .error = -ENOMEM };
	pthread_t thread;

	m->listener = 0;
	m->result = 4711;
	assert_int_equal(pthread_create(&thread, NULL, move_that_is_refused, m), 0);
	while (!m->listener)
		usleep(1000);
	assert_true(m->listener > 0);
	assert_int_equal(ioctl(m->listener, SECCOMP_IOCTL_NOTIF_RECV, &asked), 0);
	munmap(m->to, 2 * MIB);
	if (size)
		assert_ptr_equal(mmap(m->to + at, size, prot,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
				 m->to + at);
	answer.id = asked.id;
	assert_int_equal(ioctl(m->listener, SECCOMP_IOCTL_NOTIF_SEND, &answer), 0);
	pthread_join(thread, NULL);
	close(m->listener);
	return m->result;
}

static void a_target_that_another_has_is_not_taken_for_ours(void **state)
{
	static const struct {
		size_t at, size;
		int prot;
	} others[] = {
		{ MIB, 65536, PROT_READ }, { 0, 65536, PROT_READ },
		{ 0, 2 * MIB, PROT_READ }, { 0, 2 * MIB, PROT_READ | PROT_WRITE },
		{ 0, 2 * MIB, PROT_NONE },
	};
	struct refused_move m = { .from = free_place(MIB) };

	(void)state;
	assert_int_equal(stele_os_map(m.from, MIB), 0);
	memset(m.from, 0x77, MIB);
	for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		char *other;

		m.to = free_place(2 * MIB);
		other = m.to + others[i].at;
		assert_int_equal(stele_os_map(m.to, 2 * MIB), 0);
		assert_int_equal(refuse_after_unmapping(&m, others[i].at, others[i].size,
							others[i].prot),
				 STELE_OS_TARGET_LOST);
		assert_true(is_mapped(other));
		if (others[i].prot & PROT_READ)
			assert_true(all_bytes(other, others[i].size, 0));
		assert_true(all_bytes(m.from, MIB, 0x77));
		munmap(m.to, 2 * MIB);
	}
	stele_os_unmap(m.from, MIB);
}

static void a_target_that_nobody_took_is_mapped_again(void **state)
{
	struct refused_move m = { .from = free_place(MIB) };

	(void)state;
	assert_int_equal(stele_os_map(m.from, MIB), 0);
	memset(m.from, 0x77, MIB);
	m.to = free_place(2 * MIB);
	assert_int_equal(stele_os_map(m.to, 2 * MIB), 0);
	assert_int_equal(refuse_after_unmapping(&m, 0, 0, 0), -ENOMEM);
	assert_true(all_bytes(m.to, 2 * MIB, 0));
	assert_true(all_bytes(m.from, MIB, 0x77));
	stele_os_unmap(m.from, MIB);
	stele_os_unmap(m.to, 2 * MIB);
}

struct neighbour {
	char *at;
	_Atomic bool stop;
	_Atomic unsigned made, refused;
};

static void *map_and_unmap(void *arg)
{
	struct neighbour *n = arg;

	while (!n->stop) {
		int error = stele_os_map(n->at, STELE_MAP_UNIT);

		n->refused += error == -EEXIST;
		n->made += !error;
		if (!error)
			stele_os_unmap(n->at, STELE_MAP_UNIT);
	}
	return NULL;
}

/* Another thread that maps the memory behind the target is never told that something is there. */
static void a_refused_move_does_not_touch_the_pages_behind(void **state)
{
	char *from = free_place(MIB), *to;
	struct neighbour n = { 0 };
	pthread_t thread;

	(void)state;
	assert_int_equal(stele_os_map(from, MIB), 0);
	assert_int_equal(mprotect(from + MIB / 2, MIB / 2, PROT_READ), 0);
	to = free_place(4 * MIB);
	assert_int_equal(stele_os_map(to, 2 * MIB), 0);
	n.at = to + 2 * MIB;
	assert_int_equal(pthread_create(&thread, NULL, map_and_unmap, &n), 0);
	for (unsigned moves = 0; moves < 3000 || n.made < 3000; moves++)
		assert_int_equal(stele_os_move(from, MIB, to, 2 * MIB), -ENOMEM);
	n.stop = true;
	pthread_join(thread, NULL);
	assert_int_equal(n.refused, 0);
	stele_os_unmap(from, MIB);
	stele_os_unmap(to, 2 * MIB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mapping_is_not_replaced),
		cmocka_unit_test(readable_pages_become_writable),
		cmocka_unit_test(a_mapping_grows_in_place_and_tells_its_length),
		cmocka_unit_test(a_neighbour_ends_the_growth_and_is_no_part_of_it),
		cmocka_unit_test(a_move_takes_the_pages_along),
		cmocka_unit_test(a_refused_move_leaves_both),
		cmocka_unit_test(a_refused_move_does_not_touch_the_pages_behind),
	};
	/* An emulator has no filters. */
	const struct CMUnitTest native[] = {
		cmocka_unit_test(a_target_that_another_has_is_not_taken_for_ours),
		cmocka_unit_test(a_target_that_nobody_took_is_mapped_again),
		cmocka_unit_test(a_neighbour_is_told_by_other_means),
		cmocka_unit_test(nothing_is_told_where_there_are_no_means),
	};
	int bad = cmocka_run_group_tests(tests, NULL, NULL);

	return bad || STELE_TEST_EMULATED ? bad : cmocka_run_group_tests(native, NULL, NULL);
}
