//! MAX_POOL_2D: the maximum of each window, channel by channel.

use crate::average_pool_2d::same_scale;
use crate::common::{Activation, Geometry, Padding, each_window, shape, small};
use crate::eval::Evaluation;
use crate::lower::{Arg, Lower};
use crate::op::{Cost, Definition, Numerics, Op, Refusal, TfliteSpelling};
use crate::reference;
use crate::rewrite::{Border, is_neutral_in_maximum};
use kinglet_graph::{Attribute, DType, InferError, Operator, Tensor, TensorType};
use kinglet_kernels::{MaxPool2dF32, MaxPool2dI8, Window};
use std::sync::Arc;

operator! {
    /// Input: `x [batch, height, width, channels]`. A window is cut at the border: padding does not count.
    MaxPool2d "max_pool_2d" {
        /// Padding.
        padding: Padding,
        /// Rows, columns of the window.
        window: [usize; 2],
        /// Rows, columns from one window to the next.
        stride: [usize; 2],
        /// Fused activation.
        activation: Activation,
    }
}

/// The operator's entry in the list.
pub const DEFINITION: Definition = Definition {
    name: MaxPool2d::NAME,
    tflite: &[TfliteSpelling {
        code: "MAX_POOL_2D",
        versions: 1..=3,
        read: |node| {
            Ok(MaxPool2d {
                padding: node.word("padding", Padding::from_tflite)?,
                window: [node.positive("filter_height")?, node.positive("filter_width")?],
                stride: [node.positive("stride_h")?, node.positive("stride_w")?],
                activation: node.word("fused_activation_function", Activation::from_tflite)?,
            }
            .into())
        },
    }],
    parse: MaxPool2d::parse,
    types: &["i8", "f32"],
    numerics: &[
        Numerics {
            types: "i8",
            rounding: "none",
            widths: "i32; input and output have one scale and zero point; clamped to the fused activation's range",
            tables: "none",
        },
        Numerics {
            types: "f32",
            rounding: "none",
            widths: "f32; clamped to the finite range; a NaN is never taken over another value",
            tables: "none",
        },
    ],
};

impl MaxPool2d {
    fn geometry(&self, input: &Tensor) -> Result<Window, Refusal> {
        let geometry = Geometry {
            padding: self.padding,
            window: self.window,
            stride: self.stride,
            dilation: [1, 1],
        };
        geometry.over(input.shape())
    }
}

impl Operator for MaxPool2d {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        self.list_attributes()
    }

    fn infer(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<TensorType>, InferError> {
        let Some(Some(input)) = inputs.first() else { return Err("an input is needed".into()) };
        let window = self.geometry(input).map_err(|refusal| InferError(refusal.why))?;
        let [batch, _, _, channels] =
            shape::<4>(input, "the input").map_err(|refusal| InferError(refusal.why))?;
        let (rows, columns) = (window.out_height as usize, window.out_width as usize);
        Ok(vec![TensorType::new(input.dtype(), [batch, rows, columns, channels])])
    }

    fn assigned_states(&self) -> &'static [usize] {
        &[]
    }
}

impl Op for MaxPool2d {
    fn evaluate(&self, cx: &mut Evaluation<'_>) -> Result<(), Refusal> {
        let (input, output) = (cx.input(0)?, cx.output(0)?);
        let window = self.geometry(input)?;
        match input.dtype() {
            DType::I8 => {
                same_scale(input, output)?;
                let (min, max) = self.activation.range_quantized(output)?;
                let x = cx.values::<i8>(0)?;
                let mut y = Vec::with_capacity(output.ty.len());
                each_window(&window, input, |taps| {
                    let greatest = taps.iter().map(|&i| i32::from(x[i])).max().unwrap_or(-128);
                    y.push(greatest.clamp(min, max) as i8);
                });
                cx.set(0, &y)
            }
            DType::F32 => {
                let (min, max) = self.activation.range_f32();
                let x = cx.values::<f32>(0)?;
                let mut y = Vec::with_capacity(output.ty.len());
                each_window(&window, input, |taps| {
                    // A NaN is never greater than another value.
                    let greatest =
                        taps.iter().fold(f32::MIN, |m, &i| if m < x[i] { x[i] } else { m });
                    y.push(reference::clamp_f32(greatest, min, max));
                });
                cx.set(0, &y)
            }
            other => Err(Refusal::new(format!("{other} inputs are not supported"))),
        }
    }

    fn cost(&self, _inputs: &[Option<&Tensor>], outputs: &[&Tensor]) -> Cost {
        let outputs: usize = outputs.iter().map(|output| output.ty.len()).sum();
        Cost { macs: 0, elements: (outputs * self.window[0] * self.window[1]) as u64 }
    }

    fn lower(&self, cx: &mut Lower<'_>) -> Result<(), Refusal> {
        let (input, output) = (cx.input(0)?, cx.output(0)?);
        let window = self.geometry(input)?;
        let [_, _, _, channels] = shape::<4>(input, "the input")?;
        let channels = small(channels)?;
        let args = [Arg::Input(0), Arg::Output(0)];
        match input.dtype() {
            DType::I8 => {
                same_scale(input, output)?;
                let (min, max) = self.activation.range_quantized(output)?;
                cx.call(MaxPool2dI8 { window, channels, min, max }, &args);
                Ok(())
            }
            DType::F32 => {
                let (min, max) = self.activation.range_f32();
                cx.call(MaxPool2dF32 { window, channels, min, max }, &args);
                Ok(())
            }
            other => Err(Refusal::new(format!("{other} inputs are not supported"))),
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
        let image = inputs.first().copied().flatten()?;
        let geometry = Geometry {
            padding: self.padding,
            window: self.window,
            stride: self.stride,
            dilation: [1, 1],
        };
        let padding = geometry.with_border(border, padded.shape()).ok()?;
        if !is_neutral_in_maximum(border, image) {
            return None;
        }
        Some(Arc::new(Self { padding, ..self.clone() }))
    }
}
