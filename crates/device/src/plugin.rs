//! The plug-in that counts instructions inside the emulator: building it, asking it, reading it.

use crate::cache::Cache;
use crate::elf::Elf;
use crate::emulator::Emulator;
use crate::source::{hash_field, hex};
use crate::toolchain::host_toolchain;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;

const SOURCE: &str = include_str!("../templates/count_plugin.rs");

/// The file that the plug-in writes in the run's folder.
pub(crate) const OUT: &str = "counts.txt";

/// The file with the costs of instructions by address.
pub(crate) const COSTS: &str = "costs.txt";

/// Builds the plug-in for an emulator, or finds it in the cache; says in words why it cannot.
pub(crate) fn plugin(cache: &Cache, emulator: &Emulator) -> Result<PathBuf, String> {
    if !cfg!(unix) {
        return Err("plug-ins need a Unix host".into());
    }
    let toolchain = host_toolchain().map_err(|failure| failure.to_string())?;
    let new_interface = emulator.major() >= 9;
    let mut hash = Sha256::new();
    for field in [SOURCE, &toolchain.version, &new_interface.to_string()] {
        hash_field(&mut hash, field.as_bytes());
    }
    let folder = cache.path().join("plugin");
    let path = folder.join(format!("{}.so", hex(&hash.finalize())));
    if path.is_file() {
        return Ok(path);
    }
    let words = |error: std::io::Error| error.to_string();
    std::fs::create_dir_all(&folder).map_err(words)?;
    let work = tempfile::Builder::new().prefix(".new-").tempdir_in(&folder).map_err(words)?;
    std::fs::write(work.path().join("count.rs"), SOURCE).map_err(words)?;
    let mut command = Command::new(&toolchain.rustc);
    command.args([
        "--edition",
        "2024",
        "--crate-type",
        "cdylib",
        "--crate-name",
        "count",
        "-Copt-level=3",
    ]);
    command.args(["-Cpanic=abort", "-o", "count.so", "count.rs", "--check-cfg", "cfg(qemu_api_2)"]);
    if cfg!(target_os = "macos") {
        command.args(["-Clink-arg=-undefined", "-Clink-arg=dynamic_lookup"]);
    }
    if new_interface {
        command.args(["--cfg", "qemu_api_2"]);
    }
    let output = command.current_dir(work.path()).output().map_err(words)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(said
            .lines()
            .find(|line| line.starts_with("error"))
            .unwrap_or("rustc failed")
            .to_owned());
    }
    std::fs::rename(work.path().join("count.so"), &path).map_err(words)?;
    Ok(path)
}

/// What to ask of the plug-in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask {
    pub begin: Option<u64>,
    pub end: Option<u64>,
    pub marks: Vec<u64>,
    pub profile: bool,
    pub stack: Option<(u64, u64)>,
    /// The range that reads are counted in, by instruction.
    pub flash: Option<(u64, u64)>,
    /// Whether the run's folder has [`COSTS`].
    pub costs: bool,
}

impl Ask {
    pub(crate) fn arguments(&self) -> String {
        let mut text = format!("out={OUT}");
        if let (Some(begin), Some(end)) = (self.begin, self.end) {
            let _ = write!(text, ",begin={begin:#x},end={end:#x}");
        }
        if !self.marks.is_empty() {
            let marks: Vec<String> =
                self.marks.iter().map(|address| format!("{address:#x}")).collect();
            let _ = write!(text, ",marks={}", marks.join(":"));
        }
        if self.profile {
            text.push_str(",profile=on");
        }
        if let Some((low, high)) = self.stack {
            let _ = write!(text, ",stack={low:#x}:{high:#x}");
        }
        if let Some((low, high)) = self.flash {
            let _ = write!(text, ",flash={low:#x}:{high:#x}");
        }
        if self.costs {
            let _ = write!(text, ",costs={COSTS}");
        }
        text
    }
}

/// The counts of one inference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct InferenceCount {
    /// Instructions from `count_begin` to `count_end`.
    pub instructions: u64,
    /// Address and running sum at each further address asked for, in the order they were reached.
    pub marks: Vec<(u64, u64)>,
    /// Instructions by address, when a profile was asked for.
    #[serde(skip)]
    pub by_address: BTreeMap<u64, u64>,
    /// Reads from flash by the address of the instruction, when a profile was asked for.
    #[serde(skip)]
    pub flash_reads: BTreeMap<u64, u64>,
    /// The running sum of costs at each of the marks, and at the end: where costs were given.
    #[serde(skip)]
    pub costs: Vec<u64>,
}

/// What the plug-in wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub inferences: Vec<InferenceCount>,
    pub lowest: Option<u64>,
}

impl Counts {
    /// Reads the plug-in's file; lines it does not know are nothing.
    pub(crate) fn parse(text: &str) -> Self {
        let mut counts = Self::default();
        let (mut marks, mut costs) = (Vec::new(), Vec::new());
        for line in text.lines() {
            let mut words = line.split(' ');
            match (words.next(), words.next(), words.next()) {
                (Some("mark"), Some(address), Some(sum)) => {
                    marks.extend(hexadecimal(address).zip(sum.parse().ok()));
                    costs.extend(words.next().and_then(|cost| cost.parse::<u64>().ok()));
                }
                (Some("end"), Some(sum), cost) => {
                    costs.extend(cost.and_then(|cost| cost.parse::<u64>().ok()));
                    counts.inferences.push(InferenceCount {
                        instructions: sum.parse().unwrap_or(0),
                        marks: std::mem::take(&mut marks),
                        costs: std::mem::take(&mut costs),
                        ..InferenceCount::default()
                    });
                }
                (Some("read"), Some(address), Some(sum)) => {
                    if let Some(last) = counts.inferences.last_mut() {
                        last.flash_reads.extend(hexadecimal(address).zip(sum.parse().ok()));
                    }
                }
                (Some("at"), Some(address), Some(sum)) => {
                    if let Some(last) = counts.inferences.last_mut() {
                        last.by_address.extend(hexadecimal(address).zip(sum.parse().ok()));
                    }
                }
                (Some("lowest"), Some(address), None) => counts.lowest = hexadecimal(address),
                _ => {}
            }
        }
        counts
    }
}

pub(crate) fn hexadecimal(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

/// Instructions by function, most first; those outside any function under their address.
pub fn by_function(count: &InferenceCount, elf: &Elf) -> Vec<(String, u64)> {
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for (address, instructions) in &count.by_address {
        let name = elf
            .function_at(*address)
            .map_or_else(|| elf.place(*address), |(symbol, _)| symbol.name.clone());
        *sums.entry(name).or_default() += instructions;
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_by_inference() {
        let counts = Counts::parse(
            "mark 0x10 5\nend 9\nat 0x10 4\nat 0x12 5\nread 0x12 3\nmark 0x10 6 70\nend 11 90\nlowest 0x20000ff0\nnonsense\n",
        );
        assert_eq!(counts.inferences.len(), 2);
        assert_eq!(counts.inferences[0].instructions, 9);
        assert_eq!(counts.inferences[0].marks, vec![(0x10, 5)]);
        assert_eq!(counts.inferences[0].by_address[&0x12], 5);
        assert_eq!(counts.inferences[0].flash_reads[&0x12], 3);
        assert_eq!(counts.inferences[1].marks, vec![(0x10, 6)]);
        assert_eq!(
            (&counts.inferences[0].costs[..], &counts.inferences[1].costs[..]),
            (&[][..], &[70, 90][..])
        );
        assert_eq!(counts.lowest, Some(0x2000_0FF0));
    }

    #[test]
    fn arguments_have_no_comma_inside() {
        let ask = Ask {
            begin: Some(16),
            end: Some(32),
            marks: vec![20, 24],
            profile: true,
            stack: Some((1, 2)),
            flash: Some((0, 256)),
            costs: true,
        };
        assert_eq!(
            ask.arguments(),
            "out=counts.txt,begin=0x10,end=0x20,marks=0x14:0x18,profile=on,stack=0x1:0x2,flash=0x0:0x100,costs=costs.txt"
        );
    }
}
