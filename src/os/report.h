/* SPDX-License-Identifier: MIT */
/*
 * os/report.h - where reports of faults go (report.c)
 */
#ifndef STELE_OS_REPORT_H
#define STELE_OS_REPORT_H

#include <stele/debug.h>
#include <stdint.h>

/* A piece of a report, which ends in a newline: to the callback, else to the file, else to standard
 * error. As stele_say(). */
void stele_report(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* After a report: it is counted, and ends or stops the program if the options say so. */
void stele_reported(void);
uint64_t stele_reports(void);

#endif
