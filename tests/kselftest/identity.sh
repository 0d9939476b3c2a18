#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The disk says whose it is: its PCI device, driver, model and serial number.

. "$(dirname "$0")/rnvme_lib.sh"

parent_is_pci_nvme() {
	[ "$(basename "$(readlink "$pci/subsystem")")" = pci ] && [ "$(cat "$pci/class")" = 0x010802 ]
}

driver_is_rnvme() {
	[ "$(basename "$(readlink "$pci/driver")")" = rnvme ]
}

attribute_is_text() {
	value=$(cat "$pci/$1")
	echo "$1: '$value'"
	[ -n "$value" ] && [ "$(printf %s "$value" | tr -d '[:print:]')" = "" ]
}

lsblk_agrees() {
	shown=$(lsblk --nodeps --noheadings --output MODEL "$node" | sed 's/ *$//')
	echo "lsblk: '$shown'"
	[ "$shown" = "$(cat "$pci/model")" ]
}

disk_is_writable_and_fixed() {
	[ "$(cat "/sys/block/$disk/ro" "/sys/block/$disk/removable" | tr -d '\n')" = 00 ]
}

begin 7
check "the parent is a PCI device of the NVMe class" parent_is_pci_nvme
check "the driver is rnvme" driver_is_rnvme
check "the model is printable text" attribute_is_text model
check "the serial number is printable text" attribute_is_text serial
check "the firmware revision is printable text" attribute_is_text firmware_rev
check "lsblk shows the model" lsblk_agrees
check "the disk is neither read-only nor removable" disk_is_writable_and_fixed
ktap_finished
