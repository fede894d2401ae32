//! Quantization parameters: from scales to what kernels take.
//!
//! Every formula here runs on the host, once, in f64 as the reference does; firmware sees integers.

use crate::op::Refusal;
use kinglet_graph::{DType, Quantization, Tensor};

/// A real multiplier as a fixed-point multiplier in [2^30, 2^31) and a shift, positive to the left:
/// TensorFlow Lite's `QuantizeMultiplier`.
pub fn quantize_multiplier(real: f64) -> (i32, i32) {
    if real == 0.0 || !real.is_finite() {
        return (0, 0);
    }
    let (fraction, mut exponent) = frexp(real);
    // Half away from zero, as C's `round`; the product is exact in f64.
    let mut fixed = (fraction * (1i64 << 31) as f64).round() as i64;
    if fixed == 1i64 << 31 {
        fixed /= 2;
        exponent += 1;
    }
    if exponent < -31 {
        return (0, 0);
    }
    if exponent > 30 {
        return (i32::MAX, 30);
    }
    (fixed as i32, exponent)
}

/// `real = fraction * 2^exponent` with a fraction in [0.5, 1): C's `frexp` for finite values.
pub fn frexp(real: f64) -> (f64, i32) {
    if real == 0.0 || !real.is_finite() {
        return (real, 0);
    }
    // A subnormal is scaled up first so that its exponent field means something.
    let (scaled, bias) =
        if real.abs() < f64::MIN_POSITIVE { (real * 2f64.powi(64), 64) } else { (real, 0) };
    let bits = scaled.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i32 - 1022 - bias;
    let fraction = f64::from_bits((bits & !(0x7ff << 52)) | (1022 << 52));
    (fraction, exponent)
}

/// The quantization of a tensor that must have one scale and zero point for all.
pub fn per_tensor(tensor: &Tensor, what: &str) -> Result<(f32, i32), Refusal> {
    let quantization = quantization(tensor, what)?;
    let Some((scale, zero_point)) = quantization.single() else {
        return Err(Refusal::new(format!(
            "{what} has {} scales, expected one for the whole tensor",
            quantization.scales.len()
        )));
    };
    let zero_point = i32::try_from(zero_point).map_err(|_| {
        Refusal::new(format!("{what} has the zero point {zero_point}, out of range"))
    })?;
    Ok((scale, zero_point))
}

/// The quantization of a tensor that must have one.
pub fn quantization<'a>(tensor: &'a Tensor, what: &str) -> Result<&'a Quantization, Refusal> {
    let quantization = tensor.quantization.as_ref();
    quantization.ok_or_else(|| {
        Refusal::new(format!("{what} is {} without a scale", tensor.ty))
            .help("the model was converted without calibration; convert it again with representative data")
    })
}

/// The scale for each of `channels` output channels of a weight tensor quantized along `axis`, or one
/// scale repeated. Weight zero points must be 0.
pub fn channel_scales(
    weights: &Tensor,
    axis: usize,
    channels: usize,
    what: &str,
) -> Result<Vec<f32>, Refusal> {
    let quantization = quantization(weights, what)?;
    if quantization.zero_points.iter().any(|&z| z != 0) {
        return Err(Refusal::new(format!("{what} has a zero point other than 0")));
    }
    match quantization.scales.as_slice() {
        [scale] => Ok(vec![*scale; channels]),
        scales if scales.len() == channels && quantization.axis == axis => Ok(scales.to_vec()),
        scales => Err(Refusal::new(format!(
            "{what} has {} scales along axis {}, expected {channels} along axis {axis}",
            scales.len(),
            quantization.axis
        ))),
    }
}

/// The real multiplier of each output channel of a product of input and weights: the quotient
/// `input scale x weight scale / output scale`, in f64 as the reference computes it.
pub fn multipliers(
    input: &Tensor,
    weight_scales: &[f32],
    output: &Tensor,
) -> Result<Vec<f64>, Refusal> {
    let (input_scale, _) = per_tensor(input, "the input")?;
    let (output_scale, _) = per_tensor(output, "the output")?;
    let multiplier = |&s: &f32| f64::from(input_scale) * f64::from(s) / f64::from(output_scale);
    Ok(weight_scales.iter().map(multiplier).collect())
}

/// The least and greatest value of an integer element type.
pub fn limits(dtype: DType) -> Option<(i32, i32)> {
    Some(match dtype {
        DType::I8 => (-128, 127),
        DType::U8 => (0, 255),
        DType::I16 => (-32768, 32767),
        DType::I32 => (i32::MIN, i32::MAX),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multipliers_follow_the_reference() {
        assert_eq!(quantize_multiplier(0.5), (1 << 30, 0));
        assert_eq!(quantize_multiplier(1.0), (1 << 30, 1));
        assert_eq!(quantize_multiplier(0.0), (0, 0));
        // Rounds up to 2^31 and is halved.
        assert_eq!(quantize_multiplier(1.0 - 1e-12), (1 << 30, 1));
        assert_eq!(quantize_multiplier(1e-12), (0, 0));
    }

    #[test]
    fn frexp_undoes_ldexp() {
        for real in [1.0, 0.75, 3.0e-310, 6.5e300, -2.5] {
            let (fraction, exponent) = frexp(real);
            assert!((0.5..1.0).contains(&fraction.abs()));
            // In two steps, as 2^-1030 alone is not a normal number.
            assert_eq!(
                fraction * 2f64.powi(exponent / 2) * 2f64.powi(exponent - exponent / 2),
                real
            );
        }
    }
}
