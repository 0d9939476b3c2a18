#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The driver lets go of the controller, also with the disk open, and takes it again.

. "$(dirname "$0")/rnvme_lib.sh"

driver=/sys/bus/pci/drivers/rnvme

disk_now() {
	for one in /sys/block/rnvme*n"${disk##*n}"; do
		[ "$(readlink -f "$one/device")" = "$pci" ] && echo "${one##*/}"
	done
}

unbind() {
	echo "${pci##*/}" >"$driver/unbind" && [ ! -e "$pci/driver" ] && [ -z "$(disk_now)" ]
}

nothing_left() {
	[ ! -e "$pci/model" ] && [ ! -e "$pci/counters" ]
}

bind() {
	echo "${pci##*/}" >"$driver/bind" && [ -e "$pci/driver" ] && await "[ -b $node ]" && [ "$(disk_now)" = "$disk" ]
}

same_data() {
	dd if="$node" bs=64k count=16 iflag=direct status=none | cmp - "$work/data"
}

begin 8
random_file "$work/data" 1048576
dd if="$work/data" of="$node" bs=64k oflag=direct conv=notrunc status=none
check "the controller is let go" unbind
check "nothing of it is left in sysfs" nothing_left
check "it is taken again, by the same name" bind
check "the data is the same" same_data
exec 9<>"$node"
check "it is let go while the disk is open" unbind
check "a write to the disk that was is refused" fails_with "dd: " \
	bash -c 'dd if=/dev/zero bs=4k count=1 conv=notrunc,fsync status=none >&9'
exec 9<&-
check "it is taken again after that" bind
check "the data is still the same" same_data
ktap_finished
