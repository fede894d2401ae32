//! AVERAGE_POOL_2D: the average of each window, channel by channel.

use crate::common::{Activation, Geometry, Padding, each_window, shape, small};
use crate::eval::Evaluation;
use crate::lower::{Arg, Lower};
use crate::op::{Cost, Definition, Numerics, Op, Refusal, TfliteSpelling};
use crate::{quant, reference};
use kinglet_graph::{Attribute, DType, InferError, Operator, Tensor, TensorType};
use kinglet_kernels::{AveragePool2dF32, AveragePool2dI8, Window};
use std::sync::Arc;

operator! {
    /// Input: `x [batch, height, width, channels]`. A window is cut at the border: padding does not count.
    AveragePool2d "average_pool_2d" {
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
    name: AveragePool2d::NAME,
    tflite: &[TfliteSpelling {
        code: "AVERAGE_POOL_2D",
        versions: 1..=3,
        read: |node| {
            Ok(AveragePool2d {
                padding: node.word("padding", Padding::from_tflite)?,
                window: [node.positive("filter_height")?, node.positive("filter_width")?],
                stride: [node.positive("stride_h")?, node.positive("stride_w")?],
                activation: node.word("fused_activation_function", Activation::from_tflite)?,
            }
            .into())
        },
    }],
    parse: AveragePool2d::parse,
    types: &["i8", "f32"],
    numerics: &[
        Numerics {
            types: "i8",
            rounding: "the sum divided by the number of taps inside the input, half away from zero",
            widths: "i32; input and output have one scale and zero point; clamped to the fused activation's range",
            tables: "none",
        },
        Numerics {
            types: "f32",
            rounding: "each sum and the quotient to nearest even",
            widths: "f32; clamped to the finite range",
            tables: "none",
        },
    ],
};

impl AveragePool2d {
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

/// Integers are only compared and added: both sides must have one zero point and one scale, to a
/// difference that the reference does not see either.
pub(crate) fn same_scale(input: &Tensor, output: &Tensor) -> Result<(), Refusal> {
    let (from, to) =
        (quant::per_tensor(input, "the input")?, quant::per_tensor(output, "the output")?);
    if (f64::from(from.0) - f64::from(to.0)).abs() <= 1e-6 && from.1 == to.1 {
        return Ok(());
    }
    Err(Refusal::new(format!(
        "input and output have the quantizations {from:?} and {to:?}, expected one"
    ))
    .help("the converter keeps the scale of a pooling layer; convert the model again"))
}

impl Operator for AveragePool2d {
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

impl Op for AveragePool2d {
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
                    let count = i32::try_from(taps.len()).unwrap_or(i32::MAX).max(1);
                    let sum: i32 = taps.iter().map(|&i| i32::from(x[i])).sum();
                    let rounded = if sum > 0 { sum + count / 2 } else { sum - count / 2 };
                    y.push((rounded / count).clamp(min, max) as i8);
                });
                cx.set(0, &y)
            }
            DType::F32 => {
                let (min, max) = self.activation.range_f32();
                let x = cx.values::<f32>(0)?;
                let mut y = Vec::with_capacity(output.ty.len());
                each_window(&window, input, |taps| {
                    let sum: f64 = taps.iter().map(|&i| f64::from(x[i])).sum();
                    let mean = (sum / taps.len() as f64) as f32;
                    y.push(reference::clamp_f32(mean, min, max));
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
                cx.call(AveragePool2dI8 { window, channels, min, max }, &args);
                Ok(())
            }
            DType::F32 => {
                let (min, max) = self.activation.range_f32();
                cx.call(AveragePool2dF32 { window, channels, min, max }, &args);
                Ok(())
            }
            other => Err(Refusal::new(format!("{other} inputs are not supported"))),
        }
    }

    fn with_activation(&self, activation: Activation) -> Option<Arc<dyn Op>> {
        let activation = self.activation.then(activation)?;
        Some(Arc::new(Self { activation, ..self.clone() }))
    }
}
