# SPDX-License-Identifier: GPL-2.0
#
# The targets that people use; the work is done by scripts/rnvme.py, and the
# module's own makefile is Kbuild. Needs make and python3 (3.9 or newer).

PYTHON ?= python3
KDIR ?=
RNVME := $(PYTHON) $(CURDIR)/scripts/rnvme.py
# What a person may set for kbuild on the command line goes on to it.
KBUILD_VARS := $(foreach v,CC LLVM V W CLIPPY,$(if $(filter command line,$(origin $(v))),$(v)=$($(v))))

export TESTS KERNEL TIME ROUNDS MINUTES GROW FAULT GUESTS KEEP RNVME_DRIVER RNVME_SEED

.PHONY: module run test shell check kunit fuzz faults soak gdb oops clean distclean help
module: ## build rnvme.ko for the stock Debian kernel, or against KDIR=/a/prepared/tree
	@$(RNVME) module $(if $(KDIR),--kdir $(KDIR)) $(KBUILD_VARS)

run: ## boot the stock kernel in QEMU, load the module, run fio on every disk, print a table
	@$(RNVME) run

test: ## run every test (TESTS="word or word" picks some by name, KERNEL=stock|debug one of the kernels)
	@$(RNVME) test

shell: ## an interactive guest with the module loaded (exit ends it)
	@$(RNVME) shell

check: ## formatting, lints and the tests that need no guest
	@$(RNVME) check

kunit: ## run the KUnit suites in User Mode Linux (KERNEL=debug: in a guest with the debug kernel)
	@$(RNVME) kunit

fuzz: ## fuzz the parsers for TIME=5m in all (GROW=1 keeps what was found in the tree's corpus)
	@$(RNVME) fuzz

faults: ## try the driver with a controller that misbehaves, a guest a fault (FAULT=pattern, DRIVER=rnvme|nvme, SEED=n, KERNEL=stock|debug, GUESTS=2 at once; KEEP=1 renews the results of what FAULT picks)
	@RNVME_DRIVER="$(or $(DRIVER),$(RNVME_DRIVER))" RNVME_SEED="$(or $(SEED),$(RNVME_SEED))" $(RNVME) faults

soak: ## run what make test has no time for, and keep the results in Documentation/results (TIME=10m a fuzz target, ROUNDS=200 at most of each story, MINUTES=30 of everything at once)
	@$(RNVME) soak

gdb: ## a guest with the module loaded, in gdb (KERNEL=debug for the debug kernel)
	@$(RNVME) gdb

oops: ## add file and line to the frames of rnvme.ko in a kernel log, LOG=file
	@$(RNVME) oops "$(LOG)"

clean: ## remove what was built (build/)
	@$(RNVME) clean

distclean: ## remove what was built and the cache (RNVME_CACHE, by default ~/.cache/rnvme)
	@$(RNVME) distclean

help: ## this list
	@sed -n 's/^\([a-z]*\): ## /\1|/p' $(firstword $(MAKEFILE_LIST)) | while IFS='|' read -r target text; do \
		printf '  make %-10s %s\n' "$$target" "$$text"; done
