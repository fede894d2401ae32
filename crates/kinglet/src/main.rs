//! The command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    kinglet::cli::main()
}
