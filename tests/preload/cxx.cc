// SPDX-License-Identifier: MIT
//
// tests/preload/cxx.cc - operators new and delete in every form, as a C++ program sees them
//
// Idea      Each form by its plain name; then what the language does with them: over-aligned
//           types, arrays with destructors, containers, strings, exceptions, shared pointers.
// Failure   of memory: the new-handler is called until it gives up, then bad_alloc; the
//           nothrow forms give nullptr, also when the handler throws.
#include "drop_in.h"
#include "no_memory.h"
#include <algorithm>
#include <list>
#include <map>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace
{

using std::align_val_t;
using std::nothrow;

void *ours(void *p, std::size_t size, std::size_t align = 16)
{
	CHECK_FOR(p != nullptr, size);
	CHECK_FOR(reinterpret_cast<std::uintptr_t>(p) % align == 0, align);
	CHECK_FOR(malloc_usable_size(p) >= size, size);
	memset(p, 0x77, size);
	return p;
}

void plain_forms(std::size_t n)
{
	operator delete(ours(operator new(n), n));
	operator delete(ours(operator new(n), n), n);
	operator delete(ours(operator new(n, nothrow), n), nothrow);
	operator delete[](ours(operator new[](n), n));
	operator delete[](ours(operator new[](n), n), n);
	operator delete[](ours(operator new[](n, nothrow), n), nothrow);
}

void aligned_forms(std::size_t n, std::size_t align)
{
	align_val_t a{ align };

	operator delete(ours(operator new(n, a), n, align), a);
	operator delete(ours(operator new(n, a), n, align), n, a);
	operator delete(ours(operator new(n, a, nothrow), n, align), a, nothrow);
	operator delete[](ours(operator new[](n, a), n, align), a);
	operator delete[](ours(operator new[](n, a), n, align), n, a);
	operator delete[](ours(operator new[](n, a, nothrow), n, align), a, nothrow);
}

void every_form()
{
	for (std::size_t n : { 0, 1, 16, 100, 5000, 40000, 3000000 }) {
		plain_forms(n);
		for (std::size_t align = 1; align <= 65536; align *= 2)
			aligned_forms(n, align);
	}
	operator delete(nullptr);
	operator delete[](nullptr);
	operator delete (nullptr, align_val_t{ 64 });
	operator delete (nullptr, std::size_t{ 8 });
	/* Zero bytes are an object of their own. */
	void *a = operator new(0), *b = operator new(0);
	CHECK(a != b);
	operator delete(a);
	operator delete(b);
}

struct alignas(256) Wide {
	char bytes[256];
};

struct Counted {
	static int alive;
	int value = 7;
	Counted()
	{
		++alive;
	}
	~Counted()
	{
		--alive;
	}
};
int Counted::alive;

struct Throwing {
	Throwing()
	{
		throw 1;
	}
};

void language()
{
	auto *wide = new Wide[5];
	ours(wide, sizeof(Wide) * 5, 256);
	delete[] wide;

	auto *counted = new Counted[1000];
	CHECK(Counted::alive == 1000 && counted[999].value == 7);
	delete[] counted;
	CHECK(Counted::alive == 0);

	/* A constructor that throws: the memory is given back by the language. */
	size_t before = mallinfo2().hblks;
	for (int i = 0; i < 100; i++) {
		try {
			delete new Throwing;
			CHECK(!"thrown");
		} catch (int) {
		}
	}
	CHECK(mallinfo2().hblks == before);
}

void containers()
{
	std::map<int, std::string> tree;
	std::unordered_map<std::string, std::vector<int>> table;
	std::list<std::shared_ptr<Counted>> list;

	for (int i = 0; i < 20000; i++) {
		tree[i * 7919 % 20000] = std::string(static_cast<std::size_t>(i % 100), 'x');
		table[std::to_string(i % 500)].push_back(i);
		list.push_back(std::make_shared<Counted>());
	}
	for (auto &entry : table)
		CHECK(entry.second.size() == 40);
	for (int i = 0; i < 20000; i += 2)
		tree.erase(i);
	CHECK(tree.size() == 10000 && tree.rbegin()->first == 19999);
	list.remove_if([](const std::shared_ptr<Counted> &c) { return c->value != 7; });
	CHECK(list.size() == 20000 && Counted::alive == 20000);
	list.clear();
	CHECK(Counted::alive == 0);
}

/* Exceptions are allocated, thrown in one thread and looked at in another. */
void threads()
{
	std::vector<std::thread> all;
	std::exception_ptr thrown[8];

	for (auto &slot : thrown)
		all.emplace_back([&slot] {
			thread_local std::string name(1000, 'n');
			for (int i = 0; i < 1000; i++) {
				try {
					throw std::runtime_error(name + std::to_string(i));
				} catch (...) {
					slot = std::current_exception();
				}
			}
		});
	for (auto &thread : all)
		thread.join();
	for (auto &slot : thrown) {
		try {
			std::rethrow_exception(slot);
		} catch (const std::runtime_error &e) {
			CHECK(std::string(e.what()) == std::string(1000, 'n') + "999");
		}
	}
}

} // namespace

int main()
{
	need_drop_in();
	every_form();
	CHECK_FOR(no_memory::forms() == 0, no_memory::forms());
	CHECK_FOR(no_memory::handlers() == 0, no_memory::handlers());
	language();
	containers();
	threads();
	return 0;
}
