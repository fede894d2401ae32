//! From a problem to offsets: heuristics, then search.

use crate::exact::{Exact, Outcome, Taste};
use crate::greedy::{self, Sequence};
use crate::items::Items;
use crate::normal::Normal;
use crate::{Effort, Placement, PlanError, Problem};

/// Pairs of blocks a placement looks at in its heuristics before it contents itself with one of them.
const MOST_LOOKS: u64 = 60_000_000;
/// Up to so many exact pairs every choice of fusions is searched.
const MOST_CHOICES: usize = 4;
/// Looks at a pair of blocks that cost as much as one node.
const LOOKS_A_NODE: u64 = 1_024;

/// Places all blocks in one arena, as small as the effort allows.
///
/// Greedy heuristics in several sequences come first, then repair of the sequence, then an exhaustive
/// search that either finds a smaller arena or raises the lower bound. Without search the bound is
/// the step that needs the most ([`peak`](crate::peak)). Above 600 blocks there is no exhaustive search.
///
/// # Errors
/// A malformed problem: see [`Problem::check`].
pub fn place(problem: &Problem, effort: &Effort) -> Result<Placement, PlanError> {
    let normal = Normal::new(problem)?;
    let lower_bound = normal.peak().map_or(0, |peak| peak.needed);
    let step = granularity(&normal);
    let mut state = State {
        best: None,
        lower_bound: lower_bound.div_ceil(step) * step.max(1),
        step,
        nodes: effort.nodes,
    };
    let choices = fusions(&normal, state.lower_bound);
    let lossless = normal.pairs.iter().all(|pair| !pair.lossy);
    let all: Vec<Items<'_>> = choices.sets.iter().map(|set| Items::new(&normal, set)).collect();
    state.greedy(&all);
    state.repair(&all);
    state.exhaust(&all, choices.complete && lossless);
    let (offsets, bytes) = state.best.unwrap_or_else(|| (vec![0; normal.blocks.len()], 0));
    let lower_bound = state.lower_bound.min(bytes);
    Ok(Placement { offsets, bytes, lower_bound, optimal: bytes == lower_bound })
}

struct State {
    /// Offsets of the blocks and the arena's size.
    best: Option<(Vec<u64>, u64)>,
    lower_bound: u64,
    /// Every pushed-down placement's size is a multiple of it.
    step: u64,
    nodes: u64,
}

impl State {
    fn bytes(&self) -> u64 {
        self.best.as_ref().map_or(u64::MAX, |best| best.1)
    }

    fn done(&self) -> bool {
        self.bytes() <= self.lower_bound
    }

    fn offer(&mut self, items: &Items<'_>, offsets: &[u64], bytes: u64) -> bool {
        let better = bytes < self.bytes();
        if better {
            self.best = Some((items.spread(offsets), bytes));
        }
        better
    }

    fn greedy(&mut self, all: &[Items<'_>]) {
        let mut looks = 0;
        for sequence in Sequence::ALL {
            for items in all {
                let sequence = sequence.of(items);
                for tight in [false, true] {
                    if self.done() || (looks > MOST_LOOKS && self.best.is_some()) {
                        return;
                    }
                    let (offsets, bytes) = greedy::place(items, &sequence, tight);
                    self.offer(items, &offsets, bytes);
                    looks += looks_of(items);
                }
            }
        }
    }

    /// Places again and again, each time taking those items earlier that came to lie above the goal:
    /// the ones in trouble get an earlier choice. Uses about a quarter of the nodes.
    fn repair(&mut self, all: &[Items<'_>]) {
        let starts = Sequence::ALL.len() * all.len();
        let share = self.nodes / 4 / u64::try_from(starts.max(1)).unwrap_or(1);
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for start in Sequence::ALL {
            for items in all {
                let cost = looks_of(items) / LOOKS_A_NODE + 1;
                let mut left = share.max(cost).min(self.nodes);
                let mut sequence = start.of(items);
                let mut round = 0u64;
                while left >= cost && !self.done() {
                    left -= cost;
                    self.nodes -= cost;
                    let (offsets, bytes) = greedy::place(items, &sequence, round % 4 == 3);
                    self.offer(items, &offsets, bytes);
                    let goal = self.bytes().saturating_sub(1).max(self.lower_bound);
                    let mut stuck = true;
                    for position in 1..sequence.len() {
                        let item = sequence[position];
                        if offsets[item] + items.list[item].bytes > goal {
                            let target = random.below(position);
                            sequence[target..=position].rotate_right(1);
                            stuck = false;
                        }
                    }
                    if stuck {
                        break;
                    }
                    round += 1;
                }
            }
        }
    }

    /// Bisects the sizes between bound and best by exhaustive search.
    fn exhaust(&mut self, all: &[Items<'_>], complete: bool) {
        if self.done() || self.nodes == 0 {
            return;
        }
        let searches: Vec<(usize, Exact<'_>)> = all
            .iter()
            .enumerate()
            .filter_map(|(index, items)| Some((index, Exact::new(items)?)))
            .collect();
        let complete = complete && searches.len() == all.len();
        // The first question is the bound itself: most networks reach it.
        let mut capacity = self.lower_bound;
        while !self.done() && self.nodes > 0 {
            match self.ask(all, &searches, capacity) {
                Verdict::Found => {}
                Verdict::Impossible if complete => self.lower_bound = capacity + self.step,
                Verdict::Impossible | Verdict::Undecided => {
                    // Nothing was proved: a larger arena is easier to find.
                    let gap = self.bytes().saturating_sub(self.step).saturating_sub(capacity);
                    if gap == 0 {
                        return;
                    }
                    capacity += (gap / 2 / self.step).max(1) * self.step;
                    continue;
                }
            }
            let gap = self.bytes().saturating_sub(self.lower_bound);
            capacity = self.lower_bound + gap / 2 / self.step * self.step;
        }
    }

    /// Whether there is a placement within `capacity`; one that is found is kept.
    fn ask(
        &mut self,
        all: &[Items<'_>],
        searches: &[(usize, Exact<'_>)],
        capacity: u64,
    ) -> Verdict {
        let mut verdict = Verdict::Impossible;
        // The tastes share half of what is left, so that an undecided question leaves the rest for an
        // easier one.
        let count = u64::try_from(searches.len().max(1) * 3).unwrap_or(3);
        let slice = (self.nodes / 2 / count).max(1);
        for (index, exact) in searches {
            let mut decided = false;
            for taste in [Taste::Size, Taste::Area, Taste::Lifetime] {
                let mut nodes = slice.min(self.nodes);
                self.nodes -= nodes;
                let outcome = exact.fit(capacity, taste, &mut nodes);
                self.nodes += nodes;
                match outcome {
                    Outcome::Found(offsets) => {
                        let items = &all[*index];
                        let ends = offsets.iter().zip(&items.list).map(|(o, item)| o + item.bytes);
                        let bytes = ends.max().unwrap_or(0);
                        self.offer(items, &offsets, bytes);
                        return Verdict::Found;
                    }
                    Outcome::Impossible => {
                        decided = true;
                        break;
                    }
                    Outcome::Undecided => {}
                }
            }
            if !decided {
                verdict = Verdict::Undecided;
            }
        }
        verdict
    }
}

/// Numbers that look random and are the same everywhere (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let limit = u64::try_from(limit.max(1)).unwrap_or(u64::MAX);
        usize::try_from(self.0 % limit).unwrap_or(0)
    }
}

enum Verdict {
    Found,
    Impossible,
    Undecided,
}

/// Pairs of items one greedy placement looks at.
fn looks_of(items: &Items<'_>) -> u64 {
    let count = u64::try_from(items.list.len()).unwrap_or(u64::MAX);
    count.saturating_mul(count) / 2
}

/// A number that divides the size of every pushed-down placement, 1 at least.
///
/// Such a size is a sum of separations, each rounded up to some alignment. The greatest common divisor
/// of separations and sizes divides it, if rounding up keeps to its multiples: if each alignment
/// divides it, or it divides the alignment.
fn granularity(normal: &Normal) -> u64 {
    let filled = || normal.blocks.iter().filter(|block| block.bytes > 0);
    let sizes = filled().map(|block| block.bytes);
    let separations = normal.pairs.iter().flat_map(|pair| [pair.output_below, pair.input_below]);
    let mut step = sizes.chain(separations).fold(0, gcd);
    if filled().any(|block| step % block.align != 0 && block.align % step.max(1) != 0) {
        step = filled().map(|block| block.align).fold(step, gcd);
    }
    step.max(1)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

struct Fusions {
    /// Lists of pairs to fuse, each another choice.
    sets: Vec<Vec<usize>>,
    /// Whether these are all choices there are.
    complete: bool,
}

/// Which of the exact pairs to fuse: all choices if they are few; else none, as many as possible, and
/// only those without which some step needs more than the bound.
fn fusions(normal: &Normal, bound: u64) -> Fusions {
    let mut exact: Vec<usize> =
        (0..normal.pairs.len()).filter(|&pair| normal.pairs[pair].exact).collect();
    let shared = |pair: usize| {
        let pair = &normal.pairs[pair];
        normal.blocks[pair.input].bytes.min(normal.blocks[pair.output].bytes)
    };
    exact.sort_by_key(|&pair| (std::cmp::Reverse(shared(pair)), pair));
    if exact.len() <= MOST_CHOICES {
        let sets = (0..1usize << exact.len()).rev().map(|choice| {
            let chosen = exact.iter().enumerate().filter(|(bit, _)| choice >> bit & 1 == 1);
            chosen.map(|(_, &pair)| pair).collect()
        });
        return Fusions { sets: sets.collect(), complete: true };
    }
    let mut sweep = crate::memory::Sweep::new(normal);
    let mut crowded = Vec::new();
    for step in normal.starts() {
        sweep.advance(step);
        let bytes: u64 = sweep.live.iter().map(|&block| normal.blocks[block].bytes).sum();
        if bytes > bound {
            crowded.push(step);
        }
    }
    let needed = |&&pair: &&usize| {
        crowded.binary_search(&normal.blocks[normal.pairs[pair].output].first).is_ok()
    };
    let few: Vec<usize> = exact.iter().filter(needed).copied().collect();
    let mut sets = vec![few, exact, Vec::new()];
    sets.dedup();
    Fusions { sets, complete: false }
}
