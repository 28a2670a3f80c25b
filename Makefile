# SPDX-License-Identifier: MIT
#
# Makefile - the few words one needs; the work is done by Meson and scripts/
#
# Idea      `make check` and `make demo` bring what they need themselves (scripts/setup). `make` and
#           `make demo` build the products alone. `make` names what is missing in its first line.
# Order     scripts/setup installs or names what is missing, scripts/build makes a build
#           directory under build/, the rest runs in it.

PREFIX ?= /usr/local
DESTDIR ?=
GENMC ?= genmc

LAB ?= release debug

.PHONY: all check check-all demo bench stress lab model install uninstall tidy clean help

all:
	@scripts/build --products release

check:
	scripts/setup check
	scripts/check

check-all:
	scripts/setup check-all
	scripts/check --all

demo:
	scripts/setup demo
	scripts/build --products release
	scripts/demo/run

bench:
	scripts/setup bench
	scripts/build release
	bench/run

# STORM_SECONDS, when given, is read by tests/signals/storms/.
# POINTS: the tests that stop at the named points of a debug build.
stress: export STORM_SECONDS ?=
stress: POINTS = every_pair inject attack_abandon attack_fork
stress:
	scripts/setup check
	scripts/build release
	scripts/build debug
	meson test -C build/release --no-rebuild --suite stress --print-errorlogs
	for mode in 1 0; do STELE_RSEQ=$$mode meson test -C build/debug --no-rebuild --print-errorlogs \
		$(POINTS) || exit 1; done

lab:
	scripts/setup lab
	for variant in $(LAB); do scripts/build $$variant || exit 1; done
	scripts/lab $(LAB:%=--build build/%)

model:
	tests/model/run-genmc --genmc '$(GENMC)'

install:
	scripts/install '$(PREFIX)' '$(DESTDIR)'

uninstall:
	scripts/install --uninstall '$(PREFIX)' '$(DESTDIR)'

tidy:
	scripts/setup tidy
	scripts/tidy

clean:
	rm -rf build

help:
	@echo 'make            build libstele, libstele-malloc and the stele command (build/release)'
	@echo 'make check      build and test what a user needs to trust a copy; ends in "N passed, N failed"'
	@echo 'make check-all  the same and everything else: sanitizers, clang, aarch64, models, guests'
	@echo 'make demo       real programs with glibc malloc and with Stele, side by side'
	@echo 'make bench      speed and memory against other allocators'
	@echo 'make stress     the long stress tests; STORM_SECONDS=60 shortens the storms'
	@echo 'make lab        the tests in real kernels under QEMU, where CPUs go and come: the long form'
	@echo 'make model      the models under the checker GENMC=path/to/genmc, every broken variant too'
	@echo 'make install    install under PREFIX (now $(PREFIX)), staged under DESTDIR if set'
	@echo 'make uninstall  remove from there what make install put there'
	@echo 'make tidy       formatting and static checks'
	@echo 'make clean      remove build/'
