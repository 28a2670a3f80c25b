/* SPDX-License-Identifier: MIT */
/*
 * tests/lab/machine.h - the files through which a kernel is told what its CPUs are to do
 */
#ifndef STELE_TESTS_LAB_MACHINE_H
#define STELE_TESTS_LAB_MACHINE_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* 0 or the error. */
static inline int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), error = 0;

	if (fd < 0)
		return errno;
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		error = errno;
	close(fd);
	return error;
}

/* The first line of a file, or "". */
static inline const char *read_line(const char *path, char *text, int size)
{
	FILE *file = fopen(path, "re");

	if (!file || !fgets(text, size, file))
		text[0] = 0;
	if (file)
		fclose(file);
	text[strcspn(text, "\n")] = 0;
	return text;
}

/* This process becomes the only member of a control group with a cpuset. 0, or the error. */
static inline int enter_group(const char *group)
{
	int error = write_file("/sys/fs/cgroup/cgroup.subtree_control", "+cpuset");
	char path[128], pid[16];

	if (!error && mkdir(group, 0755) != 0 && errno != EEXIST)
		error = errno;
	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	return error ? error : write_file(path, pid);
}

/* 0, or the error: EBUSY when the kernel will not part with it now. */
static inline int set_cpu_online(unsigned cpu, bool online)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%u/online", cpu);
	return write_file(path, online ? "1" : "0");
}

static inline bool is_cpu_online(unsigned cpu)
{
	char path[64], text[8];

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%u/online", cpu);
	return read_line(path, text, sizeof(text))[0] == '1';
}

#endif
