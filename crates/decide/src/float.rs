//! Floating-point work on a core without a floating-point unit (CM-05).

use kinglet_kernels::declare::{Element, Role};
use kinglet_program::{Operand, Program, Step};
use kinglet_target::Target;
use serde::Serialize;

/// The share of a program's work from which it counts as an f32 model. A last softmax or an input that is
/// quantized stays below it.
const FLOAT_SHARE: f64 = 0.1;

/// How much of a program computes with floats.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FloatWork {
    /// Steps that compute floats from floats.
    pub steps: usize,
    /// Labels of the first of them.
    pub labels: Vec<String>,
    /// Their share of all bytes that steps read and write.
    pub share: f64,
}

/// Whether a step computes floats from floats; a conversion at the model's edge does not.
fn is_float(step: &Step) -> bool {
    let operands = step.call.kernel.declaration().operands;
    let has = |roles: &[Role]| {
        operands.iter().any(|o| o.element == Element::F32 && roles.contains(&o.role))
    };
    // Everything that is not read only is written.
    let written = operands.iter().any(|o| {
        o.element == Element::F32 && !matches!(o.role, Role::In | Role::Const | Role::Scratch)
    });
    let in_place = operands.iter().any(|o| {
        o.element == Element::F32
            && !matches!(o.role, Role::In | Role::Const | Role::Scratch | Role::Out)
    });
    in_place || (written && has(&[Role::In, Role::Const]))
}

/// The floating-point work of a program.
pub fn float_work(program: &Program) -> FloatWork {
    let bytes = |step: &Step| -> f64 {
        let sizes = step.call.operands.iter().map(|operand| match *operand {
            Operand::Constant(id) => program.constant(id).data.bytes().len(),
            Operand::Buffer(id) => program.buffer(id).bytes,
        });
        sizes.map(|bytes| bytes as f64).sum()
    };
    let all: f64 = program.steps.iter().map(bytes).sum();
    let floats: Vec<&Step> = program.steps.iter().filter(|step| is_float(step)).collect();
    let float_bytes: f64 = floats.iter().map(|step| bytes(step)).sum();
    FloatWork {
        steps: floats.len(),
        labels: floats.iter().take(4).map(|step| step.label.clone()).collect(),
        share: if all > 0.0 { float_bytes / all } else { 0.0 },
    }
}

/// The floating-point work, if it is so much that a core without a floating-point unit should not be
/// asked to do it: `fit` says no, `compile` and the emulator want `--soft-float`.
pub fn needs_soft_float(program: &Program, target: &Target) -> Option<FloatWork> {
    if target.has_fpu() {
        return None;
    }
    let work = float_work(program);
    (work.steps > 0 && work.share >= FLOAT_SHARE).then_some(work)
}
