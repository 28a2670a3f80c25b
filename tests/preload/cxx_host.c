/* SPDX-License-Identifier: MIT */
/*
 * tests/preload/cxx_host.c - a C program that opens a C++ plugin, which runs out of memory
 *
 * Idea      When this program starts there is no C++ library, and later only the plugin sees one,
 *           as in an interpreter with extension modules. The promises of the language hold there,
 *           too.
 * Arguments the plugin, tests/preload/cxx_plugin.cc; then "all" where memory is little: the plugin
 *           takes all of it; or "linked-in" where the C++ library is a part of the plugin. Such a
 *           library is found by the caller of operator new alone, and is never unloaded.
 */
#include "drop_in.h"

#include <stdbool.h>

static void *(*plugin_new)(size_t);

/* The plugin's function is called from here, and returns here. */
static void *host_new(size_t size)
{
	void *volatile p = plugin_new(size);

	return p;
}

static void *function(void *plugin, const char *name)
{
	void *found = dlsym(plugin, name);

	CHECK(found);
	return found;
}

int main(int argc, char **argv)
{
	bool all = argc > 2 && strcmp(argv[2], "all") == 0;
	bool linked_in = argc > 2 && strcmp(argv[2], "linked-in") == 0;
	void *plugin;
	int (*go)(int), (*by)(void *(*)(size_t));

	need_drop_in();
	CHECK(argc >= 2);
	CHECK(!dlsym(RTLD_DEFAULT, "_ZSt17__throw_bad_allocv")); /* or the test is none */
	plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
	if (!plugin)
		fprintf(stderr, "%s\n", dlerror());
	CHECK(plugin);
	CHECK(!dlsym(RTLD_DEFAULT, "_ZSt17__throw_bad_allocv"));
	go = (int (*)(int))(uintptr_t)function(plugin, "cxx_plugin_go");
	by = (int (*)(void *(*)(size_t)))(uintptr_t)function(plugin, "cxx_plugin_by");
	plugin_new = (void *(*)(size_t))(uintptr_t)function(plugin, "cxx_plugin_new");
	CHECK_FOR(linked_in || by(host_new) == 0, 0);
	for (int i = 0; i < 3; i++)
		CHECK_FOR(go(all) == 0, i);
	/* Nothing of ours keeps it here. */
	CHECK(dlclose(plugin) == 0);
	CHECK(linked_in || !dlopen(argv[1], RTLD_NOW | RTLD_NOLOAD));
	return 0;
}
