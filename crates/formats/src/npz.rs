//! NumPy arrays: `.npy` and `.npz` files, read and written.
//!
//! Reads stored and deflated archives, either byte order, C and Fortran order, header versions 1 to 3;
//! hands out little-endian bytes in C order. Writes deflated archives whose bytes depend on the arrays
//! alone. No pickle is ever read. Memory taken is bounded by a limit the caller may set, and grows only
//! with bytes that are really there.

mod array;
mod npy;

pub use array::{Array, DType, Element};
pub use npy::{read_npy, write_npy};

use kinglet_diag::{Diagnostic, Place, Result, bug, code};
use std::io::{Cursor, Read, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

/// The largest sum of unpacked arrays that [`read_npz`] allows, in bytes.
pub const DEFAULT_LIMIT: usize = 1 << 31;
/// The most arrays in an archive.
const MAX_ENTRIES: usize = 1 << 16;
/// No deflate stream unpacks to more than this many times its size.
const MAX_DEFLATE_RATIO: u64 = 1032;

/// Reads an archive: names without `.npy`, and arrays, in the archive's order.
pub fn read_npz(bytes: &[u8]) -> Result<Vec<(String, Array)>> {
    read_npz_within(bytes, DEFAULT_LIMIT)
}

/// Reads an archive whose arrays together take `limit` bytes at most.
pub fn read_npz_within(bytes: &[u8], limit: usize) -> Result<Vec<(String, Array)>> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|fault| {
        Diagnostic::error(code::NPZ_DAMAGED, format!("the archive cannot be read: {fault}"))
            .at(Place::Byte(byte(bytes.len())))
            .help("a .npz file is a ZIP archive of .npy arrays, as numpy.savez writes it: write it again")
    })?;
    if archive.len() > MAX_ENTRIES {
        return Err(too_large(format!(
            "the archive has {} arrays, the limit is {MAX_ENTRIES}",
            archive.len()
        ))
        .into());
    }
    let mut left = limit;
    let mut arrays = Vec::new();
    for index in 0..archive.len() {
        let (name, content) = entry(&mut archive, index, left)?;
        let place = || Place::Other(format!("array \"{name}\""));
        let array = read_npy(&content).map_err(|failure| {
            let d = failure.diagnostics().iter().map(|d| d.clone().at(place())).collect();
            kinglet_diag::Failure::new(d)
        })?;
        left = left.saturating_sub(array.data().len());
        arrays.push((name, array));
    }
    Ok(arrays)
}

/// The name and unpacked bytes of one entry.
fn entry(
    archive: &mut ZipArchive<Cursor<&[u8]>>,
    index: usize,
    left: usize,
) -> Result<(String, Vec<u8>)> {
    let damaged = |fault: String| {
        Diagnostic::error(code::NPZ_DAMAGED, format!("an array cannot be unpacked: {fault}"))
            .help("write the file again, for example with numpy.savez_compressed")
    };
    let mut member = archive
        .by_index(index)
        .map_err(|fault| damaged(fault.to_string()).at(Place::Other(format!("entry {index}"))))?;
    let full = member.name().map_err(|fault| damaged(fault.to_string()))?.into_owned();
    let place = Place::Other(format!("entry \"{full}\""));
    let Some(name) = full.strip_suffix(".npy").map(str::to_owned) else {
        return Err(damaged("it is not named .npy".to_owned()).at(place).into());
    };
    // Header and array; the header has 64 KiB at most in practice.
    let limit = left.saturating_add(1 << 16);
    let claimed = member.size();
    let possible = member.compressed_size().saturating_mul(MAX_DEFLATE_RATIO).saturating_add(64);
    if claimed > byte(limit) || claimed > possible {
        return Err(too_large(format!(
            "an array unpacks to {claimed} bytes from {}, of {left} allowed",
            member.compressed_size()
        ))
        .at(place)
        .into());
    }
    let mut content = Vec::new();
    let read = member.by_ref().take(byte(limit).saturating_add(1)).read_to_end(&mut content);
    read.map_err(|fault| damaged(fault.to_string()).at(place.clone()))?;
    if content.len() > limit {
        return Err(too_large(format!("an array unpacks to more than the {left} bytes allowed"))
            .at(place)
            .into());
    }
    Ok((name, content))
}

fn too_large(message: String) -> Diagnostic {
    Diagnostic::error(code::NPZ_TOO_LARGE, message)
        .help("split the cases over several files; distrust the file if it came from elsewhere")
}

fn byte(at: usize) -> u64 {
    u64::try_from(at).unwrap_or(u64::MAX)
}

/// Writes an archive: deflated, names with `.npy`, arrays in the order given. The same arrays give the
/// same bytes, on any machine and at any time.
pub fn write_npz<'n>(arrays: impl IntoIterator<Item = (&'n str, &'n Array)>) -> Result<Vec<u8>> {
    let failed =
        |fault: &dyn std::fmt::Display| bug(format!("an archive in memory fails: {fault}"));
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, array) in arrays {
        let content = write_npy(array);
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(6))
            .last_modified_time(DateTime::DEFAULT)
            .unix_permissions(0o644)
            .large_file(u32::try_from(content.len()).is_err());
        writer.start_file(format!("{name}.npy"), options).map_err(|fault| failed(&fault))?;
        writer.write_all(&content).map_err(|fault| failed(&fault))?;
    }
    Ok(writer.finish().map_err(|fault| failed(&fault))?.into_inner())
}
