//! Sizes and lifetimes to an operator order and arena offsets.
//!
//! Two questions are answered here, both about integers alone: in which order the steps of a graph
//! need the least memory ([`order`], over a [`Dag`]), and at which offset of one arena each block
//! lies so that the arena is smallest ([`place`], over a [`Problem`]). Both give a lower bound beside
//! the answer, and say `optimal` only when the two meet, so the claim can always be checked.
//!
//! This crate knows no operator, no element type and no target: alignment, scratch and permission to
//! overlap come from the caller. The same input gives the same answer on every machine, because
//! effort is counted in search nodes and never in seconds.
//!
//! ```
//! use kinglet_plan::{Block, Effort, Problem, place, validate};
//!
//! // A chain of three maps: a map is live from the step that writes it to the step that reads it.
//! let problem = Problem::new(vec![
//!     Block::new(27_648, 16, 0, 1),
//!     Block::new(36_864, 16, 1, 2),
//!     Block::new(18_432, 16, 2, 3),
//! ]);
//! let placement = place(&problem, &Effort::default())?;
//! assert_eq!(placement.bytes, 64_512);
//! assert!(placement.optimal);
//! assert!(validate(&problem, &placement).is_ok());
//! # Ok::<(), kinglet_plan::PlanError>(())
//! ```
#![deny(clippy::as_conversions)]

mod dag;
mod error;
mod exact;
mod greedy;
mod items;
mod memory;
mod normal;
mod order;
mod place;
mod problem;
mod validate;

pub use dag::{Dag, Step, Value};
pub use error::{Fault, PlanError};
pub use memory::{StepMemory, peak, timeline};
pub use order::{Ordering, order};
pub use place::place;
pub use problem::{Block, Effort, Overlap, Placement, Problem, Rule};
pub use validate::validate;

/// The most blocks a problem may have.
pub const MAX_BLOCKS: usize = 32_768;
/// The most steps a problem may have.
pub const MAX_STEPS: u32 = 1 << 20;
/// The largest sum of all blocks' bytes and alignments, one exbibyte: below it no sum can overflow.
pub const MAX_BYTES: u64 = 1 << 60;
/// The most entries [`timeline`] returns over all steps together.
pub const MAX_TIMELINE: usize = 1 << 24;

/// A `u32` index as a `usize`; on a machine where it does not fit no such element can exist.
fn at(index: u32) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

/// An index below [`MAX_BLOCKS`] as a `u32`.
fn id(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// The smallest multiple of `align`, a power of two, that is not below `value`.
fn align_up(value: u64, align: u64) -> u64 {
    let mask = align - 1;
    (value + mask) & !mask
}
