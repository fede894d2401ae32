//! CONV_2D, grouped or not.

use crate::common::{Activation, Geometry, Padding, shape, small, touches_border};
use crate::eval::{Evaluation, elements};
use crate::fully_connected::{lower_rows_f32, lower_rows_i8};
use crate::lower::{Arg, ConstantData, Lower};
use crate::op::{Cost, Definition, Numerics, Op, Refusal, TfliteSpelling};
use crate::pack::{self, Channels, Inputs, Layout};
use crate::quant::{channel_scales, multipliers, per_tensor, quantize_multiplier};
use crate::reference;
use crate::rewrite::{Border, is_neutral_in_sum};
use kinglet_graph::{Attribute, DType, InferError, Operator, Tensor, TensorType};
use kinglet_kernels::arch::{rv32, v6m};
use kinglet_kernels::conv2d::takes_rows;
use kinglet_kernels::conv2d::threes::PATCH;
use kinglet_kernels::dot::PAIRS_PATCH;
use kinglet_kernels::{
    Conv2dAnyI8, Conv2dEightsI8, Conv2dF32, Conv2dI8, Conv2dPairsI8, Conv2dRowsI8, Conv2dThreesI8,
    Window,
};
use std::sync::Arc;

operator! {
    /// Inputs: `x [batch, height, width, channels]`, `weights [outputs, rows, columns, channels /
    /// groups]`, optional `bias [outputs]`.
    Conv2d "conv2d" {
        /// Padding.
        padding: Padding,
        /// Rows, columns from one window to the next.
        stride: [usize; 2],
        /// Rows, columns from one tap to the next.
        dilation: [usize; 2],
        /// Fused activation.
        activation: Activation,
    }
}

/// The operator's entry in the list.
pub const DEFINITION: Definition = Definition {
    name: Conv2d::NAME,
    tflite: &[TfliteSpelling {
        code: "CONV_2D",
        versions: 1..=8,
        read: |node| {
            // The type the bias was quantized to; the bias tensor's own type says the same.
            node.ignore("quantized_bias_type")?;
            Ok(Conv2d {
                padding: node.word("padding", Padding::from_tflite)?,
                stride: [node.positive("stride_h")?, node.positive("stride_w")?],
                dilation: [
                    node.positive("dilation_h_factor")?,
                    node.positive("dilation_w_factor")?,
                ],
                activation: node.word("fused_activation_function", Activation::from_tflite)?,
            }
            .into())
        },
    }],
    parse: Conv2d::parse,
    types: &["i8", "f32"],
    numerics: &[
        Numerics {
            types: "i8, weights per channel or per tensor",
            rounding: "two roundings: doubling high multiply half up, then shift half away from zero",
            widths: "i32 sums, wrapping; the product of sum and multiplier is 64 bits; padding is the input's zero point; saturated to the fused activation's range",
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

struct Sizes {
    batches: usize,
    in_channels: usize,
    outputs: usize,
    groups: usize,
    /// Weights of one output.
    depth: usize,
    window: Window,
}

impl Conv2d {
    fn sizes(&self, input: &Tensor, weights: &Tensor) -> Result<Sizes, Refusal> {
        let [batches, _, _, in_channels] = shape::<4>(input, "the input")?;
        let [outputs, rows, columns, group_channels] = shape::<4>(weights, "the weights")?;
        if group_channels == 0 || in_channels % group_channels != 0 {
            return Err(Refusal::new(format!(
                "an input of {} with weights of {}",
                input.ty, weights.ty
            )));
        }
        let groups = in_channels / group_channels;
        if groups == 0 || outputs == 0 || outputs % groups != 0 {
            return Err(Refusal::new(format!("{outputs} output channels in {groups} groups")));
        }
        let geometry = Geometry {
            padding: self.padding,
            window: [rows, columns],
            stride: self.stride,
            dilation: self.dilation,
        };
        let window = geometry.over(input.shape())?;
        Ok(Sizes {
            batches,
            in_channels,
            outputs,
            groups,
            depth: rows * columns * group_channels,
            window,
        })
    }
}

impl Operator for Conv2d {
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
        let sizes = self.sizes(input, weights).map_err(|refusal| InferError(refusal.why))?;
        let (rows, columns) = (sizes.window.out_height as usize, sizes.window.out_width as usize);
        Ok(vec![TensorType::new(input.dtype(), [sizes.batches, rows, columns, sizes.outputs])])
    }

    fn assigned_states(&self) -> &'static [usize] {
        &[]
    }
}

impl Op for Conv2d {
    fn evaluate(&self, cx: &mut Evaluation<'_>) -> Result<(), Refusal> {
        let (input, weights, output) = (cx.input(0)?, cx.input(1)?, cx.output(0)?);
        let sizes = self.sizes(input, weights)?;
        let has_bias = cx.optional_input(2).is_some();
        let [_, rows, columns, group_channels] = shape::<4>(weights, "the weights")?;
        // Every tap that falls inside the input: (flat input index, flat weight index).
        let taps = |batch: usize, y: usize, x: usize, channel: usize| {
            let group = channel / (sizes.outputs / sizes.groups);
            let window = sizes.window;
            let mut taps = Vec::with_capacity(sizes.depth);
            for ky in 0..rows {
                for kx in 0..columns {
                    let iy = (y * self.stride[0] + ky * self.dilation[0])
                        .checked_sub(window.pad_top as usize);
                    let ix = (x * self.stride[1] + kx * self.dilation[1])
                        .checked_sub(window.pad_left as usize);
                    let (Some(iy), Some(ix)) = (iy, ix) else { continue };
                    if iy >= window.in_height as usize || ix >= window.in_width as usize {
                        continue;
                    }
                    for c in 0..group_channels {
                        taps.push((
                            reference::index(input, &[batch, iy, ix, group * group_channels + c]),
                            reference::index(weights, &[channel, ky, kx, c]),
                        ));
                    }
                }
            }
            taps
        };
        let places = |visit: &mut dyn FnMut(Vec<(usize, usize)>, usize)| {
            for batch in 0..sizes.batches {
                for y in 0..sizes.window.out_height as usize {
                    for x in 0..sizes.window.out_width as usize {
                        for channel in 0..sizes.outputs {
                            visit(taps(batch, y, x, channel), channel);
                        }
                    }
                }
            }
        };
        match (input.dtype(), weights.dtype()) {
            (DType::I8, DType::I8) => {
                let (_, input_zero) = per_tensor(input, "the input")?;
                let (_, output_zero) = per_tensor(output, "the output")?;
                let (min, max) = self.activation.range_quantized(output)?;
                let scales = channel_scales(weights, 0, sizes.outputs, "the weights")?;
                let scale: Vec<_> = multipliers(input, &scales, output)?
                    .into_iter()
                    .map(quantize_multiplier)
                    .collect();
                let (x, w) = (cx.values::<i8>(0)?, cx.values::<i8>(1)?);
                let bias = if has_bias { cx.values::<i32>(2)? } else { vec![0; sizes.outputs] };
                let mut y = Vec::with_capacity(output.ty.len());
                places(&mut |taps, channel| {
                    let sum = taps.iter().fold(0i32, |sum, &(i, j)| {
                        sum.wrapping_add(
                            (i32::from(x[i]) - input_zero).wrapping_mul(i32::from(w[j])),
                        )
                    });
                    let sum = sum.wrapping_add(bias[channel]);
                    let (multiplier, shift) = scale[channel];
                    let scaled =
                        reference::multiply_by_quantized_multiplier(sum, multiplier, shift);
                    y.push(scaled.wrapping_add(output_zero).clamp(min, max) as i8);
                });
                cx.set(0, &y)
            }
            (DType::F32, DType::F32) => {
                let (min, max) = self.activation.range_f32();
                let (x, w) = (cx.values::<f32>(0)?, cx.values::<f32>(1)?);
                let bias = if has_bias { cx.values::<f32>(2)? } else { vec![0.0; sizes.outputs] };
                let mut y = Vec::with_capacity(output.ty.len());
                places(&mut |taps, channel| {
                    let sum: f64 =
                        taps.iter().map(|&(i, j)| f64::from(x[i]) * f64::from(w[j])).sum();
                    let sum = (sum + f64::from(bias[channel])) as f32;
                    y.push(reference::clamp_f32(sum, min, max));
                });
                cx.set(0, &y)
            }
            (x, w) => Err(Refusal::new(format!("{x} inputs with {w} weights are not supported"))),
        }
    }

    fn cost(&self, inputs: &[Option<&Tensor>], outputs: &[&Tensor]) -> Cost {
        let depth = inputs.get(1).copied().flatten().and_then(|w| w.shape().get(1..));
        let depth: usize = depth.map_or(0, |axes| axes.iter().product());
        let elements = outputs.first().map_or(0, |output| output.ty.len());
        Cost { macs: (elements * depth) as u64, elements: 0 }
    }

    fn lower(&self, cx: &mut Lower<'_>) -> Result<(), Refusal> {
        let (input, weights, output) = (cx.input(0)?, cx.input(1)?, cx.output(0)?);
        let sizes = self.sizes(input, weights)?;
        let data = weights.constant().ok_or("the weights are not constant")?;
        let bias = match cx.optional_input(2) {
            Some(bias) => Some(bias.constant().ok_or("the bias is not constant")?.bytes()),
            None => None,
        };
        let window = sizes.window;
        let padded = touches_border(&window);
        let group_channels = sizes.in_channels / sizes.groups;
        let row_len = window.width as usize * group_channels;
        let in_channels = small(sizes.in_channels)?;
        let out_channels = small(sizes.outputs)?;
        let groups = small(sizes.groups)?;
        // A window of one place that goes from place to place is a fully connected layer of many rows.
        let pointwise = sizes.groups == 1
            && [window.height, window.width] == [1; 2]
            && [window.stride_height, window.stride_width] == [1; 2]
            && !padded;
        match (input.dtype(), weights.dtype()) {
            (DType::I8, DType::I8) => {
                let (_, input_zero) = per_tensor(input, "the input")?;
                let (_, output_zero_point) = per_tensor(output, "the output")?;
                let (min, max) = self.activation.range_quantized(output)?;
                let scales = channel_scales(weights, 0, sizes.outputs, "the weights")?;
                let multipliers = multipliers(input, &scales, output)?;
                let rows = elements::<i8>(data.bytes());
                let bias = bias.map(elements::<i32>);
                let channels =
                    Channels::new(&rows, sizes.depth, bias.as_deref(), input_zero, &multipliers)?;
                if pointwise {
                    let lengths = [sizes.depth, sizes.outputs];
                    return lower_rows_i8(
                        cx,
                        lengths,
                        &rows,
                        &channels,
                        output_zero_point,
                        (min, max),
                    );
                }
                let zero = i8::try_from(input_zero).map_err(|_| "a zero point out of range")?;
                let padding = if padded { vec![zero; row_len] } else { Vec::new() };
                let kernel = Conv2dI8 {
                    window,
                    in_channels,
                    out_channels,
                    groups,
                    output_zero_point,
                    min,
                    max,
                };
                lower_i8(cx, kernel, &channels, &rows, padding);
                Ok(())
            }
            (DType::F32, DType::F32) => {
                let (min, max) = self.activation.range_f32();
                let rows = elements::<f32>(data.bytes());
                let bias = bias.map_or_else(|| vec![0.0; sizes.outputs], elements::<f32>);
                if pointwise {
                    let lengths = [sizes.depth, sizes.outputs];
                    return lower_rows_f32(cx, lengths, &rows, bias, (min, max));
                }
                refuse_infinite(padded, &rows)?;
                let packed = pack::interleave_groups(&rows, sizes.depth, sizes.outputs / sizes.groups);
                let padding = if padded { vec![0.0; row_len] } else { Vec::new() };
                let packed = ConstantData::F32(packed);
                let weights = cx.constant("weights", "4 rows interleaved", Some(1), packed);
                let bias = cx.constant("bias", "", Some(2), ConstantData::F32(bias));
                let padding = cx.constant("padding", "", None, ConstantData::F32(padding));
                cx.call(
                    Conv2dF32 { window, in_channels, out_channels, groups, min, max },
                    &[Arg::Input(0), weights, bias, padding, Arg::Output(0)],
                );
                Ok(())
            }
            (x, w) => Err(Refusal::new(format!("{x} inputs with {w} weights are not supported"))
                .help("quantize activations as well as weights, or keep both in f32")),
        }
    }

    fn with_activation(&self, activation: Activation) -> Option<Arc<dyn Op>> {
        let activation = self.activation.then(activation)?;
        Some(Arc::new(Self { activation, ..self.clone() }))
    }

    fn with_border(
        &self,
        border: &Border,
        inputs: &[Option<&Tensor>],
        padded: &Tensor,
    ) -> Option<Arc<dyn Op>> {
        let (Some(Some(image)), Some(Some(weights))) = (inputs.first(), inputs.get(1)) else {
            return None;
        };
        let [_, rows, columns, _] = shape::<4>(weights, "the weights").ok()?;
        let geometry = Geometry {
            padding: self.padding,
            window: [rows, columns],
            stride: self.stride,
            dilation: self.dilation,
        };
        let padding = geometry.with_border(border, padded.shape()).ok()?;
        if !is_neutral_in_sum(border, image) {
            return None;
        }
        Some(Arc::new(Self { padding, ..self.clone() }))
    }
}

/// Packs weights, rows of one output channel each, and adds the call of this kernel or of the one of the same
/// meaning that takes them.
pub(crate) fn lower_i8(
    cx: &mut Lower<'_>,
    kernel: Conv2dI8,
    channels: &Channels,
    rows: &[i8],
    padding: Vec<i8>,
) {
    let Conv2dI8 { window, in_channels, out_channels, groups, output_zero_point, min, max } =
        kernel;
    let (groups_len, outputs) = (groups.max(1) as usize, out_channels.max(1) as usize);
    let depth = rows.len() / outputs;
    // What is not gathered comes in runs of the channels of a group.
    let whole_blocks = (in_channels as usize / groups_len).is_multiple_of(4) || depth <= PAIRS_PATCH;
    // On ARMv6-M runs of inputs are taken where they lie.
    let runs_a_row = if window.width <= window.in_width { 2 } else { 3 };
    let adjacent = groups == 1 && window.dilation_width == 1;
    let few_runs =
        adjacent && (window.height as usize).saturating_mul(runs_a_row) <= v6m::RUNS;
    let holds_zero = min <= output_zero_point && output_zero_point <= max;
    let threes = if adjacent && holds_zero { threes(&window, rows, depth) } else { None };
    let rows_as_they_are = groups == 1 && takes_rows(&window, in_channels, out_channels);
    let inputs = Inputs { whole_blocks, few_runs, threes, rows_as_they_are };
    let (layout, weights) =
        pack::weights_i8(cx, channels, rows, depth, outputs / groups_len, inputs);
    let table = channels.constant_for(cx, layout, 2);
    let padding = cx.constant("padding", "", None, ConstantData::I8(padding));
    let args = [Arg::Input(0), weights, table, padding, Arg::Output(0)];
    match layout {
        Layout::Pairs => cx.call(
            Conv2dPairsI8 { window, in_channels, out_channels, groups, output_zero_point, min, max },
            &args,
        ),
        Layout::Eights => cx.call(
            Conv2dEightsI8 { window, in_channels, out_channels, output_zero_point, min, max },
            &args,
        ),
        Layout::Threes(longest) => cx.call(
            Conv2dThreesI8 {
                window,
                in_channels,
                out_channels,
                output_zero_point,
                min,
                max,
                longest,
            },
            &args,
        ),
        Layout::Rows => cx.call(
            Conv2dRowsI8 { window, in_channels, out_channels, output_zero_point, min, max },
            &args,
        ),
        Layout::Interleaved if channels.any => cx.call(
            Conv2dAnyI8 { window, in_channels, out_channels, groups, output_zero_point, min, max },
            &args,
        ),
        Layout::Interleaved => cx.call(kernel, &args),
    }
}

/// For how many neighboring inputs three places can be computed at once, if they can.
fn threes(window: &Window, rows: &[i8], depth: usize) -> Option<u32> {
    // At a border each tap may be a run of its own, unless all are gathered.
    let few = window.height.saturating_mul(window.width) <= rv32::RUNS as u32;
    if !few && depth > PATCH {
        return None;
    }
    let one = (window.out_height, window.out_width) == (1, 1);
    if one { Some(0) } else { pack::longest(rows, depth) }
}

/// The kernel multiplies padding by 0 where the reference leaves it out: the same unless a weight is
/// infinite or no number.
pub(crate) fn refuse_infinite(padded: bool, weights: &[f32]) -> Result<(), Refusal> {
    if padded && weights.iter().any(|weight| !weight.is_finite()) {
        return Err(Refusal::new("a weight that is infinite or not a number, over padding"));
    }
    Ok(())
}
