//! Finds a compiler that can build for a target, and by which route.
//!
//! A route is either *plain* (the toolchain has the target's standard library, as after
//! `rustup target add`) or *build-std* (a compiler with its library's source, which cargo then compiles
//! along). Programs are called by their full path inside the toolchain's own folder, so that
//! neither a shim nor a `rust-toolchain.toml` in the current folder changes the choice.

use crate::source::hex;
use kinglet_diag::{Diagnostic, Result, code};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

/// A compiler and its package manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Toolchain {
    /// The compiler.
    pub rustc: PathBuf,
    /// The package manager that goes with it.
    pub cargo: PathBuf,
    /// Where the compiler's libraries are.
    pub sysroot: PathBuf,
    /// The machine it runs on, `x86_64-unknown-linux-gnu`.
    pub host: String,
    /// `1.95.0`.
    pub release: String,
    /// Everything the compiler says of itself.
    pub version: String,
}

/// How the standard library for a target is come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Library {
    /// It is installed.
    Installed,
    /// cargo builds `core` from the library's source.
    BuildStd,
}

/// A way to build for one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Route {
    /// The target triple.
    pub target: String,
    /// The compiler.
    pub toolchain: Toolchain,
    /// Where `core` comes from.
    pub library: Library,
    /// The linker, when the compiler's own choice is not there.
    pub linker: Option<PathBuf>,
}

impl Route {
    /// A few hexadecimal digits that change with the compiler, the route or the linker.
    pub fn identity(&self) -> String {
        let linker = self.linker.as_deref().map(file_stamp).unwrap_or_default();
        let text = format!(
            "{}\n{}\n{:?}\n{linker}",
            self.toolchain.version,
            self.toolchain.sysroot.display(),
            self.library
        );
        hex(&Sha256::digest(text.as_bytes())).chars().take(16).collect()
    }

    /// The compiler for a person: `rustc 1.96.0`.
    pub fn describe_compiler(&self) -> String {
        format!("rustc {}", self.toolchain.release)
    }

    /// One line for a person: `rustc 1.96.0, core built from source, linker /usr/bin/ld.lld-19`.
    pub fn describe(&self) -> String {
        let library = match self.library {
            Library::Installed => "installed target",
            Library::BuildStd => "core built from source",
        };
        let linker = self
            .linker
            .as_ref()
            .map(|path| format!(", linker {}", path.display()))
            .unwrap_or_default();
        format!(
            "rustc {} ({}), {library}{linker}",
            self.toolchain.release,
            self.toolchain.sysroot.display()
        )
    }
}

/// The path, size and time of a file: enough to notice that it was replaced.
fn file_stamp(path: &Path) -> String {
    let Ok(meta) = std::fs::metadata(path) else { return path.display().to_string() };
    format!("{} {} {:?}", path.display(), meta.len(), meta.modified().ok())
}

/// The toolchains of this machine, in order of preference: what `PATH` says, then rustup's others.
pub fn toolchains() -> &'static [Toolchain] {
    static FOUND: OnceLock<Vec<Toolchain>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let mut found: Vec<Toolchain> = Vec::new();
        for rustc in compilers() {
            if let Some(toolchain) = examine(&rustc)
                && !found.iter().any(|other| other.sysroot == toolchain.sysroot)
            {
                found.push(toolchain);
            }
        }
        found
    })
}

fn compilers() -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        std::env::var_os("KINGLET_RUSTC").into_iter().map(PathBuf::from).collect();
    paths.extend(in_path("rustc"));
    let rustup = std::env::var_os("RUSTUP_HOME")
        .map(PathBuf::from)
        .or_else(|| etcetera::home_dir().ok().map(|home| home.join(".rustup")));
    if let Some(entries) = rustup.and_then(|home| std::fs::read_dir(home.join("toolchains")).ok()) {
        let mut installed: Vec<PathBuf> = entries
            .flatten()
            .map(|entry| entry.path().join("bin").join(exe("rustc")))
            .filter(|path| path.is_file())
            .collect();
        installed.sort();
        installed.sort_by_key(|path| !path.to_string_lossy().contains("stable"));
        paths.extend(installed);
    }
    paths
}

fn exe(name: &str) -> String {
    format!("{name}{}", std::env::consts::EXE_SUFFIX)
}

/// Every program of this name on `PATH`, in order.
pub(crate) fn in_path(name: &str) -> Vec<PathBuf> {
    let name = exe(name);
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(&name))
        .filter(|file| file.is_file())
        .collect()
}

/// Standard output of a program that ended well.
pub(crate) fn ask<S: AsRef<OsStr>>(
    program: &Path,
    arguments: impl IntoIterator<Item = S>,
) -> Option<String> {
    let output =
        Command::new(program).args(arguments).env_remove("RUSTUP_TOOLCHAIN").output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

fn examine(rustc: &Path) -> Option<Toolchain> {
    let sysroot = PathBuf::from(ask(rustc, ["--print", "sysroot"])?);
    let direct = sysroot.join("bin").join(exe("rustc"));
    let rustc = if direct.is_file() { direct } else { rustc.to_owned() };
    let cargo = rustc.with_file_name(exe("cargo"));
    if !cargo.is_file() {
        return None;
    }
    let version = ask(&rustc, ["-vV"])?;
    let field = |name: &str| {
        version.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).map(str::to_owned)
    };
    let (host, release) = (field("host:")?, field("release:")?);
    Some(Toolchain { rustc, cargo, sysroot, host, release, version })
}

impl Toolchain {
    /// Where the target's library would be; nothing if the compiler does not know the target.
    fn library_folder(&self, target: &str) -> Option<String> {
        ask(&self.rustc, ["--print", "target-libdir", "--target", target])
    }

    fn has_target(&self, target: &str) -> bool {
        let folder = self.library_folder(target);
        let Some(entries) = folder.and_then(|folder| std::fs::read_dir(folder).ok()) else {
            return false;
        };
        entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
    }

    fn has_source(&self) -> bool {
        self.sysroot.join("lib/rustlib/src/rust/library/core/src/lib.rs").is_file()
    }

    fn tools(&self) -> PathBuf {
        self.sysroot.join("lib/rustlib").join(&self.host).join("bin")
    }

    /// Neither nightly nor beta: a stable release is preferred where either would do.
    fn is_stable(&self) -> bool {
        !self.release.contains('-')
    }
}

/// The linker for a target: none if the compiler brings its own.
fn linker(toolchain: &Toolchain, target: &str) -> Option<Option<PathBuf>> {
    if toolchain.tools().join(exe("rust-lld")).is_file() {
        return Some(None);
    }
    let mut candidates: Vec<PathBuf> = in_path("rust-lld");
    candidates.extend(toolchains().iter().map(|other| other.tools().join(exe("rust-lld"))));
    candidates.extend(in_path("ld.lld"));
    candidates.extend((14..40).rev().flat_map(|version| in_path(&format!("ld.lld-{version}"))));
    if target.starts_with("thumb") {
        candidates.extend(in_path("arm-none-eabi-ld"));
    }
    candidates.into_iter().find(|path| path.is_file()).map(Some)
}

/// The best route to a target.
///
/// # Errors
/// K0701 if there is no compiler at all, K0702 if none can build for the target; the help names the
/// command that mends it.
pub fn route(target: &str) -> Result<Route> {
    static KNOWN: Mutex<BTreeMap<String, Route>> = Mutex::new(BTreeMap::new());
    if let Ok(known) = KNOWN.lock()
        && let Some(route) = known.get(target)
    {
        return Ok(route.clone());
    }
    let route = find_route(target, toolchains())?;
    if let Ok(mut known) = KNOWN.lock() {
        known.insert(target.to_owned(), route.clone());
    }
    Ok(route)
}

fn find_route(target: &str, toolchains: &[Toolchain]) -> Result<Route> {
    if toolchains.is_empty() {
        return Err(Diagnostic::error(code::TOOL_MISSING, "no Rust compiler was found")
            .help("install Rust with rustup, or a distribution's `rustc` and `cargo`, and put them on PATH")
            .into());
    }
    let installed =
        toolchains.iter().filter(|t| t.has_target(target)).map(|t| (t, Library::Installed));
    let with_source = |stable: bool| {
        toolchains.iter().filter(move |t| {
            t.is_stable() == stable && t.has_source() && t.library_folder(target).is_some()
        })
    };
    let built = with_source(true).chain(with_source(false)).map(|t| (t, Library::BuildStd));
    let mut lacks_linker = false;
    for (toolchain, library) in installed.chain(built) {
        match linker(toolchain, target) {
            Some(linker) => {
                return Ok(Route {
                    target: target.to_owned(),
                    toolchain: toolchain.clone(),
                    library,
                    linker,
                });
            }
            None => lacks_linker = true,
        }
    }
    let what = if lacks_linker {
        "there is a compiler but no linker"
    } else {
        "no compiler here can build"
    };
    let help = if lacks_linker { remedy_linker() } else { remedy(target) };
    Err(Diagnostic::error(code::TARGET_UNAVAILABLE, format!("{what} for the target {target}"))
        .help(help)
        .into())
}

/// The toolchain that builds for this machine.
///
/// # Errors
/// K0701 if there is none.
pub fn host_toolchain() -> Result<Toolchain> {
    let plain = toolchains().iter().find(|toolchain| toolchain.has_target(&toolchain.host));
    plain.cloned().ok_or_else(|| {
        Diagnostic::error(code::TOOL_MISSING, "no Rust compiler with a standard library for this machine was found")
            .help("install Rust with rustup, or a distribution's `rustc` and `cargo`, and put them on PATH")
            .into()
    })
}

fn has_rustup() -> bool {
    !in_path("rustup").is_empty()
}

/// The command that makes a target buildable.
pub(crate) fn remedy(target: &str) -> String {
    if has_rustup() {
        format!("rustup target add {target}")
    } else {
        "install rustup and run `rustup target add`, or install the library's source of your distribution's \
         compiler (Debian: apt-get install rustc-web cargo-web rust-web-src lld-19)"
            .replace("`rustup target add`", &format!("`rustup target add {target}`"))
    }
}

pub(crate) fn remedy_linker() -> String {
    "install LLVM's linker (Debian: apt-get install lld)".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_compiler_and_no_target_are_told_apart() {
        let failure = find_route("thumbv7em-none-eabihf", &[]).unwrap_err();
        assert_eq!(failure.first().code, code::TOOL_MISSING);
        let own = host_toolchain().unwrap();
        assert!(own.has_target(&own.host));
        let failure = find_route(
            "no-such-target",
            std::slice::from_ref(&Toolchain { sysroot: "/nowhere".into(), ..own }),
        );
        let first = failure.unwrap_err().first().clone();
        assert_eq!(first.code, code::TARGET_UNAVAILABLE);
        assert!(first.help.unwrap().contains("rustup target add no-such-target"));
    }

    #[test]
    fn identity_follows_the_compiler_and_the_linker() {
        let toolchain = host_toolchain().unwrap();
        let route =
            Route { target: "t".into(), toolchain, library: Library::Installed, linker: None };
        let other = Route { linker: Some("/usr/bin/ld.lld".into()), ..route.clone() };
        assert_ne!(route.identity(), other.identity());
        assert_eq!(route.identity(), route.clone().identity());
        assert_eq!(route.identity().len(), 16);
    }
}
