//! Attributes and rules that several operators share: padding, fused activations, windows.

use crate::op::Refusal;
use crate::quant::limits;
use crate::text::AttributeValue;
use kinglet_graph::{Attribute, Tensor};
use kinglet_kernels::Window;

/// How a window meets the border of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// As many zeros as make the output `ceil(input / stride)` long, the odd one at the end.
    Same,
    /// None.
    Valid,
    /// Rows above, columns left, rows below, columns right.
    Explicit([usize; 4]),
}

impl Padding {
    /// TensorFlow Lite's spelling.
    pub fn from_tflite(name: &str) -> Option<Self> {
        match name {
            "SAME" => Some(Padding::Same),
            "VALID" => Some(Padding::Valid),
            _ => None,
        }
    }
}

impl AttributeValue for Padding {
    const EXPECTED: &'static str = "same, valid or [top, left, bottom, right]";
    fn to_attribute(&self) -> Attribute {
        match self {
            Padding::Same => Attribute::Word("same".to_owned()),
            Padding::Valid => Attribute::Word("valid".to_owned()),
            Padding::Explicit(pads) => pads.to_attribute(),
        }
    }
    fn from_attribute(attribute: &Attribute) -> Option<Self> {
        match attribute {
            Attribute::Word(word) if word == "same" => Some(Padding::Same),
            Attribute::Word(word) if word == "valid" => Some(Padding::Valid),
            other => <[usize; 4]>::from_attribute(other).map(Padding::Explicit),
        }
    }
}

word_attribute! {
    /// An activation at an operator's end.
    Activation {
        /// None.
        None "none" "NONE",
        /// `max(x, 0)`
        Relu "relu" "RELU",
        /// `clamp(x, -1, 1)`
        ReluN1To1 "relu_n1_to_1" "RELU_N1_TO_1",
        /// `clamp(x, 0, 6)`
        Relu6 "relu6" "RELU6",
    }
}

impl Activation {
    /// The range of an f32 output. Without an activation the reference still clamps to the finite
    /// range, so that an infinity becomes the greatest finite value.
    pub fn range_f32(self) -> (f32, f32) {
        match self {
            Activation::None => (f32::MIN, f32::MAX),
            Activation::Relu => (0.0, f32::MAX),
            Activation::ReluN1To1 => (-1.0, 1.0),
            Activation::Relu6 => (0.0, 6.0),
        }
    }

    /// The range of a quantized output: TensorFlow Lite's `CalculateActivationRangeQuantized`.
    pub fn range_quantized(self, output: &Tensor) -> Result<(i32, i32), Refusal> {
        let (scale, zero_point) = crate::quant::per_tensor(output, "the output")?;
        let (min, max) = limits(output.dtype())
            .ok_or_else(|| Refusal::new(format!("an output of {} cannot be clamped", output.ty)))?;
        // `zero_point + round(real / scale)`, the division in f32 as there, half away from zero.
        let quantize = |real: f32| zero_point.saturating_add((real / scale).round() as i32);
        Ok(match self {
            Activation::None => (min, max),
            Activation::Relu => (min.max(quantize(0.0)), max),
            Activation::ReluN1To1 => (min.max(quantize(-1.0)), max.min(quantize(1.0))),
            Activation::Relu6 => (min.max(quantize(0.0)), max.min(quantize(6.0))),
        })
    }
}

/// One axis of a window: output length and padding before, by TensorFlow's rules.
///
/// Source: TensorFlow Lite `kernels/padding.h`, `ComputeOutSize` and `ComputePaddingWithOffset`.
pub fn window_axis(
    padding: Padding,
    input: usize,
    window: usize,
    stride: usize,
    dilation: usize,
    explicit: (usize, usize),
) -> Result<(usize, usize), Refusal> {
    let span = window
        .checked_sub(1)
        .and_then(|taps| taps.checked_mul(dilation))
        .and_then(|span| span.checked_add(1))
        .ok_or_else(|| Refusal::new("a window without taps, or too long"))?;
    if stride == 0 {
        return Err(Refusal::new("a stride of 0"));
    }
    match padding {
        Padding::Same => {
            let output = input.div_ceil(stride);
            let needed = output.saturating_sub(1).saturating_mul(stride).saturating_add(span);
            Ok((output, needed.saturating_sub(input) / 2))
        }
        Padding::Valid => Ok(((input + stride).saturating_sub(span) / stride, 0)),
        Padding::Explicit(_) => {
            let (before, after) = explicit;
            let padded = input.checked_add(before).and_then(|sum| sum.checked_add(after));
            let padded = padded.ok_or_else(|| Refusal::new("a padding that is too long"))?;
            Ok(((padded + stride).saturating_sub(span) / stride, before))
        }
    }
}

/// What a window operator knows of its geometry: shapes NHWC.
#[derive(Clone, Copy, Debug)]
pub struct Geometry {
    /// Padding.
    pub padding: Padding,
    /// Rows, columns of the window.
    pub window: [usize; 2],
    /// Rows, columns from one window to the next.
    pub stride: [usize; 2],
    /// Rows, columns from one tap to the next.
    pub dilation: [usize; 2],
}

impl Geometry {
    /// The window over an image of this shape (NHWC).
    pub fn over(&self, shape: &[usize]) -> Result<Window, Refusal> {
        let &[_, in_height, in_width, _] = shape else {
            return Err(Refusal::new(format!("an input of rank {}, expected NHWC", shape.len())));
        };
        let [top, left, bottom, right] = match self.padding {
            Padding::Explicit(pads) => pads,
            Padding::Same | Padding::Valid => [0; 4],
        };
        let (out_height, pad_top) = window_axis(
            self.padding,
            in_height,
            self.window[0],
            self.stride[0],
            self.dilation[0],
            (top, bottom),
        )?;
        let (out_width, pad_left) = window_axis(
            self.padding,
            in_width,
            self.window[1],
            self.stride[1],
            self.dilation[1],
            (left, right),
        )?;
        Ok(Window {
            in_height: small(in_height)?,
            in_width: small(in_width)?,
            out_height: small(out_height)?,
            out_width: small(out_width)?,
            height: small(self.window[0])?,
            width: small(self.window[1])?,
            stride_height: small(self.stride[0])?,
            stride_width: small(self.stride[1])?,
            dilation_height: small(self.dilation[0])?,
            dilation_width: small(self.dilation[1])?,
            pad_top: small(pad_top)?,
            pad_left: small(pad_left)?,
        })
    }
}

/// Whether any tap of the window falls outside the input.
pub fn touches_border(window: &Window) -> bool {
    let reaches = |out: u32, stride: u32, taps: u32, dilation: u32, pad: u32, input: u32| {
        let last = u64::from(out.saturating_sub(1)) * u64::from(stride)
            + u64::from(taps.saturating_sub(1)) * u64::from(dilation);
        pad > 0 || last >= u64::from(input) + u64::from(pad)
    };
    reaches(
        window.out_height,
        window.stride_height,
        window.height,
        window.dilation_height,
        window.pad_top,
        window.in_height,
    ) || reaches(
        window.out_width,
        window.stride_width,
        window.width,
        window.dilation_width,
        window.pad_left,
        window.in_width,
    )
}

/// Visits every output of a pooling window in order, with the flat indices of the taps that lie inside
/// the input (NHWC).
pub fn each_window(window: &Window, input: &Tensor, mut visit: impl FnMut(&[usize])) {
    let &[batches, height, width, channels] = input.shape() else { return };
    let axis = |out: u32, stride: u32, tap: u32, dilation: u32, pad: u32, len: usize| {
        let place = (out as usize * stride as usize + tap as usize * dilation as usize)
            .checked_sub(pad as usize)?;
        (place < len).then_some(place)
    };
    for batch in 0..batches {
        for y in 0..window.out_height {
            for x in 0..window.out_width {
                for channel in 0..channels {
                    let mut taps = Vec::new();
                    for ky in 0..window.height {
                        for kx in 0..window.width {
                            let row = axis(
                                y,
                                window.stride_height,
                                ky,
                                window.dilation_height,
                                window.pad_top,
                                height,
                            );
                            let column = axis(
                                x,
                                window.stride_width,
                                kx,
                                window.dilation_width,
                                window.pad_left,
                                width,
                            );
                            if let (Some(row), Some(column)) = (row, column) {
                                taps.push(
                                    ((batch * height + row) * width + column) * channels + channel,
                                );
                            }
                        }
                    }
                    visit(&taps);
                }
            }
        }
    }
}

/// A length as a kernel takes it. Kernels count in `u32`, and half of that range keeps every sum of
/// two lengths inside it.
pub fn small(length: usize) -> Result<u32, Refusal> {
    match u32::try_from(length) {
        Ok(length) if length <= u32::MAX / 2 => Ok(length),
        _ => Err(Refusal::new(format!("a length of {length} is too large"))),
    }
}

/// The lengths of a tensor of this rank.
pub fn shape<const N: usize>(tensor: &Tensor, what: &str) -> Result<[usize; N], Refusal> {
    tensor
        .shape()
        .try_into()
        .map_err(|_| Refusal::new(format!("{what} is {}, expected {N} axes", tensor.ty)))
}
