// SPDX-License-Identifier: MIT
//
// tests/malloc/cxx_plugin.cc - opened by cxx_host.c: operators new without memory
#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

namespace
{

using std::align_val_t;
using std::nothrow;

const std::size_t too_much = PTRDIFF_MAX;
void *volatile seen; // or the compiler leaves out what nobody looks at
int handler_calls;

template <typename Call> bool throws_bad_alloc(Call call)
{
	try {
		seen = call();
	} catch (const std::bad_alloc &) {
		return true;
	}
	return false;
}

// Gives up at the third call.
void handler_of_three()
{
	if (++handler_calls == 3)
		std::set_new_handler(nullptr);
}

void handler_that_throws()
{
	++handler_calls;
	throw std::bad_alloc();
}

template <typename Call> bool calls_handler(std::new_handler handler, int calls, Call call)
{
	handler_calls = 0;
	std::set_new_handler(handler);
	bool right = call();
	std::set_new_handler(nullptr);
	return right && handler_calls == calls;
}

// The number of what is not so, or 0.
int forms()
{
	align_val_t a{ 4096 }, no_power{ 48 };

	if (!throws_bad_alloc([] { return operator new(too_much); }))
		return 1;
	if (!throws_bad_alloc([] { return operator new[](too_much); }))
		return 2;
	if (!throws_bad_alloc([a] { return operator new(too_much, a); }))
		return 3;
	if (!throws_bad_alloc([]() -> void * {
		    std::vector<char> v;
		    v.reserve(too_much - 1);
		    return nullptr;
	    }))
		return 4;
	if (operator new(too_much, nothrow) || operator new(too_much, a, nothrow))
		return 5;
	if (!throws_bad_alloc([no_power] { return operator new(100, no_power); }))
		return 6;
	if (operator new(100, no_power, nothrow))
		return 7;
	return 0;
}

int handlers()
{
	align_val_t a{ 4096 }, no_power{ 48 };
	auto plain = [] { return throws_bad_alloc([] { return operator new(too_much); }); };

	if (!calls_handler(handler_of_three, 3, plain))
		return 11;
	if (!calls_handler(handler_that_throws, 1, plain))
		return 12;
	if (!calls_handler(handler_of_three, 3, [] { return !operator new(too_much, nothrow); }))
		return 13;
	if (!calls_handler(handler_that_throws, 1, [] { return !operator new(too_much, nothrow); }))
		return 14;
	if (!calls_handler(handler_that_throws, 1,
			   [a] { return !operator new(too_much, a, nothrow); }))
		return 15;
	if (!calls_handler(handler_that_throws, 0, [no_power] {
		    return throws_bad_alloc([no_power] { return operator new(8, no_power); });
	    }))
		return 16;
	return 0;
}

struct Link {
	Link *next;
	char rest[92];
};

// To the last object.
int all_of_it()
{
	Link *all = nullptr;
	bool thrown = throws_bad_alloc([&all]() -> void * {
		for (;;)
			all = new Link{ all, {} };
	});

	while (all) {
		Link *next = all->next;
		delete all;
		all = next;
	}
	return thrown ? 0 : 21;
}

} // namespace

extern "C" __attribute__((visibility("default"))) int cxx_plugin_go(int all)
{
	int wrong = forms();

	if (!wrong)
		wrong = handlers();
	return wrong || !all ? wrong : all_of_it();
}
