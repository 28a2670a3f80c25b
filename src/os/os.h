/* SPDX-License-Identifier: MIT */
/*
 * os/os.h - what Stele asks of the operating system
 *
 * Idea      One function per need, none of which allocates, uses stdio or changes
 *           errno. A refusal (seccomp, limits, an old kernel) is a return value.
 * Context   any, unless a function says otherwise.
 */
#ifndef STELE_OS_OS_H
#define STELE_OS_OS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

/* Gives the pages back; they read as zero afterwards. Page aligned. 0 or -errno. */
int stele_os_purge(void *p, size_t size);
/* Whether half of the pages in the middle of [p, p+size) are resident. True where the system does not tell. */
bool stele_os_is_resident(const char *p, size_t size);

/* Whether the eight bytes at @p can be read. */
bool stele_os_is_readable(const void *p);

size_t stele_os_page_size(void);
unsigned stele_os_cpus_possible(void); /* at least 1, at most 4096 */
#define STELE_OS_CPUS 4096u	       /* bits of a mask of processors, in words of 64 */
/* Those in a file such as /sys/devices/system/cpu/online. False: it cannot be read, or lists
 * none. */
bool stele_os_cpus_of_file(const char *path, uint64_t mask[]);
/* Those that some thread of this process may run on. False: the system does not tell. Ordinary
 * threads. */
bool stele_os_cpus_allowed(uint64_t mask[]);
/* Lets this thread run where the others may, as far as they are told. Ordinary threads. */
void stele_os_run_with_others(void);
uint64_t stele_os_ram_bytes(void); /* RAM plus swap; 0 when unknown */
/* Whether the system promises more memory than it has: the number in vm.overcommit_memory, or 0
 * when it is unknown. */
#define STELE_OS_OVERCOMMIT_ALWAYS 1
unsigned stele_os_overcommit(void);
bool stele_os_space_is_limited(void); /* by RLIMIT_AS or RLIMIT_DATA */
size_t stele_os_address_limit(void);  /* RLIMIT_AS minus what is mapped now; SIZE_MAX if none */

/*
 * Reads the list of numbers in a file, such as "0-3,8", and sets their bits in @mask. Numbers
 * beyond its @words words are left out. Returns how many numbers were read, or -errno.
 */
int stele_os_read_list(const char *path, uint64_t *mask, unsigned words);

void stele_os_close(int fd);

/* Where the call is that returns to @code: "FILE+0xOFFSET", as addr2line(1) takes it, or the bare
 * address. Returns @text. */
#define STELE_OS_PLACE_SIZE 56
const char *stele_os_place(const void *code, char text[STELE_OS_PLACE_SIZE]);
/* stele_say() of a line without its newline: the place of the call ends it. @site may be NULL. */
void stele_say_site(const void *site, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* STELE_WARN_ONCE() (base/fmt.h) of such a line. @site is evaluated only where the line is said. */
#define STELE_WARN_SITE_ONCE(site, ...)                                                            \
	do {                                                                                       \
		static atomic_flag said = ATOMIC_FLAG_INIT;                                        \
                                                                                                   \
		if (!stele_is_quiet() &&                                                           \
		    !atomic_flag_test_and_set_explicit(&said, memory_order_relaxed))               \
			stele_say_site(site, __VA_ARGS__);                                         \
	} while (0)

/* Reads a small file; returns its length or -errno; the buffer is NUL-terminated. */
ssize_t stele_os_read_file(const char *path, char *buf, size_t size);

/* The kernel's number of this thread. */
uint32_t stele_os_thread(void);

/* Whether a thread of this process has that number now, and has not ended. */
bool stele_os_thread_lives(uint32_t thread);

/* This thread's token, never 0: no other thread has had it or will have it. */
uint64_t stele_os_token(void);
/* The child of vfork() shares its parent's thread-local variables. The first call gives the child a
 * token of its own. When the parent runs again, the second call sets its token to @before. */
void stele_os_token_of_child(void);
void stele_os_token_back(uint64_t before);
bool stele_os_in_vfork_child(void);
extern _Atomic uint64_t stele_os_tokens __attribute__((visibility("hidden")));
extern _Atomic uint32_t stele_os_processes __attribute__((visibility("hidden")));

/* The number of this process among its ancestors, never 0: a child has another one. */
uint32_t stele_os_process(void);
/* {process:32, @number:32}: a word in which the child of a fork sees that it is not its own. */
static inline uint64_t stele_os_own(uint32_t number)
{
	return (uint64_t)stele_os_process() << 32 | number;
}
/* In the child of a fork that runs handlers: for systems where the number does not show it. */
void stele_os_process_forked(void);

/* Holds back every signal that is sent to this thread, the C library's own included, until the
 * second function lets them in again. A signal that an instruction raises itself is not held
 * back. */
uint64_t stele_os_signals_hold(void);
void stele_os_signals_release(uint64_t held);
/* The other way about: lets this one signal in until stele_os_signals_release(). */
uint64_t stele_os_signal_open(int signal);

/* A futex whose word names its holder, which inherits the priority of its waiters. 0 or -errno:
 * -ETIMEDOUT after about @ms, by a clock that may be set. */
int stele_os_futex_lock(_Atomic uint32_t *word, unsigned ms);
/* Never waits. -ESRCH: the holder is gone. */
int stele_os_futex_trylock(_Atomic uint32_t *word);
int stele_os_futex_unlock(_Atomic uint32_t *word);
/* Whether that thread, of any process, has ended. False where the kernel cannot tell. */
bool stele_os_thread_is_gone(uint32_t thread);
void stele_os_futex_wait(_Atomic uint32_t *word, uint32_t value);
/* Waits that many milliseconds at most. */
void stele_os_futex_wait_ms(_Atomic uint32_t *word, uint32_t value, unsigned ms);
void stele_os_futex_wake(_Atomic uint32_t *word, int count);
/* Until @until of CLOCK_MONOTONIC; NULL: for ever. False: it is late. */
bool stele_os_futex_wait_until(_Atomic uint32_t *word, uint32_t value,
			       const struct timespec *until);
int stele_os_priority(void); /* of the calling thread among real-time ones, 1 to 100; else 0 */
/* CLOCK_MONOTONIC in milliseconds, as of the last tick: without a system call where it can be. */
uint64_t stele_os_ms(void);
/* CLOCK_REALTIME. */
struct timespec stele_os_wall_clock(void);
/* CLOCK_MONOTONIC, as stele_os_futex_wait_until() takes it. */
struct timespec stele_os_now(void);
/* The caller's process, as kill() takes it. */
int stele_os_pid(void);
/* Stops this process, as SIGSTOP does, until somebody lets it go on. */
void stele_os_stop(void);
/* To a descriptor that was inherited. A text that the system refuses is lost. */
void stele_os_write(int fd, const char *text, size_t n);
void stele_os_yield(void);
void stele_os_nap(void); /* a millisecond or so; for the control path */

/* membarrier: register for aborting sequences; then abort all that are in flight. 0 or -errno. */
int stele_os_membarrier_register(void);
int stele_os_membarrier(void);

/* Registers @area (32 bytes, aligned 32) for this thread. 0 or -errno. */
int stele_os_rseq_register(void *area, uint32_t signature);
/* Ends a registration, our own or another library's. */
int stele_os_rseq_unregister(void *area, uint32_t signature);

/* Runs @body(arg) while a timer delivers one signal to this thread after @nanoseconds.
 * 0 when the timer was armed, -errno when it cannot be had. Start-up only. */
int stele_os_with_signal(long nanoseconds, void (*body)(void *), void *arg);

#endif
