//! Orders of steps: the branchy network of MEM-02, and all orders of small random graphs.

use kinglet_plan::{
    Block, Dag, Effort, Ordering, Overlap, PlanError, Problem, Rule, Step, Value, order, peak,
    place,
};
use proptest::prelude::*;

fn value(bytes: u64, writer: Option<u32>, readers: &[u32]) -> Value {
    Value { bytes, writer, readers: readers.to_vec(), kept: readers.is_empty() }
}

fn dag(steps: usize, values: Vec<Value>) -> Dag {
    Dag { steps: vec![Step::default(); steps], values, before: Vec::new() }
}

fn solved(dag: &Dag) -> Ordering {
    let found = order(dag, &Effort::default()).expect("a well-formed graph");
    assert_eq!(dag.peak(&found.order), Ok(found.peak));
    assert_eq!(found.optimal, found.peak == found.lower_bound);
    found
}

fn file_order(dag: &Dag) -> Vec<u32> {
    (0u32..).take(dag.steps.len()).collect()
}

/// The blocks of a graph in this order; scratch comes after the values.
fn problem(dag: &Dag, order: &[u32]) -> Problem {
    let lifetimes = dag.lifetimes(order).expect("an order that can run");
    let values = dag.values.iter().zip(&lifetimes);
    let mut blocks: Vec<Block> =
        values.map(|(value, &(first, last))| Block::new(value.bytes, 1, first, last)).collect();
    let mut overlaps = Vec::new();
    for (&step, position) in order.iter().zip(0u32..) {
        let step = &dag.steps[usize::try_from(step).expect("small")];
        blocks.push(Block::new(step.scratch, 1, position, position));
        let pairs = step.in_place.iter();
        overlaps.extend(pairs.map(|&(input, output)| Overlap::new(input, output, Rule::Exact)));
    }
    Problem::new(blocks).with_overlaps(overlaps)
}

/// An inception-like cell on a 24x24x16 map: four branches widen to 24x24x64 and narrow again to
/// 12x12x16, written breadth first in the file, then concatenated.
fn branchy() -> Dag {
    let (map, wide, narrow) = (24 * 24 * 16, 24 * 24 * 64, 12 * 12 * 16);
    let mut values = vec![value(map, None, &[0, 1, 2, 3])];
    values.extend((0..4).map(|branch| value(wide, Some(branch), &[branch + 4])));
    values.extend((4..8).map(|branch| value(narrow, Some(branch), &[8])));
    values.push(value(4 * narrow, Some(8), &[]));
    dag(9, values)
}

#[test]
fn mem_02_a_branchy_network_peaks_at_least_15_percent_lower_than_in_file_order() {
    let dag = branchy();
    let before = dag.peak(&file_order(&dag)).expect("the file's order can run");
    let found = solved(&dag);
    assert!(found.optimal);
    assert_eq!(before, 9_216 + 4 * 36_864);
    // The last branch to widen has three narrow maps beside it, and frees nothing.
    assert_eq!(found.peak, 9_216 + 36_864 + 3 * 2_304);
    assert!(found.peak * 100 <= before * 85, "{} of {before}", found.peak);
    // What the order saves, the arena saves.
    let arena = |order: &[u32]| {
        let placed = place(&problem(&dag, order), &Effort::default()).expect("well-formed");
        (placed.bytes, placed.optimal)
    };
    assert_eq!(arena(&file_order(&dag)), (before, true));
    assert_eq!(arena(&found.order), (found.peak, true));
}

#[test]
fn the_file_order_stays_where_it_is_as_good() {
    let chain = dag(
        4,
        vec![
            value(10, None, &[0]),
            value(30, Some(0), &[1]),
            value(20, Some(1), &[2]),
            value(5, Some(2), &[3]),
            value(5, Some(3), &[]),
        ],
    );
    let found = solved(&chain);
    assert_eq!((found.order, found.peak, found.optimal), (vec![0, 1, 2, 3], 50, true));
    // Two independent branches of equal cost.
    let twins = dag(
        3,
        vec![
            value(8, None, &[0, 1]),
            value(4, Some(0), &[2]),
            value(4, Some(1), &[2]),
            value(1, Some(2), &[]),
        ],
    );
    assert_eq!(solved(&twins).order, [0, 1, 2]);
}

#[test]
fn a_file_order_that_cannot_run_is_put_right() {
    let backward = dag(2, vec![value(4, Some(1), &[0]), value(4, Some(0), &[])]);
    assert_eq!(solved(&backward).order, [1, 0]);
    assert_eq!(backward.peak(&[0, 1]), Err(PlanError::Order { position: 0 }));
}

#[test]
fn a_state_is_read_before_it_is_assigned() {
    let mut dag = dag(2, vec![value(4, Some(0), &[]), value(9, None, &[1])]);
    dag.before = vec![(1, 0)];
    assert_eq!(solved(&dag).order, [1, 0]);
}

#[test]
fn malformed_graphs_are_refused() {
    let refused = |dag: &Dag| order(dag, &Effort::default()).expect_err("malformed");
    let missing = dag(1, vec![value(1, Some(3), &[0])]);
    assert_eq!(refused(&missing), PlanError::Missing { what: "step", index: 3, count: 1 });
    let cycle = dag(3, vec![value(1, Some(0), &[1]), value(1, Some(1), &[0, 2])]);
    assert!(matches!(refused(&cycle), PlanError::Cycle { step: 0 | 1 }));
    let own = dag(1, vec![value(1, Some(0), &[0])]);
    assert_eq!(refused(&own), PlanError::Cycle { step: 0 });
    let huge = dag(1, vec![value(u64::MAX, None, &[0]), value(u64::MAX, Some(0), &[])]);
    assert_eq!(refused(&huge), PlanError::TooLarge { limit: 1 << 60 });
    let mut foreign = dag(1, vec![value(1, None, &[0]), value(1, Some(0), &[])]);
    foreign.steps[0].in_place = vec![(1, 1)];
    assert_eq!(refused(&foreign), PlanError::Foreign { step: 0, value: 1 });
    assert!(matches!(refused(&dag(40_000, Vec::new())), PlanError::TooMany { .. }));
    assert_eq!(solved(&Dag::default()).order, Vec::<u32>::new());
    let chain = dag(2, vec![value(1, Some(0), &[1])]);
    for wrong in [&[0][..], &[0, 0], &[1, 0], &[0, 7], &[0, 1, 1]] {
        assert!(matches!(chain.peak(wrong), Err(PlanError::Order { .. })), "{wrong:?}");
    }
}

#[test]
fn a_large_wide_graph_ends_with_a_bound() {
    // 1,000 branches of five steps each between one input and one sum.
    let mut values = vec![value(1_000, None, &(0u32..1_000).collect::<Vec<_>>())];
    for branch in 0..1_000 {
        for depth in 0..5 {
            let step = depth * 1_000 + branch;
            let reader = if depth == 4 { 5_000 } else { step + 1_000 };
            let bytes = u64::from((step * 7 + branch * 13) % 97 + 1);
            values.push(value(bytes, Some(step), &[reader]));
        }
    }
    values.push(value(100, Some(5_000), &[]));
    let dag = dag(5_001, values);
    let found = solved(&dag);
    assert!(found.lower_bound <= found.peak);
    assert!(found.peak <= dag.peak(&file_order(&dag)).expect("can run"));
}

/// A random graph: steps in any order of their numbers, values, scratch, steps in place, edges.
fn graphs(most: usize) -> impl Strategy<Value = Dag> {
    let value = (0u64..30, 0usize..=most, prop::collection::vec(0usize..most, 0..4), 0u8..5);
    let step = (prop_oneof![3 => Just(0u64), 1 => 0u64..20], any::<bool>());
    let edges = prop::collection::vec((0usize..most, 0usize..most), 0..3);
    let shuffled = Just((0..most).collect::<Vec<_>>()).prop_shuffle();
    let values = prop::collection::vec(value, 0..3 * most);
    (1..=most, values, prop::collection::vec(step, most), edges, shuffled).prop_map(
        |(count, values, steps, edges, names)| {
            // Edges lead upward in a hidden numbering.
            let names: Vec<usize> = names.into_iter().filter(|&name| name < count).collect();
            let name = |hidden: usize| u32::try_from(names[hidden]).expect("small");
            let values: Vec<Value> = values
                .into_iter()
                .map(|(bytes, writer, readers, kept)| {
                    let writer = writer.checked_sub(1).map(|writer| writer % count);
                    let after = writer.map_or(0, |writer| writer + 1);
                    let readers = readers.into_iter().map(|reader| reader % count);
                    Value {
                        bytes,
                        writer: writer.map(name),
                        readers: readers.filter(|&reader| reader >= after).map(name).collect(),
                        kept: kept == 0,
                    }
                })
                .collect();
            let steps = steps[..count].iter().zip(0u32..).map(|(&(scratch, in_place), step)| {
                let touched = |of: &dyn Fn(&Value) -> bool| -> Vec<u32> {
                    let found = values.iter().zip(0u32..).filter(|(value, _)| of(value));
                    found.map(|(_, index)| index).collect()
                };
                let reads = touched(&|value| value.readers.contains(&step));
                let writes = touched(&|value| value.writer == Some(step));
                // One output for all inputs, so that one saving is all there can be.
                let writes = if in_place { &writes[..writes.len().min(1)] } else { &[] };
                let pairs = reads.iter().flat_map(|&r| writes.iter().map(move |&w| (r, w)));
                Step { scratch, in_place: pairs.collect() }
            });
            let before = edges
                .into_iter()
                .map(|(a, b)| (a % count, b % count))
                .filter(|(a, b)| a < b)
                .map(|(a, b)| (name(a), name(b)));
            Dag { steps: steps.collect(), before: before.collect(), values }
        },
    )
}

/// The lowest peak over all orders, by trying them.
fn least(dag: &Dag, order: &mut Vec<u32>, best: &mut u64) {
    if order.len() == dag.steps.len() {
        *best = (*best).min(dag.peak(order).expect("built to run"));
        return;
    }
    for step in file_order(dag) {
        let runs = |other: u32| order.contains(&other);
        let waits = dag.values.iter().any(|value| {
            value.readers.contains(&step) && value.writer.is_some_and(|writer| !runs(writer))
        }) || dag.before.iter().any(|&(first, second)| second == step && !runs(first));
        if !runs(step) && !waits {
            order.push(step);
            least(dag, order, best);
            order.pop();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_found_is_the_best_of_all(dag in graphs(6)) {
        let mut best = u64::MAX;
        least(&dag, &mut Vec::new(), &mut best);
        let found = order(&dag, &Effort::default()).unwrap();
        prop_assert_eq!(dag.peak(&found.order), Ok(found.peak));
        prop_assert_eq!(found.peak, best);
        prop_assert!(found.optimal);
        for nodes in [0, 1, 5] {
            let rough = order(&dag, &Effort::nodes(nodes)).unwrap();
            prop_assert_eq!(dag.peak(&rough.order), Ok(rough.peak));
            prop_assert!(rough.lower_bound <= best);
            prop_assert_eq!(rough.optimal, rough.peak == rough.lower_bound);
        }
    }

    #[test]
    fn any_order_can_run(dag in graphs(40), nodes in 0u64..500) {
        let found = order(&dag, &Effort::nodes(nodes)).unwrap();
        prop_assert_eq!(dag.peak(&found.order), Ok(found.peak));
        prop_assert!(found.lower_bound <= found.peak);
        prop_assert_eq!(order(&dag, &Effort::nodes(nodes)).unwrap(), found.clone());
        // The order's peak is what the blocks of that order need, but that one step saves once.
        let needed = peak(&problem(&dag, &found.order)).unwrap().map_or(0, |peak| peak.needed);
        prop_assert_eq!(needed, found.peak);
    }
}
