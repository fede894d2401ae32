use super::{listing, parse_data, print, print_data};
use crate::testing::{ATTRIBUTES, Anything, NAMES, parse};
use crate::{
    Attribute, DType, Data, Graph, Node, Port, Quantization, Tensor, TensorId, TensorKind,
    TensorType,
};
use kinglet_diag::Failure;
use proptest::prelude::*;
use std::sync::Arc;

const LISTING: &str = r#"graph "kws \"one\"\n"
description "One of two words"
input t0 "features"
output t3
output t5 "scores" labels ["yes", "n\u{200b}o", "日本"]

t0: i8[1,?49,10,1] q(0.58, 83) "input_1" @0
t1: i8[2,1,1,1] q([0.5, 1e-7], 0, axis 0) "weights" @1 = constant [1, -2]
t2: f32[4] "history" = state [0.0, -0.0, nan, nan(0x7fc00001)]
t4: bool[] = constant [true]
t6: i8[70] q(0.5, [1, 2], axis 3) = constant hex(
  000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
  202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f
  404142434445
)
t7: i32[9] = constant zeros

t3: i8[1,49,10,2] q(0.1, -128) "conv" @7 = conv2d(t0, t1, none) {padding = same, stride = [2, 2], alpha = 0.5, x_9 = "text", _ = f32[]} node "c" @3
t5: f32[4], t8: f32[4] "b" = two(t2) node @4
assign(t2, t5) {padding = [-1.5, inf, -inf], stride = true, alpha = -3} node "assignment"
"#;

#[test]
fn a_listing_reads_back_as_itself() {
    let graph = parse(LISTING).unwrap();
    assert_eq!(print(&graph), LISTING);
    assert_eq!(graph.outputs[1].labels[2], "日本");
    assert_eq!(graph.tensor(TensorId::new(0)).free_axes, [1]);
    assert_eq!(graph.nodes[0].name, "c");
    assert_eq!(graph.nodes[1].origin, Some(4));
    assert_eq!(graph.nodes[1].outputs, [TensorId::new(5), TensorId::new(8)]);
    assert_eq!(graph.outputs[0].name, "conv");
}

#[test]
fn a_listing_for_reading_leaves_long_data_out() {
    let text = listing(&parse(LISTING).unwrap());
    assert!(text.contains("= constant <70 bytes>\n"), "{text}");
    assert_eq!(
        message(parse(&text)),
        "K0301 the data were left out of this listing (line 11, column 46)"
    );
}

fn message<T>(result: Result<T, Failure>) -> String {
    match result {
        Ok(_) => "no failure".to_owned(),
        Err(failure) => {
            let lines = failure.diagnostics().iter().map(|d| format!("{} {d}", d.code));
            lines.collect::<Vec<_>>().join("\n")
        }
    }
}

#[test]
fn faults_say_where_they_are() {
    let cases = [
        ("", "K0301 expected graph \"name\", found the end (line 1, column 1)"),
        ("graph", "K0301 expected the graph's name in quotes, found the end (line 1, column 6)"),
        ("graph \"a", "K0301 the text in quotes is not closed (line 1, column 9)"),
        (
            "graph \"\\q\"",
            "K0301 unknown escape; there are \\n \\t \\r \\\" \\\\ and \\u{...} (line 1, column 8)",
        ),
        (
            "graph \"\\u{d800}\"",
            "K0301 expected a character's number, as in \\u{1f600} (line 1, column 8)",
        ),
        (
            "graph \"a\"\n# é\n  % ",
            "K0301 expected a tensor, a node, input, output or description, found '%' (line 3, column 3)",
        ),
        ("graph \"\" t0: i9[]", "K0301 i9 is not an element type (line 1, column 14)"),
        ("graph \"\" t0: i8[1 2]", "K0301 expected ']', found 2 (line 1, column 19)"),
        ("graph \"\" t0: i8[-1]", "K0303 -1 is out of the range of a length (line 1, column 17)"),
        (
            "graph \"\" t0: i8[1] = constant [300]",
            "K0303 300 is out of the range of i8 (line 1, column 32)",
        ),
        (
            "graph \"\" t0: i4[1] = constant [9]",
            "K0303 9 is out of the range of i4 (line 1, column 32)",
        ),
        (
            "graph \"\" t0: f32[1] = constant [nan(0x1)]",
            "K0303 nan is not a number of this type (line 1, column 33)",
        ),
        (
            "graph \"\" t0: i8[1] = constant hex(0)",
            "K0301 half a byte at the end of hex (line 1, column 36)",
        ),
        (
            "graph \"\" t0: i8[1] = constant hex(0g)",
            "K0301 'g' is not a hexadecimal digit (line 1, column 36)",
        ),
        (
            "graph \"\" t0: i8[1] = constant hex(00",
            "K0301 hex(...) is not closed (line 1, column 37)",
        ),
        (
            "graph \"\" t0: c64[1] = constant [1]",
            "K0303 elements of c64 cannot be written as numbers (line 1, column 32)",
        ),
        (
            "graph \"\" t0: i8[99999999999] = constant zeros",
            "K0303 zeros and random make at most 16777216 bytes (line 1, column 41)",
        ),
        (
            "graph \"\" t0: i64[9999999,9999999,99999] = state zeros",
            "K0303 zeros and random make at most 16777216 bytes (line 1, column 49)",
        ),
        (
            "graph \"\" t0: i8[1] = constant random 1 (3, 2)",
            "K0303 the lower bound is above the upper (line 1, column 40)",
        ),
        ("graph \"\" t0: i8[1]\nt0: i8[1]", "K0302 t0 is declared twice (line 2, column 10)"),
        ("graph \"\" t1: i8[1]", "K0302 t1 is declared, but t0 is not (line 1, column 19)"),
        ("graph \"\" t0: i8[1]\nt1 = same(t0)", "K0302 t1 is not declared (line 2, column 1)"),
        ("graph \"\" input t7", "K0302 t7 is not declared (line 1, column 16)"),
        (
            "graph \"\" input t07",
            "K0301 expected a tensor such as t3, found t07 (line 1, column 16)",
        ),
        (
            "graph \"\" t0, t1: i8[] = constant [1]",
            "K0301 expected an operator, found constant (line 1, column 25)",
        ),
        ("graph \"\" t0, t1: i8[]", "K0301 expected '=', found the end (line 1, column 22)"),
        (
            "graph \"\" t0: i8[] = same(t0) {a = %}",
            "K0301 expected a number, true, false, a word, a text in quotes or a list, found '%' (line 1, column 35)",
        ),
        (
            "graph \"\" t0: i8[] = same(t0) {a = 1, a = 2}",
            "K0301 the attribute a is given twice (line 1, column 38)",
        ),
        (
            "graph \"\" t0: i8[] = same(t0) {x_9 = [1, 0.5]}",
            "K0301 expected a whole number, found 0.5 (line 1, column 41)",
        ),
        ("graph \"\" t0: i8[] q(x, 0)", "K0301 expected a number, found x (line 1, column 21)"),
        (
            "graph \"\" t0: i8[] = odd(t0)\nsame(t0) {b = 1}",
            "K0304 there is no odd (line 1, column 21)\nK0304 there is no b (line 2, column 1)",
        ),
    ];
    for (source, expected) in cases {
        let failure = parse(source).unwrap_err();
        let has_help = failure.diagnostics().iter().all(|diagnostic| diagnostic.help.is_some());
        assert!(has_help, "{source}: {failure}");
        assert_eq!(message(parse(source)), expected, "{source}");
    }
}

#[test]
fn a_thousand_refused_operators_do_not_take_for_ever() {
    let source = format!("graph \"\" {}", "odd() ".repeat(100_000));
    assert_eq!(parse(&source).unwrap_err().diagnostics().len(), 50);
}

#[test]
fn random_data_are_the_same_for_ever() {
    let drawn = |text: &str, dtype, len: usize| {
        let ty = TensorType::new(dtype, [len]);
        print_data(&parse_data(text, &ty).unwrap(), &ty)
    };
    assert_eq!(drawn("random 7", DType::I8, 4), "[87, -100, -126, 75]");
    assert_eq!(drawn("random 7", DType::F32, 3), "[-0.0009765625, 0.171875, 0.56152344]");
    assert_eq!(drawn("random 7 (-2, 2)", DType::I32, 6), "[0, 2, -1, 1, 2, -2]");
    assert_eq!(drawn("random 0", DType::I4, 3), "[-1, 4, -1]");
    assert_eq!(drawn("random 1", DType::Bool, 2), "[true, true]");
}

fn dtypes() -> impl Strategy<Value = DType> {
    prop::sample::select(vec![
        DType::Bool,
        DType::I4,
        DType::I8,
        DType::U8,
        DType::I16,
        DType::U16,
        DType::I32,
        DType::U32,
        DType::I64,
        DType::U64,
        DType::F16,
        DType::F32,
        DType::F64,
        DType::Complex64,
        DType::Complex128,
        DType::String,
        DType::Resource,
    ])
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-z/:]{0,12}", 1 => any::<String>()]
}

/// Any bits, zeros often.
fn floats() -> impl Strategy<Value = f32> {
    prop_oneof![any::<u32>().prop_map(f32::from_bits), (-9i16..9).prop_map(|v| f32::from(v) / 8.0)]
}

fn quantizations() -> impl Strategy<Value = Quantization> {
    let zero_points = prop_oneof![
        prop::collection::vec(any::<i64>(), 0..4),
        (any::<i64>(), 0usize..40).prop_map(|(zero, len)| vec![zero; len]),
    ];
    (prop::collection::vec(floats(), 0..40), zero_points, 0usize..4)
        .prop_map(|(scales, zero_points, axis)| Quantization { scales, zero_points, axis })
}

fn datas(ty: TensorType) -> impl Strategy<Value = (TensorType, Data)> {
    let len = ty.bytes();
    prop_oneof![
        prop::collection::vec(any::<u8>(), len),
        prop::collection::vec(0u8..2, len),
        prop::collection::vec(any::<u8>(), 0..4),
        Just(vec![0; len]),
    ]
    .prop_map(move |bytes| (ty.clone(), Data::new(bytes)))
}

fn tensors() -> impl Strategy<Value = Tensor> {
    let typed = (dtypes(), prop::collection::vec(0usize..9, 0..4))
        .prop_map(|(dtype, shape)| TensorType::new(dtype, shape));
    let typed = typed.prop_flat_map(datas);
    let kinds =
        prop::sample::select(vec![TensorKind::Value, constant(), TensorKind::State(no_data())]);
    let rest = (prop::option::of(quantizations()), prop::option::of(any::<u32>()), any::<u8>());
    (texts(), typed, kinds, rest).prop_map(
        |(name, (ty, data), kind, (quantization, origin, free))| {
            let kind = match kind {
                TensorKind::Value => TensorKind::Value,
                TensorKind::Constant(_) => TensorKind::Constant(data),
                TensorKind::State(_) => TensorKind::State(data),
            };
            let free_axes = (0..ty.shape.len()).filter(|axis| free >> axis & 1 == 1).collect();
            Tensor { name, ty, quantization, kind, origin, free_axes }
        },
    )
}

fn constant() -> TensorKind {
    TensorKind::Constant(no_data())
}

fn no_data() -> Data {
    Data::new(Vec::new())
}

fn attributes() -> impl Strategy<Value = Attribute> {
    prop_oneof![
        any::<i64>().prop_map(Attribute::Int),
        floats().prop_map(Attribute::Float),
        any::<bool>().prop_map(Attribute::Bool),
        "(f32|[a-z]{5,9}[0-9_]{0,2})"
            .prop_filter("a word", |word| word != "false")
            .prop_map(Attribute::Word),
        prop::collection::vec(any::<i64>(), 0..40).prop_map(Attribute::Ints),
        prop::collection::vec(floats(), 0..40).prop_map(Attribute::Floats),
        any::<String>().prop_map(Attribute::Text),
    ]
}

prop_compose! {
    /// A graph whose ids name tensors; otherwise nothing makes sense in it.
    fn graphs()(
        name in texts(),
        description in texts(),
        tensors in prop::collection::vec(tensors(), 1..7),
        nodes in prop::collection::vec((
            prop::sample::select(NAMES),
            prop::collection::vec(any::<prop::sample::Index>(), 0..4),
            prop::collection::vec(prop::option::of(any::<prop::sample::Index>()), 0..4),
            prop::sample::subsequence(ATTRIBUTES, 0..=3),
            prop::collection::vec(attributes(), 3),
            (prop::option::of(texts()), prop::option::of(any::<u32>())),
        ), 0..5),
        ports in prop::collection::vec((
            any::<bool>(),
            any::<prop::sample::Index>(),
            prop::option::of(texts()),
            prop::collection::vec(texts(), 0..20),
        ), 0..4),
    ) -> Graph<Anything> {
        let id = |index: &prop::sample::Index| TensorId::new(index.index(tensors.len()));
        let name_of = |id: TensorId| tensors[id.index()].name.clone();
        let nodes = nodes.into_iter().map(|(op, outputs, inputs, names, values, (name, origin))| {
            let outputs: Vec<_> = outputs.iter().map(id).collect();
            let usual = outputs.first().map(|&id| name_of(id)).unwrap_or_default();
            Node {
                op: Arc::new(Anything { name: op, attributes: names.into_iter().zip(values).collect() }),
                inputs: inputs.iter().map(|input| input.as_ref().map(id)).collect(),
                outputs,
                name: name.unwrap_or(usual),
                origin,
            }
        }).collect();
        let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
        for (is_input, tensor, name, labels) in ports {
            let tensor = id(&tensor);
            let port = Port { name: name.unwrap_or_else(|| name_of(tensor)), tensor, labels };
            if is_input { inputs.push(port) } else { outputs.push(port) }
        }
        Graph { name, description, tensors, nodes, inputs, outputs }
    }
}

/// All of a graph, floats by their bits.
fn essence(graph: &Graph<Anything>) -> String {
    let float = |value: &f32| value.to_bits().to_string();
    let attribute = |value: &Attribute| match value {
        Attribute::Float(value) => format!("Float({:x})", value.to_bits()),
        Attribute::Floats(values) => {
            format!("Floats({:?})", values.iter().map(float).collect::<Vec<_>>())
        }
        other => format!("{other:?}"),
    };
    let mut text = format!("{:?} {:?}\n", graph.name, graph.description);
    for tensor in &graph.tensors {
        let quantization = tensor
            .quantization
            .as_ref()
            .map(|q| (q.scales.iter().map(float).collect::<Vec<_>>(), &q.zero_points, q.axis));
        let kind = match &tensor.kind {
            TensorKind::Value => (0, &[][..]),
            TensorKind::Constant(data) => (1, data.bytes()),
            TensorKind::State(data) => (2, data.bytes()),
        };
        let Tensor { name, ty, origin, free_axes, .. } = tensor;
        text += &format!("{name:?} {ty} {quantization:?} {kind:?} {origin:?} {free_axes:?}\n");
    }
    for node in &graph.nodes {
        let Node { op, inputs, outputs, name, origin } = node;
        let attributes: Vec<_> = op.attributes.iter().map(|(n, v)| (n, attribute(v))).collect();
        text += &format!("{} {attributes:?} {inputs:?} {outputs:?} {name:?} {origin:?}\n", op.name);
    }
    text + &format!("{:?} {:?}", graph.inputs, graph.outputs)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_graph_comes_back_from_its_text(graph in graphs()) {
        let text = print(&graph);
        let back = parse(&text).map_err(|failure| TestCaseError::fail(format!("{failure}\n{text}")))?;
        prop_assert_eq!(essence(&back), essence(&graph), "{}", text);
        prop_assert_eq!(print(&back), text);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(graph \"\" )?([a-z0-9: =\\[\\](){},\"@?.-]|t[01]: i8\\[2\\] |= |same\\(|hex\\(|q\\(|\n){0,60}") {
        let _ = parse(&text);
    }

    #[test]
    fn lines_stay_short_where_lists_can_break(ty in (100usize..200).prop_map(|n| TensorType::new(DType::F32, [n])), seed: u64) {
        let data = parse_data(&format!("random {seed}"), &ty).unwrap();
        prop_assert!(print_data(&data, &ty).lines().all(|line| line.len() <= 100));
    }
}
