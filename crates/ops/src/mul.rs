//! MUL: the product of two tensors, element by element.

use crate::add::{self, range_i32};
use crate::broadcast;
use crate::common::Activation;
use crate::eval::Evaluation;
use crate::lower::Lower;
use crate::op::{Cost, Definition, Numerics, Op, Refusal, TfliteSpelling};
use crate::quant::{per_tensor, quantize_multiplier};
use crate::reference;
use kinglet_graph::{Attribute, DType, InferError, Operator, Tensor, TensorType};
use kinglet_kernels::{MulF32, MulI8, MulI16, MulI32};
use std::sync::Arc;

operator! {
    /// Inputs: `a`, `b`, repeated to one shape of up to six axes.
    Mul "mul" {
        /// Fused activation.
        activation: Activation,
    }
}

/// The operator's entry in the list.
pub const DEFINITION: Definition = Definition {
    name: Mul::NAME,
    tflite: &[TfliteSpelling {
        code: "MUL",
        versions: 1..=7,
        read: |node| {
            Ok(Mul { activation: node.word("fused_activation_function", Activation::from_tflite)? }
                .into())
        },
    }],
    parse: Mul::parse,
    types: add::TYPES,
    numerics: &[
        Numerics {
            types: "i8, i16",
            rounding: "two roundings: doubling high multiply half up, then shift half away from zero",
            widths: "i32 product; the product with the multiplier is 64 bits; saturated to the fused activation's range",
            tables: "multiplier from the f64 quotient of scales a x b / output",
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

impl Mul {
    fn scale(&self, a: &Tensor, b: &Tensor, output: &Tensor) -> Result<MulI8, Refusal> {
        let (a_scale, a_zero_point) = per_tensor(a, "the first input")?;
        let (b_scale, b_zero_point) = per_tensor(b, "the second input")?;
        let (scale, zero_point) = per_tensor(output, "the output")?;
        if a.dtype() == DType::I16 && [a_zero_point, b_zero_point, zero_point] != [0; 3] {
            return Err(Refusal::new("an int16 product with a zero point other than 0"));
        }
        let real = f64::from(a_scale) * f64::from(b_scale) / f64::from(scale);
        let (multiplier, shift) = quantize_multiplier(real);
        let (min, max) = self.activation.range_quantized(output)?;
        Ok(MulI8 { a_zero_point, b_zero_point, multiplier, shift, zero_point, min, max })
    }
}

/// The reference's product.
fn product(p: &MulI8, a: i32, b: i32) -> i32 {
    let product = (a - p.a_zero_point).wrapping_mul(b - p.b_zero_point);
    let scaled = reference::multiply_by_quantized_multiplier(product, p.multiplier, p.shift);
    scaled.wrapping_add(p.zero_point).clamp(p.min, p.max)
}

impl Operator for Mul {
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

impl Op for Mul {
    fn evaluate(&self, cx: &mut Evaluation<'_>) -> Result<(), Refusal> {
        let (a, b, output) = (cx.input(0)?, cx.input(1)?, cx.output(0)?);
        match a.dtype() {
            DType::I8 => {
                let scale = self.scale(a, b, output)?;
                broadcast::evaluate(cx, |a: i8, b: i8| product(&scale, a.into(), b.into()) as i8)
            }
            DType::I16 => {
                let scale = self.scale(a, b, output)?;
                broadcast::evaluate(cx, |a: i16, b: i16| product(&scale, a.into(), b.into()) as i16)
            }
            DType::I32 => {
                let (min, max) = range_i32(self.activation, [a, b, output])?;
                broadcast::evaluate(cx, |a: i32, b: i32| a.wrapping_mul(b).clamp(min, max))
            }
            DType::F32 => {
                let (min, max) = self.activation.range_f32();
                broadcast::evaluate(cx, |a: f32, b: f32| reference::clamp_f32(a * b, min, max))
            }
            _ => Err(broadcast::refuse_type(a, "i8, i16, i32 and f32")),
        }
    }

    fn cost(&self, _inputs: &[Option<&Tensor>], outputs: &[&Tensor]) -> Cost {
        Cost::of_outputs(outputs)
    }

    fn lower(&self, cx: &mut Lower<'_>) -> Result<(), Refusal> {
        let (a, b, output) = (cx.input(0)?, cx.input(1)?, cx.output(0)?);
        match a.dtype() {
            DType::I8 => {
                let scale = self.scale(a, b, output)?;
                if broadcast::lower_table(cx, |a, b| product(&scale, a.into(), b.into()) as i8)? {
                    return Ok(());
                }
                broadcast::lower(cx, [0, 1], scale)
            }
            DType::I16 => {
                let MulI8 { a_zero_point, b_zero_point, multiplier, shift, zero_point, min, max } =
                    self.scale(a, b, output)?;
                let kernel =
                    MulI16 { a_zero_point, b_zero_point, multiplier, shift, zero_point, min, max };
                broadcast::lower(cx, [0, 1], kernel)
            }
            DType::I32 => {
                let (min, max) = range_i32(self.activation, [a, b, output])?;
                broadcast::lower(cx, [0, 1], MulI32 { min, max })
            }
            DType::F32 => {
                let (min, max) = self.activation.range_f32();
                broadcast::lower(cx, [0, 1], MulF32 { min, max })
            }
            _ => Err(broadcast::refuse_type(a, "i8, i16, i32 and f32")),
        }
    }

    fn with_activation(&self, activation: Activation) -> Option<Arc<dyn Op>> {
        Some(Arc::new(Self { activation: self.activation.then(activation)? }))
    }
}
