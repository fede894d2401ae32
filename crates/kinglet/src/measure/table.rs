//! From linked examples to the table of code sizes.

use super::{TIMEOUT, code_bytes, example_tree, profile, without_limits};
use crate::model::Model;
use crate::printed;
use kinglet_boards::Board;
use kinglet_codegen::identifier;
use kinglet_decide::{
    CodeTable, Entry, KernelSize, Needs, OVERLAPPING, Optimize, Settings, Shared, Variant,
    parameter_bytes, predict, uses,
};
use kinglet_device::{Cache, Elf, Sizes, measure_example};
use kinglet_diag::Result;
use kinglet_program::{Options, Program};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One linked example, taken apart.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// The model.
    pub name: String,
    /// The kernels it uses: the signature of the parameters, and bytes of the copy.
    pub kernels: BTreeMap<String, (String, u64)>,
    /// Functions that are neither a kernel's nor the model's: start-up, `main`, `memcpy` and so on.
    pub others: BTreeMap<String, u64>,
    /// Bytes of the model's own functions.
    pub model: u64,
    /// Steps of the program.
    pub steps: usize,
    /// Inputs and outputs of the model.
    pub ports: usize,
    /// Bytes of the kernels' parameters that are linked as data.
    pub parameters: u64,
    /// Sizes of the linked program.
    pub sizes: Sizes,
    /// Code of the linked program, as [`Needs`] has it.
    pub code: u64,
    /// Stack at its deepest.
    pub stack: u64,
}

impl Sample {
    /// Its kernels with their signatures, as [`uses`] of its program.
    fn uses(&self) -> BTreeMap<String, String> {
        let uses = self.kernels.iter();
        uses.map(|(name, (signature, _))| (name.clone(), signature.clone())).collect()
    }
}

/// Builds and runs the example of a model for a board's core, and takes it apart.
///
/// # Errors
/// What cannot be lowered, built or run.
pub fn sample(model: &Model, board: &Board, optimize: Optimize) -> Result<Sample> {
    let program = Arc::new(model.program(&board.target(), &Options::default())?);
    let emulation = without_limits(&program, board)?;
    let tree = example_tree(printed::options(model), &program, &emulation, profile(optimize))?;
    let found =
        measure_example(&Cache::open()?, &tree, printed::EXAMPLE_FOLDER, &emulation, TIMEOUT)?;
    let elf = Elf::read(&found.firmware.path)?;
    let stem = model.path.file_stem().map_or("model".into(), |stem| stem.to_string_lossy());
    Ok(take_apart(&program, &identifier(&stem), &elf, &found.sizes, found.stack_bytes.unwrap_or(0)))
}

fn take_apart(program: &Program, package: &str, elf: &Elf, sizes: &Sizes, stack: u64) -> Sample {
    let names: BTreeMap<&str, &str> = program
        .steps
        .iter()
        .map(|step| step.call.kernel.declaration())
        .map(|declaration| (declaration.params, declaration.name))
        .collect();
    let own = format!("{package}::");
    let mut sample = Sample {
        name: package.to_owned(),
        steps: program.steps.len(),
        ports: program.inputs.len() + program.outputs.len(),
        parameters: parameter_bytes(program),
        sizes: sizes.clone(),
        code: code_bytes(sizes, program),
        stack,
        ..Sample::default()
    };
    for (name, signature) in uses(program) {
        sample.kernels.insert(name, (signature, 0));
    }
    // Two names for one function (aliases) count once.
    let mut seen = BTreeSet::new();
    for symbol in elf.symbols().iter().filter(|symbol| symbol.code && symbol.size > 0) {
        if !seen.insert(symbol.address) {
            continue;
        }
        let kernel = kernel_of(&symbol.name);
        let kernel = kernel.and_then(|(params, form)| Some((names.get(params)?, form)));
        if let Some((name, form)) = kernel {
            sample.kernels.entry(format!("{name}{form}")).or_default().1 += symbol.size;
        } else if symbol.name.contains(&own) {
            sample.model += symbol.size;
        } else if let Some((_, bytes)) = family_of(&symbol.name, &mut sample.kernels) {
            *bytes += symbol.size;
        } else {
            *sample.others.entry(symbol.name.clone()).or_default() += symbol.size;
        }
    }
    sample
}

/// The parameter struct whose `run` this function is, `<kinglet_kernels::conv2d::Conv2dI8>::run`, and what the
/// kernel's name ends with when it is the form for overlapping operands.
fn kernel_of(symbol: &str) -> Option<(&str, &'static str)> {
    let (path, form) = match symbol.strip_suffix("::run") {
        Some(path) => (path, ""),
        None => (symbol.strip_suffix("::run_overlapping")?, OVERLAPPING),
    };
    let path = path.trim_start_matches('<').trim_end_matches('>');
    if !path.starts_with("kinglet_kernels::") {
        return None;
    }
    path.rsplit("::").next().map(|params| (params, form))
}

/// The kernel that a helper function belongs to: one of its own file, `conv2d_i8` for
/// `kinglet_kernels::conv2d::Shape::gather`. Whether a helper is linked, and how large, depends on the
/// parameters of that kernel as its own code does. `None` where no kernel of the file is used.
fn family_of<'a, T>(symbol: &str, kernels: &'a mut BTreeMap<String, T>) -> Option<&'a mut T> {
    let path = symbol.trim_start_matches('<').strip_prefix("kinglet_kernels::")?;
    let (module, _) = path.split_once("::")?;
    let own = kernels.iter_mut().filter(|(name, _)| name.starts_with(module));
    own.last().map(|(_, kernel)| kernel)
}

/// Measures models on cores at both optimization levels. `note` hears of each example: model, board and
/// level, and why one was left out.
///
/// # Errors
/// None but what keeps everything from being built; a model that cannot be built is left out.
pub fn code_table(
    models: &[Model],
    boards: &[&Board],
    note: &mut dyn FnMut(&str),
) -> Result<CodeTable> {
    let mut table = CodeTable::default();
    for board in boards {
        for optimize in [Optimize::Size, Optimize::Speed] {
            let mut samples = Vec::new();
            for model in models {
                let what = format!(
                    "{} for {} at {}",
                    model.path.display(),
                    board.core.id,
                    optimize.level()
                );
                match sample(model, board, optimize) {
                    Ok(sample) => {
                        let kernels: Vec<String> = sample
                            .kernels
                            .iter()
                            .map(|(name, (signature, bytes))| format!("{name} {bytes} {signature}"))
                            .collect();
                        note(&format!(
                            "{what}: code {} (model {}, {} steps, {} ports, parameters {}), stack {}: {}",
                            sample.code,
                            sample.model,
                            sample.steps,
                            sample.ports,
                            sample.parameters,
                            sample.stack,
                            kernels.join(", ")
                        ));
                        samples.push(sample);
                    }
                    Err(failure) => note(&format!("{what}: left out: {failure}")),
                }
            }
            if samples.is_empty() {
                continue;
            }
            table.entries.push(entry(&board.core.id, optimize.level(), &samples));
        }
    }
    table.compiler = kinglet_device::toolchain::host_toolchain()
        .map(|toolchain| toolchain.release.clone())
        .unwrap_or_default();
    Ok(table)
}

/// What the samples say of one core at one level.
pub fn entry(core: &str, level: &str, samples: &[Sample]) -> Entry {
    let (code_error, stack_error) = errors(core, level, samples);
    Entry { code_error, stack_error, ..without_errors(core, level, samples) }
}

fn without_errors(core: &str, level: &str, samples: &[Sample]) -> Entry {
    let common = |pick: &dyn Fn(&Sample) -> u64| middle(samples.iter().map(pick).collect());
    let mut entry = Entry {
        core: core.to_owned(),
        level: level.to_owned(),
        examples: samples.len() as u64,
        vectors: common(&|s| s.sizes.vectors),
        data: common(&|s| s.sizes.data),
        statics: common(&|s| s.sizes.statics),
        ..Entry::default()
    };
    kernels(&mut entry, samples);
    glue(&mut entry, samples);
    stack(&mut entry, samples);
    entry
}

/// The middle value; of an even number the larger of the two.
fn middle(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

/// Kernels and the parts they share. A part belongs to every kernel in whose company it always is: with
/// models of one operator among the samples, that is who calls it.
fn kernels(entry: &mut Entry, samples: &[Sample]) {
    let names: BTreeSet<&String> =
        samples.iter().flat_map(|sample| sample.kernels.keys()).collect();
    let others: BTreeSet<&String> =
        samples.iter().flat_map(|sample| sample.others.keys()).collect();
    let shared: BTreeSet<&String> = others
        .into_iter()
        .filter(|other| !samples.iter().all(|sample| sample.others.contains_key(*other)))
        .collect();
    for name in names {
        let users = || samples.iter().filter(|sample| sample.kernels.contains_key(name));
        let parts = shared
            .iter()
            .filter(|part| users().all(|sample| sample.others.contains_key(**part)))
            .map(|part| (*part).clone())
            .collect();
        let signatures: BTreeSet<&String> =
            users().filter_map(|sample| sample.kernels.get(name)).map(|(s, _)| s).collect();
        let variant = |signature: &String| {
            let copies = users().filter_map(|sample| sample.kernels.get(name));
            let sizes = copies.filter(|(s, _)| s == signature).map(|(_, bytes)| *bytes).collect();
            Variant(signature.clone(), middle(sizes), 0)
        };
        let variants = signatures.into_iter().map(variant).collect();
        entry.kernels.insert(name.clone(), KernelSize { parts, variants });
    }
    let needed: BTreeSet<String> =
        entry.kernels.values().flat_map(|size| size.parts.iter().cloned()).collect();
    for part in needed {
        let sizes = sizes_by_users(&part, entry, samples);
        entry.parts.insert(part, sizes);
    }
}

/// The sizes of a shared function, for each set of kernels that needed it; one for all where it is always
/// the same, as what does not come from the kernels' crate is.
fn sizes_by_users(part: &String, entry: &Entry, samples: &[Sample]) -> Vec<Shared> {
    let mut sizes: BTreeMap<Shared, Vec<u64>> = BTreeMap::new();
    for sample in samples {
        let Some(&bytes) = sample.others.get(part) else { continue };
        let needs =
            |name: &str| entry.kernels.get(name).is_some_and(|kernel| kernel.parts.contains(part));
        let users = sample.kernels.iter().filter(|(name, _)| needs(name));
        let users = users.map(|(name, (signature, _))| (name.as_str(), signature.as_str()));
        sizes.entry(Shared::new(users, 0)).or_default().push(bytes);
    }
    let sizes: Vec<Shared> =
        sizes.into_iter().map(|(Shared(users, _), bytes)| Shared(users, middle(bytes))).collect();
    match sizes.as_slice() {
        [Shared(_, first), rest @ ..] if rest.iter().all(|Shared(_, bytes)| bytes == first) => {
            vec![Shared(String::new(), *first)]
        }
        _ => sizes,
    }
}

/// Base, bytes a step and bytes a port: least squares over what the kernels leave of the code.
fn glue(entry: &mut Entry, samples: &[Sample]) {
    let rows: Vec<([f64; 3], f64)> = samples
        .iter()
        .map(|sample| {
            let kernels = entry.estimate(&sample.uses(), 0, 0).code;
            let rest = sample.code as f64 - (kernels + sample.parameters) as f64;
            ([1.0, sample.steps as f64, sample.ports as f64], rest)
        })
        .collect();
    // Where steps and ports cannot be told apart, or one comes out negative, one of them says as much.
    let [base, step, port] = least_squares(&rows, &[&[0, 1, 2], &[0, 2], &[0, 1], &[0]]);
    (entry.code_base, entry.code_step, entry.code_port) = (tenth(base), tenth(step), tenth(port));
}

/// How far the entry is off for a sample: code and stack.
fn error(entry: &Entry, sample: &Sample) -> (u64, u64) {
    let estimate = entry.estimate(&sample.uses(), sample.steps, sample.ports);
    let stack = if sample.stack > 0 { estimate.stack.abs_diff(sample.stack) } else { 0 };
    ((estimate.code + sample.parameters).abs_diff(sample.code), stack)
}

/// The errors of all samples, each predicted from the others; samples with a kernel that no other has are
/// left out, because what `fit` says of such kernels is an error of its own.
fn errors(core: &str, level: &str, samples: &[Sample]) -> (u64, u64) {
    let (mut code, mut stack) = (Vec::new(), Vec::new());
    for (index, sample) in samples.iter().enumerate() {
        let others = || samples.iter().enumerate().filter(|(i, _)| *i != index).map(|(_, s)| s);
        let known = |name: &String| others().any(|other| other.kernels.contains_key(name));
        if !sample.kernels.keys().all(known) {
            continue;
        }
        let others: Vec<Sample> = others().cloned().collect();
        let (of_code, of_stack) = error(&without_errors(core, level, &others), sample);
        code.push(of_code);
        stack.push(of_stack);
    }
    let ninety = |mut values: Vec<u64>| {
        values.sort_unstable();
        values.get((values.len() * 9).div_ceil(10).saturating_sub(1)).copied().unwrap_or(0)
    };
    (ninety(code), ninety(stack))
}

/// As the file holds it.
fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Stacks that are this near are the same: frames of callers differ by a few saved registers.
const SAME_STACK: u64 = 24;

/// The least stack is the base. Beyond it, what a sample needs is what its deepest kernel needs, so no kernel
/// needs more than any of its users had; the fewest kernels that explain all samples get that much, the one
/// that explains the most first. A kernel that only ever ran beside deeper ones gets what its other
/// variants have.
fn stack(entry: &mut Entry, samples: &[Sample]) {
    let measured: Vec<&Sample> = samples.iter().filter(|sample| sample.stack > 0).collect();
    entry.stack_base = measured.iter().map(|sample| sample.stack).min().unwrap_or(0);
    let base = entry.stack_base;
    let uses = |sample: &Sample, (name, signature): &(String, String)| {
        sample.kernels.get(name).is_some_and(|(used, _)| used == signature)
    };
    // The most that each variant can need.
    let mut limits: Vec<((String, String), u64)> = Vec::new();
    for (name, size) in &entry.kernels {
        for Variant(signature, ..) in &size.variants {
            let key = (name.clone(), signature.clone());
            let users = measured.iter().filter(|sample| uses(sample, &key));
            let limit = users.map(|sample| sample.stack - base).min();
            limits.push((key, limit.unwrap_or(0)));
        }
    }
    let mut open: Vec<&Sample> =
        measured.iter().copied().filter(|sample| sample.stack - base > SAME_STACK).collect();
    let mut known: BTreeMap<(String, String), u64> = BTreeMap::new();
    loop {
        let explains = |sample: &Sample, key: &(String, String), limit: u64| {
            uses(sample, key) && sample.stack - base <= limit + SAME_STACK
        };
        let count = |key: &(String, String), limit: u64| {
            open.iter().filter(|sample| explains(sample, key, limit)).count()
        };
        let best = limits.iter().map(|(key, limit)| (count(key, *limit), *limit, key));
        let Some((1.., limit, key)) = best.max() else { break };
        known.insert(key.clone(), limit);
        open.retain(|sample| !explains(sample, key, limit));
    }
    for (name, size) in &mut entry.kernels {
        let of_kernel = known.iter().filter(|((other, _), _)| other == name);
        let most = of_kernel.map(|(_, stack)| *stack).max().unwrap_or(0);
        for Variant(signature, _, stack) in &mut size.variants {
            let key = (name.clone(), signature.clone());
            let limit =
                limits.iter().find(|(other, _)| *other == key).map_or(0, |(_, limit)| *limit);
            *stack = known.get(&key).copied().unwrap_or(most.min(limit));
        }
    }
}

/// The coefficients that make the sum of squares least, none of them negative, over the choice of columns
/// that comes nearest; the others are 0.
fn least_squares(rows: &[([f64; 3], f64)], choices: &[&[usize]]) -> [f64; 3] {
    let solutions = choices.iter().filter_map(|columns| solve(rows, columns));
    let sound = solutions.filter(|solution| solution.iter().all(|value| *value >= 0.0));
    let squares = |solution: &[f64; 3]| -> f64 {
        let error = |(x, y): &([f64; 3], f64)| {
            x.iter().zip(solution).map(|(x, factor)| x * factor).sum::<f64>() - y
        };
        rows.iter().map(|row| error(row).powi(2)).sum()
    };
    let best = sound.min_by(|a, b| squares(a).total_cmp(&squares(b)));
    best.unwrap_or_default()
}

/// The normal equations over some columns by Gaussian elimination; `None` when they are singular.
fn solve(rows: &[([f64; 3], f64)], columns: &[usize]) -> Option<[f64; 3]> {
    let n = columns.len();
    let mut matrix = vec![vec![0.0; n + 1]; n];
    for (x, y) in rows {
        for (i, &a) in columns.iter().enumerate() {
            for (j, &b) in columns.iter().enumerate() {
                matrix[i][j] += x[a] * x[b];
            }
            matrix[i][n] += x[a] * y;
        }
    }
    for i in 0..n {
        let pivot = (i..n).max_by(|&a, &b| matrix[a][i].abs().total_cmp(&matrix[b][i].abs()))?;
        matrix.swap(i, pivot);
        let head = matrix[i].clone();
        if head[i].abs() < 1e-6 {
            return None;
        }
        for (row, line) in matrix.iter_mut().enumerate() {
            if row != i {
                let factor = line[i] / head[i];
                for (value, from) in line.iter_mut().zip(&head) {
                    *value -= factor * from;
                }
            }
        }
    }
    let mut solution = [0.0; 3];
    for (i, &column) in columns.iter().enumerate() {
        solution[column] = matrix[i][n] / matrix[i][i];
    }
    Some(solution)
}

/// What is predicted for a model, and the sample of its linked example.
///
/// # Errors
/// What cannot be lowered, built or run.
pub fn predicted_and_linked(
    model: &Model,
    board: &Board,
    optimize: Optimize,
) -> Result<(Needs, Sample)> {
    let found = sample(model, board, optimize)?;
    let program = model.program(&board.target(), &Options::default())?;
    let settings = Settings { optimize, check: true, soft_float: true };
    Ok((predict(&program, found.sizes.weights, board.core, &settings), found))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sample of kernels (name, signature, bytes) and other functions.
    fn made(kernels: &[(&str, &str, u64)], others: &[(&str, u64)], steps: usize) -> Sample {
        let code = kernels.iter().map(|(.., bytes)| bytes).chain(others.iter().map(|(_, b)| b));
        Sample {
            kernels: kernels.iter().map(|(n, s, b)| ((*n).into(), ((*s).into(), *b))).collect(),
            others: others.iter().map(|(n, b)| ((*n).into(), *b)).collect(),
            steps,
            ports: 3 * steps,
            parameters: 10 * steps as u64,
            code: code.sum::<u64>() + 40 + 40 * steps as u64,
            stack: 200 + kernels.iter().map(|(.., bytes)| bytes / 10).max().unwrap_or(0),
            ..Sample::default()
        }
    }

    #[test]
    fn an_entry_gives_back_the_samples_it_came_from() {
        let (start, copy) = (("Reset", 60), ("memcpy", 80));
        let (conv, dense) = (("conv", "v1", 700), ("dense", "n", 300));
        let samples = [
            made(&[conv], &[start, copy], 1),
            made(&[("conv", "11", 400)], &[start, copy], 1),
            made(&[dense], &[start], 3),
            made(&[conv, dense], &[start, copy], 5),
            made(&[("softmax", "0", 500)], &[start, copy, ("lmul", 40)], 2),
        ];
        let entry = entry("cortex-m4f", "s", &samples);
        assert_eq!(entry.kernels["conv"].parts, ["memcpy"]);
        assert!(entry.kernels["dense"].parts.is_empty());
        assert_eq!(entry.kernels["softmax"].parts, ["lmul", "memcpy"]);
        // Stacks of 230 to 270 above a base of 230: only the deepest is told apart.
        let variants = [Variant("11".into(), 400, 10), Variant("v1".into(), 700, 40)];
        assert_eq!(entry.kernels["conv"].variants, variants);
        assert_eq!(entry.stack_base, 230);
        assert!((entry.code_base - 100.0).abs() < 0.1, "{}", entry.code_base);
        assert!((entry.code_step + 3.0 * entry.code_port - 30.0).abs() < 0.1);
        for sample in &samples {
            let (code, stack) = error(&entry, sample);
            assert_eq!(code, 0);
            assert!(stack <= SAME_STACK, "{stack}");
        }
        // Without the second sample its kernel would be taken for the larger one.
        assert_eq!(entry.code_error, 300);
    }

    #[test]
    fn a_kernel_beside_a_deeper_one_is_not_taken_for_the_deep_one() {
        let with_stack = |kernels: &[(&str, &str, u64)], stack| Sample {
            stack,
            ..made(kernels, &[("Reset", 60)], 1)
        };
        let (conv, copy) = (("conv", "v1", 700), ("copy", "v", 100));
        let samples = [
            with_stack(&[], 100),
            with_stack(&[("copy", "1", 60)], 140),
            with_stack(&[conv, copy], 600),
            with_stack(&[conv], 608),
        ];
        let entry = entry("cortex-m4f", "s", &samples);
        let stack = |name: &str, index: usize| entry.kernels[name].variants[index].2;
        assert_eq!((entry.stack_base, stack("conv", 0)), (100, 500));
        // The copy with varying parameters ran beside the convolution alone.
        assert_eq!((stack("copy", 0), stack("copy", 1)), (40, 40));
    }

    #[test]
    fn a_helper_belongs_to_the_kernel_of_its_file() {
        let mut kernels =
            BTreeMap::from([("conv2d_i8".to_owned(), 1), ("softmax_i8".to_owned(), 2)]);
        let mut of = |symbol: &str| family_of(symbol, &mut kernels).copied();
        assert_eq!(of("kinglet_kernels::conv2d::Shape::gather"), Some(1));
        assert_eq!(of("<kinglet_kernels::conv2d::Shape<T>>::outputs"), Some(1));
        assert_eq!(of("kinglet_kernels::dot::outputs"), None);
        assert_eq!(of("kinglet_kernels::depthwise_conv2d::add_group"), None);
        assert_eq!(of("memcpy"), None);
    }

    #[test]
    fn symbols_of_kernels_are_known() {
        let plain = Some(("Conv2dI8", ""));
        assert_eq!(kernel_of("kinglet_kernels::conv2d::Conv2dI8::run"), plain);
        assert_eq!(kernel_of("<kinglet_kernels::conv2d::Conv2dI8>::run"), plain);
        let other = Some(("Conv2dI8", "_overlapping"));
        assert_eq!(kernel_of("<kinglet_kernels::conv2d::Conv2dI8>::run_overlapping"), other);
        assert_eq!(kernel_of("kinglet_kernels::dot::dot_i8"), None);
        assert_eq!(kernel_of("model::Model::run"), None);
    }
}
