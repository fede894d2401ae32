//! SUB: the difference of two tensors.

use crate::add::{self, Rescale, range_i32};
use crate::broadcast;
use crate::common::Activation;
use crate::eval::Evaluation;
use crate::lower::Lower;
use crate::op::{Cost, Definition, Numerics, Op, Refusal, TfliteSpelling};
use crate::reference;
use kinglet_graph::{Attribute, DType, InferError, Operator, Tensor, TensorType};
use kinglet_kernels::{SubF32, SubI32};
use std::sync::Arc;

operator! {
    /// Inputs: `a`, `b`, repeated to one shape of up to six axes. The output is `a - b`.
    Sub "sub" {
        /// Fused activation.
        activation: Activation,
    }
}

/// The operator's entry in the list.
pub const DEFINITION: Definition = Definition {
    name: Sub::NAME,
    tflite: &[TfliteSpelling {
        code: "SUB",
        versions: 1..=5,
        read: |node| {
            // A choice between two kernels for 16 bits elsewhere; TensorFlow Lite Micro has one.
            node.ignore("pot_scale_int16")?;
            Ok(Sub { activation: node.word("fused_activation_function", Activation::from_tflite)? }
                .into())
        },
    }],
    parse: Sub::parse,
    types: add::TYPES,
    numerics: &[
        Numerics {
            types: "i8, i16",
            rounding: "both inputs and the difference are rescaled with two roundings: doubling high multiply half up, then shift half away from zero",
            widths: "i32: inputs shifted left by 20 (i8) or 15 (i16), half of that left after their rescaling; saturated to the fused activation's range",
            tables: "multipliers from the f64 quotients scale / (2 x greater scale) and 2 x greater scale / (2^20 or 2^15 x output scale)",
        },
        Numerics {
            types: "i32, not quantized",
            rounding: "none",
            widths: "i32, wrapping; clamped to the fused activation's range",
            tables: "none",
        },
        add::NUMERICS_F32,
    ],
};

impl Operator for Sub {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        self.list_attributes()
    }

    fn infer(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<TensorType>, InferError> {
        broadcast::infer(inputs)
    }

    fn assigned_states(&self) -> &'static [usize] {
        &[]
    }
}

impl Op for Sub {
    fn evaluate(&self, cx: &mut Evaluation<'_>) -> Result<(), Refusal> {
        let (a, b, output) = (cx.input(0)?, cx.input(1)?, cx.output(0)?);
        let rescale = || Rescale::new([a, b], output, self.activation, add::multipliers);
        match a.dtype() {
            DType::I8 => {
                let rescale = rescale()?;
                broadcast::evaluate(cx, |a: i8, b: i8| rescale.sum(a.into(), b.into(), -1) as i8)
            }
            DType::I16 => {
                let rescale = rescale()?;
                broadcast::evaluate(cx, |a: i16, b: i16| rescale.sum(a.into(), b.into(), -1) as i16)
            }
            DType::I32 => {
                let (min, max) = range_i32(self.activation, [a, b, output])?;
                let difference = |a: i32, b: i32| a.wrapping_sub(b).clamp(min, max);
                broadcast::evaluate(cx, difference)
            }
            DType::F32 => {
                let (min, max) = self.activation.range_f32();
                broadcast::evaluate(cx, |a: f32, b: f32| reference::clamp_f32(a - b, min, max))
            }
            _ => Err(broadcast::refuse_type(a, "i8, i16, i32 and f32")),
        }
    }

    fn cost(&self, _inputs: &[Option<&Tensor>], outputs: &[&Tensor]) -> Cost {
        Cost::of_outputs(outputs)
    }

    fn lower(&self, cx: &mut Lower<'_>) -> Result<(), Refusal> {
        let (a, b, output) = (cx.input(0)?, cx.input(1)?, cx.output(0)?);
        let rescale = || Rescale::new([a, b], output, self.activation, add::multipliers);
        match a.dtype() {
            DType::I8 => add::lower_i8(cx, &rescale()?, -1),
            DType::I16 => add::lower_i16(cx, &rescale()?, -1),
            DType::I32 => {
                let (min, max) = range_i32(self.activation, [a, b, output])?;
                broadcast::lower(cx, [0, 1], SubI32 { min, max })
            }
            DType::F32 => {
                let (min, max) = self.activation.range_f32();
                broadcast::lower(cx, [0, 1], SubF32 { min, max })
            }
            _ => Err(broadcast::refuse_type(a, "i8, i16, i32 and f32")),
        }
    }

    fn with_activation(&self, activation: Activation) -> Option<Arc<dyn Op>> {
        Some(Arc::new(Self { activation: self.activation.then(activation)? }))
    }
}
