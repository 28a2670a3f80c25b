/* SPDX-License-Identifier: MIT */
/*
 * tests/preload/cxx_host.c - a C program that opens a C++ plugin, which runs out of memory
 *
 * Idea      When this program starts there is no C++ library, and later only the plugin sees one,
 *           as in an interpreter with extension modules. The promises of the language hold there,
 *           too.
 * Arguments the plugin, tests/preload/cxx_plugin.cc; then "all" where memory is little: the plugin
 *           takes all of it.
 */
#include "drop_in.h"

int main(int argc, char **argv)
{
	void *plugin;
	int (*go)(int);

	need_drop_in();
	CHECK(argc >= 2);
	CHECK(!dlsym(RTLD_DEFAULT, "_ZSt17__throw_bad_allocv")); /* or the test is none */
	plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
	if (!plugin)
		fprintf(stderr, "%s\n", dlerror());
	CHECK(plugin);
	CHECK(!dlsym(RTLD_DEFAULT, "_ZSt17__throw_bad_allocv"));
	go = (int (*)(int))(uintptr_t)dlsym(plugin, "cxx_plugin_go");
	CHECK(go);
	for (int i = 0; i < 3; i++)
		CHECK_FOR(go(argc > 2) == 0, i);
	/* Nothing keeps it here. */
	CHECK(dlclose(plugin) == 0);
	CHECK(!dlopen(argv[1], RTLD_NOW | RTLD_NOLOAD));
	return 0;
}
