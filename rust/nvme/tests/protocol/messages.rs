// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What a person reads in the log when a device is refused: word by word, since what it says and
//! which number it names is all that there is to go on.

use nvme_proto::identify::{DescriptorError, NamespaceListError, NamespaceRefused, Nidt, Text};
use nvme_proto::limits::ControllerRefused;
use nvme_proto::protection::MetadataRefused;
use nvme_proto::prp::LayoutError;

/// Each message with the one expected; one line each.
fn assert_messages<const N: usize>(messages: [(String, &str); N]) {
    for (said, expected) in messages {
        println!("{said}");
        assert_eq!(said, expected);
        assert!(said.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    }
}

#[test]
fn a_refused_controller_learns_which_register_is_to_blame() {
    let said = |refused: ControllerRefused| refused.to_string();
    assert_messages([
        (
            said(ControllerRefused::Gone),
            "registers read as all ones: the device is gone",
        ),
        (
            said(ControllerRefused::NoQueueEntries),
            "CAP.MQES is 0: a queue needs 2 entries; the device is broken",
        ),
        (
            said(ControllerRefused::PageSize(8192)),
            "CAP.MPSMIN needs pages of 8192 bytes; the host has 4096",
        ),
        (
            said(ControllerRefused::NoNvmCommandSet(0x80)),
            "CAP.CSS is 0x80: no NVM Command Set, so no disks",
        ),
        (
            said(ControllerRefused::DoorbellsOutsideBar(4096)),
            "the admin doorbells lie outside of BAR 0 (4096 bytes)",
        ),
    ]);
}

#[test]
fn a_refused_namespace_learns_what_is_wrong_and_how_to_mend_it() {
    let said = |refused: NamespaceRefused| refused.to_string();
    assert_messages([
        (
            said(NamespaceRefused::Inactive),
            "has no capacity: it is not active",
        ),
        (
            said(NamespaceRefused::FormatIndex { index: 5, last: 4 }),
            "uses format 5, but the last one is 4",
        ),
        (
            said(NamespaceRefused::BlockSize(8)),
            "has logical blocks of 2^8 bytes; 2^9 to 2^16 are supported",
        ),
        (
            said(NamespaceRefused::Capacity {
                blocks: u64::MAX,
                lba_shift: 12,
            }),
            "claims 18446744073709551615 blocks of 2^12 bytes, more than a disk can have",
        ),
        (
            said(NamespaceRefused::Metadata(MetadataRefused::Interleaved(8))),
            "has 8 bytes of metadata among the data; format it with a separate buffer",
        ),
    ]);
}

#[test]
fn a_broken_list_is_reported_with_the_entry_that_ended_it() {
    let previous = 9;
    assert_messages([
        (
            NamespaceListError::NotAscending { previous, found: 2 }.to_string(),
            "namespace list: 2 after 9, which is not ascending; the rest is left out",
        ),
        (
            NamespaceListError::Reserved(u32::MAX).to_string(),
            "namespace list: 0xffffffff is no namespace; the rest is left out",
        ),
    ]);
}

#[test]
fn a_broken_descriptor_is_reported_with_its_type_and_length() {
    let nidl = 16;
    assert_messages([
        (
            DescriptorError::Length {
                nidt: Nidt::Csi,
                nidl,
            }
            .to_string(),
            "namespace descriptor Csi has a wrong length, 16",
        ),
        (
            DescriptorError::Overrun {
                nidt: Nidt::Other(200),
                nidl,
            }
            .to_string(),
            "namespace descriptor Other(200) of 16 bytes runs past the list",
        ),
        (
            DescriptorError::Repeated(Nidt::Uuid).to_string(),
            "namespace descriptor Uuid comes twice",
        ),
    ]);
}

#[test]
fn a_transfer_that_cannot_be_laid_out_says_why() {
    let said = |error: LayoutError<&str>| error.to_string();
    assert_messages([
        (
            said(LayoutError::Memory("pool empty")),
            "no memory for a PRP list page: pool empty",
        ),
        (
            said(LayoutError::Misaligned),
            "data or a list page is not aligned as PRP entries need",
        ),
        (
            said(LayoutError::Length),
            "the data segments do not add up to the length",
        ),
        (
            said(LayoutError::TooLong),
            "more data than one command can describe",
        ),
    ]);
}

#[test]
fn a_devices_own_words_look_the_same_in_every_kind_of_log() {
    let text = Text::new(b" ab\x07c \0xyz");
    assert_eq!(
        (text.to_string(), format!("{text:?}")),
        ("ab?c".into(), "ab?c".into())
    );
}
