//! MEAN: the mean along some axes.

use crate::broadcast::refuse_type;
use crate::common::small;
use crate::eval::{Evaluation, Scalar};
use crate::lower::{Arg, Lower};
use crate::movement::{self, Move, axis, constant_ints, element_bytes, signed_strides, strides};
use crate::op::{Cost, Definition, Numerics, Op, Refusal, TfliteSpelling};
use crate::quant::{limits, per_tensor, quantize_multiplier};
use crate::reference;
use kinglet_graph::{Attribute, DType, InferError, Operator, Tensor, TensorType};
use kinglet_kernels::{MeanF32, MeanI8, MeanI16};

operator! {
    /// Inputs: `x`, constant `axes`, negative ones counted from the back.
    Mean "mean" {
        /// Keep the axes, with the length 1.
        keep_dims: bool,
    }
}

/// The operator's entry in the list.
pub const DEFINITION: Definition = Definition {
    name: Mean::NAME,
    tflite: &[TfliteSpelling {
        code: "MEAN",
        versions: 1..=3,
        read: |node| Ok(Mean { keep_dims: node.bool("keep_dims")? }.into()),
    }],
    parse: Mean::parse,
    types: &["i8", "i16", "f32"],
    numerics: &[
        Numerics {
            types: "i8, i16",
            rounding: "two roundings: doubling high multiply half up, then shift half away from zero",
            widths: "i32 sums, wrapping; the input's zero point times the count is subtracted from the sum; saturated to the type",
            tables: "multiplier from the f64 quotient of scales; times 2^floor(log2 count), divided by the count and cut to a whole number",
        },
        Numerics {
            types: "f32",
            rounding: "each sum and the quotient to nearest even",
            widths: "f32",
            tables: "none",
        },
    ],
};

/// Which axes are reduced.
fn reduced(x: &Tensor, axes: Option<&Tensor>) -> Result<Vec<bool>, Refusal> {
    let mut reduced = vec![false; x.shape().len()];
    for value in constant_ints(axes, "the axes")? {
        // A single element has no axes, and its mean along any is itself.
        if !reduced.is_empty() {
            let axis = axis(value, reduced.len())?;
            reduced[axis] = true;
        }
    }
    Ok(reduced)
}

/// Elements of one mean.
fn count(x: &Tensor, reduced: &[bool]) -> Result<usize, Refusal> {
    let lengths = x.shape().iter().zip(reduced).filter(|(_, reduced)| **reduced);
    match lengths.map(|(&len, _)| len).product() {
        0 => Err(Refusal::new("a mean of nothing")),
        count => Ok(count),
    }
}

/// What comes after the sum of a quantized mean.
struct Rescale {
    offset: i32,
    multiplier: i32,
    shift: i32,
    zero_point: i32,
}

/// The multiplier with the division by `count` in it: TensorFlow Lite `reference/reduce.h`,
/// `QuantizedMeanOrSum`.
fn rescale(input: &Tensor, output: &Tensor, count: usize) -> Result<Rescale, Refusal> {
    let (input_scale, input_zero) = per_tensor(input, "the input")?;
    let (output_scale, zero_point) = per_tensor(output, "the output")?;
    let (multiplier, shift) = quantize_multiplier(f64::from(input_scale) / f64::from(output_scale));
    let count = i64::from(small(count)?);
    let extra = i32::try_from(count.ilog2()).unwrap_or(31).min(31 + shift);
    let multiplier = (i64::from(multiplier) << extra) / count;
    Ok(Rescale {
        // Wraps as the reference's sum does.
        offset: i64::from(input_zero).wrapping_mul(count) as i32,
        multiplier: i32::try_from(multiplier).map_err(|_| "a multiplier out of range")?,
        shift: shift - extra,
        zero_point,
    })
}

/// Sums of what meets in each output, in f64 or i64.
fn sums<T: Scalar, S: Copy + std::ops::AddAssign>(
    values: &[T],
    shape: &[usize],
    reduced: &[bool],
    start: S,
    widen: impl Fn(T) -> S,
) -> Vec<S> {
    let kept: Vec<usize> =
        shape.iter().zip(reduced).map(|(&len, &reduced)| if reduced { 1 } else { len }).collect();
    let (from, to) = (strides(shape), strides(&kept));
    let mut sums = vec![start; kept.iter().product()];
    for (flat, &value) in values.iter().enumerate() {
        let place = |axis: usize| flat / from[axis] % shape[axis];
        let at: usize = (0..shape.len()).filter(|&a| !reduced[a]).map(|a| place(a) * to[a]).sum();
        sums[at] += widen(value);
    }
    sums
}

impl Operator for Mean {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        self.list_attributes()
    }

    fn infer(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<TensorType>, InferError> {
        let x = movement::input(inputs, 0, "x")?;
        let reduced = reduced(x, inputs.get(1).copied().flatten());
        let reduced = reduced.map_err(|refusal| InferError(refusal.why))?;
        let axes = x.shape().iter().zip(&reduced);
        let shape: Vec<usize> = if self.keep_dims {
            axes.map(|(&len, &reduced)| if reduced { 1 } else { len }).collect()
        } else {
            axes.filter(|(_, reduced)| !**reduced).map(|(&len, _)| len).collect()
        };
        Ok(vec![TensorType::new(x.dtype(), shape)])
    }

    fn assigned_states(&self) -> &'static [usize] {
        &[]
    }
}

impl Op for Mean {
    fn evaluate(&self, cx: &mut Evaluation<'_>) -> Result<(), Refusal> {
        let (x, output) = (cx.input(0)?, cx.output(0)?);
        let reduced = reduced(x, cx.optional_input(1))?;
        let count = count(x, &reduced)?;
        let finish = |sum: i64| -> Result<i32, Refusal> {
            let rescale = rescale(x, output, count)?;
            let (min, max) = limits(output.dtype()).unwrap_or((0, 0));
            let sum = (sum as i32).wrapping_sub(rescale.offset);
            let scaled =
                reference::multiply_by_quantized_multiplier(sum, rescale.multiplier, rescale.shift);
            Ok(scaled.wrapping_add(rescale.zero_point).clamp(min, max))
        };
        match x.dtype() {
            DType::I8 => {
                let sums = sums(&cx.values::<i8>(0)?, x.shape(), &reduced, 0i64, i64::from);
                let y: Result<Vec<i8>, _> =
                    sums.into_iter().map(|sum| Ok::<_, Refusal>(finish(sum)? as i8)).collect();
                cx.set(0, &y?)
            }
            DType::I16 => {
                let sums = sums(&cx.values::<i16>(0)?, x.shape(), &reduced, 0i64, i64::from);
                let y: Result<Vec<i16>, _> =
                    sums.into_iter().map(|sum| Ok::<_, Refusal>(finish(sum)? as i16)).collect();
                cx.set(0, &y?)
            }
            DType::F32 => {
                let sums = sums(&cx.values::<f32>(0)?, x.shape(), &reduced, 0f64, f64::from);
                let y: Vec<f32> = sums.into_iter().map(|sum| (sum / count as f64) as f32).collect();
                cx.set(0, &y)
            }
            _ => Err(refuse_type(x, "i8, i16 and f32")),
        }
    }

    fn cost(&self, inputs: &[Option<&Tensor>], _outputs: &[&Tensor]) -> Cost {
        let x = inputs.first().copied().flatten();
        Cost { macs: 0, elements: x.map_or(0, |x| x.ty.len() as u64) }
    }

    fn lower(&self, cx: &mut Lower<'_>) -> Result<(), Refusal> {
        let (x, output) = (cx.input(0)?, cx.output(0)?);
        let reduced = reduced(x, cx.optional_input(1))?;
        let count = count(x, &reduced)?;
        let (inner, input) = match inner(x.shape(), &reduced) {
            Some(inner) => (inner, Arg::Input(0)),
            None => (1, reduced_last(cx, x, &reduced)?),
        };
        let args = [input, Arg::Output(0)];
        let (inner, elements) = (small(inner)?, small(count)?);
        match x.dtype() {
            DType::I8 => {
                let Rescale { offset, multiplier, shift, zero_point } = rescale(x, output, count)?;
                let kernel =
                    MeanI8 { count: elements, inner, offset, multiplier, shift, zero_point };
                cx.call(kernel, &args);
            }
            DType::I16 => {
                let Rescale { offset, multiplier, shift, zero_point } = rescale(x, output, count)?;
                let kernel =
                    MeanI16 { count: elements, inner, offset, multiplier, shift, zero_point };
                cx.call(kernel, &args);
            }
            DType::F32 => cx.call(MeanF32 { count: elements, inner }, &args),
            _ => return Err(refuse_type(x, "i8, i16 and f32")),
        }
        Ok(())
    }
}

/// Elements behind the reduced axes, if these are neighbors (axes of length 1 aside).
fn inner(shape: &[usize], reduced: &[bool]) -> Option<usize> {
    let axes = || (0..shape.len()).filter(|&axis| shape[axis] != 1);
    let Some(first) = axes().find(|&axis| reduced[axis]) else {
        return Some(shape.iter().product());
    };
    let last = axes().rfind(|&axis| reduced[axis])?;
    let neighbors = axes().filter(|axis| (first..=last).contains(axis)).all(|axis| reduced[axis]);
    neighbors.then(|| shape.iter().skip(last + 1).product())
}

/// The input with the reduced axes behind the others, in memory of the node's own.
fn reduced_last(cx: &mut Lower<'_>, x: &Tensor, reduced: &[bool]) -> Result<Arg, Refusal> {
    let rank = x.shape().len();
    let kept = (0..rank).filter(|&axis| !reduced[axis]);
    let order: Vec<usize> = kept.chain((0..rank).filter(|&axis| reduced[axis])).collect();
    let shape: Vec<usize> = order.iter().map(|&axis| x.shape()[axis]).collect();
    let from = signed_strides(x.shape())?;
    let from: Vec<isize> = order.iter().map(|&axis| from[axis]).collect();
    let bytes = x.ty.len().saturating_mul(element_bytes(x.dtype())?);
    let to = cx.temporary(bytes);
    Move::new(&shape, (0, &from), (0, &strides(&shape))).lower(cx, x.dtype(), Arg::Input(0), to)?;
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reduced_axes_that_are_neighbors_need_no_copy() {
        assert_eq!(inner(&[1, 6, 7, 8], &[false, true, true, false]), Some(8));
        assert_eq!(inner(&[1, 6, 7, 8], &[false, false, false, true]), Some(1));
        assert_eq!(inner(&[1, 6, 7, 8], &[true, false, true, false]), Some(8));
        assert_eq!(inner(&[2, 6, 7, 8], &[true, false, true, false]), None);
        assert_eq!(inner(&[2, 6], &[false, false]), Some(12));
        assert_eq!(inner(&[], &[]), Some(1));
    }

    #[test]
    fn sums_meet_by_their_kept_axes() {
        let x: Vec<i8> = (0..12).collect();
        let sums = |reduced: [bool; 3]| sums(&x, &[2, 3, 2], &reduced, 0i64, i64::from);
        assert_eq!(sums([true, false, true]), [1 + 6 + 7, 2 + 3 + 8 + 9, 4 + 5 + 10 + 11]);
        assert_eq!(sums([false, true, false]), [6, 9, 24, 27]);
        assert_eq!(sums([true; 3]), [66]);
    }
}
