//! Whether a model fits boards, and what would help: `decide` with programs for each board.

use crate::measure;
use crate::model::Model;
use crate::table::bytes;
use kinglet_boards::{Board, Class};
use kinglet_codegen::Weights;
use kinglet_decide::{
    FitReport, Memories, Memory, Optimize, Remedy, RemedyKind, Settings, Verdict,
};
use kinglet_diag::{Diagnostic, Result, code};
use kinglet_program::{Options, Program};
use kinglet_target::Target;
use std::sync::Arc;

/// The most boards that are named as a remedy.
const OTHER_BOARDS: usize = 3;

/// A model on its way to boards: the program of each target is made once.
#[derive(Debug)]
pub struct Fitting<'a> {
    model: &'a Model,
    settings: Settings,
    programs: Vec<(Target, Arc<Program>, u64)>,
}

impl<'a> Fitting<'a> {
    /// A model, to be judged by these settings. The example is the emitted one, with `check()`.
    pub fn new(model: &'a Model, settings: Settings) -> Self {
        Self { model, settings: Settings { check: true, ..settings }, programs: Vec::new() }
    }

    /// The program for a board, and the bytes of its weights.
    ///
    /// # Errors
    /// Every node that cannot be lowered.
    pub fn program(&mut self, board: &Board) -> Result<(Arc<Program>, u64)> {
        let target = board.target();
        if let Some((_, program, weights)) = self.programs.iter().find(|(t, ..)| *t == target) {
            return Ok((Arc::clone(program), *weights));
        }
        let program = Arc::new(self.model.program(&target, &Options::default())?);
        let weights = Weights::of(&program).bytes.len() as u64;
        self.programs.push((target, Arc::clone(&program), weights));
        Ok((program, weights))
    }

    /// Whether the model fits a board, without building anything.
    ///
    /// # Errors
    /// Every node that cannot be lowered.
    pub fn predict(&mut self, board: &Board) -> Result<FitReport> {
        let (program, weights) = self.program(board)?;
        let report = kinglet_decide::fit(&program, weights, board, &self.settings);
        self.with_remedies(report, board)
    }

    /// Whether the model fits a board, by the linked example and a run of it. Also what the run warned of.
    ///
    /// # Errors
    /// What cannot be lowered, built or emulated. That it does not fit is no error.
    pub fn measure(&mut self, board: &Board) -> Result<(FitReport, Vec<Diagnostic>)> {
        let (program, weights) = self.program(board)?;
        let predicted = kinglet_decide::fit(&program, weights, board, &self.settings);
        let optimize = self.settings.optimize;
        let roomy = || measure::example_without_limits(self.model, &program, board, optimize);
        let judge = |needs| kinglet_decide::judge(needs, &program, board, &self.settings);
        // Where the stack may run into the arena, nobody knows what the example would do on the board itself.
        let doubtful = predicted.ram.free <= predicted.ram.error;
        let too_large = if doubtful { Some(roomy()?) } else { None }
            .filter(|measured| judge(measured.needs.clone()).verdict != Verdict::Fits);
        let measured = match too_large {
            Some(measured) => measured,
            None => match measure::example(self.model, &program, board, optimize) {
                Err(failure)
                    if [code::REGION_OVERFLOW, code::STACK_OVERFLOW]
                        .contains(&failure.first().code) =>
                {
                    roomy()?
                }
                other => other?,
            },
        };
        let report = judge(measured.needs);
        Ok((self.with_remedies(report, board)?, measured.notes))
    }

    /// Adds the remedies that need other programs or other boards.
    fn with_remedies(&mut self, mut report: FitReport, board: &Board) -> Result<FitReport> {
        if report.verdict == Verdict::Fits {
            return Ok(report);
        }
        if let Some(remedy) = self.optimize_size(&report, board)? {
            report.remedies.insert(0, remedy);
            report.remedies.sort_by_key(|remedy| !remedy.enough);
        }
        report.remedies.extend(self.other_boards(board)?);
        Ok(report)
    }

    /// What the compiler can save by optimizing for size.
    fn optimize_size(&mut self, report: &FitReport, board: &Board) -> Result<Option<Remedy>> {
        let lacks_flash = report.flash.as_ref().is_some_and(|flash| flash.missing > 0);
        if self.settings.optimize == Optimize::Size || !(lacks_flash || report.ram.missing > 0) {
            return Ok(None);
        }
        let (program, weights) = self.program(board)?;
        let fit = |optimize| {
            let settings = Settings { optimize, ..self.settings };
            kinglet_decide::fit(&program, weights, board, &settings)
        };
        let (fast, small) = (fit(Optimize::Speed), fit(Optimize::Size));
        let needed = |memory: Option<&Memory>| memory.map_or(0, |memory| memory.needed);
        let saves = Memories {
            ram: fast.ram.needed.saturating_sub(small.ram.needed),
            flash: needed(fast.flash.as_ref()).saturating_sub(needed(small.flash.as_ref())),
        };
        if (saves.ram == 0 || report.ram.missing == 0) && (saves.flash == 0 || !lacks_flash) {
            return Ok(None);
        }
        Ok(Some(Remedy {
            kind: RemedyKind::OptimizeSize,
            what: "let the compiler optimize for size (`--optimize size`); slower".to_owned(),
            saves,
            estimate: true,
            enough: small.verdict == Verdict::Fits,
        }))
    }

    /// The smallest real boards of the catalogue that would do, each judged like the one that was asked
    /// for; those of the same core first among equals.
    fn other_boards(&mut self, board: &Board) -> Result<Vec<Remedy>> {
        let size = |board: &Board| {
            let size = |region: Option<kinglet_boards::Region>| region.map_or(0, |r| r.bytes);
            size(board.largest_ram()).saturating_add(size(board.largest_flash()))
        };
        let mut candidates: Vec<&Board> = kinglet_boards::all()
            .iter()
            .filter(|other| other.id != board.id && !other.is_emulated())
            .filter(|other| other.class == Class::Microcontroller && other.core.builds())
            .collect();
        candidates.sort_by_key(|other| (size(other), other.core.id != board.core.id, &other.id));
        let mut remedies = Vec::new();
        for other in candidates {
            let (program, weights) = self.program(other)?;
            let report = kinglet_decide::fit(&program, weights, other, &self.settings);
            if report.verdict != Verdict::Fits {
                continue;
            }
            let free = |memory: &Memory| {
                format!("{} of {} bytes free", bytes(memory.free), bytes(memory.region_bytes))
            };
            let flash = report
                .flash
                .as_ref()
                .map_or(String::new(), |flash| format!(", flash {}", free(flash)));
            remedies.push(Remedy {
                kind: RemedyKind::Board,
                what: format!(
                    "{} ({}): RAM {}{flash}",
                    other.id,
                    other.core.name,
                    free(&report.ram)
                ),
                saves: Memories::default(),
                estimate: true,
                enough: true,
            });
            if remedies.len() == OTHER_BOARDS {
                break;
            }
        }
        Ok(remedies)
    }
}
