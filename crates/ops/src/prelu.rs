//! PRELU: `x` where it is not negative, `alpha * x` below; alpha is broadcast.

use crate::common::small;
use crate::eval::{Evaluation, Scalar, elements};
use crate::lower::{Arg, ConstantData, Lower};
use crate::op::{Cost, Definition, Numerics, Op, Refusal, TfliteSpelling};
use crate::quant::{per_tensor, quantize_multiplier};
use crate::reference::multiply_by_quantized_multiplier;
use crate::unary;
use kinglet_graph::{Attribute, DType, InferError, Operator, Tensor, TensorType};
use kinglet_kernels::{PreluF32, PreluF32InPlace, PreluI8, PreluI8InPlace};

operator! {
    /// Inputs: `x` of any shape, `alpha` of a shape that can be broadcast to that of `x`.
    Prelu "prelu" {}
}

/// The operator's entry in the list.
pub const DEFINITION: Definition = Definition {
    name: Prelu::NAME,
    tflite: &[TfliteSpelling { code: "PRELU", versions: 1..=1, read: |_| Ok(Prelu {}.into()) }],
    parse: Prelu::parse,
    types: &["i8", "f32"],
    numerics: &[
        Numerics {
            types: "i8",
            rounding: "two roundings: doubling high multiply half up, then shift half away from zero",
            widths: "the product of input and alpha in 32 bits; its product with the multiplier 64 bits; saturated to i8",
            tables: "multipliers from the f64 quotients input scale / output scale and input scale x alpha scale / output scale; 256 entries where alpha is one constant",
        },
        Numerics {
            types: "f32",
            rounding: "the product to nearest even",
            widths: "f32; NaN passes",
            tables: "none",
        },
    ],
};

/// Alpha's lengths, one for each axis of the input, 1 where it is repeated.
fn alpha_shape(input: &Tensor, alpha: &Tensor) -> Result<Vec<usize>, Refusal> {
    let extra = alpha.shape().len().saturating_sub(input.shape().len());
    let (front, rest) = alpha.shape().split_at(extra);
    let missing = input.shape().len() - rest.len();
    let mut shape = vec![1; missing];
    shape.extend_from_slice(rest);
    let fits = shape.iter().zip(input.shape()).all(|(&a, &x)| a == x || a == 1);
    if !fits || front.iter().any(|&axis| axis != 1) {
        return Err(Refusal::new(format!(
            "alpha is {}, which cannot be broadcast to the input's {}",
            alpha.ty, input.ty
        )));
    }
    Ok(shape)
}

/// Alpha's index for each element of the part of the input that starts at `axis`.
fn alpha_indices(input: &[usize], alpha: &[usize]) -> Vec<usize> {
    let mut indices = vec![0];
    for (&len, &own) in input.iter().zip(alpha) {
        let each =
            |&base: &usize| (0..len).map(move |i| if own == 1 { base } else { base * own + i });
        indices = indices.iter().flat_map(each).collect();
    }
    indices
}

/// The int8 function of input and alpha on raw quantized values, as the kernel's parameters.
///
/// Source: `prelu_common.cc` of TensorFlow Lite Micro.
fn parameters(input: &Tensor, alpha: &Tensor, output: &Tensor) -> Result<PreluI8, Refusal> {
    let (input_scale, input_zero_point) = per_tensor(input, "the input")?;
    let (alpha_scale, alpha_zero_point) = per_tensor(alpha, "alpha")?;
    let (output_scale, output_zero_point) = per_tensor(output, "the output")?;
    let (input_scale, output_scale) = (f64::from(input_scale), f64::from(output_scale));
    let (multiplier, shift) = quantize_multiplier(input_scale / output_scale);
    let (product_multiplier, product_shift) =
        quantize_multiplier(input_scale * f64::from(alpha_scale) / output_scale);
    Ok(PreluI8 {
        input_zero_point,
        alpha_zero_point,
        output_zero_point,
        multiplier,
        shift,
        product_multiplier,
        product_shift,
    })
}

/// One int8 value by the reference's text.
fn value(p: &PreluI8, x: i32, alpha: i32) -> i32 {
    let x = x.wrapping_sub(p.input_zero_point);
    let scaled = if x >= 0 {
        multiply_by_quantized_multiplier(x, p.multiplier, p.shift)
    } else {
        let product = x.wrapping_mul(alpha.wrapping_sub(p.alpha_zero_point));
        multiply_by_quantized_multiplier(product, p.product_multiplier, p.product_shift)
    };
    scaled.wrapping_add(p.output_zero_point).clamp(-128, 127)
}

/// Alpha as the kernels repeat it, from the first axis on which it differs.
enum Repeated<T> {
    /// The values of a constant alpha.
    Values(Vec<T>),
    /// Alpha as it comes.
    AsItIs,
}

fn repeated<T: Scalar>(input: &Tensor, alpha: &Tensor) -> Result<Repeated<T>, Refusal> {
    let shape = alpha_shape(input, alpha)?;
    let own = shape.iter().position(|&axis| axis != 1);
    // A single value is spread over the last axis, so that the inner loop is not one element long.
    let first = own.unwrap_or(shape.len().saturating_sub(1)).min(shape.len());
    let (rest, own) = (&input.shape()[first..], &shape[first..]);
    if rest == own {
        return Ok(Repeated::AsItIs);
    }
    let Some(data) = alpha.constant() else {
        return Err(Refusal::new(format!(
            "alpha of {} is neither constant nor repeated over whole axes of the input's {}",
            alpha.ty, input.ty
        ))
        .help("make alpha a constant"));
    };
    let values = elements::<T>(data.bytes());
    let spread = alpha_indices(rest, own).into_iter().map(|index| values.get(index).copied());
    let spread: Option<Vec<T>> = spread.collect();
    Ok(Repeated::Values(spread.ok_or("alpha has too few values")?))
}

impl Operator for Prelu {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        self.list_attributes()
    }

    fn infer(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<TensorType>, InferError> {
        let (Some(Some(input)), Some(Some(alpha))) = (inputs.first(), inputs.get(1)) else {
            return Err("an input and alpha are needed".into());
        };
        alpha_shape(input, alpha).map_err(|refusal| InferError(refusal.why))?;
        Ok(vec![input.ty.clone()])
    }

    fn assigned_states(&self) -> &'static [usize] {
        &[]
    }
}

impl Op for Prelu {
    fn evaluate(&self, cx: &mut Evaluation<'_>) -> Result<(), Refusal> {
        let (input, alpha, output) = (cx.input(0)?, cx.input(1)?, cx.output(0)?);
        let indices = alpha_indices(input.shape(), &alpha_shape(input, alpha)?);
        match (input.dtype(), alpha.dtype(), output.dtype()) {
            (DType::I8, DType::I8, DType::I8) => {
                let p = parameters(input, alpha, output)?;
                let alpha = cx.values::<i8>(1)?;
                let x = cx.values::<i8>(0)?;
                let y: Vec<i8> = x
                    .iter()
                    .zip(indices)
                    .map(|(&x, i)| value(&p, i32::from(x), i32::from(alpha[i])) as i8)
                    .collect();
                cx.set(0, &y)
            }
            (DType::F32, DType::F32, DType::F32) => {
                let alpha = cx.values::<f32>(1)?;
                let x = cx.values::<f32>(0)?;
                let y: Vec<f32> = x
                    .iter()
                    .zip(indices)
                    .map(|(&x, i)| if x >= 0.0 { x } else { x * alpha[i] })
                    .collect();
                cx.set(0, &y)
            }
            _ => Err(unary::refuse_types(input, output, "i8 and f32, alpha the same")),
        }
    }

    fn cost(&self, _inputs: &[Option<&Tensor>], outputs: &[&Tensor]) -> Cost {
        Cost::of_outputs(outputs)
    }

    fn lower(&self, cx: &mut Lower<'_>) -> Result<(), Refusal> {
        let (input, alpha, output) = (cx.input(0)?, cx.input(1)?, cx.output(0)?);
        small(input.ty.len())?;
        match (input.dtype(), alpha.dtype(), output.dtype()) {
            (DType::I8, DType::I8, DType::I8) => {
                let p = parameters(input, alpha, output)?;
                if let (1, Some(data)) = (alpha.ty.len(), alpha.constant()) {
                    let alpha = elements::<i8>(data.bytes()).first().copied();
                    let alpha = i32::from(alpha.ok_or("alpha has no value")?);
                    let table = unary::table(DType::I8, |x| value(&p, x, alpha));
                    unary::lower_table(cx, table);
                    return Ok(());
                }
                let alpha = match repeated::<i8>(input, alpha)? {
                    Repeated::AsItIs => Arg::Input(1),
                    Repeated::Values(values) => {
                        cx.constant("alpha", "repeated", Some(1), ConstantData::I8(values))
                    }
                };
                let in_place = PreluI8InPlace {
                    input_zero_point: p.input_zero_point,
                    alpha_zero_point: p.alpha_zero_point,
                    output_zero_point: p.output_zero_point,
                    multiplier: p.multiplier,
                    shift: p.shift,
                    product_multiplier: p.product_multiplier,
                    product_shift: p.product_shift,
                };
                let args = [Arg::Input(0), alpha, Arg::Output(0)];
                cx.call_or_in_place(p, &args, (0, 0), in_place, &[Arg::Output(0), alpha]);
                Ok(())
            }
            (DType::F32, DType::F32, DType::F32) => {
                let alpha = match repeated::<f32>(input, alpha)? {
                    Repeated::AsItIs => Arg::Input(1),
                    Repeated::Values(values) => {
                        cx.constant("alpha", "repeated", Some(1), ConstantData::F32(values))
                    }
                };
                let args = [Arg::Input(0), alpha, Arg::Output(0)];
                cx.call_or_in_place(
                    PreluF32 {},
                    &args,
                    (0, 0),
                    PreluF32InPlace {},
                    &[Arg::Output(0), alpha],
                );
                Ok(())
            }
            _ => Err(unary::refuse_types(input, output, "i8 and f32, alpha the same")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unary::tests::tensor;

    #[test]
    fn alpha_is_broadcast_from_the_last_axis() {
        let input = tensor(DType::F32, &[2, 3, 2], None);
        let shape = |alpha: &[usize]| alpha_shape(&input, &tensor(DType::F32, alpha, None)).ok();
        assert_eq!(shape(&[2]), Some(vec![1, 1, 2]));
        assert_eq!(shape(&[3, 1]), Some(vec![1, 3, 1]));
        assert_eq!(shape(&[]), Some(vec![1, 1, 1]));
        assert_eq!(shape(&[1, 1, 3, 2]), Some(vec![1, 3, 2]));
        assert_eq!(shape(&[3]), None);
        assert_eq!(shape(&[2, 1, 1, 1]), None);
        assert_eq!(alpha_indices(&[3, 2], &[3, 1]), [0, 0, 1, 1, 2, 2]);
        assert_eq!(alpha_indices(&[2, 2], &[1, 2]), [0, 1, 0, 1]);
    }

    #[test]
    fn what_is_not_constant_must_not_be_spread() {
        let input = tensor(DType::F32, &[2, 3, 2], None);
        let whole = tensor(DType::F32, &[3, 2], None);
        assert!(matches!(repeated::<f32>(&input, &whole), Ok(Repeated::AsItIs)));
        let rows = tensor(DType::F32, &[3, 1], None);
        assert!(repeated::<f32>(&input, &rows).is_err());
    }
}
