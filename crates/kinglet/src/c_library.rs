//! A model as a static library for programs in C: `compile --emit c-library`.

use kinglet_codegen::{CLibrary, File, Options, Weights, c_library, identifier, is_taken};
use kinglet_device::{
    Cache, CoreSpec, Library, Profile, SourceTree, build_library, c_flags, toolchain,
};
use kinglet_diag::{Diagnostic, Result, code};
use kinglet_program::Program;

/// The folder of the Rust sources beside the library.
const SOURCES: &str = "rust";

/// A library, built and examined.
#[derive(Clone, Debug)]
pub struct Built {
    /// What the header, the library and all names in C begin with.
    pub prefix: String,
    /// The folder's files: header, library, README and the sources of the library.
    pub files: Vec<File>,
    /// Bytes of machine code, all functions of the header linked.
    pub code_bytes: u64,
    /// Bytes of read-only data, weights and check vector included.
    pub constant_bytes: u64,
    /// What a C compiler is told of the core.
    pub c_flags: Vec<String>,
}

/// Builds the library of a program for a core. The name of the crate in `printing` becomes the prefix of
/// all names in C.
///
/// # Errors
/// K0820 if the name would hide a header or library of every C program; what cannot be built; K0708 if
/// the library could panic or is not whole.
pub fn build(
    program: &Program,
    printing: &Options,
    core: &CoreSpec,
    profile: Profile,
) -> Result<Built> {
    require_free(&identifier(&printing.crate_name))?;
    let mut printed = c_library(program, printing);
    complete(&mut printed, core, profile);
    let tree: SourceTree =
        printed.files.iter().map(|file| (file.path.clone(), file.bytes.clone())).collect();
    let route = toolchain::route(&core.target)?;
    let library = build_library(&Cache::open()?, &tree, &printed.prefix, core)?;
    let prefix = printed.prefix.clone();
    let text = |path: String, text: String| File { path, bytes: text.into_bytes() };
    let page = readme(program, printing, core, &prefix, &library, &route.describe_compiler());
    let mut files = vec![
        File { path: format!("lib{prefix}.a"), bytes: library.bytes.clone() },
        text(format!("{prefix}.h"), printed.header),
        text("README.md".to_owned(), page),
    ];
    let sources = printed.files.into_iter();
    files.extend(sources.map(|file| File { path: format!("{SOURCES}/{}", file.path), ..file }));
    Ok(Built {
        prefix,
        files,
        code_bytes: library.code,
        constant_bytes: library.constants,
        c_flags: c_flags(core),
    })
}

fn require_free(name: &str) -> Result<()> {
    if !is_taken(name) {
        return Ok(());
    }
    Err(Diagnostic::error(
        code::NAME_TAKEN,
        format!("a C library cannot be called {name}: {name}.h or lib{name}.a would hide another, or the name is a keyword"),
    )
    .help(format!("give it another name, such as --name {name}_model"))
    .into())
}

/// Adds to the shim what depends on the board: how it is compiled.
fn complete(printed: &mut CLibrary, core: &CoreSpec, profile: Profile) {
    for file in &mut printed.files {
        if file.path == "Cargo.toml" {
            file.bytes.extend_from_slice(format!("\n{}", profile.to_toml()).as_bytes());
        }
    }
    let flags: Vec<String> =
        core.rust_flags().iter().map(|flag| format!("    {flag:?},\n")).collect();
    let config =
        format!("[build]\ntarget = {:?}\nrustflags = [\n{}]\n", core.target, flags.concat());
    printed.files.push(File { path: ".cargo/config.toml".to_owned(), bytes: config.into_bytes() });
}

fn readme(
    program: &Program,
    printing: &Options,
    core: &CoreSpec,
    prefix: &str,
    library: &Library,
    compiler: &str,
) -> String {
    let flags = c_flags(core).join(" ");
    let gcc = if core.is_riscv() { "riscv64-unknown-elf-gcc" } else { "arm-none-eabi-gcc" };
    let check = if printing.golden.is_some() {
        format!(
            "\n`{prefix}_check` runs a stored input and compares: call it once on the board. Its vector\n\
             is linked only if it is called.\n"
        )
    } else {
        String::new()
    };
    format!(
        "# {prefix}: a model as a C library\n\n\
         Compiled by Kinglet {version} for `{target}`{cpu} with {compiler}. No C library, no allocation,\n\
         no panic; all memory is the caller's.\n\n\
         | file | what it is |\n|---|---|\n\
         | `{prefix}.h` | the interface, C99 and C++, with sizes, shapes, scales and labels |\n\
         | `lib{prefix}.a` | the library |\n\
         | `{SOURCES}/` | its sources: the model's crate, free of unsafe code, and `src/lib.rs` around it, which takes C's pointers |\n\n\
         | what | bytes |\n|---|---:|\n\
         | memory given to `{prefix}_init` | {memory} |\n\
         | weights and tables in flash | {weights} |\n\
         | code in flash, every function linked | {code} |\n\n\
         ## Link\n\n\
         ```sh\n{gcc} {flags} -Os -c main.c -I DIR\n\
         {gcc} {flags} main.o -L DIR -l{prefix} ... -o firmware.elf\n```\n\n\
         with `DIR` this folder, and with the flags above in every C file of the program: they are the\n\
         library's calling convention. `-Wl,--gc-sections` leaves out what is not called. `memcpy`,\n\
         `memset` and the compiler's arithmetic helpers come weak with the library: the C library's own\n\
         are taken where there is one.\n{check}\n\
         ## Build again\n\n\
         ```sh\ncd {SOURCES} && cargo rustc --release\n```\n\n\
         makes `target/{target}/release/lib{prefix}.a` where the target is installed (`rustup target add\n\
         {target}`).\n",
        version = printing.tool_version,
        target = core.target,
        cpu = if core.cpu.is_empty() { String::new() } else { format!(", `{}`,", core.cpu) },
        memory = program.state_bytes + program.arena_bytes,
        weights = Weights::of(program).bytes.len(),
        code = library.code,
    )
}
