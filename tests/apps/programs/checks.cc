/* SPDX-License-Identifier: MIT */
/*
 * tests/apps/programs/checks.cc - a C++ program that checks itself: new and delete in all forms
 *
 * Idea      containers with known contents, over-aligned objects, exceptions, objects that cross
 *           threads, failure of impossible sizes. Each check names what a user would lose.
 */
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <queue>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

static int failed;

static void check(bool good, const char *what)
{
	std::printf("%s - %s\n", good ? "ok" : "not ok", what);
	if (!good)
		std::fprintf(stderr, "not ok - %s\n", what);
	failed += !good;
}

struct alignas(256) Wide {
	unsigned char byte[512];
};

static void containers()
{
	std::map<std::string, std::vector<int>> m;
	std::unordered_map<int, std::string> u;
	std::list<std::string> l;
	long sum = 0;

	for (int i = 0; i < 40000; i++) {
		m["key" + std::to_string(i * 31 % 5003)].push_back(i);
		u[i] = std::string(i % 90, 'a' + i % 26);
		l.push_front(std::to_string(i));
		if (i % 3 == 0)
			u.erase(i / 2);
	}
	for (auto &e : m)
		for (int v : e.second)
			sum += v;
	check(sum == 799980000L && m.size() == 5003, "map of vectors kept every number");
	bool same = true;
	for (auto &e : u)
		same = same && e.second == std::string(e.first % 90, 'a' + e.first % 26);
	check(same, "hash of strings kept every string");
	l.sort();
	check(l.size() == 40000 && l.front() == "0" && l.back() == "9999", "list sorted");
}

static void alignment()
{
	bool good = true;
	std::vector<std::unique_ptr<Wide>> kept;

	for (int i = 0; i < 500; i++) {
		kept.push_back(std::make_unique<Wide>());
		good = good && reinterpret_cast<std::uintptr_t>(kept.back().get()) % 256 == 0;
	}
	std::unique_ptr<Wide[]> row(new Wide[33]);
	good = good && reinterpret_cast<std::uintptr_t>(row.get()) % 256 == 0;
	check(good, "over-aligned new gives aligned objects");
}

static void refusal()
{
	volatile std::size_t huge = SIZE_MAX / 2;
	bool thrown = false;

	try {
		::operator delete(::operator new(huge));
	} catch (const std::bad_alloc &) {
		thrown = true;
	}
	check(thrown, "operator new throws bad_alloc for an impossible size");
	check(!::operator new(huge, std::nothrow), "operator new(nothrow) gives null for one");
	check(!::operator new(huge, std::align_val_t(64), std::nothrow), "and the aligned one too");
}

static void forms()
{
	for (std::size_t size = 1; size < 20000; size += size / 7 + 1) {
		::operator delete(::operator new(size), size);
		::operator delete[](::operator new[](size), size);
		::operator delete(::operator new(size, std::align_val_t(128)), size,
				  std::align_val_t(128));
		::operator delete[](::operator new[](size, std::nothrow), std::nothrow);
	}
	check(true, "all forms of delete took what their new gave");
}

static void exceptions()
{
	int caught = 0;

	for (int i = 0; i < 5000; i++) {
		try {
			auto p = std::make_unique<std::string>(i % 300, 'x');
			throw std::runtime_error("number " + std::to_string(i) + *p);
		} catch (const std::exception &e) {
			caught += std::string(e.what()).size() > 7;
		}
	}
	check(caught == 5000, "exceptions carry their text");
}

static void hand_over()
{
	std::queue<std::unique_ptr<std::string>> queue;
	std::mutex lock;
	long sent = 0, got = 0;
	bool done = false;

	std::thread maker([&] {
		for (int i = 0; i < 100000; i++) {
			auto s = std::make_unique<std::string>(i % 200, 'y');
			std::lock_guard<std::mutex> hold(lock);
			sent += s->size();
			queue.push(std::move(s));
		}
		std::lock_guard<std::mutex> hold(lock);
		done = true;
	});
	for (bool more = true; more;) {
		std::lock_guard<std::mutex> hold(lock);
		for (; !queue.empty(); queue.pop())
			got += queue.front()->size();
		more = !done;
	}
	maker.join();
	check(sent == got && sent > 0, "strings made in one thread, deleted in another");
}

static void short_threads()
{
	long total = 0;

	for (int round = 0; round < 100; round++) {
		std::vector<std::future<long>> f;
		for (int n = 0; n < 8; n++)
			f.push_back(std::async(std::launch::async, [n] {
				std::ostringstream s;
				for (int i = 0; i < 200; i++)
					s << i * n << ' ';
				return static_cast<long>(s.str().size() > 0);
			}));
		for (auto &x : f)
			total += x.get();
	}
	check(total == 800, "800 short threads");
}

int main()
{
	containers();
	alignment();
	refusal();
	forms();
	exceptions();
	hand_over();
	short_threads();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
