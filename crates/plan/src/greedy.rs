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

/// Places the items in this sequence, each at its lowest possible offset, or, with `tight`, in the
/// smallest gap that takes it. Gives the offsets of the items and the size of it all.
pub(crate) fn place(items: &Items<'_>, sequence: &[usize], tight: bool) -> (Vec<u64>, u64) {
    let mut offsets = vec![0; items.list.len()];
    let mut forbidden: Vec<(u64, u64)> = Vec::new();
    let mut bytes = 0;
    for (position, &item) in sequence.iter().enumerate() {
        forbidden.clear();
        for &other in &sequence[..position] {
            if let Some((up, down)) = items.separations(other, item) {
                // Forbidden is all from just above where `item` passes below to where it passes above.
                let offset: u64 = offsets[other];
                let from = if offset >= down { offset - down + 1 } else { 0 };
                if from < offset + up {
                    forbidden.push((from, offset + up));
                }
            }
        }
        forbidden.sort_unstable();
        offsets[item] = gap(&forbidden, items.list[item].align, tight);
        bytes = bytes.max(offsets[item] + items.list[item].bytes);
    }
    (offsets, bytes)
}

/// An aligned position outside all forbidden ranges, which are sorted by their beginnings: the lowest,
/// or the lowest in the narrowest gap.
fn gap(forbidden: &[(u64, u64)], align: u64, tight: bool) -> u64 {
    let (mut position, mut best) = (0, None::<(u64, u64)>);
    for &(from, to) in forbidden {
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
    use super::gap;

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
