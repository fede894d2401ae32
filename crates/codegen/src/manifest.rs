//! The printed crate's manifests and its page for people.

use crate::{Kernels, Options, Weights, identifier};
use kinglet_program::Program;
use kinglet_target::{Isa, Vector};
use sha2::{Digest, Sha256};

/// The printed crate's package name.
pub fn package(options: &Options) -> String {
    identifier(&options.crate_name).replace('_', "-")
}

/// The model's `Cargo.toml`.
pub(crate) fn model(program: &Program, options: &Options) -> String {
    let source = match &options.kernels {
        Kernels::Vendor => "path = \"kernels\"".to_owned(),
        Kernels::Path(path) => format!("path = {path:?}"),
        Kernels::Version(version) => format!("version = {version:?}"),
    };
    // The instructions that the kernels may use beyond those of every core of the architecture.
    let features = match (program.target.isa, program.target.vector) {
        (_, Vector::Helium) => ", features = [\"helium\"]",
        (_, Vector::Dsp) => ", features = [\"dsp\"]",
        (Isa::Armv6m, _) => ", features = [\"v6m\"]",
        (Isa::Rv32imc, _) => ", features = [\"rv32\"]",
        _ => "",
    };
    let kernels = format!("{{ {source}{features} }}");
    let name = package(options);
    let mut text = format!(
        "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\npublish = false\n\n\
         [dependencies]\nkinglet-kernels = {kernels}\n"
    );
    if options.weights_section.is_some() {
        text.push_str(&format!("{name}-weights = {{ path = \"weights\" }}\n"));
    }
    if options.taps {
        text.push_str("\n[features]\n# Adds a run that reports every tensor.\ntaps = []\n");
    }
    text
}

/// The weights crate's `Cargo.toml`.
pub(crate) fn weights(options: &Options) -> String {
    let name = package(options);
    format!(
        "[package]\nname = \"{name}-weights\"\nversion = \"0.1.0\"\nedition = \"2024\"\npublish = false\n"
    )
}

/// The vendored kernels' `Cargo.toml`, with the digest of their sources.
pub(crate) fn kernels(tool_version: &str) -> String {
    let mut hash = Sha256::new();
    for (path, text) in kinglet_kernels::SOURCES {
        hash.update(path.as_bytes());
        hash.update([0]);
        hash.update(text.as_bytes());
        hash.update([0]);
    }
    let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "# The kernels of Kinglet {tool_version}, as the tool carries them.\n# SHA-256 of the sources: {digest}\n\
         [package]\nname = \"kinglet-kernels\"\nversion = \"{tool_version}\"\nedition = \"2024\"\n\
         license = \"MIT OR Apache-2.0\"\npublish = false\n\n\
         [features]\ndsp = []\nhelium = []\nreflect = []\nrv32 = []\nv6m = []\n\n\
         [dependencies]\nbytemuck = {{ version = \"1.23\", default-features = false, features = [\"min_const_generics\"] }}\n\
         libm = {{ version = \"0.2\", default-features = false }}\n"
    )
}

/// The crate's `README.md`.
pub(crate) fn readme(program: &Program, weights: &Weights, options: &Options) -> String {
    let name = package(options);
    let mut text = format!(
        "# {name}\n\nA model compiled by Kinglet {}: plain calls, no interpreter, no allocation, no\n\
         panic, no `unsafe` but in the kernels' folder `arch`, where each has its reason.\n\n",
        options.tool_version
    );
    if program.target.vector == Vector::Helium {
        text.push_str(
            "The kernels use Helium: the processor needs it, and its FPU must be switched on before the first run\n\
             (`cortex-m-rt` does so for `thumbv8m.main-none-eabihf`). Build with `-C target-cpu` set to your\n\
             processor, `cortex-m55` for example, so that the compiler uses it for the rest too.\n\n",
        );
    }
    text.push_str("| what | bytes |\n|---|---:|\n");
    text.push_str(&format!("| arena | {} |\n", program.arena_bytes));
    text.push_str(&format!("| state | {} |\n", program.state_bytes));
    text.push_str(&format!("| weights and tables | {} |\n\n", weights.bytes.len()));
    text.push_str(
        "`src/lib.rs` begins with an example and the map of its memory; `src/weights.bin` holds the\n\
         constants.\n\n## No panic\n\nThe crate links no panicking code at opt-levels \"s\", 2 and 3, with and without LTO,\n\
         as long as overflow checks are off. Your own profile must say so:\n\n\
         ```toml\n[profile.release]\nopt-level = \"s\"\nlto = true\ncodegen-units = 1\noverflow-checks = false\npanic = \"abort\"\n```\n\n## Where the constants are\n\n\
         | offset | bytes | constant | packing |\n|---:|---:|---|---|\n",
    );
    for (index, constant) in program.constants.iter().enumerate() {
        let offset = weights.offset(kinglet_program::ConstantId(index));
        let label = crate::names::comment(&constant.label).replace('|', "/");
        text.push_str(&format!(
            "| {offset} | {} | {label} | {} |\n",
            constant.data.bytes().len(),
            constant.packing
        ));
    }
    text
}
