//! What a linked program holds: sizes by kind and region, symbols, forbidden symbols.

use crate::spec::MemoryMap;
use kinglet_diag::{Diagnostic, Place, Result, code};
use object::{
    Object, ObjectSection, ObjectSegment, ObjectSymbol, SectionFlags, SectionKind, SymbolKind,
};
use serde::Serialize;
use std::path::Path;

/// A symbol with an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Readable name, without the compiler's hash.
    pub name: String,
    /// Address, without the bit that marks Thumb code.
    pub address: u64,
    /// Bytes; 0 where the symbol does not say.
    pub size: u64,
    /// Whether it is code.
    pub code: bool,
}

/// Bytes of a linked program, by kind. Flash is vectors, code, constants, weights, the start values of
/// variables, and padding between them; RAM is arena and statics, to which the stack comes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sizes {
    /// The vector table.
    pub vectors: u64,
    /// Machine code with its literal pools.
    pub code: u64,
    /// Read-only data but weights.
    pub constants: u64,
    /// The symbols `KINGLET_WEIGHTS*`, or the section of that name.
    pub weights: u64,
    /// The image of `.data` in flash.
    pub data: u64,
    /// Flash lost between sections.
    pub padding: u64,
    /// All of flash that is used: from its first address to the last byte stored.
    pub flash: u64,
    /// The symbol `ARENA`.
    pub arena: u64,
    /// Variables but the arena.
    pub statics: u64,
    /// By region: how much of it is used (the stack not counted), and how much there is.
    pub regions: Vec<RegionUse>,
}

/// How much of a region is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RegionUse {
    /// The board's name of it.
    pub name: String,
    /// Bytes from its first address to the last byte used; the stack is not counted.
    pub used: u64,
    /// Bytes there are.
    pub available: u64,
}

/// A linked program, read.
#[derive(Clone, Debug)]
pub struct Elf {
    symbols: Vec<Symbol>,
    sections: Vec<Section>,
    stored: Vec<(u64, u64)>,
    /// Instructions, by the address of their section.
    code: Vec<(u64, Vec<u8>)>,
}

#[derive(Clone, Debug)]
struct Section {
    name: String,
    address: u64,
    size: u64,
    executable: bool,
    writable: bool,
    stored: bool,
}

impl Elf {
    /// Reads a program from a file.
    ///
    /// # Errors
    /// K0707 if it cannot be read or is not an ELF program.
    pub fn read(path: &Path) -> Result<Self> {
        let unusable = |what: String| {
            Diagnostic::error(code::ELF_UNUSABLE, format!("the program cannot be examined: {what}"))
                .at(Place::File(path.display().to_string()))
                .help("it must be an ELF program with its symbols, as `cargo build --release` leaves it")
        };
        let bytes = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
        Ok(Self::parse(&bytes).map_err(|error| unusable(error.to_string()))?)
    }

    fn parse(bytes: &[u8]) -> object::Result<Self> {
        let file = object::File::parse(bytes)?;
        let thumb = file.architecture() == object::Architecture::Arm;
        let mut symbols = Vec::new();
        for symbol in file.symbols() {
            let code = symbol.kind() == SymbolKind::Text;
            let name = symbol.name().unwrap_or_default();
            let bare = matches!(symbol.kind(), SymbolKind::File | SymbolKind::Section);
            if bare
                || symbol.is_undefined()
                || name.is_empty()
                || name.starts_with('$')
                || name.starts_with(".L")
            {
                continue;
            }
            let address = if thumb && code { symbol.address() & !1 } else { symbol.address() };
            symbols.push(Symbol { name: readable(name), address, size: symbol.size(), code });
        }
        symbols.sort_by(|a, b| (a.address, a.size, &a.name).cmp(&(b.address, b.size, &b.name)));
        let (mut sections, mut code) = (Vec::new(), Vec::new());
        for section in file.sections() {
            let SectionFlags::Elf { sh_flags, .. } = section.flags() else { continue };
            let has = |flag: object::elf::SectionFlags| sh_flags.0 & flag.0 != 0;
            if !has(object::elf::SHF_ALLOC) || section.size() == 0 {
                continue;
            }
            if has(object::elf::SHF_EXECINSTR) {
                code.push((section.address(), section.data()?.to_vec()));
            }
            sections.push(Section {
                name: section.name().unwrap_or_default().to_owned(),
                address: section.address(),
                size: section.size(),
                executable: has(object::elf::SHF_EXECINSTR),
                writable: has(object::elf::SHF_WRITE),
                stored: section.kind() != SectionKind::UninitializedData,
            });
        }
        let stored = load_addresses(bytes, &file);
        Ok(Self { symbols, sections, stored, code })
    }

    /// The two halves of the instruction word at an address, the second one 0 at the end of the code.
    pub(crate) fn code_at(&self, address: u64) -> Option<[u16; 2]> {
        let (start, bytes) = self.code.iter().find(|(start, bytes)| {
            address.checked_sub(*start).is_some_and(|at| at < bytes.len() as u64)
        })?;
        let at = usize::try_from(address - start).ok()?;
        let half =
            |at: usize| bytes.get(at..)?.first_chunk::<2>().map(|bytes| u16::from_le_bytes(*bytes));
        Some([half(at)?, half(at + 2).unwrap_or(0)])
    }

    /// All symbols in order of address.
    pub fn symbols(&self) -> &[Symbol] {
        &self.symbols
    }

    /// The address of a symbol by its exact name.
    pub fn address_of(&self, name: &str) -> Option<u64> {
        self.symbols.iter().find(|symbol| symbol.name == name).map(|symbol| symbol.address)
    }

    /// The function that holds an address, and the distance from its start.
    pub fn function_at(&self, address: u64) -> Option<(&Symbol, u64)> {
        let address = address & !1;
        let end = self.symbols.partition_point(|symbol| symbol.address <= address);
        let before = self.symbols.get(..end)?.iter().rev().filter(|symbol| symbol.code);
        let mut candidates = before.filter(|symbol| address - symbol.address < symbol.size.max(1));
        candidates.next().map(|symbol| (symbol, address - symbol.address))
    }

    /// `name+0x12`, or the bare address where no function is known.
    pub fn place(&self, address: u64) -> String {
        match self.function_at(address) {
            Some((symbol, 0)) => symbol.name.clone(),
            Some((symbol, offset)) => format!("{}+{offset:#x}", symbol.name),
            None => format!("{address:#010x}"),
        }
    }

    /// Symbols that only a program with panics or an allocator has.
    pub fn forbidden_symbols(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .symbols
            .iter()
            .map(|symbol| symbol.name.as_str())
            .filter(|name| is_forbidden(name))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Refuses a program with panics or an allocator.
    ///
    /// # Errors
    /// K0708 with the symbols' names.
    pub fn require_no_panic(&self) -> Result<()> {
        let names = self.forbidden_symbols();
        if names.is_empty() {
            return Ok(());
        }
        Err(Diagnostic::error(code::FORBIDDEN_SYMBOL, format!("the firmware can panic or allocate: {}", names.join(", ")))
            .help("printed crates are free of both at opt-level \"s\", 2 and 3 with overflow checks off: look at what was added")
            .into())
    }

    /// Bytes by kind and by region.
    pub fn sizes(&self, memory: &MemoryMap) -> Sizes {
        let mut sizes = Sizes::default();
        let arena: u64 =
            self.data_symbols(|name| last_part(name) == "ARENA").map(|symbol| symbol.size).sum();
        let weights: u64 = self.data_symbols(is_weights).map(|symbol| symbol.size).sum();
        let (mut read_only, mut variables, mut weight_sections) = (0, 0, 0);
        for section in &self.sections {
            match section {
                Section { name, .. } if is_stack(name) => {}
                Section { name, size, .. } if name == ".vector_table" => sizes.vectors += size,
                Section { name, size, .. } if name.starts_with(".kinglet_weights") => {
                    weight_sections += size
                }
                Section { executable: true, size, .. } => sizes.code += size,
                Section { writable: true, stored, size, .. } => {
                    variables += size;
                    sizes.data += if *stored { *size } else { 0 };
                }
                Section { stored: true, size, .. } => read_only += size,
                Section { size, .. } => variables += size,
            }
        }
        // Weights stand either in a section of their own, which then is all theirs, or among constants.
        let apart = weight_sections > 0;
        sizes.weights = if apart { weight_sections } else { weights };
        sizes.constants = read_only - if apart { 0 } else { weights.min(read_only) };
        sizes.arena = arena;
        sizes.statics = variables - arena.min(variables);
        for region in memory.regions() {
            let placed = self
                .sections
                .iter()
                .filter(|section| !is_stack(&section.name))
                .map(|s| (s.address, s.size));
            let ends =
                placed.chain(self.stored.iter().copied()).filter(|(at, _)| region.contains(*at));
            let used =
                ends.map(|(at, size)| at.saturating_add(size) - region.origin).max().unwrap_or(0);
            sizes.regions.push(RegionUse {
                name: region.name.clone(),
                used,
                available: region.len,
            });
        }
        sizes.flash = sizes.regions.first().map_or(0, |flash| flash.used);
        let in_flash = |section: &&Section| memory.flash.contains(section.address);
        let elsewhere: u64 = self
            .sections
            .iter()
            .filter(|s| s.name.starts_with(".kinglet_weights") && !in_flash(s))
            .map(|s| s.size)
            .sum();
        let known = sizes.vectors
            + sizes.code
            + sizes.constants
            + sizes.data
            + (sizes.weights - elsewhere.min(sizes.weights));
        sizes.padding = sizes.flash.saturating_sub(known);
        sizes
    }

    fn data_symbols(&self, wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = &Symbol> {
        self.symbols.iter().filter(move |symbol| !symbol.code && wanted(&symbol.name))
    }
}

/// Where stored bytes go: the physical address and length of every segment with bytes in the file.
fn load_addresses(bytes: &[u8], file: &object::File<'_>) -> Vec<(u64, u64)> {
    use object::read::elf::{FileHeader, ProgramHeader};
    if let Ok(header) = object::elf::FileHeader32::<object::Endianness>::parse(bytes)
        && let Ok(endian) = header.endian()
        && let Ok(segments) = header.program_headers(endian, bytes)
    {
        let loaded =
            segments.iter().filter(|segment| segment.p_type(endian) == object::elf::PT_LOAD);
        return loaded
            .map(|segment| {
                (u64::from(segment.p_paddr(endian)), u64::from(segment.p_filesz(endian)))
            })
            .filter(|(_, size)| *size > 0)
            .collect();
    }
    file.segments().map(|segment| (segment.address(), segment.file_range().1)).collect()
}

/// The start-up crate's fictitious sections for what is left to stack and heap.
fn is_stack(name: &str) -> bool {
    name == ".stack" || name == ".heap"
}

pub(crate) fn readable(name: &str) -> String {
    match rustc_demangle::try_demangle(name) {
        Ok(demangled) => format!("{demangled:#}"),
        Err(_) => name.to_owned(),
    }
}

fn last_part(name: &str) -> &str {
    name.rsplit("::").next().unwrap_or(name)
}

fn is_weights(name: &str) -> bool {
    last_part(name).starts_with("KINGLET_WEIGHTS")
}

pub(crate) fn is_forbidden(name: &str) -> bool {
    const PARTS: &[&str] = &[
        "core::panicking::",
        "rust_begin_unwind",
        "rust_panic",
        "unwrap_failed",
        "expect_failed",
        "slice_index_fail",
        "slice_start_index_len_fail",
        "slice_end_index_len_fail",
        "copy_from_slice_impl::len_mismatch_fail",
        "alloc::",
        "__rust_alloc",
        "__rust_dealloc",
        "__rustc::__rust",
        "__rdl_alloc",
    ];
    PARTS.iter().any(|part| name.contains(part)) || ["malloc", "free", "_sbrk"].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Region;

    fn symbol(name: &str, address: u64, size: u64, code: bool) -> Symbol {
        Symbol { name: name.into(), address, size, code }
    }

    fn section(name: &str, address: u64, size: u64, flags: &str) -> Section {
        Section {
            name: name.into(),
            address,
            size,
            executable: flags.contains('x'),
            writable: flags.contains('w'),
            stored: flags.contains('s'),
        }
    }

    fn sample() -> Elf {
        Elf {
            code: Vec::new(),
            symbols: vec![
                symbol("Reset", 0x40, 0x10, true),
                symbol("model::run", 0x50, 0x30, true),
                symbol("model::KINGLET_WEIGHTS", 0x80, 0x20, false),
                symbol("main::ARENA", 0x2000_0010, 64, false),
            ],
            sections: vec![
                section(".vector_table", 0, 0x40, "s"),
                section(".text", 0x40, 0x40, "xs"),
                section(".rodata", 0x80, 0x28, "s"),
                section(".data", 0x2000_0000, 8, "ws"),
                section(".bss", 0x2000_0010, 80, "w"),
                section(".stack", 0x2000_0060, 0x1000, "w"),
            ],
            stored: vec![(0, 0xA8), (0xB0, 8)],
        }
    }

    #[test]
    fn sizes_add_up() {
        let memory = MemoryMap::new(
            Region::new("flash", 0, 0x1000),
            Region::new("ram", 0x2000_0000, 0x2000),
        );
        let sizes = sample().sizes(&memory);
        assert_eq!(
            (sizes.vectors, sizes.code, sizes.constants, sizes.weights),
            (0x40, 0x40, 8, 0x20)
        );
        assert_eq!((sizes.data, sizes.padding, sizes.flash), (8, 8, 0xB8));
        assert_eq!((sizes.arena, sizes.statics), (64, 24));
        assert_eq!(sizes.regions[1].used, 0x60);
    }

    #[test]
    fn addresses_become_functions() {
        let elf = sample();
        assert_eq!(elf.place(0x55), "model::run+0x4");
        assert_eq!(elf.place(0x50), "model::run");
        assert_eq!(elf.place(0x80), "0x00000080");
        assert_eq!(elf.address_of("Reset"), Some(0x40));
    }

    #[test]
    fn panics_and_allocators_are_seen() {
        let mut elf = sample();
        elf.require_no_panic().unwrap();
        elf.symbols.push(symbol("core::panicking::panic_fmt", 0x100, 4, true));
        elf.symbols.push(symbol("__rust_alloc", 0x104, 4, true));
        let failure = elf.require_no_panic().unwrap_err();
        assert_eq!(failure.first().code, code::FORBIDDEN_SYMBOL);
        assert!(failure.first().message.contains("core::panicking::panic_fmt"));
        assert!(failure.first().message.contains("__rust_alloc"));
    }

    #[test]
    fn what_is_no_program_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.elf");
        std::fs::write(&path, b"\x7fELF\x01\x01\x01 cut").unwrap();
        assert_eq!(Elf::read(&path).unwrap_err().first().code, code::ELF_UNUSABLE);
        assert_eq!(
            Elf::read(&folder.path().join("no")).unwrap_err().first().code,
            code::ELF_UNUSABLE
        );
    }
}
