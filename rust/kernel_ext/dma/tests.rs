// SPDX-License-Identifier: GPL-2.0

//! Coherent memory and pools on a device without hardware: bounds, alignment, giving back.

use super::{max_mapping_size, Coherent, Pool};
use crate::{kunit::Device, numa::Node};
use kernel::{page::PAGE_SIZE, prelude::*};

#[kunit_tests(rnvme_ext_dma)]
mod cases {
    use super::*;

    #[test]
    fn coherent_memory_is_zero_at_first_and_keeps_what_is_written() -> Result {
        let device = Device::new(c"coherent")?;
        let memory = Coherent::new(device.bound(), 1024)?;
        assert_eq!(memory.words(), 1024);
        for index in 0..1024 {
            if memory.read(index) != Some(0) {
                return Err(EIO);
            }
        }
        memory.write(1020, &[1, 2, 3, 4])?;
        assert_eq!(memory.read(1019), Some(0));
        assert_eq!(memory.read(1020), Some(1));
        assert_eq!(memory.read(1023), Some(4));
        Ok(())
    }

    #[test]
    fn coherent_memory_has_no_words_outside() -> Result {
        let device = Device::new(c"coherent-bounds")?;
        let memory = Coherent::new(device.bound(), 3)?;
        for index in [3, 4, 512, usize::MAX / 8, usize::MAX] {
            assert!(memory.read(index).is_none());
            assert_eq!(memory.write(index, &[7]), Err(EINVAL));
        }
        // What does not fit as a whole is not written in part.
        assert_eq!(memory.write(2, &[8, 9]), Err(EINVAL));
        assert_eq!(memory.write(0, &[1, 2, 3, 4]), Err(EINVAL));
        assert_eq!(memory.write(usize::MAX, &[1, 2]), Err(EINVAL));
        for index in 0..3 {
            assert_eq!(memory.read(index), Some(0));
        }
        Ok(())
    }

    #[test]
    fn coherent_memory_lies_at_a_page() -> Result {
        let device = Device::new(c"coherent-page")?;
        for words in [1, 8, 512, 513, 4096] {
            let memory = Coherent::new(device.bound(), words)?;
            assert_eq!(memory.dma_address() % PAGE_SIZE as u64, 0);
        }
        Ok(())
    }

    #[test]
    fn coherent_memory_of_no_size_or_too_much_is_refused() -> Result {
        let device = Device::new(c"coherent-size")?;
        for words in [0, usize::MAX, usize::MAX / 8 + 1, 1 << 61] {
            assert_eq!(Coherent::new(device.bound(), words).err(), Some(EINVAL));
        }
        Ok(())
    }

    #[test]
    fn coherent_memory_may_outlive_the_binding() -> Result {
        let device = Device::new(c"coherent-late")?;
        let memory = Coherent::new(device.bound(), 8)?;
        drop(device);
        memory.write(0, &[5])?;
        assert_eq!(memory.read(0), Some(5));
        Ok(())
    }

    #[test]
    fn pool_of_an_odd_size_is_refused() -> Result {
        let device = Device::new(c"pool-size")?;
        for words in [0, 3, 5, 513, 1024, usize::MAX, usize::MAX / 8 + 1, 1 << 61] {
            let pool = Pool::new(device.bound(), c"odd", words, Node::ANY);
            assert_eq!(pool.err(), Some(EINVAL));
        }
        Ok(())
    }

    #[test]
    fn blocks_are_aligned_to_their_size_and_distinct() -> Result {
        let device = Device::new(c"pool-align")?;
        for words in [1, 2, 32, 256, 512] {
            let pool = Pool::new(device.bound(), c"aligned", words, Node::ANY)?;
            let mut blocks = KVec::new();
            for _ in 0..20 {
                let block = pool.alloc()?;
                assert_eq!(block.words(), words);
                assert_eq!(block.dma_address() % (words as u64 * 8), 0);
                let twice = blocks
                    .iter()
                    .any(|other: &super::super::Block| other.dma_address() == block.dma_address());
                assert!(!twice);
                blocks.push(block, GFP_KERNEL)?;
            }
        }
        Ok(())
    }

    #[test]
    fn block_takes_no_word_outside() -> Result {
        let device = Device::new(c"pool-bounds")?;
        let pool = Pool::new(device.bound(), c"bounds", 32, Node::ANY)?;
        let block = pool.alloc()?;
        block.write(0, 1)?;
        block.write(31, 2)?;
        for index in [32, 33, 512, usize::MAX] {
            assert_eq!(block.write(index, 3), Err(EINVAL));
        }
        Ok(())
    }

    #[test]
    fn dropped_block_is_given_back() -> Result {
        let device = Device::new(c"pool-back")?;
        // A pool of page-sized blocks has one block a page: one that is not given back is missed.
        let pool = Pool::new(device.bound(), c"back", 512, Node::ANY)?;
        let first = pool.alloc()?.dma_address();
        for _ in 0..100 {
            assert_eq!(pool.alloc()?.dma_address(), first);
        }
        Ok(())
    }

    #[test]
    fn pool_lives_as_long_as_its_last_block() -> Result {
        let device = Device::new(c"pool-lives")?;
        let pool = Pool::new(device.bound(), c"lives", 32, Node::ANY)?;
        let blocks = [pool.alloc()?, pool.alloc()?];
        drop(pool);
        for block in &blocks {
            block.write(31, u64::MAX)?;
        }
        let [first, second] = blocks;
        drop(first);
        second.write(0, 1)?;
        drop(second);
        Ok(())
    }

    #[test]
    fn device_without_limits_maps_long_ranges() -> Result {
        let device = Device::new(c"mapping-size")?;
        assert!(max_mapping_size(device.bound()) >= 8 << 20);
        Ok(())
    }
}
