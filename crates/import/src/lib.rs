//! From a file to a verified graph: gives meaning to the records that `formats` reads.
//!
//! Nothing is skipped in silence: every operator that is not supported is listed, every attribute that
//! nobody read is an error, and shapes in the file are compared with the inferred ones.
#![deny(clippy::as_conversions, clippy::unwrap_used, clippy::expect_used)]

mod tflite;

use kinglet_diag::{Diagnostic, Failure};
use kinglet_ops::Graph;
use std::sync::Arc;

/// A model that was read.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The graph, verified.
    pub graph: Graph,
    /// Warnings and notes, for the end of the output.
    pub remarks: Vec<Diagnostic>,
}

/// Reads a model file of any supported format. `name` is what the model is called where the file gives
/// no name of its own.
///
/// # Errors
/// Everything that is wrong with the file (`K01..`) or with its meaning (`K02..`, all at once).
pub fn read(bytes: Arc<Vec<u8>>, name: &str) -> Result<Imported, Failure> {
    tflite::import(&bytes, name)
}
