#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What rnvme's selftests share. A test sources this file, calls `begin` with the
# number of its checks, then `check` for each, then `ktap_finished`. Relies on the
# kernel's ktap_helpers.sh, installed beside this file or where kselftest puts it.
#
# shellcheck disable=SC2034 # The variables set here are the tests'.

here=$(dirname "$0")
for helpers in "$here/ktap_helpers.sh" "$here/../kselftest/ktap_helpers.sh"; do
	[ -e "$helpers" ] && break
done
# A script that dies here would end with 2, which the runner takes for an expected failure.
[ -e "$helpers" ] || { echo "Bail out! ktap_helpers.sh is missing: use make install"; exit 1; }
# shellcheck source=/dev/null
. "$helpers"

# Sets what the tests use: disk (its name), node, queue, pci (its device in sysfs), block (logical block size), work (scratch folder).
begin() {
	ktap_print_header
	if [ -z "${RNVME_TEST_DISK:-}" ]; then
		ktap_skip_all "set RNVME_TEST_DISK to an rnvme disk whose data may be lost"
		exit "$KSFT_SKIP"
	fi
	ktap_set_plan "$1"
	disk=${RNVME_TEST_DISK#/dev/}
	node=/dev/$disk
	case $disk in
	rnvme*n*) ;;
	*) ktap_exit_fail_msg "RNVME_TEST_DISK=$disk is no rnvme disk" ;;
	esac
	if [ ! -b "$node" ] || [ ! -d "/sys/block/$disk" ]; then
		ktap_exit_fail_msg "there is no whole disk $node"
	fi
	pci=$(readlink -f "/sys/block/$disk/device")
	controller=${disk%n*}
	! in_use "$controller" || ktap_exit_fail_msg "a disk of $controller is mounted or otherwise in use"
	queue=/sys/block/$disk/queue
	block=$(cat "$queue/logical_block_size")
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
}

# Whether a disk of this controller, or a partition, is mounted, swapped to, or part of another device.
in_use() {
	grep -Eq "^/dev/$1n[0-9]+(p[0-9]+)? " /proc/mounts /proc/swaps && return 0
	for holders in /sys/block/"$1"n*/holders /sys/block/"$1"n*/"$1"n*p*/holders; do
		[ -d "$holders" ] && [ -n "$(ls "$holders")" ] && return 0
	done
	return 1
}

# check DESCRIPTION COMMAND...: one result; what the command printed is shown when it failed.
check() {
	description=$1
	shift
	if output=$("$@" 2>&1); then
		ktap_test_pass "$description"
	else
		echo "# ${output//$'\n'/$'\n'# }"
		ktap_test_fail "$description"
	fi
}

# Whether a command fails, and says the given words.
fails_with() {
	words=$1
	shift
	if said=$("$@" 2>&1); then
		echo "it did not fail: $*"
		return 1
	fi
	echo "$said"
	echo "$said" | grep -q "$words"
}

# Waits up to 10 s for a command to succeed.
await() {
	timeout 10 bash -c "until $*; do sleep 0.1; done"
}

# A file of random bytes, so long.
random_file() {
	head -c "$2" /dev/urandom >"$1"
}
