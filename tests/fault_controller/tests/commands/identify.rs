// SPDX-License-Identifier: MIT

//! Identify, and what holds for all admin commands: what cannot be is refused with its own status.

use nvme_proto::command::{Cns, Command};
use nvme_proto::sgl::{Descriptor, DescriptorType};
use nvme_proto::status::Status;

use super::{code, raw, Driver};

/// The status of an Identify.
fn identify(driver: &mut Driver, nsid: u32, cns: u32, csi: u32) -> Status {
    let command = raw(0x06, nsid, &[cns, csi << 24]);
    let (completion, _) = driver.fetch(command, 4096);
    code(&completion)
}

#[test]
fn no_list_goes_on_behind_the_last_identifier() {
    let mut driver = Driver::usual();
    for cns in [0x02, 0x07] {
        for (nsid, status) in [
            (0, Status::SUCCESS),
            (0xffff_fffd, Status::SUCCESS),
            (0xffff_fffe, Status::INVALID_NAMESPACE_OR_FORMAT),
            (0xffff_ffff, Status::INVALID_NAMESPACE_OR_FORMAT),
        ] {
            let got = identify(&mut driver, nsid, cns, 0);
            assert_eq!(got, status, "CNS {cns:#x}, NSID {nsid:#x}");
        }
    }
}

#[test]
fn a_structure_that_is_none_is_an_invalid_field_whatever_the_namespace() {
    let mut driver = Driver::usual();
    for nsid in [0, 1, 200, 0xffff_ffff] {
        for (cns, csi) in [(0x1f, 0), (0xff, 0), (0x05, 2), (0x06, 2), (0x07, 2)] {
            let got = identify(&mut driver, nsid, cns, csi);
            assert_eq!(got, Status::INVALID_FIELD, "CNS {cns:#x}, NSID {nsid:#x}");
        }
    }
    let absent = identify(&mut driver, 0, 0x00, 0);
    assert_eq!(absent, Status::INVALID_NAMESPACE_OR_FORMAT);
}

#[test]
fn admin_commands_are_not_fused_and_have_no_sgl() {
    let mut driver = Driver::usual();
    let addr = driver.heap.take(1);
    let kind = DescriptorType::DataBlock;
    let sgl = Descriptor {
        addr,
        len: 4096,
        kind,
    };
    let command = Command::identify(0, Cns::Controller, 0);
    let refused = driver.send(0, command.with_sgl(sgl));
    assert_eq!(code(&refused), Status::INVALID_FIELD, "PSDT 01b");
    for flags in [1, 2, 0x80] {
        let mut command = command.with_data(addr, 0);
        command.flags = flags;
        let refused = driver.send(0, command);
        assert_eq!(code(&refused), Status::INVALID_FIELD, "flags {flags:#x}");
    }
    assert_eq!(driver.heap.read(addr, 4096), [0; 4096], "nothing was moved");
}
