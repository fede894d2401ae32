//! Graph to graph: what can be known, merged or left out before anything is lowered.
//!
//! A [`Pass`] has a name and changes a graph without changing what it computes: integers keep every
//! bit, floats too but where a constant is computed here by an operator's reference meaning. Passes
//! know no operator by name; what they need to know an operator offers ([`kinglet_ops::Op`]). A
//! tensor's name, index in the file and quantization stay with it, so that whoever speaks of tensors
//! can do so after the passes; a tensor that no node needs any more is gone.
//!
//! The graph is verified after each pass. A violation is a bug of the pass, not of the model.

mod dead;
mod fold;
mod forward;
mod fuse;

use kinglet_diag::{Failure, Place, bug};
use kinglet_ops::Graph;

/// A step from graph to graph.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// Its name, snake case.
    pub name: &'static str,
    /// One sentence: what it does.
    pub summary: &'static str,
    run: fn(&mut Graph),
}

/// All passes, in the order in which [`standard`] runs them.
pub const STANDARD: &[Pass] = &[
    Pass {
        name: "fold_constants",
        summary: "nodes whose inputs are all constant are computed now",
        run: fold::fold_constants,
    },
    Pass {
        name: "forward_copies",
        summary: "nodes that change neither bytes nor type are skipped, and copies of copies shortened",
        run: forward::forward_copies,
    },
    Pass {
        name: "fuse_padding",
        summary: "padding before a window operator becomes the operator's own",
        run: fuse::fuse_padding,
    },
    Pass {
        name: "fuse_activation",
        summary: "an activation after an operator that can clamp becomes the operator's own",
        run: fuse::fuse_activation,
    },
    Pass {
        name: "remove_dead",
        summary: "nodes and tensors that no output and no state needs are removed",
        run: dead::remove_dead,
    },
];

impl Pass {
    /// Runs the pass and verifies what came out.
    ///
    /// # Errors
    /// A bug of the pass, with everything that is wrong with its result.
    pub fn apply(&self, mut graph: Graph) -> Result<Graph, Failure> {
        (self.run)(&mut graph);
        match kinglet_graph::verify::verify(&graph) {
            Ok(()) => Ok(graph),
            Err(failure) => {
                let mut diagnostics =
                    bug(format!("the pass {} broke the graph", self.name)).diagnostics().to_vec();
                let place = Place::Other(format!("after the pass {}", self.name));
                diagnostics
                    .extend(failure.diagnostics().iter().cloned().map(|d| d.at(place.clone())));
                Err(Failure::new(diagnostics))
            }
        }
    }
}

/// The pass with this name.
pub fn by_name(name: &str) -> Option<&'static Pass> {
    STANDARD.iter().find(|pass| pass.name == name)
}

/// Runs all passes on a verified graph.
///
/// # Errors
/// A bug of a pass.
pub fn standard(graph: Graph) -> Result<Graph, Failure> {
    observed(graph, &mut |_, _| true)
}

/// Runs all passes on a verified graph and shows the graph after each to `observe`, which says whether
/// to go on.
///
/// # Errors
/// A bug of a pass.
pub fn observed(
    mut graph: Graph,
    observe: &mut dyn FnMut(&Pass, &Graph) -> bool,
) -> Result<Graph, Failure> {
    for pass in STANDARD {
        graph = pass.apply(graph)?;
        if !observe(pass, &graph) {
            break;
        }
    }
    Ok(graph)
}
