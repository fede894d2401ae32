//! The order of steps that needs the least memory.
//!
//! What is live depends only on the set of steps that have run, so the search is for a path over such
//! sets with the lowest peak. Three things keep it small:
//!
//! - a step that every other one must precede or follow cuts the graph: the parts before and after it
//!   are searched one by one;
//! - a step that can run within the peak reached so far and leaves no more live than before may run at
//!   once: moving it forward in any order raises nothing;
//! - sets are expanded by the peak needed to reach them, the fullest first, so the first path that
//!   arrives is the best, and the peak of the set expanded last is a lower bound whenever the search is
//!   broken off.
//!
//! Before that a beam search gives an order to beat, and the values that must be live beside each step
//! in any order give a bound.

use crate::dag::{Dag, Net};
use crate::{Effort, PlanError, id};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// An order of steps and how good it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordering {
    /// The steps in the order in which they run.
    pub order: Vec<u32>,
    /// The most memory needed at any step, as [`Dag::peak`] counts it.
    pub peak: u64,
    /// No order needs less than this.
    pub lower_bound: u64,
    /// Whether `peak` is the least possible, which is when it equals `lower_bound`.
    pub optimal: bool,
}

/// Up to so many steps the relation of all pairs of steps is computed.
const MOST_RELATED: usize = 8_192;
/// The widest beam.
const MOST_BEAM: usize = 32;

/// Finds the order of the graph's steps with the lowest peak, or a low one and a bound.
///
/// Where several are equally good, the file's order is kept as far as possible.
///
/// # Errors
/// A malformed graph: see [`Dag::check`].
pub fn order(dag: &Dag, effort: &Effort) -> Result<Ordering, PlanError> {
    let net = Net::new(dag)?;
    let (mut parts, least) = parts(&net);
    let mut nodes = effort.nodes;
    let mut live = net.inputs;
    let mut done = vec![false; net.steps.len()];
    let count = parts.len();
    for (index, part) in parts.iter_mut().enumerate() {
        let scope = Scope::new(&net, &part.file, &done, live, index == 0);
        let (peak, after) = scope.run(&part.file);
        part.file_peak = peak;
        part.bound = part.file.iter().map(|&step| least[step]).max().unwrap_or(0);
        (part.best, part.best_peak) = (part.file.clone(), peak);
        part.live = live;
        live = after;
        for &step in &part.file {
            done[step] = true;
        }
    }
    let bound = parts.iter().map(|part| part.bound).max().unwrap_or(0);
    // The part that is worst decides; the others only have to stay below it.
    let mut by_need: Vec<usize> = (0..count).collect();
    by_need.sort_by_key(|&part| (Reverse(parts[part].best_peak), part));
    let mut floor = bound;
    for index in by_need {
        if parts[index].best_peak <= floor {
            continue;
        }
        let done = done_before(&net, &parts, index);
        let part = &mut parts[index];
        let steps = part.file.clone();
        let scope = Scope::new(&net, &steps, &done, part.live, index == 0);
        scope.improve(part, floor, &mut nodes);
        floor = floor.max(part.best_peak);
    }
    let peak = parts.iter().map(|part| part.best_peak).max().unwrap_or(0);
    let lower_bound = parts.iter().map(|part| part.bound).max().unwrap_or(0).min(peak);
    let mut found = Vec::with_capacity(net.steps.len());
    for part in &parts {
        found.extend(if part.file_peak <= peak { &part.file } else { &part.best });
    }
    let order = found.into_iter().map(id).collect();
    Ok(Ordering { order, peak, lower_bound, optimal: peak == lower_bound })
}

/// Steps that run after all of the part before and before all of the part after.
#[derive(Default)]
struct Part {
    /// In the file's order, or the nearest to it that can run.
    file: Vec<usize>,
    file_peak: u64,
    best: Vec<usize>,
    best_peak: u64,
    /// No order of this part needs less.
    bound: u64,
    /// Bytes live before it.
    live: u64,
}

fn done_before(net: &Net, parts: &[Part], index: usize) -> Vec<bool> {
    let mut done = vec![false; net.steps.len()];
    for &step in parts[..index].iter().flat_map(|part| &part.file) {
        done[step] = true;
    }
    done
}

/// A set of small numbers.
type Bits = Box<[u64]>;

fn bits(count: usize) -> Bits {
    vec![0; count.div_ceil(64)].into()
}

fn has(bits: &[u64], index: usize) -> bool {
    bits[index / 64] >> (index % 64) & 1 == 1
}

fn set(bits: &mut [u64], index: usize) {
    bits[index / 64] |= 1 << (index % 64);
}

/// Adds all of `from`, and `step`.
fn join(bits: &mut [u64], from: &[u64], step: usize) {
    bits.iter_mut().zip(from).for_each(|(bits, from)| *bits |= from);
    set(bits, step);
}

/// Cuts the graph, and gives the least each step needs in any order.
fn parts(net: &Net) -> (Vec<Part>, Vec<u64>) {
    let count = net.steps.len();
    let whole = |file| Part { file, ..Part::default() };
    if count > MOST_RELATED {
        let least = (0..count).map(|step| net.least(step, 0)).collect();
        return (vec![whole(net.topological.clone())], least);
    }
    // For each step those before it and those after it, itself included in neither.
    let mut earlier: Vec<Bits> = vec![bits(count); count];
    let mut later = earlier.clone();
    for &step in &net.topological {
        for &next in &net.steps[step].after {
            let from = earlier[step].clone();
            join(&mut earlier[next], &from, step);
        }
    }
    for &step in net.topological.iter().rev() {
        for &previous in &net.steps[step].before {
            let from = later[step].clone();
            join(&mut later[previous], &from, step);
        }
    }
    let least = (0..count).map(|step| net.least(step, beside(net, step, &earlier, &later)));
    let least = least.collect();
    let size = |bits: &[u64]| {
        let ones: u32 = bits.iter().map(|word| word.count_ones()).sum();
        usize::try_from(ones).unwrap_or(usize::MAX)
    };
    let (mut parts, mut current) = (Vec::new(), Vec::new());
    for &step in &net.topological {
        current.push(step);
        if size(&earlier[step]) + size(&later[step]) + 1 == count {
            parts.push(whole(std::mem::take(&mut current)));
        }
    }
    if !current.is_empty() {
        parts.push(whole(current));
    }
    (parts, least)
}

/// Bytes that are live while `step` runs whatever the order, beside what it reads and writes: written
/// before it, and read after it or kept.
fn beside(net: &Net, step: usize, earlier: &[Bits], later: &[Bits]) -> u64 {
    net.values
        .iter()
        .filter(|value| {
            value.writer.is_none_or(|writer| has(&earlier[step], writer))
                && value.readers.binary_search(&step).is_err()
                && (value.kept || value.readers.iter().any(|&reader| has(&later[step], reader)))
        })
        .map(|value| value.bytes)
        .sum()
}

/// One part of the graph, with the steps numbered within it.
struct Scope<'a> {
    net: &'a Net,
    steps: &'a [usize],
    /// The number within the part of each step of the graph, `usize::MAX` outside.
    local: Vec<usize>,
    done: &'a [bool],
    live: u64,
    /// Whether the very first step is in this part.
    first: bool,
}

/// A set of steps that have run and the cheapest way known to get there.
#[derive(Clone)]
struct State {
    ran: Bits,
    /// Steps that can run next, as numbers within the part, ascending.
    ready: Vec<usize>,
    live: u64,
    peak: u64,
    count: usize,
    /// The last link of the list of steps that ran, in [`Trail`].
    link: usize,
}

/// Lists of steps that share their beginnings.
struct Trail(Vec<(usize, usize)>);

impl Trail {
    const EMPTY: usize = usize::MAX;

    fn add(&mut self, link: usize, step: usize) -> usize {
        self.0.push((link, step));
        self.0.len() - 1
    }

    fn list(&self, mut link: usize) -> Vec<usize> {
        let mut steps = Vec::new();
        while let Some(&(before, step)) = self.0.get(link) {
            steps.push(step);
            link = before;
        }
        steps.reverse();
        steps
    }
}

impl<'a> Scope<'a> {
    fn new(net: &'a Net, steps: &'a [usize], done: &'a [bool], live: u64, first: bool) -> Self {
        let mut local = vec![usize::MAX; net.steps.len()];
        for (number, &step) in steps.iter().enumerate() {
            local[step] = number;
        }
        Self { net, steps, local, done, live, first }
    }

    fn cost(&self, state: &State, number: usize) -> crate::dag::Cost {
        let first = self.first && state.count == 0;
        self.net.cost(self.steps[number], state.live, first, |step| self.ran(state, step))
    }

    fn ran(&self, state: &State, step: usize) -> bool {
        let number = self.local[step];
        if number == usize::MAX { self.done[step] } else { has(&state.ran, number) }
    }

    fn start(&self) -> State {
        let mut state = State {
            ran: bits(self.steps.len()),
            ready: Vec::new(),
            live: self.live,
            peak: 0,
            count: 0,
            link: Trail::EMPTY,
        };
        let ready = (0..self.steps.len()).filter(|&number| self.can_run(&state, number));
        state.ready = ready.collect();
        state
    }

    fn can_run(&self, state: &State, number: usize) -> bool {
        self.net.steps[self.steps[number]].before.iter().all(|&step| self.ran(state, step))
    }

    fn advance(&self, state: &mut State, number: usize, trail: &mut Trail) {
        let cost = self.cost(state, number);
        set(&mut state.ran, number);
        state.count += 1;
        state.live = cost.after;
        state.peak = state.peak.max(cost.during);
        state.link = trail.add(state.link, number);
        if let Ok(position) = state.ready.binary_search(&number) {
            state.ready.remove(position);
        }
        for &step in &self.net.steps[self.steps[number]].after {
            let next = self.local[step];
            if next != usize::MAX
                && self.can_run(state, next)
                && let Err(position) = state.ready.binary_search(&next)
            {
                state.ready.insert(position, next);
            }
        }
    }

    /// Runs what can run within `floor`, or the peak reached, and leaves no more live.
    fn settle(&self, state: &mut State, floor: u64, trail: &mut Trail) {
        loop {
            let within = floor.max(state.peak);
            let free = state.ready.iter().copied().find(|&number| {
                let cost = self.cost(state, number);
                cost.during <= within && cost.after <= state.live
            });
            let Some(number) = free else { return };
            self.advance(state, number, trail);
        }
    }

    /// The peak of an order of graph steps, and what is live after it.
    fn run(&self, order: &[usize]) -> (u64, u64) {
        let (mut state, mut trail) = (self.start(), Trail(Vec::new()));
        for &step in order {
            self.advance(&mut state, self.local[step], &mut trail);
        }
        (state.peak, state.live)
    }

    /// Lowers the part's peak towards `floor`, and raises its bound if that cannot be reached.
    fn improve(&self, part: &mut Part, floor: u64, nodes: &mut u64) {
        let size = u64::try_from(self.steps.len()).unwrap_or(u64::MAX).max(1);
        let affordable = usize::try_from(*nodes / 8 / size).unwrap_or(usize::MAX);
        let width = affordable.clamp(1, MOST_BEAM);
        for width in [1, width] {
            if part.best_peak <= floor {
                return;
            }
            let spent = size.saturating_mul(u64::try_from(width).unwrap_or(1));
            *nodes = nodes.saturating_sub(if width > 1 { spent } else { 0 });
            let (order, peak) = self.beam(width, floor);
            if peak < part.best_peak {
                (part.best, part.best_peak) = (order, peak);
            }
        }
        if part.best_peak > floor {
            self.search(part, floor, nodes);
        }
    }

    /// Keeps the `width` best sets at a time; one step, and what follows freely, a round.
    fn beam(&self, width: usize, floor: u64) -> (Vec<usize>, u64) {
        let mut trail = Trail(Vec::new());
        let mut beam = vec![self.start()];
        self.settle(&mut beam[0], floor, &mut trail);
        let mut best: Option<(u64, usize)> = None;
        while !beam.is_empty() {
            let mut choices: Vec<(u64, u64, usize, usize)> = Vec::new();
            for (index, state) in beam.iter().enumerate() {
                if state.count == self.steps.len() && best.is_none_or(|(peak, _)| state.peak < peak)
                {
                    best = Some((state.peak, state.link));
                }
                choices.extend(state.ready.iter().map(|&number| {
                    let cost = self.cost(state, number);
                    (state.peak.max(cost.during).max(floor), cost.after, index, number)
                }));
            }
            // Some choices lead to the same set: look a little further than the beam is wide.
            let enough = 4 * width;
            if choices.len() > enough {
                choices.select_nth_unstable(enough);
                choices.truncate(enough);
            }
            choices.sort_unstable();
            let mut next: Vec<State> = Vec::new();
            for &(_, _, index, number) in &choices {
                if next.len() == width {
                    break;
                }
                let mut state = beam[index].clone();
                self.advance(&mut state, number, &mut trail);
                self.settle(&mut state, floor, &mut trail);
                if next.iter().all(|other| other.ran != state.ran) {
                    next.push(state);
                }
            }
            beam = next;
        }
        let (peak, link) = best.unwrap_or((u64::MAX, Trail::EMPTY));
        (self.named(&trail, link), peak)
    }

    fn named(&self, trail: &Trail, link: usize) -> Vec<usize> {
        trail.list(link).into_iter().map(|number| self.steps[number]).collect()
    }

    /// Expands sets by their peak until all steps have run or the nodes are used up.
    fn search(&self, part: &mut Part, floor: u64, nodes: &mut u64) {
        // Copying a set takes the longer the more steps there are.
        let price = 1 + u64::try_from(self.steps.len() / 512).unwrap_or(u64::MAX);
        let mut trail = Trail(Vec::new());
        let mut states = vec![self.start()];
        self.settle(&mut states[0], floor, &mut trail);
        let mut known: HashMap<Bits, u64> = HashMap::new();
        let key =
            |state: &State| (Reverse(state.peak.max(floor)), state.count, Reverse(state.live));
        let mut queue = BinaryHeap::from([(key(&states[0]), Reverse(0usize))]);
        while let Some(((Reverse(peak), count, _), Reverse(index))) = queue.pop() {
            part.bound = part.bound.max(if peak > floor { peak } else { 0 });
            if count == self.steps.len() {
                part.best = self.named(&trail, states[index].link);
                part.best_peak = states[index].peak;
                return;
            }
            // A cheaper way to the same set may have come after this one was queued.
            if known.get(&states[index].ran).is_some_and(|&least| least < states[index].peak) {
                continue;
            }
            for number in states[index].ready.clone() {
                if *nodes < price {
                    return;
                }
                *nodes -= price;
                if states[index].peak.max(self.cost(&states[index], number).during)
                    >= part.best_peak
                {
                    continue;
                }
                let mut state = states[index].clone();
                self.advance(&mut state, number, &mut trail);
                self.settle(&mut state, floor, &mut trail);
                match known.get_mut(&state.ran) {
                    Some(least) if *least <= state.peak => continue,
                    Some(least) => *least = state.peak,
                    None => {
                        known.insert(state.ran.clone(), state.peak);
                    }
                }
                queue.push((key(&state), Reverse(states.len())));
                states.push(state);
            }
        }
        // Every path was followed as far as it stayed below the best known.
        part.bound = part.best_peak;
    }
}
