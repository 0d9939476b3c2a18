#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Binds rnvme to a device again and again, each time with another allocation of the
# binding task failing: FIRST, FIRST+STEP, and so on, until a bind ends before its
# turn has come. Prints a line for each: its number, how it ended, and the message
# or the number of disks. Relies on fault injection being set up.
#
# usage: allocation_walk.sh FIRST STEP ADDRESS

set -u
first=$1 step=$2 address=$3
most=$((first + step * 2000))
device=/sys/bus/pci/devices/$address
driver=/sys/bus/pci/drivers/rnvme
messages=$(mktemp)

# Enabling a PCI device evaluates the firmware's interrupt routing, in which ACPICA
# uses freed memory when an allocation fails: a report that is none of the driver's.
# For a device that is enabled already it is not evaluated again.
echo 1 >"$device/enable"

# Opening a file allocates, so what is used while allocations fail is opened before.
exec 6>"$driver/unbind" 8>/proc/self/fail-nth 9>"$driver/bind" 2>>"$messages"

# The partition scan has read from a disk that is there; every eighth time we read from it, too: starting a
# program takes as long as the bind under the debug kernel's checks.
count_disks() {
	local disk node major minor good=0
	for disk in /sys/block/rnvme*; do
		[ -e "$disk" ] || continue
		if [ $(((n / step) % 8)) != 0 ]; then
			good=$((good + 1))
			continue
		fi
		node=/dev/${disk##*/}
		# The kernel goes on without a node in /dev when it has no memory for it.
		if [ ! -e "$node" ]; then
			node=/tmp/node
			IFS=: read -r major minor <"$disk/dev"
			rm -f $node
			mknod $node b "$major" "$minor"
		fi
		dd if="$node" of=/dev/null bs=64k count=1 skip=16 iflag=direct status=none && good=$((good + 1))
	done
	found=$good
}

# Whether the device is as before: unbound, enabled by us alone, without disks.
is_clean() {
	local enabled disks
	read -r enabled <"$device/enable"
	disks=(/sys/block/rnvme*)
	[ ! -e "$device/driver" ] && [ "$enabled" = 1 ] && [ ! -e "${disks[0]}" ]
}

for ((n = first; n < most; n += step)); do
	: >"$messages"
	exec 7</proc/self/fail-nth
	echo "allocation $n fails" >/dev/kmsg
	echo "$n" >&8
	status=0
	echo "$address" >&9 || status=1
	read -r left <&7
	echo 0 >&8
	exec 7<&-
	if [ $status = 0 ]; then
		count_disks
		echo "$n bound $found"
		echo "$address" >&6
	else
		read -r message <"$messages"
		if is_clean; then how=failed; else how=left_behind; fi
		echo "$n $how ${message##*write error: }"
	fi
	if [ "$left" != 0 ]; then
		echo "$n end $left"
		echo 0 >"$device/enable"
		exit 0
	fi
done
echo "$n unfinished"
exit 1
