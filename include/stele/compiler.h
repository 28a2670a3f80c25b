/* SPDX-License-Identifier: MIT */
/*
 * stele/compiler.h - what the public headers ask of the compiler
 *
 * Idea      One name per promise, so that a header reads as prose and a compiler
 *           that lacks an attribute loses only the warning, never the program.
 * Languages C11 and later (gcc, clang), C++11 and later.
 */
#ifndef STELE_COMPILER_H
#define STELE_COMPILER_H

/* An exported symbol. Everything else in the libraries is built hidden. */
#define STELE_API __attribute__((visibility("default")))

/* The result is fresh memory (or NULL, or ZERO_SIZE_PTR): nothing else points into it. */
#define STELE_MALLOC __attribute__((malloc))

/* Argument A (or A times B) is the size of the result: bounds checks can use it. */
#define STELE_ALLOC_SIZE(a) __attribute__((alloc_size(a)))
#define STELE_ALLOC_SIZE2(a, b) __attribute__((alloc_size(a, b)))

/* Dropping the result is a leak or a lost error. */
#define STELE_MUST_CHECK __attribute__((warn_unused_result))

/*
 * C++ has no implicit conversion from void *; typed macros cast, and need a typeof
 * that works in strict modes of both languages.
 */
#define STELE_TYPEOF(x) __typeof__(x)

#ifdef __has_builtin
#define STELE_HAS_BUILTIN(x) __has_builtin(x)
#else
#define STELE_HAS_BUILTIN(x) 0
#endif

#ifdef __cplusplus
#define STELE_EXTERN_C_BEGIN extern "C" {
#define STELE_EXTERN_C_END }
#else
#define STELE_EXTERN_C_BEGIN
#define STELE_EXTERN_C_END
#endif

#endif /* STELE_COMPILER_H */
