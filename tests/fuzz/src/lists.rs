// SPDX-License-Identifier: GPL-2.0

//! Active Namespace ID lists.

use nvme_proto::identify::{parse_namespace_list, NamespaceListError, MAX_NAMESPACES};

use crate::input::{assert_loggable, number};

/// A namespace list, of any length.
pub(crate) fn namespace_list(data: &[u8]) {
    let entries = (data.len() / 4).min(MAX_NAMESPACES);
    let entry = |at: usize| number::<4>(data, at * 4) as u32;
    // The list is asked for from some identifier on: those that its own entries make hard.
    let mut afters = vec![0, u32::MAX];
    for at in [0, entries / 2, entries.saturating_sub(1)] {
        if at < entries {
            afters.extend([entry(at), entry(at).wrapping_sub(1)]);
        }
    }
    for after in afters {
        let walked: Vec<_> = parse_namespace_list(data, after)
            .take(MAX_NAMESPACES + 1)
            .collect();
        assert!(
            walked.len() <= entries,
            "{} entries of {entries}",
            walked.len()
        );
        assert_eq!(walked, expected((0..entries).map(entry), after));
        if let Some(Err(error)) = walked.last() {
            assert_loggable(&error.to_string());
        }
    }
}

fn expected(
    entries: impl Iterator<Item = u32>,
    after: u32,
) -> Vec<Result<u32, NamespaceListError>> {
    let mut walked = Vec::new();
    let mut previous = after;
    for found in entries.take_while(|&nsid| nsid != 0) {
        if found > 0xffff_fffd {
            walked.push(Err(NamespaceListError::Reserved(found)));
            break;
        }
        if found <= previous {
            walked.push(Err(NamespaceListError::NotAscending { previous, found }));
            break;
        }
        walked.push(Ok(found));
        previous = found;
    }
    walked
}
