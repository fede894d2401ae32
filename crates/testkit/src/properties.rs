//! Kernels with instructions of their own against the same kernels without, by random calls on the emulated core.
//!
//! One firmware a core has both copies: the kernels as a model links them, and the same sources under another
//! name without the feature that compiles instructions. Shapes, alignments and extremes come from a seed.

mod cases;

pub use cases::{KERNELS, Memory, Random, run};

use kinglet_device::{
    Cache, EXAMPLE, Emulation, Example, Needs, Profile, SourceTree, example, run_project,
};
use kinglet_diag::Result;
use kinglet_kernels as arch;
use kinglet_kernels as plain;
use std::time::Duration;

const MAIN: &str = include_str!("properties/firmware.rs");
const CASES: &str = include_str!("properties/cases.rs");

/// The folder of the firmware in its tree.
const FOLDER: &str = "properties";

/// The package of the kernels.
const PACKAGE: &str = "kinglet-kernels";

/// The longest that a board's cases may take.
const LIMIT: Duration = Duration::from_secs(600);

/// Boards that have kernels of their own, with the feature that compiles them.
pub const BOARDS: &[(&str, &str)] = &[
    ("mps2-an386", "dsp"),
    ("mps3-an547", "helium"),
    ("mps2-an385-v6m", "v6m"),
    ("riscv32-virt", "rv32"),
];

/// Which cases are run.
#[derive(Clone, Copy, Debug)]
pub struct Cases {
    /// What they are made from.
    pub seed: u64,
    /// The first one's number.
    pub first: u32,
    /// How many of each kernel.
    pub count: u32,
}

/// The firmware's files: the kernels twice, and the program.
fn tree(emulation: &Emulation, feature: &str, cases: Cases) -> SourceTree {
    let mut tree = SourceTree::new();
    let mut project = example(Example {
        package: PACKAGE,
        has_check: false,
        core: &emulation.core,
        memory: &emulation.machine.memory,
        machine: None,
        profile: Profile::default(),
    });
    let manifest = String::from_utf8_lossy(project.get("Cargo.toml").unwrap_or_default());
    let one = format!("{PACKAGE} = {{ path = \"..\" }}\n");
    let both = format!(
        "{PACKAGE} = {{ path = \"../kernels\", features = [\"{feature}\"] }}\n\
         {PACKAGE}-plain = {{ path = \"../plain\" }}\n"
    );
    let manifest = manifest.replace(&one, &both);
    project.insert("Cargo.toml", manifest);
    let main = MAIN
        .replace("{{feature}}", feature)
        .replace("{{seed}}", &cases.seed.to_string())
        .replace("{{first}}", &cases.first.to_string())
        .replace("{{count}}", &cases.count.to_string());
    project.insert("src/main.rs", main);
    project.insert("src/cases.rs", CASES);
    tree.graft(FOLDER, &project);
    for file in kinglet_codegen::kernels(env!("CARGO_PKG_VERSION")) {
        let plain = file.path.replacen("kernels/", "plain/", 1);
        let bytes = match file.path.ends_with("Cargo.toml") {
            true => String::from_utf8_lossy(&file.bytes)
                .replacen(PACKAGE, &format!("{PACKAGE}-plain"), 1)
                .into_bytes(),
            false => file.bytes.clone(),
        };
        tree.insert(plain, bytes);
        tree.insert(file.path, file.bytes);
    }
    tree
}

/// Runs the cases of all kernels of a board; what the firmware printed, a line for each kernel.
///
/// # Errors
/// What cannot be built or run.
pub fn check(board: &str, feature: &str, cases: Cases) -> Result<String> {
    let emulation = Emulation::of(kinglet_boards::find(board)?, Needs::default())?;
    let tree = tree(&emulation, feature, cases);
    run_project(&Cache::open()?, &tree, FOLDER, EXAMPLE, &emulation, LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_copies_are_the_same_here() {
        let mut memory = Box::new(Memory::ZERO);
        memory.fill(&mut Random::new(7));
        for (_, name, case) in KERNELS {
            assert!((0..200).all(|number| run(*case, &mut memory, 7, number)), "{name}");
        }
    }
}
