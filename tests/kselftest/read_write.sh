#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What is written is read back, past the page cache and through it.

. "$(dirname "$0")/rnvme_lib.sh"

# Pieces of $1 bytes, $2 of them, at offset $3.
there_and_back() {
	random_file "$work/data" $(($1 * $2))
	dd if="$work/data" of="$node" bs="$1" seek="$3" oflag=direct,seek_bytes conv=notrunc status=none &&
		dd if="$node" bs="$1" count="$2" skip="$3" iflag=direct,skip_bytes status=none | cmp - "$work/data"
}

through_the_cache() {
	random_file "$work/data" 1048576
	dd if="$work/data" of="$node" bs=10000 oflag=seek_bytes seek=1000001 conv=notrunc,fsync status=none &&
		blockdev --flushbufs "$node" &&
		dd if="$node" bs=64k iflag=skip_bytes,count_bytes skip=1000001 count=1048576 status=none | cmp - "$work/data"
}

neighbours_stay() {
	random_file "$work/around" $((block * 3))
	random_file "$work/middle" "$block"
	dd if="$work/around" of="$node" bs="$block" oflag=direct conv=notrunc status=none &&
		dd if="$work/middle" of="$node" bs="$block" seek=1 oflag=direct conv=notrunc status=none &&
		dd if="$node" of="$work/read" bs="$block" count=3 iflag=direct status=none || return 1
	dd if="$work/middle" of="$work/around" bs="$block" seek=1 conv=notrunc status=none
	cmp "$work/read" "$work/around"
}

begin 7
check "single blocks" there_and_back "$block" 64 0
check "three blocks at a time, from the second block on" there_and_back $((3 * block)) 40 "$block"
check "64 KiB" there_and_back 65536 16 "$((5 * block))"
check "1 MiB less a block, from the last block of a page's worth" there_and_back $((1048576 - block)) 3 "$((4096 - 4096 % block))"
check "3 MiB in one call" there_and_back 3145728 1 0
check "odd offsets through the page cache" through_the_cache
check "a block's neighbours keep their data" neighbours_stay
ktap_finished
