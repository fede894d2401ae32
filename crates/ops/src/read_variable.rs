//! READ_VARIABLE: the value of a state variable; and VAR_HANDLE, which names one.

use crate::eval::Evaluation;
use crate::lower::Lower;
use crate::movement;
use crate::op::{Cost, Definition, Op, Refusal, TfliteSpelling};
use crate::tflite::Reading;
use kinglet_graph::{Attribute, InferError, Operator, Tensor, TensorKind, TensorType};
use std::sync::Arc;

operator! {
    /// Inputs: a state variable. The output is its value now; a later assignment does not change it.
    ReadVariable "read_variable" {}
}

/// The operator's entry in the list.
pub const DEFINITION: Definition = Definition {
    name: ReadVariable::NAME,
    tflite: &[
        TfliteSpelling {
            code: "READ_VARIABLE",
            versions: 1..=1,
            read: |_node| Ok(Reading::Variable(Arc::new(ReadVariable {}))),
        },
        TfliteSpelling {
            code: "VAR_HANDLE",
            versions: 1..=1,
            read: |node| {
                let (container, name) = (node.text("container")?, node.text("shared_name")?);
                let name = if container.is_empty() { name } else { format!("{container}/{name}") };
                Ok(Reading::Handle { name })
            },
        },
    ],
    parse: ReadVariable::parse,
    types: movement::MOVED,
    numerics: movement::NUMERICS,
};

impl Operator for ReadVariable {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        self.list_attributes()
    }

    fn infer(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<TensorType>, InferError> {
        let state = movement::input(inputs, 0, "the state variable")?;
        match state.kind {
            TensorKind::State(_) => Ok(vec![state.ty.clone()]),
            TensorKind::Value | TensorKind::Constant(_) => {
                Err(InferError(format!("\"{}\" is not a state variable", state.name)))
            }
        }
    }

    fn assigned_states(&self) -> &'static [usize] {
        &[]
    }
}

impl Op for ReadVariable {
    fn evaluate(&self, cx: &mut Evaluation<'_>) -> Result<(), Refusal> {
        let bytes = cx.bytes(0)?;
        cx.set(0, bytes)
    }

    fn cost(&self, _inputs: &[Option<&Tensor>], _outputs: &[&Tensor]) -> Cost {
        Cost::default()
    }

    fn lower(&self, cx: &mut Lower<'_>) -> Result<(), Refusal> {
        cx.alias(0, 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinglet_graph::{DType, Data};

    #[test]
    fn only_a_state_variable_can_be_read() {
        let value = Tensor::value("x", TensorType::new(DType::I8, [3]));
        let state = Tensor { kind: TensorKind::State(Data::new(vec![0; 3])), ..value.clone() };
        assert_eq!(
            ReadVariable {}.infer(&[Some(&state)]).unwrap(),
            std::slice::from_ref(&state.ty)
        );
        assert!(ReadVariable {}.infer(&[Some(&value)]).is_err());
        assert!(ReadVariable {}.infer(&[]).is_err());
    }
}
