// SPDX-License-Identifier: GPL-2.0

//! Flexible Data Placement: the log of configurations, and the status of handles.

use nvme_proto::placement::{
    configurations_bytes, FdpConfiguration, PlacementRefused, WriteStreams, MAX_STREAMS,
};

use crate::input::{assert_loggable, number, Input};

/// The index of a configuration, the length of the status, the status, and then the log.
pub(crate) fn data_placement(data: &[u8]) {
    let mut input = Input::new(data);
    let index = input.u8();
    let length = usize::from(input.u16());
    let rest = data.get(3..).unwrap_or(&[]);
    let (status, log) = rest.split_at(length.min(rest.len()));
    let expected = expected(log, index);
    match FdpConfiguration::find(log, index) {
        Ok(configuration) => {
            let bytes = expected.expect("a configuration that is not there");
            assert_eq!(configuration.is_valid(), bytes[2] >= 0x80);
            assert_eq!(
                u64::from(configuration.reclaim_groups()),
                number::<4>(bytes, 4)
            );
            assert_eq!(configuration.unit_bytes(), number::<8>(bytes, 16));
            let types = bytes[64..].chunks(4).map(|handle| handle[0]);
            let count = number::<2>(bytes, 8) as usize;
            assert!(configuration.handle_types().eq(types.take(count)));
            assert_eq!(configuration.handle_types().len(), count);
            assert_streams(&configuration, status);
        }
        Err(refused) => {
            assert_loggable(&refused.to_string());
            assert!(expected.is_none(), "{refused}, but it is there");
        }
    }
}

/// The bytes of the configuration of this index, if all up to it are whole.
fn expected(log: &[u8], index: u8) -> Option<&[u8]> {
    let claimed = (log.len() >= 8).then(|| number::<4>(log, 4) as usize)?;
    if !(80..=256 << 10).contains(&claimed) {
        assert!(configurations_bytes(log).is_err());
        return None;
    }
    let fetched = claimed.div_ceil(4) * 4;
    assert_eq!(configurations_bytes(log), Ok(fetched as u32));
    if u64::from(index) > number::<2>(log, 0) {
        return None;
    }
    let end = fetched.min(log.len());
    let mut at = 16;
    for current in 0..=index {
        let size = (at + 2 <= end).then(|| number::<2>(log, at) as usize)?;
        if size < 64 || at + size > end {
            return None;
        }
        if current == index {
            let bytes = &log[at..at + size];
            let handles = number::<2>(bytes, 8) as usize;
            return (64 + handles * 4 <= size).then_some(bytes);
        }
        at += size;
    }
    None
}

fn assert_streams(configuration: &FdpConfiguration<'_>, status: &[u8]) {
    let mut pids: Vec<u16> = Vec::new();
    if status.len() >= 16 {
        let claimed = number::<2>(status, 14) as usize;
        for descriptor in status[16..].chunks_exact(32).take(claimed.min(MAX_STREAMS)) {
            let pid = number::<2>(descriptor, 0) as u16;
            if !pids.contains(&pid) {
                pids.push(pid);
            }
        }
    }
    let usable = configuration.is_valid()
        && configuration.reclaim_groups() <= 1
        && configuration.unit_bytes() > 0;
    match WriteStreams::new(configuration, status) {
        Ok(streams) => {
            assert!(usable && (1..=MAX_STREAMS).contains(&pids.len()));
            assert_eq!(streams.pids(), pids);
            let unit = configuration.unit_bytes().min(u64::from(u32::MAX));
            assert_eq!(u64::from(streams.granularity()), unit);
            for (stream, &pid) in (1..).zip(&pids) {
                assert_eq!(streams.pid(stream), Some(pid));
            }
            assert_eq!(
                (streams.pid(0), streams.pid(pids.len() as u16 + 1)),
                (None, None)
            );
        }
        Err(refused) => {
            assert_loggable(&refused.to_string());
            let none = matches!(
                refused,
                PlacementRefused::NoHandles | PlacementRefused::Short(_)
            );
            assert!(
                !usable || (none && pids.is_empty()),
                "{refused}, which is not so"
            );
        }
    }
}
