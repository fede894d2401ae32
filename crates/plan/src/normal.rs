//! A checked problem in the form the searches want: permissions turned into separations.
//!
//! Two blocks that are live together must lie so that the upper one starts at least a *separation*
//! above the lower one's start. Without permission that is the lower one's size. A kernel that goes
//! upward lowers it for the output below the input, one that goes downward for the input below the
//! output. What a separation cannot say is [`Rule::Exact`]: such pairs are listed, and a search may
//! fuse them into one item.

use crate::{Block, Overlap, PlanError, Problem, Rule, at};
use std::collections::BTreeMap;

/// An input and an output that may overlap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub input: usize,
    pub output: usize,
    /// Least distance of the input's start above the output's, with the output below.
    pub output_below: u64,
    /// Least distance of the output's start above the input's, with the input below.
    pub input_below: u64,
    /// They may start at the same offset, and no separation says so.
    pub exact: bool,
    /// The rule allows more than the separations and `exact` express.
    pub lossy: bool,
}

impl Pair {
    /// The largest number of units of `unit` bytes that the two can share, both starting on one: by
    /// separations, and what starting together adds to that.
    fn shared(&self, blocks: &[Block], unit: u64) -> (u64, u64) {
        let input = blocks[self.input].bytes.div_ceil(unit);
        let output = blocks[self.output].bytes.div_ceil(unit);
        let most = input.min(output);
        if self.lossy {
            return (most, 0);
        }
        let below = |low: u64, separation: u64, high: u64| {
            low.saturating_sub(separation.div_ceil(unit)).min(high)
        };
        let apart =
            below(output, self.output_below, input).max(below(input, self.input_below, output));
        (apart, if self.exact { most - apart } else { 0 })
    }
}

/// What one block can share with all others at a step.
#[derive(Default)]
struct Share {
    /// By separations, all pairs together.
    apart: u64,
    /// By starting together, which only one other block can: the others do not overlap one another.
    together: u64,
}

pub(crate) struct Normal {
    pub blocks: Vec<Block>,
    pub pairs: Vec<Pair>,
    /// For each block its pairs, as indices into `pairs`.
    pub pairs_of: Vec<Vec<usize>>,
}

impl Normal {
    pub fn new(problem: &Problem) -> Result<Self, PlanError> {
        problem.check()?;
        let blocks = problem.blocks.clone();
        let mut merged: BTreeMap<(usize, usize), Pair> = BTreeMap::new();
        for overlap in problem.effective() {
            let &Overlap { input, output, rule } = overlap;
            let (input, output) = (at(input), at(output));
            let pair = merged.entry((input, output)).or_insert(Pair {
                input,
                output,
                output_below: blocks[output].bytes,
                input_below: blocks[input].bytes,
                exact: false,
                lossy: false,
            });
            match rule {
                Rule::Exact => pair.exact = true,
                Rule::AtMost(most) => {
                    let above = if most < 0 { most.unsigned_abs() } else { 0 };
                    pair.output_below = pair.output_below.min(above);
                    lift(most, blocks[input].bytes, &mut pair.input_below, &mut pair.lossy);
                }
                Rule::AtLeast(least) => {
                    let above = u64::try_from(least).unwrap_or(0);
                    pair.input_below = pair.input_below.min(above);
                    let most = least.saturating_neg();
                    lift(most, blocks[output].bytes, &mut pair.output_below, &mut pair.lossy);
                }
            }
        }
        let mut pairs_of = vec![Vec::new(); blocks.len()];
        let mut pairs = Vec::with_capacity(merged.len());
        for (_, mut pair) in merged {
            // A separation of none already lets both start together.
            pair.exact &= pair.output_below > 0 && pair.input_below > 0;
            pairs_of[pair.input].push(pairs.len());
            pairs_of[pair.output].push(pairs.len());
            pairs.push(pair);
        }
        Ok(Self { blocks, pairs, pairs_of })
    }

    /// The separations of two blocks that are live together: of `b` above `a`, and of `a` above `b`.
    pub fn separations(&self, a: usize, b: usize) -> (u64, u64) {
        let mut found = (self.blocks[a].bytes, self.blocks[b].bytes);
        let few = if self.pairs_of[a].len() <= self.pairs_of[b].len() { a } else { b };
        for &pair in &self.pairs_of[few] {
            let pair = &self.pairs[pair];
            if (pair.input, pair.output) == (a, b) {
                found = (found.0.min(pair.input_below), found.1.min(pair.output_below));
            } else if (pair.input, pair.output) == (b, a) {
                found = (found.0.min(pair.output_below), found.1.min(pair.input_below));
            }
        }
        found
    }

    /// Whether two blocks that are live together may start at the same offset.
    pub fn may_coincide(&self, a: usize, b: usize) -> bool {
        self.pairs_of[a].iter().any(|&pair| {
            let pair = &self.pairs[pair];
            let named = (pair.input, pair.output) == (a, b) || (pair.input, pair.output) == (b, a);
            named && (pair.exact || pair.output_below == 0 || pair.input_below == 0)
        })
    }

    /// The least memory in which blocks that are all live at `step` can lie.
    ///
    /// For each alignment u that occurs, the blocks aligned to at least u occupy whole units of u but
    /// for the topmost, so their units, less those that permitted pairs can share, less one block's
    /// unused tail, are needed. Inputs of pairs do not overlap one another, nor do outputs, and none is
    /// both, so no block shares more units than it has, and starts together with one other at most.
    /// The blocks without the inputs, or without the outputs, need no more than all.
    pub fn needed(&self, live: &[usize], step: u32) -> u64 {
        let mut units: Vec<u64> = live.iter().map(|&index| self.blocks[index].align).collect();
        units.push(1);
        units.sort_unstable();
        units.dedup();
        let (inputs, outputs) = self.sides(live, step, |_| true);
        let most = |live: &[usize]| {
            units.iter().map(|&unit| self.needed_in_units(live, step, unit)).max().unwrap_or(0)
        };
        let without = |side: &[usize]| {
            let mut rest = live.to_vec();
            rest.retain(|index| side.binary_search(index).is_err());
            most(&rest)
        };
        let all = most(live);
        if inputs.is_empty() { all } else { all.max(without(&inputs)).max(without(&outputs)) }
    }

    /// The inputs and the outputs, each ascending, of the pairs that may overlap at `step` and are
    /// wanted; `live` is live there.
    pub fn sides(
        &self,
        live: &[usize],
        step: u32,
        wanted: impl Fn(&Pair) -> bool,
    ) -> (Vec<usize>, Vec<usize>) {
        let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
        for &block in live.iter().filter(|&&block| self.blocks[block].last == step) {
            for &pair in &self.pairs_of[block] {
                let pair = &self.pairs[pair];
                if pair.input == block && wanted(pair) {
                    inputs.push(block);
                    outputs.push(pair.output);
                }
            }
        }
        for side in [&mut inputs, &mut outputs] {
            side.sort_unstable();
            side.dedup();
        }
        (inputs, outputs)
    }

    fn needed_in_units(&self, live: &[usize], step: u32, unit: u64) -> u64 {
        let (mut total, mut tail) = (0u64, 0u64);
        let mut shares: [BTreeMap<usize, Share>; 2] = Default::default();
        for &index in live {
            let block = &self.blocks[index];
            if block.align < unit {
                continue;
            }
            total += block.bytes.div_ceil(unit);
            tail = tail.max(align_gap(block.bytes, unit));
            if block.last != step {
                continue;
            }
            for &pair in &self.pairs_of[index] {
                let pair = &self.pairs[pair];
                if pair.input == index && self.blocks[pair.output].align >= unit {
                    let (apart, together) = pair.shared(&self.blocks, unit);
                    for (side, block) in shares.iter_mut().zip([pair.input, pair.output]) {
                        let share = side.entry(block).or_default();
                        share.apart = share.apart.saturating_add(apart);
                        share.together = share.together.max(together);
                    }
                }
            }
        }
        let shared = shares.iter().map(|side| {
            side.iter()
                .map(|(&index, share)| {
                    let own = self.blocks[index].bytes.div_ceil(unit);
                    share.apart.saturating_add(share.together).min(own)
                })
                .sum::<u64>()
        });
        let shared = shared.min().unwrap_or(0);
        (total.saturating_sub(shared) * unit).saturating_sub(tail)
    }
}

fn align_gap(bytes: u64, unit: u64) -> u64 {
    bytes.div_ceil(unit) * unit - bytes
}

/// A rule that also lets the upper block start up to `most` above a lower one of `size` bytes: no
/// separation at all if that reaches the lower one's end, else more than a separation can say.
fn lift(most: i64, size: u64, separation: &mut u64, lossy: &mut bool) {
    let most = u64::try_from(most).unwrap_or(0);
    if most.saturating_add(1) >= size && most > 0 {
        *separation = 0;
    } else if most > 0 {
        *lossy = true;
    }
}
