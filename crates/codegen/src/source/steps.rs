//! The printed steps: one function each, and the two ways to run them, whole and in slices.

use super::{Printer, rust_element};
use crate::format;
use crate::names::comment;
use kinglet_kernels::declare::Role;
use kinglet_program::{Operand, Overlapping, Report, Step};

/// A run made step by step. `run` does not use it: unless a program does, nothing of it is linked.
const SLICES: &str = "
/// A run made step by step, so that other work is done between any two steps. It holds nothing but the
/// model's memory and the next step's number.
#[must_use = \"a run computes nothing until it is stepped\"]
pub struct Slices<'m> {
    memory: &'m mut [u8; MEMORY_BYTES],
    next: u32,
}

impl Slices<'_> {
    /// Computes the next step; whether steps are left after it. The outputs are valid, and the state is
    /// the new one, when none is.
    pub fn step(&mut self) -> bool {
{{dispatch}}    }

    /// The next step's number, [`STEPS`] when none is left.
    pub fn position(&self) -> u32 {
        self.next
    }

    /// Computes the steps that are left.
    pub fn finish(mut self) {
        while self.step() {}
    }

    /// Leaves the run where it is. The model can be put away meanwhile; its memory must stay as it is.
    pub fn pause(self) -> Paused {
        Paused(self.next)
    }
}

/// Where a run was left: the next step's number. All else is in the model's memory.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct Paused(u32);
";

/// What `Model` has for runs in slices.
const METHODS: &str = "    /// Begins a run that is made step by step. Inputs are set before. A run that is not finished leaves
    /// state between its old value and its new one: `reset` then.
    pub fn begin(&mut self) -> Slices<'_> {
        self.resume(Paused(0))
    }

    /// Goes on with a run that was left. Nothing else may have been run on the memory, and no input
    /// set, since then.
    pub fn resume(&mut self, paused: Paused) -> Slices<'_> {
        Slices {
            memory: self.memory,
            next: paused.0,
        }
    }

";

impl Printer<'_> {
    /// The parameters of each step and the function that takes it.
    pub(super) fn steps(&mut self) {
        for (index, step) in self.program.steps.iter().enumerate() {
            let declaration = step.call.kernel.declaration();
            let mut text = String::new();
            // Writing to a String cannot fail.
            let _ = step.call.kernel.print(&mut text);
            let params = declaration.params;
            let body = format::structure(0, &text);
            self.line(&format!("/// Step {index}: {}.", comment(&step.label)));
            self.line(&format!("const STEP_{index}: {params} = {body};"));
            self.line("");
            self.step(index, step);
            self.line("");
        }
    }

    /// `run`, and with `tapped` its form that reports tensors.
    pub(super) fn run(&mut self, tapped: bool) {
        if tapped {
            self.line("    /// As `run`, and reports every tensor when it has its value: the tensor's number");
            self.line("    /// in the memory table above and its bytes.");
            self.line("    #[cfg(feature = \"taps\")]");
            self.line("    pub fn run_tapped(&mut self, tap: &mut dyn FnMut(u32, &[u8])) {");
        } else {
            self.line("    /// Runs once: from the inputs, and the state, to the outputs and the new state.");
            self.line("    pub fn run(&mut self) {");
        }
        if tapped {
            self.reports(&self.program.prologue);
        }
        for (index, step) in self.program.steps.iter().enumerate() {
            if !tapped {
                self.line(&format!("        // {}.", comment(&step.label)));
            }
            self.line(&format!("        step_{index}(self.memory);"));
            if tapped {
                self.reports(&step.reports);
            }
        }
        // A body without a line is written as rustfmt does.
        if self.out.ends_with("{\n") {
            self.out.truncate(self.out.len() - 1);
            self.line("}");
        } else {
            self.line("    }");
        }
        self.line("");
    }

    fn reports(&mut self, reports: &[Report]) {
        for report in reports {
            let buffer = self.program.buffer(report.buffer);
            let (start, end) =
                (self.program.start(buffer), self.program.start(buffer) + buffer.bytes);
            let id = report.tensor.index();
            self.line(&format!(
                "        tap({id}, self.memory.get({start}..{end}).unwrap_or_default());"
            ));
        }
    }

    /// The methods of `Model` for runs in slices.
    pub(super) fn slice_methods(&mut self) {
        self.out.push_str(METHODS);
    }

    /// The type of a run in slices.
    pub(super) fn slices(&mut self) {
        let mut dispatch = String::new();
        if self.program.steps.is_empty() {
            dispatch
                .push_str("        // The outputs are the inputs: there is nothing to compute.\n");
            dispatch.push_str("        let _ = &self.memory;\n        false\n");
        } else {
            dispatch.push_str("        match self.next {\n");
            for index in 0..self.program.steps.len() {
                dispatch.push_str(&format!("            {index} => step_{index}(self.memory),\n"));
            }
            dispatch.push_str("            _ => return false,\n        }\n");
            dispatch.push_str("        self.next = self.next.wrapping_add(1);\n");
            dispatch.push_str("        self.next < STEPS\n");
        }
        self.out.push_str(&SLICES.replace("{{dispatch}}", &dispatch));
    }

    fn step(&mut self, number: usize, step: &Step) {
        self.line("#[inline(always)]");
        self.line(&format!("fn step_{number}(memory: &mut [u8; MEMORY_BYTES]) {{"));
        let declaration = step.call.kernel.declaration();
        let mut args = Vec::new();
        // Pieces in the order of their addresses: (start, bytes, name of the piece).
        let mut pieces: Vec<(usize, usize, &str)> = Vec::new();
        let overlapping = self.program.overlapping(&step.call);
        if let Some(Overlapping { operands, memory, images }) = &overlapping {
            let input = declaration.operands.get(operands[0]);
            let bytes = input.map_or(1, |input| input.element.bytes());
            pieces.push((memory.start, memory.len(), "overlapping"));
            args.push("view_mut(overlapping)".to_owned());
            args.extend(images.iter().map(|i| format!("{}..{}", i.start / bytes, i.end / bytes)));
        }
        for (index, (operand, declared)) in
            step.call.operands.iter().zip(declaration.operands).enumerate()
        {
            if overlapping.as_ref().is_some_and(|both| both.operands.contains(&index)) {
                continue;
            }
            let element = rust_element(declared.element);
            match *operand {
                Operand::Constant(id) => {
                    let offset = self.weights.offset(id);
                    let bytes = self.program.constant(id).data.bytes().len();
                    let name = declared.name;
                    self.line(&format!(
                        "    let {name} = constant(&KINGLET_WEIGHTS.0, {offset}, {bytes});"
                    ));
                    args.push(name.to_owned());
                }
                Operand::Buffer(id) => {
                    let buffer = self.program.buffer(id);
                    let place = (self.program.start(buffer), buffer.bytes);
                    let same = pieces.iter().find(|(start, bytes, _)| (*start, *bytes) == place);
                    let name = match same {
                        Some((_, _, name)) => name,
                        None => {
                            pieces.push((place.0, place.1, declared.name));
                            declared.name
                        }
                    };
                    let writes = matches!(declared.role, Role::Out | Role::InOut | Role::Scratch);
                    args.push(match (writes, element) {
                        (_, "u8") => name.to_owned(),
                        (true, _) => format!("view_mut({name})"),
                        (false, _) => format!("view({name})"),
                    });
                }
            }
        }
        pieces.sort_unstable();
        if !pieces.is_empty() {
            self.line("    let mut cut = Cut::new(memory);");
            for (start, bytes, name) in pieces {
                self.line(&format!("    let {name} = cut.take({start}, {bytes});"));
            }
        }
        let method = match (&overlapping, step.call.shared) {
            (Some(_), _) => "run_overlapping",
            (None, true) => "run",
            (None, false) => "run_inlined",
        };
        self.out.push_str(&format::call(4, &format!("STEP_{number}.{method}"), &args));
        self.line("}");
    }
}
