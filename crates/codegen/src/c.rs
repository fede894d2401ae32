//! A printed crate for programs in C: a header, and a crate that offers what the header declares.
//!
//! The shim is the one printed crate with `unsafe`: it takes pointers from C. The model's own crate,
//! which it calls, forbids it.

mod header;
mod shim;

use crate::names::{distinct, identifier};
use crate::{File, Options, package};
use kinglet_program::{Port, Program};

/// The folder of the model's crate in the shim's.
const MODEL_FOLDER: &str = "model";

/// The header and the crate behind it, printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CLibrary {
    /// What the header, the library and all names in C begin with: `machine_state`.
    pub prefix: String,
    /// The header's text.
    pub header: String,
    /// The shim with the model's crate in its folder `model`: `cargo rustc --release` there makes the
    /// static library. Its `Cargo.toml` has no profile yet: how it is compiled is the board's matter.
    pub files: Vec<File>,
}

/// Prints the C interface of a program around its crate.
pub fn c_library(program: &Program, options: &Options) -> CLibrary {
    let names = Names::new(program, options);
    let mut files: Vec<File> = crate::print(program, options)
        .into_iter()
        .map(|file| File { path: format!("{MODEL_FOLDER}/{}", file.path), ..file })
        .collect();
    files.push(File::text("Cargo.toml", manifest(&names, options)));
    files.push(File::text("src/lib.rs", shim::text(program, &names, options)));
    files.sort_by(|a, b| a.path.cmp(&b.path));
    CLibrary { header: header::text(program, &names, options), prefix: names.prefix, files }
}

/// Whether a C library of this name would hide a header or a library that every C program uses, or be
/// refused as a crate's name. The name is one that [`identifier`] gives.
pub fn is_taken(name: &str) -> bool {
    /// Keywords of C and C++, which tools derive macros and variables from, and those of Rust, which
    /// cargo refuses as a package's name.
    const KEYWORDS: &str = "alignas alignof and asm auto bitand bitor bool break case catch char class \
        const constexpr continue default delete do double else enum explicit export extern false float \
        for friend goto if inline int long mutable namespace new noexcept not nullptr operator or \
        private protected public register restrict return short signed sizeof static struct switch \
        template this throw true try typedef typeid typename typeof union unsigned using virtual void \
        volatile while xor abstract as async await become box crate dyn final fn gen impl in let loop \
        macro match mod move mut override priv pub ref self super trait type unsafe unsized use where \
        yield";
    /// Headers of the C library and of common firmware toolchains.
    const HEADERS: &str = "assert complex ctype errno fenv float inttypes iso646 limits locale math \
        setjmp signal stdalign stdarg stdatomic stdbit stdbool stdckdint stddef stdint stdio stdlib \
        stdnoreturn string tgmath threads time uchar wchar wctype alloca dirent fcntl malloc memory \
        process reent sched search strings unistd arm_neon arm_mve arm_acle";
    /// Libraries that a linker is given as `-lNAME`, and crates that the shim itself uses.
    const LIBRARIES: &str = "c m g gcc gcc_eh gcov nosys rdimon semihost stdc supc std core alloc \
        proc_macro test kinglet_kernels";
    [KEYWORDS, HEADERS, LIBRARIES]
        .iter()
        .any(|list| list.split_whitespace().any(|word| word == name))
}

/// The names in the header.
struct Names {
    prefix: String,
    inputs: Vec<String>,
    outputs: Vec<String>,
}

impl Names {
    fn new(program: &Program, options: &Options) -> Self {
        let ports = |ports: &[Port]| distinct(ports.iter().map(|port| identifier(&port.name)));
        Self {
            prefix: identifier(&options.crate_name),
            inputs: ports(&program.inputs),
            outputs: ports(&program.outputs),
        }
    }
}

fn manifest(names: &Names, options: &Options) -> String {
    let (package, prefix) = (package(options), &names.prefix);
    format!(
        "[package]\nname = \"{package}-c\"\nversion = \"0.1.0\"\nedition = \"2024\"\npublish = false\n\n\
         [lib]\nname = \"{prefix}\"\ncrate-type = [\"staticlib\"]\n\n\
         [dependencies]\nmodel = {{ package = \"{package}\", path = \"{MODEL_FOLDER}\" }}\n\n\
         [workspace]\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_hide_others_are_taken() {
        for name in ["int", "class", "fn", "math", "stdint", "c", "m", "core", "kinglet_kernels"] {
            assert!(is_taken(name), "{name}");
        }
        for name in ["machine_state", "integer", "maths", "model"] {
            assert!(!is_taken(name), "{name}");
        }
    }
}
