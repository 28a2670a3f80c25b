/* SPDX-License-Identifier: MIT */
/*
 * slab/look.h - finds what is damaged of an object, and repairs it (look.c)
 */
#ifndef STELE_SLAB_LOOK_H
#define STELE_SLAB_LOOK_H

#include "slab/fault.h"

/* Adds to @f what is damaged of its object, which is in use or free (@used). Reads only. */
void stele_look_at_object(struct fault *f, bool used);
/* The same of the padding around the objects of its slab. */
void stele_look_at_padding(struct fault *f);
/* The same of [@p, @p + @n), which should be full of @wanted. */
void stele_look_at_bytes(struct fault *f, const char *what, const char *how, uint8_t *p, size_t n,
			 uint8_t wanted);
/* Writes the bytes that should be there while the object, which others may use, stays in @seen. */
void stele_repair(const struct fault *f, uint32_t seen);

#endif
