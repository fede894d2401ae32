use super::verify;
use crate::testing::{Anything, parse};
use crate::{Graph, TensorId};

/// One violation a line: code, sentence and places.
fn problems(graph: &Graph<Anything>) -> String {
    match verify(graph) {
        Ok(()) => String::new(),
        Err(failure) => {
            let lines = failure.diagnostics().iter().map(|d| format!("{} {d}", d.code));
            lines.collect::<Vec<_>>().join("\n")
        }
    }
}

/// The violations of a graph with this body.
fn problems_of(body: &str) -> String {
    problems(&parse(&format!("graph \"\"\n{body}")).unwrap())
}

#[test]
fn a_sound_graph_passes() {
    let body = r#"
        input t0
        output t4
        output t4 "again"
        output t2
        t0: i8[1,?4] q(0.5, -1) "x"
        t1: i8[3,4] q([1.0, 0.5, 2.0], 0, axis 0) = constant zeros
        t2: f32[2] = state [0.0, 1.0]
        t5: i32[2] q(0.5, 0, axis 3) = constant [1, 2]
        t6: u64[1] q(0.5, 9223372036854775807) = constant [1]
        t3: i8[1,4], t4: i8[1,4] = two(t0, t1, none)
        assign(t2, t3)
    "#;
    assert_eq!(problems_of(body), "");
}

#[test]
fn tensors_are_checked() {
    let cases = [
        (
            "t0: i8[99999999999,99999999999]",
            "K0315 i8[99999999999,99999999999] is larger than any memory (tensor 0 \"\")",
        ),
        (
            "t0: i8[3] \"w\" @12 = constant [1, 2]",
            "K0311 the data has 2 bytes, but i8[3] has 3 (tensor 12 \"w\")",
        ),
        (
            "t0: f32[3] = state [1.0, 2.0]",
            "K0311 the start value has 8 bytes, but f32[3] has 12 (tensor 0 \"\")",
        ),
        (
            "t0: i8[2] q([0.0, inf], 0, axis 0)",
            "K0312 the scale 0.0 is not a finite number above zero (tensor 0 \"\")",
        ),
        (
            "t0: i8[2] q(nan, 0)",
            "K0312 the scale NaN is not a finite number above zero (tensor 0 \"\")",
        ),
        ("t0: i8[2] q(0.5, [1, 2])", "K0312 1 scales with 2 zero points (tensor 0 \"\")"),
        (
            "t0: i8[2] q([0.5, 0.5, 0.5], 0, axis 0)",
            "K0312 3 scales along axis 0, which has a length of 2 (tensor 0 \"\")",
        ),
        (
            "t0: i8[2] q([0.5, 0.5], 0, axis 1)",
            "K0312 scales along axis 1 of i8[2] (tensor 0 \"\")",
        ),
        (
            "t0: i8[2] q([], [], axis 0)",
            "K0312 0 scales along axis 0, which has a length of 2 (tensor 0 \"\")",
        ),
        ("t0: i8[2] q(0.5, 128)", "K0312 the zero point 128 is not a value of i8 (tensor 0 \"\")"),
        ("t0: u8[2] q(0.5, -1)", "K0312 the zero point -1 is not a value of u8 (tensor 0 \"\")"),
        ("t0: i4[2] q(0.5, 8)", "K0312 the zero point 8 is not a value of i4 (tensor 0 \"\")"),
    ];
    for (body, expected) in cases {
        assert_eq!(problems_of(body), expected, "{body}");
    }
    let mut graph = parse("graph \"\" t0: i8[?2,?2]").unwrap();
    assert_eq!(problems(&graph), "");
    graph.tensors[0].free_axes = vec![1, 0];
    assert_eq!(problems(&graph), "K0315 free axes [1, 0] of i8[2,2] (tensor 0 \"\")");
    graph.tensors[0].free_axes = vec![2];
    assert_eq!(problems(&graph), "K0315 free axes [2] of i8[2,2] (tensor 0 \"\")");
}

#[test]
fn ports_are_checked() {
    let cases = [
        ("input t0 t0: i8[1] = constant [1]", "K0313 an input is a constant (tensor 0 \"\")"),
        ("input t0 t0: i8[1] = state [1]", "K0313 an input is a state variable (tensor 0 \"\")"),
        ("input t0 input t0 t0: i8[1]", "K0313 a tensor is an input twice (tensor 0 \"\")"),
        ("output t0 t0: i8[1]", "K0208 no node writes this output (tensor 0 \"\")"),
    ];
    for (body, expected) in cases {
        assert_eq!(problems_of(body), expected, "{body}");
    }
}

#[test]
fn nodes_are_checked() {
    let cases = [
        (
            "t0: i8[1]\nt1: i8[1] \"y\" = same(t0)",
            "K0208 a node reads a tensor that no earlier node writes (node 0 same \"y\", tensor 0 \"\")",
        ),
        (
            "t0: i8[1] = constant [1]\nt1: i8[1] = same(t0)\nt1 = same(t0) node \"b\" @7",
            "K0208 a tensor is written twice, or is a constant, state or input (node 7 same \"b\", tensor 1 \"\")",
        ),
        (
            "t0: i8[1] = constant [1]\nt0 = same(t0)",
            "K0208 a tensor is written twice, or is a constant, state or input (node 0 same \"\", tensor 0 \"\")",
        ),
        (
            "input t0 t0: i8[1]\nt0 = same(t0)",
            "K0208 a tensor is written twice, or is a constant, state or input (node 0 same \"\", tensor 0 \"\")",
        ),
        (
            "t0: i8[1] = constant [1]\nassign(t0, t0)",
            "K0314 input 0 is assigned to, but is no state variable (node 0 assign \"\", tensor 0 \"\")",
        ),
        (
            "t0: i8[1] = constant [1]\nt1: i8[2] \"y\" = same(t0)",
            "K0204 the file says i8[2], but same gives i8[1] (node 0 same \"y\", tensor 1 \"y\")",
        ),
        (
            "t0: i8[1] = constant [1]\nt1: i8[1] \"y\" = two(t0)",
            "K0204 two has 1 outputs, expected 2 (node 0 two \"y\")",
        ),
        (
            "t0: i8[1] = constant [1]\nt1: i8[1] \"y\" = fussy(t0)",
            "K0204 fussy: nothing pleases it (node 0 fussy \"y\")",
        ),
        // Types do not follow from a broken constant, so that nothing is said of them.
        (
            "t0: i8[1] = constant []\nt1: i8[2] = same(t0)",
            "K0311 the data has 0 bytes, but i8[1] has 1 (tensor 0 \"\")",
        ),
        // A cycle.
        (
            "t0: i8[1] = same(t1)\nt1: i8[1] = same(t0)",
            "K0208 a node reads a tensor that no earlier node writes (node 0 same \"\", tensor 1 \"\")",
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(problems_of(body), expected, "{body}");
    }
}

#[test]
fn missing_tensors_are_named_and_nothing_panics() {
    let mut graph = parse(
        "graph \"\" input t0 output t1 t0: i8[1]\nt1: i8[1] \"y\" = same(t0)\nassign(t0, t1)",
    )
    .unwrap();
    graph.inputs[0].tensor = TensorId::new(9);
    graph.outputs[0].tensor = TensorId::new(8);
    graph.nodes[0].inputs[0] = Some(TensorId::new(7));
    graph.nodes[0].outputs[0] = TensorId::new(6);
    graph.nodes[1].inputs[0] = Some(TensorId::new(5));
    let expected = "\
        K0310 there is no tensor t9, there are 2 (input \"t0\")\n\
        K0310 there is no tensor t7, there are 2 (node 0 same \"y\")\n\
        K0310 there is no tensor t6, there are 2 (node 0 same \"y\")\n\
        K0310 there is no tensor t5, there are 2 (node 1 assign \"\")\n\
        K0208 a node reads a tensor that no earlier node writes (node 1 assign \"\", tensor 1 \"y\")\n\
        K0314 input 0 is assigned to, but is no state variable (node 1 assign \"\", tensor 5 \"\")\n\
        K0310 there is no tensor t8, there are 2 (output \"y\")";
    assert_eq!(problems(&graph), expected.replace("input \"t0\"", "input \"\""));
}

#[test]
fn all_violations_are_told_at_once() {
    let failure =
        verify(&parse("graph \"\" output t0 t0: i8[2] q(0.0, 300)\nt1: i8[1] = same(t0)").unwrap());
    assert_eq!(failure.unwrap_err().diagnostics().len(), 4);
}
