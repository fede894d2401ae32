//! The measured table of code and stack sizes.
//!
//! `data/code.toml` is written by the measuring routine of the crate `kinglet`, which builds and links the
//! printed crates of a list of models for each core and optimization level and reads the symbols. The
//! linked code of an example is
//!
//! ```text
//! code = code_base + code_step * steps + code_port * ports
//!      + sum of the kernels used + sum of the parts that any of them needs + parameters
//! ```
//!
//! where a kernel counts with the helper functions of its own file (which ones are linked depends on its
//! parameters too), a part is a function that several kernels share (`memcpy`, soft floating point),
//! parameters are the kernels' that are linked as data, and the stack is `stack_base + the deepest kernel's`. The compiler folds into a kernel's one copy every
//! parameter that is the same in all calls, so a kernel has several sizes: the table holds each with the
//! [signature](uses) of the parameters it was seen with, and a program takes the nearest one's. The errors
//! are those of the examples, each predicted from the others.

use kinglet_boards::Core;
use kinglet_program::Program;
use kinglet_target::Isa;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

const TABLE: &str = include_str!("../data/code.toml");

/// Everything that was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeTable {
    /// The compiler that the examples were built with.
    #[serde(default)]
    pub compiler: String,
    /// One entry a core and optimization level.
    #[serde(default, rename = "entry")]
    pub entries: Vec<Entry>,
}

/// One core at one optimization level. All sizes are in bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The core's id.
    pub core: String,
    /// The optimization level: `s`, `2` or `3`.
    pub level: String,
    /// Examples that were linked.
    pub examples: u64,
    /// The vector table.
    pub vectors: u64,
    /// Code of an example without a step: start, `main`, the model's own functions.
    pub code_base: f64,
    /// Code of a step beside its kernel.
    pub code_step: f64,
    /// Code of an input or output of the model.
    pub code_port: f64,
    /// Start values of variables in flash.
    pub data: u64,
    /// Variables but the arena.
    pub statics: u64,
    /// Stack of an example without its kernels.
    pub stack_base: u64,
    /// Nine of ten examples, each predicted from the others, were within so many bytes of code.
    pub code_error: u64,
    /// Nine of ten were within so many bytes of stack.
    pub stack_error: u64,
    /// Kernels by name.
    #[serde(default)]
    pub kernels: BTreeMap<String, KernelSize>,
    /// Functions that several kernels share, by name: their sizes, by who needs them.
    #[serde(default)]
    pub parts: BTreeMap<String, Vec<Shared>>,
}

/// A kernel's one copy in a program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelSize {
    /// The parts that are linked with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<String>,
    /// Its sizes, by the signature of its parameters.
    pub variants: Vec<Variant>,
}

/// A kernel as it was linked with parameters of one signature: signature, bytes of code, bytes of stack with
/// everything it calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Variant(pub String, pub u64, pub u64);

/// A function that kernels share, as it was linked: the kernels that needed it, separated by spaces, and
/// bytes of code. The compiler folds into it what is the same for all of its callers, so it is smaller
/// when they are few; a lone kernel stands with its [signature](uses), `conv2d_i8:eee33`. With no kernels
/// named the size holds for all.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shared(pub String, pub u64);

impl Shared {
    /// The size with these users: kernels and their signatures.
    pub fn new<'a>(users: impl Iterator<Item = (&'a str, &'a str)>, bytes: u64) -> Self {
        let users: Vec<(&str, &str)> = users.collect();
        let names = || users.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" ");
        let users = match users.as_slice() {
            [(name, signature)] => format!("{name}:{signature}"),
            _ => names(),
        };
        Self(users, bytes)
    }

    /// The users' names.
    fn users(&self) -> BTreeSet<&str> {
        self.0.split_whitespace().map(|user| user.split(':').next().unwrap_or(user)).collect()
    }

    /// Bytes for this set of users: what was measured with the set most like it, the larger of equals.
    fn nearest(sizes: &[Self], users: &BTreeMap<&str, &str>) -> u64 {
        let names: BTreeSet<&str> = users.keys().copied().collect();
        let unlike = |size: &&Self| {
            let signatures = match (size.0.split_once(':'), users.first_key_value()) {
                (Some((_, one)), Some((_, other))) => unlikeness(one, other),
                _ => 0,
            };
            let set = size.users().symmetric_difference(&names).count();
            (set, signatures, std::cmp::Reverse(size.1))
        };
        sizes.iter().min_by_key(unlike).map_or(0, |size| size.1)
    }
}

/// How differently the compiler folds parameters of these signatures.
fn unlikeness(one: &str, other: &str) -> usize {
    let folds = |letter: char| matches!(letter, '0' | '1');
    let costs = one.chars().zip(other.chars()).map(|(a, b)| match (a, b) {
        (a, b) if a == b => 0,
        ('v', _) | (_, 'v') => 4,
        // With 0 or 1 whole branches and loops go.
        (a, b) if folds(a) || folds(b) => 2,
        _ => 1,
    });
    costs.sum()
}

/// The longest signature; parameters beyond it are tables.
const SIGNATURE: usize = 48;

/// What the name of a kernel ends with where its input and output overlap: its code goes another way then.
pub const OVERLAPPING: &str = "_overlapping";

/// The kernels of a program, each with the signature of its parameters over all of its calls, a letter for
/// each number: `v` when it varies, and where it is the same everywhere, the digit up to 9 (a short loop,
/// which the compiler unrolls), `e` for a length that four divides, or `n`.
pub fn uses(program: &Program) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, Vec<Option<Vec<u8>>>> = BTreeMap::new();
    for step in &program.steps {
        let kernel = step.call.kernel.as_ref();
        let mut numbers: Vec<Option<Vec<u8>>> = Vec::new();
        kernel.encode(&mut |bytes| {
            if numbers.len() < SIGNATURE {
                numbers.push(Some(bytes.to_vec()));
            }
        });
        let form = if program.overlapping(&step.call).is_some() { OVERLAPPING } else { "" };
        let name = format!("{}{form}", kernel.declaration().name);
        let known = all.entry(name).or_insert_with(|| numbers.clone());
        for (known, number) in known.iter_mut().zip(&numbers) {
            if known != number {
                *known = None;
            }
        }
    }
    let letter = |number: &Option<Vec<u8>>| match number.as_deref() {
        None => 'v',
        Some([first @ 0..=9, rest @ ..]) if rest.iter().all(|&byte| byte == 0) => {
            char::from(b'0' + first)
        }
        // A length; what is larger is a multiplier, whose bits say nothing.
        Some([first, second @ 0..=15, rest @ ..])
            if first % 4 == 0 && rest.iter().all(|&byte| byte == 0) && second | first > 0 =>
        {
            'e'
        }
        Some(_) => 'n',
    };
    all.into_iter().map(|(name, numbers)| (name, numbers.iter().map(letter).collect())).collect()
}

impl KernelSize {
    /// The variant whose signature is nearest; the larger of equals.
    pub fn nearest(&self, signature: &str) -> Option<&Variant> {
        let cost =
            |variant: &&Variant| (unlikeness(&variant.0, signature), std::cmp::Reverse(variant.1));
        self.variants.iter().min_by_key(cost)
    }
}

/// What the table says of a set of kernels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodeEstimate {
    /// Bytes of code.
    pub code: u64,
    /// How far they may be off.
    pub code_error: u64,
    /// Bytes of stack.
    pub stack: u64,
    /// How far they may be off.
    pub stack_error: u64,
    /// Kernels that are not in the table.
    pub unknown: Vec<String>,
}

impl CodeTable {
    /// The table that comes with the tool.
    pub fn embedded() -> &'static Self {
        static PARSED: LazyLock<CodeTable> = LazyLock::new(|| {
            // The file is in the binary and a test reads it: the empty table is never seen.
            CodeTable::parse(TABLE).unwrap_or_default()
        });
        &PARSED
    }

    /// Reads a table.
    ///
    /// # Errors
    /// The parser's words, with a line.
    pub fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// The table as `data/code.toml` holds it.
    pub fn to_toml(&self) -> String {
        let mut text = String::from(
            "# Written by `cargo xtask code-table`; see crates/decide/src/table.rs for what it means.\n",
        );
        text.push_str(&format!("compiler = {:?}\n", self.compiler));
        for entry in &self.entries {
            text.push_str(&format!(
                "\n[[entry]]\ncore = {:?}\nlevel = {:?}\nexamples = {}\nvectors = {}\ncode_base = {:.1}\n\
                 code_step = {:.1}\ncode_port = {:.1}\ndata = {}\nstatics = {}\n\
                 stack_base = {}\ncode_error = {}\nstack_error = {}\n",
                entry.core,
                entry.level,
                entry.examples,
                entry.vectors,
                entry.code_base,
                entry.code_step,
                entry.code_port,
                entry.data,
                entry.statics,
                entry.stack_base,
                entry.code_error,
                entry.stack_error,
            ));
            text.push_str("[entry.kernels]\n");
            for (name, size) in &entry.kernels {
                let quoted: Vec<String> =
                    size.parts.iter().map(|part| format!("{part:?}")).collect();
                text.push_str(&format!("{name} = {{ "));
                if !quoted.is_empty() {
                    text.push_str(&format!("parts = [{}], ", quoted.join(", ")));
                }
                let variants: Vec<String> = size
                    .variants
                    .iter()
                    .map(|Variant(signature, code, stack)| {
                        format!("[{signature:?}, {code}, {stack}]")
                    })
                    .collect();
                text.push_str(&format!("variants = [{}] }}\n", variants.join(", ")));
            }
            text.push_str("[entry.parts]\n");
            for (name, sizes) in &entry.parts {
                let sizes: Vec<String> = sizes
                    .iter()
                    .map(|Shared(users, bytes)| format!("[{users:?}, {bytes}]"))
                    .collect();
                text.push_str(&format!("{name:?} = [{}]\n", sizes.join(", ")));
            }
        }
        text
    }

    /// The entry for a core and level, or the one that stands in for it: the same core at another level,
    /// then a core of the same instruction set, then the nearest one.
    pub fn entry(&self, core: &Core, level: &str) -> Option<(&Entry, Option<StandIn>)> {
        let exact = self.entries.iter().find(|e| e.core == core.id && e.level == level);
        if let Some(entry) = exact {
            return Some((entry, None));
        }
        let family = |isa| match isa {
            Isa::Armv6m | Isa::Armv7m | Isa::Armv7em | Isa::Armv8m => 0,
            Isa::Rv32imc | Isa::Xtensa => 1,
            Isa::Aarch64 | Isa::X86_64 => 2,
        };
        let likeness = |entry: &&Entry| {
            let other = kinglet_boards::core(&entry.core).ok();
            let same = |property: &dyn Fn(&Core) -> bool| other.is_some_and(property);
            (
                entry.core != core.id,
                !same(&|other| other.isa == core.isa),
                !same(&|other| family(other.isa) == family(core.isa)),
                !same(&|other| other.target().has_fpu() == core.target().has_fpu()),
                entry.level != level,
            )
        };
        let entry = self.entries.iter().min_by_key(likeness)?;
        // The same instructions at the same level: the compiler only orders them differently.
        let alike = matches!(likeness(&entry), (_, false, _, false, false));
        let note = format!(
            "code and stack are taken from {} at opt-level {}, because nothing was measured for {} at {level}",
            entry.core, entry.level, core.id
        );
        Some((entry, Some(StandIn { note, error: if alike { 0.05 } else { 0.33 } })))
    }
}

/// What is to be said of an entry that stands in for another.
#[derive(Clone, Debug, PartialEq)]
pub struct StandIn {
    /// That it does, in a sentence.
    pub note: String,
    /// The share by which its sizes may be off beside their own error.
    pub error: f64,
}

/// The nearest number of bytes.
pub(crate) fn rounded(bytes: f64) -> u64 {
    // Saturates; a negative sum of a bad table becomes 0.
    bytes.round() as u64
}

impl Entry {
    /// Code and stack of a program with these kernels ([`uses`]), steps, and inputs and outputs.
    pub fn estimate(
        &self,
        kernels: &BTreeMap<String, String>,
        steps: usize,
        ports: usize,
    ) -> CodeEstimate {
        let mut estimate = CodeEstimate {
            code_error: self.code_error,
            stack_error: self.stack_error,
            ..CodeEstimate::default()
        };
        let mut parts: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
        let mut deepest = 0;
        for (name, signature) in kernels {
            let known = self.kernels.get(name);
            if let Some(Variant(_, code, stack)) = known.and_then(|size| size.nearest(signature)) {
                estimate.code += code;
                deepest = deepest.max(*stack);
                for part in known.iter().flat_map(|size| &size.parts) {
                    parts.entry(part).or_default().insert(name, signature);
                }
            } else {
                let ((code, code_error), (stack, stack_error)) = self.guess(name);
                estimate.unknown.push(name.to_owned());
                estimate.code += code;
                estimate.code_error += code_error;
                estimate.stack_error = estimate.stack_error.max(stack_error);
                deepest = deepest.max(stack);
            }
        }
        let sizes = |part: &str| self.parts.get(part).map_or(&[][..], Vec::as_slice);
        estimate.code +=
            parts.iter().map(|(part, users)| Shared::nearest(sizes(part), users)).sum::<u64>();
        let glue = self.code_base + self.code_step * steps as f64 + self.code_port * ports as f64;
        estimate.code += rounded(glue);
        estimate.stack = self.stack_base + deepest;
        estimate
    }

    /// A kernel that was not measured: the middle of its relatives (the same name up to the last words),
    /// or of all kernels, and half of their spread as the error; code and stack.
    fn guess(&self, name: &str) -> ((u64, u64), (u64, u64)) {
        let mut stem = name;
        loop {
            let relatives = self.kernels.iter().filter(|(other, _)| other.starts_with(stem));
            let variants: Vec<&Variant> = relatives.flat_map(|(_, size)| &size.variants).collect();
            if let (Some(code), Some(stack)) = (
                middle(variants.iter().map(|variant| variant.1)),
                middle(variants.iter().map(|variant| variant.2)),
            ) {
                // One relative says little: half of its size may be wrong.
                let wide = |(value, error): (u64, u64)| (value, error.max(value / 2));
                return (wide(code), wide(stack));
            }
            if stem.is_empty() {
                return ((1024, 1024), (64, 64));
            }
            stem = stem.rsplit_once('_').map_or("", |(front, _)| front);
        }
    }
}

/// The middle of the smallest and the largest value, and half their distance.
fn middle(values: impl Iterator<Item = u64> + Clone) -> Option<(u64, u64)> {
    let (least, most) = (values.clone().min()?, values.max()?);
    Some((least.midpoint(most), (most - least).div_ceil(2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        let size = |variants: &[(&str, u64, u64)], parts: &[&str]| KernelSize {
            parts: parts.iter().map(|p| (*p).to_owned()).collect(),
            variants: variants.iter().map(|v| Variant(v.0.to_owned(), v.1, v.2)).collect(),
        };
        Entry {
            core: "cortex-m4f".into(),
            level: "s".into(),
            code_base: 1000.0,
            code_step: 20.5,
            code_port: 4.0,
            stack_base: 100,
            code_error: 50,
            stack_error: 8,
            kernels: BTreeMap::from([
                (
                    "conv2d_i8".into(),
                    size(&[("v1n", 700, 120), ("11n", 400, 90)], &["memcpy", "dot"]),
                ),
                ("fully_connected_i8".into(), size(&[("n", 500, 60)], &["dot"])),
                ("conv2d_f32".into(), size(&[("nn", 500, 80)], &[])),
                ("softmax_i8".into(), size(&[("n", 900, 60)], &["memcpy"])),
            ]),
            parts: BTreeMap::from([
                ("memcpy".into(), vec![Shared(String::new(), 64)]),
                (
                    "dot".into(),
                    vec![
                        Shared("conv2d_i8 fully_connected_i8".into(), 90),
                        Shared("fully_connected_i8:v".into(), 80),
                        Shared("fully_connected_i8:n".into(), 20),
                    ],
                ),
            ]),
            ..Entry::default()
        }
    }

    fn estimate(kernels: &[(&str, &str)], steps: usize, ports: usize) -> CodeEstimate {
        let owned =
            |(name, signature): &(&str, &str)| ((*name).to_owned(), (*signature).to_owned());
        let kernels = kernels.iter().map(owned);
        entry().estimate(&kernels.collect(), steps, ports)
    }

    #[test]
    fn parts_are_counted_once_and_the_nearest_signature_is_taken() {
        let found = estimate(&[("conv2d_i8", "v1s"), ("softmax_i8", "n")], 2, 5);
        assert_eq!(found.code, 1000 + 41 + 20 + 700 + 900 + 64 + 90);
        assert_eq!((found.stack, found.code_error, found.stack_error), (220, 50, 8));
        assert_eq!(found.unknown, Vec::<String>::new());
        assert_eq!(estimate(&[("conv2d_i8", "1sn")], 0, 0).code, 1000 + 400 + 64 + 90);
        // The dense layer alone has the smaller copy.
        assert_eq!(estimate(&[("fully_connected_i8", "n")], 0, 0).code, 1000 + 500 + 20);
    }

    #[test]
    fn a_kernel_that_was_not_measured_is_guessed_from_its_relatives() {
        let found = estimate(&[("conv2d_i16", "n")], 0, 0);
        assert_eq!(found.code, 1000 + 550);
        assert_eq!(found.code_error, 50 + 275);
        assert_eq!(found.unknown, ["conv2d_i16"]);
        let stranger = estimate(&[("lstm_i8", "n")], 0, 0);
        assert_eq!((stranger.code, stranger.code_error), (1000 + 650, 50 + 325));
    }

    #[test]
    fn the_text_form_round_trips() {
        let table = CodeTable { compiler: "rustc 1.96.0".into(), entries: vec![entry()] };
        assert_eq!(CodeTable::parse(&table.to_toml()).unwrap(), table);
    }

    #[test]
    fn the_embedded_table_reads_and_is_written_back_as_it_is() {
        let table = CodeTable::parse(TABLE).unwrap();
        assert_eq!(table.to_toml(), TABLE, "write it with `cargo xtask code-table`");
        for entry in &table.entries {
            assert!(kinglet_boards::core(&entry.core).is_ok(), "no core {}", entry.core);
            for (name, size) in &entry.kernels {
                for part in &size.parts {
                    assert!(
                        entry.parts.contains_key(part),
                        "{name} needs {part}, which has no size"
                    );
                }
            }
        }
    }

    #[test]
    fn another_core_stands_in_and_says_so() {
        let table = CodeTable { compiler: String::new(), entries: vec![entry()] };
        let core = |id: &str| kinglet_boards::core(id).unwrap();
        assert_eq!(table.entry(core("cortex-m4f"), "s").unwrap().1, None);
        let (_, note) = table.entry(core("cortex-m7-sp"), "3").unwrap();
        let note = note.unwrap();
        assert!(note.note.contains("cortex-m4f at opt-level s") && note.error > 0.3, "{note:?}");
        assert!(CodeTable::default().entry(core("cortex-m4f"), "s").is_none());
    }
}
