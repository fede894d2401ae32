//! Any placement is valid and honest about its bound, on random problems small enough to try all.

use kinglet_plan::{
    Block, Effort, Overlap, Placement, Problem, Rule, peak, place, timeline, validate,
};
use proptest::prelude::*;

fn blocks(most: usize, largest: u64, aligns: u32) -> impl Strategy<Value = Vec<Block>> {
    let block = (0..=largest, 0..aligns, 0u32..7, 0u32..4)
        .prop_map(|(bytes, align, first, life)| Block::new(bytes, 1 << align, first, first + life));
    prop::collection::vec(block, 0..most)
}

fn rule() -> impl Strategy<Value = Rule> {
    prop_oneof![
        Just(Rule::Exact),
        (-6i64..4).prop_map(Rule::AtMost),
        (-4i64..6).prop_map(Rule::AtLeast)
    ]
}

/// A problem in which some of the pairs that can overlap may.
fn problem(most: usize, largest: u64, aligns: u32) -> impl Strategy<Value = Problem> {
    let rules = prop::collection::vec((any::<bool>(), rule()), most * most);
    (blocks(most, largest, aligns), rules).prop_map(|(blocks, rules)| {
        let count = u32::try_from(blocks.len()).expect("few");
        let pairs = (0..count).flat_map(|input| (0..count).map(move |output| (input, output)));
        let overlaps: Vec<Overlap> = pairs
            .filter(|(input, output)| input != output)
            .zip(rules)
            .filter(|(_, (chosen, _))| *chosen)
            .map(|((input, output), (_, rule))| Overlap::new(input, output, rule))
            .collect();
        Problem::new(blocks).with_overlaps(overlaps)
    })
}

/// Whether the blocks can be placed within `bytes`, by trying every offset of every block.
fn fits(problem: &Problem, offsets: &mut Vec<u64>, bytes: u64) -> bool {
    let Some(block) = problem.blocks.get(offsets.len()) else { return true };
    if block.bytes > bytes {
        return false;
    }
    for offset in (0..=bytes - block.bytes).step_by(usize::try_from(block.align).expect("small")) {
        offsets.push(offset);
        let so_far = Problem {
            blocks: problem.blocks[..offsets.len()].to_vec(),
            steps: problem.steps,
            overlaps: problem
                .overlaps
                .iter()
                .filter(|overlap| {
                    overlap.input.max(overlap.output) < u32::try_from(offsets.len()).expect("few")
                })
                .copied()
                .collect(),
        };
        let end = so_far.blocks.iter().zip(offsets.iter()).map(|(b, o)| b.bytes + o).max();
        let end = end.unwrap_or(0);
        let placement =
            Placement { offsets: offsets.clone(), bytes: end, lower_bound: 0, optimal: end == 0 };
        if validate(&so_far, &placement).is_ok() && fits(problem, offsets, bytes) {
            return true;
        }
        offsets.pop();
        if block.bytes == 0 {
            return false;
        }
    }
    false
}

fn least(problem: &Problem) -> u64 {
    (0..).find(|&bytes| fits(problem, &mut Vec::new(), bytes)).expect("there is always room")
}

#[test]
fn the_search_proves_a_bound_above_the_largest_live_set() {
    let blocks = [
        (2, 3, 6),
        (3, 1, 2),
        (3, 1, 4),
        (4, 3, 6),
        (1, 2, 4),
        (4, 0, 1),
        (2, 5, 5),
        (4, 0, 0),
        (2, 5, 6),
    ];
    let blocks = blocks.map(|(bytes, first, last)| Block::new(bytes, 1, first, last));
    let problem = Problem::new(blocks.to_vec());
    let most = peak(&problem).expect("well-formed").expect("has blocks");
    assert_eq!(most.needed, 10);
    let placement = place(&problem, &Effort::default()).expect("well-formed");
    assert_eq!((placement.bytes, placement.lower_bound, placement.optimal), (11, 11, true));
    assert_eq!(least(&problem), 11);
    let unproved = place(&problem, &Effort::HEURISTIC).expect("well-formed");
    assert_eq!((unproved.lower_bound, unproved.optimal), (10, false));
}

#[test]
fn the_search_finds_what_the_heuristics_miss() {
    let blocks = [(2, 1, 4), (3, 0, 1), (3, 4, 7), (4, 3, 3), (4, 5, 5)];
    let blocks = blocks.map(|(bytes, first, last)| Block::new(bytes, 1, first, last));
    let problem = Problem::new(blocks.to_vec());
    let bytes = |effort: Effort| place(&problem, &effort).expect("well-formed").bytes;
    assert_eq!((bytes(Effort::HEURISTIC), bytes(Effort::default())), (9, 7));
    assert_eq!(least(&problem), 7);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn without_permissions_the_search_finds_the_least(blocks in blocks(6, 6, 3)) {
        let problem = Problem::new(blocks);
        let placement = place(&problem, &Effort::default()).unwrap();
        prop_assert_eq!(validate(&problem, &placement), Ok(()));
        prop_assert!(placement.optimal);
        prop_assert_eq!(placement.bytes, least(&problem));
    }

    #[test]
    fn optimal_means_least_and_no_bound_is_too_high(problem in problem(5, 6, 3)) {
        let least = least(&problem);
        for effort in [Effort::HEURISTIC, Effort::nodes(20), Effort::default()] {
            let placement = place(&problem, &effort).unwrap();
            prop_assert_eq!(validate(&problem, &placement), Ok(()));
            prop_assert!(placement.lower_bound <= least);
            if placement.optimal {
                prop_assert_eq!(placement.bytes, least);
            }
        }
    }

    #[test]
    fn any_plan_is_valid(problem in problem(40, 5_000, 6), nodes in 0u64..3_000) {
        let placement = place(&problem, &Effort::nodes(nodes)).unwrap();
        prop_assert_eq!(validate(&problem, &placement), Ok(()));
        let steps = timeline(&problem).unwrap();
        let most = steps.iter().map(|step| step.needed).max().unwrap_or(0);
        prop_assert!(placement.lower_bound >= most);
        let bare = Problem::new(problem.blocks.clone());
        let apart = place(&bare, &Effort::nodes(nodes)).unwrap();
        prop_assert!(placement.lower_bound <= apart.bytes);
        prop_assert_eq!(place(&problem, &Effort::nodes(nodes)).unwrap(), placement);
    }
}
