//! Layers of random shapes on emulated boards, against the reference: what no model's shapes reach.
//!
//! `device-layers [--board B ...] [--seed N] [--rounds N]`; without a board, on every core. A round is one firmware of many layers: convolutions,
//! depthwise convolutions, fully connected layers and sums, each with inputs of its own. A difference names the
//! layer, and the seed that repeats it.

use kinglet::batch::Batch;
use kinglet::engine::{BoardRun, EngineName, on_board, run};
use kinglet::model::Model;
use kinglet_device::Count;
use kinglet_testkit::matrix::BOARDS;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Layers of a round.
const LAYERS: usize = 24;

/// Cases of a round: the least value everywhere, the greatest one, and random ones.
const CASES: usize = 4;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`, both included.
    fn within(&mut self, low: usize, high: usize) -> usize {
        low + usize::try_from(self.next() % (high - low + 1) as u64).unwrap_or(0)
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.within(0, choices.len() - 1)]
    }
}

/// The text of a graph, as it grows.
struct Text {
    tensors: String,
    count: usize,
    inputs: Vec<usize>,
    outputs: Vec<usize>,
}

impl Text {
    fn add(&mut self, definition: &str) -> usize {
        let id = self.count;
        self.count += 1;
        let _ = writeln!(self.tensors, "t{id}: {definition}");
        id
    }

    fn input(&mut self, definition: &str) -> usize {
        let id = self.add(definition);
        self.inputs.push(id);
        id
    }

    fn output(&mut self, definition: &str) {
        let id = self.add(definition);
        self.outputs.push(id);
    }

    fn finish(&self) -> String {
        let list = |port: &str, ids: &[usize]| -> String {
            ids.iter().map(|id| format!("{port} t{id}\n")).collect()
        };
        let (inputs, outputs) = (list("input", &self.inputs), list("output", &self.outputs));
        format!("graph \"layers\"\n{inputs}{outputs}\n{}", self.tensors)
    }
}

const ACTIVATIONS: [&str; 3] = ["none", "relu", "relu6"];

/// The scale of inputs; those of weights are made from it, so that multipliers come out as they should.
const INPUT_SCALE: f64 = 0.5;

/// Scales of so many channels of `depth` inputs each whose sums go to an output of scale 1: most multipliers are
/// small, and few layers have one above a half.
fn scales(random: &mut Random, channels: usize, depth: usize) -> Vec<f64> {
    let spread = (depth as f64).sqrt() * 30.0;
    let large = random.within(0, 9) == 0;
    (0..channels)
        .map(|_| {
            let multiplier = random.within(1, 40) as f64 / 10.0 / spread;
            let multiplier = if large { multiplier * 40.0 } else { multiplier.min(0.49) };
            multiplier / INPUT_SCALE
        })
        .collect()
}

fn list(values: &[f64]) -> String {
    let texts: Vec<String> = values.iter().map(|value| format!("{:?}", *value as f32)).collect();
    format!("[{}]", texts.join(", "))
}

/// Random bytes; few of the layers have a weight of -128.
fn weights(random: &mut Random, len: usize) -> String {
    let least = if random.within(0, 5) == 0 { -128 } else { -127 };
    let extreme = random.within(0, 7) == 0;
    let mut text = String::from("constant hex(\n");
    for _ in 0..len {
        let value = if extreme { random.of(&[-128i8, 127]) } else { random.next() as i8 };
        let _ = write!(text, "{:02x}", value.max(least));
    }
    text.push_str("\n)");
    text
}

fn bias(random: &mut Random, channels: usize) -> String {
    let values: Vec<String> =
        (0..channels).map(|_| (random.within(0, 20_000) as i64 - 10_000).to_string()).collect();
    format!("constant [{}]", values.join(", "))
}

/// Where a window goes: its text, and the output's rows and columns.
fn window(
    random: &mut Random,
    image: [usize; 2],
    taps: [usize; 2],
) -> Option<(String, [usize; 2])> {
    let stride = [random.within(1, 3), random.within(1, 3)];
    let dilation =
        if random.within(0, 4) == 0 { [random.within(1, 2), random.within(1, 2)] } else { [1; 2] };
    let mut padding = [[0; 2]; 2];
    let mut out = [0; 2];
    for axis in 0..2 {
        if random.within(0, 2) > 0 {
            padding[axis] = [random.within(0, taps[axis] - 1), random.within(0, taps[axis])];
        }
        let reach = (taps[axis] - 1) * dilation[axis] + 1;
        let len = image[axis] + padding[axis].iter().sum::<usize>();
        out[axis] = len.checked_sub(reach)? / stride[axis] + 1;
    }
    let [[top, bottom], [left, right]] = padding;
    let text = format!(
        "padding = [{top}, {left}, {bottom}, {right}], stride = {stride:?}, dilation = {dilation:?}, activation = {}",
        random.of(&ACTIVATIONS)
    );
    Some((text, out))
}

fn layer(random: &mut Random, text: &mut Text) {
    let channels = random.of(&[1, 2, 3, 4, 5, 8, 8, 12, 16, 16, 17, 24, 32, 40, 48]);
    let zero = random.within(0, 255) as i64 - 128;
    let out_zero = random.within(0, 255) as i64 - 128;
    match random.within(0, 9) {
        0..4 => {
            let taps = if random.within(0, 2) == 0 {
                [1, 1]
            } else {
                [random.within(1, 5), random.within(1, 4)]
            };
            let image = [random.within(1, 9), random.within(1, 9)];
            let outputs = random.of(&[1, 2, 3, 4, 5, 6, 8, 12, 16, 19]);
            let Some((attributes, [rows, columns])) = window(random, image, taps) else { return };
            let depth = taps[0] * taps[1] * channels;
            let scales = scales(random, outputs, depth);
            let biases: Vec<f64> = scales.iter().map(|scale| scale * INPUT_SCALE).collect();
            let [height, width] = image;
            let x = text.input(&format!(
                "i8[1,{height},{width},{channels}] q({INPUT_SCALE:?}, {zero}) \"x\""
            ));
            let values = weights(random, outputs * depth);
            let [tall, wide] = taps;
            let w = text.add(&format!(
                "i8[{outputs},{tall},{wide},{channels}] q({}, 0, axis 0) \"w\" = {values}",
                list(&scales)
            ));
            let values = bias(random, outputs);
            let b = text
                .add(&format!("i32[{outputs}] q({}, 0, axis 0) \"b\" = {values}", list(&biases)));
            text.output(&format!(
                "i8[1,{rows},{columns},{outputs}] q(1.0, {out_zero}) \"y\" = conv2d(t{x}, t{w}, t{b}) {{{attributes}}}"
            ));
        }
        4..8 => {
            let taps = random.of(&[
                [3, 3],
                [3, 3],
                [3, 3],
                [5, 1],
                [1, 4],
                [2, 3],
                [7, 1],
                [5, 5],
                [1, 1],
            ]);
            let image = [random.within(1, 12), if taps[1] == 1 { 1 } else { random.within(1, 12) }];
            let Some((attributes, [rows, columns])) = window(random, image, taps) else { return };
            let depth = taps[0] * taps[1];
            let scales = scales(random, channels, depth);
            let biases: Vec<f64> = scales.iter().map(|scale| scale * INPUT_SCALE).collect();
            let [height, width] = image;
            let x = text.input(&format!(
                "i8[1,{height},{width},{channels}] q({INPUT_SCALE:?}, {zero}) \"x\""
            ));
            let values = weights(random, channels * depth);
            let [tall, wide] = taps;
            let w = text.add(&format!(
                "i8[1,{tall},{wide},{channels}] q({}, 0, axis 3) \"w\" = {values}",
                list(&scales)
            ));
            let values = bias(random, channels);
            let b = text
                .add(&format!("i32[{channels}] q({}, 0, axis 0) \"b\" = {values}", list(&biases)));
            text.output(&format!(
                "i8[1,{rows},{columns},{channels}] q(1.0, {out_zero}) \"y\" = depthwise_conv2d(t{x}, t{w}, t{b}) {{{attributes}}}"
            ));
        }
        8 => {
            let depth = random.of(&[1, 2, 7, 15, 16, 17, 31, 48, 64, 100, 128, 200]);
            let outputs = random.of(&[1, 2, 3, 4, 5, 8, 10, 16, 23]);
            let rows = random.within(1, 9);
            let scales = scales(random, outputs, depth);
            let biases: Vec<f64> = scales.iter().map(|scale| scale * INPUT_SCALE).collect();
            let x = text.input(&format!("i8[{rows},{depth}] q({INPUT_SCALE:?}, {zero}) \"x\""));
            let values = weights(random, outputs * depth);
            let w = text.add(&format!(
                "i8[{outputs},{depth}] q({}, 0, axis 0) \"w\" = {values}",
                list(&scales)
            ));
            let values = bias(random, outputs);
            let b = text
                .add(&format!("i32[{outputs}] q({}, 0, axis 0) \"b\" = {values}", list(&biases)));
            let activation = random.of(&ACTIVATIONS);
            text.output(&format!(
                "i8[{rows},{outputs}] q(1.0, {out_zero}) \"y\" = fully_connected(t{x}, t{w}, t{b}) {{activation = {activation}, keep_dims = false}}"
            ));
        }
        _ => {
            let len = random.within(1, 40);
            let [a, b] = [0, 1].map(|_| {
                let scale = random.of(&[0.5, 0.25, 0.031, 1.7]);
                let zero = random.within(0, 255) as i64 - 128;
                text.input(&format!("i8[1,{len}] q({scale:?}, {zero}) \"x\""))
            });
            let activation = random.of(&ACTIVATIONS);
            text.output(&format!(
                "i8[1,{len}] q(0.7, {out_zero}) \"y\" = add(t{a}, t{b}) {{activation = {activation}}}"
            ));
        }
    }
}

/// One round: `None` when all is equal, else what is not.
fn round(board: &str, seed: u64) -> Result<Option<String>, String> {
    let mut random = Random(seed);
    let mut text = Text { tensors: String::new(), count: 0, inputs: vec![], outputs: vec![] };
    while text.outputs.len() < LAYERS {
        layer(&mut random, &mut text);
    }
    let source = text.finish();
    let failed = |failure: kinglet_diag::Failure| {
        let messages =
            failure.diagnostics().iter().map(|d| format!("{} {:?}", d.message, d.places));
        format!("seed {seed}: {}", messages.collect::<Vec<_>>().join("; "))
    };
    let graph = kinglet_ops::text::parse_graph(&source).map_err(failed)?;
    kinglet_graph::verify::verify(&graph).map_err(failed)?;
    let optimized = kinglet_passes::standard(graph.clone()).map_err(failed)?;
    let model = Model {
        path: PathBuf::from("layers"),
        graph: Arc::new(graph),
        optimized: Arc::new(optimized),
        remarks: vec![],
        digest: format!("{seed:064x}"),
        bytes: source.len(),
    };
    let batch = Batch::made_up(&model.graph, CASES, seed);
    let expected = run(&model, &EngineName::Reference, &batch, false).map_err(failed)?;
    let emulated = kinglet_boards::find(board).map_err(failed)?;
    let how = BoardRun { count: Count::Nothing, ..BoardRun::default() };
    let found = on_board(&model, emulated, &batch, &how).map_err(failed)?;
    for (index, (found, expected)) in found.outputs.iter().zip(&expected.outputs).enumerate() {
        if let Some(at) = found.iter().zip(expected).position(|(found, expected)| found != expected)
        {
            let id = text.outputs[index];
            let line = source.lines().find(|line| line.starts_with(&format!("t{id}: ")));
            return Ok(Some(format!("{} at element {at}", line.unwrap_or_default())));
        }
    }
    Ok(None)
}

fn main() -> ExitCode {
    let (mut boards, mut seed, mut rounds) = (Vec::new(), 1, 3);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let number = |text: Option<String>| text.and_then(|text| text.parse().ok());
        match arg.as_str() {
            "--board" => boards.extend(args.next()),
            "--seed" => seed = number(args.next()).unwrap_or(seed),
            "--rounds" => rounds = number(args.next()).unwrap_or(rounds),
            _ => {
                eprintln!("device-layers: what is {arg}?");
                return ExitCode::from(2);
            }
        }
    }
    if boards.is_empty() {
        boards = BOARDS.map(str::to_owned).to_vec();
    }
    let mut code = ExitCode::SUCCESS;
    for board in boards {
        for seed in seed..seed + rounds {
            match round(&board, seed) {
                Ok(None) => println!("equal  {LAYERS} layers on {board}, seed {seed}"),
                Ok(Some(difference)) => {
                    println!("DIFFERENT on {board}, seed {seed}: {difference}");
                    code = ExitCode::FAILURE;
                }
                Err(error) => {
                    println!("FAILED {error}");
                    code = ExitCode::FAILURE;
                }
            }
        }
    }
    code
}
