//! The printed crate's `src/lib.rs`.

mod steps;

use crate::names::{comment, distinct, identifier};
use crate::{Options, Weights};
use kinglet_graph::{DType, Quantization, TensorType};
use kinglet_kernels::declare::Element;
use kinglet_program::{Buffer, Port, Program, Step};
use std::collections::BTreeSet;

/// The library's text.
pub(crate) fn library(program: &Program, weights: &Weights, options: &Options) -> String {
    let mut printer = Printer { program, weights, options, out: String::new() };
    printer.header();
    printer.imports();
    printer.sizes();
    printer.ports();
    printer.steps();
    printer.memory();
    printer.model();
    printer.out
}

/// The weights crate's text: a static in the section the user chose, and nothing else.
pub(crate) fn weights_library(weights: &Weights, options: &Options) -> String {
    let section = options.weights_section.as_deref().unwrap_or_default();
    format!(
        "//! The constants of a model, in a linker section of the user's choice.\n\
         //!\n\
         //! The attribute that names a section counts as unsafe: a wrong section can overlap others. That\n\
         //! is all this crate holds, so that the model's own crate can forbid it.\n\
         #![no_std]\n\
         \n\
         /// A block that starts at a multiple of 16 bytes.\n\
         #[repr(C, align(16))]\n\
         pub struct Aligned<const N: usize>(pub [u8; N]);\n\
         \n\
         /// The model's constants; the model's crate knows where each one is.\n\
         // SAFETY: the section holds read-only data and is chosen by the user's linker script.\n\
         #[unsafe(link_section = \"{section}\")]\n\
         pub static KINGLET_WEIGHTS: Aligned<{}> = Aligned(*include_bytes!(\"weights.bin\"));\n",
        weights.bytes.len()
    )
}

struct Printer<'a> {
    program: &'a Program,
    weights: &'a Weights,
    options: &'a Options,
    out: String,
}

/// The Rust type of a tensor's elements in the printed interface.
pub(crate) fn rust_type(dtype: DType) -> &'static str {
    match dtype {
        DType::I8 => "i8",
        DType::I16 => "i16",
        DType::I32 => "i32",
        DType::I64 => "i64",
        DType::F32 => "f32",
        _ => "u8",
    }
}

fn rust_element(element: Element) -> &'static str {
    match element {
        Element::I8 => "i8",
        Element::U8 => "u8",
        Element::I16 => "i16",
        Element::I32 => "i32",
        Element::I64 => "i64",
        Element::F32 => "f32",
    }
}

/// Elements of a port in the printed interface; types without a Rust counterpart are bytes.
fn rust_len(ty: &TensorType) -> usize {
    match ty.dtype {
        DType::I8 | DType::I16 | DType::I32 | DType::I64 | DType::F32 => ty.len(),
        _ => ty.bytes(),
    }
}

impl Printer<'_> {
    fn line(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn header(&mut self) {
        let name = comment(&self.program.name);
        let name =
            if name.is_empty() { "A model".to_owned() } else { format!("The model `{name}`") };
        self.line(&format!("//! {name}, compiled by Kinglet {}.", self.options.tool_version));
        if !self.options.model_digest.is_empty() {
            self.line(&format!("//! SHA-256 of the model file: {}", self.options.model_digest));
        }
        self.line("//!");
        self.line("//! ```ignore");
        self.line("//! let mut arena = Arena::ZERO;");
        self.line("//! let mut model = Model::new(&mut arena);");
        let inputs = self.port_names(&self.program.inputs);
        let outputs = self.port_names(&self.program.outputs);
        for name in &inputs {
            self.line(&format!("//! model.input_{name}().fill(Default::default());"));
        }
        self.line("//! model.run();");
        for name in &outputs {
            self.line(&format!("//! let result = model.output_{name}();"));
        }
        self.line("//! ```");
        self.line("//!");
        self.line("//! A control loop or a task that must not wait for a whole run makes it step by step:");
        self.line("//!");
        self.line("//! ```ignore");
        self.line("//! let mut slices = model.begin();");
        self.line("//! while slices.step() {");
        self.line("//!     // Whatever has a deadline; or the task yields, or pauses the run and goes on later.");
        self.line("//! }");
        self.line("//! ```");
        self.line("//!");
        self.line("//! Memory: state first, then the arena. Steps are counted from 0.");
        let overlap = |step: &Step| self.program.overlapping(&step.call).is_some();
        if self.program.steps.iter().any(overlap) {
            self.line("//! Where what is written overlaps what is read, a step goes row by row and overwrites");
            self.line("//! only what it has read.");
        }
        self.line("//!");
        self.line("//! | from | to | live in steps | holds |");
        self.line("//! |---:|---:|---|---|");
        let mut rows: Vec<&Buffer> = self.program.buffers.iter().collect();
        rows.sort_by_key(|buffer| (self.program.start(buffer), buffer.first, buffer.bytes));
        for buffer in rows {
            let mut what: Vec<String> = buffer
                .tensors
                .iter()
                .map(|tensor| {
                    let info = &self.program.tensors[tensor.index()];
                    format!("{tensor} {} `{}`", info.ty, comment(&info.name).replace('|', "/"))
                })
                .collect();
            if what.is_empty() {
                what.push(buffer.label.clone());
            }
            let start = self.program.start(buffer);
            self.line(&format!(
                "//! | {start} | {} | {}..={} | {} |",
                start + buffer.bytes,
                buffer.first,
                buffer.last,
                what.join(", ")
            ));
        }
        self.line("#![no_std]");
        self.line("#![forbid(unsafe_code)]");
        self.line("");
    }

    fn imports(&mut self) {
        let mut names: BTreeSet<&str> = BTreeSet::new();
        for step in &self.program.steps {
            names.insert(step.call.kernel.declaration().params);
            let mut text = String::new();
            // Writing to a String cannot fail.
            let _ = step.call.kernel.print(&mut text);
            if text.contains("Window {") {
                names.insert("Window");
            }
        }
        let memory = "use kinglet_kernels::memory::{Cut, constant, view, view_mut};";
        let mut sorted: Vec<&str> = names.into_iter().collect();
        sorted.sort_by_key(|name| version_sort_key(name));
        // rustfmt puts a single name before a module, and a list behind it.
        match sorted[..] {
            [] => self.line(memory),
            [name] => {
                self.line(&format!("use kinglet_kernels::{name};"));
                self.line(memory);
            }
            _ => {
                self.line(memory);
                self.import_list(&sorted);
            }
        }
        self.line("");
    }

    fn import_list(&mut self, names: &[&str]) {
        let one_line = format!("use kinglet_kernels::{{{}}};", names.join(", "));
        if one_line.len() <= 100 {
            self.line(&one_line);
            return;
        }
        self.line("use kinglet_kernels::{");
        let mut row = String::from("   ");
        for name in names {
            // A row ends one before the widest line: rustfmt keeps that place free.
            if row.len() + name.len() + 2 >= 100 {
                self.line(&row);
                row = String::from("   ");
            }
            row.push_str(&format!(" {name},"));
        }
        self.line(&row);
        self.line("};");
    }

    fn sizes(&mut self) {
        let program = self.program;
        self.line("/// Bytes of memory that mean nothing from one run to the next.");
        self.line(&format!("pub const ARENA_BYTES: usize = {};", program.arena_bytes));
        self.line("/// Bytes of state that outlives a run.");
        self.line(&format!("pub const STATE_BYTES: usize = {};", program.state_bytes));
        self.line("/// Number of steps of a run.");
        self.line(&format!("pub const STEPS: u32 = {};", program.steps.len()));
        self.line("/// Number of inputs.");
        self.line(&format!("pub const INPUTS: usize = {};", program.inputs.len()));
        self.line("/// Number of outputs.");
        self.line(&format!("pub const OUTPUTS: usize = {};", program.outputs.len()));
        self.line("const MEMORY_BYTES: usize = STATE_BYTES + ARENA_BYTES;");
        self.line("");
    }

    fn port_names(&self, ports: &[Port]) -> Vec<String> {
        distinct(ports.iter().map(|port| identifier(&port.name)))
    }

    /// Scales, zero points and labels as constants.
    fn ports(&mut self) {
        let before = self.out.len();
        for (kind, ports) in [("INPUT", &self.program.inputs), ("OUTPUT", &self.program.outputs)] {
            for (port, name) in ports.iter().zip(self.port_names(ports)) {
                let name = name.to_uppercase();
                self.quantization(&format!("{kind}_{name}"), port);
                if !port.labels.is_empty() {
                    self.line(&format!("/// The classes of `{}`, by index.", comment(&port.name)));
                    self.line(&format!(
                        "pub static {kind}_{name}_LABELS: [&str; {}] = [",
                        port.labels.len()
                    ));
                    for label in &port.labels {
                        self.line(&format!("    {label:?},"));
                    }
                    self.line("];");
                }
            }
        }
        if self.out.len() > before {
            self.line("");
        }
    }

    fn quantization(&mut self, name: &str, port: &Port) {
        let Some((scale, zero_point)) = port.quantization.as_ref().and_then(Quantization::single)
        else {
            return;
        };
        let what = comment(&port.name);
        self.line(&format!("/// `{what}`: real value = scale * (integer - zero point)."));
        self.line(&format!("pub const {name}_SCALE: f32 = {scale:?};"));
        self.line(&format!("/// `{what}`: the integer that stands for 0."));
        self.line(&format!("pub const {name}_ZERO_POINT: i32 = {zero_point};"));
    }

    fn memory(&mut self) {
        self.line("/// The memory of one model: state and arena.");
        self.line("#[repr(C, align(16))]");
        self.line("pub struct Arena([u8; MEMORY_BYTES]);");
        self.line("");
        self.line("impl Arena {");
        self.line("    /// All zeros; start values of state are written by `Model::new`, so that this costs no");
        self.line("    /// flash.");
        self.line("    pub const ZERO: Self = Self([0; MEMORY_BYTES]);");
        self.line("}");
        self.line("");
        if self.options.weights_section.is_some() {
            let package = format!("{}_weights", identifier(&self.options.crate_name));
            self.line(&format!("use {package}::KINGLET_WEIGHTS;"));
        } else {
            self.line("/// A block that starts at a multiple of 16 bytes.");
            self.line("#[repr(C, align(16))]");
            self.line("struct Aligned<const N: usize>([u8; N]);");
            self.line("");
            self.line("/// All constants.");
            let len = self.weights.bytes.len();
            self.line(&format!(
                "static KINGLET_WEIGHTS: Aligned<{len}> = Aligned(*include_bytes!(\"weights.bin\"));"
            ));
        }
        self.line("");
    }

    fn model(&mut self) {
        self.line("/// The model with its memory.");
        self.line("pub struct Model<'a> {");
        self.line("    memory: &'a mut [u8; MEMORY_BYTES],");
        self.line("}");
        self.line("");
        self.line("impl<'a> Model<'a> {");
        self.line("    /// Takes the memory and gives state its start values.");
        self.line("    pub fn new(arena: &'a mut Arena) -> Self {");
        self.line("        let mut model = Self {");
        self.line("            memory: &mut arena.0,");
        self.line("        };");
        self.line("        model.reset();");
        self.line("        model");
        self.line("    }");
        self.line("");
        self.line(
            "    /// Takes memory as an earlier model left it: state has the value it had then.",
        );
        self.line("    pub fn attach(arena: &'a mut Arena) -> Self {");
        self.line("        Self {");
        self.line("            memory: &mut arena.0,");
        self.line("        }");
        self.line("    }");
        self.line("");
        self.reset();
        self.accessors();
        self.run(false);
        if self.options.taps {
            self.run(true);
        }
        self.slice_methods();
        self.check();
        // No blank line before the end, whatever the last method is.
        let end = self.out.trim_end().len();
        self.out.truncate(end);
        self.out.push_str("\n}\n");
        self.slices();
    }

    fn reset(&mut self) {
        self.line("    /// Gives state its start values.");
        if self.program.states.is_empty() {
            self.line("    pub fn reset(&mut self) {}");
            self.line("");
            return;
        }
        self.line("    pub fn reset(&mut self) {");
        for state in &self.program.states {
            let buffer = self.program.buffer(state.buffer);
            let (start, end) =
                (self.program.start(buffer), self.program.start(buffer) + buffer.bytes);
            let name = comment(&state.name);
            self.line(&format!("        // State `{name}`."));
            let bytes = state.start.bytes();
            let first = bytes.first().copied().unwrap_or(0);
            self.line(&format!(
                "        if let Some(state) = self.memory.get_mut({start}..{end}) {{"
            ));
            if bytes.iter().all(|&byte| byte == first) {
                self.line(&format!("            state.fill({first});"));
            } else {
                let list: Vec<String> = bytes.iter().map(u8::to_string).collect();
                self.line(&format!("            const START: [u8; {}] = [", bytes.len()));
                for row in list.chunks(16) {
                    self.line(&format!("                {},", row.join(", ")));
                }
                self.line("            ];");
                self.line("            for (to, from) in state.iter_mut().zip(START) {");
                self.line("                *to = from;");
                self.line("            }");
            }
            self.line("        }");
        }
        self.line("    }");
        self.line("");
    }

    fn accessors(&mut self) {
        let program = self.program;
        for (port, name) in program.inputs.iter().zip(self.port_names(&program.inputs)) {
            let (ty, len) = (rust_type(port.ty.dtype), rust_len(&port.ty));
            let range = self.range(port);
            self.line(&format!("    /// The input `{}`, {}.", comment(&port.name), port.ty));
            self.line(&format!("    pub fn input_{name}(&mut self) -> &mut [{ty}; {len}] {{"));
            self.line(&format!(
                "        match view_mut(&mut self.memory[{range}]).first_chunk_mut() {{"
            ));
            self.line("            Some(input) => input,");
            self.line("            // The range lies in the block and has this length: never reached, never linked.");
            self.line("            None => unreachable!(),");
            self.line("        }");
            self.line("    }");
            self.line("");
        }
        for (port, name) in program.outputs.iter().zip(self.port_names(&program.outputs)) {
            let (ty, len) = (rust_type(port.ty.dtype), rust_len(&port.ty));
            let range = self.range(port);
            self.line(&format!(
                "    /// The output `{}`, {}, valid until the next run or input access.",
                comment(&port.name),
                port.ty
            ));
            self.line(&format!("    pub fn output_{name}(&self) -> &[{ty}; {len}] {{"));
            self.line(&format!("        match view(&self.memory[{range}]).first_chunk() {{"));
            self.line("            Some(output) => output,");
            self.line("            // As for the inputs.");
            self.line("            None => unreachable!(),");
            self.line("        }");
            self.line("    }");
            self.line("");
        }
        for (kind, ports, mutable) in
            [("input", &program.inputs, true), ("output", &program.outputs, false)]
        {
            let (function, reference, get) = if mutable {
                ("input_bytes_mut(&mut self", "&mut ", "get_mut")
            } else {
                ("output_bytes(&self", "&", "get")
            };
            self.line(&format!(
                "    /// The bytes of an {kind} by position; empty when there is none."
            ));
            self.line(&format!("    pub fn {function}, index: usize) -> {reference}[u8] {{"));
            self.line("        let range = match index {");
            for (index, port) in ports.iter().enumerate() {
                let range = self.range(port);
                self.line(&format!("            {index} => {range},"));
            }
            self.line("            _ => 0..0,");
            self.line("        };");
            self.line(&format!("        self.memory.{get}(range).unwrap_or_default()"));
            self.line("    }");
            self.line("");
        }
    }

    fn range(&self, port: &Port) -> String {
        let buffer = self.program.buffer(port.buffer);
        let start = self.program.start(buffer);
        format!("{start}..{}", start + port.ty.bytes())
    }

    fn check(&mut self) {
        if self.options.golden.is_none() {
            return;
        }
        self.line("    /// Runs the model on a stored input and compares with the stored output: a production");
        self.line("    /// test. State is reset before and after.");
        self.line("    pub fn check(&mut self) -> bool {");
        self.line("        static INPUT: &[u8] = include_bytes!(\"check_in.bin\");");
        self.line("        static OUTPUT: &[u8] = include_bytes!(\"check_out.bin\");");
        self.line("        self.reset();");
        self.line("        let mut stored = INPUT.iter();");
        self.line("        for index in 0..INPUTS {");
        self.line("            for (to, from) in self.input_bytes_mut(index).iter_mut().zip(&mut stored) {");
        self.line("                *to = *from;");
        self.line("            }");
        self.line("        }");
        self.line("        self.run();");
        self.line("        let mut equal = true;");
        self.line("        let mut stored = OUTPUT.iter();");
        self.line("        for index in 0..OUTPUTS {");
        self.line("            for byte in self.output_bytes(index) {");
        self.line("                equal &= stored.next() == Some(byte);");
        self.line("            }");
        self.line("        }");
        self.line("        self.reset();");
        self.line("        equal");
        self.line("    }");
    }
}

/// rustfmt orders names by version sort: digits as numbers. The names here have two at most.
fn version_sort_key(name: &str) -> Vec<(String, u64)> {
    let mut key = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (text, tail) = rest.split_at(digits);
        let end = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
        let (number, tail) = tail.split_at(end);
        key.push((text.to_owned(), number.parse().unwrap_or(0)));
        rest = tail;
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_by_version() {
        assert!(version_sort_key("Conv2dI8") < version_sort_key("Conv10dI8"));
        assert!(version_sort_key("AddF32") < version_sort_key("AddI8"));
    }
}
