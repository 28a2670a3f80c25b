/* SPDX-License-Identifier: MIT */
/*
 * bench/bench.c - clock, memory figures and output of the measuring programs
 *
 * Peak RSS  ru_maxrss is useless for a child that was spawned with vfork semantics: exec carries
 *           the spawner's own peak over. VmHWM belongs to the new address space alone, but lags by
 *           up to 32 pages per CPU and kind; the present Rss of smaps_rollup is exact. The larger
 *           of the two is right for small and for large processes.
 * Context   No call here allocates before the figures are taken.
 */
#include "bench.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void bench_print(const char *format, ...)
{
	char line[4096];
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (length < 0 || (size_t)length >= sizeof(line) ||
	    write(STDOUT_FILENO, line, (size_t)length) != length)
		_exit(2);
}

_Noreturn void bench_die(const char *what)
{
	dprintf(STDERR_FILENO, "bench: %s: %s\n", what, strerror(errno));
	_exit(2);
}

uint64_t bench_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The number behind @key in a file of "Key:   123 kB" lines. */
static size_t kib_of(const char *path, const char *key)
{
	char text[8192];
	ssize_t length;
	char *found;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		bench_die(path);
	length = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (length <= 0)
		bench_die(path);
	text[length] = 0;
	found = strstr(text, key);
	if (!found)
		bench_die(key);
	return strtoul(found + strlen(key), NULL, 10);
}

size_t bench_rss_kib(void)
{
	return kib_of("/proc/self/smaps_rollup", "\nRss:");
}

size_t bench_peak_kib(void)
{
	size_t now = bench_rss_kib();
	size_t peak = kib_of("/proc/self/status", "\nVmHWM:");

	return peak > now ? peak : now;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_median(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), compare_doubles);
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

unsigned long bench_number(const char *text)
{
	char *end;
	unsigned long number;

	errno = 0;
	number = strtoul(text, &end, 10);
	if (errno || end == text || *end) {
		errno = EINVAL;
		bench_die(text);
	}
	return number;
}

/* The object malloc was bound to: the driver checks that it is the one it asked for. */
static const char *malloc_home(void)
{
	void *address = dlsym(RTLD_DEFAULT, "malloc");
	Dl_info info;

	if (!address || !dladdr(address, &info) || !info.dli_fname)
		bench_die("dladdr(malloc)");
	return info.dli_fname;
}

double bench_faults = -1;

void bench_run(const struct bench_measure *measure, unsigned long batches)
{
	double values[BENCH_MAX_BATCHES], faults[BENCH_MAX_BATCHES];
	size_t peak;

	if (!batches || batches > BENCH_MAX_BATCHES) {
		errno = ERANGE;
		bench_die("number of batches");
	}
	measure->batch();
	for (unsigned long i = 0; i < batches; i++) {
		values[i] = measure->batch();
		faults[i] = bench_faults;
	}
	peak = bench_peak_kib();
	bench_print("{\"measure\":\"%s\",\"value\":%.4f,\"faults\":%.4f,\"rss_kib\":%zu,"
		    "\"home\":\"%s\"}\n",
		    measure->name, bench_median(values, batches), bench_median(faults, batches),
		    peak, malloc_home());
}
