//! How results, remarks and failures are shown.

use super::Global;
use kinglet_diag::{Diagnostic, Failure, Severity};
use miette::{GraphicalReportHandler, GraphicalTheme};
use serde::Serialize;
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};

/// Where and how a command shows things.
#[derive(Debug)]
pub struct Show {
    json: bool,
    color: bool,
}

impl Show {
    pub(super) fn new(global: &Global) -> Self {
        let color = match global.color.as_str() {
            "always" => true,
            "never" => false,
            _ => std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        };
        Self { json: global.json, color }
    }

    /// Whether a person watches standard error.
    pub(super) fn is_watched(&self) -> bool {
        !self.json && std::io::stderr().is_terminal()
    }

    /// A result for people: data on standard output.
    pub fn text(&self, text: &str) {
        if !self.json {
            print(text);
        }
    }

    /// A result for programs: one object with its schema, on standard output.
    pub fn object(&self, schema: &str, value: impl Serialize) {
        if self.json {
            print(&format!("{:#}\n", with_schema(schema, value)));
        }
    }

    /// What happened, for people, on standard error.
    pub fn note(&self, text: &str) {
        if !self.json {
            eprintln!("{text}");
        }
    }

    /// Warnings and notes, collected, at the end.
    pub fn remarks(&self, remarks: &[Diagnostic]) {
        for remark in remarks {
            self.diagnostic(remark);
        }
        let warnings = remarks.iter().filter(|r| r.severity == Severity::Warning).count();
        if warnings > 0 {
            eprintln!("{warnings} warning{}", if warnings == 1 { "" } else { "s" });
        }
    }

    /// A failure: every diagnostic, then how to learn more.
    pub fn failure(&self, failure: &Failure) {
        if self.json {
            let value = json!({
                "exit_code": failure.class().exit_code(),
                "class": failure.class(),
                "errors": failure.diagnostics(),
            });
            self.object("kinglet.error/1", value);
            return;
        }
        for diagnostic in failure.diagnostics() {
            self.diagnostic(diagnostic);
        }
        let code = failure.first().code;
        eprintln!("more: kinglet explain {code}");
    }

    fn diagnostic(&self, diagnostic: &Diagnostic) {
        if self.color {
            let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode());
            let mut text = String::new();
            if handler.render_report(&mut text, diagnostic).is_ok() {
                eprint!("{text}");
                return;
            }
        }
        let severity = match diagnostic.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        eprintln!("{severity}[{}]: {}", diagnostic.code, diagnostic.message);
        if !diagnostic.places.is_empty() {
            eprintln!("  at {}", diagnostic.place_text());
        }
        if let Some(help) = &diagnostic.help {
            eprintln!("  help: {help}");
        }
    }
}

/// Prints to standard output; a reader that went away ends the program quietly.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

/// The value as an object whose first key is its schema.
fn with_schema(schema: &str, value: impl Serialize) -> Value {
    let mut object = serde_json::Map::new();
    object.insert("schema".to_owned(), json!(schema));
    match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => object.extend(fields),
        Ok(other) => {
            object.insert("value".to_owned(), other);
        }
        Err(error) => {
            object.insert("error".to_owned(), json!(error.to_string()));
        }
    }
    Value::Object(object)
}
