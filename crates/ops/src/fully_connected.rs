//! FULLY_CONNECTED: each output is a weighted sum of all inputs of its row.

use crate::common::{Activation, small};
use crate::eval::{Evaluation, elements};
use crate::lower::{Arg, ConstantData, Lower};
use crate::op::{Cost, Definition, Numerics, Op, Refusal, TfliteSpelling};
use crate::pack::{self, Channels, Inputs, Layout};
use crate::quant::{channel_scales, multipliers, per_tensor, quantize_multiplier};
use crate::reference;
use kinglet_graph::{Attribute, DType, InferError, Operator, Tensor, TensorType};
use kinglet_kernels::{
    FullyConnectedAnyI8, FullyConnectedEightsI8, FullyConnectedF32, FullyConnectedI8,
    FullyConnectedPairsI8, FullyConnectedRowI8, FullyConnectedRowsI8, FullyConnectedThreesI8,
};
use std::sync::Arc;

operator! {
    /// Inputs: `x [..., depth]`, `weights [outputs, depth]`, optional `bias [outputs]`.
    FullyConnected "fully_connected" {
        /// Fused activation.
        activation: Activation,
        /// Keep the input's leading axes instead of flattening them into one.
        keep_dims: bool,
    }
}

/// The operator's entry in the list.
pub const DEFINITION: Definition = Definition {
    name: FullyConnected::NAME,
    tflite: &[TfliteSpelling {
        code: "FULLY_CONNECTED",
        versions: 1..=12,
        read: |node| {
            // Only says how another runtime would quantize a hybrid model's input.
            node.ignore("asymmetric_quantize_inputs")?;
            // The type the bias was quantized to; the bias tensor's own type says the same.
            node.ignore("quantized_bias_type")?;
            node.word("weights_format", |word| (word == "DEFAULT").then_some(()))?;
            Ok(FullyConnected {
                activation: node.word("fused_activation_function", Activation::from_tflite)?,
                keep_dims: node.bool("keep_num_dims")?,
            }
            .into())
        },
    }],
    parse: FullyConnected::parse,
    types: &["i8", "f32"],
    numerics: &[
        Numerics {
            types: "i8, weights per tensor or per channel",
            rounding: "two roundings: doubling high multiply half up, then shift half away from zero",
            widths: "i32 sums, wrapping; the product of sum and multiplier is 64 bits; saturated to the fused activation's range",
            tables: "multiplier from the f64 quotient input scale x weight scale / output scale",
        },
        Numerics {
            types: "f32",
            rounding: "each product and each sum to nearest even, never fused; the bias is added last",
            widths: "f32; clamped to the finite range, NaN passes",
            tables: "none",
        },
    ],
};

/// Rows, depth and outputs.
struct Sizes {
    depth: usize,
    outputs: usize,
}

fn sizes(input: &Tensor, weights: &Tensor) -> Result<Sizes, Refusal> {
    let &[outputs, depth] = weights.shape() else {
        return Err(Refusal::new(format!(
            "the weights are {}, expected [outputs, depth]",
            weights.ty
        )));
    };
    if depth == 0 || !input.ty.len().is_multiple_of(depth) {
        return Err(Refusal::new(format!(
            "an input of {} with weights of {}",
            input.ty, weights.ty
        )));
    }
    Ok(Sizes { depth, outputs })
}

impl Operator for FullyConnected {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        self.list_attributes()
    }

    fn infer(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<TensorType>, InferError> {
        let (Some(Some(input)), Some(Some(weights))) = (inputs.first(), inputs.get(1)) else {
            return Err("an input and weights are needed".into());
        };
        let sizes = sizes(input, weights).map_err(|refusal| InferError(refusal.why))?;
        let mut shape = if self.keep_dims {
            input.shape().split_last().map(|(_, leading)| leading.to_vec()).unwrap_or_default()
        } else {
            vec![input.ty.len() / sizes.depth]
        };
        shape.push(sizes.outputs);
        Ok(vec![TensorType::new(input.dtype(), shape)])
    }

    fn assigned_states(&self) -> &'static [usize] {
        &[]
    }
}

impl Op for FullyConnected {
    fn evaluate(&self, cx: &mut Evaluation<'_>) -> Result<(), Refusal> {
        let (input, weights, output) = (cx.input(0)?, cx.input(1)?, cx.output(0)?);
        let Sizes { depth, outputs } = sizes(input, weights)?;
        let has_bias = cx.optional_input(2).is_some();
        match (input.dtype(), weights.dtype()) {
            (DType::I8, DType::I8) => {
                let (_, input_zero) = per_tensor(input, "the input")?;
                let (_, output_zero) = per_tensor(output, "the output")?;
                let (min, max) = self.activation.range_quantized(output)?;
                let scales = channel_scales(weights, 0, outputs, "the weights")?;
                let scale: Vec<_> = multipliers(input, &scales, output)?
                    .into_iter()
                    .map(quantize_multiplier)
                    .collect();
                let (x, w) = (cx.values::<i8>(0)?, cx.values::<i8>(1)?);
                let bias = if has_bias { cx.values::<i32>(2)? } else { vec![0; outputs] };
                let mut y = Vec::with_capacity(output.ty.len());
                for row in x.chunks_exact(depth) {
                    for channel in 0..outputs {
                        let mut sum = 0i32;
                        for k in 0..depth {
                            let product = (i32::from(row[k]) - input_zero)
                                .wrapping_mul(i32::from(w[channel * depth + k]));
                            sum = sum.wrapping_add(product);
                        }
                        let sum = sum.wrapping_add(bias[channel]);
                        let (multiplier, shift) = scale[channel];
                        let scaled =
                            reference::multiply_by_quantized_multiplier(sum, multiplier, shift);
                        y.push((scaled.wrapping_add(output_zero)).clamp(min, max) as i8);
                    }
                }
                cx.set(0, &y)
            }
            (DType::F32, DType::F32) => {
                let (min, max) = self.activation.range_f32();
                let (x, w) = (cx.values::<f32>(0)?, cx.values::<f32>(1)?);
                let bias = if has_bias { cx.values::<f32>(2)? } else { vec![0.0; outputs] };
                let mut y = Vec::with_capacity(output.ty.len());
                for row in x.chunks_exact(depth) {
                    for channel in 0..outputs {
                        let weights = &w[channel * depth..(channel + 1) * depth];
                        let sum: f64 = row
                            .iter()
                            .zip(weights)
                            .map(|(&a, &b)| f64::from(a) * f64::from(b))
                            .sum();
                        let sum = (sum + f64::from(bias[channel])) as f32;
                        y.push(reference::clamp_f32(sum, min, max));
                    }
                }
                cx.set(0, &y)
            }
            (x, w) => Err(Refusal::new(format!("{x} inputs with {w} weights are not supported"))),
        }
    }

    fn cost(&self, inputs: &[Option<&Tensor>], outputs: &[&Tensor]) -> Cost {
        let depth = inputs.get(1).copied().flatten().and_then(|w| w.shape().last().copied());
        let elements = outputs.first().map_or(0, |output| output.ty.len());
        Cost { macs: (elements * depth.unwrap_or(0)) as u64, elements: 0 }
    }

    fn lower(&self, cx: &mut Lower<'_>) -> Result<(), Refusal> {
        let (input, weights, output) = (cx.input(0)?, cx.input(1)?, cx.output(0)?);
        let Sizes { depth, outputs } = sizes(input, weights)?;
        let data = weights.constant().ok_or("the weights are not constant")?;
        let bias = match cx.optional_input(2) {
            Some(bias) => Some(bias.constant().ok_or("the bias is not constant")?.bytes()),
            None => None,
        };
        match (input.dtype(), weights.dtype()) {
            (DType::I8, DType::I8) => {
                let rows = elements::<i8>(data.bytes());
                let bias = bias.map(elements::<i32>);
                let (_, input_zero) = per_tensor(input, "the input")?;
                let (_, output_zero) = per_tensor(output, "the output")?;
                let range = self.activation.range_quantized(output)?;
                let scales = channel_scales(weights, 0, outputs, "the weights")?;
                let multipliers = multipliers(input, &scales, output)?;
                let channels =
                    Channels::new(&rows, depth, bias.as_deref(), input_zero, &multipliers)?;
                lower_rows_i8(cx, [depth, outputs], &rows, &channels, output_zero, range)
            }
            (DType::F32, DType::F32) => {
                let rows = elements::<f32>(data.bytes());
                let bias = bias.map_or_else(|| vec![0.0; outputs], elements::<f32>);
                lower_rows_f32(cx, [depth, outputs], &rows, bias, self.activation.range_f32())
            }
            (x, w) => Err(Refusal::new(format!("{x} inputs with {w} weights are not supported"))
                .help("quantize activations as well as weights, or keep both in f32")),
        }
    }

    fn with_activation(&self, activation: Activation) -> Option<Arc<dyn Op>> {
        let activation = self.activation.then(activation)?;
        Some(Arc::new(Self { activation, ..self.clone() }))
    }
}

/// Lowers to rows of `depth` inputs, each to a row of `outputs`: `sizes` are these two.
pub(crate) fn lower_rows_i8(
    cx: &mut Lower<'_>,
    sizes: [usize; 2],
    rows: &[i8],
    channels: &Channels,
    output_zero_point: i32,
    (min, max): (i32, i32),
) -> Result<(), Refusal> {
    let (inputs, outputs) = (small(sizes[0])?, small(sizes[1])?);
    let one = cx.input(0)?.ty.len() == sizes[0];
    let longest = if one { Some(0) } else { pack::longest(rows, sizes[0]) };
    let holds_zero = min <= output_zero_point && output_zero_point <= max;
    let threes = longest.filter(|_| holds_zero);
    let inputs_of = Inputs { whole_blocks: true, few_runs: true, threes, rows_as_they_are: true };
    let (layout, weights) = pack::weights_i8(cx, channels, rows, sizes[0], sizes[1], inputs_of);
    let table = channels.constant_for(cx, layout, 2);
    let args = [Arg::Input(0), weights, table, Arg::Output(0)];
    match layout {
        Layout::Pairs => {
            cx.call(FullyConnectedPairsI8 { inputs, outputs, output_zero_point, min, max }, &args);
        }
        Layout::Eights => {
            cx.call(FullyConnectedEightsI8 { inputs, outputs, output_zero_point, min, max }, &args);
        }
        Layout::Threes(_) if one => {
            cx.call(FullyConnectedRowI8 { inputs, outputs, output_zero_point, min, max }, &args);
        }
        Layout::Threes(longest) => cx.call(
            FullyConnectedThreesI8 { inputs, outputs, output_zero_point, min, max, longest },
            &args,
        ),
        Layout::Rows => {
            cx.call(FullyConnectedRowsI8 { inputs, outputs, output_zero_point, min, max }, &args);
        }
        Layout::Interleaved if channels.any => {
            cx.call(FullyConnectedAnyI8 { inputs, outputs, output_zero_point, min, max }, &args);
        }
        Layout::Interleaved => {
            cx.call(FullyConnectedI8 { inputs, outputs, output_zero_point, min, max }, &args);
        }
    }
    Ok(())
}

/// As [`lower_rows_i8`], in f32.
pub(crate) fn lower_rows_f32(
    cx: &mut Lower<'_>,
    sizes: [usize; 2],
    rows: &[f32],
    bias: Vec<f32>,
    (min, max): (f32, f32),
) -> Result<(), Refusal> {
    let packed = ConstantData::F32(pack::interleave(rows, sizes[0]));
    let weights = cx.constant("weights", "4 rows interleaved", Some(1), packed);
    let bias = cx.constant("bias", "", Some(2), ConstantData::F32(bias));
    let (inputs, outputs) = (small(sizes[0])?, small(sizes[1])?);
    let args = [Arg::Input(0), weights, bias, Arg::Output(0)];
    cx.call(FullyConnectedF32 { inputs, outputs, min, max }, &args);
    Ok(())
}
