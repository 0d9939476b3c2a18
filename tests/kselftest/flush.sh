#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# fsync flushes a volatile write cache, and only that.

. "$(dirname "$0")/rnvme_lib.sh"

# Flush requests that the block layer has completed: field 16 of the statistics.
flushes() {
	awk '{ print $16 }' "/sys/block/$disk/stat"
}

# How many flushes so many synced writes take.
cost() {
	before=$(flushes)
	for at in $(seq "$1"); do
		dd if=/dev/zero of="$node" bs="$block" count=1 seek="$at" oflag=direct conv=notrunc,fsync status=none || return 1
	done
	echo $(($(flushes) - before))
}

cache_is_said() {
	[ "$(cat "$queue/write_cache")" = "write back" ] || [ "$(cat "$queue/write_cache")" = "write through" ]
}

fua_goes_with_the_cache() {
	[ "$(cat "$queue/write_cache")" = "write back" ] || [ "$(cat "$queue/fua")" = 0 ]
}

flushed_as_needed() {
	case $(cat "$queue/write_cache") in
	"write back") wanted=5 ;;
	*) wanted=0 ;;
	esac
	spent=$(cost 5)
	echo "$spent flushes for 5 synced writes, $wanted expected"
	[ "$spent" = "$wanted" ]
}

not_flushed_without_cache() {
	mode=$(cat "$queue/write_cache")
	echo "write through" >"$queue/write_cache"
	spent=$(cost 5)
	echo "$mode" >"$queue/write_cache"
	[ "$spent" = 0 ]
}

begin 4
check "the disk says whether it has a volatile cache" cache_is_said
check "forced unit access is only used with a cache" fua_goes_with_the_cache
check "each synced write costs a flush if there is a cache" flushed_as_needed
check "none does once the cache is said to be write through" not_flushed_without_cache
ktap_finished
