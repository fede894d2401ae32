//! What Kinglet says when something is wrong: one value, many renderings.
//!
//! A [`Diagnostic`] has a code ([`Code`]) with a page behind `kinglet explain`, a sentence that says
//! what, places that say where, and a help line that says what to do. This crate knows nothing of
//! models, boards or terminals: the command line alone prints.
//!
//! Adding a code takes one line in `codes.rs` and one page in `codes/`.

mod codes;

pub use codes::{Code, by_name, codes};

use serde::Serialize;
use std::fmt;

/// How much a diagnostic weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something the user should know; nothing is changed by it.
    Note,
    /// Something that is probably not meant; never changes the exit code by itself.
    Warning,
    /// The request cannot be carried out.
    Error,
}

/// What kind of failure an error is; the command line turns it into an exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// The answer is no: does not fit, not equal, a gate failed (exit status 1).
    Answer,
    /// The request or an input file is wrong (exit status 2).
    Request,
    /// The environment is wrong: missing tool, full disk, time-out (exit status 3).
    Environment,
    /// A bug of Kinglet's own (exit status 101).
    Bug,
}

impl Class {
    /// The process exit status for this class.
    pub const fn exit_code(self) -> u8 {
        match self {
            Class::Answer => 1,
            Class::Request => 2,
            Class::Environment => 3,
            Class::Bug => 101,
        }
    }
}

/// One place a diagnostic speaks of, from the outside in: a file, a byte in it, a node, a tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "at")]
pub enum Place {
    /// A file, as the user wrote its path.
    File(String),
    /// A byte offset from the start of the file.
    Byte(u64),
    /// A line, counted from 1, of a text file.
    Line(u64),
    /// A node: its index in the file's order and the operator's name.
    Node(String),
    /// A tensor, by name and index.
    Tensor(String),
    /// Anything else, as a short phrase.
    Other(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File(path) => write!(f, "{path}"),
            Place::Byte(offset) => write!(f, "byte {offset} ({offset:#x})"),
            Place::Line(line) => write!(f, "line {line}"),
            Place::Node(node) => write!(f, "node {node}"),
            Place::Tensor(tensor) => write!(f, "tensor {tensor}"),
            Place::Other(text) => write!(f, "{text}"),
        }
    }
}

/// One thing to tell the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// The code, `K0123`.
    pub code: Code,
    /// How much it weighs.
    pub severity: Severity,
    /// What is wrong, one sentence without a full stop.
    pub message: String,
    /// Where, from the outside in.
    pub places: Vec<Place>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error with this code and sentence.
    pub fn error(code: Code, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message)
    }

    /// A warning with this code and sentence.
    pub fn warning(code: Code, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message)
    }

    /// A note with this code and sentence.
    pub fn note(code: Code, message: impl Into<String>) -> Self {
        Self::new(Severity::Note, code, message)
    }

    fn new(severity: Severity, code: Code, message: impl Into<String>) -> Self {
        Self { code, severity, message: message.into(), places: Vec::new(), help: None }
    }

    /// Adds a place inside the ones already given.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.places.push(place);
        self
    }

    /// Puts the file in front of the places: readers know bytes, their callers know the path.
    #[must_use]
    pub fn in_file(mut self, path: impl Into<String>) -> Self {
        if !matches!(self.places.first(), Some(Place::File(_))) {
            self.places.insert(0, Place::File(path.into()));
        }
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Where, as one phrase: `model.tflite, byte 96 (0x60), tensor 3`.
    pub fn place_text(&self) -> String {
        self.places.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if !self.places.is_empty() {
            write!(f, " ({})", self.place_text())?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}

impl miette::Diagnostic for Diagnostic {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity {
            Severity::Note => miette::Severity::Advice,
            Severity::Warning => miette::Severity::Warning,
            Severity::Error => miette::Severity::Error,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }
}

/// One or more diagnostics that together stopped a request. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.first())]
pub struct Failure {
    diagnostics: Vec<Diagnostic>,
}

/// The result of anything that can fail in front of a user.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// All of these; an empty list is a bug and is reported as one.
    pub fn new(diagnostics: Vec<Diagnostic>) -> Self {
        if diagnostics.is_empty() {
            return Diagnostic::error(codes::INTERNAL, "a failure without a reason").into();
        }
        Self { diagnostics }
    }

    /// The diagnostics, in the order they were found.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// The first diagnostic.
    pub fn first(&self) -> &Diagnostic {
        &self.diagnostics[0]
    }

    /// The gravest class among the diagnostics: it decides the exit status.
    pub fn class(&self) -> Class {
        let classes = self.diagnostics.iter().map(|d| d.code.class());
        classes.max_by_key(|class| class.exit_code()).unwrap_or(Class::Bug)
    }

    /// Puts the file in front of every diagnostic that has none.
    #[must_use]
    pub fn in_file(self, path: &str) -> Self {
        Self { diagnostics: self.diagnostics.into_iter().map(|d| d.in_file(path)).collect() }
    }
}

impl From<Diagnostic> for Failure {
    fn from(diagnostic: Diagnostic) -> Self {
        Self { diagnostics: vec![diagnostic] }
    }
}

/// Makes the failure that says this is a bug of Kinglet's own.
pub fn bug(message: impl Into<String>) -> Failure {
    Diagnostic::error(codes::INTERNAL, message)
        .help("this is a bug in Kinglet, not in your model: please report it with the command and the model's `kinglet inspect --json`")
        .into()
}

/// The named codes, one constant each.
pub mod code {
    pub use crate::codes::list::*;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_takes_the_gravest_class() {
        let request = Diagnostic::error(code::TFLITE_TRUNCATED, "short");
        let bug = Diagnostic::error(code::INTERNAL, "oops");
        assert_eq!(Failure::new(vec![request, bug]).class(), Class::Bug);
    }

    #[test]
    fn every_code_has_a_page_with_a_title_and_a_remedy() {
        for code in codes() {
            let page = code.page();
            assert!(page.starts_with(&format!("# {code}: ")), "{code} has no title");
            assert!(page.contains("## What to do"), "{code} does not say what to do");
        }
    }

    #[test]
    fn codes_are_unique() {
        let mut names: Vec<_> = codes().iter().map(|c| c.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), codes().len());
    }

    #[test]
    fn places_read_from_the_outside_in() {
        let d = Diagnostic::error(code::TFLITE_TRUNCATED, "the file ends early")
            .at(Place::Byte(96))
            .in_file("m.tflite");
        assert_eq!(d.to_string(), "the file ends early (m.tflite, byte 96 (0x60))");
    }
}
