# SPDX-License-Identifier: GPL-2.0
#
# The targets that people use; the work is done by scripts/rnvme.py, and the
# module's own makefile is Kbuild. Needs make and python3 (3.9 or newer).

PYTHON ?= python3
KDIR ?=
RNVME := $(PYTHON) $(CURDIR)/scripts/rnvme.py
# What a person may set for kbuild on the command line goes on to it.
KBUILD_VARS := $(foreach v,CC LLVM V W CLIPPY,$(if $(filter command line,$(origin $(v))),$(v)=$($(v))))

export TESTS KERNEL TIME RNVME_DRIVER

.PHONY: module run test shell check clean distclean help
module: ## build rnvme.ko for the stock Debian kernel, or against KDIR=/a/prepared/tree
	@$(RNVME) module $(if $(KDIR),--kdir $(KDIR)) $(KBUILD_VARS)

run: ## boot the stock kernel in QEMU, load the module, run fio on every disk, print a table
	@$(RNVME) run

test: ## run every test (TESTS="word or word" picks some by name)
	@$(RNVME) test

shell: ## an interactive guest with the module loaded (exit ends it)
	@$(RNVME) shell

check: ## formatting, lints and the tests that need no guest
	@$(RNVME) check

clean: ## remove what was built (build/)
	@$(RNVME) clean

distclean: ## remove what was built and the cache (RNVME_CACHE, by default ~/.cache/rnvme)
	@$(RNVME) distclean

help: ## this list
	@sed -n 's/^\([a-z]*\): ## /\1|/p' $(firstword $(MAKEFILE_LIST)) | while IFS='|' read -r target text; do \
		printf '  make %-10s %s\n' "$$target" "$$text"; done
