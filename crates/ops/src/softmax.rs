//! SOFTMAX over the last axis.

use crate::common::small;
use crate::eval::Evaluation;
use crate::gemmlowp;
use crate::lower::{Arg, ConstantData, Lower};
use crate::op::{Cost, Definition, Numerics, Op, Refusal, TfliteSpelling};
use crate::quant::{per_tensor, quantize_multiplier};
use crate::reference::{rounding_divide_by_pot, saturating_rounding_doubling_high_mul as mul};
use crate::unary;
use kinglet_graph::{Attribute, DType, InferError, Operator, Tensor, TensorType};
use kinglet_kernels::{SoftmaxF32, SoftmaxF32InPlace, SoftmaxI8, SoftmaxI8I16, SoftmaxI8InPlace};

operator! {
    /// Input: `x [..., depth]`.
    Softmax "softmax" {
        /// Factor of the exponent.
        beta: f32,
        /// Element type of the output: i8 may become i16.
        to: DType,
    }
}

/// The operator's entry in the list.
pub const DEFINITION: Definition = Definition {
    name: Softmax::NAME,
    tflite: &[TfliteSpelling {
        code: "SOFTMAX",
        versions: 1..=3,
        read: |node| {
            Ok(Softmax { beta: node.float("beta")?, to: unary::output_dtype(node)? }.into())
        },
    }],
    parse: Softmax::parse,
    types: &["i8", "i8 to i16", "f32"],
    numerics: &[
        Numerics {
            types: "i8 to i8 (scale 1/256, zero point -128) or i16 (scale 1/65536, zero point -32768)",
            rounding: "exponentials to Q12.19 half up before they are summed; their product with the sum's reciprocal half away from zero, then shifted half away from zero",
            widths: "exponentials and reciprocal in Q0.31, the sum in 32 bits without sign, products of 64 bits; saturated to the output's type. Sums of 512 ones and more, which stop the reference, give the least i8 value",
            tables: "exponentials of up to 256 differences to the row's maximum, by gemmlowp's fixed-point exponential from Q5.26; cut where an entry counts for nothing",
        },
        Numerics {
            types: "f32",
            rounding: "each step to nearest even",
            widths: "f32; sums in order; NaN passes, except where the maximum is taken",
            tables: "none: exp is libm's, in plain Rust",
        },
    ],
};

/// The way of a difference between two inputs to Q5.26.
struct Differences {
    multiplier: i32,
    shift: i32,
    /// Differences below this one count for nothing.
    least: i32,
}

impl Softmax {
    fn depth(input: &Tensor) -> Result<usize, Refusal> {
        let depth = input.shape().last().copied();
        depth.ok_or_else(|| Refusal::new("an input without axes has no last axis"))
    }

    /// Source: `PreprocessSoftmaxScaling` and `CalculateInputRadius` of TensorFlow Lite.
    fn differences(&self, input: &Tensor) -> Result<Differences, Refusal> {
        let (scale, _) = per_tensor(input, "the input")?;
        let real = f64::from(self.beta) * f64::from(scale) * f64::from(1 << 26);
        // The reference stops the program here.
        if real.is_nan() || real <= 1.0 {
            return Err(Refusal::new(format!("beta {} with an input scale of {scale}", self.beta))
                .help("beta x scale must be above 2^-26 (about 1.5e-8)"));
        }
        let (multiplier, shift) = quantize_multiplier(real.min(f64::from(i32::MAX)));
        let radius = (31.0 * f64::from(1 << 26) / f64::from(shift).exp2()).floor();
        Ok(Differences { multiplier, shift, least: -(radius as i32) })
    }

    fn check_output(input: &Tensor, output: &Tensor) -> Result<(), Refusal> {
        let (scale, zero_point) = per_tensor(output, "the output")?;
        let (wanted_scale, wanted_zero, slack) = match output.dtype() {
            DType::I16 => (1.0 / 65536.0f32, -32768, 0.001 / 65536.0f32),
            _ => (1.0 / 256.0, -128, 0.0),
        };
        if (scale - wanted_scale).abs() <= slack && zero_point == wanted_zero {
            return Ok(());
        }
        Err(Refusal::new(format!("an output with scale {scale} and zero point {zero_point}")).help(
            format!(
                "SOFTMAX from {} to {} gives scale {wanted_scale} and zero point {wanted_zero}",
                input.dtype(),
                output.dtype()
            ),
        ))
    }

    /// The exponentials of the differences 0, -1, ... in Q0.31, up to the last that counts.
    fn exponentials(&self, input: &Tensor) -> Result<Vec<i32>, Refusal> {
        let differences = self.differences(input)?;
        let mut table: Vec<i32> =
            (0..=255).map_while(|step| differences.exponential(-step)).collect();
        // Below 2^11 an entry adds nothing to the sum, and no share of it reaches half a unit.
        let counted = table.iter().rposition(|&entry| entry >= 1 << 11);
        table.truncate(counted.map_or(0, |last| last + 1));
        Ok(table)
    }

    /// One row by the reference's text; `least` is the least value of the output's type, `bits` its
    /// width.
    fn row(differences: &Differences, row: &[i8], bits: u32) -> Vec<i32> {
        let max = i32::from(row.iter().copied().max().unwrap_or(i8::MIN));
        let exponential = |x: &i8| differences.exponential(i32::from(*x) - max);
        let terms = row.iter().filter_map(exponential).map(|e| rounding_divide_by_pot(e, 12));
        let sum = terms.fold(0u32, |sum, term| sum.wrapping_add(term.cast_unsigned()));
        // `GetReciprocal`: the sum as (1 + x) * 2^-headroom.
        let headroom = sum.leading_zeros();
        let x = (u64::from(sum) << headroom) as i64 - (1i64 << 31);
        let reciprocal = gemmlowp::one_over_one_plus(x as i32);
        let shift = 12 - i64::from(headroom) + 31 - i64::from(bits);
        let least = -(1i32 << (bits - 1));
        let share = |x: &i8| {
            let Some(exponential) = exponential(x) else { return least };
            let product = mul(reciprocal, exponential);
            // The reference stops the program at 32 and more; the value it stands for is below 1/2.
            let share = match u32::try_from(shift) {
                Ok(shift) if shift <= 31 => rounding_divide_by_pot(product, shift),
                _ => 0,
            };
            (share + least).clamp(least, -least - 1)
        };
        row.iter().map(share).collect()
    }
}

impl Differences {
    /// The exponential of a difference (0 or below) in Q0.31, if it counts.
    fn exponential(&self, difference: i32) -> Option<i32> {
        if difference < self.least {
            return None;
        }
        let scaled = mul(difference.wrapping_shl(self.shift.unsigned_abs()), self.multiplier);
        Some(gemmlowp::exp_on_negative_values(scaled, 5))
    }
}

impl Operator for Softmax {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        self.list_attributes()
    }

    fn infer(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<TensorType>, InferError> {
        unary::infer(inputs, Some(self.to))
    }

    fn assigned_states(&self) -> &'static [usize] {
        &[]
    }
}

impl Op for Softmax {
    fn evaluate(&self, cx: &mut Evaluation<'_>) -> Result<(), Refusal> {
        let (input, output) = (cx.input(0)?, cx.output(0)?);
        let depth = Self::depth(input)?.max(1);
        match (input.dtype(), output.dtype()) {
            (DType::I8, DType::I8 | DType::I16) => {
                Self::check_output(input, output)?;
                let differences = self.differences(input)?;
                let bits = output.dtype().bits() as u32;
                let x = cx.values::<i8>(0)?;
                let rows = x.chunks(depth).flat_map(|row| Self::row(&differences, row, bits));
                if bits == 8 {
                    let y: Vec<i8> = rows.map(|value| value as i8).collect();
                    cx.set(0, &y)
                } else {
                    let y: Vec<i16> = rows.map(|value| value as i16).collect();
                    cx.set(0, &y)
                }
            }
            (DType::F32, DType::F32) => {
                let x = cx.values::<f32>(0)?;
                let mut y = Vec::with_capacity(x.len());
                for row in x.chunks(depth) {
                    let max = row.iter().fold(f32::MIN, |max, &x| if max < x { x } else { max });
                    let exp = row
                        .iter()
                        .map(|x| (f64::from(x - max) * f64::from(self.beta)).exp())
                        .collect::<Vec<_>>();
                    let sum: f64 = exp.iter().sum();
                    y.extend(exp.iter().map(|e| (e / sum) as f32));
                }
                cx.set(0, &y)
            }
            _ => Err(unary::refuse_types(input, output, "i8, i8 to i16, and f32")),
        }
    }

    fn cost(&self, _inputs: &[Option<&Tensor>], outputs: &[&Tensor]) -> Cost {
        Cost::of_outputs(outputs)
    }

    fn lower(&self, cx: &mut Lower<'_>) -> Result<(), Refusal> {
        let (input, output) = (cx.input(0)?, cx.output(0)?);
        let depth = small(Self::depth(input)?)?;
        match (input.dtype(), output.dtype()) {
            (DType::I8, DType::I8 | DType::I16) => {
                Self::check_output(input, output)?;
                let table = self.exponentials(input)?;
                let table = cx.constant(
                    "exponentials",
                    "Q0.31 by difference to the maximum",
                    None,
                    ConstantData::I32(table),
                );
                if output.dtype() == DType::I16 {
                    cx.call(SoftmaxI8I16 { depth }, &[Arg::Input(0), table, Arg::Output(0)]);
                } else {
                    cx.call_or_in_place(
                        SoftmaxI8 { depth },
                        &[Arg::Input(0), table, Arg::Output(0)],
                        (0, 0),
                        SoftmaxI8InPlace { depth },
                        &[Arg::Output(0), table],
                    );
                }
                Ok(())
            }
            (DType::F32, DType::F32) => {
                let beta = self.beta;
                unary::lower_kernel(
                    cx,
                    SoftmaxF32 { depth, beta },
                    SoftmaxF32InPlace { depth, beta },
                );
                Ok(())
            }
            _ => Err(unary::refuse_types(input, output, "i8, i8 to i16, and f32")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unary::tests::tensor;

    fn softmax(beta: f32) -> Softmax {
        Softmax { beta, to: DType::I8 }
    }

    #[test]
    fn rows_are_near_the_function_and_the_table_is_enough() {
        for (beta, scale) in [(1.0, 0.1f32), (0.5, 0.02), (1.0, 3.0), (1.0, 1e-7), (2.0, 1e9)] {
            let op = softmax(beta);
            let input = tensor(DType::I8, &[5], Some((scale, 0)));
            let differences = op.differences(&input).unwrap();
            let table = op.exponentials(&input).unwrap();
            let row = [-128i8, 3, 7, 5, -90];
            let mut kernel = [0i8; 5];
            SoftmaxI8 { depth: 5 }.run(&row, &table, &mut kernel);
            let mut wide = [0i16; 5];
            SoftmaxI8I16 { depth: 5 }.run(&row, &table, &mut wide);
            let reference = Softmax::row(&differences, &row, 8);
            assert_eq!(kernel.map(i32::from).to_vec(), reference, "{scale}");
            let reference16 = Softmax::row(&differences, &row, 16);
            assert_eq!(wide.map(i32::from).to_vec(), reference16, "{scale}");
            let exp =
                row.map(|x| ((f64::from(x) - 7.0) * f64::from(scale) * f64::from(beta)).exp());
            let sum: f64 = exp.iter().sum();
            for (got, want) in reference.iter().zip(exp) {
                let want = (want / sum * 256.0).round() as i32 - 128;
                assert!((got - want.min(127)).abs() <= 1, "{scale}: {got} {want}");
            }
        }
    }

    #[test]
    fn kernel_and_reference_agree_on_sums_of_every_size() {
        let op = softmax(1.0);
        let input = tensor(DType::I8, &[1], Some((0.05, 0)));
        let differences = op.differences(&input).unwrap();
        let table = op.exponentials(&input).unwrap();
        for len in (1..40).chain([255, 256, 257, 511, 512, 513, 1000, 4095, 4096, 5000]) {
            let row: Vec<i8> = (0..len).map(|i| (i % 3) as i8).collect();
            let mut kernel = vec![0i8; len];
            SoftmaxI8 { depth: len as u32 }.run(&row, &table, &mut kernel);
            let kernel: Vec<i32> = kernel.into_iter().map(i32::from).collect();
            assert_eq!(kernel, Softmax::row(&differences, &row, 8), "{len}");
        }
    }

    #[test]
    fn the_table_is_cut_where_it_counts_for_nothing() {
        let input = tensor(DType::I8, &[1], Some((0.1, 0)));
        // exp(-13.86) is 2^-20.
        assert_eq!(softmax(1.0).exponentials(&input).unwrap().len(), 139);
        let coarse = tensor(DType::I8, &[1], Some((1e6, 0)));
        assert_eq!(softmax(1.0).exponentials(&coarse).unwrap(), [i32::MAX]);
    }

    #[test]
    fn odd_parameters_are_refused() {
        let input = tensor(DType::I8, &[1], Some((0.1, 0)));
        for beta in [0.0, -1.0, f32::NAN, 1e-10] {
            assert!(softmax(beta).differences(&input).is_err(), "{beta}");
        }
        let output = tensor(DType::I8, &[1], Some((0.1, -128)));
        assert!(Softmax::check_output(&input, &output).is_err());
        assert!(Softmax::depth(&tensor(DType::I8, &[], None)).is_err());
    }
}
