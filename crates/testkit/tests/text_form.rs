//! Every model of the conformance set that can be imported comes back from its text form.

use kinglet_graph::text::{listing, print};
use kinglet_testkit::{assets, conform};
use std::sync::Arc;

#[test]
fn models_come_back_from_their_text() {
    let Some(assets) = assets() else { return };
    let mut count = 0;
    for path in conform::models(&assets.join("models")) {
        let bytes = std::fs::read(&path).unwrap();
        let Ok(imported) = kinglet_import::read(Arc::new(bytes), "model") else { continue };
        let text = print(&imported.graph);
        let back = kinglet_ops::text::parse_graph(&text).unwrap();
        // Unequal texts are too long to print.
        assert!(print(&back) == text, "{} does not come back", path.display());
        kinglet_graph::verify::verify(&back).unwrap();
        let same_data =
            imported.graph.tensors.iter().zip(&back.tensors).all(|(a, b)| a.kind == b.kind);
        assert!(same_data, "data of {} differ", path.display());
        assert!(listing(&imported.graph).lines().count() > imported.graph.nodes.len());
        count += 1;
    }
    assert!(count >= 20, "only {count} models were read");
}
