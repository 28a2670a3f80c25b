/* SPDX-License-Identifier: MIT */
/*
 * tests/stress/attack_unload.c - the library is closed again by a program that loaded it; and a
 * plugin with fast paths of its own (stele/inline.h)
 *
 * Idea      A thread's last restartable sequence stays named in its area until the kernel looks
 *           there, at the next preemption. The sequence must still be in memory then.
 * Failure   SIGSEGV from the kernel, out of nothing.
 * Argument  the library, and its calls; or the plugin, and those of the plugin.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <time.h>

int main(int argc, char **argv)
{
	void *library = argc == 4 ? dlopen(argv[1], RTLD_NOW) : NULL;
	void *(*alloc)(size_t, unsigned int);
	void (*release)(const void *);

	if (!library) {
		fprintf(stderr, "%s\n", dlerror());
		return 2;
	}
	*(void **)&alloc = dlsym(library, argv[2]);
	*(void **)&release = dlsym(library, argv[3]);
	for (int i = 0; i < 3; i++)
		release(alloc(100, 0));
	dlclose(library);
	for (int i = 0; i < 50; i++)
		nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
	return 0;
}
