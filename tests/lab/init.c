/* SPDX-License-Identifier: MIT */
/*
 * tests/lab/init.c - the first process of a guest: does what its plan says, tells what came of it
 *
 * Idea      A guest has no other program of its own. The plan is a file in its first file system,
 *           a line for each thing to do, words separated by tabs:
 *               set PATH VALUE
 *               test NAME SECONDS EXPECTED [VARIABLE=VALUE...] PROGRAM [ARGUMENT...]
 *           EXPECTED is pass; quiet: pass, and nothing on standard error; noisy: something there;
 *           fail: an exit status or a signal that is a failure.
 * Says      on the second serial port, because the kernel writes on the first whenever it likes:
 *               plan N
 *               | whatever a test wrote
 *               ok NAME SECONDS        or: not ok NAME SECONDS WHY
 *               done
 *           Where a setting is refused it writes "not ok", which no plan has foreseen.
 * Between   two tests every other process is killed and every CPU brought back, so that none
 *           disturbs the next.
 * Failure   without a plan, or a port, nothing is said; the host counts that as failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "machine.h"

#define WORDS 64
#define OUTPUT "/tmp/output"
#define ERRORS "/tmp/errors"
/* Of what a test wrote, this much is told: its end. */
#define TOLD (32l << 10)
/* Exit statuses of a child in which no program runs. */
#define NOT_STARTED 126

static FILE *port;

/* ---- the file systems ---- */

/* Not over /tmp: the programs may be there. All of the root is memory anyway. */
static void mount_all(void)
{
	static const char *const all[][2] = {
		{ "proc", "/proc" },	 { "sysfs", "/sys" },	   { "devtmpfs", "/dev" },
		{ "tmpfs", "/dev/shm" }, { "devpts", "/dev/pts" }, { "cgroup2", "/sys/fs/cgroup" },
	};

	mkdir("/tmp", 01777);
	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		mkdir(all[i][1], 0755);
		mount(all[i][0], all[i][1], all[i][0], 0, NULL);
	}
}

/* Written as it is: the port would make "\r\n" of "\n". */
static int open_port(void)
{
	int fd = open("/dev/ttyS1", O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct termios raw;

	if (fd < 0 || tcgetattr(fd, &raw) != 0)
		return -1;
	cfmakeraw(&raw);
	if (tcsetattr(fd, TCSANOW, &raw) != 0)
		return -1;
	port = fdopen(fd, "w");
	return port ? 0 : -1;
}

/* ---- time ---- */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The status of @child, or -1 when it still runs after that time. Other children are buried. */
static int wait_for(pid_t child, double seconds)
{
	const struct timespec moment = { .tv_nsec = 50000000 };
	double end = now() + seconds;
	sigset_t chld;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	for (;;) {
		int status = 0;
		pid_t dead = waitpid(-1, &status, WNOHANG);

		if (dead == child)
			return status;
		if (dead > 0)
			continue;
		if (now() > end)
			return -1;
		sigtimedwait(&chld, NULL, &moment);
	}
}

static void kill_all_others(void)
{
	kill(-1, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
}

static void clear_up(void)
{
	kill_all_others();
	for (unsigned cpu = 1; cpu < (unsigned)sysconf(_SC_NPROCESSORS_CONF); cpu++)
		if (!is_cpu_online(cpu))
			set_cpu_online(cpu, true);
}

/* ---- one test ---- */

static int file_for(const char *path)
{
	return open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0600);
}

static void become(char **words)
{
	sigset_t none;

	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(open("/dev/null", O_RDONLY), STDIN_FILENO) < 0 ||
	    dup2(file_for(OUTPUT), STDOUT_FILENO) < 0 || dup2(file_for(ERRORS), STDERR_FILENO) < 0)
		_exit(NOT_STARTED);
	for (; *words && strchr(*words, '=') && **words != '/'; words++)
		putenv(*words);
	if (*words)
		execv(*words, words);
	_exit(NOT_STARTED);
}

/* The end of a file, every line behind "| ". Returns its size. */
static long tell_file(const char *path)
{
	FILE *file = fopen(path, "r");
	bool fresh = true;
	long size;
	int c;

	if (!file)
		return 0;
	fseek(file, 0, SEEK_END);
	size = ftell(file);
	fseek(file, size > TOLD ? size - TOLD : 0, SEEK_SET);
	while ((c = getc(file)) != EOF) {
		if (fresh)
			fputs("| ", port);
		fresh = c == '\n';
		putc(c, port);
	}
	if (!fresh)
		putc('\n', port);
	fclose(file);
	return size;
}

/* Why it is no pass; NULL when it is one. */
static const char *failure(int status)
{
	static char text[64];

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return NULL;
	if (WIFSIGNALED(status))
		snprintf(text, sizeof(text), "signal %d", WTERMSIG(status));
	else
		snprintf(text, sizeof(text), "exit status %d", WEXITSTATUS(status));
	return text;
}

/* Why this is not what was expected; NULL when it is. */
static const char *fault(const char *expected, int status, long errors)
{
	if (status == -1)
		return "was still running when its time was over";
	if (WIFEXITED(status) && WEXITSTATUS(status) >= NOT_STARTED)
		return "could not be started";
	if (strcmp(expected, "fail") == 0)
		return failure(status) ? NULL : "should have failed, and did not";
	if (strcmp(expected, "noisy") == 0)
		return errors ? NULL : "should have said something on standard error";
	if (!failure(status) && errors && strcmp(expected, "quiet") == 0)
		return "wrote on standard error";
	return failure(status);
}

static void verdict(const char *name, double seconds, const char *why)
{
	if (why)
		fprintf(port, "not ok %s %.1f %s\n", name, seconds, why);
	else
		fprintf(port, "ok %s %.1f\n", name, seconds);
	fflush(port);
}

static void run_test(const char *name, const char *seconds, const char *expected, char **words)
{
	double start = now();
	pid_t child;
	int status;
	long errors;

	unlink(OUTPUT);
	unlink(ERRORS);
	child = fork();
	if (child == 0)
		become(words);
	status = child < 0 ? NOT_STARTED << 8 : wait_for(child, atof(seconds));
	clear_up();
	tell_file(OUTPUT);
	errors = tell_file(ERRORS);
	verdict(name, now() - start, fault(expected, status, errors));
}

/* ---- the plan ---- */

static void set(const char *path, const char *value)
{
	int error = write_file(path, value);

	if (error)
		verdict(path, 0, strerror(error));
}

static void do_line(char *line)
{
	char *words[WORDS + 1] = { NULL }, *rest = line;
	unsigned n = 0;

	line[strcspn(line, "\n")] = 0;
	while (n < WORDS && (words[n] = strsep(&rest, "\t")))
		n++;
	if (n == 3 && strcmp(words[0], "set") == 0)
		set(words[1], words[2]);
	else if (n >= 5 && strcmp(words[0], "test") == 0)
		run_test(words[1], words[2], words[3], words + 4);
	else
		verdict(words[0], 0, "is no line of a plan");
}

static unsigned tests_in(FILE *plan)
{
	char line[4096];
	unsigned n = 0;

	while (fgets(line, sizeof(line), plan))
		n += strncmp(line, "test\t", 5) == 0;
	rewind(plan);
	return n;
}

static void follow(FILE *plan)
{
	struct utsname kernel;
	char line[4096];

	uname(&kernel);
	fprintf(port, "kernel %s, up after %.1f s\nplan %u\n", kernel.release, now(),
		tests_in(plan));
	fflush(port);
	while (fgets(line, sizeof(line), plan))
		do_line(line);
	fprintf(port, "done\n");
	fflush(port);
	tcdrain(fileno(port));
}

int main(void)
{
	sigset_t chld;
	FILE *plan;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	mount_all();
	plan = fopen("/plan", "re");
	if (plan && open_port() == 0)
		follow(plan);
	reboot(RB_POWER_OFF);
	return 0;
}
