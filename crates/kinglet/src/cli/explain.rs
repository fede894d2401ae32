//! `kinglet explain CODE`

use super::{Done, Show};
use kinglet_diag::{Class, Code, Diagnostic, Result, code, codes};
use serde_json::json;

/// Say what a diagnostic's code means and what to do about it
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  kinglet explain K0101\n  kinglet explain          (lists every code)"
)]
pub struct Args {
    /// The code, K0101
    code: Option<String>,
}

pub(super) fn run(args: &Args, show: &Show) -> Result<Done> {
    let Some(name) = &args.code else {
        let mut text = String::new();
        for code in codes() {
            text.push_str(&format!("{code}  {}\n", code.title()));
        }
        show.text(&text);
        let list: Vec<_> = codes().iter().map(|&code| entry(code)).collect();
        show.object("kinglet.explain/1", json!({ "codes": list }));
        return Ok(Done::default());
    };
    let found = kinglet_diag::by_name(name).ok_or_else(|| {
        Diagnostic::error(code::CODE_UNKNOWN, format!("there is no code {name}"))
            .help("`kinglet explain` without a code lists them all")
    })?;
    show.text(found.page());
    show.object("kinglet.explain/1", json!({ "codes": [entry(found)] }));
    Ok(Done::default())
}

fn entry(code: Code) -> serde_json::Value {
    let class: Class = code.class();
    json!({
        "code": code.as_str(),
        "title": code.title(),
        "class": class,
        "exit_code": class.exit_code(),
        "page": code.page(),
    })
}
