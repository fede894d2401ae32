//! Kinglet as a library: models, engines, cases. The command line is a thin layer on this.

pub mod batch;
pub mod engine;
pub mod model;

pub use kinglet_diag::{Diagnostic, Failure, Result};
