//! Requantization with a shift, for cores whose multiplication has no upper half.

use super::{Finish, GROUP, RangeI8};
#[cfg(all(target_arch = "riscv32", feature = "rv32"))]
use crate::arch::rv32 as core_arch;
#[cfg(any(
    all(target_arch = "arm", feature = "v6m"),
    all(target_arch = "riscv32", feature = "rv32")
))]
use crate::arch::taps::Taps;
#[cfg(all(target_arch = "arm", feature = "v6m"))]
use crate::arch::v6m as core_arch;
use crate::fixed::multiply_by_quantized_multiplier;

/// As [`super::RequantizeAnyI8`], for right shifts of 1 to 31, which the table holds as positive numbers; sums with
/// their bias are below 2^29.
#[derive(Clone, Copy, Debug)]
pub struct RequantizeShiftI8(RangeI8);

impl RequantizeShiftI8 {
    /// To this zero point, between `min` and `max`.
    #[inline(always)]
    pub fn new(zero_point: i32, min: i32, max: i32) -> Self {
        Self(RangeI8::new(zero_point, min, max))
    }

    /// The output's zero point.
    #[inline(always)]
    pub fn zero_point(&self) -> i32 {
        self.0.zero_point
    }

    /// Narrows outputs that have the range of the type.
    #[inline(always)]
    pub fn narrow(&self, output: &mut [i8]) {
        if self.0.narrow {
            for out in output {
                *out = i32::from(*out).max(self.0.min).min(self.0.max) as i8;
            }
        }
    }

    #[inline(always)]
    fn scaled(sum: i32, words: &[i32; 3]) -> i32 {
        multiply_by_quantized_multiplier(sum, words[1], words[2].wrapping_neg())
    }
}

finish_i8! { RequantizeShiftI8
    const FEW_TAPS: bool = cfg!(any(
        all(target_arch = "arm", feature = "v6m"),
        all(target_arch = "riscv32", feature = "rv32")
    ));

    #[cfg(any(
        all(target_arch = "arm", feature = "v6m"),
        all(target_arch = "riscv32", feature = "rv32")
    ))]
    #[inline(always)]
    fn depthwise(
        &self,
        taps: &Taps<'_, i8>,
        at: usize,
        weights: &[i8],
        words: &[[i32; 3]],
        output: &mut [[i8; GROUP]],
    ) -> bool {
        let (table, _) = words.as_chunks();
        core_arch::depthwise(taps, at, weights, table, output, self.zero_point());
        self.narrow(output.as_flattened_mut());
        true
    }
}
