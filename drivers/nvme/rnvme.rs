// SPDX-License-Identifier: GPL-2.0

//! rnvme: a block driver for NVM Express controllers on PCI Express.
//!
//! This file is the crate's root: the module, its parameters, and the PCI identifiers it serves.
//! What happens at probe and removal stands in `controller`; Documentation/architecture.md gives
//! the overview.
//!
//! To try it in QEMU: `-drive file=disk.img,if=none,id=d -device nvme,serial=1,drive=d`.

#![forbid(unsafe_code)]

mod admin;
mod behavior;
mod cmb;
mod controller;
mod counters;
mod describe;
mod discard;
mod doorbell;
mod failure;
mod hardware;
mod instance;
mod io;
mod io_queue;
mod limits;
#[cfg(rnvme_self_test)]
mod mistakes;
mod namespace;
mod own_command;
mod placement;
mod protection;
mod queue;
mod registers;
mod show;
mod zoned;

use controller::Controller;
use kernel::{device::Core, pci, prelude::*};

/// Class code 010802h: mass storage, non-volatile memory, NVM Express I/O controller.
const CLASS_NVME: u32 = 0x010802;
/// All of the class code's 24 bits.
const CLASS_MASK: u32 = 0xff_ffff;

struct RnvmeDriver;

kernel::pci_device_table!(
    PCI_TABLE,
    <RnvmeDriver as pci::Driver>::IdInfo,
    [(pci::DeviceId::from_class(CLASS_NVME, CLASS_MASK), ())]
);

impl pci::Driver for RnvmeDriver {
    type IdInfo = ();
    type Data<'bound> = Controller<'bound>;
    const ID_TABLE: pci::IdTable<Self::IdInfo> = &PCI_TABLE;

    fn probe<'bound>(
        pdev: &'bound pci::Device<Core<'_>>,
        _info: Option<&'bound Self::IdInfo>,
    ) -> impl PinInit<Self::Data<'bound>, Error> + 'bound {
        #[cfg(rnvme_self_test)]
        mistakes::probe(pdev);
        Controller::probe(pdev)
    }
}

kernel::module_pci_driver! {
    type: RnvmeDriver,
    name: "rnvme",
    authors: ["The rnvme developers"],
    description: "NVM Express PCI block driver in Rust",
    license: "GPL v2",
    params: {
        io_queue_depth: u32 {
            default: 1024,
            description: "Entries of an I/O submission queue, 2 to 4096; less if the controller has less",
        },
        prp_list_room: u32 {
            default: 512,
            description: "Entries of a PRP list's first page to use, 2 to 512; fewer for testing",
        },
        sgl_threshold: u32 {
            default: 32768,
            description: "Average bytes of a memory range from which on SGLs are used, if the controller has them; 0 for never but for gaps",
        },
        shadow_doorbells: u8 {
            default: 1,
            description: "Ring doorbells in memory, if the controller looks there; 0 for never",
        },
        use_cmb_sqes: u8 {
            default: 1,
            description: "Put I/O submission queues into the controller's memory, if it has any for them; 0 for never",
        },
        max_retries: u32 {
            default: 5,
            description: "How often to send a request again whose command failed, 0 to 255",
        },
        write_queues: u32 {
            default: 0,
            description: "I/O queues for writes alone; 0 has reads and writes share theirs",
        },
        poll_queues: u32 {
            default: 0,
            description: "I/O queues without interrupt, for polled I/O",
        },
        max_io_queues: u32 {
            default: 0,
            description: "The most I/O queue pairs to use; 0 for one per CPU",
        },
    },
}
