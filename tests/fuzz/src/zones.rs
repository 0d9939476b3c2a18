// SPDX-License-Identifier: GPL-2.0

//! Zoned namespaces: Identify, and the reports of a walk over all zones.

use nvme_proto::identify::{IdentifyNamespaceZoned, NamespaceFormat};
use nvme_proto::zoned::{ReportError, Zone, ZoneLayout, ZoneReport, MAX_ZONES};

use crate::input::{assert_loggable, number, Input};

/// A disk, what Identify says of its zones, where a walk begins, and then reports: each has the
/// count in its header, the number of descriptors in the buffer, and the first half of each.
pub(crate) fn zones(data: &[u8]) {
    let mut input = Input::new(data);
    let lba_shift = 9 + input.u8() % 8;
    let most = (i64::MAX as u64) >> lba_shift;
    let blocks = (input.u64() % most).max(1);
    let index = input.u8() % 66;
    let header: [u8; 12] = input.bytes();
    let zsze = input.u64();
    let mut identify = vec![0; 4096];
    identify[..12].copy_from_slice(&header);
    if index < 64 {
        identify[2816 + usize::from(index) * 16..][..8].copy_from_slice(&zsze.to_le_bytes());
    }
    let identify = IdentifyNamespaceZoned::ref_from(&identify).expect("4096 bytes");
    let format = NamespaceFormat {
        lba_shift,
        blocks,
        capacity_sectors: blocks << (lba_shift - 9),
        write_protected: false,
    };
    let zone_bytes = u128::from(zsze) << lba_shift;
    let whole = zsze.is_power_of_two() && blocks % zsze == 0;
    let count = if whole { blocks / zsze } else { 0 };
    let good = header[..2] == [0, 0]
        && index < 64
        && zone_bytes <= 1 << 40
        && (1..=u64::from(MAX_ZONES)).contains(&count);
    match ZoneLayout::new(identify, index, &format) {
        Ok(layout) => {
            assert!(good, "zones that cannot be were taken: {layout:?}");
            assert_eq!(u128::from(layout.zone_sectors) * 512, zone_bytes);
            assert_eq!(u64::from(layout.zones), count);
            let (open, active) = (layout.max_open, layout.max_active);
            assert!(active == 0 || open <= active);
            assert_eq!(u64::from(active), (number::<4>(&header, 4) + 1) % (1 << 32));
            walk(layout, zsze, &mut input);
        }
        Err(refused) => {
            assert!(!good, "{refused}, which is not so");
            assert_loggable(&refused.to_string());
        }
    }
}

/// Reads reports until the walk ends, as a driver does.
fn walk(layout: ZoneLayout, zone_blocks: u64, input: &mut Input<'_>) {
    let (sector, asked) = (input.u64(), input.u32());
    let first = sector / u64::from(layout.zone_sectors);
    let mut report = ZoneReport::new(layout, sector, asked);
    let there = u64::from(layout.zones).saturating_sub(first);
    assert_eq!(u64::from(report.left()), there.min(u64::from(asked)));
    let mut next = first;
    while !input.is_empty() {
        let left = report.left();
        let command = report.command(1, 4096);
        let Some(command) = command else {
            assert_eq!(left, 0, "zones are left, but nothing asks for them");
            return;
        };
        let slba = u64::from(command.cdw10.get()) | (u64::from(command.cdw11.get()) << 32);
        assert_eq!(slba, next * zone_blocks);
        let claimed = input.u64();
        let held = usize::from(input.u8() % 8);
        let mut buffer = vec![0; 64 + held * 64];
        buffer[..8].copy_from_slice(&claimed.to_le_bytes());
        for descriptor in buffer[64..].chunks_exact_mut(64) {
            descriptor[..32].copy_from_slice(&input.bytes::<32>());
        }
        let before = next;
        let taken = report.take(&buffer, |number, zone| {
            assert_eq!(u64::from(number), next - first);
            let descriptor = &buffer[64 + (next - before) as usize * 64..][..64];
            assert_zone(zone, descriptor, &layout, next);
            next += 1;
            Ok::<(), &str>(())
        });
        match taken {
            Ok(zones) => {
                assert!(zones > 0, "the walk stands still");
                assert_eq!(u64::from(zones), next - before);
                assert_eq!(zones, claimed.min(held as u64).min(u64::from(left)) as u32);
                assert_eq!(report.left(), left - zones);
            }
            Err(ReportError::Refused(refused)) => {
                assert_loggable(&refused.to_string());
                assert_eq!(report.left(), 0, "the walk goes on after an error");
            }
            Err(ReportError::Stopped(_)) => panic!("nobody stopped"),
        }
    }
}

/// What the block layer demands of a zone, and what the descriptor says.
fn assert_zone(zone: &Zone, descriptor: &[u8], layout: &ZoneLayout, number_of: u64) {
    let sectors = 1u128 << (layout.lba_shift - 9);
    let (zcap, zslba) = (number::<8>(descriptor, 8), number::<8>(descriptor, 16));
    let zone_sectors = u64::from(layout.zone_sectors);
    assert_eq!(
        (zone.start, zone.len),
        (number_of * zone_sectors, zone_sectors)
    );
    assert_eq!(u128::from(zone.start), u128::from(zslba) * sectors);
    assert_eq!(u128::from(zone.capacity), u128::from(zcap) * sectors);
    assert!((1..=zone.len).contains(&zone.capacity));
    assert_eq!(
        (descriptor[0] & 0xf, descriptor[1] >> 4),
        (2, zone.condition as u8)
    );
    let end = zone.start + zone.len;
    match zone.condition as u8 {
        1 => assert_eq!(zone.write_pointer, zone.start),
        2..=4 => {
            let wp = u128::from(number::<8>(descriptor, 24)) * sectors;
            assert_eq!(u128::from(zone.write_pointer), wp);
            assert!((zone.start..=zone.start + zone.capacity).contains(&zone.write_pointer));
        }
        0xe => assert_eq!(zone.write_pointer, end),
        0xd | 0xf => assert_eq!(zone.write_pointer, u64::MAX),
        other => panic!("a zone in state {other:#x}"),
    }
}
