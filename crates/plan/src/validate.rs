//! An independent check of a placement: it shares nothing with the code that places.

use crate::{Block, Fault, Overlap, Placement, Problem, Rule, at, id};
use std::collections::BTreeMap;

/// Checks a placement against its problem: alignment, the arena's size, no two live blocks in the
/// same bytes but by permission, and that the claims about the lower bound hold together.
///
/// # Errors
/// The first [`Fault`] found.
pub fn validate(problem: &Problem, placement: &Placement) -> Result<(), Fault> {
    problem.check()?;
    let (blocks, offsets) = (&problem.blocks, &placement.offsets);
    if blocks.len() != offsets.len() {
        return Err(Fault::Count { offsets: offsets.len(), blocks: blocks.len() });
    }
    let mut end_of_all = 0;
    for (index, (block, &offset)) in blocks.iter().zip(offsets).enumerate() {
        if offset % block.align != 0 {
            return Err(Fault::Misaligned { block: id(index), offset, align: block.align });
        }
        let end = offset.saturating_add(block.bytes);
        if end > placement.bytes {
            return Err(Fault::Outside { block: id(index), end, bytes: placement.bytes });
        }
        end_of_all = end_of_all.max(end);
    }
    let mut rules: BTreeMap<(u32, u32), Vec<Rule>> = BTreeMap::new();
    for &Overlap { input, output, rule } in &problem.overlaps {
        rules.entry((input, output)).or_default().push(rule);
    }
    // A block of one step that may lie over an input there is not overwritten in turn.
    let mut written = vec![false; blocks.len()];
    for overlap in &problem.overlaps {
        let (input, output) = (&blocks[at(overlap.input)], &blocks[at(overlap.output)]);
        written[at(overlap.output)] |=
            input.last == output.first && input.bytes > 0 && output.bytes > 0;
    }
    let allowed = |input: (u32, &Block, u64), output: (u32, &Block, u64)| {
        input.1.last == output.1.first
            && !(input.1.first == input.1.last && written[at(input.0)])
            && rules.get(&(input.0, output.0)).is_some_and(|rules| {
                let distance = i128::from(output.2) - i128::from(input.2);
                rules.iter().any(|rule| match *rule {
                    Rule::Exact => distance == 0,
                    Rule::AtMost(most) => distance <= i128::from(most),
                    Rule::AtLeast(least) => distance >= i128::from(least),
                })
            })
    };
    // In the order of offsets, a block can only share bytes with those that start before its end.
    let mut sorted: Vec<(u32, &Block, u64)> = blocks
        .iter()
        .zip(offsets)
        .enumerate()
        .filter(|(_, (block, _))| block.bytes > 0)
        .map(|(index, (block, &offset))| (id(index), block, offset))
        .collect();
    sorted.sort_by_key(|&(index, _, offset)| (offset, index));
    for (position, &low) in sorted.iter().enumerate() {
        let end = low.2.saturating_add(low.1.bytes);
        for &high in sorted[position + 1..].iter().take_while(|high| high.2 < end) {
            if low.1.meets(high.1) && !allowed(low, high) && !allowed(high, low) {
                return Err(Fault::Clash {
                    first: low.0.min(high.0),
                    second: low.0.max(high.0),
                    step: low.1.first.max(high.1.first),
                });
            }
        }
    }
    let (bytes, lower_bound) = (placement.bytes, placement.lower_bound);
    if bytes != end_of_all || bytes < lower_bound || placement.optimal != (bytes == lower_bound) {
        return Err(Fault::Claim { bytes, lower_bound });
    }
    Ok(())
}
