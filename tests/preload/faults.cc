// SPDX-License-Identifier: MIT
//
// tests/preload/faults.cc - the mistakes of an unmodified program, under STELE_DEBUG=FZPU
//
// Idea      The program makes each mistake once while standard error goes to a file, and looks for
//           the line that names it. Meson preloads the drop-in and sets STELE_DEBUG.
#include "drop_in.h"
#include <cerrno>
#include <fcntl.h>
#include <new>

namespace
{

char said[1 << 16];

// Not known to the compiler, which would leave the mistake out.
template <class T> T *hidden(T *p)
{
	__asm__ volatile("" : "+r"(p) : : "memory");
	return p;
}

template <class F> void expect(const char *line, F mistake)
{
	char path[] = "/tmp/stele-faults-XXXXXX";
	int file = mkstemp(path), old = dup(2);
	ssize_t n;

	CHECK(file >= 0 && old >= 0);
	unlink(path);
	dup2(file, 2);
	mistake();
	dup2(old, 2);
	close(old);
	n = pread(file, said, sizeof(said) - 1, 0);
	said[n < 0 ? 0 : n] = 0;
	close(file);
	if (strstr(said, line))
		return;
	fprintf(stderr, "not said: %s\nbut: %s\n", line, said);
	_exit(1);
}

char *block(size_t size)
{
	char *p = hidden(static_cast<char *>(malloc(size)));

	CHECK(p != nullptr);
	return p;
}

void overflows()
{
	expect("1 byte written behind the end of an object of 50 bytes in cache 'kmalloc-64'; not "
	       "freed (called from drop_in_faults+0x",
	       [] {
		       char *p = block(50);
		       p[50] = 1;
		       free(hidden(p));
	       });
	expect("1 byte written before the start of an object of 50 bytes", [] {
		char *p = block(50);
		hidden(p)[-1] = 1;
		free(hidden(p));
	});
	expect("written behind the end of an object of 4000 bytes", [] {
		char *p = block(4000);
		memset(hidden(p), 1, 4032);
		free(hidden(p));
	});
	expect("1 byte written behind the end of a block of 100000 bytes", [] {
		char *p = block(100000);
		hidden(p)[100000] = 1;
		free(hidden(p));
	});
	expect("1 byte written behind the end of an object of 0 bytes", [] {
		char *p = block(0);
		hidden(p)[0] = 1;
		free(hidden(p));
	});
	expect("1 byte written behind the end of an object of 7 bytes", [] {
		char *p = hidden(static_cast<char *>(calloc(7, 1)));
		hidden(p)[7] = 0;
		free(hidden(p));
	});
}

void frees()
{
	static char mine[64];

	expect("object was already free in cache 'kmalloc-64'; not freed", [] {
		char *p = block(50), *q = block(50);
		free(p);
		free(q);
		free(hidden(p));
	});
	expect("not the start of an object in cache 'kmalloc-64'; not freed", [] {
		char *p = block(50);
		free(hidden(p + 8));
		free(p);
	});
	expect("not a pointer of this allocator, or already free; not freed",
	       [] { free(hidden(mine + 16)); });
	expect("not a pointer of this allocator, or already free; not freed", [] {
		char *p = block(100000);
		free(p);
		free(hidden(p));
	});
}

void stale_writes()
{
	expect("1 byte written after the free of an object of 700 bytes", [] {
		char *p = block(700);
		free(p);
		hidden(p)[5] = 1;
		CHECK(block(700) != p);
	});
	expect("1 byte written after the free of an object of 900 bytes", [] {
		char *p = block(900), *q = static_cast<char *>(realloc(p, 910));
		CHECK(hidden(q) != p);
		hidden(p)[5] = 1;
		free(block(900));
		free(q);
	});
}

void mismatches()
{
	expect("mismatched, as it came from operator new[]; freed",
	       [] { free(hidden(new char[40])); });
	expect("mismatched, as it came from malloc(); freed",
	       [] { operator delete(hidden(block(40))); });
	expect("mismatched, as it came from operator new; freed",
	       [] { operator delete[](hidden(operator new(40))); });
	expect("of 80 bytes, but allocated with 40; freed",
	       [] { operator delete(hidden(operator new(40)), 80); });
}

} // namespace

int main()
{
	CHECK(getenv("STELE_DEBUG") != nullptr);
	overflows();
	frees();
	stale_writes();
	mismatches();
	return 0;
}
