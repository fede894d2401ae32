//! `kinglet completions SHELL`

use super::{Cli, Done, Show};
use clap::CommandFactory;
use clap_complete::Shell;
use kinglet_diag::Result;
use serde_json::json;

/// Print the completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  kinglet completions bash > ~/.local/share/bash-completion/completions/kinglet
  kinglet completions zsh > ~/.zfunc/_kinglet
  kinglet completions fish > ~/.config/fish/completions/kinglet.fish
  kinglet completions powershell >> $PROFILE")]
pub struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &Args, show: &Show) -> Result<Done> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "kinglet", &mut script);
    let script = String::from_utf8_lossy(&script);
    show.text(&script);
    show.object(
        "kinglet.completions/1",
        json!({ "shell": args.shell.to_string(), "script": script }),
    );
    Ok(Done::default())
}
