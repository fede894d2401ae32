//! Comparing what two sides computed.

use kinglet_diag::{Result, bug};
use kinglet_formats::npz::{Array, DType};
use serde::Serialize;

/// What a comparison of two arrays found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// What was compared: `out0`, or the tensor.
    pub name: String,
    /// What it was compared with.
    pub against: String,
    /// Values compared.
    pub values: usize,
    /// Values that differ, beyond the tolerance for floats.
    pub different: usize,
    /// The largest difference: in steps for integers.
    pub largest: f64,
    /// The flat index of the first value that differs.
    pub first_index: Option<usize>,
    /// The first value that differs, here and there.
    pub first_values: Option<(f64, f64)>,
    /// The tolerance: 0 for integers.
    pub tolerance: f64,
}

impl Difference {
    /// Whether the two sides are equal, or within the tolerance.
    pub fn is_equal(&self) -> bool {
        self.different == 0
    }
}

/// How floats are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Floats {
    /// Within `1e-5 + 1e-4 x the largest magnitude of the tensor` (DESIGN.md section 6): the order of
    /// accumulation may differ.
    #[default]
    Tolerance,
    /// To the bit, NaN equal to NaN.
    Bits,
}

/// Compares two arrays: integers to the bit, floats as asked; NaN equals NaN, an infinity itself.
///
/// # Errors
/// When the arrays do not have one type and length.
pub fn arrays(
    name: &str,
    got: &Array,
    against: &str,
    golden: &Array,
    floats: Floats,
) -> Result<Difference> {
    if got.dtype() != golden.dtype() || got.len() != golden.len() {
        return Err(bug(format!(
            "{name} is {} {:?}, {against} is {} {:?}",
            got.dtype(),
            got.shape(),
            golden.dtype(),
            golden.shape()
        )));
    }
    let (a, b) = (to_f64(got), to_f64(golden));
    let is_float = matches!(got.dtype(), DType::F16 | DType::F32 | DType::F64);
    let tolerance = if is_float && floats == Floats::Tolerance {
        let finite = b.iter().filter(|value| value.is_finite());
        1e-5 + 1e-4 * finite.fold(0f64, |largest, value| largest.max(value.abs()))
    } else {
        0.0
    };
    let mut result = Difference {
        name: name.to_owned(),
        against: against.to_owned(),
        values: a.len(),
        different: 0,
        largest: 0.0,
        first_index: None,
        first_values: None,
        tolerance,
    };
    for (index, (&x, &y)) in a.iter().zip(&b).enumerate() {
        // A NaN on one side only, or two different infinities, differ whatever the tolerance.
        let distance = if x == y || (x.is_nan() && y.is_nan()) { 0.0 } else { (x - y).abs() };
        if distance <= tolerance {
            continue;
        }
        result.different += 1;
        result.largest =
            if distance.is_nan() { f64::INFINITY } else { result.largest.max(distance) };
        if result.first_index.is_none() {
            result.first_index = Some(index);
            result.first_values = Some((x, y));
        }
    }
    Ok(result)
}

/// An array's values as f64; 64-bit integers beyond 2^53 lose their last bits, which no tensor here has.
pub fn to_f64(array: &Array) -> Vec<f64> {
    let each = array.data().chunks_exact(array.dtype().bytes());
    let wide = |bytes: &[u8]| {
        let mut wide = [0u8; 8];
        for (to, from) in wide.iter_mut().zip(bytes) {
            *to = *from;
        }
        u64::from_le_bytes(wide)
    };
    match array.dtype() {
        DType::Bool | DType::U8 | DType::U16 | DType::U32 | DType::U64 => {
            each.map(|b| wide(b) as f64).collect()
        }
        DType::I8 => each.map(|b| f64::from(wide(b) as u8 as i8)).collect(),
        DType::I16 => each.map(|b| f64::from(wide(b) as u16 as i16)).collect(),
        DType::I32 => each.map(|b| f64::from(wide(b) as u32 as i32)).collect(),
        DType::I64 => each.map(|b| wide(b) as i64 as f64).collect(),
        DType::F16 => each.map(|b| f16_to_f64(wide(b) as u16)).collect(),
        DType::F32 => each.map(|b| f64::from(f32::from_bits(wide(b) as u32))).collect(),
        DType::F64 => each.map(|b| f64::from_bits(wide(b))).collect(),
    }
}

fn f16_to_f64(bits: u16) -> f64 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from(bits >> 10 & 0x1f);
    let mantissa = f64::from(bits & 0x3ff);
    sign * match exponent {
        0 => mantissa * 2f64.powi(-24),
        31 if mantissa == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + mantissa / 1024.0) * 2f64.powi(exponent - 15),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn f32s(values: &[f32]) -> Array {
        Array::from_elements(vec![values.len()], values).unwrap()
    }

    #[test]
    fn floats_have_a_tolerance_and_nan_is_nan() {
        let golden = f32s(&[1000.0, f32::NAN, f32::INFINITY]);
        let near = f32s(&[1000.09, f32::NAN, f32::INFINITY]);
        let compare = |got: &Array, floats| arrays("out0", got, "golden", &golden, floats).unwrap();
        assert!(compare(&near, Floats::Tolerance).is_equal());
        assert_eq!(compare(&near, Floats::Bits).different, 1);
        let far = f32s(&[1000.2, 0.0, f32::NEG_INFINITY]);
        let found = compare(&far, Floats::Tolerance);
        assert_eq!((found.different, found.first_index), (3, Some(0)));
        assert_eq!(found.largest, f64::INFINITY);
    }

    #[test]
    fn integers_differ_in_steps() {
        let a = Array::from_elements(vec![3], &[1i8, -128, 5]).unwrap();
        let b = Array::from_elements(vec![3], &[1i8, 127, 6]).unwrap();
        let found = arrays("out0", &a, "golden", &b, Floats::Tolerance).unwrap();
        assert_eq!((found.different, found.largest, found.first_index), (2, 255.0, Some(1)));
    }

    #[test]
    fn half_precision_is_read() {
        assert_eq!(f16_to_f64(0x3c00), 1.0);
        assert_eq!(f16_to_f64(0xc000), -2.0);
        assert_eq!(f16_to_f64(0x0001), 2f64.powi(-24));
        assert!(f16_to_f64(0x7e00).is_nan());
    }
}
