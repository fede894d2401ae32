//! An operator for this crate's tests: any name, any attributes, outputs of the first input's type.

use crate::text::Unbuildable;
use crate::{Attribute, Graph, InferError, Operator, Tensor, TensorType};
use kinglet_diag::Failure;
use std::sync::Arc;

/// Any operator. `assign` assigns its first input; `two` has two outputs; `fussy` infers nothing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Anything {
    pub(crate) name: &'static str,
    pub(crate) attributes: Vec<(&'static str, Attribute)>,
}

/// The names that [`build`] knows.
pub(crate) const NAMES: &[&str] = &["same", "two", "assign", "fussy", "conv2d"];
/// The attributes' names that [`build`] knows.
pub(crate) const ATTRIBUTES: &[&str] = &["padding", "stride", "alpha", "x_9", "_", "node"];

impl Operator for Anything {
    fn name(&self) -> &'static str {
        self.name
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        self.attributes.clone()
    }

    fn infer(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<TensorType>, InferError> {
        let first = inputs.first().copied().flatten().ok_or("an input is needed")?;
        match self.name {
            "assign" => Ok(Vec::new()),
            "two" => Ok(vec![first.ty.clone(), first.ty.clone()]),
            "fussy" => Err("nothing pleases it".into()),
            _ => Ok(vec![first.ty.clone()]),
        }
    }

    fn assigned_states(&self) -> &'static [usize] {
        if self.name == "assign" { &[0] } else { &[] }
    }
}

fn build(name: &str, attributes: Vec<(String, Attribute)>) -> Result<Arc<Anything>, Unbuildable> {
    let known = |list: &[&'static str], name: &str| list.iter().copied().find(|n| *n == name);
    let refused = |what: &str| Unbuildable { why: format!("there is no {what}"), help: None };
    let name = known(NAMES, name).ok_or_else(|| refused(name))?;
    let attributes = attributes
        .into_iter()
        .map(|(n, value)| Ok((known(ATTRIBUTES, &n).ok_or_else(|| refused(&n))?, value)))
        .collect::<Result<_, _>>()?;
    Ok(Arc::new(Anything { name, attributes }))
}

pub(crate) fn parse(source: &str) -> Result<Graph<Anything>, Failure> {
    crate::text::parse(source, build)
}
