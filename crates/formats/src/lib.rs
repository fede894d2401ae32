//! Files to records and back, checked byte for byte: TensorFlow Lite models ([`tflite`]) and NumPy
//! arrays ([`npz`]).
//!
//! This crate knows bytes and gives no meaning: no operator, no graph, no unit. What it hands out is
//! structurally sound (every index in range, every size what its shape says), or the caller gets one
//! diagnostic with the byte offset of the first fault. Input is hostile until proved otherwise: no
//! panic, no memory by a size that only the file claims.
#![deny(clippy::as_conversions, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![cfg_attr(
    test,
    allow(
        clippy::as_conversions,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        reason = "a test that fails may panic"
    )
)]

pub mod npz;
pub mod sniff;
pub mod tflite;
