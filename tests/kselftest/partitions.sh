#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A partition table is seen when it is written and after the disk comes back,
# and a partition is the part of the disk that the table says.

. "$(dirname "$0")/rnvme_lib.sh"

mib=1048576

write_table() {
	printf 'label: gpt\nstart=%d, size=%d\nstart=%d, size=%d\n' $((mib / block)) $((mib / block)) \
		$((3 * mib / block)) $((2 * mib / block)) | sfdisk --quiet "$node"
}

have_sizes() {
	sizes=$(blockdev --getsize64 "${node}p1" "${node}p2" | tr '\n' ' ')
	echo "sizes: $sizes"
	[ "$sizes" = "$mib $((2 * mib)) " ]
}

data_lies_where_said() {
	random_file "$work/data" 65536
	dd if="$work/data" of="${node}p2" bs=64k seek=1 oflag=direct conv=notrunc status=none &&
		dd if="$node" bs=64k count=1 skip=$((3 * mib + 65536)) iflag=direct,skip_bytes status=none | cmp - "$work/data"
}

ends_where_said() {
	fails_with "No space left" dd if=/dev/zero of="${node}p1" bs=64k count=1 seek="$mib" oflag=direct,seek_bytes conv=notrunc
}

scanned_again() {
	blockdev --rereadpt "$node" && await "[ -b ${node}p2 ]" && have_sizes
}

gone_with_the_table() {
	dd if=/dev/zero of="$node" bs=$mib count=1 oflag=direct conv=notrunc status=none &&
		blockdev --rereadpt "$node" && await "[ ! -e /sys/block/$disk/${disk}p1 ]"
}

begin 6
check "a table can be written" write_table
check "the partitions are there with their sizes" have_sizes
check "data lies where the table says" data_lies_where_said
check "nothing is written past a partition" ends_where_said
check "the partitions are found again" scanned_again
check "they go with the table" gone_with_the_table
ktap_finished
