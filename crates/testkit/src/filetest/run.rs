//! Sections that run a graph: on every engine of this machine, before and after the passes.

use super::{Section, lines};
use kinglet::batch::array_type;
use kinglet::compare::{self, Floats};
use kinglet_engine::{Interpreter, Machine, Tap};
use kinglet_formats::npz::Array;
use kinglet_graph::text::{parse_data, print_data};
use kinglet_graph::{Data, Tensor, TensorId, TensorKind};
use kinglet_ops::Graph;
use kinglet_program::{Options, lower};
use kinglet_target::Target;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The graph on one engine.
struct Runner {
    name: &'static str,
    engine: Engine,
    /// Whether tensors in between have the ids of the file: passes renumber.
    has_file_ids: bool,
}

enum Engine {
    Interpreter(Interpreter),
    Machine(Machine),
}

impl Engine {
    fn input_mut(&mut self, index: usize) -> &mut [u8] {
        match self {
            Engine::Interpreter(engine) => engine.input_mut(index),
            Engine::Machine(engine) => engine.input_mut(index),
        }
    }

    fn output(&self, index: usize) -> &[u8] {
        match self {
            Engine::Interpreter(engine) => engine.output(index),
            Engine::Machine(engine) => engine.output(index),
        }
    }

    fn run(&mut self, tap: Tap<'_>) -> Result<(), String> {
        let result = match self {
            Engine::Interpreter(engine) => engine.run(Some(tap)),
            Engine::Machine(engine) => engine.run(Some(tap)),
        };
        result.map_err(|failure| lines(&failure))
    }
}

/// The graph on all engines, with the state that the runs so far have left.
pub(super) struct Runners(Vec<Runner>);

impl Runners {
    /// State has its start values. The first one is `reference`. With `passes_first`, the graph is
    /// lowered after the passes only.
    pub(super) fn new(graph: &Graph, passes_first: bool) -> Result<Self, String> {
        let passed = kinglet_passes::standard(graph.clone()).map_err(|failure| lines(&failure))?;
        let (graph, passed) = (Arc::new(graph.clone()), Arc::new(passed));
        let machine = |graph: &Graph, in_place| {
            let options = Options { in_place, ..Options::default() };
            let program = lower(graph, &Target::host(), &options);
            let machine = program.and_then(|program| Machine::new(Arc::new(program)));
            machine.map(Engine::Machine).map_err(|failure| lines(&failure))
        };
        let interpreter =
            |graph: &Arc<Graph>| Engine::Interpreter(Interpreter::new(Arc::clone(graph)));
        let runner = |name, engine, has_file_ids| Runner { name, engine, has_file_ids };
        let mut all = vec![
            runner("reference", interpreter(&graph), true),
            runner("reference after the passes", interpreter(&passed), false),
            runner("native after the passes", machine(&passed, true)?, false),
        ];
        if !passes_first {
            all.push(runner("native", machine(&graph, true)?, true));
            all.push(runner("native, nothing in place", machine(&graph, false)?, true));
        }
        Ok(Self(all))
    }
}

/// A line of a section, with the lines that go on with it.
enum Entry {
    Other(String),
    Given { tensor: TensorId, data: Data },
    Expected { tensor: TensorId, text: String },
}

/// Runs once and compares. Expectations in the section become what `reference` gives.
pub(super) fn run(
    graph: &Graph,
    section: &mut Section<'_>,
    runners: &mut Runners,
) -> Result<(), String> {
    let mut entries = entries(graph, &section.body)?;
    if !entries.iter().any(|entry| matches!(entry, Entry::Expected { .. })) {
        // Nothing can hold yet; a blessed file has every output.
        let text = "not known yet".to_owned();
        let missing = graph.outputs.iter().map(|port| port.tensor);
        let is_blank =
            |entry: &&Entry| matches!(entry, Entry::Other(text) if text.trim().is_empty());
        let end = entries.len() - entries.iter().rev().take_while(is_blank).count();
        let blank = entries.split_off(end);
        entries.extend(missing.map(|tensor| Entry::Expected { tensor, text: text.clone() }));
        entries.extend(blank);
    }
    let mut faults = Vec::new();
    let mut reference = BTreeMap::new();
    for runner in &mut runners.0 {
        let values = values(graph, runner, &entries)?;
        for entry in &entries {
            let Entry::Expected { tensor, text } = entry else { continue };
            match values.get(tensor) {
                Some(value) => faults.extend(
                    differs(graph.tensor(*tensor), value, text)
                        .map(|fault| format!("{tensor} of {}: {fault}", runner.name)),
                ),
                None if runner.has_file_ids => {
                    faults.push(format!("{tensor} is not computed by {}", runner.name));
                }
                None => {}
            }
        }
        if reference.is_empty() {
            reference = values;
        }
    }
    section.body = entries.iter().map(|entry| bless(graph, entry, &reference)).collect();
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
}

fn bless(graph: &Graph, entry: &Entry, values: &BTreeMap<TensorId, Vec<u8>>) -> String {
    match entry {
        Entry::Other(text) => text.clone(),
        Entry::Given { .. } => String::new(),
        Entry::Expected { tensor, text } => {
            let ty = &graph.tensor(*tensor).ty;
            let value = values.get(tensor).map(|value| print_data(&Data::new(value.clone()), ty));
            format!("expect {tensor} = {}\n", value.unwrap_or_else(|| text.trim().to_owned()))
        }
    }
}

fn entries(graph: &Graph, body: &str) -> Result<Vec<Entry>, String> {
    let mut texts: Vec<String> = Vec::new();
    for line in body.split_inclusive('\n') {
        let goes_on = line.starts_with([' ', '\t', ')', ']']) && !line.trim().is_empty();
        match texts.last_mut() {
            Some(text) if goes_on => text.push_str(line),
            _ => texts.push(line.to_owned()),
        }
    }
    let mut entries = Vec::new();
    for text in texts {
        if text.starts_with('#') || text.trim().is_empty() {
            entries.push(Entry::Other(text));
            continue;
        }
        let (to, data) = text.split_once('=').ok_or_else(|| format!("no '=' in {text}"))?;
        let (is_expected, name) = match to.trim().strip_prefix("expect ") {
            Some(name) => (true, name.trim()),
            None => (false, to.trim()),
        };
        let tensor = graph.tensor_ids().find(|id| id.to_string() == name);
        let tensor = tensor.ok_or_else(|| format!("there is no tensor {name}"))?;
        if is_expected {
            entries.push(Entry::Expected { tensor, text: data.to_owned() });
            continue;
        }
        let data = parse_data(data, &graph.tensor(tensor).ty);
        let data = data.map_err(|failure| format!("{name}: {failure}"))?;
        // The text stays as it is when the file is blessed.
        entries.push(Entry::Given { tensor, data });
        entries.push(Entry::Other(text));
    }
    Ok(entries)
}

/// Runs once; gives what nodes write and what the outputs are, by the file's ids.
fn values(
    graph: &Graph,
    runner: &mut Runner,
    entries: &[Entry],
) -> Result<BTreeMap<TensorId, Vec<u8>>, String> {
    for (index, port) in graph.inputs.iter().enumerate() {
        let given = entries.iter().find_map(|entry| match entry {
            Entry::Given { tensor, data } if *tensor == port.tensor => Some(data.bytes()),
            _ => None,
        });
        let input = runner.engine.input_mut(index);
        match given {
            Some(bytes) if bytes.len() == input.len() => input.copy_from_slice(bytes),
            Some(bytes) => {
                let (there, expected) = (bytes.len(), input.len());
                return Err(format!("{} has {expected} bytes, {there} are given", port.tensor));
            }
            None => input.fill(0),
        }
    }
    for entry in entries {
        if let Entry::Given { tensor, .. } = entry
            && !graph.inputs.iter().any(|port| port.tensor == *tensor)
        {
            return Err(format!("{tensor} is no input"));
        }
    }
    let mut values = BTreeMap::new();
    let result = runner.engine.run(&mut |id, bytes| {
        values.insert(id, bytes.to_vec());
    });
    result.map_err(|fault| format!("{}: {fault}", runner.name))?;
    if !runner.has_file_ids {
        values.clear();
    }
    for (index, port) in graph.outputs.iter().enumerate() {
        values.insert(port.tensor, runner.engine.output(index).to_vec());
    }
    Ok(values)
}

/// How a value differs from the one expected, if it does.
fn differs(tensor: &Tensor, value: &[u8], expected: &str) -> Option<String> {
    let actual = Data::new(value.to_vec());
    let data = match parse_data(expected, &tensor.ty) {
        Ok(data) => data,
        Err(failure) => return Some(format!("{} ({failure})", print_data(&actual, &tensor.ty))),
    };
    if data == actual {
        return None;
    }
    if data.bytes().len() != value.len() {
        let (there, expected) = (value.len(), data.bytes().len());
        return Some(format!("it has {there} bytes, {expected} are expected"));
    }
    let array = |data: &Data| {
        let dtype = array_type(tensor.dtype())?;
        Array::new(dtype, tensor.shape().to_vec(), data.bytes().to_vec()).ok()
    };
    let (Some(got), Some(golden)) = (array(&actual), array(&data)) else {
        return Some("its bytes differ".to_owned());
    };
    match compare::arrays("", &got, "", &golden, Floats::Tolerance) {
        Ok(difference) if difference.is_equal() => None,
        Ok(difference) => {
            let index = difference.first_index.unwrap_or(0);
            let (got, golden) = difference.first_values.unwrap_or_default();
            let (different, all) = (difference.different, difference.values);
            let whole = print_data(&actual, &tensor.ty);
            Some(format!(
                "{different} of {all} differ, first at {index}: {got:?}, expected {golden:?}; all: {whole}"
            ))
        }
        Err(failure) => Some(failure.to_string()),
    }
}

/// Runs both graphs on drawn inputs, twice so that state counts, and compares every bit.
pub(super) fn same_results(before: &Graph, after: &Graph) -> Result<(), String> {
    let mut engines = [before, after].map(|graph| Interpreter::new(Arc::new(graph.clone())));
    for seed in 1..=2u64 {
        let mut results = Vec::new();
        for engine in &mut engines {
            for index in 0..engine.graph().inputs.len() {
                let port = engine.graph().inputs[index].tensor;
                let ty = engine.graph().tensor(port).ty.clone();
                let data = parse_data(&format!("random {}", seed * 100 + index as u64), &ty);
                let data = data.map_err(|failure| failure.to_string())?;
                engine.input_mut(index).copy_from_slice(data.bytes());
            }
            engine.run(None).map_err(|failure| lines(&failure))?;
            let outputs = engine.graph().outputs.len();
            results.push((0..outputs).map(|i| engine.output(i).to_vec()).collect::<Vec<_>>());
        }
        if results.first() != results.last() {
            return Err("the graph computes something else after the passes".to_owned());
        }
    }
    let names = |graph: &Graph| -> Vec<String> {
        graph.inputs.iter().chain(&graph.outputs).map(|port| port.name.clone()).collect()
    };
    let states = |graph: &Graph| {
        graph.tensors.iter().filter(|t| matches!(t.kind, TensorKind::State(_))).count()
    };
    if names(before) != names(after) || states(before) < states(after) {
        return Err("the passes have changed ports or made state".to_owned());
    }
    Ok(())
}
