//! A static library for programs in other languages: built, and examined as its linker will.

use crate::archive::slim;
use crate::cache::Cache;
use crate::elf::{is_forbidden, readable};
use crate::firmware::build_staticlib;
use crate::source::SourceTree;
use crate::spec::CoreSpec;
use kinglet_diag::{Diagnostic, Failure, Place, Result, code};
use object::read::archive::ArchiveFile;
use object::{Object, ObjectSection, ObjectSymbol, SectionKind, SymbolKind};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Builds the crate at the top of a tree, whose library is a static one of this name, for a core; or
/// finds it in the cache. What the crate offers begins with `NAME_`.
///
/// # Errors
/// As [`build_project`](crate::build_project); K0708 if the library can panic or is not whole.
pub fn build_library(
    cache: &Cache,
    tree: &SourceTree,
    name: &str,
    core: &CoreSpec,
) -> Result<Library> {
    let built = build_staticlib(cache, tree, name, core)?;
    let bytes = std::fs::read(&built.path).map_err(|error| cache.unusable(&error))?;
    let prefix = format!("{name}_");
    let library = slim(&bytes, &prefix)
        .and_then(|slim| Library::parse(slim, &prefix).map_err(|error| error.to_string()))
        .map_err(|error| unusable(&built.path, &error))?;
    library.require_whole()?;
    Ok(library)
}

fn unusable(path: &Path, what: &str) -> Failure {
    Diagnostic::error(code::ELF_UNUSABLE, format!("the library cannot be examined: {what}"))
        .at(Place::File(path.display().to_string()))
        .help("it must be an archive of ELF objects, as the compiler leaves it")
        .into()
}

/// What a C compiler must be told of a core so that its code has the library's calling convention; for
/// GCC and Clang.
pub fn c_flags(core: &CoreSpec) -> Vec<String> {
    if core.is_riscv() {
        // `riscv32imc-unknown-none-elf`
        let arch = core.target.split('-').next().unwrap_or("riscv32imc").replace("riscv", "rv");
        let abi = if arch.contains('f') { "ilp32f" } else { "ilp32" };
        return vec![format!("-march={arch}"), format!("-mabi={abi}")];
    }
    let cpu = match core.cpu.as_str() {
        "" => "cortex-m0",
        cpu => cpu,
    };
    let no_double = core.features.iter().any(|feature| feature == "-fp64");
    let cpu = if no_double { format!("{cpu}+nofp.dp") } else { cpu.to_owned() };
    let abi = if core.target.ends_with("hf") { "hard" } else { "soft" };
    vec!["-mthumb".to_owned(), format!("-mcpu={cpu}"), format!("-mfloat-abi={abi}")]
}

/// A symbol that a library offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Offer {
    weak: bool,
}

/// A static library, read.
#[derive(Clone, Debug, Default)]
pub struct Library {
    /// The archive.
    pub bytes: Vec<u8>,
    offers: BTreeMap<String, Offer>,
    wanted: BTreeSet<String>,
    forbidden: BTreeSet<String>,
    /// Bytes of machine code in the members that have one of the names asked for.
    pub code: u64,
    /// Bytes of read-only data in them.
    pub constants: u64,
    /// Bytes of variables in them.
    pub variables: u64,
}

impl Library {
    /// Reads a library whose own functions all begin with `prefix`; sizes and forbidden symbols are those
    /// of the members that define one of them: the rest are the compiler's support routines.
    ///
    /// # Errors
    /// K0707 if it cannot be read or is no archive of object files.
    pub fn read(path: &Path, prefix: &str) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|error| unusable(path, &error.to_string()))?;
        Self::parse(bytes, prefix).map_err(|error| unusable(path, &error.to_string()))
    }

    fn parse(bytes: Vec<u8>, prefix: &str) -> object::Result<Self> {
        let mut library = Self::default();
        for member in ArchiveFile::parse(bytes.as_slice())?.members() {
            let file = object::File::parse(member?.data(bytes.as_slice())?)?;
            library.add(&file, prefix);
        }
        let offers = &library.offers;
        library.wanted.retain(|name| !offers.contains_key(name));
        library.bytes = bytes;
        Ok(library)
    }

    fn add(&mut self, file: &object::File<'_>, prefix: &str) {
        let mut own = false;
        let mut names = BTreeSet::new();
        for symbol in file.symbols() {
            let name = symbol.name().unwrap_or_default();
            let bare = matches!(symbol.kind(), SymbolKind::File | SymbolKind::Section);
            if bare || name.is_empty() {
                continue;
            }
            if symbol.is_undefined() {
                self.wanted.insert(name.to_owned());
            } else if symbol.is_global() {
                own |= name.starts_with(prefix);
                self.offers.insert(name.to_owned(), Offer { weak: symbol.is_weak() });
            }
            names.insert(readable(name));
        }
        if !own {
            return;
        }
        self.forbidden.extend(names.into_iter().filter(|name| is_forbidden(name)));
        for section in file.sections() {
            match section.kind() {
                SectionKind::Text => self.code += section.size(),
                SectionKind::ReadOnlyData | SectionKind::ReadOnlyString => {
                    self.constants += section.size();
                }
                SectionKind::Data | SectionKind::UninitializedData => {
                    self.variables += section.size();
                }
                _ => {}
            }
        }
    }

    /// The symbols that a linker would take from here and that are not weak: what it offers, and what
    /// must not be defined elsewhere.
    pub fn offered(&self) -> impl Iterator<Item = &str> {
        self.offers.iter().filter(|(_, offer)| !offer.weak).map(|(name, _)| name.as_str())
    }

    /// The symbols that the user's program would have to bring; none in a library that is whole.
    pub fn undefined(&self) -> impl Iterator<Item = &str> {
        self.wanted.iter().map(String::as_str)
    }

    /// Refuses a library with panics or an allocator, or one that is not whole.
    ///
    /// # Errors
    /// K0708 with the symbols' names.
    pub fn require_whole(&self) -> Result<()> {
        let names: Vec<&str> =
            self.forbidden.iter().chain(&self.wanted).map(String::as_str).collect();
        if names.is_empty() {
            return Ok(());
        }
        Err(Diagnostic::error(
            code::FORBIDDEN_SYMBOL,
            format!("the library can panic or allocate, or needs another: {}", names.join(", ")),
        )
        .help("printed crates need nothing and are free of both: please report this")
        .into())
    }
}
