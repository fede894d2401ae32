//! The passes change nothing that a model of the conformance set computes.

use kinglet::batch::Batch;
use kinglet_engine::Machine;
use kinglet_ops::Graph;
use kinglet_program::{Options, lower};
use kinglet_target::Target;
use kinglet_testkit::{assets, conform};
use std::sync::Arc;

/// The outputs of two runs, one after the other, or `None` when the model cannot be lowered.
fn outputs(graph: &Graph) -> Option<Vec<Vec<u8>>> {
    let program = lower(graph, &Target::host(), &Options::default()).ok()?;
    let mut machine = Machine::new(Arc::new(program)).unwrap();
    let batch = Batch::made_up(graph, 2, 7);
    let mut outputs = Vec::new();
    for case in 0..batch.cases() {
        for index in 0..graph.inputs.len() {
            machine.input_mut(index).copy_from_slice(batch.input(index, case, 0));
        }
        machine.run(None).unwrap();
        outputs.extend((0..graph.outputs.len()).map(|index| machine.output(index).to_vec()));
    }
    Some(outputs)
}

#[test]
fn models_compute_the_same_after_the_passes() {
    let Some(assets) = assets() else { return };
    let mut count = 0;
    for path in conform::models(&assets.join("models")) {
        let bytes = std::fs::read(&path).unwrap();
        let Ok(imported) = kinglet_import::read(Arc::new(bytes), "model") else { continue };
        let before = imported.graph;
        let after = kinglet_passes::standard(before.clone()).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy();
        let (from, to) = (before.nodes.len(), after.nodes.len());
        if from != to {
            println!("{name}: {from} nodes, {to} after the passes");
        }
        assert!(to <= from);
        let Some(expected) = outputs(&before) else { continue };
        assert!(outputs(&after).as_ref() == Some(&expected), "{name} differs after the passes");
        count += 1;
    }
    assert!(count >= 20, "only {count} models ran");
}
