//! Exhaustive search for a placement within a given capacity.
//!
//! Any placement can be pushed down until each item lies on the ground or on another one. Taking the
//! items of such a placement in the order of their offsets, each lies at its *floor*: the lowest
//! aligned offset that those taken before it allow. So it is enough to search over sequences with
//! offsets that do not fall. Cut away are:
//!
//! - items that lie no lower than the top another one would have at its floor: that one fits below and
//!   can come first;
//! - permutations of items at the same offset, and of identical items;
//! - states in which some set of items that exclude one another no longer fits above its lowest floor.
//!
//! What is left after each choice falls apart into parts of time that share no live item; these are
//! solved one by one.

use crate::align_up;
use crate::items::{Clique, Items};
use std::cmp::Reverse;
use std::ops::Range;

/// What became of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Offsets of the items that fit.
    Found(Vec<u64>),
    /// There is no placement within the capacity.
    Impossible,
    /// The nodes were used up before the question was answered.
    Undecided,
}

/// The most items searched over; the search is as deep.
pub(crate) const MOST_ITEMS: usize = 600;

struct Neighbor {
    item: usize,
    /// How far above the item's start this one must start when it comes later.
    above: u64,
    /// The item's start above this one's, if this one comes first.
    below: u64,
}

/// The parts of a search that do not depend on the capacity.
pub(crate) struct Exact<'a> {
    items: &'a Items<'a>,
    neighbors: Vec<Vec<Neighbor>>,
    cliques: Vec<Clique>,
    /// For each item the cliques it is in, with its weight.
    cliques_of: Vec<Vec<(usize, u64)>>,
    /// For each item an identical one that comes before it.
    twin: Vec<Option<usize>>,
}

/// Which item to try first among those at one offset.
#[derive(Clone, Copy)]
pub(crate) enum Taste {
    Size,
    Area,
    Lifetime,
}

impl<'a> Exact<'a> {
    pub fn new(items: &'a Items<'a>) -> Option<Self> {
        let list = &items.list;
        if list.len() > MOST_ITEMS {
            return None;
        }
        let mut neighbors: Vec<Vec<Neighbor>> = list.iter().map(|_| Vec::new()).collect();
        for a in 0..list.len() {
            for b in a + 1..list.len() {
                if let Some((up, down)) = items.separations(a, b)
                    && (up > 0 || down > 0)
                {
                    neighbors[a].push(Neighbor { item: b, above: up, below: down });
                    neighbors[b].push(Neighbor { item: a, above: down, below: up });
                }
            }
        }
        let cliques = items.cliques();
        let mut cliques_of = vec![Vec::new(); list.len()];
        for (index, clique) in cliques.iter().enumerate() {
            for &(item, weight) in &clique.members {
                cliques_of[item].push((index, weight));
            }
        }
        let plain = |index: usize| {
            let [part] = list[index].parts[..] else { return None };
            let block = items.normal.blocks[part];
            items.normal.pairs_of[part].is_empty().then_some(block)
        };
        let twin = (0..list.len())
            .map(|index| {
                let block = plain(index)?;
                (0..index).rev().find(|&other| plain(other) == Some(block))
            })
            .collect();
        Some(Self { items, neighbors, cliques, cliques_of, twin })
    }

    /// Looks for a placement of at most `capacity` bytes, using at most `nodes` and counting them down.
    pub fn fit(&self, capacity: u64, taste: Taste, nodes: &mut u64) -> Outcome {
        let list = &self.items.list;
        let mut by_taste: Vec<usize> = (0..list.len()).collect();
        by_taste.sort_by_key(|&index| {
            let item = &list[index];
            let life = u128::from(item.last - item.first);
            let size = u128::from(item.bytes);
            Reverse(match taste {
                Taste::Size => (size, life, item.area),
                Taste::Area => (item.area, size, life),
                Taste::Lifetime => (life, size, item.area),
            })
        });
        let mut rank = vec![0; list.len()];
        for (position, &index) in by_taste.iter().enumerate() {
            rank[index] = position;
        }
        let weight = |clique: &Clique| clique.members.iter().map(|&(_, bytes)| bytes).sum();
        let mut search = Search {
            exact: self,
            capacity,
            rank,
            nodes,
            floor: vec![0; list.len()],
            offset: vec![None; list.len()],
            waiting: self.cliques.iter().map(weight).collect(),
            trail: Vec::new(),
        };
        let all: Vec<usize> = (0..list.len()).collect();
        match search.solve(&all, 0, None) {
            Answer::Yes => Outcome::Found(search.offset.iter().map(|o| o.unwrap_or(0)).collect()),
            Answer::No => Outcome::Impossible,
            Answer::Unknown => Outcome::Undecided,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
    Unknown,
}

struct Search<'a, 'n> {
    exact: &'a Exact<'a>,
    capacity: u64,
    rank: Vec<usize>,
    nodes: &'n mut u64,
    /// The lowest aligned offset for each item that the items placed so far allow.
    floor: Vec<u64>,
    offset: Vec<Option<u64>>,
    /// For each clique the weight of its items that are not placed.
    waiting: Vec<u64>,
    /// Floors that were raised, to be put back.
    trail: Vec<(usize, u64)>,
}

impl Search<'_, '_> {
    /// Places `group`, which is sorted by first step and shares no step with any other item that is not
    /// placed, at offsets of at least `lowest`. On [`Answer::Yes`] all of it is placed, else none.
    fn solve(&mut self, group: &[usize], lowest: u64, before: Option<usize>) -> Answer {
        let parts = self.parts(group);
        if parts.len() > 1 {
            for (done, part) in parts.iter().enumerate() {
                let answer = self.connected(&group[part.clone()], lowest, before);
                if answer != Answer::Yes {
                    for placed in &parts[..done] {
                        for &item in &group[placed.clone()] {
                            self.take_out(item);
                        }
                    }
                    // The floors that those raised belong to items outside of every other part.
                    return answer;
                }
            }
            return Answer::Yes;
        }
        self.connected(group, lowest, before)
    }

    /// Ranges of a group, sorted by first step, between which no item lives.
    fn parts(&self, group: &[usize]) -> Vec<Range<usize>> {
        let list = &self.exact.items.list;
        let (mut parts, mut start, mut last) = (Vec::new(), 0, None);
        for (position, &item) in group.iter().enumerate() {
            if last.is_some_and(|last| list[item].first > last) {
                parts.push(start..position);
                start = position;
            }
            last = last.max(Some(list[item].last));
        }
        if start < group.len() {
            parts.push(start..group.len());
        }
        parts
    }

    fn connected(&mut self, group: &[usize], lowest: u64, before: Option<usize>) -> Answer {
        if group.is_empty() {
            return Answer::Yes;
        }
        // A node takes the longer the more items wait.
        let price = 1 + u64::try_from(group.len() / 128).unwrap_or(u64::MAX);
        if *self.nodes < price {
            *self.nodes = 0;
            return Answer::Unknown;
        }
        *self.nodes -= price;
        if !self.can_fit(group, lowest) {
            return Answer::No;
        }
        let list = &self.exact.items.list;
        let top = |item: usize| self.floor[item] + list[item].bytes;
        let limit = group.iter().map(|&item| top(item)).min().unwrap_or(0);
        let mut candidates: Vec<usize> = group
            .iter()
            .copied()
            .filter(|&item| self.is_candidate(item, lowest, limit, before))
            .collect();
        candidates.sort_by_key(|&item| (self.floor[item], self.rank[item]));
        let mut rest = Vec::with_capacity(group.len());
        let mut answer = Answer::No;
        for item in candidates {
            let mark = self.trail.len();
            let offset = self.floor[item];
            self.put_in(item, offset);
            rest.clear();
            rest.extend(group.iter().copied().filter(|&other| other != item));
            match self.solve(&rest, offset, Some(item)) {
                Answer::Yes => return Answer::Yes,
                Answer::No => {}
                Answer::Unknown => answer = Answer::Unknown,
            }
            self.take_out(item);
            while self.trail.len() > mark {
                if let Some((other, floor)) = self.trail.pop() {
                    self.floor[other] = floor;
                }
            }
            if answer == Answer::Unknown {
                break;
            }
        }
        answer
    }

    fn is_candidate(&self, item: usize, lowest: u64, limit: u64, before: Option<usize>) -> bool {
        let floor = self.floor[item];
        if floor < lowest || floor >= limit {
            return false;
        }
        if self.exact.twin[item].is_some_and(|twin| self.offset[twin].is_none()) {
            return false;
        }
        // Of neighbors in the sequence at one offset that could change places, the lower index first.
        match before {
            Some(before) if floor == lowest && item < before => self.exact.neighbors[before]
                .iter()
                .any(|neighbor| neighbor.item == item && neighbor.below > 0),
            _ => true,
        }
    }

    /// Whether each clique with items in the group still fits above the lowest floor of its items.
    fn can_fit(&self, group: &[usize], lowest: u64) -> bool {
        let list = &self.exact.items.list;
        group.iter().all(|&item| {
            let own = self.floor[item].max(align_up(lowest, list[item].align));
            own + list[item].bytes <= self.capacity
                && self.exact.cliques_of[item].iter().all(|&(clique, _)| {
                    // Checked once a clique, by its first item that waits.
                    let clique_ref = &self.exact.cliques[clique];
                    let mut waiting = clique_ref
                        .members
                        .iter()
                        .filter(|&&(member, _)| self.offset[member].is_none());
                    let Some(&(leader, _)) = waiting.next() else { return true };
                    if leader != item {
                        return true;
                    }
                    let base = waiting
                        .map(|&(member, _)| self.floor[member])
                        .fold(self.floor[item], u64::min)
                        .max(lowest);
                    base + self.waiting[clique] <= self.capacity + clique_ref.tail
                })
        })
    }

    fn put_in(&mut self, item: usize, offset: u64) {
        let exact = self.exact;
        self.offset[item] = Some(offset);
        for &(clique, weight) in &exact.cliques_of[item] {
            self.waiting[clique] -= weight;
        }
        for neighbor in &exact.neighbors[item] {
            if self.offset[neighbor.item].is_some() {
                continue;
            }
            let floor = align_up(offset + neighbor.above, exact.items.list[neighbor.item].align);
            if floor > self.floor[neighbor.item] {
                self.trail.push((neighbor.item, self.floor[neighbor.item]));
                self.floor[neighbor.item] = floor;
            }
        }
    }

    fn take_out(&mut self, item: usize) {
        let exact = self.exact;
        self.offset[item] = None;
        for &(clique, weight) in &exact.cliques_of[item] {
            self.waiting[clique] += weight;
        }
    }
}
