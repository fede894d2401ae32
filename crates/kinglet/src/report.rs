//! One page about a model: what it is, where it fits, how it was verified, what comes out.

mod page;

use crate::batch::Batch;
use crate::compare::Difference;
use crate::engine::EngineName;
use crate::inspect::{Inspection, of_model};
use crate::model::Model;
use crate::verify;
use kinglet_boards::Board;
use kinglet_codegen::File;
use kinglet_decide::FitReport;
use kinglet_diag::{Diagnostic, Result};
use kinglet_program::{Options, Program};

/// Everything the page shows.
#[derive(Clone, Debug)]
pub struct Report {
    /// The model.
    pub facts: Inspection,
    /// The answers of the boards.
    pub boards: Vec<FitReport>,
    /// What was compared with what.
    pub checks: Vec<Check>,
    /// The printed crate for the first board.
    pub printed: Option<Printed>,
    /// The program that was planned and printed.
    pub program: Program,
    /// The tool's version.
    pub version: String,
}

/// One comparison.
#[derive(Clone, Debug)]
pub struct Check {
    /// The engine under test.
    pub engine: String,
    /// What it was compared with.
    pub against: String,
    /// Runs compared.
    pub runs: usize,
    /// The outputs, or why the engine could not be asked.
    pub outcome: Result<Vec<Difference>, Diagnostic>,
}

/// The printed crate.
#[derive(Clone, Debug, Default)]
pub struct Printed {
    /// The board it is for.
    pub board: String,
    /// Lines of its source, without the kernels.
    pub lines: usize,
    /// Lines of the kernels that come with it.
    pub kernel_lines: usize,
    /// Bytes of its constants.
    pub weight_bytes: u64,
}

impl Check {
    /// Compares an engine with `reference` on these cases.
    ///
    /// # Errors
    /// None: what keeps the engine from running is the outcome.
    pub fn of(model: &Model, engine: &EngineName, batch: &Batch) -> Self {
        let against = EngineName::Reference;
        let verdict = verify::engines(model, engine, &against, batch);
        Self {
            engine: engine.to_string(),
            against: against.to_string(),
            runs: batch.cases() * batch.steps(),
            outcome: verdict.map(|verdict| verdict.outputs).map_err(|f| f.first().clone()),
        }
    }

    /// Whether it ran and every output is equal, or within the tolerance.
    pub fn is_equal(&self) -> bool {
        self.outcome.as_ref().is_ok_and(|outputs| outputs.iter().all(Difference::is_equal))
    }

    /// Whether it ran and some output is not.
    pub fn is_different(&self) -> bool {
        self.outcome.is_ok() && !self.is_equal()
    }
}

impl Printed {
    /// The sizes of a printed crate's files.
    pub fn of(board: &Board, files: &[File]) -> Self {
        let mut printed = Self { board: board.id.clone(), ..Self::default() };
        for file in files {
            let lines = || file.bytes.iter().filter(|&&byte| byte == b'\n').count();
            if file.path.ends_with("weights.bin") {
                printed.weight_bytes += file.bytes.len() as u64;
            } else if file.path.starts_with("kernels/") && file.path.ends_with(".rs") {
                printed.kernel_lines += lines();
            } else if file.path.ends_with(".rs") {
                printed.lines += lines();
            }
        }
        printed
    }
}

impl Report {
    /// A report on a model for these boards' answers and comparisons. The program that is shown is the
    /// first board's.
    ///
    /// # Errors
    /// Every node that cannot be lowered.
    pub fn new(
        model: &Model,
        board: &Board,
        boards: Vec<FitReport>,
        checks: Vec<Check>,
    ) -> Result<Self> {
        let program = model.program(&board.target(), &Options::default())?;
        let files = kinglet_codegen::print(&program, &crate::printed::options(model));
        Ok(Self {
            facts: of_model(model, Some(&program), Vec::new()),
            boards,
            checks,
            printed: Some(Printed::of(board, &files)),
            program,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }

    /// The page: one HTML file that loads nothing and runs nothing.
    pub fn html(&self) -> String {
        page::html(self)
    }
}
