//! A description for people.

use super::{Inspection, PortFacts};
use crate::table::{Align, Table, bytes, short};

/// Labels shown of one output.
const LABELS: usize = 12;

impl Inspection {
    /// The description as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let model = &self.model;
        text.push_str(&format!(
            "{}: {} bytes, SHA-256 {}\n",
            model.path,
            bytes(model.bytes),
            model.sha256
        ));
        if !model.description.is_empty() {
            text.push_str(&format!("  \"{}\"\n", model.description));
        }
        text.push_str(&format!("  numbers     {}\n", self.quantization.form));
        let macs = match self.totals.macs {
            Some(macs) => format!("{} multiply-accumulates a run", bytes(macs)),
            None => "multiply-accumulates not known".to_owned(),
        };
        text.push_str(&format!(
            "  work        {macs}, {} nodes\n  weights     {} parameters, {} bytes\n",
            self.totals.nodes,
            bytes(self.totals.parameters),
            bytes(self.totals.weight_bytes)
        ));
        for (name, ports) in [("input", &self.inputs), ("output", &self.outputs)] {
            for (index, port) in ports.iter().enumerate() {
                text.push_str(&format!("  {:<11} {}\n", format!("{name} {index}"), describe(port)));
            }
        }
        for state in &self.states {
            text.push_str(&format!(
                "  state       {} {}, {} bytes, kept from run to run\n",
                short(&state.name),
                state.ty,
                bytes(state.bytes)
            ));
        }
        for axis in &self.free_axes {
            text.push_str(&format!(
                "  free axis   {} axis {}: the file leaves it open, it is taken as {}\n",
                short(&axis.tensor),
                axis.axis,
                axis.value
            ));
        }
        self.operators_text(&mut text);
        self.nodes_text(&mut text);
        if let Some(memory) = &self.memory {
            text.push('\n');
            text.push_str(&memory.text());
        }
        if !self.problems.is_empty() {
            text.push_str(&format!("\nnot supported, {} reasons:\n", self.problems.len()));
        }
        for problem in &self.problems {
            text.push_str(&format!("  {}: {}\n", problem.code, problem.message));
            let place = problem.place_text();
            if !place.is_empty() {
                text.push_str(&format!("         at {place}\n"));
            }
        }
        text
    }

    fn operators_text(&self, text: &mut String) {
        let list: Vec<String> = self
            .operators
            .iter()
            .map(|operator| {
                let mark = if operator.known { "" } else { " (unknown)" };
                format!("{} {}{mark}", operator.count, operator.name)
            })
            .collect();
        text.push_str(&format!("  operators   {}\n", list.join(", ")));
    }

    fn nodes_text(&self, text: &mut String) {
        let mut table = Table::new(&[
            ("node", Align::Right),
            ("operator", Align::Left),
            ("output", Align::Left),
            ("MACs", Align::Right),
            ("parameters", Align::Right),
            ("name", Align::Left),
        ]);
        for node in &self.nodes {
            let blank = |count: u64| if count == 0 { String::new() } else { bytes(count) };
            table.row([
                node.index.to_string(),
                node.operator.clone(),
                node.outputs.join(", "),
                node.macs.map_or("?".to_owned(), blank),
                blank(node.parameters),
                short(&node.name),
            ]);
        }
        text.push_str(&format!("\n{table}"));
    }
}

fn describe(port: &PortFacts) -> String {
    let mut text = format!("{} {}", short(&port.name), port.ty);
    if let (Some(scale), Some(zero_point)) = (port.scale, port.zero_point) {
        let sign = if zero_point < 0 { '+' } else { '-' };
        text.push_str(&format!(", real = {scale} * (q {sign} {})", zero_point.unsigned_abs()));
    }
    if !port.labels.is_empty() {
        let more = port.labels.len().saturating_sub(LABELS);
        let shown: Vec<&str> = port.labels.iter().take(LABELS).map(String::as_str).collect();
        text.push_str(&format!("\n              labels: {}", shown.join(", ")));
        if more > 0 {
            text.push_str(&format!(" and {more} more"));
        }
    }
    text
}
