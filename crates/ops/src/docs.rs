//! The pages `docs/operators.md` and `docs/numerics.md`, from the list of operators.

use crate::op::{Definition, Numerics};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The reference's source: the repositories and the commits that the operators were written after.
pub const REFERENCES: &[(&str, &str, &str)] = &[
    (
        "TensorFlow Lite Micro",
        "tensorflow/tflite-micro",
        "90b983c2b3f1480642e040bbd2ddb37b998f3424",
    ),
    ("gemmlowp (`fixedpoint.h`)", "google/gemmlowp", "719139ce755a0f31cbf1c37f7f98adcc7fc9f425"),
];

const NUMERICS_HEAD: &str = "\
# Numerics

<!-- Generated from crates/ops/src. `KINGLET_BLESS=1 cargo test -p kinglet-ops` rewrites it. -->

What each operator computes, to the bit. Integers are those of the reference, on every engine and every
target; the reference is

";

const NUMERICS_TERMS: &str = "
Where it and LiteRT differ, TensorFlow Lite Micro is followed. Where it stops the program or leaves a
result to the machine, the tables below say what is computed instead, or the model is refused.

## Terms

| term | means |
|---|---|
| scale, zero point | real = scale x (q - zero point); scales are f32 |
| multiplier, shift | a real factor M as multiplier x 2^(shift - 31), the multiplier in 2^30 to 2^31: M's fraction x 2^31, half away from zero, computed in f64 on the host. M below 2^-32 becomes 0 |
| doubling high multiply | (a x b + 2^30) >> 31 in 64 bits, which is half up; saturated only where a and b are both -2^31 |
| shift right, half away from zero | x / 2^n to the nearest integer, halves away from zero |
| two roundings | x << shift (where it is positive, wrapping), then the doubling high multiply, then the shift right by -shift (where it is negative): `MultiplyByQuantizedMultiplier` of the reference without `TFLITE_SINGLE_ROUNDING` |
| Qm.n | a fixed-point number of m integer and n fractional bits, and a sign |
| wrapping | modulo 2^32, as two's complement does |
| saturated | the nearest value of the type or range |
| fused activation | a clamp at the operator's end; its ends are quantized as zero point + (real / scale, in f32, half away from zero) |

## Rules for all

- Multipliers, tables and packed weights are made on the host when a model is compiled. Firmware for an
  integer model computes in integers alone, 32 bits wide but for products of 64.
- A float that becomes an integer is saturated, and NaN becomes 0 before the zero point is added.
- f32: each operation rounds to nearest, halves to even; nothing is fused. The order of a sum belongs to
  the target: the engines of one board agree to the bit, the engines `reference` (sums in f64) and
  `native` with them within 1e-5 + 1e-4 x the tensor's largest magnitude. exp and tanh are plain Rust
  and the same everywhere.
- NaN and infinities pass as in the reference.

";

const OPERATORS_HEAD: &str = "\
# Operators

<!-- Generated from crates/ops/src and tests/ops. `KINGLET_BLESS=1 cargo test -p kinglet-ops` rewrites it. -->

What is read, and what it becomes. An operator that is not here, or a version above those named, is
refused with the node's name; so are element types that are not named. The last column lists the kernels
that the operator's cases under `tests/ops` are lowered to; the ones in `_in_place` write over their
input. `numerics.md` says how each one computes.

| operator | TensorFlow Lite | versions | element types | kernels |
|---|---|---|---|---|
";

/// Kernels by operator: the names of both.
pub type Kernels = BTreeMap<String, BTreeSet<String>>;

/// The page `docs/operators.md`: a row for each operator, sorted by name.
pub fn operators_page(operators: &[Definition], kernels: &Kernels) -> String {
    let mut page = OPERATORS_HEAD.to_owned();
    for operator in sorted(operators) {
        let spellings = |cell: fn(&crate::TfliteSpelling) -> String| {
            operator.tflite.iter().map(cell).collect::<Vec<_>>().join("<br>")
        };
        let versions = spellings(|spelling| {
            let (first, last) = (spelling.versions.start(), spelling.versions.end());
            if first == last { first.to_string() } else { format!("{first} to {last}") }
        });
        let kernels = kernels.get(operator.name).into_iter().flatten();
        let kernels: Vec<String> = kernels.map(|kernel| format!("`{kernel}`")).collect();
        row(
            &mut page,
            &[
                &format!("[`{0}`](numerics.md#{0})", operator.name),
                &spellings(|spelling| spelling.code.to_owned()),
                &versions,
                &list(operator.types),
                &kernels.join(", "),
            ],
        );
    }
    page
}

/// The page `docs/numerics.md`: the rules for all, then each operator, sorted by name.
pub fn numerics_page(operators: &[Definition]) -> String {
    let mut page = NUMERICS_HEAD.to_owned();
    for (what, repository, commit) in REFERENCES {
        // Writing to a text cannot fail.
        let _ = writeln!(page, "- {what}: `{repository}` at commit `{commit}`");
    }
    page.push_str(NUMERICS_TERMS);
    page.push_str("## Operators\n");
    for operator in sorted(operators) {
        let _ = writeln!(page, "\n### {}\n", operator.name);
        page.push_str(
            "| element types | rounding | widths and saturation | constants and tables |\n",
        );
        page.push_str("|---|---|---|---|\n");
        for Numerics { types, rounding, widths, tables } in operator.numerics {
            row(&mut page, &[types, rounding, widths, tables]);
        }
    }
    page
}

fn sorted(operators: &[Definition]) -> Vec<&Definition> {
    let mut sorted: Vec<&Definition> = operators.iter().collect();
    sorted.sort_by_key(|operator| operator.name);
    sorted
}

/// A list whose items may have commas of their own.
fn list(items: &[&str]) -> String {
    let separator = if items.iter().any(|item| item.contains(',')) { "; " } else { ", " };
    items.join(separator)
}

/// One line of a table; a bar inside a cell is not a column's end.
fn row(page: &mut String, cells: &[&str]) {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    let _ = writeln!(page, "| {} |", cells.join(" | "));
}
