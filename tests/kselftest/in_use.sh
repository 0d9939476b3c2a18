#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The module stays while a disk is open, and the disk works on.

. "$(dirname "$0")/rnvme_lib.sh"

refused_and_unharmed() {
	fails_with "in use" rmmod rnvme && [ -d /sys/module/rnvme ] && [ -b "$node" ]
}

reads() {
	dd if="$node" of=/dev/null bs=64k count=4 iflag=direct status=none
}

users() {
	cat /sys/module/rnvme/refcnt
}

begin 4
idle=$(users)
exec 9<"$node"
check "an open disk holds a reference on the module" [ "$(users)" -gt "$idle" ]
check "rmmod is refused while the disk is open" refused_and_unharmed
check "the disk still reads" reads
exec 9<&-
check "closing gives the reference back" [ "$(users)" -eq "$idle" ]
ktap_finished
