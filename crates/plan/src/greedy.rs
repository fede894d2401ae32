//! Placing items one after the other, each as low as those before it allow.

use crate::align_up;
use crate::items::Items;
use std::cmp::Reverse;

/// A sequence in which the heuristics take the items.
#[derive(Clone, Copy)]
pub(crate) enum Sequence {
    Size,
    Area,
    Lifetime,
    First,
    Last,
    Breadth,
}

impl Sequence {
    pub const ALL: [Self; 6] =
        [Self::Size, Self::Breadth, Self::Area, Self::Lifetime, Self::First, Self::Last];

    /// The items in this sequence; ties by size, then by index.
    pub fn of(self, items: &Items<'_>) -> Vec<usize> {
        let list = &items.list;
        let mut order: Vec<usize> = (0..list.len()).collect();
        let size = |index: usize| (Reverse(list[index].bytes), index);
        match self {
            Self::Size => order.sort_by_key(|&i| size(i)),
            Self::Area => order.sort_by_key(|&i| (Reverse(list[i].area), size(i))),
            Self::Lifetime => {
                order.sort_by_key(|&i| (Reverse(list[i].last - list[i].first), size(i)));
            }
            Self::First => order.sort_by_key(|&i| (list[i].first, size(i))),
            Self::Last => order.sort_by_key(|&i| (Reverse(list[i].last), size(i))),
            Self::Breadth => return breadth(items),
        }
        order
    }
}

/// By the steps that need most: all items of the fullest step by size, then of the next.
fn breadth(items: &Items<'_>) -> Vec<usize> {
    let mut cliques = items.cliques();
    let weight = |members: &[(usize, u64)]| members.iter().map(|&(_, bytes)| bytes).sum::<u64>();
    cliques.sort_by_key(|clique| Reverse(weight(&clique.members)));
    let mut taken = vec![false; items.list.len()];
    let mut order = Vec::with_capacity(items.list.len());
    for clique in &cliques {
        let mut members = clique.members.clone();
        members.sort_by_key(|&(item, bytes)| (Reverse(bytes), item));
        order.extend(
            members
                .iter()
                .map(|&(item, _)| item)
                .filter(|&item| !std::mem::replace(&mut taken[item], true)),
        );
    }
    order.extend((0..taken.len()).filter(|&item| !taken[item]));
    order
}

/// An item that has its place, as the next ones see it.
struct Placed {
    offset: u64,
    end: u64,
    first: u32,
    last: u32,
    item: usize,
}

/// Places the items in this sequence, each at its lowest possible offset, or, with `tight`, in the
/// smallest gap that takes it. Gives the offsets of the items and the size of it all.
pub(crate) fn place(items: &Items<'_>, sequence: &[usize], tight: bool) -> (Vec<u64>, u64) {
    let mut offsets = vec![0; items.list.len()];
    // Ascending by offset.
    let mut placed: Vec<Placed> = Vec::with_capacity(sequence.len());
    let mut forbidden: Vec<(u64, u64)> = Vec::new();
    let mut bytes = 0;
    let simple = items.normal.pairs.is_empty();
    for &item in sequence {
        let this = &items.list[item];
        let met =
            placed.iter().filter(|other| other.first <= this.last && this.first <= other.last);
        let offset = if simple {
            // Every item is as tall as itself to every other, so the ranges come sorted.
            let room = this.bytes - 1;
            let ranges = met.map(|other| (other.offset.saturating_sub(room), other.end));
            gap(ranges, this.align, tight)
        } else {
            // Forbidden is all from just above where `item` passes below to where it passes above.
            forbidden.clear();
            forbidden.extend(met.filter_map(|other| {
                let (up, down) = items.separations(other.item, item)?;
                let from = if other.offset >= down { other.offset - down + 1 } else { 0 };
                (from < other.offset + up).then_some((from, other.offset + up))
            }));
            forbidden.sort_unstable();
            gap(forbidden.iter().copied(), this.align, tight)
        };
        offsets[item] = offset;
        let end = offset + this.bytes;
        bytes = bytes.max(end);
        let position = placed.partition_point(|other| other.offset <= offset);
        placed.insert(position, Placed { offset, end, first: this.first, last: this.last, item });
    }
    (offsets, bytes)
}

/// An aligned position outside all forbidden ranges, which are sorted by their beginnings: the lowest,
/// or the lowest in the narrowest gap.
fn gap(forbidden: impl Iterator<Item = (u64, u64)>, align: u64, tight: bool) -> u64 {
    let (mut position, mut best) = (0, None::<(u64, u64)>);
    for (from, to) in forbidden {
        if position < from {
            if !tight {
                return position;
            }
            let room = from - position;
            if best.is_none_or(|(least, _)| room < least) {
                best = Some((room, position));
            }
        }
        if position < to {
            position = align_up(to, align);
        }
    }
    best.map_or(position, |(_, found)| found)
}

#[cfg(test)]
mod tests {
    fn gap(forbidden: &[(u64, u64)], align: u64, tight: bool) -> u64 {
        super::gap(forbidden.iter().copied(), align, tight)
    }

    #[test]
    fn a_gap_is_the_lowest_or_the_narrowest() {
        let forbidden = [(10, 20), (15, 18), (22, 30), (50, 60)];
        assert_eq!(gap(&forbidden, 1, false), 0);
        assert_eq!(gap(&forbidden, 1, true), 20);
        assert_eq!(gap(&forbidden, 8, true), 0, "20 and 21 are not multiples of 8");
        assert_eq!(gap(&[(0, 20), (22, 30)], 8, true), 32);
        assert_eq!(gap(&[(0, 7)], 4, false), 8);
        assert_eq!(gap(&[], 4, true), 0);
    }
}
