/* SPDX-License-Identifier: MIT */
/*
 * os/report.c - where reports of faults go
 *
 * Idea      A report is a few lines. Each goes out on its own: to the program's callback if there
 *           is one, else to the file that the option `report` names, else to standard error. Each
 *           line opens the file anew, for appending. So no descriptor stays open that the program
 *           might close or take over, and a child of fork() writes whole lines as well.
 * Context   any; errno is kept. A callback runs where the fault was found, which may be a signal
 *           handler.
 * Failure   the file cannot be opened: the line goes to standard error.
 * Tests     tests/contract/test_debug.c, tests/death/debug_report.c
 */
#include "os/report.h"
#include "arch/call.h"
#include "base/fmt.h"
#include "base/options.h"
#include "os/os.h"
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

/* ORDER(REPORT_TO) release: a thread that reports sees all of the program's structure. */
static _Atomic(const struct stele_report_to *) program;

void stele_report_to(const struct stele_report_to *to)
{
	/* ORDER(REPORT_TO) release */
	atomic_store_explicit(&program, to, memory_order_release);
}

/* False: there is no file. */
static bool write_to_file(const struct stele_out *line)
{
	int fd = -1;

	if (stele_opt.report)
		fd = (int)STELE_SYSCALL(SYS_openat, AT_FDCWD, stele_opt.report,
					O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return false;
	STELE_SYSCALL(SYS_write, fd, line->buf, line->len);
	stele_os_close(fd);
	return true;
}

void stele_report(const char *fmt, ...)
{
	char buf[STELE_SAY_MAX + 2];
	/* ORDER(REPORT_TO) acquire */
	const struct stele_report_to *to = atomic_load_explicit(&program, memory_order_acquire);
	struct stele_out line;
	va_list ap;

	stele_out_init(&line, buf, sizeof(buf));
	va_start(ap, fmt);
	stele_vfmt(&line, fmt, ap);
	va_end(ap);
	if (to)
		to->line(to->arg, buf);
	else if (!write_to_file(&line))
		stele_say_out(&line);
}

/* ---- what follows a report ---- */

static _Atomic uint64_t reports;

uint64_t stele_reports(void)
{
	return atomic_load_explicit(&reports, memory_order_relaxed);
}

/* Until a debugger, or SIGCONT, lets this process go on. */
static void stop(void)
{
	stele_report("stele: stopped: attach a debugger (gdb -p %d), or send SIGCONT\n",
		     stele_os_pid());
	STELE_SYSCALL(SYS_kill, stele_os_pid(), SIGSTOP);
}

void stele_reported(void)
{
	atomic_fetch_add_explicit(&reports, 1, memory_order_relaxed);
	if (stele_opt.abort_on_error || stele_opt.on_error == STELE_ACTION_ABORT)
		abort();
	if (stele_opt.on_error == STELE_ACTION_STOP)
		stop();
}

/* ---- a line that ends with its place ---- */

/* Ends the line. Apart: the caller's frame is large already. */
static __attribute__((noinline)) void end_with_site(struct stele_out *out, const void *site)
{
	char place[STELE_OS_PLACE_SIZE];

	if (site)
		stele_fmt(out, " (called from %s)", stele_os_place(site, place));
	stele_out_str(out, "\n");
}

void stele_say_site(const void *site, const char *fmt, ...)
{
	char buf[STELE_SAY_MAX + 2];
	struct stele_out out;
	va_list ap;

	stele_out_init(&out, buf, sizeof(buf));
	va_start(ap, fmt);
	stele_vfmt(&out, fmt, ap);
	va_end(ap);
	end_with_site(&out, site);
	stele_say_out(&out);
}
