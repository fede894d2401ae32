//! Functions of two values, element by element: sums, differences, products. Each has three forms:
//! for inputs of the same shape, with the output in place of the first input, and for inputs that are
//! repeated along axes (broadcast).

#[cfg(all(target_arch = "arm", feature = "helium"))]
use crate::arch::helium;
use crate::fixed::{
    clamp_f32, doubling_high_mul, high_mul_round, multiply_by_quantized_multiplier,
    rounding_shift_right,
};

/// How two inputs meet an output without gaps: nested loops, the last axis innermost.
struct Broadcast<'a> {
    counts: &'a [u32; 4],
    a_strides: &'a [u32; 4],
    b_strides: &'a [u32; 4],
}

/// Kernels of two inputs, each with its in-place and its broadcast form, from parameters they share and
/// a function of these and two values.
macro_rules! binary {
    ($(
        $(#[$doc:meta])*
        $Scale:ident $fields:tt [$(
            $(#[$kernel_doc:meta])*
            $element:ty: $name:ident $Params:ident, $in_place:ident $InPlace:ident,
            $broadcast:ident $Broadcast:ident = $function:expr $(, by $vectors:ident $in_place_vectors:ident)?;
        )*]
    )*) => { $(
        binary! { @scale $(#[$doc])* $Scale $fields }
        $(
            binary! {
                @kernel $Scale $fields $(#[$kernel_doc])*
                $element: $name $Params, $in_place $InPlace, $broadcast $Broadcast = $function
                $(, by $vectors $in_place_vectors)?
            }
        )*
    )* };

    (@scale $(#[$doc:meta])* $Scale:ident {
        $($(#[$field_doc:meta])* $field:ident : $field_type:ty),* $(,)?
    }) => {
        $(#[$doc])*
        struct $Scale { $($field: $field_type),* }
    };

    (@kernel $Scale:ident {
        $($(#[$field_doc:meta])* $field:ident : $field_type:ty),* $(,)?
    }
    $(#[$doc:meta])*
    $element:ty: $name:ident $Params:ident, $in_place:ident $InPlace:ident,
    $broadcast:ident $Broadcast:ident = $function:expr
    $(, by $vectors:ident $in_place_vectors:ident)?) => {
        kernel! {
            $(#[$doc])*
            $name version 1
            params $Params { $($(#[$field_doc])* $field: $field_type),* }
            operands (input a: $element, input b: $element, output output: $element)
        }

        kernel! {
            #[doc = concat!("[`", stringify!($Params), "`] with the output in place of the first input.")]
            $in_place version 1
            params $InPlace { $($(#[$field_doc])* $field: $field_type),* }
            operands (inout a: $element, input b: $element)
        }

        kernel! {
            #[doc = concat!("[`", stringify!($Params), "`] of inputs that are repeated along axes; the")]
            /// output is walked without gaps, the last axis innermost.
            $broadcast version 1
            params $Broadcast {
                $($(#[$field_doc])* $field: $field_type,)*
                /// Steps along each axis; 1 for an axis that is not there.
                counts: [u32; 4],
                /// Elements from one step to the next in the first input; 0 repeats.
                a_strides: [u32; 4],
                /// The same in the second input.
                b_strides: [u32; 4],
            }
            operands (input a: $element, input b: $element, output output: $element)
        }

        /// The other forms, for a host that chooses.
        #[cfg(any(feature = "reflect", test))]
        impl $Params {
            /// The in-place form.
            pub const fn in_place(&self) -> $InPlace {
                $InPlace { $($field: self.$field),* }
            }

            /// The form for inputs that are repeated.
            pub const fn broadcast(
                &self,
                counts: [u32; 4],
                a_strides: [u32; 4],
                b_strides: [u32; 4],
            ) -> $Broadcast {
                $Broadcast { $($field: self.$field,)* counts, a_strides, b_strides }
            }
        }

        #[inline(always)]
        fn $name(p: &$Params, a: &[$element], b: &[$element], output: &mut [$element]) {
            let function: fn(&$Scale, $element, $element) -> $element = $function;
            let scale = $Scale { $($field: p.$field),* };
            $(if scale.$vectors(a, b, output) { return; })?
            for (to, (&a, &b)) in output.iter_mut().zip(a.iter().zip(b)) {
                *to = function(&scale, a, b);
            }
        }

        #[inline(always)]
        fn $in_place(p: &$InPlace, a: &mut [$element], b: &[$element]) {
            let function: fn(&$Scale, $element, $element) -> $element = $function;
            let scale = $Scale { $($field: p.$field),* };
            $(if scale.$in_place_vectors(a, b) { return; })?
            for (a, &b) in a.iter_mut().zip(b) {
                *a = function(&scale, *a, b);
            }
        }

        #[inline(always)]
        fn $broadcast(p: &$Broadcast, a: &[$element], b: &[$element], output: &mut [$element]) {
            let function: fn(&$Scale, $element, $element) -> $element = $function;
            let scale = $Scale { $($field: p.$field),* };
            let shape =
                Broadcast { counts: &p.counts, a_strides: &p.a_strides, b_strides: &p.b_strides };
            shape.each(a, b, output, |a, b| function(&scale, a, b));
        }
    };
}

binary! {
    /// A sum or difference of two int8 inputs, of which the first has the greater scale (or the same).
    ///
    /// TensorFlow Lite shifts both inputs left by 20, multiplies them, adds, and multiplies the sum. The
    /// input of the greater scale is multiplied by exactly one half, so that its share of the sum is a
    /// whole number without any rounding. What is multiplied stays below 2^28, which [`scaled`] needs.
    AddScaleI8 {
        /// What a step of the first input adds to the sum: 2^19, or -2^19 where it is subtracted.
        a_factor: i32,
        /// What the first input's zero point takes from the sum: `-zero_point * a_factor`.
        a_offset: i32,
        /// The second input's zero point, negative and shifted left by 20.
        b_offset: i32,
        /// Multiplier of the second input, as [`scaled`] takes it.
        b_multiplier: i32,
        /// Scale of the second input, as [`scaled`] takes it.
        b_scale: i32,
        /// 1, or -1 where the second input is subtracted.
        b_sign: i32,
        /// Multiplier of the sum, as [`scaled`] takes it.
        multiplier: i32,
        /// Scale of the sum, as [`scaled`] takes it.
        scale: i32,
        /// Zero point of the output.
        zero_point: i32,
        /// Least output.
        min: i32,
        /// Greatest output.
        max: i32,
    } [
    /// int8 sum or difference.
    i8: add_i8 AddI8, add_i8_in_place AddI8InPlace, add_i8_broadcast AddI8Broadcast
        = |scale, a, b| scale.apply(i32::from(a), i32::from(b)) as i8, by vectors vectors_in_place;
    ]

    /// A sum or difference of two int16 inputs, of which the first has the greater scale (or the same):
    /// as for int8, with a left shift of 15.
    AddScaleI16 {
        /// Zero point of the first input, which has the greater scale (or the same).
        a_zero_point: i32,
        /// What a step of the first input adds to the sum: 2^14, or -2^14 where it is subtracted.
        a_factor: i32,
        /// Zero point of the second input.
        b_zero_point: i32,
        /// Multiplier of the second input, after its left shift.
        b_multiplier: i32,
        /// Right shift of the second input, after its multiplier.
        b_shift: u32,
        /// 1, or -1 where the second input is subtracted.
        b_sign: i32,
        /// Multiplier of the sum.
        multiplier: i32,
        /// Right shift of the sum, after its multiplier.
        shift: u32,
        /// Zero point of the output.
        zero_point: i32,
        /// Least output.
        min: i32,
        /// Greatest output.
        max: i32,
    } [
    /// int16 sum or difference.
    i16: add_i16 AddI16, add_i16_in_place AddI16InPlace, add_i16_broadcast AddI16Broadcast
        = |scale, a, b| scale.apply(i32::from(a), i32::from(b)) as i16;
    ]

    /// A product of two quantized inputs.
    MulScale {
        /// Zero point of the first input.
        a_zero_point: i32,
        /// Zero point of the second input.
        b_zero_point: i32,
        /// Multiplier of the product.
        multiplier: i32,
        /// Shift of the product, positive to the left.
        shift: i32,
        /// Zero point of the output.
        zero_point: i32,
        /// Least output.
        min: i32,
        /// Greatest output.
        max: i32,
    } [
    /// int8 product.
    i8: mul_i8 MulI8, mul_i8_in_place MulI8InPlace, mul_i8_broadcast MulI8Broadcast
        = |scale, a, b| scale.apply(i32::from(a), i32::from(b)) as i8;

    /// int16 product.
    i16: mul_i16 MulI16, mul_i16_in_place MulI16InPlace, mul_i16_broadcast MulI16Broadcast
        = |scale, a, b| scale.apply(i32::from(a), i32::from(b)) as i16;
    ]

    /// The range of an i32 output.
    RangeI32 {
        /// Least output.
        min: i32,
        /// Greatest output.
        max: i32,
    } [
    /// i32 sum, wrapping, then clamped.
    i32: add_i32 AddI32, add_i32_in_place AddI32InPlace, add_i32_broadcast AddI32Broadcast
        = |range, a, b| range.clamp(a.wrapping_add(b));

    /// i32 difference, wrapping, then clamped.
    i32: sub_i32 SubI32, sub_i32_in_place SubI32InPlace, sub_i32_broadcast SubI32Broadcast
        = |range, a, b| range.clamp(a.wrapping_sub(b));

    /// i32 product, wrapping, then clamped.
    i32: mul_i32 MulI32, mul_i32_in_place MulI32InPlace, mul_i32_broadcast MulI32Broadcast
        = |range, a, b| range.clamp(a.wrapping_mul(b));
    ]

    /// The range of an f32 output; NaN passes.
    RangeF32 {
        /// Least output.
        min: f32,
        /// Greatest output.
        max: f32,
    } [
    /// f32 sum, clamped.
    f32: add_f32 AddF32, add_f32_in_place AddF32InPlace, add_f32_broadcast AddF32Broadcast
        = |range, a, b| clamp_f32(a + b, range.min, range.max);

    /// f32 difference, clamped.
    f32: sub_f32 SubF32, sub_f32_in_place SubF32InPlace, sub_f32_broadcast SubF32Broadcast
        = |range, a, b| clamp_f32(a - b, range.min, range.max);

    /// f32 product, clamped.
    f32: mul_f32 MulF32, mul_f32_in_place MulF32InPlace, mul_f32_broadcast MulF32Broadcast
        = |range, a, b| clamp_f32(a * b, range.min, range.max);
    ]
}

/// `round(round(x * m / 2^31) / 2^right)`, the first rounding half up, the second half away from zero, for
/// `x` between -2^29 and 2^29: `twice_multiplier` is `2 * m` (mod 2^32) with `m` from 2^30 to 2^31,
/// `scale` is `2^(30 - right)`, or 0 for more than 30.
#[inline(always)]
pub fn scaled(x: i32, twice_multiplier: i32, scale: i32) -> i32 {
    // Half a doubled multiplier less 2^32 is one more of `x`.
    let high = high_mul_round(x, twice_multiplier).wrapping_add(x);
    // A quarter of a step down makes of half up half away from zero, and of a whole number itself.
    high_mul_round(high.wrapping_shl(2).wrapping_add(high >> 31), scale)
}

impl AddScaleI8 {
    #[inline(always)]
    fn apply(&self, a: i32, b: i32) -> i32 {
        let b = b.wrapping_shl(20).wrapping_add(self.b_offset);
        let b = scaled(b, self.b_multiplier, self.b_scale);
        let a = a.wrapping_mul(self.a_factor).wrapping_add(self.a_offset);
        let sum = a.wrapping_add(b.wrapping_mul(self.b_sign));
        let scaled = scaled(sum, self.multiplier, self.scale);
        scaled.wrapping_add(self.zero_point).max(self.min).min(self.max)
    }
}

/// With Helium, slices go there; elsewhere it is left to the loop over elements.
#[cfg(all(target_arch = "arm", feature = "helium"))]
impl AddScaleI8 {
    #[inline(always)]
    fn sum(&self) -> helium::add::Sum {
        let multiplier = |doubled: i32| (doubled.cast_unsigned() >> 1).cast_signed();
        // 2^(30 - right), or 0 for 31.
        let shift = |scale: i32| 0i32.wrapping_sub((scale.leading_zeros().wrapping_add(1)) as i32);
        helium::add::Sum {
            b_multiplier: multiplier(self.b_multiplier),
            b_shift: shift(self.b_scale),
            one: 1,
            b_sign: self.b_sign,
            a_offset: self.a_offset,
            multiplier: multiplier(self.multiplier),
            shift: shift(self.scale),
            zero_point: self.zero_point,
            a_factor: self.a_factor,
            b_offset: self.b_offset,
        }
    }

    #[inline(always)]
    fn narrow(&self, output: &mut [i8]) {
        if self.min > -128 || self.max < 127 {
            for out in output {
                *out = i32::from(*out).max(self.min).min(self.max) as i8;
            }
        }
    }

    #[inline(always)]
    fn vectors(&self, a: &[i8], b: &[i8], output: &mut [i8]) -> bool {
        helium::add::add(&self.sum(), a, b, output);
        self.narrow(output);
        true
    }

    #[inline(always)]
    fn vectors_in_place(&self, a: &mut [i8], b: &[i8]) -> bool {
        helium::add::add_in_place(&self.sum(), a, b);
        self.narrow(a);
        true
    }
}

#[cfg(not(all(target_arch = "arm", feature = "helium")))]
impl AddScaleI8 {
    #[inline(always)]
    fn vectors(&self, _a: &[i8], _b: &[i8], _output: &mut [i8]) -> bool {
        false
    }

    #[inline(always)]
    fn vectors_in_place(&self, _a: &mut [i8], _b: &[i8]) -> bool {
        false
    }
}

impl AddScaleI16 {
    #[inline(always)]
    fn apply(&self, a: i32, b: i32) -> i32 {
        let a = a.wrapping_sub(self.a_zero_point).wrapping_mul(self.a_factor);
        let b = b.wrapping_sub(self.b_zero_point).wrapping_shl(15);
        let b = rounding_shift_right(doubling_high_mul(b, self.b_multiplier), self.b_shift);
        let sum = a.wrapping_add(b.wrapping_mul(self.b_sign));
        let scaled = rounding_shift_right(doubling_high_mul(sum, self.multiplier), self.shift);
        scaled.wrapping_add(self.zero_point).max(self.min).min(self.max)
    }
}

impl MulScale {
    #[inline(always)]
    fn apply(&self, a: i32, b: i32) -> i32 {
        let a = a.wrapping_sub(self.a_zero_point);
        let product = a.wrapping_mul(b.wrapping_sub(self.b_zero_point));
        let scaled = multiply_by_quantized_multiplier(product, self.multiplier, self.shift);
        scaled.wrapping_add(self.zero_point).max(self.min).min(self.max)
    }
}

impl RangeI32 {
    #[inline(always)]
    fn clamp(&self, value: i32) -> i32 {
        value.max(self.min).min(self.max)
    }
}

impl Broadcast<'_> {
    #[inline(always)]
    fn each<T: Copy>(&self, a: &[T], b: &[T], output: &mut [T], function: impl Fn(T, T) -> T) {
        let mut output = output.iter_mut();
        // Written out, as in `copy_strided`: constant counts of one fold away.
        self.axis(0, 0, 0, |from_a, from_b| {
            self.axis(1, from_a, from_b, |from_a, from_b| {
                self.axis(2, from_a, from_b, |from_a, from_b| {
                    self.axis(3, from_a, from_b, |from_a, from_b| {
                        let values = a.get(from_a as usize).zip(b.get(from_b as usize));
                        if let (Some((&a, &b)), Some(to)) = (values, output.next()) {
                            *to = function(a, b);
                        }
                    });
                });
            });
        });
    }

    #[inline(always)]
    fn axis(&self, axis: usize, mut from_a: u32, mut from_b: u32, mut visit: impl FnMut(u32, u32)) {
        let at = |list: &[u32; 4]| list.get(axis).copied().unwrap_or(0);
        let (count, a_stride, b_stride) = (at(self.counts), at(self.a_strides), at(self.b_strides));
        for _ in 0..count {
            visit(from_a, from_b);
            from_a = from_a.wrapping_add(a_stride);
            from_b = from_b.wrapping_add(b_stride);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{bytes, rescale};
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    /// What a sum is made of, before it is a kernel's parameters.
    #[derive(Clone, Copy, Debug)]
    struct Sum {
        zero_points: [i32; 3],
        signs: [i32; 2],
        b: (i32, u32),
        sum: (i32, u32),
        min: i32,
        max: i32,
    }

    impl Sum {
        fn kernel(&self) -> AddI8 {
            let scale = |right: u32| if right > 30 { 0 } else { 1 << (30 - right) };
            AddI8 {
                a_factor: self.signs[0] << 19,
                a_offset: -self.zero_points[0] * (self.signs[0] << 19),
                b_offset: -(self.zero_points[1] << 20),
                b_multiplier: self.b.0.wrapping_mul(2),
                b_scale: scale(self.b.1),
                b_sign: self.signs[1],
                multiplier: self.sum.0.wrapping_mul(2),
                scale: scale(self.sum.1),
                zero_point: self.zero_points[2],
                min: self.min,
                max: self.max,
            }
        }

        /// As TensorFlow Lite spells it, both inputs rescaled, in 128 bits.
        fn plain(&self, a: i8, b: i8) -> i8 {
            let input = |i: usize, value: i8, (multiplier, right): (i32, u32)| {
                let shifted = (i32::from(value) - self.zero_points[i]) << 20;
                rescale(shifted, multiplier, -right.cast_signed()) * i128::from(self.signs[i])
            };
            let sum = i32::try_from(input(0, a, (1 << 30, 0)) + input(1, b, self.b)).unwrap();
            let scaled = rescale(sum, self.sum.0, -self.sum.1.cast_signed());
            let output = scaled + i128::from(self.zero_points[2]);
            output.clamp(self.min.into(), self.max.into()) as i8
        }
    }

    fn sums() -> impl Strategy<Value = Sum> {
        let sign = || prop_oneof![Just(1), Just(-1)];
        let multiplier = || (1 << 30)..=i32::MAX;
        (
            prop::array::uniform3(-128i32..128),
            [sign(), sign()],
            (multiplier(), 0u32..32),
            (multiplier(), 0u32..32),
            -128i32..0,
            0i32..128,
        )
            .prop_map(|(zero_points, signs, b, sum, min, max)| Sum {
                zero_points,
                signs,
                b,
                sum,
                min,
                max,
            })
    }

    proptest! {
        #[test]
        fn sums_are_the_references(sum in sums(), seed: u64, len in 0usize..40) {
            let (a, b) = (bytes(seed, len), bytes(!seed, len));
            let expected: Vec<i8> = a.iter().zip(&b).map(|(&a, &b)| sum.plain(a, b)).collect();
            let mut output = vec![0; len];
            sum.kernel().run(&a, &b, &mut output);
            prop_assert_eq!(&output, &expected);
            output.copy_from_slice(&a);
            sum.kernel().in_place().run(&mut output, &b);
            prop_assert_eq!(&output, &expected);
        }

        #[test]
        fn products_are_the_references(
            zero_points in (-128i32..128, -128i32..128, -128i32..128),
            multiplier in (1 << 30)..=i32::MAX,
            shift in -31i32..8,
            seed: u64,
        ) {
            let (a_zero_point, b_zero_point, zero_point) = zero_points;
            let scale =
                MulI8 { a_zero_point, b_zero_point, multiplier, shift, zero_point, min: -128, max: 127 };
            let (a, b) = (bytes(seed, 20), bytes(!seed, 20));
            let mut output = vec![0; 20];
            scale.run(&a, &b, &mut output);
            for ((&a, &b), &got) in a.iter().zip(&b).zip(&output) {
                let product = (i32::from(a) - a_zero_point) * (i32::from(b) - b_zero_point);
                let wanted = rescale(product, multiplier, shift) + i128::from(zero_point);
                prop_assert_eq!(i128::from(got), wanted.clamp(-128, 127));
            }
        }

        #[test]
        fn any_broadcast_is_a_walk_through_all_axes(
            counts in prop::array::uniform4(1u32..4),
            a_on in prop::array::uniform4(any::<bool>()),
            b_on in prop::array::uniform4(any::<bool>()),
            missing in 0usize..3,
        ) {
            // An input that is repeated along the axes that are off.
            let strides = |on: [bool; 4]| {
                let mut strides = [0; 4];
                let mut next = 1;
                for axis in (0..4).rev() {
                    if on[axis] {
                        strides[axis] = next;
                        next *= counts[axis];
                    }
                }
                (strides, next)
            };
            let ((a_strides, a_len), (b_strides, b_len)) = (strides(a_on), strides(b_on));
            let a: Vec<i32> = (0..a_len.cast_signed()).collect();
            let b: Vec<i32> = (0..b_len.cast_signed()).map(|i| 1000 * i).collect();
            let len: u32 = counts.iter().product();
            let mut expected = Vec::new();
            for step in 0..len {
                let (mut rest, mut from_a, mut from_b) = (step, 0, 0);
                for axis in (0..4).rev() {
                    let at = rest % counts[axis];
                    rest /= counts[axis];
                    from_a += at * a_strides[axis];
                    from_b += at * b_strides[axis];
                }
                expected.push(a[from_a as usize] + b[from_b as usize]);
            }
            let kernel =
                AddI32Broadcast { min: i32::MIN, max: i32::MAX, counts, a_strides, b_strides };
            let mut output = vec![0; expected.len()];
            kernel.run(&a, &b, &mut output);
            prop_assert_eq!(&output, &expected);
            // Fewer inputs than the shape says: no panic.
            kernel.run(a.get(missing..).unwrap_or(&[]), &[], &mut output);
        }
    }

    #[test]
    fn a_nan_passes_and_an_infinity_is_clamped() {
        let kernel = AddF32 { min: f32::MIN, max: f32::MAX };
        let mut output = [0.0; 3];
        kernel.run(&[f32::NAN, f32::INFINITY, 1.0], &[1.0; 3], &mut output);
        assert!(output[0].is_nan());
        assert_eq!(output[1..], [f32::MAX, 2.0]);
    }

    #[test]
    fn a_16_bit_sum_of_extremes_does_not_overflow() {
        let kernel = AddI16 {
            a_zero_point: 0,
            a_factor: 1 << 14,
            b_zero_point: 0,
            b_multiplier: 1 << 30,
            b_shift: 0,
            b_sign: 1,
            multiplier: 1 << 30,
            shift: 13,
            zero_point: 0,
            min: -32768,
            max: 32767,
        };
        let mut output = [0; 2];
        kernel.run(&[i16::MIN, i16::MAX], &[i16::MIN, i16::MAX], &mut output);
        assert_eq!(output, [i16::MIN, i16::MAX]);
    }
}
