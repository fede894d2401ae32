//! Prints a program as a crate a firmware engineer can review: `no_std`, no allocation, no `unsafe`,
//! no panic, the same bytes for the same program on any machine.
//!
//! This crate knows no board and no operator. It prints what the program says: which kernel, on which
//! pieces of memory, with which constants. Board projects and example mains come from the crate
//! `device`.

mod c;
mod format;
mod manifest;
mod names;
mod source;
mod weights;

pub use c::{CLibrary, c_library, is_taken};
pub use manifest::package;
pub use names::identifier;
pub use weights::Weights;

use kinglet_program::Program;

/// A file of the printed crate: its path in the crate, with forward slashes, and its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Path below the crate's folder.
    pub path: String,
    /// Contents.
    pub bytes: Vec<u8>,
}

/// Where the printed crate gets `kinglet-kernels` from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Kernels {
    /// The sources are written into the printed crate's folder `kernels/`.
    #[default]
    Vendor,
    /// A path, as it will stand in the manifest.
    Path(String),
    /// A version from the registry.
    Version(String),
}

/// A run whose result is known: what `check()` compares with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Golden {
    /// Bytes of all inputs, one after the other.
    pub inputs: Vec<u8>,
    /// Bytes of all outputs, one after the other.
    pub outputs: Vec<u8>,
}

/// How to print.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The crate's name.
    pub crate_name: String,
    /// The tool's version, for the header.
    pub tool_version: String,
    /// SHA-256 of the model file, hexadecimal, for the header.
    pub model_digest: String,
    /// Where the kernels come from.
    pub kernels: Kernels,
    /// Whether every tensor is reported while the model runs.
    pub taps: bool,
    /// Linker section for the weights: they become a second crate that holds nothing but statics.
    pub weights_section: Option<String>,
    /// What `check()` compares with; without it there is no `check()`.
    pub golden: Option<Golden>,
}

/// Prints the crate.
pub fn print(program: &Program, options: &Options) -> Vec<File> {
    let weights = Weights::of(program);
    let mut files = vec![
        File::text("Cargo.toml", manifest::model(program, options)),
        File::text("src/lib.rs", source::library(program, &weights, options)),
        File::text("README.md", manifest::readme(program, &weights, options)),
    ];
    if options.weights_section.is_some() {
        files.push(File::text("weights/Cargo.toml", manifest::weights(options)));
        files.push(File::text("weights/src/lib.rs", source::weights_library(&weights, options)));
        files.push(File { path: "weights/src/weights.bin".to_owned(), bytes: weights.bytes });
    } else {
        files.push(File { path: "src/weights.bin".to_owned(), bytes: weights.bytes });
    }
    if let Some(golden) = &options.golden {
        files.push(File { path: "src/check_in.bin".to_owned(), bytes: golden.inputs.clone() });
        files.push(File { path: "src/check_out.bin".to_owned(), bytes: golden.outputs.clone() });
    }
    if options.kernels == Kernels::Vendor {
        files.extend(kernels(&options.tool_version));
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// The crate of the kernels as it stands beside a printed one, in the folder `kernels`.
pub fn kernels(tool_version: &str) -> Vec<File> {
    let mut files = vec![File::text("kernels/Cargo.toml", manifest::kernels(tool_version))];
    for (path, text) in kinglet_kernels::SOURCES {
        files.push(File::text(&format!("kernels/src/{path}"), (*text).to_owned()));
    }
    files
}

impl File {
    fn text(path: &str, text: String) -> Self {
        Self { path: path.to_owned(), bytes: text.into_bytes() }
    }
}
