/* SPDX-License-Identifier: MIT */
/*
 * cache/slots.h - slots that come and go (slots.c)
 */
#ifndef STELE_CACHE_SLOTS_H
#define STELE_CACHE_SLOTS_H

/* Tells the floor of slots what to do when one comes or goes. Once, before anything happens. */
void stele_slots_watch(void);

#endif
