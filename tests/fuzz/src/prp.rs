// SPDX-License-Identifier: GPL-2.0

//! PRP layouts over segments and list pages as absurd as they come.

use std::collections::HashMap;

use nvme_proto::prp::{
    layout, list_pages_for, DataPointer, LayoutError, ListPages, Segment, ENTRIES_PER_PAGE,
    MAX_LAYOUT, MAX_LIST_PAGES,
};

use crate::input::{assert_loggable, Input};

const PAGE: u64 = 4096;

/// A transfer's length, what the list pages are like, then segments.
pub(crate) fn prp_layout(data: &[u8]) {
    let mut input = Input::new(data);
    let shape = input.u8();
    let wanted = input.u32();
    let mut lists = Lists::new(&mut input);
    let segments = segments(&mut input);
    let total: u64 = segments.iter().map(|segment| u64::from(segment.len)).sum();
    // As long as the segments are together, or any length.
    let bytes = if shape % 4 == 0 {
        wanted
    } else {
        total.min(u64::from(u32::MAX)) as u32
    };
    // One source of segments in 16 never runs dry.
    let turns = if shape % 16 == 0 { usize::MAX } else { 1 };
    let endless = segments.iter().copied().cycle();
    let mut pulled = 0usize;
    let source = endless
        .take(segments.len().saturating_mul(turns))
        .inspect(|_| pulled += 1);
    let outcome = layout(bytes, source, &mut lists);

    let most = (MAX_LAYOUT / 4096) as usize + 2;
    assert!(pulled <= most, "{pulled} segments were pulled");
    let used = used(bytes, &segments, turns);
    match outcome {
        Ok(pointer) => {
            let used = used.expect("laid out what no PRP list can describe");
            assert_eq!(
                pulled,
                used.len(),
                "segments were pulled that are not needed"
            );
            lists.assert_filled();
            if !lists.absurd {
                assert_same(bytes, pointer, &lists, &used);
            }
        }
        Err(error) => {
            assert_refused(&error, &lists, used.is_some());
            assert_loggable(&error.to_string());
        }
    }
}

/// Segments: most begin where the one before ended and are whole pages, since others are refused
/// at once.
fn segments(input: &mut Input<'_>) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    let mut next = 0x10_0000u64;
    while !input.is_empty() && segments.len() < 300 {
        let (addr, len) = match input.u8() {
            0..=99 => (next, u32::from(input.u8()) * 4096 + 4096),
            100..=199 => (
                u64::from(input.u32()) << 12,
                u32::from(input.u8()) * 4096 + 4096,
            ),
            200..=219 => (next, u32::from(input.u16())),
            220..=239 => {
                // From somewhere in a page to the end of a page.
                let offset = u32::from(input.u16() % 4096);
                let pages = (u32::from(input.u16()) % 2100 + 1) * 4096;
                (
                    (u64::from(input.u32()) << 12) | u64::from(offset),
                    pages - offset,
                )
            }
            _ => (input.u64(), input.u32()),
        };
        segments.push(Segment { addr, len });
        next = addr.wrapping_add(u64::from(len));
    }
    segments
}

/// The segments that the transfer takes, if PRP entries can describe them (Base 4.3.1).
fn used(bytes: u32, segments: &[Segment], turns: usize) -> Option<Vec<Segment>> {
    let mut left = u64::from(bytes);
    if left == 0 || bytes > MAX_LAYOUT {
        return None;
    }
    let mut used = Vec::new();
    let source = segments
        .iter()
        .cycle()
        .take(segments.len().saturating_mul(turns));
    for &segment in source {
        let len = u64::from(segment.len);
        let alignment = if used.is_empty() { 4 } else { PAGE };
        let end = u128::from(segment.addr) + u128::from(len);
        let past_the_last_address = end > 1 << 64;
        if len == 0 || len > left || segment.addr % alignment != 0 || past_the_last_address {
            return None;
        }
        used.push(segment);
        left -= len;
        if left == 0 {
            return Some(used);
        }
        if end % u128::from(PAGE) != 0 {
            return None;
        }
    }
    None
}

/// An error must have its reason: segments that cannot be described, or what befell the lists.
fn assert_refused(error: &LayoutError<&str>, lists: &Lists, describable: bool) {
    let excused = match error {
        LayoutError::Memory(_) => lists.pages.len() == lists.memory,
        LayoutError::TooLong => {
            lists.first_room < ENTRIES_PER_PAGE && lists.pages.len() == MAX_LIST_PAGES
        }
        LayoutError::Misaligned => lists.absurd,
        LayoutError::Length => false,
    };
    assert!(excused || !describable, "{error}: but it could be laid out");
}

/// List pages that check each write against what was announced.
struct Lists {
    pages: Vec<(u64, Vec<Option<u64>>)>,
    memory: usize,
    first_room: usize,
    /// Whether pages lie anywhere at all, which the trait forbids.
    absurd: bool,
    salt: u64,
}

impl Lists {
    fn new(input: &mut Input<'_>) -> Self {
        let memory = usize::from(input.u8());
        let room = usize::from(input.u16());
        Self {
            pages: Vec::new(),
            // Mostly enough.
            memory: if memory < 16 { memory } else { usize::MAX },
            // As the trait has it, or the commonest.
            first_room: if (2..ENTRIES_PER_PAGE).contains(&room) {
                room
            } else {
                ENTRIES_PER_PAGE
            },
            absurd: memory >= 224,
            salt: ((room as u64) << 48) | room as u64,
        }
    }

    fn address(&self) -> u64 {
        let page = self.pages.len() as u64;
        if self.absurd {
            return self.salt.rotate_left(page as u32 * 7);
        }
        // Far from any data and not in order; the first list ends with its page.
        let unused = if page == 0 {
            ENTRIES_PER_PAGE - self.first_room
        } else {
            0
        };
        (1 << 60) - page * 3 * PAGE + unused as u64 * 8
    }

    /// Every slot that was announced has been written.
    fn assert_filled(&self) {
        let empty = self
            .pages
            .iter()
            .flat_map(|(_, slots)| slots)
            .filter(|slot| slot.is_none());
        assert_eq!(
            empty.count(),
            0,
            "the device would read slots that were never written"
        );
    }
}

impl ListPages for Lists {
    type Error = &'static str;

    fn first_room(&self) -> usize {
        self.first_room
    }

    fn add_page(&mut self, entries: usize) -> Result<u64, Self::Error> {
        let page = self.pages.len();
        if page >= self.memory {
            return Err("out of memory");
        }
        assert!(page < MAX_LIST_PAGES, "a page more than any layout needs");
        let room = if page == 0 {
            self.first_room
        } else {
            ENTRIES_PER_PAGE
        };
        assert!(
            (1..=room).contains(&entries),
            "{entries} entries in a page of {room}"
        );
        let address = self.address();
        self.pages.push((address, vec![None; entries]));
        Ok(address)
    }

    fn write(&mut self, page: usize, index: usize, entry: u64) {
        let slot = &mut self.pages[page].1[index];
        assert_eq!(
            slot.replace(entry),
            None,
            "slot {index} of page {page} was written twice"
        );
    }
}

/// What a device finds by the data pointer is what the segments say.
fn assert_same(bytes: u32, pointer: DataPointer, lists: &Lists, used: &[Segment]) {
    let pages = used.iter().flat_map(|segment| {
        let end = u128::from(segment.addr) + u128::from(segment.len);
        let later = (segment.addr / PAGE + 1..).map(|page| page.wrapping_mul(PAGE));
        let later = later.take_while(move |&page| page != 0 && u128::from(page) < end);
        std::iter::once(segment.addr).chain(later)
    });
    let expected: Vec<u64> = pages.collect();
    let first = (PAGE - pointer.prp1 % PAGE).min(u64::from(bytes));
    let further = (u64::from(bytes) - first).div_ceil(PAGE) as usize;
    let mut found = vec![pointer.prp1];
    match further {
        0 => assert_eq!(pointer.prp2, 0, "PRP2 is stale"),
        1 => found.push(pointer.prp2),
        _ => found.extend(followed(further, pointer.prp2, lists)),
    }
    assert!(
        found == expected,
        "{bytes} bytes are at other pages than the segments"
    );
    if lists.first_room == ENTRIES_PER_PAGE && further > 1 {
        assert_eq!(lists.pages.len(), list_pages_for(further));
    }
}

/// The entries that a device reads when it follows a list of `left` pages of data.
fn followed(mut left: usize, list: u64, lists: &Lists) -> Vec<u64> {
    let memory: HashMap<u64, &Vec<Option<u64>>> = lists
        .pages
        .iter()
        .map(|(address, slots)| (*address, slots))
        .collect();
    let mut found = Vec::new();
    let mut at = list;
    while left > 0 {
        let slots = memory.get(&at).expect("the list goes on where no list is");
        let room = ((PAGE - at % PAGE) / 8) as usize;
        let data = if left > room { room - 1 } else { left };
        let read = |index: usize| slots[index].expect("written");
        found.extend((0..data).map(read));
        left -= data;
        if left > 0 {
            at = read(room - 1);
            assert_eq!(at % PAGE, 0, "a list goes on inside a page");
        }
    }
    found
}
