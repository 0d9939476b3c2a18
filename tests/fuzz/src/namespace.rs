// SPDX-License-Identifier: GPL-2.0

//! Identify Namespace, and the disk that it makes.

use nvme_proto::identify::{IdentifyNamespace, NamespaceFormat, NamespaceRefused};
use nvme_proto::limits::io_transfer;
use nvme_proto::protection::Metadata;

use crate::input::{assert_loggable, identify_data, number, Input};

/// The vendor specific part: no parser reads it, so it holds what the test itself has to choose.
const CHOICES: usize = 384;

/// An Identify Namespace data structure; what is missing at its end is zeros.
pub(crate) fn identify_namespace(data: &[u8]) {
    assert_eq!(
        IdentifyNamespace::ref_from(data).is_some(),
        data.len() >= 4096
    );
    let bytes = identify_data(data);
    let namespace = IdentifyNamespace::ref_from(&bytes).expect("4096 bytes");
    let mut choices = Input::new(&bytes[CHOICES..]);
    // What was once chosen here; the corpus still has it.
    choices.u16();

    let faults = faults(&bytes);
    assert_metadata(namespace, &bytes);
    match namespace.format() {
        Ok(format) => {
            assert_eq!(faults, [], "taken in spite of it");
            assert_sizes(&format, &bytes);
            assert_transfer(&format, choices.u64(), choices.u32());
        }
        Err(refused) => {
            assert!(
                faults.contains(&refused),
                "{refused}, which is not so: {faults:?}"
            );
            assert_loggable(&refused.to_string());
        }
    }
}

/// The index of the format in use and its bytes.
fn lba_format(bytes: &[u8]) -> (u8, u8, &[u8]) {
    let (nlbaf, nulbaf, flbas) = (bytes[25], bytes[82], bytes[26]);
    let last = nlbaf.saturating_add(nulbaf);
    let upper = if last >= 16 { (flbas >> 5) & 3 } else { 0 };
    let index = upper * 16 + flbas % 16;
    (index, last, &bytes[128 + usize::from(index) * 4..][..4])
}

/// Everything for which a namespace has to be refused.
fn faults(bytes: &[u8]) -> Vec<NamespaceRefused> {
    let mut faults = Vec::new();
    let (index, last, lbaf) = lba_format(bytes);
    let (blocks, lba_shift) = (number::<8>(bytes, 0), lbaf[2]);
    if blocks == 0 || number::<8>(bytes, 8) == 0 {
        faults.push(NamespaceRefused::Inactive);
    }
    if index > last {
        faults.push(NamespaceRefused::FormatIndex { index, last });
    }
    if !(9..=16).contains(&lba_shift) {
        faults.push(NamespaceRefused::BlockSize(lba_shift));
    } else if (u128::from(blocks) << lba_shift) > i64::MAX as u128 {
        faults.push(NamespaceRefused::Capacity { blocks, lba_shift });
    }
    faults
}

fn assert_sizes(format: &NamespaceFormat, bytes: &[u8]) {
    assert_eq!(format.blocks, number::<8>(bytes, 0));
    assert_eq!(format.lba_shift, lba_format(bytes).2[2]);
    assert_eq!(
        u128::from(format.logical_block_size()),
        1 << format.lba_shift
    );
    let size = u128::from(format.blocks) << format.lba_shift;
    assert_eq!(u128::from(format.capacity_sectors) * 512, size);
    assert_eq!(format.write_protected, bytes[99] % 2 == 1);
}

/// The metadata is what [`Metadata::decide`] makes of the format in use; target `metadata` has that.
fn assert_metadata(namespace: &IdentifyNamespace, bytes: &[u8]) {
    let (index, last, lbaf) = lba_format(bytes);
    let expected = if index > last {
        Err(NamespaceRefused::FormatIndex { index, last })
    } else {
        let ms = number::<2>(lbaf, 0) as u16;
        Metadata::decide(ms, bytes[26], bytes[29], None).map_err(NamespaceRefused::Metadata)
    };
    assert_eq!(namespace.metadata(None, false), expected);
}

/// A transfer on this disk is exact or refused.
fn assert_transfer(format: &NamespaceFormat, sector: u64, bytes: u32) {
    let block = 1u128 << format.lba_shift;
    let (start, length) = (u128::from(sector) * 512, u128::from(bytes));
    let whole = start % block == 0 && length % block == 0;
    let fits = (1..=65536).contains(&(length / block));
    match io_transfer(sector, bytes, format) {
        Some((slba, nlb0)) => {
            assert_eq!(
                (u128::from(slba) * block, (u128::from(nlb0) + 1) * block),
                (start, length)
            );
        }
        None => assert!(
            !whole || !fits,
            "{bytes} bytes from sector {sector} were refused"
        ),
    }
}
