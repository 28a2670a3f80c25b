// SPDX-License-Identifier: MIT
//
// tests/preload/no_memory.h - operators new without memory: the same for a C++ program and for a plugin of
//                            a C program
//
// Idea      Each function returns 0, or the number of the first case that is not so: a plugin has no way
//           to stop its host. All of it is static, because an inline variable keeps a plugin loaded.
#ifndef STELE_TESTS_MALLOC_NO_MEMORY_H
#define STELE_TESTS_MALLOC_NO_MEMORY_H

#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

namespace no_memory
{

using std::align_val_t;
using std::nothrow;

const std::size_t too_much = PTRDIFF_MAX;
static void *volatile seen; // or the compiler leaves out what nobody looks at
static int handler_calls;

template <typename Call> static bool throws_bad_alloc(Call call)
{
	try {
		seen = call();
	} catch (const std::bad_alloc &) {
		return true;
	}
	return false;
}

// Gives up at the third call.
static void handler_of_three()
{
	if (++handler_calls == 3)
		std::set_new_handler(nullptr);
}

static void handler_that_throws()
{
	++handler_calls;
	throw std::bad_alloc();
}

template <typename Call> static bool calls_handler(std::new_handler handler, int calls, Call call)
{
	handler_calls = 0;
	std::set_new_handler(handler);
	bool right = call();
	std::set_new_handler(nullptr);
	return right && handler_calls == calls;
}

static int forms_that_throw()
{
	align_val_t a{ 4096 }, no_power{ 48 };

	if (!throws_bad_alloc([] { return operator new(too_much); }))
		return 1;
	if (!throws_bad_alloc([] { return operator new[](too_much); }))
		return 2;
	if (!throws_bad_alloc([a] { return operator new(too_much, a); }))
		return 3;
	if (!throws_bad_alloc([a] { return operator new[](too_much, a); }))
		return 4;
	if (!throws_bad_alloc([no_power] { return operator new(100, no_power); }))
		return 5;
	if (!throws_bad_alloc([]() -> void * {
		    std::vector<char> v;
		    v.reserve(too_much - 1);
		    return nullptr;
	    }))
		return 6;
	return 0;
}

static int forms_that_return()
{
	align_val_t a{ 4096 }, no_power{ 48 };

	if (operator new(too_much, nothrow) || operator new[](too_much, nothrow))
		return 7;
	if (operator new(too_much, a, nothrow) || operator new[](too_much, a, nothrow))
		return 8;
	return operator new(100, no_power, nothrow) ? 9 : 0;
}

static int forms()
{
	int wrong = forms_that_throw();

	return wrong ? wrong : forms_that_return();
}

static int handlers_that_give_up()
{
	align_val_t a{ 4096 };

	if (!calls_handler(handler_of_three, 3,
			   [] { return throws_bad_alloc([] { return operator new(too_much); }); }))
		return 11;
	if (!calls_handler(handler_of_three, 3, [a] {
		    return throws_bad_alloc([a] { return operator new[](too_much, a); });
	    }))
		return 12;
	if (!calls_handler(handler_of_three, 3, [] { return !operator new(too_much, nothrow); }))
		return 13;
	if (!calls_handler(handler_of_three, 3,
			   [a] { return !operator new(too_much, a, nothrow); }))
		return 14;
	return 0;
}

static int handlers_that_throw()
{
	align_val_t a{ 4096 }, no_power{ 48 };

	if (!calls_handler(handler_that_throws, 1,
			   [] { return throws_bad_alloc([] { return operator new(too_much); }); }))
		return 15;
	if (!calls_handler(handler_that_throws, 1, [] { return !operator new(too_much, nothrow); }))
		return 16;
	if (!calls_handler(handler_that_throws, 1,
			   [] { return !operator new[](too_much, nothrow); }))
		return 17;
	if (!calls_handler(handler_that_throws, 1,
			   [a] { return !operator new(too_much, a, nothrow); }))
		return 18;
	if (!calls_handler(handler_that_throws, 1,
			   [a] { return !operator new[](too_much, a, nothrow); }))
		return 19;
	if (!calls_handler(handler_that_throws, 0, [no_power] {
		    return throws_bad_alloc([no_power] { return operator new(8, no_power); });
	    }))
		return 20;
	return 0;
}

static int handlers()
{
	int wrong = handlers_that_give_up();

	return wrong ? wrong : handlers_that_throw();
}

} // namespace no_memory

#endif
