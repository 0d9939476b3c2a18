#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The last block works, nothing behind it does, and refusals do no harm.

. "$(dirname "$0")/rnvme_lib.sh"

last_block_works() {
	random_file "$work/data" "$block"
	dd if="$work/data" of="$node" bs="$block" seek=$((end - block)) oflag=direct,seek_bytes conv=notrunc status=none &&
		dd if="$node" bs="$block" count=1 skip=$((end - block)) iflag=direct,skip_bytes status=none | cmp - "$work/data"
}

nothing_is_read_behind() {
	[ "$(dd if="$node" bs="$block" count=1 skip="$end" iflag=direct,skip_bytes status=none | wc -c)" -eq 0 ]
}

begin 5
end=$(blockdev --getsize64 "$node")
check "the last block is written and read" last_block_works
check "a read behind the end gives nothing" nothing_is_read_behind
check "a write behind the end is refused" fails_with "No space left" \
	dd if=/dev/zero of="$node" bs="$block" count=1 seek="$end" oflag=direct,seek_bytes conv=notrunc
check "a read of half a block is refused" fails_with "Invalid argument" \
	dd if="$node" of=/dev/null bs=$((block / 2)) count=1 iflag=direct
check "the last block still works" last_block_works
ktap_finished
