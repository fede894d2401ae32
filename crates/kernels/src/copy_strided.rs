//! Moving elements between two layouts of up to six axes: transposes, slices with steps, broadcasts,
//! the body of a padded tensor.

/// Declares the kernel for one element width.
macro_rules! strided {
    ($name:ident $Params:ident $element:ty, $(#[$doc:meta])*) => {
        kernel! {
            /// Copies elements from one layout to another, axis by axis; the last axis is innermost.
            /// A stride of 0 in the input repeats, a negative one goes backwards. Elements of the
            /// output that are not named keep their value. Starts and strides are in elements.
            $(#[$doc])*
            $name version 1
            params $Params {
                /// Steps along each axis; 1 for an axis that is not there.
                counts: [u32; 6],
                /// The first element's place in the input.
                input_start: u32,
                /// Elements from one step to the next in the input.
                input_strides: [i32; 6],
                /// The first element's place in the output.
                output_start: u32,
                /// Elements from one step to the next in the output.
                output_strides: [u32; 6],
            }
            operands (input input: $element, output output: $element)
        }

        impl $Params {
            #[inline(always)]
            fn layout(&self) -> Layout<'_> {
                Layout {
                    counts: &self.counts,
                    input_strides: &self.input_strides,
                    output_strides: &self.output_strides,
                }
            }
        }
    };
}

strided! { copy_strided_u8 CopyStridedU8 u8,
    ///
    /// Also runs of adjacent bytes of any element type: the last axis has strides of 1 on both sides.
}
strided! { copy_strided_i16 CopyStridedI16 i16, }
strided! { copy_strided_i32 CopyStridedI32 i32, }
strided! { copy_strided_i64 CopyStridedI64 i64, }

#[inline(always)]
fn copy_strided_u8(p: &CopyStridedU8, input: &[u8], output: &mut [u8]) {
    let layout = p.layout();
    let (run, input_stride, output_stride) = layout.of(5);
    layout.rows(p.input_start, p.output_start, |from, to| {
        if input_stride == 1 && output_stride == 1 {
            crate::copy::copy_run(input, from as usize, output, to as usize, run as usize);
        } else {
            layout.row(input, output, from, to);
        }
    });
}

#[inline(always)]
fn copy_strided_i16(p: &CopyStridedI16, input: &[i16], output: &mut [i16]) {
    let layout = p.layout();
    layout.rows(p.input_start, p.output_start, |from, to| layout.row(input, output, from, to));
}

#[inline(always)]
fn copy_strided_i32(p: &CopyStridedI32, input: &[i32], output: &mut [i32]) {
    let layout = p.layout();
    layout.rows(p.input_start, p.output_start, |from, to| layout.row(input, output, from, to));
}

#[inline(always)]
fn copy_strided_i64(p: &CopyStridedI64, input: &[i64], output: &mut [i64]) {
    let layout = p.layout();
    layout.rows(p.input_start, p.output_start, |from, to| layout.row(input, output, from, to));
}

struct Layout<'a> {
    counts: &'a [u32; 6],
    input_strides: &'a [i32; 6],
    output_strides: &'a [u32; 6],
}

impl Layout<'_> {
    /// Hands the start of each row along the last axis to `visit`.
    #[inline(always)]
    fn rows(&self, from: u32, to: u32, mut visit: impl FnMut(u32, u32)) {
        // Written out: a loop over axes would carry their counters through memory.
        self.axis(0, from, to, |from, to| {
            self.axis(1, from, to, |from, to| {
                self.axis(2, from, to, |from, to| {
                    self.axis(3, from, to, |from, to| self.axis(4, from, to, &mut visit));
                });
            });
        });
    }

    #[inline(always)]
    fn axis(&self, axis: usize, mut from: u32, mut to: u32, mut visit: impl FnMut(u32, u32)) {
        let (count, input_stride, output_stride) = self.of(axis);
        for _ in 0..count {
            visit(from, to);
            from = from.wrapping_add(input_stride);
            to = to.wrapping_add(output_stride);
        }
    }

    /// Copies one row, element by element.
    #[inline(always)]
    fn row<T: Copy>(&self, input: &[T], output: &mut [T], from: u32, to: u32) {
        self.axis(5, from, to, |from, to| {
            if let (Some(&value), Some(place)) =
                (input.get(from as usize), output.get_mut(to as usize))
            {
                *place = value;
            }
        });
    }

    /// Count and strides of an axis; a negative stride wraps, and so does the place it leads to.
    #[inline(always)]
    fn of(&self, axis: usize) -> (u32, u32, u32) {
        let count = self.counts.get(axis).copied().unwrap_or(0);
        let input = self.input_strides.get(axis).copied().unwrap_or(0);
        let output = self.output_strides.get(axis).copied().unwrap_or(0);
        (count, input.cast_unsigned(), output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    /// The same copy by counting through all six axes at once.
    fn naive<T: Copy>(
        counts: [u32; 6],
        input: &[T],
        (input_start, input_strides): (u32, [i32; 6]),
        output: &mut [T],
        (output_start, output_strides): (u32, [u32; 6]),
    ) {
        let total: u32 = counts.iter().product();
        for step in 0..total {
            let (mut rest, mut from, mut to) =
                (step, i64::from(input_start), i64::from(output_start));
            for axis in (0..6).rev() {
                let at = i64::from(rest % counts[axis]);
                rest /= counts[axis];
                from += at * i64::from(input_strides[axis]);
                to += at * i64::from(output_strides[axis]);
            }
            let value = usize::try_from(from).ok().and_then(|from| input.get(from));
            let place = usize::try_from(to).ok().and_then(|to| output.get_mut(to));
            if let (Some(&value), Some(place)) = (value, place) {
                *place = value;
            }
        }
    }

    fn layouts() -> impl Strategy<Value = ([u32; 6], u32, [i32; 6], u32, [u32; 6])> {
        (
            prop::array::uniform6(1u32..4),
            0u32..60,
            prop::array::uniform6(-9i32..10),
            0u32..9,
            prop::array::uniform6(0u32..10),
        )
    }

    proptest! {
        #[test]
        fn any_layout_is_copied((counts, input_start, input_strides, output_start, output_strides) in layouts()) {
            let bytes: Vec<u8> = (0..120).collect();
            let mut expected = vec![255u8; 80];
            naive(counts, &bytes, (input_start, input_strides), &mut expected, (output_start, output_strides));
            let mut output = vec![255u8; 80];
            CopyStridedU8 { counts, input_start, input_strides, output_start, output_strides }
                .run(&bytes, &mut output);
            // A run that is not all inside copies nothing where single elements would still land.
            if input_strides[5] != 1 || output_strides[5] != 1 {
                prop_assert_eq!(&output, &expected);
            }

            let words: Vec<i64> = (0..120).collect();
            let mut expected = vec![-1i64; 80];
            naive(counts, &words, (input_start, input_strides), &mut expected, (output_start, output_strides));
            let mut output = vec![-1i64; 80];
            CopyStridedI64 { counts, input_start, input_strides, output_start, output_strides }
                .run(&words, &mut output);
            prop_assert_eq!(&output, &expected);
        }

        #[test]
        fn adjacent_runs_are_copied_whole(
            outer in 1u32..4, run in 1u32..15, stride in 15i32..19, start in 0u32..4,
        ) {
            let input: Vec<u8> = (0..64).collect();
            let counts = [1, 1, 1, 1, outer, run];
            let input_strides = [0, 0, 0, 0, stride, 1];
            let output_strides = [0, 0, 0, 0, run, 1];
            let mut expected = vec![255u8; 64];
            naive(counts, &input, (start, input_strides), &mut expected, (0, output_strides));
            let mut output = vec![255u8; 64];
            CopyStridedU8 { counts, input_start: start, input_strides, output_start: 0, output_strides }
                .run_inlined(&input, &mut output);
            prop_assert_eq!(output, expected);
        }
    }

    #[test]
    fn an_axis_of_no_steps_copies_nothing() {
        let mut output = [7i16; 2];
        CopyStridedI16 {
            counts: [1, 1, 0, 1, 1, 2],
            input_start: 0,
            input_strides: [1; 6],
            output_start: 0,
            output_strides: [1; 6],
        }
        .run(&[1, 2], &mut output);
        assert_eq!(output, [7, 7]);
    }
}
