//! PAD and PADV2: elements of one value around a tensor.

use crate::eval::Evaluation;
use crate::lower::{Arg, Lower};
use crate::movement::{self, Move, constant_ints, element_bytes};
use crate::op::{Cost, Definition, Numerics, Op, Refusal, TfliteSpelling};
use crate::reference;
use crate::rewrite::Border;
use kinglet_graph::{Attribute, DType, InferError, Operator, Tensor, TensorType};
use kinglet_kernels::{FillI16, FillI32, FillI64, FillU8};

operator! {
    /// Inputs: `x`, constant `paddings [rank, 2]` (elements before and after, along each axis),
    /// optional constant `value`, one element. Without a value, padding is zero: the output's zero
    /// point where 8-bit tensors are quantized.
    Pad "pad" {}
}

/// The operator's entry in the list.
pub const DEFINITION: Definition = Definition {
    name: Pad::NAME,
    tflite: &[
        TfliteSpelling { code: "PAD", versions: 1..=5, read: |_node| Ok(Pad {}.into()) },
        TfliteSpelling { code: "PADV2", versions: 1..=5, read: |_node| Ok(Pad {}.into()) },
    ],
    parse: Pad::parse,
    types: movement::MOVED,
    numerics: &[Numerics {
        types: "all whose elements are whole bytes",
        rounding: "none: elements are moved as they are",
        widths: "8-bit padding is the output's zero point, every other type's 0, unless a value is given",
        tables: "none",
    }],
};

/// Elements before and after, along each axis.
fn paddings(x: &Tensor, paddings: Option<&Tensor>) -> Result<Vec<(usize, usize)>, Refusal> {
    let values = constant_ints(paddings, "the paddings")?;
    let (pairs, rest) = values.as_chunks::<2>();
    if pairs.len() != x.shape().len() || !rest.is_empty() {
        return Err(Refusal::new(format!("{} paddings for {}", values.len(), x.ty)));
    }
    let length = |value: i64| {
        usize::try_from(value)
            .map_err(|_| Refusal::new(format!("a padding of {value}, expected 0 or more")))
    };
    pairs.iter().map(|&[before, after]| Ok((length(before)?, length(after)?))).collect()
}

/// The bytes of one element of padding.
fn value(output: &Tensor, value: Option<&Tensor>) -> Result<Vec<u8>, Refusal> {
    let size = element_bytes(output.dtype())?;
    let is_8_bit = matches!(output.dtype(), DType::I8 | DType::U8);
    if let Some(value) = value {
        if value.dtype() != output.dtype() || value.ty.len() != 1 {
            return Err(Refusal::new(format!("a padding value of {} for {}", value.ty, output.ty)));
        }
        if is_8_bit && value.quantization != output.quantization {
            return Err(Refusal::new(
                "the padding value has another scale or zero point than the output",
            ));
        }
        let data = value.constant().ok_or("the padding value is not constant")?;
        return Ok(data.bytes().to_vec());
    }
    let zero_point = match &output.quantization {
        Some(quantization) if is_8_bit => quantization.zero_points.first().copied().unwrap_or(0),
        _ => 0,
    };
    // An 8-bit zero point; every other type pads with a value of zero bytes.
    Ok(zero_point.to_le_bytes().into_iter().take(size).collect())
}

impl Operator for Pad {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        self.list_attributes()
    }

    fn infer(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<TensorType>, InferError> {
        let x = movement::input(inputs, 0, "x")?;
        let paddings = paddings(x, inputs.get(1).copied().flatten());
        let paddings = paddings.map_err(|refusal| InferError(refusal.why))?;
        let mut shape = Vec::with_capacity(x.shape().len());
        for (&dim, &(before, after)) in x.shape().iter().zip(&paddings) {
            let padded = dim.checked_add(before).and_then(|dim| dim.checked_add(after));
            shape.push(padded.ok_or("a padding that is too long")?);
        }
        let ty = TensorType::new(x.dtype(), shape);
        // Nothing in the file bounds the output but these numbers.
        match ty.checked_bytes() {
            Some(_) => Ok(vec![ty]),
            None => Err(InferError(format!("{ty} is larger than the memory"))),
        }
    }

    fn assigned_states(&self) -> &'static [usize] {
        &[]
    }
}

impl Op for Pad {
    fn evaluate(&self, cx: &mut Evaluation<'_>) -> Result<(), Refusal> {
        let (x, output) = (cx.input(0)?, cx.output(0)?);
        let paddings = paddings(x, cx.optional_input(1))?;
        let value = value(output, cx.optional_input(2))?;
        let size = element_bytes(x.dtype())?;
        let y = reference::gather(x, cx.bytes(0)?, size, output.shape(), &value, |place| {
            let inside = place.iter().zip(&paddings).zip(x.shape());
            inside
                .map(|((&at, &(before, _)), &dim)| at.checked_sub(before).filter(|&at| at < dim))
                .collect()
        });
        cx.set(0, &y)
    }

    fn cost(&self, _inputs: &[Option<&Tensor>], outputs: &[&Tensor]) -> Cost {
        Cost::of_outputs(outputs)
    }

    fn lower(&self, cx: &mut Lower<'_>) -> Result<(), Refusal> {
        let (x, output) = (cx.input(0)?, cx.output(0)?);
        let paddings = paddings(x, cx.optional_input(1))?;
        let value = value(output, cx.optional_input(2))?;
        if x.shape() == output.shape() {
            cx.alias(0, 0);
            return Ok(());
        }
        fill(cx, &value, Arg::Output(0))?;
        let strides = movement::strides(output.shape());
        let start =
            strides.iter().zip(&paddings).map(|(stride, (before, _))| stride * before).sum();
        let input_strides = movement::signed_strides(x.shape())?;
        let body = Move::new(x.shape(), (0, &input_strides), (start, &strides));
        body.lower(cx, x.dtype(), Arg::Input(0), Arg::Output(0))
    }

    fn as_border(&self, inputs: &[Option<&Tensor>], output: &Tensor) -> Option<Border> {
        let input = |index: usize| inputs.get(index).copied().flatten();
        let value = value(output, input(2)).ok()?;
        Border::of_image(&paddings(input(0)?, input(1)).ok()?, value)
    }
}

/// Emits the call that sets every element of a tensor to the value with these bytes.
fn fill(cx: &mut Lower<'_>, value: &[u8], output: Arg) -> Result<(), Refusal> {
    match *value {
        // One byte repeated is filled as bytes, whatever the type: one kernel serves them all.
        [first, ref rest @ ..] if rest.iter().all(|&byte| byte == first) => {
            cx.call(FillU8 { value: first }, &[output]);
        }
        [a, b] => cx.call(FillI16 { value: i16::from_le_bytes([a, b]) }, &[output]),
        [a, b, c, d] => cx.call(FillI32 { value: i32::from_le_bytes([a, b, c, d]) }, &[output]),
        [a, b, c, d, e, f, g, h] => {
            cx.call(FillI64 { value: i64::from_le_bytes([a, b, c, d, e, f, g, h]) }, &[output]);
        }
        _ => return Err(Refusal::new(format!("a padding value of {} bytes", value.len()))),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::movement::test::ints;
    use kinglet_graph::Quantization;

    fn shape(x: &[usize], paddings: &[i32]) -> Result<Vec<usize>, InferError> {
        let x = Tensor::value("x", TensorType::new(DType::I8, x));
        let types = Pad {}.infer(&[Some(&x), Some(&ints(paddings))])?;
        Ok(types[0].shape.clone())
    }

    #[test]
    fn shapes_grow_by_both_sides() {
        assert_eq!(shape(&[2, 3], &[0, 1, 2, 0]).unwrap(), [3, 5]);
        assert!(shape(&[2, 3], &[0, 1]).is_err());
        assert!(shape(&[2, 3], &[0, 1, -1, 0]).is_err());
        let huge = i32::MAX;
        assert!(shape(&[1; 4], &[huge, 0, huge, 0, huge, 0, huge, 0]).is_err());
    }

    #[test]
    fn padding_is_the_zero_point_of_8_bit_tensors() {
        let output = |dtype, quantization| Tensor {
            quantization,
            ..Tensor::value("y", TensorType::new(dtype, [4]))
        };
        let quantized = || Some(Quantization::per_tensor(0.5, -3));
        assert_eq!(value(&output(DType::I8, quantized()), None).unwrap(), [253]);
        assert_eq!(
            value(&output(DType::U8, Some(Quantization::per_tensor(1.0, 128))), None).unwrap(),
            [128]
        );
        assert_eq!(value(&output(DType::I8, None), None).unwrap(), [0]);
        assert_eq!(value(&output(DType::I16, quantized()), None).unwrap(), [0, 0]);
        assert_eq!(value(&output(DType::F32, None), None).unwrap(), [0; 4]);
    }

    #[test]
    fn a_value_of_another_scale_is_refused() {
        let y = Tensor {
            quantization: Some(Quantization::per_tensor(0.5, -3)),
            ..Tensor::value("y", TensorType::new(DType::I8, [4]))
        };
        let scalar = |quantization| Tensor {
            quantization,
            kind: kinglet_graph::TensorKind::Constant(kinglet_graph::Data::new(vec![9])),
            ..Tensor::value("value", TensorType::new(DType::I8, []))
        };
        assert_eq!(value(&y, Some(&scalar(y.quantization.clone()))).unwrap(), [9]);
        assert!(value(&y, Some(&scalar(Some(Quantization::per_tensor(0.5, -4))))).is_err());
        assert!(value(&y, Some(&ints(&[1]))).is_err());
    }
}
