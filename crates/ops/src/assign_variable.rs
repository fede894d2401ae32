//! ASSIGN_VARIABLE: a new value for a state variable; and CALL_ONCE, which gives start values.

use crate::eval::Evaluation;
use crate::lower::Lower;
use crate::movement;
use crate::op::{Cost, Definition, Op, Refusal, TfliteSpelling};
use crate::tflite::Reading;
use kinglet_graph::{Attribute, InferError, Operator, Tensor, TensorType};
use std::sync::Arc;

operator! {
    /// Inputs: a state variable, its new value. No output.
    AssignVariable "assign_variable" {}
}

/// The operator's entry in the list.
pub const DEFINITION: Definition = Definition {
    name: AssignVariable::NAME,
    tflite: &[
        TfliteSpelling {
            code: "ASSIGN_VARIABLE",
            versions: 1..=1,
            read: |_node| Ok(Reading::Variable(Arc::new(AssignVariable {}))),
        },
        TfliteSpelling {
            code: "CALL_ONCE",
            versions: 1..=1,
            read: |node| Ok(Reading::Once { subgraph: node.size("init_subgraph_index")? }),
        },
    ],
    parse: AssignVariable::parse,
    types: movement::MOVED,
    numerics: movement::NUMERICS,
};

impl Operator for AssignVariable {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        self.list_attributes()
    }

    fn infer(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<TensorType>, InferError> {
        let state = movement::input(inputs, 0, "the state variable")?;
        let value = movement::input(inputs, 1, "the new value")?;
        // That the first is a state variable is a rule for all graphs, as `assigned_states` names it.
        if state.ty != value.ty {
            return Err(InferError(format!(
                "the state variable \"{}\" is {}, its new value {}",
                state.name, state.ty, value.ty
            )));
        }
        Ok(Vec::new())
    }

    fn assigned_states(&self) -> &'static [usize] {
        &[0]
    }
}

impl Op for AssignVariable {
    fn evaluate(&self, cx: &mut Evaluation<'_>) -> Result<(), Refusal> {
        let bytes = cx.bytes(1)?;
        cx.assign(0, bytes);
        Ok(())
    }

    fn cost(&self, inputs: &[Option<&Tensor>], _outputs: &[&Tensor]) -> Cost {
        let elements = inputs.get(1).copied().flatten().map_or(0, |value| value.ty.len());
        Cost { macs: 0, elements: elements as u64 }
    }

    fn lower(&self, cx: &mut Lower<'_>) -> Result<(), Refusal> {
        cx.assign(0, 1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinglet_graph::{DType, Data, TensorKind};

    #[test]
    fn the_value_is_of_the_variables_type() {
        let value = Tensor::value("x", TensorType::new(DType::I8, [3]));
        let state = Tensor { kind: TensorKind::State(Data::new(vec![0; 3])), ..value.clone() };
        let longer = Tensor::value("x", TensorType::new(DType::I8, [4]));
        assert_eq!(AssignVariable {}.infer(&[Some(&state), Some(&value)]).unwrap(), []);
        assert!(AssignVariable {}.infer(&[Some(&state), Some(&longer)]).is_err());
        assert!(AssignVariable {}.infer(&[Some(&state)]).is_err());
    }
}
