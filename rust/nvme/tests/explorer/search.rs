// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The search: every world that can be reached, breadth first, so that the story of what goes
//! wrong is as short as can be.
//!
//! Worlds are told apart by a 64-bit hash: that two of a million have the same is less likely than
//! one in ten million, and would only hide one of them.

use std::collections::hash_map::{DefaultHasher, Entry};
use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt::Write;
use std::hash::{Hash, Hasher};

use nvme_proto::life::State;

use crate::steps::{moves, Move};
use crate::world::{Bounds, Mistake, World};

/// What a search has found.
pub(crate) struct Found {
    pub(crate) worlds: usize,
    pub(crate) moves: usize,
    /// Moves of the longest of the shortest ways to a world.
    pub(crate) depth: u32,
    /// The moves there were, and the states they led to.
    pub(crate) seen: HashSet<(Move, State)>,
    /// What went wrong, and the shortest way there.
    pub(crate) wrong: Option<String>,
}

/// The graph of worlds, by number.
#[derive(Default)]
struct Graph {
    /// From where a world was reached first, and by which of the moves there.
    parents: Vec<(u32, u16)>,
    depths: Vec<u32>,
    at_rest: Vec<bool>,
    /// The host's own moves, backwards: to, from.
    host: Vec<(u32, u32)>,
    seen: HashSet<(Move, State)>,
    moves: usize,
}

fn hash(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}

/// Explores every world within the bounds, up to `limit` of them.
pub(crate) fn explore(bounds: &Bounds, mistake: Option<Mistake>, limit: usize) -> Found {
    let start = World::new(bounds, mistake);
    let mut graph = Graph::default();
    let mut numbers = HashMap::from([(hash(&start), 0u32)]);
    graph.parents.push((0, 0));
    graph.depths.push(0);
    graph.at_rest.push(start.is_at_rest());
    let mut next = VecDeque::from([(0u32, start.clone())]);
    let mut wrong = None;
    'search: while let Some((number, world)) = next.pop_front() {
        for (way, (what, after)) in moves(&world).into_iter().enumerate() {
            graph.moves += 1;
            let fresh = graph.parents.len() as u32;
            let to = match numbers.entry(hash(&after)) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(place) => *place.insert(fresh),
            };
            graph.seen.insert((what, after.life.state()));
            if !what.is_outside() {
                graph.host.push((to, number));
            }
            if to != fresh {
                continue;
            }
            graph.parents.push((number, way as u16));
            graph.depths.push(graph.depths[number as usize] + 1);
            graph.at_rest.push(after.is_at_rest());
            if let Some(rule) = after.broken {
                wrong = Some((rule, fresh));
                break 'search;
            }
            assert!(
                graph.parents.len() <= limit,
                "more than {limit} worlds: {bounds:?}"
            );
            next.push_back((to, after));
        }
    }
    let wrong = wrong.or_else(|| {
        let stuck = graph.stuck()?;
        Some(("the host alone cannot come to an end any more", stuck))
    });
    Found {
        worlds: graph.parents.len(),
        moves: graph.moves,
        depth: graph.depths.iter().copied().max().unwrap_or(0),
        wrong: wrong.map(|(rule, number)| graph.story(start, rule, number)),
        seen: graph.seen,
    }
}

impl Graph {
    /// The first world from which the host's own moves do not lead to rest; rather one where the
    /// host has no move left, since that is where the story ends.
    fn stuck(&self) -> Option<u32> {
        let mut from = vec![Vec::new(); self.parents.len()];
        for &(to, before) in &self.host {
            from[to as usize].push(before);
        }
        let mut good = self.at_rest.clone();
        let mut next: Vec<u32> = (0..good.len() as u32)
            .filter(|&n| good[n as usize])
            .collect();
        while let Some(number) = next.pop() {
            for &before in &from[number as usize] {
                if !std::mem::replace(&mut good[before as usize], true) {
                    next.push(before);
                }
            }
        }
        let mut can_move = vec![false; good.len()];
        for &(_, before) in &self.host {
            can_move[before as usize] = true;
        }
        // Numbers grow with the depth, so the first is one with the shortest story.
        let stuck = |number: &u32| !good[*number as usize];
        let numbers = 1..good.len() as u32;
        let stands_still = |number: &u32| stuck(number) && !can_move[*number as usize];
        numbers
            .clone()
            .find(stands_still)
            .or_else(|| numbers.clone().find(stuck))
    }

    /// How it came to world `number`, told from the beginning.
    fn story(&self, mut world: World, rule: &str, mut number: u32) -> String {
        let mut ways = Vec::new();
        while number != 0 {
            let (parent, way) = self.parents[number as usize];
            ways.push(way);
            number = parent;
        }
        let mut story = format!("{rule}, after {} moves:\n", ways.len());
        for way in ways.into_iter().rev() {
            let (what, after) = moves(&world).swap_remove(usize::from(way));
            world = after;
            let _ = writeln!(story, "  {what:<50} {:?}", world.life.state());
        }
        story
    }
}
