// SPDX-License-Identifier: GPL-2.0

//! NUMA nodes: which memory is near to which CPUs.
//!
//! C headers: `include/linux/topology.h`, `include/linux/group_cpus.h`.

use crate::bindings;
use kernel::fmt;

/// A node, or none in particular.
///
/// # Invariants
///
/// The number is `NUMA_NO_NODE` or one that the kernel gave for a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node(i32);

impl Node {
    /// None in particular.
    pub const ANY: Node = Node(bindings::NUMA_NO_NODE);

    /// The node of this number, which the kernel gave for a CPU.
    pub(crate) fn from_raw(node: i32) -> Self {
        // INVARIANT: By what the caller says; a negative number stands for none.
        Node(node.max(bindings::NUMA_NO_NODE))
    }

    pub(crate) fn to_raw(self) -> i32 {
        self.0
    }

    /// The node of the first CPU of queue `index` of `count`, where the block layer spreads the
    /// CPUs over the queues evenly. May sleep.
    pub fn of_spread_queue(index: u32, count: u32) -> Self {
        // SAFETY: The function has no requirements.
        Self::from_raw(unsafe { bindings::ext_spread_node(index, count) })
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bindings::NUMA_NO_NODE => f.write_str("any"),
            node => write!(f, "{node}"),
        }
    }
}
