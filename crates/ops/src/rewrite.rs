//! What passes ask operators: which of them only surround an image with padding or only clamp, and
//! which can do that themselves on the way. Passes know no operator by name.

use crate::common::{Activation, Geometry, Padding, window_axis};
use crate::op::Refusal;
use kinglet_graph::{DType, Tensor};

/// Elements of one value around each image of a batch, NHWC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Border {
    /// Rows above, columns left, rows below, columns right.
    pub pads: [usize; 4],
    /// The bytes of one element.
    pub value: Vec<u8>,
}

impl Border {
    /// A border from the padding before and after each axis; `None` unless images alone are padded:
    /// four axes, nothing along batch and channels.
    pub fn of_image(paddings: &[(usize, usize)], value: Vec<u8>) -> Option<Self> {
        match *paddings {
            [(0, 0), (top, bottom), (left, right), (0, 0)] => {
                Some(Self { pads: [top, left, bottom, right], value })
            }
            _ => None,
        }
    }
}

impl Geometry {
    /// The padding that over the image without the border has the windows that this geometry has over
    /// the image with it (`padded`, its shape).
    ///
    /// # Errors
    /// As [`Geometry::over`].
    pub fn with_border(&self, border: &Border, padded: &[usize]) -> Result<Padding, Refusal> {
        let over = |padding| Geometry { padding, ..*self };
        let own = match self.padding {
            Padding::Valid => [0; 4],
            Padding::Explicit(pads) => pads,
            Padding::Same => {
                let &[_, height, width, _] = padded else {
                    return Err(Refusal::new("an image has four axes"));
                };
                let axis = |axis: usize, len: usize| {
                    let (window, stride, dilation) =
                        (self.window[axis], self.stride[axis], self.dilation[axis]);
                    let (out, before) =
                        window_axis(Padding::Same, len, window, stride, dilation, (0, 0))?;
                    let span = window.saturating_sub(1).saturating_mul(dilation).saturating_add(1);
                    let needed = out.saturating_sub(1).saturating_mul(stride).saturating_add(span);
                    Ok::<_, Refusal>((before, needed.saturating_sub(len).saturating_sub(before)))
                };
                let ((top, bottom), (left, right)) = (axis(0, height)?, axis(1, width)?);
                [top, left, bottom, right]
            }
        };
        let mut pads = [0; 4];
        for (pad, (own, border)) in pads.iter_mut().zip(own.iter().zip(border.pads)) {
            *pad = own.checked_add(border).ok_or("a padding that is too long")?;
        }
        let padding = Padding::Explicit(pads);
        over(padding).over(padded)?;
        Ok(padding)
    }
}

impl Activation {
    /// The activation that does this one and then another.
    #[must_use]
    pub fn then(self, next: Self) -> Option<Self> {
        use Activation::{None as Nothing, Relu, Relu6};
        match (self, next) {
            (same, Nothing) => Some(same),
            (Nothing, next) => Some(next),
            (same, next) if same == next => Some(same),
            (Relu, Relu6) | (Relu6, Relu) => Some(Relu6),
            _ => None,
        }
    }
}

/// Whether a border's value is what a weighted sum takes for nothing: the zero point of an int8 image,
/// 0 in f32.
pub fn is_neutral_in_sum(border: &Border, image: &Tensor) -> bool {
    match image.dtype() {
        DType::I8 => {
            let zero = image.quantization.as_ref().and_then(|quantization| quantization.single());
            let zero = zero.and_then(|(_, zero)| i8::try_from(zero).ok());
            zero.is_some_and(|zero| border.value == zero.to_le_bytes())
        }
        DType::F32 => border.value == 0f32.to_le_bytes(),
        _ => false,
    }
}

/// Whether a border's value never raises a maximum: the least of the type.
pub fn is_neutral_in_maximum(border: &Border, image: &Tensor) -> bool {
    match (image.dtype(), border.value.as_slice()) {
        (DType::I8, &[value]) => value == i8::MIN.to_le_bytes()[0],
        (DType::F32, &[a, b, c, d]) => {
            matches!(f32::from_le_bytes([a, b, c, d]), f32::MIN | f32::NEG_INFINITY)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where each window starts, as offset from the image without border, and how many there are.
    fn windows(padding: Padding, geometry: Geometry, shape: &[usize]) -> [u32; 4] {
        let window = Geometry { padding, ..geometry }.over(shape).unwrap();
        [window.out_height, window.out_width, window.pad_top, window.pad_left]
    }

    #[test]
    fn padding_and_border_together_have_the_same_windows() {
        let border = Border { pads: [1, 2, 3, 0], value: vec![0] };
        for padding in [Padding::Same, Padding::Valid, Padding::Explicit([2, 0, 1, 1])] {
            for stride in [1, 2, 3] {
                let geometry =
                    Geometry { padding, window: [3, 2], stride: [stride, 1], dilation: [1, 2] };
                let padded = windows(padding, geometry, &[1, 11, 9, 4]);
                let both = geometry.with_border(&border, &[1, 11, 9, 4]).unwrap();
                let bare = windows(both, geometry, &[1, 7, 7, 4]);
                let [rows, columns, top, left] = padded;
                assert_eq!(bare, [rows, columns, top + 1, left + 2], "{padding:?} {stride}");
            }
        }
    }

    #[test]
    fn a_border_is_of_images_alone() {
        let border = Border::of_image(&[(0, 0), (1, 2), (3, 4), (0, 0)], vec![7]);
        assert_eq!(border.unwrap().pads, [1, 3, 2, 4]);
        assert_eq!(Border::of_image(&[(0, 0), (1, 2), (3, 4), (0, 1)], vec![7]), None);
        assert_eq!(Border::of_image(&[(0, 0), (1, 2), (0, 0)], vec![7]), None);
    }

    #[test]
    fn activations_compose() {
        use Activation::{None as Nothing, Relu, Relu6, ReluN1To1};
        assert_eq!(Relu6.then(Relu), Some(Relu6));
        assert_eq!(Nothing.then(ReluN1To1), Some(ReluN1To1));
        assert_eq!(Relu.then(Nothing), Some(Relu));
        // [-1, 1] and then [0, ...] is [0, 1], which no operator has.
        assert_eq!(ReluN1To1.then(Relu), None);
    }
}
