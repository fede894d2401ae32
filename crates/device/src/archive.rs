//! Archives of object files: keeping what a library needs, and nothing a linker stumbles over.
//!
//! The compiler packs all of its support routines into a static library, hundreds of objects of which a
//! model needs a few, each with a copy in the compiler's own intermediate code; linkers with a plug-in
//! for another version of that code complain of it. What is written here has neither, and the same
//! bytes each time.

use object::build::elf::{Builder, SectionData};
use object::elf::{STB_GLOBAL, STB_WEAK};
use object::read::archive::ArchiveFile;
use object::{Object, ObjectSymbol, SymbolKind};
use std::collections::{BTreeMap, BTreeSet};

/// What a linker does not need: the compiler's intermediate code, debug information, its name.
const SUPERFLUOUS: [&str; 8] = [
    ".llvmbc",
    ".llvmcmd",
    ".debug_",
    ".rel.debug_",
    ".rela.debug_",
    ".rel.llvmbc",
    ".rela.llvmbc",
    ".comment",
];

/// An object of an archive: its bytes and the names in its symbol table.
struct Member {
    bytes: Vec<u8>,
    defined: Vec<String>,
    wanted: BTreeSet<String>,
}

impl Member {
    fn read(data: &[u8]) -> Result<Self, String> {
        let mut builder = Builder::read(data).map_err(said)?;
        for section in &mut builder.sections {
            let name = String::from_utf8_lossy(&section.name).into_owned();
            section.delete = SUPERFLUOUS.iter().any(|prefix| name.starts_with(prefix));
        }
        builder.delete_orphans();
        // Functions without a prologue are global in Rust's objects, under names that say crate and version: two
        // libraries in one program have the same.
        for symbol in &mut builder.symbols {
            let name = String::from_utf8_lossy(&symbol.name);
            let mangled = name.starts_with("_ZN") || name.starts_with("_R");
            if mangled && symbol.st_bind() == STB_GLOBAL && symbol.section.is_some() {
                symbol.set_st_info(STB_WEAK, symbol.st_type());
            }
        }
        // LLVM keeps the names of sections and of symbols in one table.
        if !builder.sections.iter().any(|s| matches!(s.data, SectionData::SectionString)) {
            let names = builder.sections.add();
            names.name = b".shstrtab".as_slice().into();
            names.sh_type = object::elf::SHT_STRTAB;
            names.sh_addralign = 1;
            names.data = SectionData::SectionString;
        }
        builder.set_section_sizes();
        let mut bytes = Vec::new();
        builder.write(&mut bytes).map_err(said)?;
        let file = object::File::parse(bytes.as_slice()).map_err(said)?;
        let (mut defined, mut wanted) = (Vec::new(), BTreeSet::new());
        for symbol in file.symbols() {
            let name = symbol.name().unwrap_or_default().to_owned();
            let bare = matches!(symbol.kind(), SymbolKind::File | SymbolKind::Section);
            if bare || name.is_empty() {
                continue;
            }
            if symbol.is_undefined() {
                wanted.insert(name);
            } else if symbol.is_global() {
                defined.push(name);
            }
        }
        Ok(Self { bytes, defined, wanted })
    }
}

/// The objects of an archive that define a symbol with this prefix, and those that they need, as a new
/// archive.
pub(crate) fn slim(bytes: &[u8], prefix: &str) -> Result<Vec<u8>, String> {
    let archive = ArchiveFile::parse(bytes).map_err(said)?;
    let mut definers: BTreeMap<String, usize> = BTreeMap::new();
    let mut objects: Vec<&[u8]> = Vec::new();
    let mut taken: BTreeSet<usize> = BTreeSet::new();
    for member in archive.members() {
        let data = member.and_then(|member| member.data(bytes)).map_err(said)?;
        // The compiler may put data of its own beside the objects.
        let Ok(file) = object::File::parse(data) else { continue };
        let index = objects.len();
        objects.push(data);
        for symbol in file.symbols().filter(|symbol| symbol.is_global() && !symbol.is_undefined()) {
            let name = symbol.name().unwrap_or_default();
            if name.starts_with(prefix) {
                taken.insert(index);
            }
            definers.entry(name.to_owned()).or_insert(index);
        }
    }
    let mut members: BTreeMap<usize, Member> = BTreeMap::new();
    let mut open: Vec<usize> = taken.into_iter().collect();
    while let Some(index) = open.pop() {
        if members.contains_key(&index) {
            continue;
        }
        let member = Member::read(objects.get(index).copied().unwrap_or_default())?;
        open.extend(member.wanted.iter().filter_map(|name| definers.get(name)));
        members.insert(index, member);
    }
    write(members.into_values().collect()).ok_or_else(|| "it is larger than 4 GB".to_owned())
}

fn said(error: impl ToString) -> String {
    error.to_string()
}

/// An archive with the index that linkers look names up in; nothing when it passes 4 GB.
fn write(members: Vec<Member>) -> Option<Vec<u8>> {
    let names: usize = members.iter().flat_map(|m| &m.defined).map(|name| name.len() + 1).sum();
    let count: usize = members.iter().map(|member| member.defined.len()).sum();
    let index_bytes = 4 + 4 * count + names;
    let mut at = 8 + 60 + index_bytes.next_multiple_of(2);
    let mut index = u32::try_from(count).ok()?.to_be_bytes().to_vec();
    for member in &members {
        for _ in &member.defined {
            index.extend(u32::try_from(at).ok()?.to_be_bytes());
        }
        at += 60 + member.bytes.len().next_multiple_of(2);
    }
    for name in members.iter().flat_map(|member| &member.defined) {
        index.extend_from_slice(name.as_bytes());
        index.push(0);
    }
    let mut archive = b"!<arch>\n".to_vec();
    append(&mut archive, "/", &index);
    for (number, member) in members.iter().enumerate() {
        append(&mut archive, &format!("{number}.o/"), &member.bytes);
    }
    Some(archive)
}

/// One member: no time, no owner.
fn append(archive: &mut Vec<u8>, name: &str, bytes: &[u8]) {
    let size = bytes.len();
    archive.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, 644).bytes());
    archive.extend_from_slice(bytes);
    if size % 2 == 1 {
        archive.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::write::{Object as Writer, Symbol, SymbolSection};
    use object::{Architecture, BinaryFormat, Endianness, SymbolFlags, SymbolScope};

    /// An object that defines one symbol and needs another, with data of the compiler's beside.
    fn object(defined: &str, wanted: &str) -> Member {
        let mut writer = Writer::new(BinaryFormat::Elf, Architecture::Arm, Endianness::Little);
        let text = writer.section_id(object::write::StandardSection::Text);
        writer.append_section_data(text, &[0; 4], 4);
        let kind = object::SectionKind::Other;
        let bitcode = writer.add_section(Vec::new(), b".llvmbc".to_vec(), kind);
        writer.append_section_data(bitcode, &[7; 5], 1);
        for (name, section) in
            [(defined, SymbolSection::Section(text)), (wanted, SymbolSection::Undefined)]
        {
            writer.add_symbol(Symbol {
                name: name.into(),
                value: 0,
                size: 4,
                kind: SymbolKind::Text,
                scope: SymbolScope::Dynamic,
                weak: false,
                section,
                flags: SymbolFlags::None,
            });
        }
        let bytes = writer.write().unwrap();
        Member { bytes, defined: vec![defined.to_owned()], wanted: BTreeSet::new() }
    }

    #[test]
    fn what_is_needed_stays_and_nothing_else() {
        let all =
            [("m_run", "helper"), ("other", "helper"), ("helper", "_RNdeep"), ("_RNdeep", "m_run")];
        let whole = write(all.map(|(defined, wanted)| object(defined, wanted)).into()).unwrap();
        let small = slim(&whole, "m_").unwrap();
        assert_eq!(small, slim(&whole, "m_").unwrap());
        let archive = ArchiveFile::parse(small.as_slice()).unwrap();
        let mut found = Vec::new();
        for member in archive.members() {
            let file =
                object::File::parse(member.unwrap().data(small.as_slice()).unwrap()).unwrap();
            assert!(file.section_by_name(".llvmbc").is_none());
            for symbol in file.symbols().filter(|symbol| !symbol.is_undefined()) {
                assert_eq!(symbol.is_weak(), symbol.name() == Ok("_RNdeep"));
            }
            let names = file.symbols().filter(|s| !s.is_undefined() && s.is_global());
            found.extend(names.map(|symbol| symbol.name().unwrap().to_owned()));
        }
        assert_eq!(found, ["m_run", "helper", "_RNdeep"]);
        let index: Vec<String> = archive
            .symbols()
            .unwrap()
            .unwrap()
            .map(|symbol| String::from_utf8_lossy(symbol.unwrap().name()).into_owned())
            .collect();
        assert_eq!(index, found);
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        let whole = write(vec![object("m_run", "x")]).unwrap();
        assert!(slim(b"", "m_").is_err());
        for end in (8..whole.len()).step_by(7) {
            // Cut anywhere: an error, or an archive without the object.
            if let Ok(rest) = slim(&whole[..end], "m_") {
                assert!(rest.len() < whole.len(), "cut at {end}");
            }
        }
    }
}
