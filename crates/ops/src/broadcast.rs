//! Operators of two inputs that are repeated to one shape share this: shape inference, the reference
//! walk, and the step from two shapes to one of a kernel's three forms.

use crate::common::small;
use crate::eval::{Evaluation, Scalar};
use crate::lower::{Arg, ConstantData, Lower};
use crate::movement::{Move, strides};
use crate::op::Refusal;
use kinglet_graph::{InferError, Tensor, TensorType};
use kinglet_kernels::reflect::Kernel;
use kinglet_kernels::{
    AddF32, AddF32Broadcast, AddF32InPlace, AddI8, AddI8Broadcast, AddI8InPlace, AddI16,
    AddI16Broadcast, AddI16InPlace, AddI32, AddI32Broadcast, AddI32InPlace, LookupU8,
    LookupU8InPlace, MulF32, MulF32Broadcast, MulF32InPlace, MulI8, MulI8Broadcast, MulI8InPlace,
    MulI16, MulI16Broadcast, MulI16InPlace, MulI32, MulI32Broadcast, MulI32InPlace, SubF32,
    SubF32Broadcast, SubF32InPlace, SubI32, SubI32Broadcast, SubI32InPlace,
};

/// The most axes an output may have.
const AXES: usize = 6;

/// The shape that two shapes are repeated to: from the last axis on, lengths are equal or one is 1.
pub fn shape(a: &[usize], b: &[usize]) -> Result<Vec<usize>, Refusal> {
    let rank = a.len().max(b.len());
    if rank > AXES {
        return Err(Refusal::new(format!("{rank} axes, at most {AXES} are supported")));
    }
    let at = |shape: &[usize], axis: usize| {
        (axis + shape.len())
            .checked_sub(rank)
            .and_then(|axis| shape.get(axis))
            .copied()
            .unwrap_or(1)
    };
    (0..rank)
        .map(|axis| match (at(a, axis), at(b, axis)) {
            (a, b) if a == b => Ok(a),
            (1, other) | (other, 1) => Ok(other),
            _ => Err(Refusal::new(format!("shapes {a:?} and {b:?} do not fit together"))),
        })
        .collect()
}

/// The two inputs, while types are inferred and code is made.
pub fn pair<'a>(inputs: &[Option<&'a Tensor>]) -> Result<(&'a Tensor, &'a Tensor), Refusal> {
    let (Some(Some(a)), Some(Some(b))) = (inputs.first(), inputs.get(1)) else {
        return Err(Refusal::new("two inputs are needed"));
    };
    if a.dtype() != b.dtype() {
        return Err(Refusal::new(format!("inputs of {} and {}", a.dtype(), b.dtype())));
    }
    Ok((a, b))
}

/// The output of two inputs of one element type.
pub fn infer(inputs: &[Option<&Tensor>]) -> Result<Vec<TensorType>, InferError> {
    let (a, b) = pair(inputs).map_err(|refusal| InferError(refusal.why))?;
    let shape = shape(a.shape(), b.shape()).map_err(|refusal| InferError(refusal.why))?;
    Ok(vec![TensorType::new(a.dtype(), shape)])
}

/// The refusal of an element type.
pub fn refuse_type(tensor: &Tensor, supported: &str) -> Refusal {
    Refusal::new(format!("{} inputs are not supported", tensor.dtype()))
        .help(format!("the supported element types are {supported}"))
}

/// Computes each output from the two inputs beside it.
pub fn evaluate<T: Scalar>(
    cx: &mut Evaluation<'_>,
    function: impl Fn(T, T) -> T,
) -> Result<(), Refusal> {
    let (a, b) = (cx.input(0)?, cx.input(1)?);
    let out = shape(a.shape(), b.shape())?;
    let (x, y) = (cx.values::<T>(0)?, cx.values::<T>(1)?);
    let len: usize = out.iter().product();
    let z: Vec<T> = (0..len)
        .map(|flat| function(x[source(flat, &out, a.shape())], y[source(flat, &out, b.shape())]))
        .collect();
    cx.set(0, &z)
}

/// The flat index of the element that is repeated to the output element with this flat index.
fn source(flat: usize, out: &[usize], shape: &[usize]) -> usize {
    let (mut rest, mut index, mut stride) = (flat, 0, 1);
    let mut lengths = shape.iter().rev();
    for &count in out.iter().rev() {
        let at = rest % count;
        rest /= count;
        let Some(&len) = lengths.next() else { break };
        if len != 1 {
            index += at * stride;
        }
        stride *= len;
    }
    index
}

/// One axis of a walk through both inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Axis {
    count: usize,
    a_stride: usize,
    b_stride: usize,
}

/// The walk through both inputs with as few axes as possible.
fn walk(a: &[usize], b: &[usize]) -> Result<Vec<Axis>, Refusal> {
    let out = shape(a, b)?;
    let strides = |shape: &[usize]| {
        let mut all = vec![0; out.len() - shape.len()];
        let own = strides(shape);
        all.extend(shape.iter().zip(own).map(|(&len, stride)| if len == 1 { 0 } else { stride }));
        all
    };
    let (a_strides, b_strides) = (strides(a), strides(b));
    let mut axes: Vec<Axis> = Vec::with_capacity(out.len());
    for (&count, (&a_stride, &b_stride)) in out.iter().zip(a_strides.iter().zip(&b_strides)) {
        if count == 1 {
            continue;
        }
        let inner = Axis { count, a_stride, b_stride };
        match axes.last_mut() {
            // One walk in both inputs.
            Some(outer)
                if outer.a_stride == a_stride * count && outer.b_stride == b_stride * count =>
            {
                *outer = Axis { count: outer.count * count, ..inner };
            }
            _ => axes.push(inner),
        }
    }
    Ok(axes)
}

/// A kernel for inputs of one shape, and its other forms.
pub trait Forms: Kernel + Copy + 'static {
    /// With the output in place of the first input.
    type InPlace: Kernel + 'static;
    /// For inputs that are repeated.
    type Broadcast: Kernel + 'static;

    /// The in-place form.
    fn in_place(&self) -> Self::InPlace;

    /// The form for inputs that are repeated: steps along each axis, strides of both inputs.
    fn broadcast(&self, counts: [u32; 4], a: [u32; 4], b: [u32; 4]) -> Self::Broadcast;
}

macro_rules! forms {
    ($($Kernel:ident $InPlace:ident $Broadcast:ident;)*) => { $(
        impl Forms for $Kernel {
            type InPlace = $InPlace;
            type Broadcast = $Broadcast;

            fn in_place(&self) -> $InPlace {
                self.in_place()
            }

            fn broadcast(&self, counts: [u32; 4], a: [u32; 4], b: [u32; 4]) -> $Broadcast {
                self.broadcast(counts, a, b)
            }
        }
    )* };
}

forms! {
    AddF32 AddF32InPlace AddF32Broadcast;
    AddI16 AddI16InPlace AddI16Broadcast;
    AddI32 AddI32InPlace AddI32Broadcast;
    AddI8 AddI8InPlace AddI8Broadcast;
    MulF32 MulF32InPlace MulF32Broadcast;
    MulI16 MulI16InPlace MulI16Broadcast;
    MulI32 MulI32InPlace MulI32Broadcast;
    MulI8 MulI8InPlace MulI8Broadcast;
    SubF32 SubF32InPlace SubF32Broadcast;
    SubI32 SubI32InPlace SubI32Broadcast;
}

/// Lowers to one of a kernel's forms; `order` are the positions of the node's inputs in the order of
/// the kernel's operands.
pub fn lower(cx: &mut Lower<'_>, order: [usize; 2], kernel: impl Forms) -> Result<(), Refusal> {
    let (a, b) = (cx.input(order[0])?, cx.input(order[1])?);
    let mut axes = walk(a.shape(), b.shape())?;
    if axes.iter().any(|axis| axis.count == 0) {
        return Ok(());
    }
    let mut args = [Arg::Input(order[0]), Arg::Input(order[1]), Arg::Output(0)];
    if axes.iter().all(|axis| axis.a_stride != 0 && axis.b_stride != 0) {
        let in_place_args = [Arg::Output(0), args[1]];
        cx.call_or_in_place(kernel, &args, (0, order[0]), kernel.in_place(), &in_place_args);
        return Ok(());
    }
    let (mut counts, mut a_strides, mut b_strides) = ([1; 4], [0; 4], [0; 4]);
    if axes.len() > counts.len() {
        // Repeated along every other axis: the repetition is written out first.
        let out = shape(a.shape(), b.shape())?;
        for (arg, tensor) in args.iter_mut().zip([a, b]) {
            *arg = repeated(cx, *arg, tensor, &out)?;
        }
        axes = vec![Axis { count: out.iter().product(), a_stride: 1, b_stride: 1 }];
    }
    let first = counts.len() - axes.len();
    for (slot, axis) in (first..).zip(&axes) {
        counts[slot] = small(axis.count)?;
        a_strides[slot] = small(axis.a_stride)?;
        b_strides[slot] = small(axis.b_stride)?;
    }
    cx.call(kernel.broadcast(counts, a_strides, b_strides), &args);
    Ok(())
}

/// An input repeated to a shape, in memory of the node's own.
fn repeated(
    cx: &mut Lower<'_>,
    input: Arg,
    tensor: &Tensor,
    out: &[usize],
) -> Result<Arg, Refusal> {
    let size = crate::movement::element_bytes(tensor.dtype())?;
    let len: usize = out.iter().product();
    let own = crate::movement::signed_strides(tensor.shape())?;
    let mut input_strides = vec![0; out.len() - own.len()];
    input_strides.extend(
        tensor.shape().iter().zip(own).map(|(&len, stride)| if len == 1 { 0 } else { stride }),
    );
    let to = cx.temporary(len.saturating_mul(size));
    let copy = Move::new(out, (0, &input_strides), (0, &strides(out)));
    copy.lower(cx, tensor.dtype(), input, to)?;
    Ok(to)
}

/// Lowers an int8 function of two values to a table where one input is a single constant; says whether
/// it did.
pub fn lower_table(cx: &mut Lower<'_>, function: impl Fn(i8, i8) -> i8) -> Result<bool, Refusal> {
    let (a, b) = (cx.input(0)?, cx.input(1)?);
    let single = |tensor: &Tensor| match tensor.constant()?.bytes() {
        &[byte] => Some(byte.cast_signed()),
        _ => None,
    };
    let (input, table): (usize, Vec<i8>) = match (single(a), single(b)) {
        (_, Some(b)) => (0, (0..=255u8).map(|byte| function(byte.cast_signed(), b)).collect()),
        (Some(a), _) => (1, (0..=255u8).map(|byte| function(a, byte.cast_signed())).collect()),
        _ => return Ok(false),
    };
    let table = table.into_iter().map(i8::cast_unsigned).collect();
    let table = cx.constant("table", "output by input byte", None, ConstantData::U8(table));
    cx.call_or_in_place(
        LookupU8 {},
        &[Arg::Input(input), table, Arg::Output(0)],
        (0, input),
        LookupU8InPlace {},
        &[Arg::Output(0), table],
    );
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axes(list: &[(usize, usize, usize)]) -> Vec<Axis> {
        let axis = |&(count, a_stride, b_stride)| Axis { count, a_stride, b_stride };
        list.iter().map(axis).collect()
    }

    #[test]
    fn shapes_are_repeated_from_the_last_axis_on() {
        assert_eq!(shape(&[2, 1, 4], &[3, 1]).unwrap(), [2, 3, 4]);
        assert_eq!(shape(&[], &[3]).unwrap(), [3]);
        assert!(shape(&[2, 3], &[2]).is_err());
        assert!(shape(&[1; 7], &[1]).is_err());
    }

    #[test]
    fn a_walk_has_as_few_axes_as_possible() {
        assert_eq!(walk(&[1, 6, 7, 8], &[1, 6, 7, 8]).unwrap(), axes(&[(336, 1, 1)]));
        assert_eq!(walk(&[1, 6, 7, 8], &[8]).unwrap(), axes(&[(42, 8, 0), (8, 1, 1)]));
        assert_eq!(walk(&[1, 6, 7, 8], &[]).unwrap(), axes(&[(336, 1, 0)]));
        assert_eq!(
            walk(&[1, 6, 7, 8], &[1, 1, 7, 1]).unwrap(),
            axes(&[(6, 56, 0), (7, 8, 1), (8, 1, 0)])
        );
        assert_eq!(walk(&[4, 1], &[1, 3]).unwrap(), axes(&[(4, 1, 0), (3, 0, 1)]));
        assert_eq!(walk(&[1], &[1, 1]).unwrap(), axes(&[]));
    }

    #[test]
    fn an_output_element_knows_its_source() {
        let sources = |shape: &[usize]| -> Vec<usize> {
            (0..6).map(|flat| source(flat, &[2, 3], shape)).collect()
        };
        assert_eq!(sources(&[2, 3]), [0, 1, 2, 3, 4, 5]);
        assert_eq!(sources(&[3]), [0, 1, 2, 0, 1, 2]);
        assert_eq!(sources(&[2, 1]), [0, 0, 0, 1, 1, 1]);
        assert_eq!(sources(&[]), [0; 6]);
    }
}
