//! DEPTHWISE_CONV_2D: each input channel is convolved by itself.

use crate::common::{Activation, Geometry, Padding, shape, small, touches_border};
use crate::conv2d::{lower_i8, refuse_infinite};
use crate::eval::{Evaluation, elements};
use crate::lower::{Arg, ConstantData, Lower};
use crate::op::{Cost, Definition, Numerics, Op, Refusal, TfliteSpelling};
use crate::pack::{self, Channels, Layout};
use crate::quant::{channel_scales, multipliers, per_tensor, quantize_multiplier};
use crate::reference;
use crate::rewrite::{Border, is_neutral_in_sum};
use kinglet_graph::{Attribute, DType, InferError, Operator, Tensor, TensorType};
use kinglet_kernels::arch::helium::depthwise::BLOCK;
use kinglet_kernels::arch::rv32::sliding::Sliding;
use kinglet_kernels::arch::taps::TAPS;
use kinglet_kernels::{
    Conv2dF32, Conv2dI8, DepthwiseConv2dAnyI8, DepthwiseConv2dBlocksI8, DepthwiseConv2dF32,
    DepthwiseConv2dI8, DepthwiseConv2dShiftI8, DepthwiseConv2dSlidingI8, Window,
};
use std::sync::Arc;

operator! {
    /// Inputs: `x [batch, height, width, channels]`, `weights [1, rows, columns, outputs]` where
    /// `outputs` is a multiple of `channels`, optional `bias [outputs]`. Output channel `o` sees input
    /// channel `o / (outputs / channels)` only.
    DepthwiseConv2d "depthwise_conv2d" {
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
    name: DepthwiseConv2d::NAME,
    tflite: &[TfliteSpelling {
        code: "DEPTHWISE_CONV_2D",
        versions: 1..=6,
        read: |node| {
            // The shapes of input and weights say the same.
            node.ignore("depth_multiplier")?;
            Ok(DepthwiseConv2d {
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
    parse: DepthwiseConv2d::parse,
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
    channels: usize,
    outputs: usize,
    /// Output channels for each input channel.
    multiplier: usize,
    /// Weights of one output.
    taps: usize,
    window: Window,
}

impl DepthwiseConv2d {
    fn sizes(&self, input: &Tensor, weights: &Tensor) -> Result<Sizes, Refusal> {
        let [batches, _, _, channels] = shape::<4>(input, "the input")?;
        let [one, rows, columns, outputs] = shape::<4>(weights, "the weights")?;
        if one != 1 || channels == 0 || outputs == 0 || outputs % channels != 0 {
            return Err(Refusal::new(format!(
                "an input of {} with weights of {}",
                input.ty, weights.ty
            )));
        }
        let geometry = Geometry {
            padding: self.padding,
            window: [rows, columns],
            stride: self.stride,
            dilation: self.dilation,
        };
        let window = geometry.over(input.shape())?;
        let multiplier = outputs / channels;
        Ok(Sizes { batches, channels, outputs, multiplier, taps: rows * columns, window })
    }
}

/// The weights of each output channel side by side: `[taps, outputs]` to `[outputs, taps]`.
fn rows<T: Copy>(weights: &[T], outputs: usize) -> Vec<T> {
    let outputs = outputs.max(1);
    (0..outputs).flat_map(|output| weights.iter().skip(output).step_by(outputs).copied()).collect()
}

/// Windows of three by three, the columns of each side by side instead of the rows.
fn transposed(rows: &[i8]) -> Vec<i8> {
    let (windows, _) = rows.as_chunks::<9>();
    windows.iter().flat_map(|&[a, b, c, d, e, f, g, h, i]| [a, d, g, b, e, h, c, f, i]).collect()
}

impl Operator for DepthwiseConv2d {
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

impl Op for DepthwiseConv2d {
    fn evaluate(&self, cx: &mut Evaluation<'_>) -> Result<(), Refusal> {
        let (input, weights, output) = (cx.input(0)?, cx.input(1)?, cx.output(0)?);
        let sizes = self.sizes(input, weights)?;
        let has_bias = cx.optional_input(2).is_some();
        let window = sizes.window;
        // Every tap of an output that falls inside the input: (flat input index, flat weight index).
        let taps = |[batch, y, x, channel]: [usize; 4]| {
            let mut taps = Vec::with_capacity(sizes.taps);
            for ky in 0..window.height as usize {
                for kx in 0..window.width as usize {
                    let iy = (y * self.stride[0] + ky * self.dilation[0])
                        .checked_sub(window.pad_top as usize);
                    let ix = (x * self.stride[1] + kx * self.dilation[1])
                        .checked_sub(window.pad_left as usize);
                    let (Some(iy), Some(ix)) = (iy, ix) else { continue };
                    if iy < window.in_height as usize && ix < window.in_width as usize {
                        taps.push((
                            reference::index(input, &[batch, iy, ix, channel / sizes.multiplier]),
                            reference::index(weights, &[0, ky, kx, channel]),
                        ));
                    }
                }
            }
            taps
        };
        let mut places = Vec::with_capacity(output.ty.len());
        for batch in 0..sizes.batches {
            for y in 0..window.out_height as usize {
                for x in 0..window.out_width as usize {
                    places.extend((0..sizes.outputs).map(|channel| [batch, y, x, channel]));
                }
            }
        }
        match (input.dtype(), weights.dtype()) {
            (DType::I8, DType::I8) => {
                let (_, input_zero) = per_tensor(input, "the input")?;
                let (_, output_zero) = per_tensor(output, "the output")?;
                let (min, max) = self.activation.range_quantized(output)?;
                let scales = channel_scales(weights, 3, sizes.outputs, "the weights")?;
                let scale: Vec<_> = multipliers(input, &scales, output)?
                    .into_iter()
                    .map(quantize_multiplier)
                    .collect();
                let (x, w) = (cx.values::<i8>(0)?, cx.values::<i8>(1)?);
                let bias = if has_bias { cx.values::<i32>(2)? } else { vec![0; sizes.outputs] };
                let value = |place: [usize; 4]| {
                    let sum = taps(place).iter().fold(0i32, |sum, &(i, j)| {
                        sum.wrapping_add(
                            (i32::from(x[i]) - input_zero).wrapping_mul(i32::from(w[j])),
                        )
                    });
                    let sum = sum.wrapping_add(bias[place[3]]);
                    let (multiplier, shift) = scale[place[3]];
                    let scaled =
                        reference::multiply_by_quantized_multiplier(sum, multiplier, shift);
                    scaled.wrapping_add(output_zero).clamp(min, max) as i8
                };
                let y: Vec<i8> = places.into_iter().map(value).collect();
                cx.set(0, &y)
            }
            (DType::F32, DType::F32) => {
                let (min, max) = self.activation.range_f32();
                let (x, w) = (cx.values::<f32>(0)?, cx.values::<f32>(1)?);
                let bias = if has_bias { cx.values::<f32>(2)? } else { vec![0.0; sizes.outputs] };
                let value = |place: [usize; 4]| {
                    let products = taps(place);
                    let sum: f64 =
                        products.iter().map(|&(i, j)| f64::from(x[i]) * f64::from(w[j])).sum();
                    let sum = (sum + f64::from(bias[place[3]])) as f32;
                    reference::clamp_f32(sum, min, max)
                };
                let y: Vec<f32> = places.into_iter().map(value).collect();
                cx.set(0, &y)
            }
            (x, w) => Err(Refusal::new(format!("{x} inputs with {w} weights are not supported"))),
        }
    }

    fn cost(&self, inputs: &[Option<&Tensor>], outputs: &[&Tensor]) -> Cost {
        let taps = inputs.get(1).copied().flatten().and_then(|w| w.shape().get(1..3));
        let taps: usize = taps.map_or(0, |axes| axes.iter().product());
        let elements = outputs.first().map_or(0, |output| output.ty.len());
        Cost { macs: (elements as u64).saturating_mul(taps as u64), elements: 0 }
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
        let channels = small(sizes.channels)?;
        // The kernel takes neighboring channels together and needs one output for each. Anything else
        // is a convolution of as many groups as there are input channels.
        let depthwise = sizes.multiplier == 1 && sizes.channels > 1;
        let packing = "4 channels interleaved";
        let padding_len = match (padded, depthwise) {
            (false, _) => 0,
            (true, true) => sizes.channels,
            (true, false) => window.width as usize,
        };
        match (input.dtype(), weights.dtype()) {
            (DType::I8, DType::I8) => {
                let (_, input_zero) = per_tensor(input, "the input")?;
                let (_, output_zero_point) = per_tensor(output, "the output")?;
                let (min, max) = self.activation.range_quantized(output)?;
                let scales = channel_scales(weights, 3, sizes.outputs, "the weights")?;
                let multipliers = multipliers(input, &scales, output)?;
                let rows = rows(&elements::<i8>(data.bytes()), sizes.outputs);
                let bias = bias.map(elements::<i32>);
                let channel_table =
                    Channels::new(&rows, sizes.taps, bias.as_deref(), input_zero, &multipliers)?;
                let zero = i8::try_from(input_zero).map_err(|_| "a zero point out of range")?;
                let padding = vec![zero; padding_len];
                if !depthwise {
                    let kernel = Conv2dI8 {
                        window,
                        in_channels: channels,
                        out_channels: small(sizes.outputs)?,
                        groups: channels,
                        output_zero_point,
                        min,
                        max,
                    };
                    lower_i8(cx, kernel, &channel_table, &rows, padding);
                    return Ok(());
                }
                let holds_zero = min <= output_zero_point && output_zero_point <= max;
                if holds_zero
                    && channel_table.for_threes(cx)
                    && Sliding::new(&window, sizes.channels).is_some()
                {
                    let (packed, label) = if Sliding::down(&window) {
                        (transposed(&rows), "3x3, column by column")
                    } else {
                        (rows, "3x3, row by row")
                    };
                    let weights =
                        cx.constant("weights", label, Some(1), ConstantData::I8(packed));
                    let table = channel_table.constant_for(cx, Layout::Threes(0), 2);
                    cx.call(
                        DepthwiseConv2dSlidingI8 {
                            window,
                            channels,
                            input_zero_point: input_zero,
                            output_zero_point,
                            min,
                            max,
                        },
                        &[Arg::Input(0), weights, table, Arg::Output(0)],
                    );
                    return Ok(());
                }
                if sizes.taps <= TAPS
                    && channel_table.for_rows(cx)
                    && let Some(shifts) = &channel_table.shifts
                    && let Some((packed, words)) = pack::blocks(&rows, sizes.taps, shifts)
                {
                    let packed = ConstantData::I8(packed);
                    let weights = cx.constant("weights", "blocks of 16 channels", Some(1), packed);
                    let packing = "16 biases, then 4 multipliers and 4 shifts four times";
                    let table = cx.constant("channels", packing, Some(2), ConstantData::I32(words));
                    // Windows of nine taps have it at hand whether they touch it or not.
                    let nine = window.height == 3 && window.width == 3;
                    let len = if nine { sizes.channels.max(BLOCK) } else { padding_len };
                    let padding = vec![zero; len];
                    let padding = cx.constant("padding", "", None, ConstantData::I8(padding));
                    let kernel =
                        DepthwiseConv2dBlocksI8 { window, channels, output_zero_point, min, max };
                    cx.call(kernel, &[Arg::Input(0), weights, table, padding, Arg::Output(0)]);
                    return Ok(());
                }
                let packed = ConstantData::I8(pack::interleave(&rows, sizes.taps));
                let weights = cx.constant("weights", packing, Some(1), packed);
                let shifts = sizes.taps <= TAPS
                    && (channel_table.for_eights(cx) || channel_table.for_threes(cx));
                let layout = if shifts { Layout::Eights } else { Layout::Interleaved };
                let table = channel_table.constant_for(cx, layout, 2);
                let padding = cx.constant("padding", "", None, ConstantData::I8(padding));
                let args = [Arg::Input(0), weights, table, padding, Arg::Output(0)];
                if shifts {
                    let kernel =
                        DepthwiseConv2dShiftI8 { window, channels, output_zero_point, min, max };
                    cx.call(kernel, &args);
                } else if channel_table.any {
                    let kernel =
                        DepthwiseConv2dAnyI8 { window, channels, output_zero_point, min, max };
                    cx.call(kernel, &args);
                } else {
                    let kernel =
                        DepthwiseConv2dI8 { window, channels, output_zero_point, min, max };
                    cx.call(kernel, &args);
                }
                Ok(())
            }
            (DType::F32, DType::F32) => {
                let (min, max) = self.activation.range_f32();
                let rows = rows(&elements::<f32>(data.bytes()), sizes.outputs);
                let bias = bias.map_or_else(|| vec![0.0; sizes.outputs], elements::<f32>);
                refuse_infinite(padded, &rows)?;
                let packed = if depthwise {
                    pack::interleave(&rows, sizes.taps)
                } else {
                    pack::interleave_groups(&rows, sizes.taps, sizes.multiplier)
                };
                let weights = cx.constant("weights", packing, Some(1), ConstantData::F32(packed));
                let bias = cx.constant("bias", "", Some(2), ConstantData::F32(bias));
                let padding = ConstantData::F32(vec![0.0; padding_len]);
                let padding = cx.constant("padding", "", None, padding);
                let args = [Arg::Input(0), weights, bias, padding, Arg::Output(0)];
                if depthwise {
                    cx.call(DepthwiseConv2dF32 { window, channels, min, max }, &args);
                } else {
                    let kernel = Conv2dF32 {
                        window,
                        in_channels: channels,
                        out_channels: small(sizes.outputs)?,
                        groups: channels,
                        min,
                        max,
                    };
                    cx.call(kernel, &args);
                }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weights_of_a_channel_stand_side_by_side() {
        assert_eq!(rows(&[1, 2, 3, 4, 5, 6], 3), [1, 4, 2, 5, 3, 6]);
    }
}
