//! What the searches move: single blocks, or several fused because they start at one offset.

use crate::memory::Sweep;
use crate::normal::Normal;

/// Blocks that move together, all starting at the item's offset.
pub(crate) struct Item {
    pub parts: Vec<usize>,
    pub first: u32,
    pub last: u32,
    pub align: u64,
    /// The largest part, in bytes.
    pub bytes: u64,
    /// Bytes times steps, over the parts.
    pub area: u128,
}

/// The items of one choice of fusions. Blocks of no bytes are in none.
pub(crate) struct Items<'a> {
    pub normal: &'a Normal,
    pub list: Vec<Item>,
}

/// A set of blocks that are live together and cannot overlap, with what each needs.
pub(crate) struct Clique {
    /// Items and the bytes each must have for itself, rounded up to `unit`.
    pub members: Vec<(usize, u64)>,
    /// What the topmost one may leave unused of its last unit.
    pub tail: u64,
}

impl<'a> Items<'a> {
    /// Fuses the pairs at these indices, in this order, each if it can still be; see [`Self::fused`].
    pub fn new(normal: &'a Normal, fuse: &[usize]) -> Self {
        let count = normal.blocks.len();
        let mut group: Vec<usize> = (0..count).collect();
        let mut parts: Vec<Vec<usize>> = (0..count).map(|index| vec![index]).collect();
        for &pair in fuse {
            let pair = &normal.pairs[pair];
            let (a, b) = (group[pair.input], group[pair.output]);
            let fits = a != b
                && parts[a].iter().all(|&p| {
                    parts[b].iter().all(|&q| {
                        !normal.blocks[p].meets(&normal.blocks[q]) || normal.may_coincide(p, q)
                    })
                });
            if fits {
                let moved = std::mem::take(&mut parts[b]);
                for &index in &moved {
                    group[index] = a;
                }
                parts[a].extend(moved);
            }
        }
        let mut list: Vec<Item> = parts
            .into_iter()
            .map(|mut parts| {
                parts.retain(|&index| normal.blocks[index].bytes > 0);
                parts.sort_unstable();
                parts
            })
            .filter(|parts| !parts.is_empty())
            .map(|parts| Item::new(normal, parts))
            .collect();
        list.sort_by_key(|item| (item.first, item.last, item.parts[0]));
        Self { normal, list }
    }

    /// The separations of two items, of `b` above `a` and of `a` above `b`; `None` if they are never
    /// live together.
    pub fn separations(&self, a: usize, b: usize) -> Option<(u64, u64)> {
        let (a, b) = (&self.list[a], &self.list[b]);
        if a.first > b.last || b.first > a.last {
            return None;
        }
        let normal = self.normal;
        if let ([p], [q]) = (&a.parts[..], &b.parts[..]) {
            return Some(normal.separations(*p, *q));
        }
        let mut found: Option<(u64, u64)> = None;
        for &p in &a.parts {
            for &q in &b.parts {
                if normal.blocks[p].meets(&normal.blocks[q]) {
                    let (up, down) = normal.separations(p, q);
                    let (most_up, most_down) = found.unwrap_or((0, 0));
                    found = Some((most_up.max(up), most_down.max(down)));
                }
            }
        }
        found
    }

    /// The offsets of all blocks, from those of the items.
    pub fn spread(&self, offsets: &[u64]) -> Vec<u64> {
        let mut spread = vec![0; self.normal.blocks.len()];
        for (item, &offset) in self.list.iter().zip(offsets) {
            for &part in &item.parts {
                spread[part] = offset;
            }
        }
        spread
    }

    /// Sets of items that cannot overlap and are live together, in the order of time. Where a
    /// permission is left at a step there are two, one without the inputs and one without the outputs.
    pub fn cliques(&self) -> Vec<Clique> {
        let normal = self.normal;
        let mut item_of = vec![usize::MAX; normal.blocks.len()];
        for (index, item) in self.list.iter().enumerate() {
            for &part in &item.parts {
                item_of[part] = index;
            }
        }
        let starts = normal.starts();
        let mut sweep = Sweep::new(normal);
        let mut cliques = Vec::new();
        for (position, &step) in starts.iter().enumerate() {
            sweep.advance(step);
            let next = starts.get(position + 1).copied().unwrap_or(u32::MAX);
            // If nothing ends before the next beginning, the next set contains this one.
            if !sweep.live.iter().any(|&block| normal.blocks[block].last < next) {
                continue;
            }
            let (inputs, outputs) =
                normal.sides(&sweep.live, step, |pair| item_of[pair.input] != item_of[pair.output]);
            for without in [&inputs, &outputs] {
                let live = sweep.live.iter().filter(|block| without.binary_search(block).is_err());
                cliques.push(self.clique(live.map(|&block| (item_of[block], block))));
                if inputs.is_empty() {
                    break;
                }
            }
        }
        cliques
    }

    fn clique(&self, blocks: impl Iterator<Item = (usize, usize)>) -> Clique {
        let blocks: Vec<(usize, usize)> = blocks.collect();
        let unit = blocks.iter().map(|&(item, _)| self.list[item].align).min().unwrap_or(1);
        let mut members: Vec<(usize, u64)> = Vec::with_capacity(blocks.len());
        let mut sorted: Vec<(usize, u64)> =
            blocks.iter().map(|&(item, block)| (item, self.normal.blocks[block].bytes)).collect();
        sorted.sort_unstable();
        for (item, bytes) in sorted {
            match members.last_mut() {
                Some((last, most)) if *last == item => *most = bytes.max(*most),
                _ => members.push((item, bytes)),
            }
        }
        let mut tail = 0;
        for (_, bytes) in &mut members {
            let rounded = bytes.div_ceil(unit) * unit;
            tail = tail.max(rounded - *bytes);
            *bytes = rounded;
        }
        Clique { members, tail }
    }
}

impl Item {
    fn new(normal: &Normal, parts: Vec<usize>) -> Self {
        let mut item =
            Self { parts: Vec::new(), first: u32::MAX, last: 0, align: 1, bytes: 0, area: 0 };
        for &part in &parts {
            let block = &normal.blocks[part];
            item.first = item.first.min(block.first);
            item.last = item.last.max(block.last);
            item.align = item.align.max(block.align);
            item.bytes = item.bytes.max(block.bytes);
            item.area += u128::from(block.bytes) * u128::from(block.last - block.first + 1);
        }
        Self { parts, ..item }
    }
}
