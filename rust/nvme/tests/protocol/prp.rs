// SPDX-License-Identifier: GPL-2.0 OR MIT

//! PRP layouts against a naive model: what the segments say, byte range by byte range, must be
//! what a device finds when it follows the entries as Base 4.3.1 tells it to.

use std::cell::Cell;
use std::collections::HashMap;

use nvme_proto::prp::{
    layout, list_pages_for, DataPointer, LayoutError, ListPages, Segment, ENTRIES_PER_PAGE,
    MAX_LAYOUT, MAX_LIST_PAGES,
};
use proptest::prelude::*;

use crate::support::for_all;

const PAGE: u64 = 4096;

/// List pages that check each write against what was announced.
struct Lists {
    pages: Vec<Vec<Option<u64>>>,
    out_of_memory_at: usize,
    first_room: usize,
}

impl Lists {
    fn new() -> Self {
        Self::with_memory_for(usize::MAX)
    }

    fn with_memory_for(out_of_memory_at: usize) -> Self {
        Self {
            pages: Vec::new(),
            out_of_memory_at,
            first_room: ENTRIES_PER_PAGE,
        }
    }

    /// The first list begins so many entries before its page's end.
    fn with_first_room(first_room: usize) -> Self {
        Self {
            first_room,
            ..Self::new()
        }
    }

    /// Page aligned but for the first, far from any data, and not in order.
    fn address(&self, page: usize) -> u64 {
        let unused = if page == 0 {
            ENTRIES_PER_PAGE - self.first_room
        } else {
            0
        };
        (0x7000_0000 - page as u64 * 3) * PAGE + unused as u64 * 8
    }

    fn by_address(&self) -> HashMap<u64, &Vec<Option<u64>>> {
        self.pages
            .iter()
            .enumerate()
            .map(|(number, page)| (self.address(number), page))
            .collect()
    }
}

#[derive(Debug, PartialEq)]
struct OutOfMemory;

impl ListPages for Lists {
    type Error = OutOfMemory;

    fn first_room(&self) -> usize {
        self.first_room
    }

    fn add_page(&mut self, entries: usize) -> Result<u64, OutOfMemory> {
        let page = self.pages.len();
        if page == self.out_of_memory_at {
            return Err(OutOfMemory);
        }
        assert!((1..=ENTRIES_PER_PAGE).contains(&entries), "{entries}");
        assert!(page < MAX_LIST_PAGES, "one page too many");
        self.pages.push(vec![None; entries]);
        Ok(self.address(page))
    }

    fn write(&mut self, page: usize, index: usize, entry: u64) {
        let slot = &mut self.pages[page][index];
        assert_eq!(slot.replace(entry), None, "slot {index} written twice");
    }
}

/// The pieces that the data consists of, none over a page border.
fn pieces_of(segments: &[Segment]) -> Vec<(u64, u64)> {
    let mut pieces = Vec::new();
    for segment in segments {
        let mut addr = segment.addr;
        let mut len = u64::from(segment.len);
        while len > 0 {
            let piece = (PAGE - addr % PAGE).min(len);
            pieces.push((addr, piece));
            addr = addr.wrapping_add(piece);
            len -= piece;
        }
    }
    pieces
}

/// The pieces that a device transfers, which knows only the command's data pointer and length.
fn pieces_that_a_device_sees(bytes: u32, data: DataPointer, lists: &Lists) -> Vec<(u64, u64)> {
    let mut left = u64::from(bytes);
    let first = (PAGE - data.prp1 % PAGE).min(left);
    let mut pieces = vec![(data.prp1, first)];
    left -= first;
    if left == 0 {
        assert_eq!(data.prp2, 0, "an unused PRP2 is stale");
        return pieces;
    }
    if left <= PAGE {
        pieces.push((data.prp2, left));
        return pieces;
    }
    let memory = lists.by_address();
    let mut read = 0;
    let mut list = memory[&data.prp2];
    let mut index = 0;
    // A list ends with its page, wherever in it the list begins.
    let mut room = ((PAGE - data.prp2 % PAGE) / 8) as usize;
    while left > 0 {
        let entry = list[index].expect("the device reads a slot that was never written");
        read += 1;
        if index == room - 1 && left > PAGE {
            assert_eq!(entry % PAGE, 0, "a list goes on inside a page");
            (list, index, room) = (memory[&entry], 0, ENTRIES_PER_PAGE);
            continue;
        }
        assert_eq!(entry % PAGE, 0, "an entry of a list has an offset");
        let piece = left.min(PAGE);
        pieces.push((entry, piece));
        left -= piece;
        index += 1;
    }
    let announced: usize = lists.pages.iter().map(Vec::len).sum();
    assert_eq!(read, announced, "announced and used entries differ");
    pieces
}

fn assert_laid_out(segments: &[Segment]) -> usize {
    let bytes = segments.iter().map(|segment| segment.len).sum();
    let mut lists = Lists::new();
    let data = layout(bytes, segments.iter().copied(), &mut lists)
        .unwrap_or_else(|error| panic!("{error:?} for {bytes} bytes"));
    let seen = pieces_that_a_device_sees(bytes, data, &lists);
    assert!(seen == pieces_of(segments), "{bytes} bytes: other pages");
    let entries = seen.len() - 1;
    let expected = if entries < 2 {
        0
    } else {
        list_pages_for(entries)
    };
    assert_eq!(
        lists.pages.len(),
        expected,
        "list pages for {entries} entries"
    );
    lists.pages.len()
}

fn refusal(bytes: u32, segments: &[Segment]) -> LayoutError<OutOfMemory> {
    layout(bytes, segments.iter().copied(), &mut Lists::new()).expect_err("must be refused")
}

const BASE: u64 = 0x12_3456_7000;

#[test]
fn every_offset_in_a_page_lays_out_at_every_list_border() {
    // So many bytes that the list has about 1, 511, 1022, ... entries, and the extremes.
    let borders = [
        1, 2, 3, 4, 511, 512, 513, 514, 1022, 1023, 1024, 1534, 2045, 2046,
    ];
    let mut most = 0;
    for offset in (0..PAGE).step_by(4) {
        let mut lengths = vec![1, 4, 512, MAX_LAYOUT - 512, MAX_LAYOUT - 1, MAX_LAYOUT];
        for pages in borders {
            let to_border = pages * PAGE as u32;
            lengths.extend([to_border - 1, to_border, to_border + 512]);
            lengths.extend([to_border - offset as u32, to_border - offset as u32 + 1]);
        }
        for len in lengths {
            let addr = BASE + offset;
            most = most.max(assert_laid_out(&[Segment { addr, len }]));
        }
    }
    println!("the longest list took {most} of {MAX_LIST_PAGES} pages");
    assert_eq!(most, MAX_LIST_PAGES);
}

#[test]
fn list_pages_are_counted_with_the_entry_that_leads_on() {
    let counts = [(0, 0), (1, 1), (512, 1), (513, 2), (1023, 2), (1024, 3)];
    for (entries, pages) in counts {
        assert_eq!(list_pages_for(entries), pages, "{entries} entries");
    }
}

#[test]
fn every_length_in_sectors_up_to_8_mib_and_a_page_lays_out() {
    for offset in [0, 4, 512, 4092] {
        for sectors in 1..=MAX_LAYOUT / 512 {
            assert_laid_out(&[Segment {
                addr: BASE + offset,
                len: sectors * 512,
            }]);
        }
    }
}

#[test]
fn an_offset_that_no_entry_can_hold_is_refused() {
    for offset in (0..PAGE).filter(|offset| offset % 4 != 0) {
        for len in [512, 8192, 1 << 20] {
            let addr = BASE + offset;
            assert_eq!(
                refusal(len, &[Segment { addr, len }]),
                LayoutError::Misaligned
            );
        }
    }
}

#[test]
fn single_pages_from_all_over_memory_lay_out_at_every_offset() {
    for offset in (0..PAGE).step_by(4) {
        for pages in 2..5 {
            let scattered = (0..pages).map(|number| Segment {
                addr: BASE - number * 7 * PAGE,
                len: PAGE as u32,
            });
            let mut segments: Vec<Segment> = scattered.collect();
            segments[0].addr += offset;
            segments[0].len -= offset as u32;
            assert_laid_out(&segments);
        }
    }
}

/// A transfer cut at random page borders, its parts at random pages.
fn transfers() -> impl Strategy<Value = Vec<Segment>> {
    let parts = prop::collection::vec((1u64..1 << 40, 1u32..300), 1..40);
    (parts, 0u64..1024, 1u32..=4096).prop_map(|(parts, offset, tail)| {
        let mut segments: Vec<Segment> = Vec::new();
        let mut room = MAX_LAYOUT - PAGE as u32;
        for (page, pages) in parts {
            let len = (pages * PAGE as u32).min(room);
            if len == 0 {
                break;
            }
            room -= len;
            let addr = page * PAGE;
            segments.push(Segment { addr, len });
        }
        // The first begins within its page, the last ends within one.
        segments[0].addr += offset * 4;
        segments[0].len -= offset as u32 * 4;
        let last = segments.last_mut().expect("there is at least one part");
        if last.len > PAGE as u32 {
            last.len -= PAGE as u32 - tail;
        }
        segments
    })
}

#[test]
fn transfers_split_at_random_page_borders_lay_out() {
    for_all(2000, transfers(), |segments| {
        assert_laid_out(&segments);
    });
}

#[test]
fn a_list_that_begins_inside_a_page_goes_on_at_the_next_base() {
    for first_room in 2..=ENTRIES_PER_PAGE {
        for pages in [3, 4, first_room, first_room + 1, first_room + 2, 1024] {
            let segment = Segment {
                addr: BASE + 512,
                len: pages as u32 * PAGE as u32,
            };
            let mut lists = Lists::with_first_room(first_room);
            let data = layout(segment.len, [segment].into_iter(), &mut lists)
                .unwrap_or_else(|error| panic!("{error:?}: {pages} pages, room {first_room}"));
            let seen = pieces_that_a_device_sees(segment.len, data, &lists);
            assert!(
                seen == pieces_of(&[segment]),
                "{pages} pages, room {first_room}"
            );
        }
    }
}

#[test]
fn a_first_page_too_short_for_the_longest_transfer_is_refused() {
    let segment = Segment {
        addr: BASE + 4,
        len: MAX_LAYOUT,
    };
    let mut lists = Lists::with_first_room(2);
    let error = layout(MAX_LAYOUT, [segment].into_iter(), &mut lists);
    assert_eq!(error, Err(LayoutError::TooLong));
}

/// List pages of which the second does not begin at a page's base.
struct Crooked(Lists);

impl ListPages for Crooked {
    type Error = OutOfMemory;

    fn add_page(&mut self, entries: usize) -> Result<u64, OutOfMemory> {
        let page = self.0.pages.len() as u64;
        Ok(self.0.add_page(entries)? + page * 256)
    }

    fn write(&mut self, page: usize, index: usize, entry: u64) {
        self.0.write(page, index, entry);
    }
}

#[test]
fn a_list_never_goes_on_inside_a_page() {
    let segment = Segment {
        addr: BASE,
        len: 520 * PAGE as u32,
    };
    let error = layout(
        segment.len,
        [segment].into_iter(),
        &mut Crooked(Lists::new()),
    );
    assert_eq!(error, Err(LayoutError::Misaligned));
}

#[test]
fn running_out_of_memory_at_any_list_page_is_reported() {
    let whole = [Segment {
        addr: BASE + 4,
        len: MAX_LAYOUT,
    }];
    for page in 0..MAX_LIST_PAGES {
        let mut lists = Lists::with_memory_for(page);
        let error = layout(MAX_LAYOUT, whole.into_iter(), &mut lists);
        assert_eq!(error, Err(LayoutError::Memory(OutOfMemory)));
        assert_eq!(lists.pages.len(), page, "pages to be freed");
    }
}

#[test]
fn one_byte_too_much_is_refused_before_any_page_is_added() {
    for len in [MAX_LAYOUT + 1, MAX_LAYOUT + 4096, u32::MAX] {
        let mut lists = Lists::new();
        let segment = Segment { addr: BASE, len };
        let error = layout(len, [segment].into_iter(), &mut lists);
        assert_eq!(error, Err(LayoutError::TooLong));
        assert!(lists.pages.is_empty());
    }
}

#[test]
fn segments_that_do_not_add_up_are_refused() {
    let page = |number: u64, len| Segment {
        addr: BASE + number * PAGE,
        len,
    };
    let length = LayoutError::Length;
    assert_eq!(refusal(512, &[]), length);
    assert_eq!(refusal(0, &[page(0, 0)]), length);
    assert_eq!(refusal(0, &[page(0, 512)]), length);
    assert_eq!(refusal(512, &[page(0, 0), page(1, 512)]), length);
    assert_eq!(refusal(512, &[page(0, 1024)]), length);
    assert_eq!(refusal(8192, &[page(0, 4096)]), length);
    assert_eq!(
        refusal(8192, &[page(0, 4096), page(5, 0), page(6, 4096)]),
        length
    );
    assert_eq!(refusal(1 << 20, &[page(0, 4096), page(5, 1 << 20)]), length);
}

#[test]
fn segments_that_leave_a_hole_in_a_page_are_refused() {
    let misaligned = LayoutError::Misaligned;
    let at = |addr, len| Segment { addr, len };
    // Ends within a page, with more to come.
    assert_eq!(
        refusal(4096, &[at(BASE, 512), at(BASE + PAGE, 3584)]),
        misaligned
    );
    assert_eq!(
        refusal(1 << 20, &[at(BASE, 4608), at(BASE + 9 * PAGE, 1 << 19)]),
        misaligned
    );
    // Begins within a page, with something before.
    assert_eq!(
        refusal(8192, &[at(BASE, 4096), at(BASE + 9 * PAGE + 512, 4096)]),
        misaligned
    );
    // Runs past the last address.
    assert_eq!(refusal(8192, &[at(u64::MAX - 4095, 8192)]), misaligned);
    assert_eq!(
        refusal(1 << 20, &[at(u64::MAX - 4095, 1 << 20)]),
        misaligned
    );
}

#[test]
fn the_last_address_of_all_can_be_used() {
    let segment = Segment {
        addr: 0u64.wrapping_sub(8 * PAGE),
        len: 8 * PAGE as u32,
    };
    assert_laid_out(&[segment]);
}

/// Segments that obey no rule, of sizes and places where mistakes are likely.
fn wild_segments() -> impl Strategy<Value = Vec<Segment>> {
    let len = prop_oneof![
        0u32..20_000,
        (0u32..2100).prop_map(|pages| pages * 4096),
        any::<u32>()
    ];
    let addr = prop_oneof![
        (0u64..1 << 30).prop_map(|page| page * PAGE),
        any::<u64>(),
        (u64::MAX - 20_000)..=u64::MAX
    ];
    let segment = (addr, len).prop_map(|(addr, len)| Segment { addr, len });
    prop::collection::vec(segment, 0..8)
}

/// A good transfer with one number of one segment changed.
fn spoilt_transfers() -> impl Strategy<Value = Vec<Segment>> {
    let change = prop_oneof![Just(0u64), 1u64..9, Just(512), Just(PAGE), any::<u64>()];
    let spoil = (any::<prop::sample::Index>(), any::<bool>(), change);
    (transfers(), spoil).prop_map(|(mut segments, (which, addr, change))| {
        let which = which.index(segments.len());
        let segment = &mut segments[which];
        if addr {
            segment.addr = segment.addr.wrapping_add(change);
        } else {
            segment.len = segment.len.wrapping_add(change as u32);
        }
        segments
    })
}

#[test]
fn whatever_the_segments_a_layout_is_right_or_refused() {
    let lengths = prop_oneof![Just(None), any::<u32>().prop_map(Some)];
    let laid_out = Cell::new(0);
    let segments = prop_oneof![wild_segments(), spoilt_transfers()];
    for_all(10_000, (segments, lengths), |(segments, length)| {
        let total = segments.iter().fold(0u32, |sum, s| sum.wrapping_add(s.len));
        let bytes = length.unwrap_or(total);
        let mut lists = Lists::new();
        if let Ok(data) = layout(bytes, segments.iter().copied(), &mut lists) {
            let seen = pieces_that_a_device_sees(bytes, data, &lists);
            let given = pieces_of(&segments);
            assert_eq!(seen, given[..seen.len()]);
            laid_out.set(laid_out.get() + 1);
        }
    });
    println!("{} of 10000 were laid out", laid_out.get());
    assert!(
        laid_out.get() > 500,
        "the cases are too wild to say anything"
    );
}

#[test]
fn no_segment_is_pulled_after_the_last_byte() {
    for len in [512, 4096, 8192, 1 << 20, MAX_LAYOUT] {
        let mut pulled = 0;
        let segments = std::iter::from_fn(|| {
            pulled += 1;
            Some(Segment { addr: BASE, len })
        });
        layout(len, segments, &mut Lists::new()).expect("lays out");
        assert_eq!(pulled, 1, "{len} bytes");
    }
}
