//! STRIDED_SLICE: every n-th element from here to there, along each axis.

use crate::eval::Evaluation;
use crate::lower::Lower;
use crate::movement::{self, Move, constant_ints, element_bytes};
use crate::op::{Cost, Definition, Op, Refusal, TfliteSpelling};
use crate::reference;
use kinglet_graph::{Attribute, InferError, Operator, Tensor, TensorType};

operator! {
    /// Inputs: `x`, constant `begin`, `end` and `strides` of one length: the entries of a slice as
    /// NumPy writes it. Bit `i` of a mask speaks of entry `i`.
    StridedSlice "strided_slice" {
        /// Entries whose begin is the first element in walking direction.
        begin_mask: i64,
        /// Entries whose end is after the last element in walking direction.
        end_mask: i64,
        /// The entry, at most one, that stands for all axes no other entry speaks of.
        ellipsis_mask: i64,
        /// Entries that add an axis of length 1.
        new_axis_mask: i64,
        /// Entries that take one element and drop the axis.
        shrink_axis_mask: i64,
        /// Whether ends count from the begin.
        offset: bool,
    }
}

/// The operator's entry in the list.
pub const DEFINITION: Definition = Definition {
    name: StridedSlice::NAME,
    tflite: &[TfliteSpelling {
        code: "STRIDED_SLICE",
        versions: 1..=8,
        read: |node| {
            Ok(StridedSlice {
                begin_mask: node.int("begin_mask")?,
                end_mask: node.int("end_mask")?,
                ellipsis_mask: node.int("ellipsis_mask")?,
                new_axis_mask: node.int("new_axis_mask")?,
                shrink_axis_mask: node.int("shrink_axis_mask")?,
                offset: node.bool("offset")?,
            }
            .into())
        },
    }],
    parse: StridedSlice::parse,
    types: movement::MOVED,
    numerics: movement::NUMERICS,
};

/// What is taken along one axis of the input, or an axis of length 1 that is new in the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Taken {
    /// The first element; means nothing when none is taken.
    start: i64,
    step: i64,
    count: usize,
    /// Whether there is an axis for it in the input.
    in_input: bool,
    /// Whether there is an axis for it in the output.
    in_output: bool,
}

impl StridedSlice {
    /// What is taken, in the order of the axes of input and output.
    fn taken(
        &self,
        x: &Tensor,
        [begin, end, strides]: [Option<&Tensor>; 3],
    ) -> Result<Vec<Taken>, Refusal> {
        let begin = constant_ints(begin, "the begin")?;
        let end = constant_ints(end, "the end")?;
        let strides = constant_ints(strides, "the strides")?;
        if begin.len() != end.len() || begin.len() != strides.len() || begin.len() > 32 {
            return Err(Refusal::new(format!(
                "a slice of {} begins, {} ends and {} strides",
                begin.len(),
                end.len(),
                strides.len()
            )));
        }
        let has = |mask: i64, entry: usize| mask >> entry & 1 == 1;
        let is_ellipsis = |entry: usize| has(self.ellipsis_mask, entry);
        let is_new = |entry: usize| has(self.new_axis_mask, entry) && !is_ellipsis(entry);
        let entries = 0..begin.len();
        let ellipses = entries.clone().filter(|&entry| is_ellipsis(entry)).count();
        let named = entries.clone().filter(|&entry| !is_ellipsis(entry) && !is_new(entry)).count();
        let rank = x.shape().len();
        let Some(unnamed) = rank.checked_sub(named).filter(|_| ellipses <= 1) else {
            return Err(Refusal::new(format!(
                "a slice of {named} axes and {ellipses} ellipses does not fit {}",
                x.ty
            )));
        };
        let mut taken = Vec::with_capacity(rank + begin.len());
        let mut lengths = x.shape().iter().copied();
        let whole =
            |count: usize| Taken { start: 0, step: 1, count, in_input: true, in_output: true };
        for entry in entries {
            if is_ellipsis(entry) {
                taken.extend(lengths.by_ref().take(unnamed).map(whole));
            } else if is_new(entry) {
                taken.push(Taken { in_input: false, ..whole(1) });
            } else if let Some(length) = lengths.next() {
                let range = (begin[entry], end[entry], strides[entry]);
                taken.push(self.range(entry, length, range)?);
            }
        }
        taken.extend(lengths.map(whole));
        Ok(taken)
    }

    /// What an entry takes of an axis: the reference's `StartForAxis` and `StopForAxis`.
    fn range(
        &self,
        entry: usize,
        length: usize,
        (begin, end, step): (i64, i64, i64),
    ) -> Result<Taken, Refusal> {
        let has = |mask: i64| mask >> entry & 1 == 1;
        let len = i64::try_from(length).map_err(|_| "an axis that is too long")?;
        if step == 0 {
            return Err(Refusal::new(format!("entry {entry} of the slice has a stride of 0")));
        }
        // Where a walk may stand before its first or after its last element.
        let (low, high) = if step > 0 { (0, len) } else { (-1, len - 1) };
        let place = |value: i64| {
            let counted = if value < 0 { value.saturating_add(len) } else { value };
            counted.clamp(low, high.max(low))
        };
        let (first, after) = if step > 0 { (low, high) } else { (high, low) };
        let start = if has(self.begin_mask) { first } else { place(begin) };
        if has(self.shrink_axis_mask) {
            if step < 0 || start >= len {
                return Err(Refusal::new(format!(
                    "entry {entry} of the slice takes element {begin} of {length} with a stride of {step}"
                )));
            }
            return Ok(Taken { start, step: 1, count: 1, in_input: true, in_output: false });
        }
        let end = if self.offset { end.saturating_add(start) } else { end };
        let end = if has(self.end_mask) { after } else { place(end) };
        let walk = if step > 0 { end - start } else { start - end };
        let count = usize::try_from(walk).unwrap_or(0).div_ceil(step.unsigned_abs() as usize);
        Ok(Taken { start, step, count, in_input: true, in_output: true })
    }
}

impl Operator for StridedSlice {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        self.list_attributes()
    }

    fn infer(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<TensorType>, InferError> {
        let x = movement::input(inputs, 0, "x")?;
        let parameters = [1, 2, 3].map(|index| inputs.get(index).copied().flatten());
        let taken = self.taken(x, parameters).map_err(|refusal| InferError(refusal.why))?;
        let shape = taken.iter().filter(|axis| axis.in_output).map(|axis| axis.count);
        Ok(vec![TensorType::new(x.dtype(), shape.collect::<Vec<_>>())])
    }

    fn assigned_states(&self) -> &'static [usize] {
        &[]
    }
}

impl Op for StridedSlice {
    fn evaluate(&self, cx: &mut Evaluation<'_>) -> Result<(), Refusal> {
        let (x, output) = (cx.input(0)?, cx.output(0)?);
        let taken = self.taken(x, [1, 2, 3].map(|index| cx.optional_input(index)))?;
        let size = element_bytes(x.dtype())?;
        let y = reference::gather(x, cx.bytes(0)?, size, output.shape(), &[], |place| {
            let mut place = place.iter();
            let mut from = Vec::with_capacity(x.shape().len());
            for axis in &taken {
                let at = if axis.in_output { place.next().copied()? } else { 0 };
                if axis.in_input {
                    from.push(usize::try_from(axis.start + at as i64 * axis.step).ok()?);
                }
            }
            Some(from)
        });
        cx.set(0, &y)
    }

    fn cost(&self, _inputs: &[Option<&Tensor>], outputs: &[&Tensor]) -> Cost {
        Cost::of_outputs(outputs)
    }

    fn lower(&self, cx: &mut Lower<'_>) -> Result<(), Refusal> {
        let (x, output) = (cx.input(0)?, cx.output(0)?);
        let taken = self.taken(x, [1, 2, 3].map(|index| cx.optional_input(index)))?;
        if output.ty.is_empty() {
            return Ok(());
        }
        let taken = taken.iter().filter(|axis| axis.in_input);
        let (mut start, mut shape, mut input_strides) = (0usize, Vec::new(), Vec::new());
        for (axis, stride) in taken.zip(movement::strides(x.shape())) {
            let first = usize::try_from(axis.start).map_err(|_| "a slice that starts nowhere")?;
            start += first * stride;
            shape.push(axis.count);
            let stride =
                i64::try_from(stride).ok().and_then(|stride| stride.checked_mul(axis.step));
            let stride = stride.and_then(|stride| isize::try_from(stride).ok());
            // A stride past everything is of an axis with one step.
            input_strides.push(stride.unwrap_or(0));
        }
        let output_strides = movement::strides(&shape);
        let walk = Move::new(&shape, (start, &input_strides), (0, &output_strides));
        walk.lower_or_alias(cx, (0, 0), x.ty.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::movement::test::ints;
    use kinglet_graph::DType;

    const PLAIN: StridedSlice = StridedSlice {
        begin_mask: 0,
        end_mask: 0,
        ellipsis_mask: 0,
        new_axis_mask: 0,
        shrink_axis_mask: 0,
        offset: false,
    };

    /// The slice of 0, 1, 2, ... in this shape: shape and elements.
    fn slice(
        op: &StridedSlice,
        shape: &[usize],
        begin: &[i32],
        end: &[i32],
        strides: &[i32],
    ) -> Result<(Vec<usize>, Vec<i16>), Refusal> {
        let x = Tensor::value("x", TensorType::new(DType::I16, shape));
        let parameters = [ints(begin), ints(end), ints(strides)];
        let tensors = [Some(&x), Some(&parameters[0]), Some(&parameters[1]), Some(&parameters[2])];
        let ty = op.infer(&tensors).map_err(|error| error.0)?.remove(0);
        let values: Vec<i16> = (0..x.ty.len() as i16).collect();
        let output = Tensor::value("y", ty.clone());
        let bytes: &[u8] = bytemuck::cast_slice(&values);
        let inputs = tensors.map(|tensor| tensor.map(|tensor| (tensor, bytes))).to_vec();
        let mut cx = Evaluation::new(inputs, vec![&output]);
        op.evaluate(&mut cx)?;
        Ok((ty.shape, crate::eval::elements(&cx.finish().0[0])))
    }

    #[test]
    fn a_vector_is_sliced_as_by_numpy() {
        let take = |begin, end, stride| slice(&PLAIN, &[6], &[begin], &[end], &[stride]).unwrap().1;
        assert_eq!(take(1, 4, 1), [1, 2, 3]);
        assert_eq!(take(-3, -1, 1), [3, 4]);
        assert_eq!(take(0, 100, 4), [0, 4]);
        assert_eq!(take(5, 0, -2), [5, 3, 1]);
        assert_eq!(take(100, -100, -1), [5, 4, 3, 2, 1, 0]);
        assert_eq!(take(4, 2, 1), [0i16; 0]);
        assert_eq!(take(2, 4, -1), [0i16; 0]);
        assert_eq!(take(-100, 1, 1), [0]);
        assert_eq!(take(i32::MIN, i32::MAX, i32::MAX), [0]);
        assert_eq!(take(i32::MAX, i32::MIN, i32::MIN), [5]);
    }

    #[test]
    fn masks_open_the_ends() {
        let open = StridedSlice { begin_mask: 1, end_mask: 1, ..PLAIN };
        assert_eq!(slice(&open, &[4], &[2], &[3], &[1]).unwrap().1, [0, 1, 2, 3]);
        assert_eq!(slice(&open, &[4], &[2], &[3], &[-1]).unwrap().1, [3, 2, 1, 0]);
    }

    #[test]
    fn shrinking_drops_the_axis() {
        let shrink = StridedSlice { shrink_axis_mask: 1, end_mask: 2, ..PLAIN };
        let taken = slice(&shrink, &[2, 3], &[-1, 1], &[0, 0], &[1, 1]).unwrap();
        assert_eq!(taken, (vec![2], vec![4, 5]));
        assert!(slice(&shrink, &[2, 3], &[2, 0], &[3, 3], &[1, 1]).is_err());
        assert!(slice(&shrink, &[2, 3], &[0, 0], &[1, 3], &[-1, 1]).is_err());
        assert!(slice(&shrink, &[0, 3], &[0, 0], &[1, 3], &[1, 1]).is_err());
    }

    #[test]
    fn an_ellipsis_stands_for_the_axes_in_between() {
        // x[..., 1]
        let ellipsis = StridedSlice { ellipsis_mask: 1, shrink_axis_mask: 2, ..PLAIN };
        let taken = slice(&ellipsis, &[2, 2, 2], &[0, 1], &[0, 2], &[1, 1]).unwrap();
        assert_eq!(taken, (vec![2, 2], vec![1, 3, 5, 7]));
        // x[0:1, ..., 0:2] of as many axes as entries: the ellipsis stands for one.
        let middle = StridedSlice { ellipsis_mask: 2, ..PLAIN };
        let taken = slice(&middle, &[2, 2], &[0, 7, 0], &[1, 7, 1], &[1, 1, 1]).unwrap();
        assert_eq!(taken, (vec![1, 1], vec![0]));
        let two = StridedSlice { ellipsis_mask: 3, ..PLAIN };
        assert!(slice(&two, &[2, 2], &[0, 0], &[1, 1], &[1, 1]).is_err());
    }

    #[test]
    fn a_new_axis_is_of_length_one() {
        // x[:, newaxis, 1:3], the rest whole.
        let new = StridedSlice { new_axis_mask: 2, begin_mask: 1, end_mask: 1, ..PLAIN };
        let taken = slice(&new, &[2, 3, 1], &[0, 9, 1], &[0, 9, 3], &[1, 1, 1]).unwrap();
        assert_eq!(taken, (vec![2, 1, 2, 1], vec![1, 2, 4, 5]));
    }

    #[test]
    fn an_offset_end_counts_from_the_begin() {
        let offset = StridedSlice { offset: true, ..PLAIN };
        assert_eq!(slice(&offset, &[6], &[2], &[3], &[1]).unwrap().1, [2, 3, 4]);
        assert_eq!(slice(&offset, &[6], &[-4], &[2], &[1]).unwrap().1, [2, 3]);
    }

    #[test]
    fn slices_that_mean_nothing_are_refused() {
        assert!(slice(&PLAIN, &[6], &[0], &[6], &[0]).is_err());
        assert!(slice(&PLAIN, &[6], &[0, 0], &[6, 6], &[1, 1]).is_err());
        assert!(slice(&PLAIN, &[6], &[0], &[6, 6], &[1]).is_err());
        assert!(slice(&PLAIN, &[6], &[0; 40], &[0; 40], &[1; 40]).is_err());
    }
}
