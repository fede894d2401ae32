//! The command line: one file a command. Data goes to standard output, everything else to standard
//! error; with `--json` an error is one JSON object on standard output.

mod boards;
mod cache;
mod compile;
mod completions;
mod doctor;
mod explain;
mod fit;
mod inspect;
mod profile;
mod progress;
mod report;
mod run;
mod show;
mod verify;

use crate::interrupt;
use clap::{Parser, Subcommand};
use kinglet_diag::{Class, Diagnostic, Failure, Severity, code};
use progress::Progress;
use show::Show;
use std::process::ExitCode;

/// Takes a trained model to the device it must run on, and proves that it arrived unchanged.
#[derive(Debug, Parser)]
#[command(name = "kinglet", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Flags of every command.
#[derive(Clone, Debug, clap::Args)]
pub struct Global {
    /// Print results and errors as JSON on standard output
    #[arg(long, global = true)]
    json: bool,
    /// What to refuse beside errors
    #[arg(long, global = true, value_name = "WHAT", value_parser = ["warnings"])]
    deny: Vec<String>,
    /// When to use color
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", value_parser = ["auto", "always", "never"])]
    color: String,
}

#[derive(Debug, Subcommand)]
enum Command {
    Inspect(inspect::Args),
    Fit(fit::Args),
    Compile(compile::Args),
    Run(run::Args),
    Verify(verify::Args),
    Profile(profile::Args),
    Report(report::Args),
    Explain(explain::Args),
    Boards(boards::Args),
    Doctor(doctor::Args),
    Cache(cache::Args),
    Completions(completions::Args),
}

/// What a command that went through leaves behind.
#[derive(Debug, Default)]
pub struct Done {
    /// The answer is no: exit status 1.
    no: bool,
    /// Another exit status, where the report itself says what failed.
    exit: Option<u8>,
    /// Warnings and notes, for the end.
    remarks: Vec<Diagnostic>,
}

impl Done {
    /// It went through, with these remarks.
    fn with(remarks: Vec<Diagnostic>) -> Self {
        Self { remarks, ..Self::default() }
    }
}

/// Parses the arguments, runs the command, prints what it left, and gives the exit status.
pub fn main() -> ExitCode {
    report_panics_as_bugs();
    interrupt::install();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return unparsed(&error),
    };
    let show = Show::new(&cli.global);
    let result = match &cli.command {
        Command::Inspect(args) => inspect::run(args, &show),
        Command::Fit(args) => fit::run(args, &show),
        Command::Compile(args) => compile::run(args, &show),
        Command::Run(args) => run::run(args, &show),
        Command::Verify(args) => verify::run(args, &show),
        Command::Profile(args) => profile::run(args, &show),
        Command::Report(args) => report::run(args, &show),
        Command::Explain(args) => explain::run(args, &show),
        Command::Boards(args) => boards::run(args, &show),
        Command::Doctor(args) => doctor::run(args, &show),
        Command::Cache(args) => cache::run(args, &show),
        Command::Completions(args) => completions::run(args, &show),
    };
    match result {
        Ok(done) => {
            show.remarks(&done.remarks);
            let warned = done.remarks.iter().any(|r| r.severity >= Severity::Warning);
            let denied = warned && cli.global.deny.iter().any(|what| what == "warnings");
            ExitCode::from(done.exit.unwrap_or(u8::from(done.no || denied)))
        }
        Err(failure) => {
            show.failure(&failure);
            ExitCode::from(exit_code(&failure))
        }
    }
}

/// Arguments that cannot be parsed, or help and version, which are no error. A program that asked for JSON
/// gets JSON.
fn unparsed(error: &clap::Error) -> ExitCode {
    let asked = std::env::args_os().any(|argument| argument == "--json");
    if error.use_stderr() && asked {
        let text = error.render().to_string();
        let message: Vec<&str> =
            text.lines().take_while(|line| !line.starts_with("Usage:")).map(str::trim).collect();
        let message = message.join(" ").trim().trim_start_matches("error: ").to_owned();
        let failure = Diagnostic::error(code::USAGE, message)
            .help("`kinglet COMMAND --help` lists arguments and options, with examples");
        Show::new(&Global { json: true, deny: Vec::new(), color: "never".to_owned() })
            .failure(&failure.into());
    } else {
        let _ = error.print();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

fn exit_code(failure: &Failure) -> u8 {
    failure.class().exit_code()
}

/// A panic is our bug and says so.
fn report_panics_as_bugs() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        default(info);
        eprintln!(
            "\nerror[K0001]: this is a bug in Kinglet (exit status {}); please report it with the command you ran",
            Class::Bug.exit_code()
        );
    }));
}
