// SPDX-License-Identifier: GPL-2.0

//! Writes with and without a stream, as the controller sees them.

use crate::io_queue::tests::Bench;
use kernel::prelude::*;
use kernel_ext::{block::Status as BlockStatus, kunit::Kind};
use nvme_proto::placement::{FdpConfiguration, WriteStreams};

/// The placement identifiers of a namespace's streams, in order.
const PIDS: [u16; 3] = [4, 0x102, 9];

/// Streams of these identifiers, and of units of 1 MiB, as a controller tells of them.
pub(crate) fn streams() -> Result<KBox<WriteStreams>> {
    let mut log = [0u8; 16 + 64];
    log[4] = 16 + 64;
    log[16] = 64;
    log[16 + 2] = 0x80;
    log[16 + 4] = 1;
    log[16 + 18] = 0x10;
    let mut status = [0u8; 16 + 3 * 32];
    status[14] = PIDS.len() as u8;
    for (index, pid) in PIDS.iter().enumerate() {
        status[16 + index * 32..][..2].copy_from_slice(&pid.to_le_bytes());
    }
    let configuration = FdpConfiguration::find(&log, 0).map_err(|_| EINVAL)?;
    let streams = WriteStreams::new(&configuration, &status).map_err(|_| EINVAL)?;
    Ok(KBox::new(streams, GFP_KERNEL)?)
}

#[kunit_tests(rnvme_placement)]
mod cases {
    use super::*;

    #[test]
    fn write_goes_to_the_place_of_its_stream() -> Result {
        let mut bench = Bench::new(c"nvme-streams")?;
        // (DTYPE, DSPEC); beyond the last stream a write goes anywhere.
        let expected = [(0, 0), (2, 4), (2, 0x102), (2, 9), (0, 0), (0, 0)];
        for (stream, place) in [0, 1, 2, 3, 4, 255].into_iter().zip(expected) {
            let write = bench.start(Kind::WriteStream(stream), 8, 0, 4096)?;
            let sent = bench.fetch()?;
            assert_eq!((sent.opcode, sent.cdw12 & 0xffff), (1, 7));
            assert_eq!(((sent.cdw12 >> 20) & 0xf, sent.cdw13 >> 16), place);
            assert_eq!(bench.end(sent.cid, &write)?, Some(BlockStatus::OK));
        }
        Ok(())
    }

    #[test]
    fn read_has_no_place() -> Result {
        let mut bench = Bench::new(c"nvme-streams-read")?;
        let read = bench.start(Kind::Read, 8, 0, 4096)?;
        let sent = bench.fetch()?;
        assert_eq!((sent.opcode, sent.cdw12, sent.cdw13), (2, 7, 0));
        assert_eq!(bench.end(sent.cid, &read)?, Some(BlockStatus::OK));
        Ok(())
    }
}
