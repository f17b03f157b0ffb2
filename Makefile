# Tamis: the commands of a working day. Meson does the building; this file only names the steps.

PREFIX  ?= /usr/local
DESTDIR ?=
PYTHON  := /usr/bin/python3
ROUNDS  ?= 5
PEERS   ?= knot,nsd,bind,pdns,dnsdist

.PHONY: help build demo replay-2014 test bench lint fuzz install clean packages-%

help:
	@echo "make build     install what is missing and build; the programs are in build/bin/"
	@echo "make demo      the whole job on loopback: take over, sinkhole, prove, lift; then the desk,"
	@echo "               then the sinkhole and its count of victims"
	@echo "               (NAMES=5000000 for full size, KEEP=1 leaves the servers running)"
	@echo "make replay-2014   the takeover of 2014 in network namespaces, as it happened and with Tamis"
	@echo "               (as root, 15 minutes; NAMES=100000, TIME_SCALE=3600, PLAYS=a,b1,b2,"
	@echo "               OUT=build/replay-2014, PUBLISH=1: into doc/replay-2014.md)"
	@echo "make test      every test, plain and under the sanitizers (LONG=1: the long run)"
	@echo "make lint      formatting, clang-tidy, cppcheck, man pages"
	@echo "make fuzz      run each fuzz target (SECONDS_EACH=600)"
	@echo "make bench     side by side with Knot, NSD, BIND, PowerDNS and dnsdist"
	@echo "               (NAMES=5000000 for full size, ROUNDS=5, PEERS=knot,nsd; ONLY=orders,workers"
	@echo "               for pieces; SCALE=1: growth up to 20,000,000 names)"
	@echo "make install   to PREFIX=$(PREFIX), below DESTDIR when given"
	@echo "make clean     remove everything that was built"

packages-%:
	@tools/install-packages $(subst +, ,$*)

build/build.ninja: | packages-build
	meson setup build

build: packages-build build/build.ninja
	ninja -C build

demo: NAMES ?= 200000
demo: packages-build+demo build
	$(PYTHON) demo/demo.py --names $(NAMES) $(if $(KEEP),--keep)

replay-2014: NAMES ?= 100000
replay-2014: packages-build+replay build
	PYTHONPATH=demo $(PYTHON) -m replay --names $(NAMES) $(if $(TIME_SCALE),--time-scale $(TIME_SCALE)) \
	    $(if $(PLAYS),--plays $(PLAYS)) $(if $(OUT),--out $(OUT)) $(if $(PUBLISH),--publish)

test: packages-build+demo+test
	tools/run-tests

lint: packages-build+lint build
	tools/lint

fuzz: packages-build+fuzz
	tools/run-fuzzers

bench: NAMES ?= 1000000
bench: packages-build+bench build
	$(PYTHON) bench/bench.py --names $(NAMES) --rounds $(ROUNDS) --peers $(PEERS) \
	    $(if $(ONLY),--only $(ONLY)) $(if $(ORDERS),--orders $(ORDERS)) $(if $(SCALE),--scale)

install: build
	meson configure build -Dprefix=$(abspath $(PREFIX))
	DESTDIR=$(DESTDIR) meson install -C build

clean:
	rm -rf build build-asan build-fuzz
