//! Operators of one input and one output of the same shape share this: type inference, and the step
//! from a function of one value to a table or a kernel.

use crate::eval::Evaluation;
use crate::lower::{Arg, ConstantData, Lower};
use crate::op::Refusal;
use crate::tflite::TfliteNode;
use kinglet_graph::{DType, InferError, Tensor, TensorType};
use kinglet_kernels::reflect::Kernel;
use kinglet_kernels::{LookupU8, LookupU8InPlace};

/// The input's shape, with another element type where the operator changes it.
pub fn infer(inputs: &[Option<&Tensor>], to: Option<DType>) -> Result<Vec<TensorType>, InferError> {
    let Some(Some(input)) = inputs.first() else {
        return Err("an input is needed".into());
    };
    Ok(vec![TensorType::new(to.unwrap_or(input.dtype()), input.shape())])
}

/// The element type of a file's output, for operators whose inputs do not say it.
pub fn output_dtype(node: &TfliteNode<'_>) -> Result<DType, Refusal> {
    let output = node.outputs.first().map(|output| output.dtype());
    output.ok_or_else(|| Refusal::new("output 0 is missing"))
}

/// The refusal of a pair of element types.
pub fn refuse_types(input: &Tensor, output: &Tensor, supported: &str) -> Refusal {
    Refusal::new(format!("{} to {} is not supported", input.dtype(), output.dtype()))
        .help(format!("the supported element types are {supported}"))
}

/// Computes each output from the input beside it, as `T`.
pub fn evaluate<T: bytemuck::Pod>(
    cx: &mut Evaluation<'_>,
    function: impl Fn(T) -> T,
) -> Result<(), Refusal> {
    let y: Vec<T> = cx.values::<T>(0)?.into_iter().map(function).collect();
    cx.set(0, &y)
}

/// Computes each int8 output from the input beside it, on the raw quantized values.
pub fn evaluate_i8(cx: &mut Evaluation<'_>, function: impl Fn(i32) -> i32) -> Result<(), Refusal> {
    evaluate(cx, |x: i8| function(i32::from(x)) as i8)
}

/// The values of an 8-bit function for each input byte, in the order of the bytes as unsigned numbers.
pub fn table(from: DType, function: impl Fn(i32) -> i32) -> Vec<u8> {
    let value = |byte: u8| match from {
        DType::I8 => i32::from(byte.cast_signed()),
        _ => i32::from(byte),
    };
    // The function stays inside of its 8-bit type, whose bits are kept.
    (0..=255).map(|byte| function(value(byte)) as u8).collect()
}

/// Lowers an 8-bit function to a table.
pub fn lower_table(cx: &mut Lower<'_>, table: Vec<u8>) {
    let table = cx.constant("table", "output by input byte", None, ConstantData::U8(table));
    cx.call_or_in_place(
        LookupU8 {},
        &[Arg::Input(0), table, Arg::Output(0)],
        (0, 0),
        LookupU8InPlace {},
        &[Arg::Output(0), table],
    );
}

/// Lowers to a kernel of input and output, and its in-place form.
pub fn lower_kernel(
    cx: &mut Lower<'_>,
    kernel: impl Kernel + 'static,
    in_place: impl Kernel + 'static,
) {
    cx.call_or_in_place(
        kernel,
        &[Arg::Input(0), Arg::Output(0)],
        (0, 0),
        in_place,
        &[Arg::Output(0)],
    );
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use kinglet_graph::Quantization;

    /// A tensor of this type, quantized where a scale is given.
    pub(crate) fn tensor(dtype: DType, shape: &[usize], scale: Option<(f32, i64)>) -> Tensor {
        let mut tensor = Tensor::value("t", TensorType::new(dtype, shape));
        tensor.quantization = scale.map(|(scale, zero)| Quantization::per_tensor(scale, zero));
        tensor
    }

    /// The table of a function is in the order of the bytes.
    #[test]
    fn tables_are_in_the_order_of_the_bytes() {
        let signed = table(DType::I8, |x| x.max(0));
        assert_eq!((signed[0], signed[127], signed[128], signed[255]), (0, 127, 0, 0));
        let unsigned = table(DType::U8, |x| x - 128);
        assert_eq!((unsigned[0], unsigned[255]), (0x80, 0x7f));
    }
}
