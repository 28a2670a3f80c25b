// SPDX-License-Identifier: MIT
//
// tests/preload/cxx_plugin.cc - opened by cxx_host.c: operators new without memory
#include "no_memory.h"

namespace
{

struct Link {
	Link *next;
	char rest[92];
};

// To the last object.
int all_of_it()
{
	Link *all = nullptr;
	bool thrown = no_memory::throws_bad_alloc([&all]() -> void * {
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

// In an optimized build the plugin jumps to operator new, which returns to the C program that called this.
extern "C" __attribute__((visibility("default"))) void *cxx_plugin_new(std::size_t size)
{
	return ::operator new(size);
}

extern "C" __attribute__((visibility("default"))) int cxx_plugin_by(void *(*host)(std::size_t))
{
	return no_memory::throws_bad_alloc([host] { return host(no_memory::too_much); }) ? 0 : 22;
}

extern "C" __attribute__((visibility("default"))) int cxx_plugin_go(int all)
{
	int wrong = no_memory::forms();

	if (!wrong)
		wrong = no_memory::handlers();
	return wrong || !all ? wrong : all_of_it();
}
