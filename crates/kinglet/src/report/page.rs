//! The page's HTML.

use super::{Check, Report};
use crate::inspect::PortFacts;
use crate::markup::{clip, escape};
use crate::table::{bytes, short};
use crate::timeline;
use kinglet_decide::{Basis, FitReport, Memory, Optimize, Verdict};
use std::fmt::Write;

const STYLE: &str = include_str!("style.css");

/// Labels shown of one output.
const LABELS: usize = 40;
/// Nodes shown in the table; larger models have their largest nodes shown.
const NODES: usize = 200;

/// The whole page.
pub(super) fn html(report: &Report) -> String {
    let mut page = Page { report, out: String::new() };
    let name = escape(&clip(&report.facts.model.name, 120));
    page.add(&format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{name}: report by Kinglet</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n"
    ));
    page.head();
    page.ports();
    page.fit();
    page.checks();
    page.memory();
    page.nodes();
    page.printed();
    page.foot();
    page.add("</main>\n</body>\n</html>\n");
    page.out
}

struct Page<'a> {
    report: &'a Report,
    out: String,
}

/// A count with its unit, rounded: `2.66 M`.
fn round(count: u64) -> String {
    match count {
        0..10_000 => bytes(count),
        10_000..1_000_000 => format!("{:.1} k", count as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.2} M", count as f64 / 1e6),
        _ => format!("{:.2} G", count as f64 / 1e9),
    }
}

impl Page<'_> {
    fn add(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn head(&mut self) {
        let facts = &self.report.facts;
        let fits = self.report.boards.iter().filter(|b| b.verdict == Verdict::Fits).count();
        let equal = self.report.checks.iter().filter(|check| check.is_equal()).count();
        let ran = self.report.checks.iter().filter(|check| check.outcome.is_ok()).count();
        let verdict = if ran == 0 {
            "<span class=\"chip warn\">not verified</span>".to_owned()
        } else if equal == ran {
            let engines = if ran == 1 { "engine" } else { "engines" };
            format!("<span class=\"chip good\">verified on {ran} {engines}</span>")
        } else {
            format!("<span class=\"chip bad\">{} of {ran} engines differ</span>", ran - equal)
        };
        let boards = self.report.boards.len();
        let chip = if fits == boards { "good" } else { "warn" };
        let _ = write!(
            self.out,
            "<h1>{}</h1>\n<p>{verdict} <span class=\"chip {chip}\">fits {fits} of {boards} boards</span></p>\n",
            escape(&clip(&facts.model.name, 120))
        );
        if !facts.model.description.is_empty() && facts.model.description != facts.model.name {
            let _ = writeln!(self.out, "<p>{}</p>", escape(&clip(&facts.model.description, 400)));
        }
        self.add("<div class=\"facts\">");
        let macs = facts.totals.macs.map_or("?".to_owned(), round);
        let arena = facts.memory.as_ref().map_or(0, |memory| memory.arena_bytes);
        let form = &facts.quantization.form;
        let (numbers, more) = form.split_once(", ").unwrap_or((form, "numbers"));
        let tiles = [
            (numbers.to_owned(), more),
            (macs, "multiply-accumulates a run"),
            (round(facts.totals.parameters), "parameters"),
            (bytes(facts.totals.weight_bytes), "bytes of weights"),
            (bytes(arena), "bytes of arena"),
            (facts.totals.nodes.to_string(), "nodes"),
        ];
        for (value, what) in tiles {
            let _ = write!(
                self.out,
                "<div class=\"fact\"><b>{}</b><span>{}</span></div>",
                escape(&value),
                escape(what)
            );
        }
        self.add("</div>\n");
    }

    fn ports(&mut self) {
        self.add("<h2>Inputs and outputs</h2>\n<div class=\"card scroll\"><table><tr><th></th><th>name</th><th>type</th><th>real value</th><th class=\"n\">bytes</th></tr>\n");
        let facts = &self.report.facts;
        for (kind, ports) in [("input", &facts.inputs), ("output", &facts.outputs)] {
            for port in ports {
                self.port(kind, port);
            }
        }
        for state in &facts.states {
            let _ = writeln!(
                self.out,
                "<tr><td>state</td><td class=\"name\">{}</td><td class=\"mono\">{}</td><td>kept from run to run</td><td class=\"n\">{}</td></tr>",
                escape(&short(&state.name)),
                escape(&state.ty),
                bytes(state.bytes)
            );
        }
        self.add("</table>\n");
        for port in facts.outputs.iter().filter(|port| !port.labels.is_empty()) {
            let _ = write!(self.out, "<p class=\"labels\">{} ", escape(&short(&port.name)));
            for label in port.labels.iter().take(LABELS) {
                let _ = write!(self.out, "<span>{}</span>", escape(&clip(label, 60)));
            }
            if port.labels.len() > LABELS {
                let _ = write!(self.out, "and {} more", port.labels.len() - LABELS);
            }
            self.add("</p>\n");
        }
        self.add("</div>\n");
    }

    fn port(&mut self, kind: &str, port: &PortFacts) {
        let real = match (port.scale, port.zero_point) {
            (Some(scale), Some(zero_point)) => {
                let sign = if zero_point < 0 { '+' } else { '−' };
                format!("{scale} × (q {sign} {})", zero_point.unsigned_abs())
            }
            _ => String::new(),
        };
        let _ = writeln!(
            self.out,
            "<tr><td>{kind}</td><td class=\"name\">{}</td><td class=\"mono\">{}</td><td class=\"mono\">{real}</td><td class=\"n\">{}</td></tr>",
            escape(&short(&port.name)),
            escape(&port.ty),
            bytes(port.bytes)
        );
    }

    fn fit(&mut self) {
        self.add("<h2>Boards</h2>\n");
        for board in &self.report.boards {
            self.board(board);
        }
    }

    fn board(&mut self, report: &FitReport) {
        let (class, word) = match report.verdict {
            Verdict::Fits => ("good", "fits"),
            Verdict::TooLarge => ("bad", "does not fit"),
            Verdict::Refused => ("bad", "refused"),
        };
        let clock = report.board.clock_mhz.map_or(String::new(), |mhz| format!(", {mhz} MHz"));
        let basis = match report.basis {
            Basis::Measured => "measured on the linked example",
            Basis::Predicted => "predicted; arena, state and weights are exact",
        };
        let level = match report.optimize {
            Optimize::Speed => "for speed",
            Optimize::Size => "for size",
        };
        let _ = write!(
            self.out,
            "<div class=\"card\"><div class=\"head\"><h3>{}</h3><span class=\"chip {class}\">{word}</span>\
             <span class=\"soft\">{}{clock} · optimized {level} · {basis}</span></div>",
            escape(&report.board.name),
            escape(&report.board.core)
        );
        if report.verdict != Verdict::Fits {
            let _ = write!(self.out, "<p>{}</p>", escape(&report.answer));
        }
        let memories = [("RAM", Some(&report.ram)), ("Flash", report.flash.as_ref())];
        for (name, memory) in memories {
            if let Some(memory) = memory.filter(|memory| !memory.region.is_empty()) {
                self.memory_bar(name, memory);
            }
        }
        for memory in &report.elsewhere {
            self.memory_bar("Also", memory);
        }
        let warnings = report.warnings.iter().map(|warning| &warning.message);
        for line in warnings.chain(&report.notes) {
            let _ = write!(self.out, "<p class=\"soft\">{}</p>", escape(line));
        }
        if !report.remedies.is_empty() {
            self.add("<p><b>What would help</b></p><ul>");
            for remedy in &report.remedies {
                let mut saves = Vec::new();
                for (count, what) in [(remedy.saves.ram, "RAM"), (remedy.saves.flash, "flash")] {
                    if count > 0 {
                        let about = if remedy.estimate { "about " } else { "" };
                        saves.push(format!("{about}{} bytes of {what}", bytes(count)));
                    }
                }
                let saves = if saves.is_empty() {
                    String::new()
                } else {
                    format!(": saves {}", saves.join(" and "))
                };
                let enough = if remedy.enough {
                    " <span class=\"chip good\">enough by itself</span>"
                } else {
                    ""
                };
                let _ = write!(self.out, "<li>{}{saves}{enough}</li>", escape(&remedy.what));
            }
            self.add("</ul>");
        }
        self.add("</div>\n");
    }

    fn memory_bar(&mut self, name: &str, memory: &Memory) {
        let whole = memory.region_bytes.max(memory.needed).max(1) as f64;
        let over = if memory.missing > 0 { " over" } else { "" };
        let rest = match memory.missing {
            0 => format!("{} free", bytes(memory.free)),
            missing => format!("{} missing", bytes(missing)),
        };
        let about =
            if memory.error > 0 { format!(" (±{})", bytes(memory.error)) } else { String::new() };
        let _ = write!(
            self.out,
            "<p>{name}: <b>{}</b>{about} of {} bytes in {}, {rest}</p><div class=\"bar{over}\">",
            bytes(memory.needed),
            bytes(memory.available),
            escape(&memory.region)
        );
        let mut key = String::new();
        let reserved =
            memory.reserved.iter().map(|reserved| (reserved.what.as_str(), reserved.bytes));
        let parts = memory.parts.iter().map(|part| (part.name, part.bytes)).chain(reserved);
        for (index, (what, count)) in parts.filter(|(_, count)| *count > 0).enumerate() {
            let color = index % 6;
            let _ = write!(
                self.out,
                "<i style=\"width:{:.2}%;background:var(--p{color})\" title=\"{} {}\"></i>",
                100.0 * count as f64 / whole,
                escape(what),
                bytes(count)
            );
            let _ = write!(
                key,
                "<b style=\"background:var(--p{color})\"></b>{} {}",
                escape(what),
                bytes(count)
            );
        }
        let _ = write!(self.out, "</div><div class=\"key\">{key}</div>");
    }

    fn checks(&mut self) {
        self.add("<h2>Verification</h2>\n<div class=\"card scroll\">");
        if self.report.checks.is_empty() {
            self.add("<p>Nothing was compared.</p></div>\n");
            return;
        }
        self.add("<table><tr><th>engine</th><th>against</th><th class=\"n\">runs</th><th class=\"n\">values</th><th>result</th></tr>\n");
        for check in &self.report.checks {
            let values: usize =
                check.outcome.iter().flatten().map(|difference| difference.values).sum();
            let _ = writeln!(
                self.out,
                "<tr><td class=\"mono\">{}</td><td class=\"mono\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td></tr>",
                escape(&check.engine),
                escape(&check.against),
                bytes(check.runs as u64),
                bytes(values as u64),
                outcome(check)
            );
        }
        self.add("</table></div>\n");
    }

    fn memory(&mut self) {
        let Some(memory) = &self.report.facts.memory else { return };
        self.add("<h2>Memory over time</h2>\n<div class=\"picture\">");
        self.add(&timeline::svg(memory, &self.report.facts.model.name));
        self.add("</div>\n");
        let Some(peak) = &memory.peak else { return };
        let _ = write!(
            self.out,
            "<p class=\"soft\">At step {}, node {}, {} bytes are live{}:</p><div class=\"card scroll\"><table>",
            peak.step,
            escape(&short(&peak.label)),
            bytes(peak.bytes),
            timeline::shared(peak)
        );
        for tensor in &peak.tensors {
            let _ = write!(
                self.out,
                "<tr><td class=\"n\">{}</td><td class=\"mono\">{}</td><td class=\"name\">{}</td></tr>",
                bytes(tensor.bytes),
                escape(&tensor.ty),
                escape(&short(&tensor.name))
            );
        }
        self.add("</table></div>\n");
    }

    fn nodes(&mut self) {
        let facts = &self.report.facts;
        self.add("<h2>Layers</h2>\n<div class=\"card scroll\"><table><tr><th class=\"n\">node</th><th>operator</th><th>output</th><th class=\"n\">MACs</th><th></th><th class=\"n\">parameters</th><th>name</th></tr>\n");
        let most = facts.nodes.iter().filter_map(|node| node.macs).max().unwrap_or(0).max(1);
        for node in facts.nodes.iter().take(NODES) {
            let macs = node.macs.unwrap_or(0);
            let blank = |count: u64| if count == 0 { String::new() } else { bytes(count) };
            let _ = writeln!(
                self.out,
                "<tr><td class=\"n\">{}</td><td class=\"mono\">{}</td><td class=\"mono\">{}</td><td class=\"n\">{}</td><td><span class=\"share\" style=\"width:{:.0}px\"></span></td><td class=\"n\">{}</td><td class=\"name soft\">{}</td></tr>",
                node.index,
                escape(&node.operator),
                escape(&node.outputs.join(", ")),
                blank(macs),
                80.0 * macs as f64 / most as f64,
                blank(node.parameters),
                escape(&short(&node.name))
            );
        }
        self.add("</table>");
        if facts.nodes.len() > NODES {
            let _ = write!(
                self.out,
                "<p class=\"soft\">and {} more; `kinglet inspect` lists all</p>",
                facts.nodes.len() - NODES
            );
        }
        self.add("</div>\n");
    }

    fn printed(&mut self) {
        let Some(printed) = &self.report.printed else { return };
        let board = self.report.boards.first();
        let _ = write!(
            self.out,
            "<h2>Firmware</h2>\n<div class=\"card scroll\"><p>What <code>kinglet compile --board {}</code> writes: a crate without \
             allocation, unsafe code or panics.</p><table>",
            escape(&printed.board)
        );
        let mut row = |what: &str, count: u64, unit: &str| {
            let _ = write!(
                self.out,
                "<tr><td>{what}</td><td class=\"n\">{}</td><td class=\"soft\">{unit}</td></tr>",
                bytes(count)
            );
        };
        row("source of the model", printed.lines as u64, "lines");
        row("source of the kernels with it", printed.kernel_lines as u64, "lines");
        row("weights.bin", printed.weight_bytes, "bytes");
        row("kernel calls", self.report.program.steps.len() as u64, "steps");
        row("arena", self.report.program.arena_bytes as u64, "bytes of RAM");
        row("state", self.report.program.state_bytes as u64, "bytes of RAM");
        if let Some(flash) = board.and_then(|board| board.flash.as_ref()) {
            for part in flash.parts.iter().filter(|part| part.bytes > 0 && part.name != "weights") {
                row(part.name, part.bytes, "bytes of flash, with the example");
            }
        }
        self.add("</table></div>\n");
    }

    fn foot(&mut self) {
        let model = &self.report.facts.model;
        let _ = writeln!(
            self.out,
            "<footer>Kinglet {} · {} bytes · SHA-256 {}</footer>",
            escape(&self.report.version),
            bytes(model.bytes),
            escape(&model.sha256)
        );
    }
}

fn outcome(check: &Check) -> String {
    match &check.outcome {
        Err(problem) => {
            format!("<span class=\"chip warn\">not run</span> {}", escape(&problem.message))
        }
        Ok(outputs) => {
            let different: usize = outputs.iter().map(|output| output.different).sum();
            let tolerance = outputs.iter().any(|output| output.tolerance > 0.0);
            match (different, tolerance) {
                (0, false) => "<span class=\"chip good\">equal to the bit</span>".to_owned(),
                (0, true) => "<span class=\"chip good\">equal within the tolerance</span> 1e-5 + 1e-4 × the largest magnitude".to_owned(),
                (count, _) => format!(
                    "<span class=\"chip bad\">different</span> {} values, by {} at most",
                    bytes(count as u64),
                    outputs.iter().map(|output| output.largest).fold(0.0, f64::max)
                ),
            }
        }
    }
}
