//! The device bench: the nine models on emulated cores beside the peer's figures, as text.
//!
//! Every row of a table is of one linked program, so that no row mixes builds. Means are geometric over
//! the models.

use crate::measure::{Figures, Setting};
use crate::peers::{CORES, Core, Peer, peers};
use kinglet::table::bytes;
use std::fmt::Write;

/// A model on a core, built both ways.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The model, with the peer's figures.
    pub peer: &'static Peer,
    /// The core.
    pub core: Core,
    /// The program at the speed setting.
    pub speed: Figures,
    /// The program at the size setting.
    pub size: Figures,
}

/// The program around the model on a core, bytes of flash.
#[derive(Clone, Copy, Debug)]
pub struct Around {
    /// The core.
    pub core: Core,
    /// At the speed setting.
    pub speed: u64,
    /// At the size setting.
    pub size: u64,
}

/// All that was measured.
#[derive(Clone, Debug, Default)]
pub struct Bench {
    /// Models on cores.
    pub rows: Vec<Row>,
    /// The program around them.
    pub around: Vec<Around>,
    /// The compiler's and the emulator's version, for people.
    pub tools: String,
}

/// A figure that is held to a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Figure {
    Instructions,
    Memory,
    Flash,
    Stack,
}

/// What is to be reached for a figure: the mean over the models, and the worst of them.
#[derive(Clone, Copy, Debug)]
struct Limit {
    figure: Figure,
    setting: Setting,
    /// Key of the core; empty for every core.
    core: &'static str,
    mean: f64,
    worst: f64,
    goal: f64,
}

const fn limit(
    figure: Figure,
    setting: Setting,
    core: &'static str,
    [mean, worst, goal]: [f64; 3],
) -> Limit {
    Limit { figure, setting, core, mean, worst, goal }
}

/// No limit of its own.
const ANY: f64 = f64::INFINITY;
/// No goal of its own, or one that is no ratio.
const NONE: f64 = 0.0;
/// The stack that is the goal, in bytes.
const STACK_GOAL: u64 = 256;

const LIMITS: [Limit; 8] = [
    limit(Figure::Instructions, Setting::Speed, "m4", [0.60, 0.85, 0.42]),
    limit(Figure::Instructions, Setting::Speed, "m55", [0.70, 1.0, 0.45]),
    limit(Figure::Instructions, Setting::Speed, "m0plus", [0.50, 0.75, 0.38]),
    limit(Figure::Instructions, Setting::Speed, "rv32imc", [0.55, 0.85, 0.40]),
    limit(Figure::Memory, Setting::Speed, "", [0.85, 1.0, 0.55]),
    limit(Figure::Flash, Setting::Size, "m4", [0.30, ANY, 0.15]),
    limit(Figure::Flash, Setting::Speed, "m4", [0.45, ANY, 0.15]),
    limit(Figure::Stack, Setting::Speed, "", [1.0, 1.0, NONE]),
];

/// The mean and the worst of ratios, with the worst's name.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Summary {
    mean: f64,
    worst: f64,
    name: &'static str,
}

impl Row {
    fn figures(&self, setting: Setting) -> &Figures {
        match setting {
            Setting::Speed => &self.speed,
            Setting::Size => &self.size,
        }
    }

    fn macs_per_instruction(&self, setting: Setting) -> f64 {
        self.peer.macs as f64 / self.figures(setting).instructions as f64
    }
}

impl Bench {
    fn around(&self, core: Core, setting: Setting) -> u64 {
        let found = self.around.iter().find(|around| around.core == core);
        found.map_or(0, |around| match setting {
            Setting::Speed => around.speed,
            Setting::Size => around.size,
        })
    }

    /// Ours over the peer's; `None` where there is no such figure of the peer's.
    fn ratio(&self, row: &Row, figure: Figure, setting: Setting) -> Option<f64> {
        let (peer, core, found) = (row.peer, row.core, row.figures(setting));
        let (ours, theirs) = match figure {
            Figure::Instructions => (found.instructions, *peer.instructions.get(core.key)?),
            Figure::Memory => (found.arena_and_state, peer.memory()),
            // The peer's -Os build is recorded for this core alone.
            Figure::Flash if core.key != "m4" => return None,
            Figure::Flash => (
                found.flash_without_weights.saturating_sub(self.around(core, setting)),
                peer.flash_m4_size.saturating_sub(peers().program_around),
            ),
            Figure::Stack => (found.stack, *peer.stack.get(core.key)?),
        };
        Some(ours as f64 / theirs as f64)
    }

    fn summary(&self, core: Core, figure: Figure, setting: Setting) -> Option<Summary> {
        let rows = self.rows.iter().filter(|row| row.core == core);
        let ratios: Option<Vec<(f64, &'static str)>> = rows
            .map(|row| Some((self.ratio(row, figure, setting)?, row.peer.name.as_str())))
            .collect();
        let ratios = ratios?;
        let (worst, name) = ratios.iter().copied().max_by(|a, b| a.0.total_cmp(&b.0))?;
        let logs: f64 = ratios.iter().map(|(ratio, _)| ratio.ln()).sum();
        Some(Summary { mean: (logs / ratios.len() as f64).exp(), worst, name })
    }

    fn cores(&self) -> impl Iterator<Item = Core> + '_ {
        CORES.into_iter().filter(|core| self.rows.iter().any(|row| row.core == *core))
    }

    /// The means beside what is to be reached.
    pub fn limits(&self) -> String {
        let mut text = String::from(
            "| figure | setting | core | mean | floor | goal | worst model | floor for each | |\n\
             |---|---|---|---:|---:|---:|---|---:|---|\n",
        );
        for limit in LIMITS {
            for core in self.cores() {
                if !limit.core.is_empty() && limit.core != core.key {
                    continue;
                }
                if let Some(summary) = self.summary(core, limit.figure, limit.setting) {
                    self.limit(&mut text, limit, core, summary);
                }
            }
        }
        text
    }

    fn limit(&self, text: &mut String, limit: Limit, core: Core, summary: Summary) {
        let stack = self.rows.iter().filter(|row| row.core == core);
        let stack = stack.map(|row| row.figures(limit.setting).stack).max().unwrap_or(0);
        let (goal, at_goal) = match limit.figure {
            Figure::Stack => (format!("{STACK_GOAL} bytes ({stack} now)"), stack <= STACK_GOAL),
            _ => (format!("{:.2}", limit.goal), summary.mean <= limit.goal),
        };
        let held = summary.mean <= limit.mean && summary.worst <= limit.worst;
        let verdict = match (held, at_goal) {
            (true, true) => "goal",
            (true, false) => "floor",
            (false, _) => "**missed**",
        };
        let each = if limit.worst == ANY { String::new() } else { format!("{:.2}", limit.worst) };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {:.3} | {:.2} | {goal} | {} {:.3} | {each} | {verdict} |",
            limit.figure.name(),
            limit.setting.name(),
            core.name,
            summary.mean,
            limit.mean,
            summary.name,
            summary.worst,
        );
    }

    /// The table of one core at one setting: a row is one linked program.
    fn table(&self, core: Core, setting: Setting) -> String {
        let mut text = String::from(
            "| model | MACs | instructions | MAC/insn | ratio | flash without weights | ratio | weights | arena and state | ratio | stack | ratio |\n\
             |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
        );
        let cell = |ratio: Option<f64>| ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.3}"));
        for row in self.rows.iter().filter(|row| row.core == core) {
            let found = row.figures(setting);
            let ratio = |figure| cell(self.ratio(row, figure, setting));
            let _ = writeln!(
                text,
                "| {} | {} | {} | {:.3} | {} | {} | {} | {} | {} | {} | {} | {} |",
                row.peer.name,
                bytes(row.peer.macs),
                bytes(found.instructions),
                row.macs_per_instruction(setting),
                ratio(Figure::Instructions),
                bytes(found.flash_without_weights),
                ratio(Figure::Flash),
                bytes(found.weights),
                bytes(found.arena_and_state),
                ratio(Figure::Memory),
                bytes(found.stack),
                ratio(Figure::Stack),
            );
        }
        let summary = |figure| self.summary(core, figure, setting);
        for (what, value) in [
            ("geometric mean", (|s: Summary| format!("{:.3}", s.mean)) as fn(Summary) -> String),
            ("worst", |s: Summary| format!("{} {:.3}", s.name, s.worst)),
        ] {
            let cell = |figure| summary(figure).map_or("-".to_owned(), value);
            let _ = writeln!(
                text,
                "| **{what}** | | | | {} | | {} | | | {} | | {} |",
                cell(Figure::Instructions),
                cell(Figure::Flash),
                cell(Figure::Memory),
                cell(Figure::Stack),
            );
        }
        text
    }

    /// All tables.
    pub fn tables(&self) -> String {
        let mut text = format!("## Floors and goals\n\n{}", self.limits());
        for core in self.cores() {
            let _ = write!(text, "\n## {}\n", core.name);
            for setting in [Setting::Speed, Setting::Size] {
                let _ = write!(
                    text,
                    "\n{}; the program around the model is {} bytes of its flash.\n\n{}",
                    setting.title(),
                    bytes(self.around(core, setting)),
                    self.table(core, setting)
                );
            }
        }
        text
    }

    /// The page `docs/benchmarks/device.md`.
    pub fn page(&self) -> String {
        format!("{HEAD}\n{}\n\n{}\n{HOW}", self.tools, self.tables())
    }
}

impl Figure {
    fn name(self) -> &'static str {
        match self {
            Figure::Instructions => "instructions",
            Figure::Memory => "arena and state",
            Figure::Flash => "flash without weights",
            Figure::Stack => "stack",
        }
    }
}

impl Setting {
    fn name(self) -> &'static str {
        match self {
            Setting::Speed => "speed",
            Setting::Size => "size",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Setting::Speed => "`--optimize speed` (opt-level 3)",
            Setting::Size => "`--optimize size` (opt-level \"s\")",
        }
    }
}

const HEAD: &str = "\
# On microcontrollers, beside TensorFlow Lite Micro with CMSIS-NN

<!-- Generated by `cargo xtask device-bench --write`. -->

Nine models that others made, on emulated cores, whose outputs are equal to the bit to the program's on
the machine that built it. A ratio is Kinglet's figure over the peer's: below 1 is less. Every row is of
one linked program. `crates/testkit/data/peers.toml` holds the peer's figures and says what was measured.
";

const HOW: &str = "\
## How it was counted

**Instructions** of one steady-state inference, without input and output: the third of three inferences
with made-up inputs, state kept from one to the next; the input of the third is random over the full range
of its type. A plug-in in QEMU counts them one by one, from the call of the inference to its return. They
are not cycles: a load counts as much as an add, flash has no wait states, a Helium instruction counts as
one, an instruction that an IT block skips counts. So compare counts on the same core only. The
denominator is the lowest count of any CMSIS-NN build measured on that core (GCC -O3, GCC at the levels of
TensorFlow Lite Micro's own makefile, clang -O3); for RV32IMC it is that on RV32IMAC.

**MACs** are dense: a filter tap that falls on padding counts.

**Flash without weights** is everything of the linked program in flash but the weights: the vector table,
code, constants, initial data and padding. Kinglet's weights stand beside it: they are packed for the core.
For the ratio, the program around the model is taken off on both sides, and the denominator is the peer's
smallest build (CMSIS-NN, everything -Os, Cortex-M4) at both settings; that build is recorded on this core
alone, so there is no ratio on the others. The peer's program around the model is 1,200 bytes. Kinglet's is
measured: the same harness, linked with a model that computes nothing and has 16 bytes of input and output
(vectors, start-up, semihosting, files, stack painting).

**Arena and state** is all memory of the model: activations, scratch and variables. The denominator is what
the peer's planner could at best reach with no buffer reused in place: the largest sum of tensors alive at
one operator, and the variables. The peer's arena itself is larger.

**Stack** is the high-water mark by painting, from the top of the stack, `main` and the harness included,
over the whole run; the peer's is that of Invoke with CMSIS-NN, GCC -O3, on that core.

Floors and goals are the project's own; `goal` says that the goal is reached, `floor` that the floor is and
the goal is not.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn bench() -> Bench {
        let core = CORES[0];
        let rows = peers().models.iter().enumerate().map(|(index, peer)| {
            let scale = if index == 0 { 2 } else { 1 };
            let speed = Figures {
                instructions: peer.instructions[core.key] * scale / 2,
                flash_without_weights: (peer.flash_m4_size - peers().program_around) / 4 + 1_000,
                weights: 10,
                arena_and_state: peer.memory(),
                stack: 200,
            };
            Row { peer, core, speed, size: speed }
        });
        Bench {
            rows: rows.collect(),
            around: vec![Around { core, speed: 1_000, size: 1_000 }],
            tools: "tools".to_owned(),
        }
    }

    #[test]
    fn means_are_geometric_and_the_worst_has_a_name() {
        let bench = bench();
        let found = bench.summary(CORES[0], Figure::Instructions, Setting::Speed).expect("figures");
        // One model at 1, eight at a half.
        assert!((found.mean - 0.5f64.powf(8.0 / 9.0)).abs() < 1e-4, "{found:?}");
        assert_eq!((found.worst, found.name), (1.0, "kws"));
        let flash = bench.summary(CORES[0], Figure::Flash, Setting::Size).expect("figures");
        assert!((flash.mean - 0.25).abs() < 1e-4, "{flash:?}");
        assert_eq!(bench.summary(CORES[1], Figure::Flash, Setting::Size), None);
    }

    #[test]
    fn limits_say_what_is_held() {
        let text = bench().limits();
        let line = |what: &str| text.lines().find(|line| line.starts_with(what)).expect("a row");
        // The mean holds, the worst model does not.
        assert!(line("| instructions | speed").ends_with("| **missed** |"), "{text}");
        assert!(line("| flash without weights | size").ends_with("| floor |"), "{text}");
        assert!(line("| stack").ends_with("| goal |"), "{text}");
        assert!(line("| arena and state").ends_with("| **missed** |"), "{text}");
    }

    #[test]
    fn flash_has_no_ratio_where_the_peer_has_no_figure() {
        let mut bench = bench();
        for row in &mut bench.rows {
            row.core = CORES[1];
        }
        let table = bench.table(CORES[1], Setting::Speed);
        let row = table.lines().nth(2).expect("a row");
        assert_eq!(row.split('|').nth(7).map(str::trim), Some("-"), "{row}");
        assert!(bench.page().contains("## Cortex-M55"));
    }
}
