/* SPDX-License-Identifier: MIT */
/*
 * Tests of os/os.c: memory appears, goes back and moves as promised; refusals are return
 * values; errno is nobody's business.
 */
#include "os/os.h"

#include "../../real_time.h"
#include "../unit.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MIB (1ul << 20)
#define NOT_OURS 4711 /* an errno that no call of ours leaves */

static void purged_pages_read_as_zero_and_their_neighbours_do_not(void **state)
{
	size_t page = stele_os_page_size();
	char *p = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_true(p != MAP_FAILED);
	memset(p, 0xaa, MIB);
	assert_int_equal(stele_os_purge(p + page, 2 * page), 0);
	assert_true(all_bytes(p, page, 0xaa));
	assert_true(all_bytes(p + page, 2 * page, 0));
	assert_true(all_bytes(p + 3 * page, MIB - 3 * page, 0xaa));
	munmap(p, MIB);
}

static void a_refused_purge_is_a_return_value(void **state)
{
	(void)state;
	errno = NOT_OURS;
	assert_int_equal(stele_os_purge((void *)1, 4096), -EINVAL);
	assert_int_equal(errno, NOT_OURS);
}

static void the_system_has_what_it_says(void **state)
{
	uint64_t ram = stele_os_ram_bytes();

	(void)state;
	assert_int_equal(stele_os_page_size(), sysconf(_SC_PAGESIZE));
	assert_true(stele_os_cpus_possible() >= (unsigned)sysconf(_SC_NPROCESSORS_CONF));
	assert_true(stele_os_cpus_possible() <= 4096);
	assert_true(ram >= (uint64_t)sysconf(_SC_PHYS_PAGES) * stele_os_page_size());
}

/* In a child, so that the limit does not stay. A sanitizer may have mapped more than it is. */
static int limit_as_child(void)
{
	struct rlimit limit = { 1ul << 40, 1ul << 40 };
	char text[128];
	size_t used, expected, left;

	if (setrlimit(RLIMIT_AS, &limit) != 0)
		return 1;
	if (stele_os_read_file("/proc/self/statm", text, sizeof(text)) <= 0)
		return 2;
	used = strtoul(text, NULL, 10) * stele_os_page_size();
	expected = limit.rlim_cur > used ? limit.rlim_cur - used : 0;
	left = stele_os_address_limit();
	return left > expected + 16 * MIB || left + 16 * MIB < expected ? 3 : 0;
}

static void the_address_limit_is_the_room_that_is_left(void **state)
{
	struct rlimit limit;
	int status;
	pid_t child;

	(void)state;
	getrlimit(RLIMIT_AS, &limit);
	if (limit.rlim_cur == RLIM_INFINITY)
		assert_int_equal(stele_os_address_limit(), SIZE_MAX);
	child = fork();
	if (child == 0)
		_exit(limit_as_child());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void a_file_is_read_as_far_as_there_is_room(void **state)
{
	char small[5], large[4096];

	(void)state;
	errno = NOT_OURS;
	assert_int_equal(stele_os_read_file("/dev/zero", small, sizeof(small)), 4);
	assert_int_equal(stele_os_read_file("/dev/null", large, sizeof(large)), 0);
	assert_string_equal(large, "");
	large[0] = 'x';
	assert_int_equal(stele_os_read_file("/no/such/file", large, sizeof(large)), -ENOENT);
	assert_string_equal(large, "");
	assert_int_equal(stele_os_read_file("/", large, sizeof(large)), -EISDIR);
	assert_int_equal(errno, NOT_OURS);
}

static _Atomic uint32_t door;
static _Atomic uint32_t through;

static void *wait_at_door(void *arg)
{
	while (load_acquire(&door) == 0)
		stele_os_futex_wait(&door, 0);
	atomic_fetch_add(&through, 1);
	return arg;
}

static void a_sleeper_is_woken(void **state)
{
	pthread_t thread[2];

	(void)state;
	errno = NOT_OURS;
	stele_os_futex_wait(&door, 1); /* another value: returns at once */
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, wait_at_door, NULL), 0);
	usleep(20000);
	assert_int_equal(load_acquire(&through), 0);
	store_release(&door, 1);
	stele_os_futex_wake(&door, 2);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(load_acquire(&through), 2);
	assert_int_equal(errno, NOT_OURS);
}

static void the_barrier_works_once_registered(void **state)
{
	(void)state;
	errno = NOT_OURS;
	assert_int_equal(stele_os_membarrier_register(), 0);
	assert_int_equal(stele_os_membarrier(), 0);
	assert_int_equal(errno, NOT_OURS);
}

static void a_second_rseq_area_is_refused(void **state)
{
	static char area[32] __attribute__((aligned(32)));
	int error;

	(void)state;
	errno = NOT_OURS;
	error = stele_os_rseq_register(area + 1, 0);
	assert_true(error < 0);
	assert_int_equal(errno, NOT_OURS);
}

static void sleep_until_signal(void *arg)
{
	struct timespec long_time = { 5, 0 };

	*(int *)arg = nanosleep(&long_time, NULL) == -1 ? errno : 0;
}

static void handler_of_the_program(int number)
{
	(void)number;
}

static void the_test_signal_comes_and_the_program_keeps_its_handler(void **state)
{
	struct sigaction action = { .sa_handler = handler_of_the_program }, after;
	sigset_t blocked, mask;
	int woken = -1;

	(void)state;
	sigaction(SIGURG, &action, NULL);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGURG);
	pthread_sigmask(SIG_BLOCK, &blocked, NULL);
	errno = NOT_OURS;
	assert_int_equal(stele_os_with_signal(5000000, sleep_until_signal, &woken), 0);
	assert_int_equal(errno, NOT_OURS);
	assert_int_equal(woken, EINTR);
	sigaction(SIGURG, NULL, &after);
	assert_true(after.sa_handler == handler_of_the_program);
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	assert_true(sigismember(&mask, SIGURG));
}

static void *note_priority(void *arg)
{
	*(int *)arg = stele_os_priority();
	return NULL;
}

static void the_priority_is_the_real_time_one(void **state)
{
	pthread_t thread;
	int priority = -1;

	(void)state;
	assert_int_equal(stele_os_priority(), 0);
	if (create_scheduled(&thread, SCHED_FIFO, 7, note_priority, &priority) != 0)
		fail_msg("SCHED_FIFO is refused here: nothing can be shown");
	pthread_join(thread, NULL);
	assert_int_equal(priority, 7);
}

static void *see_first_thread_end(void *first)
{
	time_t end = time(NULL) + 20;

	while (stele_os_thread_lives((uint32_t)(uintptr_t)first) && time(NULL) < end)
		sched_yield();
	_exit(time(NULL) < end ? 0 : 1);
}

/* It is a zombie for as long as the others live. */
static void the_first_thread_of_a_process_ends_like_others(void **state)
{
	pthread_t thread;
	int status;
	pid_t child = fork();

	(void)state;
	if (child == 0) {
		void *me = (void *)(uintptr_t)stele_os_thread();

		if (!stele_os_thread_lives(stele_os_thread()) ||
		    pthread_create(&thread, NULL, see_first_thread_end, me) != 0)
			_exit(2);
		syscall(SYS_exit, 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static const struct CMUnitTest everywhere[] = {
	cmocka_unit_test(purged_pages_read_as_zero_and_their_neighbours_do_not),
	cmocka_unit_test(a_refused_purge_is_a_return_value),
	cmocka_unit_test(the_system_has_what_it_says),
	cmocka_unit_test(a_file_is_read_as_far_as_there_is_room),
	cmocka_unit_test(a_sleeper_is_woken),
	cmocka_unit_test(a_second_rseq_area_is_refused),
};

/* Calls that an emulator does not do as a kernel does. */
static const struct CMUnitTest on_a_kernel[] = {
	cmocka_unit_test(the_address_limit_is_the_room_that_is_left),
	cmocka_unit_test(the_barrier_works_once_registered),
	cmocka_unit_test(the_test_signal_comes_and_the_program_keeps_its_handler),
	cmocka_unit_test(the_priority_is_the_real_time_one),
	cmocka_unit_test(the_first_thread_of_a_process_ends_like_others),
};

int main(void)
{
	int failed = cmocka_run_group_tests(everywhere, NULL, NULL);

	if (!STELE_TEST_EMULATED)
		failed += cmocka_run_group_tests(on_a_kernel, NULL, NULL);
	return failed;
}
