//! What uses an instruction set: the inner loops of kernels, each with a portable twin that is equal to
//! the bit.
//!
//! Which one is compiled is decided by the crate's features, which the printed manifest switches on for its
//! target, together with the architecture: a crate printed for a Cortex-M and built for a desktop machine
//! has the twins. `unsafe` stands here and nowhere else in this crate.
#![allow(unsafe_code, reason = "instructions that no safe function stands for")]

pub mod dsp;
pub mod helium;
pub mod rv32;
pub mod taps;
pub mod v6m;
