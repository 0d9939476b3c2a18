#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The disk's limits make sense, and every CPU has one hardware queue.

. "$(dirname "$0")/rnvme_lib.sh"

is_power_of_two() {
	[ "$1" -gt 0 ] && [ $(($1 & ($1 - 1))) -eq 0 ]
}

blocks_make_sense() {
	physical=$(cat "$queue/physical_block_size")
	echo "logical $block, physical $physical"
	is_power_of_two "$block" && [ "$block" -ge 512 ] && [ "$block" -le 65536 ] &&
		is_power_of_two "$physical" && [ "$physical" -ge "$block" ]
}

size_is_whole_blocks() {
	bytes=$(blockdev --getsize64 "$node")
	echo "$bytes bytes, $(cat "/sys/block/$disk/size") sectors"
	[ "$bytes" -gt 0 ] && [ $((bytes % block)) -eq 0 ] && [ "$bytes" -eq $(($(cat "/sys/block/$disk/size") * 512)) ]
}

transfer_makes_sense() {
	most=$(cat "$queue/max_hw_sectors_kb")
	used=$(cat "$queue/max_sectors_kb")
	echo "at most $most KiB, $used KiB used"
	[ "$most" -ge 4 ] && [ "$used" -le "$most" ]
}

boundary_is_a_page_or_none() {
	boundary=$(cat "$queue/virt_boundary_mask")
	echo "virtual boundary $boundary"
	# PRP entries name pages; with scatter gather lists there is no boundary.
	[ "$boundary" -eq 4095 ] || [ "$boundary" -eq 0 ]
}

every_cpu_has_one_queue() {
	for cpu in /sys/devices/system/cpu/cpu[0-9]*; do
		number=${cpu##*/cpu}
		queues=$(cat "/sys/block/$disk"/mq/*/cpu_list | tr -d ' ' | tr ',' '\n' | grep -cx "$number")
		echo "CPU $number: $queues queues"
		[ "$queues" -eq 1 ] || return 1
	done
}

begin 5
check "block sizes are powers of two in range" blocks_make_sense
check "the size is whole blocks" size_is_whole_blocks
check "the largest transfer is at least a page" transfer_makes_sense
check "the virtual boundary is a page, or there is none" boundary_is_a_page_or_none
check "every CPU has exactly one hardware queue" every_cpu_has_one_queue
ktap_finished
