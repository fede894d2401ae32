//! Which outputs may lie over the input that their kernel reads row by row, and where all blocks lie then.

use super::{Builder, Draft, Slot};
use crate::storage::StorageId;
use kinglet_diag::{Diagnostic, Failure, code};
use kinglet_kernels::declare::Role;
use kinglet_plan::{Effort, Overlap, Placement, Problem, Rule};

impl Builder<'_> {
    /// The permissions of all drafts, between blocks as `block_of` numbers them.
    pub(super) fn overlaps(&self, block_of: impl Fn(StorageId) -> Option<usize>) -> Vec<Overlap> {
        if !self.options.in_place {
            return Vec::new();
        }
        let of_draft = |draft: &Draft| {
            let [input, output] = [Role::In, Role::Out].map(|role| self.operand(draft, role));
            let (input, output) = (input?, output?);
            let sizes = [input, output].map(|storage| self.storages.get(storage).bytes as u64);
            let distances = draft.kernel.distances(sizes)?;
            if self.uses(draft, self.storages.root(input)) != 1 {
                return None;
            }
            let number = |storage| u32::try_from(block_of(storage)?).ok();
            let (input, output) = (number(input)?, number(output)?);
            let below = Rule::AtMost(i64::try_from(distances.input_above).ok()?.checked_neg()?);
            let above = Rule::AtLeast(i64::try_from(distances.output_above).ok()?);
            Some([below, above].map(|rule| Overlap::new(input, output, rule)))
        };
        self.drafts.iter().filter_map(of_draft).flatten().collect()
    }

    /// The storage of the one operand with a role.
    fn operand(&self, draft: &Draft, role: Role) -> Option<StorageId> {
        let declared = draft.kernel.declaration().operands;
        let index = declared.iter().position(|operand| operand.role == role)?;
        match draft.slots.get(index)? {
            Slot::Storage(storage) => Some(*storage),
            Slot::Constant(_) => None,
        }
    }
}

/// Places the blocks of a problem, which has no permissions, with those of these that make it smaller.
///
/// A call that writes over its input has code of its own, so that permission is given only at steps whose blocks
/// would not fit without.
pub(super) fn place(
    problem: Problem,
    overlaps: &[Overlap],
    effort: &Effort,
) -> Result<Placement, Failure> {
    let place = |overlaps: Vec<Overlap>| {
        kinglet_plan::place(&problem.clone().with_overlaps(overlaps), effort).map_err(|error| {
            Diagnostic::error(code::NOT_PLANNED, format!("the memory plan cannot be made: {error}"))
        })
    };
    let apart = place(Vec::new())?;
    if overlaps.is_empty() {
        return Ok(apart);
    }
    let all = place(overlaps.to_vec())?;
    if all.bytes >= apart.bytes {
        return Ok(apart);
    }
    let live = |step: u32| -> u64 {
        let blocks = problem.blocks.iter();
        blocks.filter(|b| (b.first..=b.last).contains(&step)).map(|b| b.bytes).sum()
    };
    let written_at = |overlap: &Overlap| {
        let output = usize::try_from(overlap.output).ok();
        output.and_then(|output| problem.blocks.get(output)).map_or(0, |block| block.first)
    };
    let needed = overlaps.iter().filter(|overlap| live(written_at(overlap)) > all.bytes);
    let few = place(needed.copied().collect())?;
    Ok(if few.bytes <= all.bytes { few } else { all })
}
