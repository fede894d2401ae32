//! The files packed with a model: members of a ZIP archive appended to it.

use super::metadata::ModelInfo;
use kinglet_diag::{Diagnostic, Place, code};
use std::io::{Cursor, Read};
use zip::ZipArchive;

/// The largest file unpacked, in bytes. Labels and vocabularies have a hundredth of that.
const MAX_FILE: usize = 8 << 20;
/// The largest sum of files unpacked, in bytes.
const MAX_TOTAL: usize = 32 << 20;
/// The most files looked at.
const MAX_FILES: usize = 256;

/// A file packed with the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssociatedFile {
    /// Its name in the archive, as it stands there: to look it up by, never a path to write to.
    pub name: String,
    /// Its content.
    pub data: Vec<u8>,
}

/// Unpacks the archive at the end of the file, if there is one. A model runs without its labels, so
/// faults are warnings; a file the metadata names and the archive lacks is one of them.
pub(super) fn read(
    bytes: &[u8],
    info: Option<&ModelInfo>,
    warnings: &mut Vec<Diagnostic>,
) -> Vec<AssociatedFile> {
    let mut files = Vec::new();
    if ends_with_archive(bytes) {
        match ZipArchive::new(Cursor::new(bytes)) {
            Ok(mut archive) => unpack(&mut archive, &mut files, warnings),
            Err(fault) => warnings.push(warning(format!(
                "the archive of files packed behind the model cannot be read: {fault}"
            ))),
        }
    }
    let mut missing: Vec<&str> = Vec::new();
    for file in info.iter().flat_map(|info| info.all_files()) {
        let name = file.name.as_str();
        if !files.iter().any(|f| f.name == name) && !missing.contains(&name) && missing.len() < 8 {
            missing.push(name);
        }
    }
    warnings.extend(missing.into_iter().map(|name| {
        warning(format!(
            "the model metadata names the file \"{name}\", which is not packed behind the model"
        ))
        .at(Place::Byte(super::flat::offset(bytes.len())))
    }));
    files
}

fn warning(message: String) -> Diagnostic {
    Diagnostic::warning(code::TFLITE_ASSOCIATED_FILE, message).help(
        "the model itself is sound; if you need its labels, fetch the file again, since its end may be cut off",
    )
}

/// Whether the file ends in an archive's end record. Weights may hold its signature by chance, so the
/// comment's length must lead exactly to the end of the file.
fn ends_with_archive(bytes: &[u8]) -> bool {
    const RECORD: usize = 22;
    const SIGNATURE: &[u8] = b"PK\x05\x06";
    let longest = RECORD.saturating_add(usize::from(u16::MAX));
    let tail = bytes.get(bytes.len().saturating_sub(longest)..).unwrap_or_default();
    tail.windows(RECORD).enumerate().any(|(at, record)| {
        let comment = match record {
            [.., low, high] => usize::from(u16::from_le_bytes([*low, *high])),
            _ => return false,
        };
        record.starts_with(SIGNATURE)
            && at.saturating_add(RECORD).saturating_add(comment) == tail.len()
    })
}

fn unpack(
    archive: &mut ZipArchive<Cursor<&[u8]>>,
    files: &mut Vec<AssociatedFile>,
    warnings: &mut Vec<Diagnostic>,
) {
    let mut left = MAX_TOTAL;
    for index in 0..archive.len().min(MAX_FILES) {
        let limit = left.min(MAX_FILE);
        let mut name = format!("number {index}");
        let unpacked = archive.by_index(index).map_err(|e| e.to_string()).and_then(|mut member| {
            name = member.name().map_err(|e| e.to_string())?.into_owned();
            let mut data = Vec::new();
            let take = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
            member.by_ref().take(take).read_to_end(&mut data).map_err(|e| e.to_string())?;
            match data.len() > limit {
                true => Err(format!("it unpacks to more than {limit} bytes")),
                false => Ok(data),
            }
        });
        match unpacked {
            Ok(data) => {
                left = left.saturating_sub(data.len());
                files.push(AssociatedFile { name, data });
            }
            Err(fault) => warnings
                .push(warning(format!("the packed file \"{name}\" cannot be read: {fault}"))),
        }
    }
    if archive.len() > MAX_FILES {
        warnings.push(warning(format!(
            "the archive behind the model has {} files, of which the first {MAX_FILES} are read",
            archive.len()
        )));
    }
}
