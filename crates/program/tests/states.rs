//! Where state variables live: which reads and assignments cost a step, and which do not.

use kinglet_graph::text::{Unbuildable, parse};
use kinglet_graph::verify::verify;
use kinglet_ops::Graph;
use kinglet_program::{Options, Program, Region, lower};
use kinglet_target::Target;

fn program(text: &str) -> Program {
    let graph: Graph = parse(text, |name, attributes| {
        kinglet_ops::parse(name, attributes)
            .map_err(|refusal| Unbuildable { why: refusal.why, help: refusal.help })
    })
    .unwrap();
    verify(&graph).unwrap();
    lower(&graph, &Target::host(), &Options::default()).unwrap()
}

fn kernels(program: &Program) -> Vec<&'static str> {
    program.steps.iter().map(|step| step.call.kernel.declaration().name).collect()
}

/// Two frames of history and the new one, the oldest forgotten: what streaming models do.
const STREAM: &str = r#"
    graph "stream"
    input t0
    output t6
    t0: i8[1,2] "frame"
    t1: i8[2,2] "history" = state zeros
    t2: i32[2] "begin" = constant [1, 0]
    t3: i32[2] "size" = constant [2, 2]
    t4: i8[2,2] "old" = read_variable(t1)
    t5: i8[3,2] "all" = concatenation(t4, t0) {axis = 0}
    t7: i8[2,2] "kept" = slice(t5, t2, t3) {}
    assign_variable(t1, t7)
    t6: i8[2,3] "out" = transpose(t5, t8) {}
    t8: i32[2] "order" = constant [1, 0]
"#;

#[test]
fn a_stream_reads_and_writes_its_state_where_it_is() {
    let program = program(STREAM);
    assert_eq!(kernels(&program), ["copy_rows", "copy_rows", "copy_rows", "copy_strided_u8"]);
    assert_eq!(program.state_bytes, 16);
    // The history is read by the concatenation and written by the slice itself.
    let state = program.states[0].buffer;
    let uses = |step: usize| {
        let operands = &program.steps[step].call.operands;
        operands.iter().filter(|&&o| o == kinglet_program::Operand::Buffer(state)).count()
    };
    assert_eq!((uses(0), uses(2)), (1, 1));
}

#[test]
fn a_value_read_after_the_assignment_is_kept_apart() {
    let program = program(
        r#"
        graph "late"
        input t0
        output t3
        t0: i8[1,2] "x"
        t1: i8[1,2] "s" = state zeros
        t2: i8[1,2] "old" = read_variable(t1)
        assign_variable(t1, t0)
        t3: i8[2,2] "y" = concatenation(t2, t0) {axis = 0}
    "#,
    );
    assert_eq!(kernels(&program), ["copy_bytes", "copy_bytes", "copy_rows", "copy_rows"]);
}

#[test]
fn an_output_that_is_assigned_lives_in_the_variable() {
    let program = program(
        r#"
        graph "last"
        input t0
        output t3
        t0: i8[3,2] "x"
        t1: i8[2,3] "s" = state zeros
        t2: i32[2] "order" = constant [1, 0]
        t3: i8[2,3] "y" = transpose(t0, t2) {}
        assign_variable(t1, t3)
    "#,
    );
    assert_eq!(kernels(&program), ["copy_strided_u8"]);
    assert_eq!(program.outputs[0].buffer, program.states[0].buffer);
}

#[test]
fn an_output_is_not_lost_to_a_second_assignment() {
    let program = program(
        r#"
        graph "twice"
        input t0
        output t3
        t0: i8[3,2] "x"
        t1: i8[2,3] "s" = state zeros
        t2: i32[2] "order" = constant [1, 0]
        t3: i8[2,3] "y" = transpose(t0, t2) {}
        assign_variable(t1, t3)
        t4: i8[2,3] "z" = reshape(t0) {shape = [2, 3]}
        assign_variable(t1, t4)
    "#,
    );
    let output = program.buffer(program.outputs[0].buffer);
    assert_eq!(output.region, Region::Arena);
}

#[test]
fn a_value_assigned_twice_is_written_once() {
    let program = program(
        r#"
        graph "again"
        input t0
        output t3
        t0: i8[3,2] "x"
        t1: i8[2,3] "s" = state zeros
        t2: i32[2] "order" = constant [1, 0]
        t3: i8[2,3] "y" = transpose(t0, t2) {}
        assign_variable(t1, t3)
        assign_variable(t1, t3)
    "#,
    );
    assert_eq!(kernels(&program), ["copy_strided_u8"]);
}

#[test]
fn an_output_read_from_a_variable_is_a_copy() {
    let program = program(
        r#"
        graph "read"
        input t0
        output t2
        t0: i8[4] "x"
        t1: i8[4] "s" = state zeros
        t2: i8[4] "y" = read_variable(t1)
        assign_variable(t1, t0)
    "#,
    );
    assert_eq!(kernels(&program), ["copy_bytes", "copy_bytes"]);
    assert_ne!(program.outputs[0].buffer, program.states[0].buffer);
}

#[test]
fn a_value_computed_from_the_variable_alone_is_computed_in_it() {
    let program = program(
        r#"
        graph "in_place"
        input t0
        output t3
        t0: i8[1,2] q(1.0, 0) "x"
        t1: i8[1,2] q(1.0, 0) "s" = state [-3, 4]
        t2: i8[1,2] q(1.0, 0) "old" = read_variable(t1)
        t4: i8[1,2] q(1.0, 0) "new" = relu(t2) {activation = relu}
        assign_variable(t1, t4)
        t3: i8[2,2] q(1.0, 0) "y" = concatenation(t4, t0) {axis = 0}
    "#,
    );
    assert_eq!(kernels(&program), ["lookup_u8_in_place", "copy_rows", "copy_rows"]);
}
