//! Running programs.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Done, or why not.
pub(crate) type Outcome<T = ()> = Result<T, String>;

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_owned()
}

/// A program to be run in the root, shown before it runs.
pub(crate) struct Program {
    command: Command,
    shown: String,
}

impl Program {
    pub(crate) fn new(name: &str) -> Self {
        let mut command = Command::new(name);
        command.current_dir(root());
        Self { command, shown: name.to_owned() }
    }

    pub(crate) fn cargo() -> Self {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let mut program = Self::new(&cargo);
        program.shown = "cargo".to_owned();
        program
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        for arg in args {
            let text = arg.as_ref().to_string_lossy().into_owned();
            self.shown.push(' ');
            self.shown.push_str(&text);
            self.command.arg(arg);
        }
        self
    }

    pub(crate) fn env(mut self, key: &str, value: &str) -> Self {
        self.command.env(key, value);
        self
    }

    pub(crate) fn folder(mut self, path: &Path) -> Self {
        self.command.current_dir(path);
        self
    }

    /// Runs it; any exit status but 0 is a failure.
    pub(crate) fn run(self) -> Outcome {
        let shown = self.shown.clone();
        match self.status()? {
            0 => Ok(()),
            status => Err(format!("`{shown}` ended with status {status}")),
        }
    }

    /// Runs it and gives its exit status.
    pub(crate) fn status(mut self) -> Outcome<i32> {
        println!("$ {}", self.shown);
        let status = self.command.stdin(Stdio::null()).status();
        let status =
            status.map_err(|error| format!("`{}` cannot be started: {error}", self.shown))?;
        Ok(status.code().unwrap_or(-1))
    }

    /// Runs it quietly and gives what it printed, if it succeeded.
    pub(crate) fn output(mut self) -> Option<String> {
        let output = self.command.stdin(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Whether a program can be started.
pub(crate) fn exists(name: &str) -> bool {
    let probe =
        Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    probe.is_ok_and(|status| status.success())
}
