/* SPDX-License-Identifier: MIT */
/* Options: a report goes to a file, and the program aborts, or stops for a debugger, after it. */
#include "death.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

/* An address that is the same in all processes, and nobody's. */
#define NOWHERE 0x123456000ul
#define LINE                                                                                       \
	"stele: kfree(0x123456000): not a pointer of this allocator, or already free; not freed"

static int fault(void)
{
	struct rlimit no_core = { 0, 0 };

	setrlimit(RLIMIT_CORE, &no_core);
	kfree(of_unknown_origin((void *)NOWHERE));
	return 0;
}

/* A program that ends adds its report to what is in the file; standard error stays silent. */
static void a_file_gets_the_reports(void)
{
	char path[] = "/tmp/stele-report-XXXXXX", text[1024] = "", *second;
	int file = mkstemp(path);

	MUST(file >= 0);
	setenv("STELE_REPORT", path, 1);
	said_begin();
	MUST(run_self((char *)"fault") == 0 && run_self((char *)"fault") == 0);
	MUST(said("%s", ""));
	MUST(read(file, text, sizeof(text) - 1) > 0);
	second = strchr(text, '\n');
	MUST(second && strncmp(text, LINE, strlen(LINE)) == 0);
	MUST(strncmp(second + 1, LINE, strlen(LINE)) == 0);
	unlink(path);
	/* A file that cannot be opened: standard error gets the line. */
	setenv("STELE_REPORT", "/nowhere/at/all", 1);
	said_begin();
	MUST(run_self((char *)"fault") == 0);
	MUST(said(LINE "\n"));
	unsetenv("STELE_REPORT");
}

static void the_program_aborts(void)
{
	int status;

	setenv("STELE_ON_ERROR", "abort", 1);
	said_begin();
	status = run_self((char *)"fault");
	MUST(said(LINE "\n"));
	MUST(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static pid_t start_self(void)
{
	char *argv[] = { (char *)"self", (char *)"fault", NULL };
	pid_t child = fork();

	if (child == 0) {
		execv("/proc/self/exe", argv);
		_exit(127);
	}
	return child;
}

static void the_program_stops_and_goes_on(void)
{
	int status;
	pid_t child;

	setenv("STELE_ON_ERROR", "stop", 1);
	said_begin();
	child = start_self();
	MUST(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
	kill(child, SIGCONT);
	MUST(waitpid(child, &status, 0) == child && status == 0);
	/* Not before: said() reads until no process can write any more. */
	MUST(said(LINE "\nstele: stopped: attach a debugger (gdb -p %d), or send SIGCONT\n",
		  (int)child));
}

int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		return fault();
	a_file_gets_the_reports();
	the_program_aborts();
	the_program_stops_and_goes_on();
	return 0;
}
