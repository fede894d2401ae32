//! Whether a program fits a board, what is missing by how much, and what would help.
//!
//! Nothing is built here. Arena, state and weights are read off the [`Program`](kinglet_program::Program)
//! and are exact; the size of code and the depth of the stack come from a table that was measured on
//! linked examples ([`CodeTable`]), with its error. Whoever has built the example replaces the predicted
//! [`Needs`] by measured ones and asks [`judge`] again: there is one judgement for both.
//!
//! ```no_run
//! # fn program() -> kinglet_program::Program { unimplemented!() }
//! let program = program();
//! let board = kinglet_boards::find("nucleo-f446re")?;
//! let report = kinglet_decide::fit(&program, 52_000, board, &kinglet_decide::Settings::default());
//! println!("{:?}, {} bytes of RAM missing", report.verdict, report.ram.missing);
//! # Ok::<(), kinglet_diag::Failure>(())
//! ```

mod fit;
mod float;
mod needs;
mod peak;
mod remedy;
mod table;

pub use fit::{BoardSummary, FitReport, Memory, Part, Reservation, Verdict, fit, judge};
pub use float::{FloatWork, float_work, needs_soft_float};
pub use needs::{Basis, Needs, Optimize, Settings, check_bytes, parameter_bytes, predict};
pub use peak::{PeakStep, PeakTensor, peak, step_bytes};
pub use remedy::{Memories, Remedy, RemedyKind};
pub use table::{
    CodeEstimate, CodeTable, Entry, KernelSize, OVERLAPPING, Shared, StandIn, Variant, uses,
};
