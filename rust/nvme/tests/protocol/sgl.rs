// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Scatter gather lists against a controller that walks descriptors as Base 4.3.2 tells it to.

use std::cell::Cell;
use std::collections::HashMap;

use nvme_proto::command::Command;
use nvme_proto::prp::{Segment, MAX_LAYOUT};
use nvme_proto::sgl::{
    layout, pages_for, segments_for, Alignment, Descriptor, DescriptorPages, DescriptorType,
    SglError, DESCRIPTORS_PER_PAGE, MAX_SEGMENTS,
};
use proptest::prelude::*;

use crate::support::for_all;

const PAGE: u64 = 4096;
const BASE: u64 = 0x12_3456_7000;

#[derive(Debug, PartialEq)]
struct OutOfMemory;

/// Memory for descriptors that checks each write against what was announced.
struct Pages {
    pages: Vec<Vec<Option<[u64; 2]>>>,
    out_of_memory_at: usize,
    first_room: usize,
}

impl Pages {
    fn new() -> Self {
        Self {
            pages: Vec::new(),
            out_of_memory_at: usize::MAX,
            first_room: DESCRIPTORS_PER_PAGE,
        }
    }

    /// Far from any data, not in order, and one block of 256 bytes after another's place.
    fn address(page: usize) -> u64 {
        (0x7000_0000 - page as u64 * 3) * PAGE + 256 * (page as u64 % 2)
    }

    /// How many descriptors were written to each page.
    fn written(&self) -> Vec<usize> {
        let count = |page: &Vec<Option<_>>| page.iter().flatten().count();
        self.pages.iter().map(count).collect()
    }
}

impl DescriptorPages for Pages {
    type Error = OutOfMemory;

    fn first_room(&self) -> usize {
        self.first_room
    }

    fn add_page(&mut self, descriptors: usize) -> Result<u64, OutOfMemory> {
        let page = self.pages.len();
        if page == self.out_of_memory_at {
            return Err(OutOfMemory);
        }
        assert!((1..=DESCRIPTORS_PER_PAGE).contains(&descriptors));
        self.pages.push(vec![None; descriptors]);
        Ok(Self::address(page))
    }

    fn write(&mut self, page: usize, index: usize, descriptor: Descriptor) {
        let slot = &mut self.pages[page][index];
        assert_eq!(slot.replace(descriptor.to_words()), None, "written twice");
    }
}

fn kind_of(words: [u64; 2]) -> u64 {
    assert_eq!(
        (words[1] >> 32) & 0x0fff_ffff,
        0,
        "reserved bytes, sub type"
    );
    words[1] >> 60
}

/// The data that a strict controller finds, which knows only the command.
fn data_that_a_controller_sees(command: &Command, pages: &Pages) -> Vec<Segment> {
    assert_eq!(command.flags, 0x40, "PSDT is not 01b");
    let memory: HashMap<u64, &Vec<Option<[u64; 2]>>> = pages
        .pages
        .iter()
        .enumerate()
        .map(|(number, page)| (Pages::address(number), page))
        .collect();
    let mut data = Vec::new();
    let mut next = [command.prp1.get(), command.prp2.get()];
    let mut visited = 0;
    loop {
        let [addr, rest] = next;
        let bytes = rest as u32;
        let is_last = match kind_of(next) {
            0 => {
                data.push(Segment { addr, len: bytes });
                break;
            }
            2 => false,
            3 => true,
            other => panic!("descriptor of type {other}"),
        };
        assert!(bytes != 0 && bytes % 16 == 0 && addr % 8 == 0, "{bytes}");
        let page = memory[&addr];
        visited += 1;
        let count = bytes as usize / 16;
        let read: Vec<[u64; 2]> = page[..count]
            .iter()
            .map(|slot| slot.expect("the controller reads what was never written"))
            .collect();
        let (end, before) = read.split_last().expect("not empty");
        let mut of_data = before.to_vec();
        if is_last {
            of_data.push(*end);
        }
        for words in of_data {
            assert_eq!(kind_of(words), 0, "a link in other than the last place");
            data.push(Segment {
                addr: words[0],
                len: words[1] as u32,
            });
        }
        if is_last {
            break;
        }
        assert_ne!(kind_of(*end), 0, "a segment does not lead on");
        next = *end;
    }
    assert_eq!(visited, pages.pages.len(), "memory that is not used");
    data
}

fn laid_out(at_most: usize, segments: &[Segment], pages: &mut Pages) -> Vec<Segment> {
    let bytes = segments.iter().map(|segment| segment.len).sum();
    let given = segments.iter().copied();
    let sgl1 = layout(bytes, at_most, Alignment::Byte, given, pages)
        .unwrap_or_else(|error| panic!("{error:?} for {} segments", segments.len()));
    data_that_a_controller_sees(&Command::read(1, 0, 0).with_sgl(sgl1), pages)
}

fn assert_laid_out(segments: &[Segment]) -> Pages {
    let mut pages = Pages::new();
    let seen = laid_out(segments.len(), segments, &mut pages);
    assert!(seen == segments, "other data: {} segments", segments.len());
    pages
}

/// So many segments of 512 bytes, none where another ends.
fn scattered(count: usize) -> Vec<Segment> {
    let at = |number: usize| Segment {
        addr: BASE + number as u64 * 1024,
        len: 512,
    };
    (0..count).map(at).collect()
}

#[test]
fn a_descriptor_has_its_type_in_its_last_byte() {
    let descriptor = Descriptor {
        addr: 0x1122_3344_5566_7788,
        len: 0x99aa_bbcc,
        kind: DescriptorType::LastSegment,
    };
    let bytes: Vec<u8> = descriptor
        .to_words()
        .iter()
        .flat_map(|w| w.to_le_bytes())
        .collect();
    let expected = [
        0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0xcc, 0xbb, 0xaa, 0x99, 0, 0, 0, 0x30,
    ];
    assert_eq!(bytes, expected);
}

#[test]
fn one_segment_is_in_the_command_itself() {
    for len in [1, 512, 4096, 1 << 20, MAX_LAYOUT] {
        let pages = assert_laid_out(&[Segment {
            addr: BASE + 3,
            len,
        }]);
        assert!(pages.pages.is_empty());
    }
}

#[test]
fn every_number_of_segments_up_to_4200_lays_out() {
    for count in 2..=4200 {
        let pages = assert_laid_out(&scattered(count));
        let written = pages.written();
        assert_eq!(written.len(), pages_for(count), "{count} segments");
        let (last, full) = written.split_last().expect("a page");
        assert!(full.iter().all(|&n| n == DESCRIPTORS_PER_PAGE), "{count}");
        assert_eq!(
            *last + 255 * full.len(),
            count,
            "each link takes one slot of a full page"
        );
        // What was announced for the last page is what is needed: it may be a short block.
        assert_eq!(pages.pages.last().expect("a page").len(), *last);
    }
}

#[test]
fn pages_and_segments_are_counted_with_the_descriptor_that_leads_on() {
    let counts = [
        (0, 0),
        (1, 0),
        (2, 1),
        (256, 1),
        (257, 2),
        (511, 2),
        (512, 3),
    ];
    for (segments, pages) in counts {
        assert_eq!(pages_for(segments), pages, "{segments} segments");
    }
    assert_eq!(
        (segments_for(0), segments_for(1), segments_for(5)),
        (1, 256, 1276)
    );
    assert_eq!(segments_for(usize::MAX), MAX_SEGMENTS);
    for pages in 1..=256 {
        assert_eq!(pages_for(segments_for(pages)), pages);
        assert_eq!(pages_for(segments_for(pages) + 1), pages + 1);
    }
}

#[test]
fn the_most_segments_of_all_lay_out() {
    let tiny = |number: usize| Segment {
        addr: BASE + number as u64 * 8,
        len: 4,
    };
    let segments: Vec<Segment> = (0..MAX_SEGMENTS).map(tiny).collect();
    assert_eq!(assert_laid_out(&segments).pages.len(), 257);
}

#[test]
fn a_list_may_be_told_to_go_on_early() {
    for first_room in 2..=DESCRIPTORS_PER_PAGE {
        for count in [2, 3, first_room, first_room + 1, first_room + 256, 600] {
            let mut pages = Pages {
                first_room,
                ..Pages::new()
            };
            let seen = laid_out(count, &scattered(count), &mut pages);
            assert!(seen == scattered(count), "{count}, room {first_room}");
        }
    }
}

#[test]
fn fewer_segments_than_announced_are_welcome() {
    for announced in [2, 16, 17, 256, 257, 600, MAX_SEGMENTS] {
        for count in [1, 2, 15, 16, 255, 256, 257, 511, 600] {
            if count <= announced {
                let mut pages = Pages::new();
                let seen = laid_out(announced, &scattered(count), &mut pages);
                assert!(seen == scattered(count), "{count} of {announced}");
            }
        }
    }
}

#[test]
fn more_segments_than_announced_are_refused() {
    for announced in [0, 1, 2, 16, 255, 256, 257, 511] {
        for more in [1, 2, 300] {
            let count = announced.max(1) + more;
            let mut pages = Pages::new();
            let segments = scattered(count);
            let bytes = count as u32 * 512;
            let error = layout(
                bytes,
                announced,
                Alignment::Dword,
                segments.into_iter(),
                &mut pages,
            );
            assert_eq!(error, Err(SglError::Segments), "{count} of {announced}");
        }
    }
}

fn refusal(bytes: u32, alignment: Alignment, segments: &[Segment]) -> SglError<OutOfMemory> {
    let given = segments.iter().copied();
    layout(bytes, 1000, alignment, given, &mut Pages::new()).expect_err("must be refused")
}

#[test]
fn segments_that_do_not_add_up_are_refused() {
    let at = |number: u64, len| Segment {
        addr: BASE + number * PAGE,
        len,
    };
    let of = |bytes, segments: &[Segment]| refusal(bytes, Alignment::Byte, segments);
    assert_eq!(of(512, &[]), SglError::Length);
    assert_eq!(of(0, &[at(0, 0)]), SglError::Length);
    assert_eq!(of(0, &[at(0, 4)]), SglError::Length);
    assert_eq!(of(512, &[at(0, 513)]), SglError::Length);
    assert_eq!(of(512, &[at(0, 511)]), SglError::Length);
    assert_eq!(
        of(512, &[at(0, 256), at(1, 0), at(2, 256)]),
        SglError::Length
    );
    assert_eq!(of(512, &[at(0, 256), at(1, 257)]), SglError::Length);
    assert_eq!(of(512, &[at(0, 256), at(1, u32::MAX)]), SglError::Length);
}

#[test]
fn alignment_is_what_the_controller_demands() {
    let odd = [
        (BASE + 1, 512),
        (BASE + 2, 512),
        (BASE, 513),
        (BASE, 514),
        (BASE + 3, 515),
    ];
    for (addr, len) in odd {
        let one = [Segment { addr, len }];
        let two = [Segment { addr: BASE, len: 8 }, Segment { addr, len }];
        assert_eq!(refusal(len, Alignment::Dword, &one), SglError::Misaligned);
        assert_eq!(
            refusal(len + 8, Alignment::Dword, &two),
            SglError::Misaligned
        );
        assert_laid_out(&one);
        assert_laid_out(&two);
    }
}

#[test]
fn nothing_runs_past_the_last_address() {
    let past = Segment {
        addr: u64::MAX - 511,
        len: 513,
    };
    assert_eq!(refusal(513, Alignment::Byte, &[past]), SglError::Misaligned);
    assert_laid_out(&[Segment { len: 512, ..past }]);
}

#[test]
fn too_much_is_refused_before_any_page_is_added() {
    let mut pages = Pages::new();
    let whole = Segment {
        addr: BASE,
        len: MAX_LAYOUT + 1,
    };
    let one = [whole].into_iter();
    let error = layout(whole.len, 2, Alignment::Byte, one.clone(), &mut pages);
    assert_eq!(error, Err(SglError::TooLong));
    let error = layout(512, MAX_SEGMENTS + 1, Alignment::Byte, one, &mut pages);
    assert_eq!(error, Err(SglError::TooLong));
    assert!(pages.pages.is_empty());
}

#[test]
fn running_out_of_memory_at_any_page_is_reported() {
    let segments = scattered(1200);
    for page in 0..pages_for(1200) {
        let mut pages = Pages {
            out_of_memory_at: page,
            ..Pages::new()
        };
        let given = segments.iter().copied();
        let error = layout(1200 * 512, 1200, Alignment::Dword, given, &mut pages);
        assert_eq!(error, Err(SglError::Memory(OutOfMemory)));
        assert_eq!(pages.pages.len(), page, "pages to be freed");
    }
}

/// Memory whose pages are wherever they are told to be.
struct At(Vec<u64>);

impl DescriptorPages for At {
    type Error = OutOfMemory;

    fn add_page(&mut self, _: usize) -> Result<u64, OutOfMemory> {
        Ok(self.0.remove(0))
    }

    fn write(&mut self, _: usize, _: usize, _: Descriptor) {}
}

#[test]
fn descriptors_lie_at_qwords_below_the_last_address() {
    let of = |addresses: Vec<u64>| {
        let pages = &mut At(addresses);
        layout(
            600 * 512,
            600,
            Alignment::Dword,
            scattered(600).into_iter(),
            pages,
        )
    };
    assert!(of(vec![8, u64::MAX - 4095, 16]).is_ok());
    assert_eq!(of(vec![4, 0, 0]), Err(SglError::Misaligned));
    assert_eq!(of(vec![8, 12, 0]), Err(SglError::Misaligned));
    assert_eq!(of(vec![8, u64::MAX - 4087, 0]), Err(SglError::Misaligned));
}

#[test]
fn no_segment_is_pulled_after_the_last_byte() {
    for wanted in [1, 2, 256, 257] {
        let mut pulled = 0;
        let segments = std::iter::from_fn(|| {
            pulled += 1;
            Some(scattered(pulled)[pulled - 1])
        });
        let bytes = wanted as u32 * 512;
        layout(bytes, 300, Alignment::Dword, segments, &mut Pages::new()).expect("lays out");
        assert_eq!(pulled, wanted);
    }
}

/// Few segments that obey no rule, of sizes and places where mistakes are likely, or many that
/// can be laid out.
fn wild_segments() -> impl Strategy<Value = Vec<Segment>> {
    let len = prop_oneof![8 => 1u32..9000, 1 => 0u32..3, 1 => any::<u32>()];
    let addr = prop_oneof![8 => 0u64..1 << 40, 1 => any::<u64>(), 1 => (u64::MAX - 9000)..];
    let segment = (addr, len).prop_map(|(addr, len)| Segment { addr, len });
    let good = (0u64..1 << 40, 1u32..4000).prop_map(|(addr, len)| Segment { addr, len });
    prop_oneof![
        prop::collection::vec(segment, 0..6),
        prop::collection::vec(good.clone(), 250..270),
        prop::collection::vec(good, 1..2000)
    ]
}

#[test]
fn whatever_the_segments_a_layout_is_right_or_refused() {
    let (cases_run, laid_out) = (Cell::new(0), Cell::new(0));
    let extra = prop_oneof![Just(0usize), 0usize..600];
    let lengths = prop_oneof![4 => Just(None), 1 => any::<u32>().prop_map(Some)];
    let dword = any::<bool>();
    let values = (wild_segments(), extra, lengths, 2usize..=256, dword);
    for_all(
        4000,
        values,
        |(mut segments, extra, length, first_room, dword)| {
            cases_run.set(cases_run.get() + 1);
            let alignment = if dword {
                Alignment::Dword
            } else {
                Alignment::Byte
            };
            if dword && extra % 2 == 0 {
                for segment in &mut segments {
                    segment.addr &= !3;
                    segment.len = (segment.len & !3).max(4);
                }
            }
            let total = segments.iter().fold(0u32, |sum, s| sum.wrapping_add(s.len));
            let bytes = length.unwrap_or(total);
            let mut pages = Pages {
                first_room,
                ..Pages::new()
            };
            let at_most = segments.len() + extra;
            let given = segments.iter().copied();
            if let Ok(sgl1) = layout(bytes, at_most, alignment, given, &mut pages) {
                let command = Command::read(1, 0, 0).with_sgl(sgl1);
                let seen = data_that_a_controller_sees(&command, &pages);
                assert_eq!(seen, segments[..seen.len()]);
                let sum: u64 = seen.iter().map(|s| u64::from(s.len)).sum();
                assert_eq!(sum, u64::from(bytes));
                laid_out.set(laid_out.get() + 1);
            }
        },
    );
    let (cases_run, laid_out) = (cases_run.get(), laid_out.get());
    println!("{laid_out} of {cases_run} were laid out");
    // `RNVME_CASES` may ask for too few to tell.
    assert!(
        cases_run < 1000 || laid_out > cases_run / 4,
        "the cases are too wild to say anything"
    );
}
