//! Operators that only move data share this: constant parameters, axes, and the step from "which input
//! element does each output element come from" to one of the copying kernels.

use crate::common::small;
use crate::lower::{Arg, Lower};
use crate::op::{Numerics, Refusal};
use kinglet_graph::{DType, InferError, Tensor};
use kinglet_kernels::{CopyRows, CopyStridedI16, CopyStridedI32, CopyStridedI64, CopyStridedU8};

/// The row of the numerics page for operators that move elements.
pub const NUMERICS: &[Numerics] = &[Numerics {
    types: "all whose elements are whole bytes",
    rounding: "none: elements are moved as they are",
    widths: "none",
    tables: "none",
}];

/// Element types whose elements are whole bytes: what can be moved.
pub const MOVED: &[&str] =
    &["bool", "i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "f16", "f32", "f64", "c64"];

/// Bytes of an element that can be moved.
pub fn element_bytes(dtype: DType) -> Result<usize, Refusal> {
    match dtype.bits() {
        bits if bits > 0 && bits % 8 == 0 => Ok(bits / 8),
        _ => Err(Refusal::new(format!("elements of type {dtype} cannot be moved one by one"))),
    }
}

/// An input that must be there, while types are inferred.
pub fn input<'a>(
    inputs: &[Option<&'a Tensor>],
    index: usize,
    what: &str,
) -> Result<&'a Tensor, InferError> {
    let input = inputs.get(index).copied().flatten();
    input.ok_or_else(|| InferError(format!("input {index} ({what}) is missing")))
}

/// The whole numbers of a constant parameter tensor, i32 or i64.
pub fn constant_ints(tensor: Option<&Tensor>, what: &str) -> Result<Vec<i64>, Refusal> {
    let tensor = tensor.ok_or_else(|| Refusal::new(format!("{what} is missing")))?;
    let data = tensor.constant().ok_or_else(|| {
        Refusal::new(format!("{what} (\"{}\") is not constant", tensor.name)).help(
            "the sizes of all tensors must be known: convert the model with a fixed input shape",
        )
    })?;
    match tensor.dtype() {
        DType::I32 => {
            Ok(crate::eval::elements::<i32>(data.bytes()).into_iter().map(i64::from).collect())
        }
        DType::I64 => Ok(crate::eval::elements::<i64>(data.bytes())),
        dtype => Err(Refusal::new(format!("{what} is of type {dtype}, expected i32 or i64"))),
    }
}

/// The one whole number of a constant parameter tensor.
pub fn constant_int(tensor: Option<&Tensor>, what: &str) -> Result<i64, Refusal> {
    match constant_ints(tensor, what)?[..] {
        [value] => Ok(value),
        ref values => {
            Err(Refusal::new(format!("{what} has {} elements, expected 1", values.len())))
        }
    }
}

/// An axis counted from the front; a negative one counts from the back.
pub fn axis(value: i64, rank: usize) -> Result<usize, Refusal> {
    let places = i64::try_from(rank).unwrap_or(i64::MAX);
    let counted = if value < 0 { value.saturating_add(places) } else { value };
    usize::try_from(counted)
        .ok()
        .filter(|&axis| axis < rank)
        .ok_or_else(|| Refusal::new(format!("axis {value} of a tensor with {rank} axes")))
}

/// Elements from one index to the next along each axis of a tensor without gaps.
pub fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1usize; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis].saturating_mul(shape[axis]);
    }
    strides
}

/// As [`strides`], for a side that may be walked backwards.
pub fn signed_strides(shape: &[usize]) -> Result<Vec<isize>, Refusal> {
    let stride = |stride| isize::try_from(stride).map_err(|_| "a tensor that is too large".into());
    strides(shape).into_iter().map(stride).collect()
}

/// A strided copy kernel with the parameters of a [`Layout`].
macro_rules! strided {
    ($Kernel:ident, $layout:expr) => {{
        let Layout { counts, input_start, input_strides, output_start, output_strides } = $layout;
        $Kernel { counts, input_start, input_strides, output_start, output_strides }
    }};
}

/// One axis of a [`Move`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    /// Steps along the axis.
    pub count: usize,
    /// Elements from one step to the next in the input; 0 repeats, a negative stride goes backwards.
    pub input_stride: isize,
    /// Elements from one step to the next in the output.
    pub output_stride: usize,
}

/// Which elements of an input go where in an output: nested loops, the last axis innermost. Places are
/// counted in elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The first element's place in the input.
    pub input_start: usize,
    /// The first element's place in the output.
    pub output_start: usize,
    /// The loops.
    pub axes: Vec<Axis>,
}

impl Move {
    /// A box of an input to a box of an output: `shape` elements along the axes, from `input_start` on
    /// with these strides, to `output_start` with those.
    pub fn new(
        shape: &[usize],
        (input_start, input_strides): (usize, &[isize]),
        (output_start, output_strides): (usize, &[usize]),
    ) -> Self {
        let strides = input_strides.iter().zip(output_strides);
        let axes = shape.iter().zip(strides).map(|(&count, (&input_stride, &output_stride))| {
            Axis { count, input_stride, output_stride }
        });
        Self { input_start, output_start, axes: axes.collect() }
    }

    /// The same move with as few axes as possible: axes of one step go, and neighbors that are one
    /// walk on both sides become one.
    #[must_use]
    pub fn collapsed(&self) -> Self {
        let mut axes: Vec<Axis> = Vec::with_capacity(self.axes.len());
        for &inner in self.axes.iter().filter(|axis| axis.count != 1) {
            if let Some(outer) = axes.last_mut() {
                let input = isize::try_from(inner.count).map(|n| inner.input_stride.checked_mul(n));
                let output = inner.output_stride.checked_mul(inner.count);
                if input == Ok(Some(outer.input_stride)) && output == Some(outer.output_stride) {
                    let count = outer.count.saturating_mul(inner.count);
                    *outer = Axis { count, ..inner };
                    continue;
                }
            }
            axes.push(inner);
        }
        Self { axes, ..*self }
    }

    /// Whether the output is the input, element for element: `len` is the length of both.
    pub fn is_identity(&self, len: usize) -> bool {
        let starts = self.input_start == 0 && self.output_start == 0;
        starts
            && match self.collapsed().axes[..] {
                [] => len == 1,
                [Axis { count, input_stride: 1, output_stride: 1 }] => count == len,
                _ => false,
            }
    }

    /// Lowers a move that makes a whole output, at these positions (output, input); `len` is the
    /// input's length. Where both are the same elements in the same order, they share their memory.
    pub fn lower_or_alias(
        &self,
        cx: &mut Lower<'_>,
        (output, input): (usize, usize),
        len: usize,
    ) -> Result<(), Refusal> {
        if self.is_identity(len) {
            cx.alias(output, input);
            return Ok(());
        }
        let dtype = cx.input(input)?.dtype();
        self.lower(cx, dtype, Arg::Input(input), Arg::Output(output))
    }

    /// Emits the call that does this move, or none when there is nothing to move. `input` and `output`
    /// are tensors of `dtype`, and as long as the move's places need.
    pub fn lower(
        &self,
        cx: &mut Lower<'_>,
        dtype: DType,
        input: Arg,
        output: Arg,
    ) -> Result<(), Refusal> {
        if self.axes.iter().any(|axis| axis.count == 0) {
            return Ok(());
        }
        let size = element_bytes(dtype)?;
        let mut collapsed = self.collapsed();
        let last = collapsed.axes.last().copied();
        let adjacent = last.filter(|axis| axis.input_stride == 1 && axis.output_stride == 1);
        // What is adjacent on both sides is moved as bytes, whatever its type: one kernel serves all.
        let is_bytes =
            adjacent.is_some() || collapsed.axes.is_empty() || !matches!(size, 1 | 2 | 4 | 8);
        if is_bytes {
            if adjacent.is_some() {
                collapsed.axes.pop();
            }
            let run = adjacent.map_or(1, |axis| axis.count).saturating_mul(size);
            return collapsed.lower_runs(cx, size, run, input, output);
        }
        let layout = collapsed.layout(1)?;
        match size {
            1 => cx.call(strided!(CopyStridedU8, layout), &[input, output]),
            2 => cx.call(strided!(CopyStridedI16, layout), &[input, output]),
            4 => cx.call(strided!(CopyStridedI32, layout), &[input, output]),
            _ => cx.call(strided!(CopyStridedI64, layout), &[input, output]),
        }
        Ok(())
    }

    /// Moves runs of `run` adjacent bytes; `self` has the axes around them, in elements of `size`
    /// bytes.
    fn lower_runs(
        mut self,
        cx: &mut Lower<'_>,
        size: usize,
        run: usize,
        input: Arg,
        output: Arg,
    ) -> Result<(), Refusal> {
        let rows = match self.axes[..] {
            [] => Some((1, 0, 0)),
            [Axis { count, input_stride, output_stride }] => {
                usize::try_from(input_stride).ok().map(|stride| (count, stride, output_stride))
            }
            _ => None,
        };
        let Some((rows, input_stride, output_stride)) = rows else {
            for axis in &mut self.axes {
                let stride =
                    isize::try_from(size).ok().and_then(|n| axis.input_stride.checked_mul(n));
                axis.input_stride = stride.ok_or("a stride that is too large")?;
                axis.output_stride = axis.output_stride.saturating_mul(size);
            }
            self.axes.push(Axis { count: run, input_stride: 1, output_stride: 1 });
            cx.call(strided!(CopyStridedU8, self.layout(size)?), &[input, output]);
            return Ok(());
        };
        let bytes = |elements: usize| small(elements.saturating_mul(size));
        let kernel = CopyRows {
            rows: small(rows)?,
            row_bytes: small(run)?,
            input_start: bytes(self.input_start)?,
            input_stride: bytes(input_stride)?,
            output_start: bytes(self.output_start)?,
            output_stride: bytes(output_stride)?,
        };
        cx.call(kernel, &[input, output]);
        Ok(())
    }

    /// The parameters of a strided copy, starts times `start_scale`.
    fn layout(&self, start_scale: usize) -> Result<Layout, Refusal> {
        let mut layout = Layout {
            counts: [1; 6],
            input_start: small(self.input_start.saturating_mul(start_scale))?,
            input_strides: [0; 6],
            output_start: small(self.output_start.saturating_mul(start_scale))?,
            output_strides: [0; 6],
        };
        let first = layout.counts.len().checked_sub(self.axes.len()).ok_or_else(|| {
            Refusal::new(format!("a move along {} axes, at most 6 are supported", self.axes.len()))
        })?;
        for (slot, axis) in (first..).zip(&self.axes) {
            layout.counts[slot] = small(axis.count)?;
            layout.input_strides[slot] = i32::try_from(axis.input_stride)
                .map_err(|_| format!("a stride of {} is too large", axis.input_stride))?;
            layout.output_strides[slot] = small(axis.output_stride)?;
        }
        Ok(layout)
    }
}

/// The parameters that all widths of the strided copy have.
struct Layout {
    counts: [u32; 6],
    input_start: u32,
    input_strides: [i32; 6],
    output_start: u32,
    output_strides: [u32; 6],
}

/// Tensors for the tests of the operators.
#[cfg(test)]
pub(crate) mod test {
    use kinglet_graph::{DType, Data, Tensor, TensorKind, TensorType};

    /// A constant i32 vector.
    pub(crate) fn ints(values: &[i32]) -> Tensor {
        let bytes = bytemuck::cast_slice(values).to_vec();
        Tensor {
            kind: TensorKind::Constant(Data::new(bytes)),
            ..Tensor::value("parameter", TensorType::new(DType::I32, [values.len()]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axes(list: &[(usize, isize, usize)]) -> Vec<Axis> {
        let axis = |&(count, input_stride, output_stride): &(usize, isize, usize)| Axis {
            count,
            input_stride,
            output_stride,
        };
        list.iter().map(axis).collect()
    }

    #[test]
    fn axes_that_are_one_walk_become_one() {
        // [2, 3, 4] to itself.
        let whole = Move {
            input_start: 0,
            output_start: 0,
            axes: axes(&[(2, 12, 12), (3, 4, 4), (4, 1, 1)]),
        };
        assert_eq!(whole.collapsed().axes, axes(&[(24, 1, 1)]));
        assert!(whole.is_identity(24));
        assert!(!whole.is_identity(48));
        // A transpose of the last two axes.
        let turned = Move {
            input_start: 0,
            output_start: 0,
            axes: axes(&[(2, 12, 12), (4, 1, 3), (3, 4, 1)]),
        };
        assert_eq!(turned.collapsed().axes, turned.axes);
        // Axes of one step say nothing.
        let ones = Move {
            input_start: 0,
            output_start: 0,
            axes: axes(&[(1, 7, 9), (5, 1, 1), (1, 3, 2)]),
        };
        assert!(ones.is_identity(5));
    }

    #[test]
    fn axes_count_from_either_end() {
        assert_eq!(axis(-1, 4).unwrap(), 3);
        assert_eq!(axis(0, 4).unwrap(), 0);
        assert!(axis(4, 4).is_err());
        assert!(axis(-5, 4).is_err());
        assert!(axis(i64::MIN, 4).is_err());
    }
}
