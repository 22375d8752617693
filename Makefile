# SPDX-License-Identifier: GPL-2.0-or-later
# Portico: a NAT and port-address-translation gateway. `make help` lists what
# can be made. CC, AR, PKG_CONFIG, CPPFLAGS, CFLAGS, LDFLAGS, PREFIX, DESTDIR,
# BUILD, BPF and ONE_PROGRAM are taken from the environment or the command line.

VERSION := 0.1.0

CC ?= cc
AR ?= ar
PKG_CONFIG ?= pkg-config
CLANG_FORMAT ?= clang-format
CFLAGS ?= -O2 -g
BUILD ?= build
DESTDIR ?=
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
UNITDIR ?= $(PREFIX)/lib/systemd/system
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
MANDIR ?= $(PREFIX)/share/man

# --- flags -----------------------------------------------------------------

# Those of the given flags that this compiler knows, and of whose work its
# assembler does not complain: on MIPS it does about probed stack frames.
FRAME = void $(1)(void); void $(1)(void) { char bytes[40000]; use(bytes); }
FRAMES := void use(char *); $(call FRAME,f) $(call FRAME,g)
known = $(shell for flag in $(1); do echo '$(FRAMES)' | $(CC) -Werror \
	-Wa,--fatal-warnings $$flag -c -x c -o /dev/null - >/dev/null 2>&1 && \
	printf '%s ' "$$flag"; done)

WARNINGS := $(call known,-Wall -Wextra -Wshadow -Wcast-align=strict \
	-Wformat=2 -Wstrict-prototypes -Wmissing-prototypes -Wvla)
ifdef WERROR
WARNINGS += -Werror
endif
HARDENING := $(call known,-fstack-protector-strong -fstack-clash-protection)
# FORTIFY works, and is quiet, only with optimisation.
ifneq ($(filter -O1 -O2 -O3 -Os -Oz,$(CFLAGS)),)
HARDENING += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
endif
# PIE=no leaves to CFLAGS and LDFLAGS whether programs may be at any address.
ifneq ($(PIE),no)
PIE_COMPILE := -fPIE
PIE_LINK := -pie
endif

PKGS := libnetfilter_queue libmnl json-c libcap-ng
# SECCOMP=no builds a daemon without its list of system calls: for a libc or
# tools (coverage) that need others. With "sandbox": "require" it does not start.
ifeq ($(SECCOMP),no)
NOT_BUILT := platform/sandbox_seccomp.c
else
NOT_BUILT := platform/sandbox_without.c
PKGS += libseccomp
endif
# Asked once, and only when something is compiled or linked.
once = $(eval $(1) := $$(shell $$(PKG_CONFIG) $(2) $$(PKGS)))$($(1))
PKG_CFLAGS = $(call once,PKG_CFLAGS,--cflags)
PKG_LIBS = $(call once,PKG_LIBS,--libs)

# BPF=yes also builds portico-bpf, which loads the fast path: where libbpf is, and
# a clang that compiles for the kernel's machine. BPF_TARGET is bpfel or bpfeb for
# a processor of the other byte order. BPF_OBJECT: its program, already compiled.
BPF_CLANG ?= clang
BPF_TARGET ?= bpf
ifndef BPF
BPF := $(shell $(PKG_CONFIG) --exists libbpf 2>/dev/null && \
	echo 'int f(void) { return 0; }' | $(BPF_CLANG) -target $(BPF_TARGET) \
	-x c -c -o /dev/null - 2>/dev/null && echo yes)
BPF_MISSING := $(if $(BPF),,without the fast path: no libbpf, or no clang)
endif
# For this target clang leaves out the folder of this processor's headers.
BPF_CPPFLAGS ?= $(shell $(BPF_CLANG) -v -E - </dev/null 2>&1 | sed -n \
	'/search starts here:/,/^End of/s|^ \(/.*\)|-idirafter \1|p')
BPF_COMPILE = $(BPF_CLANG) $(BPF_CPPFLAGS) -O2 -g -target $(BPF_TARGET) \
	-mcpu=v2 -Wall -Wextra -Wshadow $(if $(WERROR),-Werror) -MMD -MP

# 64 bits of time and of file size on 32-bit systems as well.
WIDE := -D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64
COMPILE = $(CC) $(CPPFLAGS) $(CFLAGS) -std=c11 -D_GNU_SOURCE $(WIDE) -Iinclude \
	-DPORTICO_VERSION='"$(VERSION)"' $(WARNINGS) $(PIE_COMPILE) $(HARDENING) \
	-MMD -MP
# What one of our objects defines is seen by the others alone: no entry in the
# table of dynamic symbols, of which MIPS makes one for each function.
HIDDEN := -fvisibility=hidden
LINK = $(CC) $(CFLAGS) $(LDFLAGS) $(PIE_LINK) \
	-Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed

# One short line per step; V=1 shows the commands.
ifndef V
Q := @
say = @printf '  %-5s %s\n' $(1) '$@'
endif

# --- files -----------------------------------------------------------------

objects = $(patsubst %.c,$(BUILD)/%.o,$(1))
programs = $(patsubst %.c,$(BUILD)/%,$(1))

MAINS := $(wildcard platform/main_*.c)
NAT_OBJ := $(call objects,$(wildcard nat/*.c))
PLATFORM_OBJ := $(call objects,$(filter-out $(MAINS) $(NOT_BUILT),\
	$(wildcard platform/*.c)))
ARCHIVES := $(BUILD)/libplatform.a $(BUILD)/libnat.a
# CUnit programs, what they share, and programs that other tests start.
# FAULT=no leaves out those that wrap calls of the C library: of glibc.
FAULT ?= yes
UNIT := $(call programs,$(filter-out $(if $(filter no,$(FAULT)),\
	tests/unit/test_fault_% tests/unit/test_views_memory.c \
	tests/unit/test_queue_lanes.c),\
	$(wildcard tests/unit/test_*.c tests/rfc/test_*.c \
	tests/property/test_*.c)))
CONFORMANCE := $(filter $(BUILD)/tests/rfc/%,$(UNIT))
SUITE_OBJ := $(call objects,$(filter-out tests/unit/test_%,\
	$(wildcard tests/unit/*.c)))
SUITE := $(BUILD)/tests/libsuite.a
# One program a fuzz target: of a fuzzer's main() where FUZZ_LINK names the
# flags that bring one, else of a main() that replays files.
FUZZ := $(call programs,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_OBJ := $(call objects,$(filter-out tests/fuzz/fuzz_% tests/fuzz/replay.c \
	tests/fuzz/mutate.c,$(wildcard tests/fuzz/*.c)))
FUZZ_MAIN = $(BUILD)/tests/fuzz/$(if $(FUZZ_LINK),mutate,replay).o
FUZZ_LINK ?=
# Calls that fail on demand: for the CUnit programs test_fault_*, and as a
# library that is put before a daemon's own (LD_PRELOAD).
FAULT_OBJ := $(call objects,tests/fault/plan.c tests/fault/calls.c)
SHIM_OBJ := $(call objects,$(wildcard tests/fault/*.c))
SHIM := $(if $(filter no,$(FAULT)),,$(BUILD)/tests/fault/shim.so)
# A wall clock that is wrong, in the same way.
WALL_OBJ := $(call objects,tests/netns/preload/wall.c)
WALL := $(if $(SHIM),$(BUILD)/tests/netns/preload/wall.so)
TOOLS := $(call programs,$(wildcard tests/netns/*.c tests/bench/*.c))
BENCH_OBJ := $(call objects,$(wildcard tests/bench/lib/*.c))

# ONE_PROGRAM=yes: one file that is the daemon, and by a link to it the command.
PROGRAMS := $(addprefix $(BUILD)/,$(if $(filter yes,$(ONE_PROGRAM)),one,\
	porticod portico))
BPF_OBJECT ?=
BPF_OBJ := $(or $(BPF_OBJECT),$(BUILD)/platform/bpf/fast.bpf.o)
LOADER_OBJ := $(BUILD)/platform/bpf/loader.o
ifeq ($(BPF),yes)
LOADER := $(BUILD)/portico-bpf
endif

all: $(PROGRAMS) $(LOADER) ## build the programs (default)
	@$(if $(BPF_MISSING),echo '  $(BPF_MISSING)',:)

tests: $(UNIT) $(TOOLS) $(FUZZ) $(SHIM) $(WALL) $(BUILD)/one ## build the test programs

$(BUILD)/libnat.a: $(NAT_OBJ)
$(BUILD)/libplatform.a: $(PLATFORM_OBJ)
$(SUITE): $(SUITE_OBJ)
$(ARCHIVES) $(SUITE):
	$(call say,AR)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

$(BUILD)/porticod $(BUILD)/portico $(BUILD)/one: \
		$(BUILD)/%: $(BUILD)/platform/main_%.o $(ARCHIVES)
	$(call say,LINK)
	$(Q)$(LINK) -o $@ $^ $(PKG_LIBS)

$(BUILD)/portico-bpf: $(LOADER_OBJ)
	$(call say,LINK)
	$(Q)$(LINK) -o $@ $^ $$($(PKG_CONFIG) --libs libbpf)

$(UNIT): %: %.o $(SUITE) $(ARCHIVES)
	$(call say,LINK)
	$(Q)$(LINK) -o $@ $^ $(PKG_LIBS) -lcunit

$(FUZZ): %: %.o $(FUZZ_OBJ) $(FUZZ_MAIN) $(SUITE) $(ARCHIVES)
	$(call say,LINK)
	$(Q)$(LINK) $(FUZZ_LINK) -o $@ $^ $(PKG_LIBS) -lcunit

$(filter $(BUILD)/tests/unit/test_fault_%,$(UNIT)): $(FAULT_OBJ)

# Neither counts nor sanitizers in what watches others.
# Also where the command line says otherwise.
$(SHIM_OBJ) $(WALL_OBJ): private override CPPFLAGS :=
$(SHIM_OBJ) $(WALL_OBJ): private override CFLAGS := -O2 -g
$(SHIM_OBJ) $(WALL_OBJ): private HARDENING := -fPIC
$(SHIM): $(SHIM_OBJ)
$(WALL): $(WALL_OBJ)
$(SHIM) $(WALL):
	$(call say,LINK)
	$(Q)$(CC) -shared -Wl,-z,relro,-z,now -o $@ $^

$(addprefix $(BUILD)/tests/bench/,generator roundtrip connector): $(BENCH_OBJ)
$(TOOLS): %: %.o $(SUITE) $(ARCHIVES)
	$(call say,LINK)
	$(Q)$(LINK) -o $@ $^ $(PKG_LIBS)

$(BUILD)/nat/%.o: nat/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(COMPILE) $(HIDDEN) -c -o $@ $<

$(BUILD)/platform/%.o: platform/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(COMPILE) $(HIDDEN) $(PKG_CFLAGS) -c -o $@ $<

# The kernel wants the types (.BTF), nobody what a debugger would.
$(filter-out $(BPF_OBJECT),$(BPF_OBJ)): platform/bpf/fast.bpf.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,BPF)
	$(Q)$(BPF_COMPILE) -c -o $@ $<
	@! command -v llvm-strip >/dev/null || llvm-strip -g $@

# Carries the object within itself.
$(LOADER_OBJ): $(BPF_OBJ)
$(LOADER_OBJ): private PKG_CFLAGS = -DFAST_OBJECT='"$(BPF_OBJ)"' \
	$$($(PKG_CONFIG) --cflags libbpf)

$(BUILD)/tests/%.o: tests/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(COMPILE) $(PKG_CFLAGS) -I. -c -o $@ $<

# Other flags mean another build.
FLAGS = $(CC) $(CPPFLAGS) $(CFLAGS) $(WIDE) $(WARNINGS) $(PIE) $(HARDENING) \
	$(HIDDEN) $(VERSION) $(BPF_CLANG) $(BPF_TARGET)
$(BUILD)/flags: always
	@mkdir -p $(@D)
	@echo '$(FLAGS)' | cmp -s - $@ || echo '$(FLAGS)' >$@

-include $(patsubst %.o,%.d,$(NAT_OBJ) $(PLATFORM_OBJ)) \
	$(MAINS:%.c=$(BUILD)/%.d) $(UNIT:=.d) $(TOOLS:=.d) $(SUITE_OBJ:.o=.d) \
	$(BENCH_OBJ:.o=.d) $(FUZZ:=.d) $(FUZZ_OBJ:.o=.d) $(FUZZ_MAIN:.o=.d) $(SHIM_OBJ:.o=.d) \
	$(WALL_OBJ:.o=.d) $(BPF_OBJ:.o=.d) $(LOADER_OBJ:.o=.d)

# --- checking --------------------------------------------------------------

# For check-openwrt, which is part of check.
OPENWRT_PACKAGES := binutils busybox lua5.1 lua-cjson shellcheck
# What building, testing and showing need on Debian.
PACKAGES := gcc libc6-dev make pkg-config libmnl-dev libnetfilter-queue-dev \
	libjson-c-dev libseccomp-dev libcap-ng-dev uthash-dev libcunit1-dev \
	$(if $(filter no,$(BPF)),,libbpf-dev clang) iptables nftables iproute2 \
	procps util-linux curl iperf3 dnsmasq-base bind9-dnsutils \
	iputils-ping traceroute coturn python3 python3-scapy ethtool tcpdump \
	conntrack systemd $(OPENWRT_PACKAGES)
# For lint and format only.
LINT_PACKAGES := binutils clang-format cppcheck
# For check-vm only. VM_WORDS: only the tests whose "file.name" contains one.
VM_WORDS ?=
VM_PACKAGES := qemu-system-x86 cpio kmod xz-utils ppp pppoe

# For check-long only: counts instructions.
LONG_PACKAGES := valgrind
# For fuzz only.
FUZZ_PACKAGES := clang llvm libclang-rt-dev afl++
# For check-cross and size only.
CROSS_PACKAGES := gcc-mips-linux-gnu libc6-dev-mips-cross \
	gcc-mipsel-linux-gnu libc6-dev-mipsel-cross gcc-aarch64-linux-gnu \
	libc6-dev-arm64-cross gcc-arm-linux-gnueabihf libc6-dev-armhf-cross \
	musl-tools qemu-user dpkg-dev cmake gperf xz-utils bzip2

# Where the network tests find the programs.
export PORTICO_BUILD = $(abspath $(BUILD))

deps: ## install the Debian packages that are missing (as root)
	@tests/deps $(PACKAGES)

check: deps ## build, run every test
	+@$(MAKE) --no-print-directory all tests
	@tests/run $(UNIT) $(FUZZ) tests/systemd tests/openwrt/run

check-openwrt: deps all $(BUILD)/one ## test the OpenWrt package, its scripts and rules
	@tests/openwrt/run

check-vm: deps ## run the network tests on Debian's kernel in qemu (as root)
	@tests/deps $(VM_PACKAGES)
	+@$(MAKE) --no-print-directory all tests
	+@tests/vm/run $(VM_WORDS)

check-cross: deps ## test for MIPS, ARM and musl under qemu (CROSS="mips musl")
	@tests/deps $(CROSS_PACKAGES)
	+@tests/cross/run $(CROSS)

size: deps ## what programs, engine and a mapping take, beside the budgets
	@tests/deps $(CROSS_PACKAGES)
	+@tests/cross/size

check-long: deps ## what takes too long for check (as root)
	@tests/deps $(LONG_PACKAGES)
	+@$(MAKE) --no-print-directory all tests
	@tests/bench/engine_run --build $(BUILD) --count
	@tests/netns/run --long -j 1 handover restart
	@tests/netns/run --long -j 4 fault_

unit: $(UNIT) $(FUZZ) ## run the unit and property tests only
	@PORTICO_NETNS=no tests/run $(UNIT) $(FUZZ)

conformance: $(CONFORMANCE) ## test every requirement of the RFCs, a line each
	@tests/rfc/run $(CONFORMANCE)

demo: deps ## build, show real traffic crossing a throw-away network (as root)
	+@$(MAKE) --no-print-directory all tests
	@python3 tests/netns/demo.py

bench: deps ## measure against the kernel's NAT, into BUILD/bench.json (as root)
	+@$(MAKE) --no-print-directory all tests
	@tests/bench/run --build $(BUILD)

bench-quick: deps ## the same in a minute, good for a first look (as root)
	+@$(MAKE) --no-print-directory all tests
	@tests/bench/run --build $(BUILD) --quick

# A compile of its own: all of it runs, but slower, and counts what it reaches.
coverage: deps ## lines of nat/ and platform/ that tests reach; 6 min (as root)
	+@$(MAKE) --no-print-directory BUILD=$(BUILD)/coverage \
		CPPFLAGS='$(CPPFLAGS) -include tests/coverage.h' \
		CFLAGS='-O0 -g --coverage' all tests
	@tests/coverage $(BUILD)/coverage $(UNIT:$(BUILD)/%=$(BUILD)/coverage/%)

# FUZZ_TIME=60 FUZZ_PACKETS= FUZZ_ENGINE=libfuzzer|afl FUZZ_TARGETS=
FUZZ_ENGINE ?= libfuzzer
FUZZ_TARGETS ?=
FUZZ_CC_libfuzzer := clang
FUZZ_CC_afl := afl-clang-fast
FUZZ_SANITIZE_libfuzzer := -fsanitize=address,undefined,fuzzer-no-link \
	-fsanitize-coverage-ignorelist=tests/fuzz/coverage.ignore
FUZZ_SANITIZE_afl := -fsanitize=address,undefined
FUZZ_FLAGS = -O2 -g $(FUZZ_SANITIZE_$(FUZZ_ENGINE)) \
	-fno-sanitize-recover=all \
	-fsanitize-ignorelist=tests/fuzz/sanitize.ignore
FUZZ_BUILD = $(BUILD)/$(FUZZ_ENGINE)

fuzz: deps ## fuzz each target for FUZZ_TIME seconds, or FUZZ_PACKETS packets
	@tests/deps $(FUZZ_PACKAGES)
	+@$(MAKE) --no-print-directory BUILD=$(FUZZ_BUILD) \
		CC=$(FUZZ_CC_$(FUZZ_ENGINE)) CFLAGS='$(FUZZ_FLAGS)' \
		HARDENING= FUZZ_LINK=-fsanitize=fuzzer fuzz-programs
	@tests/fuzz/run --engine $(FUZZ_ENGINE) --build $(FUZZ_BUILD)/tests/fuzz \
		--out $(BUILD)/fuzz-$(FUZZ_ENGINE) $(FUZZ_TARGETS)

fuzz-programs: $(FUZZ)

lint: ## check style, sizes and the engine's purity
	@tests/deps $(LINT_PACKAGES)
	+@$(MAKE) --no-print-directory BUILD=$(BUILD)/lint WERROR=1 \
		CPPFLAGS='$(CPPFLAGS) -DNDEBUG' $(BUILD)/lint/libnat.a
	@CLANG_FORMAT=$(CLANG_FORMAT) tests/lint $(BUILD)/lint/libnat.a

format: ## put all C files into the house style
	$(CLANG_FORMAT) -i $$(find include nat platform tests -name '*.[ch]')

# --- installing ------------------------------------------------------------

loader: $(LOADER) ## build portico-bpf only

install-loader: loader
	install -d $(DESTDIR)$(PREFIX)/sbin
	install -m 755 $(LOADER) $(DESTDIR)$(PREFIX)/sbin/

install: all $(if $(LOADER),install-loader) ## install programs, unit, man pages, example (DESTDIR, PREFIX)
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin \
		$(DESTDIR)$(UNITDIR) $(DESTDIR)$(MANDIR)/man8 \
		$(DESTDIR)$(SYSCONFDIR)/portico $(DESTDIR)$(SYSUSERSDIR)
ifeq ($(ONE_PROGRAM),yes)
	install -m 755 $(BUILD)/one $(DESTDIR)$(PREFIX)/sbin/porticod
	ln -sf ../sbin/porticod $(DESTDIR)$(PREFIX)/bin/portico
else
	install -m 755 $(BUILD)/porticod $(DESTDIR)$(PREFIX)/sbin/
	install -m 755 $(BUILD)/portico $(DESTDIR)$(PREFIX)/bin/
endif
	sed 's|@PREFIX@|$(PREFIX)|g' platform/systemd/portico.service \
		>$(DESTDIR)$(UNITDIR)/portico.service
	chmod 644 $(DESTDIR)$(UNITDIR)/portico.service
	install -m 644 platform/systemd/portico.sysusers \
		$(DESTDIR)$(SYSUSERSDIR)/portico.conf
	install -m 644 platform/man/portico.8 platform/man/porticod.8 \
		$(DESTDIR)$(MANDIR)/man8/
	install -m 644 platform/portico.conf.example \
		$(DESTDIR)$(SYSCONFDIR)/portico/

uninstall: ## remove what install put there; your configuration stays
	@if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ] && \
	    command -v systemctl >/dev/null && \
	    [ -e $(UNITDIR)/portico.service ]; then \
		echo "systemctl disable --now portico"; \
		systemctl disable --now portico || \
		echo "the service could not be stopped" >&2; fi
	@if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ] && \
	    [ -x $(PREFIX)/sbin/porticod ]; then \
		echo "$(PREFIX)/sbin/porticod --remove-guard"; \
		$(PREFIX)/sbin/porticod --remove-guard || \
		echo "the guard could not be removed" >&2; fi
	rm -f $(DESTDIR)$(PREFIX)/sbin/porticod \
		$(DESTDIR)$(PREFIX)/sbin/portico-bpf \
		$(DESTDIR)$(PREFIX)/bin/portico \
		$(DESTDIR)$(UNITDIR)/portico.service \
		$(DESTDIR)$(SYSUSERSDIR)/portico.conf \
		$(DESTDIR)$(MANDIR)/man8/portico.8 \
		$(DESTDIR)$(MANDIR)/man8/porticod.8 \
		$(DESTDIR)$(SYSCONFDIR)/portico/portico.conf.example
	-@rmdir $(DESTDIR)$(SYSCONFDIR)/portico 2>/dev/null || true

# Of the last commit, the same bytes wherever it is made.
dist: ## make BUILD/portico-VERSION.tar.xz, as the OpenWrt package wants it
	@mkdir -p $(BUILD)
	git archive --prefix=portico-$(VERSION)/ \
		-o $(BUILD)/portico-$(VERSION).tar HEAD
	xz -9 -T1 -f $(BUILD)/portico-$(VERSION).tar

clean: ## remove everything that was built
	rm -rf $(BUILD)

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | \
		awk -F '\t' '{ printf "  make %-13s %s\n", $$1, $$2 }'

.PHONY: all always bench bench-quick check check-cross check-long check-openwrt \
	check-vm clean conformance coverage demo deps dist format fuzz \
	fuzz-programs help install install-loader lint loader size tests uninstall unit
.SECONDARY:
.DELETE_ON_ERROR:
