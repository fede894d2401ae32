//! Memory over time: who is live at each step and which step needs the most.

use crate::normal::Normal;
use crate::{MAX_TIMELINE, PlanError, Problem, id};

/// The memory of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepMemory {
    /// The step.
    pub step: u32,
    /// The blocks live at it, ascending; those of no bytes are left out.
    pub live: Vec<u32>,
    /// The sum of their sizes in bytes.
    pub bytes: u64,
    /// The least memory they fit in: more than `bytes` by alignment, less where permission lets an
    /// output lie over an input.
    pub needed: u64,
}

/// The memory of every step, in order.
///
/// # Errors
/// A malformed problem, or one whose steps have more than [`MAX_TIMELINE`] live blocks in all.
pub fn timeline(problem: &Problem) -> Result<Vec<StepMemory>, PlanError> {
    let normal = Normal::new(problem)?;
    let mut sweep = Sweep::new(&normal);
    let (mut steps, mut entries) = (Vec::new(), 0);
    for step in 0..problem.steps {
        sweep.advance(step);
        entries += sweep.live.len();
        if entries > MAX_TIMELINE {
            let what = "entries in the timeline";
            return Err(PlanError::TooMany { what, count: entries, limit: MAX_TIMELINE });
        }
        steps.push(sweep.memory(step));
    }
    Ok(steps)
}

/// The step that needs the most memory, the first of them if several do; `None` if no block has any
/// bytes.
///
/// # Errors
/// A malformed problem.
pub fn peak(problem: &Problem) -> Result<Option<StepMemory>, PlanError> {
    Ok(Normal::new(problem)?.peak())
}

impl Normal {
    /// The step that needs the most.
    pub fn peak(&self) -> Option<StepMemory> {
        // What is live at a step at which nothing begins was live at an earlier one.
        let mut sweep = Sweep::new(self);
        let mut best: Option<(u64, u32)> = None;
        for step in self.starts() {
            sweep.advance(step);
            let needed = self.needed(&sweep.live, step);
            if best.is_none_or(|(most, _)| needed > most) {
                best = Some((needed, step));
            }
        }
        let (_, step) = best?;
        let mut sweep = Sweep::new(self);
        sweep.advance(step);
        Some(sweep.memory(step))
    }

    /// The steps at which some block begins, ascending.
    pub fn starts(&self) -> Vec<u32> {
        let filled = self.blocks.iter().filter(|block| block.bytes > 0);
        let mut starts: Vec<u32> = filled.map(|block| block.first).collect();
        starts.sort_unstable();
        starts.dedup();
        starts
    }
}

/// Walks over the steps in ascending order, keeping the blocks that are live.
pub(crate) struct Sweep<'a> {
    normal: &'a Normal,
    /// Blocks that have not begun, the earliest last.
    coming: Vec<usize>,
    /// Live blocks, ascending.
    pub live: Vec<usize>,
}

impl<'a> Sweep<'a> {
    pub fn new(normal: &'a Normal) -> Self {
        let filled = (0..normal.blocks.len()).filter(|&index| normal.blocks[index].bytes > 0);
        let mut coming: Vec<usize> = filled.collect();
        coming.sort_by_key(|&index| std::cmp::Reverse((normal.blocks[index].first, index)));
        Self { normal, coming, live: Vec::new() }
    }

    pub fn advance(&mut self, step: u32) {
        let blocks = &self.normal.blocks;
        let before = self.live.len();
        while let Some(index) = self.coming.pop_if(|&mut index| blocks[index].first <= step) {
            self.live.push(index);
        }
        let began = self.live.len() > before;
        self.live.retain(|&index| blocks[index].last >= step);
        if began {
            self.live.sort_unstable();
        }
    }

    fn memory(&self, step: u32) -> StepMemory {
        StepMemory {
            step,
            live: self.live.iter().map(|&index| id(index)).collect(),
            bytes: self.live.iter().map(|&index| self.normal.blocks[index].bytes).sum(),
            needed: self.normal.needed(&self.live, step),
        }
    }
}

impl StepMemory {
    /// Whether this block is live at the step.
    pub fn has(&self, block: u32) -> bool {
        self.live.binary_search(&block).is_ok()
    }
}
