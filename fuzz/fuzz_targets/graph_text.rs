//! Any text as a graph: a graph that comes back from its own text, or diagnostics with a place and
//! help. A graph that is read is verified, which asks its operators for types.
#![no_main]

use kinglet_diag::Failure;
use kinglet_graph::text::{listing, print};
use kinglet_graph::verify::verify;
use kinglet_ops::text::parse_graph;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // Cases of the project go on with sections that are not part of the graph.
    let text = text.split("\n---").next().unwrap_or(text);
    match parse_graph(text) {
        Ok(graph) => {
            let printed = print(&graph);
            let back = parse_graph(&printed).expect("a graph reads its own text");
            assert_eq!(print(&back), printed);
            assert!(listing(&graph).len() <= printed.len() + 64 * graph.tensors.len());
            if let Err(failure) = verify(&graph) {
                check(&failure);
            }
        }
        Err(failure) => check(&failure),
    }
});

fn check(failure: &Failure) {
    for diagnostic in failure.diagnostics() {
        assert!(!diagnostic.places.is_empty(), "no place: {diagnostic}");
        assert!(diagnostic.help.is_some(), "no help: {diagnostic}");
    }
}
