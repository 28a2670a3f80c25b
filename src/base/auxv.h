/* SPDX-License-Identifier: MIT */
/*
 * base/auxv.h - what the kernel told this process when it started
 */
#ifndef STELE_BASE_AUXV_H
#define STELE_BASE_AUXV_H

/* The value of @type (AT_PAGESZ and the like); 0 when the kernel said nothing of it. Any context. */
unsigned long stele_auxv(unsigned long type);

/* The name of the file that this process runs, without its folders; "?" when the kernel did not say
 * it. Any context. */
const char *stele_program(void);

#endif
