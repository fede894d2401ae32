//! SPLIT_V: a tensor cut along an axis into parts of given lengths.

use crate::eval::Evaluation;
use crate::lower::Lower;
use crate::movement;
use crate::op::{Cost, Definition, Op, Refusal, TfliteSpelling};
use crate::split::Cut;
use kinglet_graph::{Attribute, InferError, Operator, Tensor, TensorType};

operator! {
    /// Inputs: `x`, constant `lengths` (one may be -1 and takes what is left), constant `axis`.
    SplitV "split_v" {
        /// Number of parts.
        num_splits: usize,
    }
}

/// The operator's entry in the list.
pub const DEFINITION: Definition = Definition {
    name: SplitV::NAME,
    tflite: &[TfliteSpelling {
        code: "SPLIT_V",
        versions: 1..=2,
        read: |node| Ok(SplitV { num_splits: node.positive("num_splits")? }.into()),
    }],
    parse: SplitV::parse,
    types: movement::MOVED,
    numerics: movement::NUMERICS,
};

impl SplitV {
    fn cut(
        &self,
        x: &Tensor,
        lengths: Option<&Tensor>,
        axis: Option<&Tensor>,
    ) -> Result<Cut, Refusal> {
        let parts = lengths.map_or(0, |lengths| lengths.ty.len());
        if parts != self.num_splits {
            return Err(Refusal::new(format!("{parts} lengths for {} parts", self.num_splits)));
        }
        Cut::of_lengths(x, lengths, axis)
    }
}

impl Operator for SplitV {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        self.list_attributes()
    }

    fn infer(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<TensorType>, InferError> {
        let x = movement::input(inputs, 0, "x")?;
        let parameter = |index: usize| inputs.get(index).copied().flatten();
        let cut = self.cut(x, parameter(1), parameter(2));
        Ok(cut.map_err(|refusal| InferError(refusal.why))?.types(x))
    }

    fn assigned_states(&self) -> &'static [usize] {
        &[]
    }
}

impl Op for SplitV {
    fn evaluate(&self, cx: &mut Evaluation<'_>) -> Result<(), Refusal> {
        let cut = self.cut(cx.input(0)?, cx.optional_input(1), cx.optional_input(2))?;
        cut.evaluate(cx, 0)
    }

    fn cost(&self, _inputs: &[Option<&Tensor>], outputs: &[&Tensor]) -> Cost {
        Cost::of_outputs(outputs)
    }

    fn lower(&self, cx: &mut Lower<'_>) -> Result<(), Refusal> {
        self.cut(cx.input(0)?, cx.optional_input(1), cx.optional_input(2))?.lower(cx, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::movement::test::ints;
    use kinglet_graph::DType;

    #[test]
    fn there_is_a_length_for_each_part() {
        let x = Tensor::value("x", TensorType::new(DType::F32, [4, 5]));
        let shapes = |num_splits: usize, lengths: &[i32]| {
            let (lengths, axis) = (ints(lengths), ints(&[-1]));
            let types = SplitV { num_splits }.infer(&[Some(&x), Some(&lengths), Some(&axis)])?;
            Ok::<_, InferError>(types.into_iter().map(|ty| ty.shape).collect::<Vec<_>>())
        };
        assert_eq!(shapes(2, &[2, 3]).unwrap(), [[4, 2], [4, 3]]);
        assert!(shapes(3, &[2, 3]).is_err());
    }
}
