//! Kinglet as a library: models, engines, cases. The command line is a thin layer on this.

pub mod batch;
pub mod c_library;
pub mod cli;
pub mod compare;
pub mod engine;
pub mod files;
pub mod fit;
pub mod inspect;
mod interrupt;
pub mod markup;
pub mod measure;
pub mod model;
pub mod printed;
pub mod profile;
pub mod report;
pub mod table;
pub mod timeline;
pub mod verify;

pub use kinglet_diag::{Diagnostic, Failure, Result};
