//! RESIZE_NEAREST_NEIGHBOR: an image of another size, each pixel the nearest one of the input.

use crate::common::{shape, small};
use crate::eval::Evaluation;
use crate::lower::{Arg, ConstantData, Lower};
use crate::movement::{self, Move, constant_ints, element_bytes};
use crate::op::{Cost, Definition, Numerics, Op, Refusal, TfliteSpelling};
use crate::reference;
use kinglet_graph::{Attribute, InferError, Operator, Tensor, TensorType};
use kinglet_kernels::ResizeNearestBytes;

operator! {
    /// Inputs: `x [batch, height, width, channels]`, constant `size [2]`: new height and width.
    ResizeNearestNeighbor "resize_nearest_neighbor" {
        /// The corner pixels of input and output lie on each other.
        align_corners: bool,
        /// Pixels are asked for at their centers, half a pixel in.
        half_pixel_centers: bool,
    }
}

/// The operator's entry in the list.
pub const DEFINITION: Definition = Definition {
    name: ResizeNearestNeighbor::NAME,
    tflite: &[TfliteSpelling {
        code: "RESIZE_NEAREST_NEIGHBOR",
        versions: 1..=4,
        read: |node| {
            Ok(ResizeNearestNeighbor {
                align_corners: node.bool("align_corners")?,
                half_pixel_centers: node.bool("half_pixel_centers")?,
            }
            .into())
        },
    }],
    parse: ResizeNearestNeighbor::parse,
    types: movement::MOVED,
    numerics: &[Numerics {
        types: "all whose elements are whole bytes",
        rounding: "none: elements are moved as they are; the place in the input is rounded down, or half away from zero with align_corners",
        widths: "places are f32, computed on the host",
        tables: "for each output row and column, where its input is; none when every pixel is repeated or left out equally often",
    }],
};

impl ResizeNearestNeighbor {
    /// For each place along an output axis, the place along the input axis: the reference's
    /// `GetNearestNeighbor`.
    fn places(&self, input: usize, output: usize) -> Vec<usize> {
        let scale = if self.align_corners && output > 1 {
            input.saturating_sub(1) as f32 / (output - 1) as f32
        } else {
            input as f32 / output as f32
        };
        let offset = if self.half_pixel_centers { 0.5 } else { 0.0 };
        let place = |at: usize| {
            let exact = (at as f32 + offset) * scale;
            let place = if self.align_corners { exact.round() } else { exact.floor() };
            (place as usize).min(input.saturating_sub(1))
        };
        (0..output).map(place).collect()
    }
}

/// More pixels along an axis than any image has; each costs an entry of a table.
const LONGEST: usize = 1 << 20;

/// The output's shape.
fn size(x: &Tensor, size: Option<&Tensor>) -> Result<[usize; 4], Refusal> {
    let [batches, height, width, channels] = shape::<4>(x, "the input")?;
    let values = constant_ints(size, "the size")?;
    let lengths: Option<Vec<_>> = values.iter().map(|&v| usize::try_from(v).ok()).collect();
    let out = match lengths.as_deref() {
        Some(&[rows, columns])
            if [rows, columns].iter().all(|length| (1..=LONGEST).contains(length))
                && height > 0
                && width > 0 =>
        {
            [batches, rows, columns, channels]
        }
        _ => return Err(Refusal::new(format!("{} cannot be resized to {values:?}", x.ty))),
    };
    // Nothing in the file bounds the output but these numbers.
    match TensorType::new(x.dtype(), out).checked_bytes() {
        Some(_) => Ok(out),
        None => Err(Refusal::new(format!("an output of {out:?} is larger than the memory"))),
    }
}

/// A table of places in which each of `count` places, `step` apart from `first` on, stands `repeat`
/// times.
fn regular(places: &[usize]) -> Option<(usize, usize, isize, usize)> {
    let first = *places.first()?;
    let repeat = places.iter().take_while(|&&place| place == first).count();
    let second = places.get(repeat).copied().unwrap_or(first);
    let step = second.checked_signed_diff(first)?;
    let count = places.len() / repeat;
    let expected = |at: usize| {
        let steps = isize::try_from(at / repeat).ok()?;
        first.checked_add_signed(step.checked_mul(steps)?)
    };
    let fits = count * repeat == places.len()
        && places.iter().enumerate().all(|(at, &place)| expected(at) == Some(place));
    fits.then_some((first, count, step, repeat))
}

impl Operator for ResizeNearestNeighbor {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        self.list_attributes()
    }

    fn infer(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<TensorType>, InferError> {
        let x = movement::input(inputs, 0, "x")?;
        let shape = size(x, inputs.get(1).copied().flatten());
        Ok(vec![TensorType::new(x.dtype(), shape.map_err(|refusal| InferError(refusal.why))?)])
    }

    fn assigned_states(&self) -> &'static [usize] {
        &[]
    }
}

impl Op for ResizeNearestNeighbor {
    fn evaluate(&self, cx: &mut Evaluation<'_>) -> Result<(), Refusal> {
        let x = cx.input(0)?;
        let out = size(x, cx.optional_input(1))?;
        let [_, height, width, _] = shape::<4>(x, "the input")?;
        let (rows, columns) = (self.places(height, out[1]), self.places(width, out[2]));
        let y = reference::gather(x, cx.bytes(0)?, element_bytes(x.dtype())?, &out, &[], |place| {
            Some(vec![place[0], rows[place[1]], columns[place[2]], place[3]])
        });
        cx.set(0, &y)
    }

    fn cost(&self, _inputs: &[Option<&Tensor>], outputs: &[&Tensor]) -> Cost {
        Cost::of_outputs(outputs)
    }

    fn lower(&self, cx: &mut Lower<'_>) -> Result<(), Refusal> {
        let x = cx.input(0)?;
        let [batches, out_rows, out_columns, channels] = size(x, cx.optional_input(1))?;
        let [_, height, width, _] = shape::<4>(x, "the input")?;
        let (rows, columns) = (self.places(height, out_rows), self.places(width, out_columns));
        if let (Some(row), Some(column)) = (regular(&rows), regular(&columns)) {
            let (first_row, row_count, row_step, row_repeat) = row;
            let (first_column, column_count, column_step, column_repeat) = column;
            let strides = movement::signed_strides(x.shape())?;
            let axes = [batches, row_count, row_repeat, column_count, column_repeat, channels];
            let input_strides =
                [strides[0], row_step * strides[1], 0, column_step * strides[2], 0, strides[3]];
            let start = (first_row * width + first_column) * channels;
            let output_strides = movement::strides(&axes);
            let repeat = Move::new(&axes, (start, &input_strides), (0, &output_strides));
            return repeat.lower_or_alias(cx, (0, 0), x.ty.len());
        }
        let pixel = channels * element_bytes(x.dtype())?;
        let image = small(height * width * pixel)?;
        let table = |places: &[usize], bytes: usize| {
            let place = |&place: &usize| {
                i32::try_from(place * bytes).map_err(|_| "an image that is too large")
            };
            places.iter().map(place).collect::<Result<Vec<_>, _>>()
        };
        let rows = table(&rows, width * pixel)?;
        let columns = table(&columns, pixel)?;
        let rows = cx.constant("rows", "places in bytes", None, ConstantData::I32(rows));
        let columns = cx.constant("columns", "places in bytes", None, ConstantData::I32(columns));
        cx.call(
            ResizeNearestBytes { image_bytes: image, pixel_bytes: small(pixel)? },
            &[Arg::Input(0), rows, columns, Arg::Output(0)],
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::movement::test::ints;
    use kinglet_graph::DType;

    fn places(
        align_corners: bool,
        half_pixel_centers: bool,
        input: usize,
        output: usize,
    ) -> Vec<usize> {
        ResizeNearestNeighbor { align_corners, half_pixel_centers }.places(input, output)
    }

    /// Expected values are those of the reference's `GetNearestNeighbor`.
    #[test]
    fn places_are_the_references() {
        assert_eq!(places(false, false, 3, 6), [0, 0, 1, 1, 2, 2]);
        assert_eq!(places(false, false, 3, 5), [0, 0, 1, 1, 2]);
        assert_eq!(places(false, true, 3, 5), [0, 0, 1, 2, 2]);
        assert_eq!(places(true, false, 3, 5), [0, 1, 1, 2, 2]);
        assert_eq!(places(true, false, 3, 1), [0]);
        assert_eq!(places(true, true, 2, 4), [0, 1, 1, 1]);
        assert_eq!(places(false, true, 6, 3), [1, 3, 5]);
    }

    #[test]
    fn regular_tables_are_found() {
        assert_eq!(regular(&[0, 0, 1, 1, 2, 2]), Some((0, 3, 1, 2)));
        assert_eq!(regular(&[1, 3, 5]), Some((1, 3, 2, 1)));
        assert_eq!(regular(&[0, 0, 0]), Some((0, 1, 0, 3)));
        assert_eq!(regular(&[0, 0, 1, 1, 2]), None);
        assert_eq!(regular(&[0, 1, 1, 2, 2]), None);
        assert_eq!(regular(&[]), None);
    }

    #[test]
    fn sizes_are_positive() {
        let x = Tensor::value("x", TensorType::new(DType::I8, [1, 3, 3, 2]));
        let op = ResizeNearestNeighbor { align_corners: false, half_pixel_centers: false };
        let shape = |size: &[i32]| {
            let types = op.infer(&[Some(&x), Some(&ints(size))])?;
            Ok::<_, InferError>(types[0].shape.clone())
        };
        assert_eq!(shape(&[6, 5]).unwrap(), [1, 6, 5, 2]);
        for wrong in [&[6][..], &[0, 5], &[-1, 5], &[6, 5, 2], &[i32::MAX, 1]] {
            assert!(shape(wrong).is_err(), "{wrong:?}");
        }
    }
}
