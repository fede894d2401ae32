//! Placement on the shapes of real networks, and the memory of the cases of MEM-01.

use kinglet_plan::{
    Block, Effort, Fault, Overlap, Placement, PlanError, Problem, Rule, peak, place, timeline,
    validate,
};

/// A network as a list of steps: which maps each reads. Map 0 is the input, map k the output of step
/// k - 1. A map is live from the step that writes it to the last that reads it.
fn network(sizes: &[u64], reads: &[&[u32]]) -> Problem {
    assert_eq!(sizes.len(), reads.len() + 1);
    let blocks = sizes.iter().zip(0u32..).map(|(&bytes, map)| {
        let readers = reads.iter().zip(0u32..).filter(|(inputs, _)| inputs.contains(&map));
        let first = map.saturating_sub(1);
        Block::new(bytes, 16, first, readers.map(|(_, step)| step).max().unwrap_or(first))
    });
    Problem::new(blocks.collect())
}

fn chain(sizes: &[u64]) -> Problem {
    let inputs: Vec<[u32; 1]> = (0u32..).take(sizes.len() - 1).map(|map| [map]).collect();
    network(sizes, &inputs.iter().map(|inputs| &inputs[..]).collect::<Vec<_>>())
}

fn solved(problem: &Problem) -> Placement {
    let placement = place(problem, &Effort::default()).expect("a well-formed problem");
    validate(problem, &placement).expect("a valid placement");
    placement
}

fn hwc(height: u64, width: u64, channels: u64) -> u64 {
    height * width * channels
}

/// MobileNet v1 at 0.25 on `input` bytes: depthwise and pointwise in turn.
fn mobilenet(input: u64) -> Vec<u64> {
    let mut sizes = vec![input, hwc(48, 48, 8), hwc(48, 48, 8), hwc(48, 48, 16)];
    sizes.extend([hwc(24, 24, 16), hwc(24, 24, 32), hwc(24, 24, 32), hwc(24, 24, 32)]);
    sizes.extend([hwc(12, 12, 32), hwc(12, 12, 64), hwc(12, 12, 64), hwc(12, 12, 64)]);
    sizes.extend([hwc(6, 6, 64), hwc(6, 6, 128)]);
    sizes.extend([hwc(6, 6, 128); 10]);
    sizes.extend([hwc(3, 3, 128), hwc(3, 3, 256), hwc(3, 3, 256), hwc(3, 3, 256)]);
    sizes.extend([256, 256, 2, 2]);
    sizes
}

#[test]
fn tflm_03_vww_lies_in_its_largest_live_set() {
    let placement = solved(&chain(&mobilenet(hwc(96, 96, 3))));
    assert_eq!(placement.bytes, 55_296);
    assert!(placement.optimal);
}

#[test]
fn tflm_03_person_detect_lies_in_its_largest_live_set() {
    let placement = solved(&chain(&mobilenet(hwc(96, 96, 1))));
    assert_eq!(placement.bytes, 55_296);
    assert!(placement.optimal);
}

#[test]
fn tflm_03_kws_lies_in_its_largest_live_set() {
    let mut sizes = vec![hwc(49, 10, 1)];
    sizes.extend([hwc(25, 5, 64); 9]);
    sizes.extend([64, 64, 12, 12]);
    let placement = solved(&chain(&sizes));
    assert_eq!(placement.bytes, 16_000);
    assert!(placement.optimal);
}

/// Layers 0 to 15 of the residual network; map k + 1 is the output of layer k.
fn resnet8() -> Problem {
    let (wide, middle, narrow) = (hwc(32, 32, 16), hwc(16, 16, 32), hwc(8, 8, 64));
    network(
        &[
            hwc(32, 32, 3),
            wide,
            wide,
            wide,
            wide,
            middle,
            middle,
            middle,
            middle,
            narrow,
            narrow,
            narrow,
            narrow,
            64,
            64,
            10,
            10,
        ],
        &[
            &[0],
            &[1],
            &[2],
            &[1, 3],
            &[4],
            &[5],
            &[4],
            &[6, 7],
            &[8],
            &[9],
            &[8],
            &[10, 11],
            &[12],
            &[13],
            &[14],
            &[15],
        ],
    )
}

#[test]
fn tflm_03_resnet8_lies_in_its_largest_live_set() {
    let placement = solved(&resnet8());
    assert_eq!(placement.bytes, 49_152);
    assert!(placement.optimal);
}

#[test]
fn tflm_03_odd_sizes_need_no_more_than_the_live_sum() {
    // The tail of the topmost block is not rounded up: 4,000 + 1,960, both at multiples of 16.
    let placement = solved(&chain(&[1_960, 4_000, 4, 4]));
    assert_eq!(placement.bytes, 5_960);
    assert!(placement.optimal);
}

#[test]
fn mem_01_a_chain_peaks_at_its_first_layer() {
    let mut problem = chain(&[hwc(96, 96, 3), hwc(48, 48, 16), hwc(24, 24, 32)]);
    let memory = peak(&problem).expect("well-formed").expect("has blocks");
    assert_eq!((memory.step, memory.bytes, memory.needed), (0, 64_512, 64_512));
    assert_eq!(memory.live, [0, 1]);
    let bytes: Vec<u64> =
        timeline(&problem).expect("well-formed").iter().map(|step| step.bytes).collect();
    assert_eq!(bytes, [64_512, 55_296]);
    // Scratch is a block of one step and is in the sum.
    problem.blocks.push(Block::new(1_152, 16, 0, 0));
    let memory = peak(&problem).expect("well-formed").expect("has blocks");
    assert_eq!((memory.bytes, memory.live), (65_664, vec![0, 1, 3]));
    assert_eq!(solved(&problem).bytes, 65_664);
}

#[test]
fn mem_01_an_inverted_residual_holds_input_and_output_of_its_depthwise_layer() {
    // 24x24x16, expanded to 96 channels, depthwise, projected back.
    let (narrow, wide) = (hwc(24, 24, 16), hwc(24, 24, 96));
    let plain = chain(&[narrow, wide, wide, narrow]);
    let memory = peak(&plain).expect("well-formed").expect("has blocks");
    assert_eq!((memory.step, memory.bytes), (1, 110_592));
    assert_eq!(solved(&plain).bytes, 110_592);

    let with_skip = network(&[narrow, wide, wide, narrow, narrow], &[&[0], &[1], &[2], &[0, 3]]);
    let memory = peak(&with_skip).expect("well-formed").expect("has blocks");
    assert_eq!((memory.step, memory.bytes), (1, 119_808));
    assert!(memory.has(0), "the skip is one of the blocks of the peak");
    assert_eq!(solved(&with_skip).bytes, 119_808);
}

#[test]
fn mem_01_an_addition_needs_three_maps_or_two_in_place() {
    let map = hwc(48, 48, 16);
    let apart = Problem::new(vec![
        Block::new(map, 16, 0, 1),
        Block::new(map, 16, 0, 1),
        Block::new(map, 16, 1, 2),
    ]);
    assert_eq!(peak(&apart).expect("well-formed").expect("has blocks").bytes, 110_592);
    assert_eq!(solved(&apart).bytes, 110_592);
    for rule in [Rule::Exact, Rule::AtMost(0), Rule::AtLeast(0)] {
        let both = [Overlap::new(0, 2, rule), Overlap::new(1, 2, rule)];
        let in_place = apart.clone().with_overlaps(both);
        let steps = timeline(&in_place).expect("well-formed");
        assert_eq!((steps[1].bytes, steps[1].needed), (110_592, 73_728));
        let placement = solved(&in_place);
        assert_eq!((placement.bytes, placement.optimal), (73_728, true));
    }
}

#[test]
fn an_input_that_is_read_later_is_not_overwritten() {
    let problem = Problem::new(vec![Block::new(100, 4, 0, 2), Block::new(100, 4, 1, 3)])
        .with_overlaps([Overlap::new(0, 1, Rule::Exact)]);
    assert_eq!(solved(&problem).bytes, 200);
    let over = Placement { offsets: vec![0, 0], bytes: 100, lower_bound: 100, optimal: true };
    let fault = Fault::Clash { first: 0, second: 1, step: 1 };
    assert_eq!(validate(&problem, &over), Err(fault));
}

#[test]
fn mem_02_a_kernel_that_goes_upward_lets_the_output_begin_before_the_input() {
    // A strided kernel that keeps 192 bytes between where it writes and where it reads.
    let problem = chain(&[1_000, 800, 16]).with_overlaps([Overlap::new(0, 1, Rule::AtMost(-192))]);
    let placement = solved(&problem);
    assert_eq!((placement.bytes, placement.optimal), (1_192, true));
    assert!(placement.offsets[1] + 192 <= placement.offsets[0]);
    // Four bytes for one: elements grow upward from below, or downward from above.
    for rule in [Rule::AtMost(-300), Rule::AtLeast(0)] {
        let widening = chain(&[100, 400]).with_overlaps([Overlap::new(0, 1, rule)]);
        assert_eq!(solved(&widening).bytes, if rule == Rule::AtLeast(0) { 400 } else { 404 });
    }
}

#[test]
fn mem_02_a_chain_of_in_place_steps_takes_one_block() {
    let links = (0..9).map(|map| Overlap::new(map, map + 1, Rule::Exact));
    let placement = solved(&chain(&[500; 10]).with_overlaps(links));
    assert_eq!((placement.bytes, placement.optimal), (500, true));
}

#[test]
fn alignments_differ() {
    // 1 + 32 + 5 bytes: the large alignment goes to the bottom.
    let problem = Problem::new(vec![
        Block::new(1, 1, 0, 0),
        Block::new(32, 64, 0, 0),
        Block::new(5, 4, 0, 0),
    ]);
    let placement = solved(&problem);
    assert_eq!((placement.bytes, placement.optimal), (38, true));
}

#[test]
fn nothing_to_place_needs_nothing() {
    let empty = solved(&Problem::new(Vec::new()));
    assert_eq!((empty.bytes, empty.optimal), (0, true));
    let hollow = Problem::new(vec![Block::new(0, 16, 0, 3), Block::new(8, 8, 1, 1)]);
    assert_eq!(solved(&hollow).offsets, [0, 0]);
    assert_eq!(peak(&Problem::default()), Ok(None));
}

#[test]
fn malformed_problems_are_refused() {
    let refused = |problem: &Problem| place(problem, &Effort::default()).expect_err("malformed");
    let huge = Problem::new(vec![Block::new(u64::MAX, 16, 0, 0), Block::new(u64::MAX, 16, 0, 0)]);
    assert_eq!(refused(&huge), PlanError::TooLarge { limit: 1 << 60 });
    for align in [0, 3, u64::MAX] {
        let odd = Problem::new(vec![Block::new(1, align, 0, 0)]);
        assert_eq!(refused(&odd), PlanError::Alignment { block: 0, align });
    }
    let high = Problem::new(vec![Block::new(1, 1 << 63, 0, 0)]);
    assert_eq!(refused(&high), PlanError::TooLarge { limit: 1 << 60 });
    let mut late = Problem::new(vec![Block::new(1, 1, 0, 4)]);
    late.steps = 4;
    assert_eq!(refused(&late), PlanError::Lifetime { block: 0, first: 0, last: 4, steps: 4 });
    let back = Problem { steps: 9, ..Problem::new(vec![Block::new(1, 1, 3, 2)]) };
    assert_eq!(refused(&back), PlanError::Lifetime { block: 0, first: 3, last: 2, steps: 9 });
    let forever = Problem::new(vec![Block::new(1, 1, 0, u32::MAX)]);
    assert!(matches!(refused(&forever), PlanError::TooMany { what: "steps", .. }));
    let stray = chain(&[1, 1]).with_overlaps([Overlap::new(0, 7, Rule::Exact)]);
    assert_eq!(refused(&stray), PlanError::Missing { what: "block", index: 7, count: 2 });
    let own = chain(&[1, 1]).with_overlaps([Overlap::new(1, 1, Rule::Exact)]);
    assert_eq!(refused(&own), PlanError::Itself { block: 1 });
    let many = Problem::new(vec![Block::new(1, 1, 0, 0); 40_000]);
    assert!(matches!(refused(&many), PlanError::TooMany { what: "blocks", .. }));
}

#[test]
fn extreme_distances_do_no_harm() {
    for rule in [
        Rule::AtMost(i64::MIN),
        Rule::AtMost(i64::MAX),
        Rule::AtLeast(i64::MIN),
        Rule::AtLeast(i64::MAX),
    ] {
        let problem = chain(&[40, 60, 20]).with_overlaps([Overlap::new(0, 1, rule)]);
        let placement = solved(&problem);
        let free = matches!(rule, Rule::AtMost(i64::MAX) | Rule::AtLeast(i64::MIN));
        assert_eq!(placement.bytes, if free { 84 } else { 104 });
        assert!(placement.optimal);
    }
}

#[test]
fn faults_are_found() {
    let problem = chain(&[32, 32]);
    let placement = |offsets: &[u64], bytes, lower_bound, optimal| Placement {
        offsets: offsets.to_vec(),
        bytes,
        lower_bound,
        optimal,
    };
    let fault = |placement: &Placement| validate(&problem, placement).expect_err("faulty");
    assert_eq!(fault(&placement(&[0], 32, 32, true)), Fault::Count { offsets: 1, blocks: 2 });
    let misaligned = Fault::Misaligned { block: 1, offset: 40, align: 16 };
    assert_eq!(fault(&placement(&[0, 40], 72, 64, false)), misaligned);
    let outside = Fault::Outside { block: 1, end: 64, bytes: 48 };
    assert_eq!(fault(&placement(&[0, 32], 48, 48, true)), outside);
    let clash = Fault::Clash { first: 0, second: 1, step: 0 };
    assert_eq!(fault(&placement(&[16, 0], 48, 48, true)), clash);
    let claim = |bytes, lower_bound| Fault::Claim { bytes, lower_bound };
    assert_eq!(fault(&placement(&[0, 32], 64, 80, false)), claim(64, 80));
    assert_eq!(fault(&placement(&[0, 32], 64, 64, false)), claim(64, 64));
    assert_eq!(fault(&placement(&[0, 32], 80, 64, false)), claim(80, 64));
    assert_eq!(validate(&problem, &placement(&[32, 0], 64, 64, true)), Ok(()));
}

/// Pseudo-random numbers (xorshift), so that the large cases are the same everywhere.
fn random(seed: &mut u64, below: u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed % below
}

fn large(blocks: u32, span: u64, seed: &mut u64) -> Problem {
    Problem::new(
        (0..blocks)
            .map(|step| {
                let life = if random(seed, 4) == 0 { random(seed, span) } else { 1 };
                let last = step + u32::try_from(life).expect("a short life");
                Block::new(16 * (1 + random(seed, 2_000)), 16, step, last)
            })
            .collect(),
    )
}

#[test]
fn large_problems_end_with_a_bound() {
    let mut seed = 0x1234_5678_9abc_def1;
    let problem = large(5_000, 60, &mut seed);
    let placement = solved(&problem);
    assert!(placement.bytes >= placement.lower_bound);
    assert!(placement.bytes * 100 <= placement.lower_bound * 125, "{placement:?}");
    // All live at once: the sum is the answer, and no search is needed to know it.
    let crowd = Problem::new((0..2_000).map(|_| Block::new(48, 16, 0, 9)).collect());
    let placement = solved(&crowd);
    assert_eq!((placement.bytes, placement.optimal), (96_000, true));
}

#[test]
fn the_same_problem_gives_the_same_placement() {
    let problem = large(150, 40, &mut 0x9e37_79b9_7f4a_7c15);
    assert_eq!(solved(&problem), solved(&problem));
}
