// SPDX-License-Identifier: GPL-2.0

//! What a format's metadata means, and where the controller memory buffer is: decisions from a
//! few fields each.

use nvme_proto::cmb::{Cmb, Cmbloc, Cmbsz};
use nvme_proto::protection::{ExtendedLbaFormat, Guard, Metadata};

use crate::input::{assert_loggable, Input};

/// MS, FLBAS, DPS, whether there is an ELBAF, PIC, ELBAF.
pub(crate) fn metadata(data: &[u8]) {
    let mut input = Input::new(data);
    let (ms, flbas, dps) = (input.u16(), input.u8(), input.u8());
    let extended = input.u8() % 2 == 1;
    let (pic, elbaf) = (input.u8(), input.u32());
    let format = extended.then(|| ExtendedLbaFormat::new(elbaf, pic));
    let (kind, interleaved) = (dps % 8, (flbas >> 4) % 2 == 1);
    let pif = match ((elbaf >> 7) % 4, (pic >> 3) % 2) {
        (3, 1) => (elbaf >> 9) % 16,
        (pif, _) => pif,
    };
    let (tuple, known) = match (extended, pif) {
        (false, _) => (8, true),
        (true, 0) => (8, elbaf % 128 == 0),
        (true, 2) => (16, elbaf % 128 == 0),
        _ => (0, false),
    };
    let decided = Metadata::decide(ms, flbas, dps, format);
    let information = match decided {
        Ok(Metadata::None) => return assert_eq!((ms, kind), (0, 0)),
        Ok(Metadata::Opaque(bytes)) => {
            return assert_eq!((u16::from(bytes), kind, interleaved), (ms, 0, false))
        }
        Ok(Metadata::Protected(information)) => {
            assert!(!interleaved);
            information
        }
        Ok(Metadata::Inserted(information)) => {
            assert!(interleaved && ms == tuple);
            information
        }
        Err(refused) => {
            let plain = kind == 0 && (ms == 0 || (ms < 256 && !interleaved));
            let fits = known && (tuple..256).contains(&ms) && (!interleaved || ms == tuple);
            assert!(
                !(plain || (1..=3).contains(&kind) && fits),
                "{refused}, which is not so"
            );
            return assert_loggable(&refused.to_string());
        }
    };
    assert!(known && (1..=3).contains(&kind) && (tuple..256).contains(&ms));
    assert_eq!(information.kind as u8, kind);
    assert_eq!(information.guard == Guard::Crc64, tuple == 16);
    assert_eq!(u16::from(information.metadata_size), ms);
    let first = (dps >> 3) % 2 == 1;
    assert_eq!(
        u16::from(information.offset),
        if first { 0 } else { ms - tuple }
    );
}

/// CMBLOC, CMBSZ, the length of the BAR, where the doorbells end, and queues of a size.
pub(crate) fn controller_memory(data: &[u8]) {
    let mut input = Input::new(data);
    let (location, size) = (input.u32(), input.u32());
    let (length, doorbells) = (input.u64(), u64::from(input.u32()));
    let (queues, entries) = (input.u16(), input.u16());
    let (bir, szu) = (location % 8, (size >> 8) % 16);
    let unit = 1u128 << (12 + 4 * szu);
    let (offset, claimed) = (
        u128::from(location >> 12) * unit,
        u128::from(size >> 12) * unit,
    );
    let room = u128::from(length).saturating_sub(offset).min(claimed) / 4096 * 4096;
    let good = [0, 2, 3, 4, 5].contains(&bir)
        && szu <= 6
        && room > 0
        && (bir != 0 || offset >= u128::from(doorbells));
    let registers = (Cmbloc::from_raw(location), Cmbsz::from_raw(size));
    let cmb = match Cmb::place(registers.0, registers.1, |_| length, doorbells) {
        Ok(Some(cmb)) => cmb,
        Ok(None) => return assert_eq!(size >> 12, 0),
        Err(refused) => {
            assert!(!good, "{refused}, which is not so");
            return assert_loggable(&refused.to_string());
        }
    };
    assert!(good, "a buffer that cannot be: {cmb:?}");
    assert_eq!(
        (u128::from(cmb.offset), u128::from(cmb.size)),
        (offset, room)
    );
    match cmb.submission_queues(queues, entries) {
        Ok(plan) => {
            let bytes = u128::from(plan.queue_bytes());
            assert!(size % 2 == 1 && bytes * u128::from(queues) <= room);
            assert!(bytes % 4096 == 0 && bytes >= u128::from(entries) * 64);
            assert!(plan.offset(queues).is_none());
        }
        Err(refused) => assert_loggable(&refused.to_string()),
    }
}
