//! The values that go in and come out: blocks, permissions, effort, placement.

use crate::{MAX_BLOCKS, MAX_BYTES, MAX_STEPS, PlanError, at, id};

/// One block of memory of the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Block {
    /// Size in bytes; a block of none needs no place and gets offset 0.
    pub bytes: u64,
    /// Alignment of its offset in bytes, a power of two.
    pub align: u64,
    /// The first step at which it is live: the one that writes it.
    pub first: u32,
    /// The last step at which it is live, inclusive: the last one that reads it.
    pub last: u32,
}

impl Block {
    /// A block of `bytes` at a multiple of `align`, live from step `first` to `last` inclusive.
    pub const fn new(bytes: u64, align: u64, first: u32, last: u32) -> Self {
        Self { bytes, align, first, last }
    }

    /// Whether both are live at some step.
    pub const fn meets(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// How an output may lie over an input that dies while it is written.
///
/// Distances are signed: the output's offset minus the input's, in bytes. Beside what the rule
/// allows, the two may always lie apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// Both start at the same offset: one operand, read and written.
    Exact,
    /// The output starts at most this far behind the input's start: a kernel that goes upward and has
    /// read what it overwrites. 0 for an element-wise kernel on equal types, negative where the output
    /// grows faster than the input is used up. Placement makes no use of what is above 0, since the
    /// overlap cannot become larger by it.
    AtMost(i64),
    /// The output starts at least this far behind the input's start: a kernel that goes downward.
    /// Placement makes no use of what is below 0.
    AtLeast(i64),
}

/// Permission for an output to lie over an input.
///
/// It takes effect only where the input's last step is the output's first: an input that is read
/// later is never overwritten, so a caller may name every pair that a kernel allows. A block that
/// lives for one step and may itself lie over an input there is not overwritten either. Several
/// permissions for one pair add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Overlap {
    /// The block that is read, an index into [`Problem::blocks`].
    pub input: u32,
    /// The block that is written, an index into [`Problem::blocks`].
    pub output: u32,
    /// Where the output may start.
    pub rule: Rule,
}

impl Overlap {
    /// Permission for `output` to lie over `input` by `rule`.
    pub const fn new(input: u32, output: u32, rule: Rule) -> Self {
        Self { input, output, rule }
    }
}

/// Blocks to place in one arena.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problem {
    /// The blocks.
    pub blocks: Vec<Block>,
    /// Number of steps; every block lives within `0..steps`.
    pub steps: u32,
    /// Which blocks may overlap although both are live.
    pub overlaps: Vec<Overlap>,
}

impl Problem {
    /// A problem of these blocks, with as many steps as they need and no permission to overlap.
    pub fn new(blocks: Vec<Block>) -> Self {
        let steps = blocks.iter().map(|block| block.last.saturating_add(1)).max().unwrap_or(0);
        Self { blocks, steps, overlaps: Vec::new() }
    }

    /// Adds permissions to overlap.
    #[must_use]
    pub fn with_overlaps(mut self, overlaps: impl IntoIterator<Item = Overlap>) -> Self {
        self.overlaps.extend(overlaps);
        self
    }

    /// Checks everything the planner relies on.
    ///
    /// # Errors
    /// Any [`PlanError`] but those of graphs.
    pub fn check(&self) -> Result<(), PlanError> {
        let count = self.blocks.len();
        let limit = |what, count, limit| {
            if count > limit { Err(PlanError::TooMany { what, count, limit }) } else { Ok(()) }
        };
        limit("blocks", count, MAX_BLOCKS)?;
        limit("permissions to overlap", self.overlaps.len(), 4 * MAX_BLOCKS)?;
        limit("steps", at(self.steps), at(MAX_STEPS))?;
        let mut sum = 0u64;
        for (index, block) in self.blocks.iter().enumerate() {
            if !block.align.is_power_of_two() {
                return Err(PlanError::Alignment { block: id(index), align: block.align });
            }
            if block.first > block.last || block.last >= self.steps {
                return Err(PlanError::Lifetime {
                    block: id(index),
                    first: block.first,
                    last: block.last,
                    steps: self.steps,
                });
            }
            sum = sum
                .checked_add(block.bytes)
                .and_then(|sum| sum.checked_add(block.align))
                .filter(|&sum| sum <= MAX_BYTES)
                .ok_or(PlanError::TooLarge { limit: MAX_BYTES })?;
        }
        for overlap in &self.overlaps {
            for index in [overlap.input, overlap.output] {
                if at(index) >= count {
                    return Err(PlanError::Missing { what: "block", index, count });
                }
            }
            if overlap.input == overlap.output {
                return Err(PlanError::Itself { block: overlap.input });
            }
        }
        Ok(())
    }

    /// The permissions that take effect; see [`Overlap`].
    pub(crate) fn effective(&self) -> impl Iterator<Item = &Overlap> {
        let meets = |overlap: &Overlap| {
            let (input, output) =
                (&self.blocks[at(overlap.input)], &self.blocks[at(overlap.output)]);
            input.last == output.first && input.bytes > 0 && output.bytes > 0
        };
        let mut written = vec![false; self.blocks.len()];
        for overlap in self.overlaps.iter().filter(|overlap| meets(overlap)) {
            written[at(overlap.output)] = true;
        }
        self.overlaps.iter().filter(move |overlap| {
            let input = &self.blocks[at(overlap.input)];
            meets(overlap) && !(written[at(overlap.input)] && input.first == input.last)
        })
    }
}

/// How much to search, in nodes of the search tree; the same everywhere, unlike time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// The most nodes to visit in one call. 0 leaves the heuristics alone.
    pub nodes: u64,
}

impl Effort {
    /// No search: heuristics only.
    pub const HEURISTIC: Self = Self { nodes: 0 };

    /// Search of at most so many nodes.
    pub const fn nodes(nodes: u64) -> Self {
        Self { nodes }
    }
}

impl Default for Effort {
    fn default() -> Self {
        Self { nodes: 40_000 }
    }
}

/// Where each block lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The offset of each block in bytes, in the problem's order.
    pub offsets: Vec<u64>,
    /// The arena's size: where the last block ends. It is not rounded up.
    pub bytes: u64,
    /// No placement is smaller than this.
    pub lower_bound: u64,
    /// Whether `bytes` is the least possible, which is when it equals `lower_bound`.
    pub optimal: bool,
}
