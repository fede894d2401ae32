use super::{Outcome, check};

const GRAPH: &str = r#"graph "g"
input t0
output t3
t0: i8[1,3] q(0.5, -1) "x"
t1: i8[2,3] q(0.25, 0) "weights" = constant [1, 2, 3, -4, -5, -6]
t2: i32[2] q(0.125, 0) "bias" = constant [8, -8]
t3: i8[1,2] q(1.0, -128) "y" = fully_connected(t0, t1, t2) {activation = relu, keep_dims = false}
"#;

fn outcome(sections: &str) -> Outcome {
    check(&format!("{GRAPH}{sections}"))
}

#[test]
fn what_holds_is_left_alone() {
    let source = "--- run\n# by hand\nt0 = [1, 2, 3]\nexpect t3 = [-124, -128]\n\n--- then\nexpect t3 = [-126, -128]\n";
    let outcome = outcome(source);
    assert_eq!(outcome.faults, [""; 0]);
    assert_eq!(outcome.blessed, format!("{GRAPH}{source}"));
}

#[test]
fn a_wrong_expectation_is_a_fault_of_every_engine_and_is_blessed() {
    let outcome = outcome("--- run\nt0 = [1, 2, 3]\nexpect t3 = [-123, -128]\n");
    let [fault] = outcome.faults.as_slice() else { panic!("{:?}", outcome.faults) };
    assert_eq!(fault.lines().count(), 5, "{fault}");
    assert!(
        fault.contains("t3 of native: 1 of 2 differ, first at 0: -124.0, expected -123.0"),
        "{fault}"
    );
    assert!(outcome.blessed.ends_with("t0 = [1, 2, 3]\nexpect t3 = [-124, -128]\n"));
    assert_eq!(check(&outcome.blessed).faults, [""; 0]);
}

#[test]
fn a_run_without_expectation_fails_until_it_is_blessed() {
    let outcome = outcome("--- run\nt0 = random 3\n");
    assert_eq!(outcome.faults.len(), 1);
    assert!(outcome.blessed.contains("t0 = random 3\nexpect t3 = [-"), "{}", outcome.blessed);
    assert_eq!(check(&outcome.blessed).faults, [""; 0]);
}

#[test]
fn faults_of_the_file_are_told() {
    let cases = [
        ("", "the file has no section, so that it tests nothing"),
        ("--- walk\n", "line 8, --- walk: there is no section walk"),
        ("--- then\n", "line 8, --- then: there is no run before it"),
        ("--- run\nt9 = [1]\n", "line 8, --- run: there is no tensor t9"),
        ("--- run\nt0 = [1]\n", "line 8, --- run: t0 has 3 bytes, 1 are given"),
        ("--- run\nt1 = zeros\n", "line 8, --- run: t1 is no input"),
        ("--- run\nt0\n", "line 8, --- run: no '=' in t0\n"),
        ("--- pass walk\n", "line 8, --- pass walk: there is no pass walk"),
        ("--- error\n", "line 8, --- error: nothing is wrong with the graph"),
    ];
    for (sections, expected) in cases {
        assert_eq!(outcome(sections).faults, [expected], "{sections}");
    }
}

#[test]
fn a_refusal_is_compared_line_by_line() {
    let source =
        "graph \"g\"\nt0: i8[1]\n--- error\nK0208: no node writes this output (tensor 0 \"\")\n";
    let outcome = check(&source.replace("t0:", "output t0 t0:"));
    assert_eq!(outcome.faults, [""; 0]);
    let wrong = check(&source.replace("t0:", "output t0 t0:").replace("K0208", "K0204"));
    assert_eq!(wrong.faults.len(), 1);
    assert_eq!(wrong.blessed, outcome.blessed);
}

#[test]
fn a_graph_that_is_refused_runs_nowhere() {
    let outcome = check("graph \"g\"\noutput t0\nt0: i8[1]\n--- run\n");
    assert!(outcome.faults[0].contains("the graph is refused:\nK0208"), "{:?}", outcome.faults);
}
