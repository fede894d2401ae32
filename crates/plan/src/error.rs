//! What can be wrong with a request, and with a placement.

use thiserror::Error;

/// Why a problem or a graph cannot be planned. Indices are the caller's own.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PlanError {
    /// There are more than [`MAX_BLOCKS`](crate::MAX_BLOCKS) blocks, values or steps of a graph.
    #[error("{count} {what} are more than the planner takes ({limit})")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many were given.
        count: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// All blocks together exceed [`MAX_BYTES`](crate::MAX_BYTES).
    #[error("the sizes add up to more than {limit} bytes")]
    TooLarge {
        /// The largest sum allowed.
        limit: u64,
    },
    /// An alignment is not a power of two.
    #[error("block {block} asks for an alignment of {align} bytes, which is not a power of two")]
    Alignment {
        /// The block.
        block: u32,
        /// What it asks for.
        align: u64,
    },
    /// A block ends before it begins, or after the last step.
    #[error("block {block} is live from step {first} to {last}, not within {steps} steps")]
    Lifetime {
        /// The block.
        block: u32,
        /// Its first step.
        first: u32,
        /// Its last step.
        last: u32,
        /// The number of steps.
        steps: u32,
    },
    /// A permission to overlap, a value or an edge names something that is not there.
    #[error("{what} {index} does not exist ({count} were given)")]
    Missing {
        /// What is named.
        what: &'static str,
        /// The index that is named.
        index: u32,
        /// How many there are.
        count: usize,
    },
    /// A permission lets a block overlap itself.
    #[error("block {block} cannot be its own input")]
    Itself {
        /// The block.
        block: u32,
    },
    /// A step of a graph is to overwrite, or write in place, a value it does not read or write.
    #[error("step {step} cannot work in place on value {value}, which it does not read or write")]
    Foreign {
        /// The step.
        step: u32,
        /// The value.
        value: u32,
    },
    /// The steps of a graph wait for each other.
    #[error("step {step} waits for itself through other steps")]
    Cycle {
        /// One step on the cycle.
        step: u32,
    },
    /// A list of steps is not an order of the graph: one is missing, double or too early.
    #[error("position {position} of the order does not hold a step that can run there")]
    Order {
        /// The first position that is wrong.
        position: usize,
    },
}

/// What is wrong with a placement; found by [`validate`](crate::validate).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// The problem itself is malformed.
    #[error(transparent)]
    Problem(#[from] PlanError),
    /// The placement has another number of offsets than the problem has blocks.
    #[error("{offsets} offsets for {blocks} blocks")]
    Count {
        /// Offsets in the placement.
        offsets: usize,
        /// Blocks in the problem.
        blocks: usize,
    },
    /// An offset is not a multiple of the block's alignment.
    #[error("block {block} at offset {offset} is not aligned to {align}")]
    Misaligned {
        /// The block.
        block: u32,
        /// Its offset in bytes.
        offset: u64,
        /// Its alignment in bytes.
        align: u64,
    },
    /// A block ends outside the arena.
    #[error("block {block} ends at {end}, outside the {bytes} bytes of the arena")]
    Outside {
        /// The block.
        block: u32,
        /// Where it ends.
        end: u64,
        /// The arena's size.
        bytes: u64,
    },
    /// Two blocks share bytes at a step at which both are live, without permission.
    #[error("blocks {first} and {second} share bytes at step {step}")]
    Clash {
        /// One block.
        first: u32,
        /// The other.
        second: u32,
        /// The first step at which both are live.
        step: u32,
    },
    /// The placement claims to be smaller than its own bound, or optimal without meeting it.
    #[error("{bytes} bytes do not agree with a lower bound of {lower_bound}")]
    Claim {
        /// The size claimed.
        bytes: u64,
        /// The bound claimed.
        lower_bound: u64,
    },
}
