//! Builds board projects, and remembers what was built.

use crate::cache::Cache;
use crate::project::{self, BINARY, FOLDER};
use crate::source::{ModelCrate, SourceTree, hash_field, hex};
use crate::spec::{CoreSpec, MemoryMap, Profile, Timer};
use crate::sysroot;
use crate::toolchain::{Library, Route, Toolchain, host_toolchain, route};
use kinglet_diag::{Diagnostic, Failure, Place, Result, code};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Changes when a template or the meaning of a key changes in a way that its text does not show.
const KEY_VERSION: u32 = 1;

/// A built program.
#[derive(Clone, Debug)]
pub struct Firmware {
    /// The ELF (or this machine's own format, for a host program), inside the cache.
    pub path: PathBuf,
    /// Its key in the cache: SHA-256 over sources, flags and toolchain.
    pub key: String,
    /// Whether it had been built before.
    pub cached: bool,
    /// What finding or building it took.
    pub took: Duration,
}

/// What to build around a model's crate for an emulated board.
#[derive(Clone, Copy, Debug)]
pub struct Build<'a> {
    /// The model's crate.
    pub model: &'a ModelCrate,
    /// The core.
    pub core: &'a CoreSpec,
    /// Where everything goes.
    pub memory: &'a MemoryMap,
    /// The timer that the harness reads.
    pub timer: &'a Timer,
    /// The compiler's settings.
    pub profile: Profile,
    /// Whether the crate's feature `taps` is on and every tensor is reported.
    pub taps: bool,
}

/// Builds the harness for an emulated board around a model's crate, or finds it in the cache.
///
/// # Errors
/// K0701, K0702 (no compiler or no route to the target), K0703 (the build failed), K0704 (it does not
/// fit the memory map), K0705 (the cache), K0706 (the crate).
pub fn build(cache: &Cache, request: Build<'_>) -> Result<Firmware> {
    let Build { model, core, memory, timer, profile, taps } = request;
    let project = project::harness(core, memory, timer, model, taps, profile)?;
    build_firmware(cache, &project, FOLDER, BINARY, core, memory, taps)
}

/// Builds a project that is already written, such as a printed crate's example: `folder` is where its
/// `Cargo.toml` and `memory.x` are in the tree, `binary` the name of its program. Its profile is its own.
///
/// # Errors
/// As [`build`].
pub fn build_project(
    cache: &Cache,
    tree: &SourceTree,
    folder: &str,
    binary: &str,
    core: &CoreSpec,
    memory: &MemoryMap,
) -> Result<Firmware> {
    build_firmware(cache, tree, folder, binary, core, memory, false)
}

fn build_firmware(
    cache: &Cache,
    tree: &SourceTree,
    folder: &str,
    binary: &str,
    core: &CoreSpec,
    memory: &MemoryMap,
    taps: bool,
) -> Result<Firmware> {
    let route = route(&core.target)?;
    let link = project::link_arguments(core);
    let job = Job {
        toolchain: &route.toolchain,
        route: Some(&route),
        core: Some(core),
        taps,
        link,
        folder,
        product: Product::Program(binary),
    };
    compile(cache, tree, &job).map_err(|failure| explain_overflow(failure, memory))
}

/// Builds the program that runs cases on this machine, or finds it in the cache.
///
/// # Errors
/// As [`build`].
pub fn build_host(
    cache: &Cache,
    model: &ModelCrate,
    profile: Profile,
    taps: bool,
) -> Result<Firmware> {
    let toolchain = host_toolchain()?;
    let project = project::host(model, taps, profile)?;
    let job = Job {
        toolchain: &toolchain,
        route: None,
        core: None,
        taps,
        link: Vec::new(),
        folder: FOLDER,
        product: Product::Program(BINARY),
    };
    compile(cache, &project, &job)
}

/// Builds the crate at the top of a tree, whose library is a static one of this name, for a core.
pub(crate) fn build_staticlib(
    cache: &Cache,
    tree: &SourceTree,
    name: &str,
    core: &CoreSpec,
) -> Result<Firmware> {
    let route = route(&core.target)?;
    let job = Job {
        toolchain: &route.toolchain,
        route: Some(&route),
        core: Some(core),
        taps: false,
        link: Vec::new(),
        folder: "",
        product: Product::Library(name),
    };
    compile(cache, tree, &job)
}

/// What is built, by its name.
#[derive(Clone, Copy, Debug)]
enum Product<'a> {
    Program(&'a str),
    /// A static library.
    Library(&'a str),
}

struct Job<'a> {
    toolchain: &'a Toolchain,
    route: Option<&'a Route>,
    core: Option<&'a CoreSpec>,
    taps: bool,
    link: Vec<String>,
    folder: &'a str,
    product: Product<'a>,
}

impl Job<'_> {
    fn identity(&self) -> String {
        match self.route {
            Some(route) => route.identity(),
            None => {
                let text =
                    format!("host {} {}", self.toolchain.version, self.toolchain.sysroot.display());
                hex(&Sha256::digest(text.as_bytes())).chars().take(16).collect()
            }
        }
    }

    fn rust_flags(&self) -> Vec<String> {
        self.core.map(CoreSpec::rust_flags).unwrap_or_default()
    }

    fn key(&self, project: &SourceTree) -> String {
        let mut hash = Sha256::new();
        hash_field(&mut hash, &KEY_VERSION.to_le_bytes());
        hash_field(&mut hash, project.digest().as_bytes());
        hash_field(&mut hash, self.identity().as_bytes());
        hash_field(&mut hash, self.core.map_or("host", |core| core.target.as_str()).as_bytes());
        hash_field(&mut hash, self.rust_flags().join("\n").as_bytes());
        hash_field(&mut hash, self.link.join("\n").as_bytes());
        let product = match self.product {
            Product::Program(name) => name.to_owned(),
            Product::Library(name) => format!("lib{name}.a"),
        };
        hash_field(&mut hash, format!("{} {product} {}", self.folder, self.taps).as_bytes());
        hex(&hash.finalize())
    }

    /// The file that is built.
    fn file(&self) -> String {
        match (self.product, self.core) {
            (Product::Library(name), _) => format!("lib{name}.a"),
            (Product::Program(name), Some(_)) => name.to_owned(),
            (Product::Program(name), None) => format!("{name}{}", std::env::consts::EXE_SUFFIX),
        }
    }

    /// The toolchain's cargo, without what the caller set for its own builds or a cargo around us for its
    /// own.
    fn cargo(&self) -> Command {
        let mut command = Command::new(&self.toolchain.cargo);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            let ours = [
                "CARGO_HOME",
                "CARGO_NET_",
                "CARGO_HTTP_",
                "CARGO_REGISTRIES_",
                "CARGO_REGISTRY_",
                "CARGO_SOURCE_",
            ];
            let foreign =
                name.starts_with("CARGO") && !ours.iter().any(|prefix| name.starts_with(prefix));
            if foreign
                || name.starts_with("RUSTC")
                || name.starts_with("RUSTFLAGS")
                || name == "RUSTUP_TOOLCHAIN"
            {
                command.env_remove(name);
            }
        }
        command.env("RUSTC", &self.toolchain.rustc);
        command
    }

    fn command(&self, key: &str, work: &Path, target: &Path, sysroot: Option<&Path>) -> Command {
        let mut command = self.cargo();
        command.args(["rustc", "--release", "--quiet", "--color", "never", "--manifest-path"]);
        let project = work.join(self.folder);
        // The linker looks for `memory.x` in the project's folder.
        command.arg(project.join("Cargo.toml")).current_dir(&project);
        match self.product {
            Product::Program(name) => command.args(["--bin", name]),
            Product::Library(_) => command.arg("--lib"),
        };
        if self.taps {
            command.args(["--features", "taps"]);
        }
        command.env("CARGO_TARGET_DIR", target);
        let mut flags = self.rust_flags();
        flags.extend(sysroot.map(|path| format!("--sysroot={}", path.display())));
        command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
        if let (Some(core), Some(route)) = (self.core, self.route) {
            command.args(["--target", &core.target]);
            if let Some(linker) = &route.linker {
                let triple = core.target.to_uppercase().replace(['-', '.'], "_");
                command.env(format!("CARGO_TARGET_{triple}_LINKER"), linker);
            }
        }
        command.arg("--").args(&self.link);
        // cargo does not know of `memory.x`; without this a changed one would not be linked again.
        command.args(["--cfg", &format!("kinglet_build=\"{key}\"")]);
        command
    }
}

fn compile(cache: &Cache, project: &SourceTree, job: &Job<'_>) -> Result<Firmware> {
    let start = Instant::now();
    let key = job.key(project);
    let file = job.file();
    if let Some(path) = cache.find(&key, &file) {
        return Ok(Firmware { path, key, cached: true, took: start.elapsed() });
    }
    let unusable = |error: std::io::Error| cache.unusable(&error);
    let folder = cache.lock_build(&job.identity()).map_err(unusable)?;
    if let Some(path) = cache.find(&key, &file) {
        return Ok(Firmware { path, key, cached: true, took: start.elapsed() });
    }
    let work = folder.work(match (job.product, job.core) {
        (Product::Library(_), _) => "library",
        (Product::Program(_), Some(_)) => "board",
        (Product::Program(_), None) => "host",
    });
    project.write(&work).map_err(unusable)?;
    let sysroot = match job.route.filter(|route| route.library == Library::BuildStd) {
        Some(route) => {
            Some(sysroot::ensure(&folder, route, || job.cargo()).map_err(|fault| match fault {
                sysroot::Fault::Io(error) => cache.unusable(&error),
                sysroot::Fault::Build(stderr) => build_failed(&stderr),
            })?)
        }
        None => None,
    };
    let mut command = job.command(&key, &work, &folder.target(), sysroot.as_deref());
    let output = command.output().map_err(|error| {
        Diagnostic::error(code::TOOL_MISSING, format!("cargo cannot be started: {error}"))
            .at(Place::File(job.toolchain.cargo.display().to_string()))
            .help("`kinglet doctor` says which compilers were found")
    })?;
    if !output.status.success() {
        return Err(build_failed(&String::from_utf8_lossy(&output.stderr)));
    }
    let mut built = folder.target();
    if let Some(core) = job.core {
        built.push(&core.target);
    }
    let path = cache.store(&key, &file, &built.join("release").join(&file)).map_err(unusable)?;
    drop(folder);
    cache.evict();
    Ok(Firmware { path, key, cached: false, took: start.elapsed() })
}

/// The first errors of a failed build, without the notes around them.
fn build_failed(stderr: &str) -> Failure {
    let errors: Vec<&str> = stderr.lines().filter(|line| line.starts_with("error")).collect();
    let first = errors.first().copied().unwrap_or("cargo said nothing");
    let mut failure =
        Diagnostic::error(code::BUILD_FAILED, format!("the firmware could not be built: {first}"));
    // From the first error on: what warnings stand before it, and how long they are, says nothing.
    let is_warning = |line: &&str| !line.starts_with("error") && !errors.is_empty();
    let tail: Vec<&str> = stderr.lines().skip_while(is_warning).take(60).collect();
    failure = failure.at(Place::Other(tail.join("\n")));
    let help = if stderr.contains("failed to get")
        || stderr.contains("network")
        || stderr.contains("index")
    {
        "the first build fetches a few crates: check the connection to the registry, then try again"
    } else {
        "`kinglet doctor` checks the toolchain; if it finds nothing, this is a bug in Kinglet: please report it with this text"
    };
    failure.help(help).into()
}

/// Turns the linker's complaint about a full region into the answer that it is.
fn explain_overflow(failure: Failure, memory: &MemoryMap) -> Failure {
    let text = failure.first().place_text();
    let Some((region, bytes)) = parse_overflow(&text) else { return failure };
    let known = match region.as_str() {
        "FLASH" => Some(&memory.flash),
        "RAM" => Some(&memory.ram),
        "WEIGHTS" => memory.weights.as_ref(),
        "ARENA" => memory.arena.as_ref(),
        _ => None,
    };
    let (name, available) =
        known.map_or((region.as_str(), 0), |region| (region.name.as_str(), region.len));
    Diagnostic::error(
        code::REGION_OVERFLOW,
        format!("the firmware does not fit: {name} has {available} bytes and lacks {bytes} more"),
    )
    .at(Place::Other(format!("region {name}")))
    .help("`kinglet fit` says what takes the room, and which boards have more")
    .into()
}

/// The region and the missing bytes out of LLD's or GNU ld's message; the largest of several.
fn parse_overflow(text: &str) -> Option<(String, u64)> {
    let mut worst: Option<(String, u64)> = None;
    for line in text.lines() {
        let Some((_, rest)) =
            line.split_once("will not fit in region '").or_else(|| line.split_once("region `"))
        else {
            continue;
        };
        let region: String =
            rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        let Some((_, rest)) = rest.split_once("overflowed by ") else { continue };
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let Ok(bytes) = digits.parse() else { continue };
        if worst.as_ref().is_none_or(|(_, most)| bytes > *most) {
            worst = Some((region, bytes));
        }
    }
    worst
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Region;

    #[test]
    fn a_full_region_is_an_answer_with_its_missing_bytes() {
        let lld = "error: linking with `rust-lld` failed\n  = note: rust-lld: error: section '.data' will not fit in region 'RAM': overflowed by 12 bytes\n\
                   rust-lld: error: section '.bss' will not fit in region 'RAM': overflowed by 46144 bytes";
        assert_eq!(parse_overflow(lld), Some(("RAM".into(), 46144)));
        let after_warnings = format!("{}{lld}", "warning: never used\n".repeat(100));
        let place = build_failed(&after_warnings).first().place_text();
        assert_eq!(parse_overflow(&place), Some(("RAM".into(), 46144)));
        let gnu = "ld: region `FLASH' overflowed by 100 bytes";
        assert_eq!(parse_overflow(gnu), Some(("FLASH".into(), 100)));
        let memory =
            MemoryMap::new(Region::new("flash", 0, 1024), Region::new("sram", 0x2000_0000, 16384));
        let failure = explain_overflow(build_failed(lld), &memory);
        assert_eq!(failure.first().code, code::REGION_OVERFLOW);
        assert!(
            failure.first().message.contains("sram has 16384 bytes and lacks 46144 more"),
            "{failure}"
        );
    }

    #[test]
    fn other_failures_keep_the_compilers_words() {
        let memory = MemoryMap::new(Region::new("flash", 0, 1), Region::new("ram", 0, 1));
        let failure = explain_overflow(
            build_failed("error[E0308]: mismatched types\n --> src/main.rs"),
            &memory,
        );
        assert_eq!(failure.first().code, code::BUILD_FAILED);
        assert!(failure.first().message.contains("E0308"));
        let offline = build_failed("error: failed to get `x` as a dependency");
        assert!(offline.first().help.as_ref().unwrap().contains("registry"));
    }
}
