/* SPDX-License-Identifier: MIT */
/*
 * examples/crash_report.c - a crash report that may use malloc
 *
 * Shows     a SIGSEGV handler that builds its text with malloc() and realloc() as ordinary code
 *           would, although the crash may have happened inside malloc() or free() themselves.
 *           Elsewhere such a handler hangs, or crashes again, just when it is needed.
 * Build     cc -g crash_report.c -o crash_report -pthread $(pkg-config --cflags --libs stele)
 * Use       stele run -- ./crash_report            follows a wild pointer after a while
 *           stele run -- ./crash_report anywhere   gets its signal from outside, at any moment
 *           (stele run puts the drop-in malloc under the program; LD_PRELOAD does the same.)
 * Output    the report on standard error; then the process dies of the signal, as it should.
 * Words     snprintf() with these formats takes no lock and no memory in the C libraries of Linux,
 *           though no standard says so.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define REQUESTS 1000
#define ROUNDS_UNTIL_CRASH 200000

/* What the program works on; the report tells about it. */
struct request {
	unsigned long number;
	char text[];
};

static _Atomic(struct request *) requests[REQUESTS];

/* ---- the report ---- */

struct report {
	char *text;
	size_t length, size;
};

static void report_add(struct report *report, const char *format, ...)
{
	char line[200];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (n < 0)
		return;
	n = n < (int)sizeof(line) ? n : (int)sizeof(line) - 1;
	if (report->length + (size_t)n > report->size) {
		size_t size = 2 * report->size + (size_t)n;
		char *larger = realloc(report->text, size);

		if (!larger)
			return;
		report->text = larger;
		report->size = size;
	}
	memcpy(report->text + report->length, line, (size_t)n);
	report->length += (size_t)n;
}

/* A copy of each request, sorted by number: the handler takes the memory it needs. */
static int by_number(const void *a, const void *b)
{
	const struct request *x = *(struct request *const *)a, *y = *(struct request *const *)b;

	return (x->number > y->number) - (x->number < y->number);
}

static void report_requests(struct report *report)
{
	struct request **alive = malloc(REQUESTS * sizeof(*alive));
	unsigned n = 0;

	for (int i = 0; alive && i < REQUESTS; i++) {
		struct request *request = atomic_exchange(&requests[i], NULL);

		if (request)
			alive[n++] = request;
	}
	if (n)
		qsort(alive, n, sizeof(*alive), by_number);
	report_add(report, "%u requests alive\n", n);
	for (unsigned i = 0; i < n; i++)
		report_add(report, "  request %lu: %s\n", alive[i]->number, alive[i]->text);
	free(alive);
}

static void on_crash(int signal, siginfo_t *info, void *context)
{
	struct report report = { NULL, 0, 0 };
	size_t done = 0;

	(void)context;
	report_add(&report, "==== crash report ====\n");
	report_add(&report, "signal %d, %s %p\n", signal,
		   info->si_code > 0 ? "address" : "sent; address", info->si_addr);
	report_requests(&report);
	report_add(&report, "==== end, %zu bytes ====\n", report.length);
	while (done < report.length) {
		ssize_t n = write(STDERR_FILENO, report.text + done, report.length - done);

		if (n <= 0)
			break;
		done += (size_t)n;
	}
	free(report.text);
	raise(signal); /* SA_RESETHAND: now it kills */
}

/* ---- the program ---- */

static void handle_request(unsigned long number)
{
	size_t length = 10 + number * 7 % 50;
	struct request *request = malloc(sizeof(*request) + length);

	if (!request)
		exit(1);
	request->number = number;
	memset(request->text, 'a' + (int)(number % 26), length - 1);
	request->text[length - 1] = 0;
	free(atomic_exchange(&requests[number * 31 % REQUESTS], request));
}

static void *kill_soon(void *arg)
{
	struct timespec nap = { 0, 20000000 };

	nanosleep(&nap, NULL);
	pthread_kill(*(pthread_t *)arg, SIGSEGV);
	return NULL;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_sigaction = on_crash,
				    .sa_flags = (int)(SA_SIGINFO | SA_RESETHAND) };
	int anywhere = argc > 1 && strcmp(argv[1], "anywhere") == 0;
	pthread_t self = pthread_self(), killer;
	volatile int *wild = NULL;

	sigaction(SIGSEGV, &action, NULL);
	if (anywhere && pthread_create(&killer, NULL, kill_soon, &self) != 0)
		return 1;
	for (unsigned long number = 1;; number++) {
		handle_request(number);
		if (!anywhere && number == ROUNDS_UNTIL_CRASH)
			*wild = 1;
	}
}
