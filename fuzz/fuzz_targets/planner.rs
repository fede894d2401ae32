//! Blocks, permissions and graphs from any bytes: the planner never panics, its placements are valid,
//! its orders can run, and neither is better than its own bound.
#![no_main]

use kinglet_plan::{
    Block, Dag, Effort, Overlap, PlanError, Problem, Rule, Step, Value, order, place, timeline,
    validate,
};
use libfuzzer_sys::fuzz_target;

/// Takes numbers off the front of the input; zeros when it is used up.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    /// Mostly small; sometimes of any magnitude.
    fn number(&mut self) -> u64 {
        match self.byte() {
            small @ 0..=199 => u64::from(small),
            200..=239 => u64::from(self.byte()) << 8 | u64::from(self.byte()),
            shift => {
                let shift = u32::from(shift) % 64;
                (u64::from(self.byte()) << shift).wrapping_sub(u64::from(self.byte()))
            }
        }
    }

    fn index(&mut self, count: u32) -> u32 {
        // Now and then one that does not exist.
        let byte = u32::from(self.byte());
        if byte == 255 { u32::MAX } else { byte % count.max(1) }
    }
}

fn problem(bytes: &mut Bytes) -> Problem {
    let count = u32::from(bytes.byte() % 48);
    let blocks = (0..count)
        .map(|_| {
            let size = bytes.number();
            let align = match bytes.byte() {
                255 => bytes.number(),
                shift => 1 << (shift % 8),
            };
            let first = u32::from(bytes.byte() % 32);
            let last = match bytes.byte() {
                255 => bytes.number() as u32,
                life => first + u32::from(life % 8),
            };
            Block::new(size, align, first, last)
        })
        .collect();
    let mut problem = Problem::new(blocks);
    for _ in 0..bytes.byte() % 64 {
        let (input, output) = (bytes.index(count), bytes.index(count));
        let sign = if bytes.byte() % 2 == 0 { 1 } else { -1 };
        let distance = (bytes.number() as i64).wrapping_mul(sign);
        let rule = match bytes.byte() % 3 {
            0 => Rule::Exact,
            1 => Rule::AtMost(distance),
            _ => Rule::AtLeast(distance),
        };
        problem.overlaps.push(Overlap::new(input, output, rule));
    }
    problem
}

fn dag(bytes: &mut Bytes) -> Dag {
    let count = u32::from(bytes.byte() % 40);
    let mut steps = vec![Step::default(); count as usize];
    let values: Vec<Value> = (0..bytes.byte() % 80)
        .map(|_| {
            let writer = bytes.byte();
            let writer = (writer % 8 > 0).then(|| bytes.index(count));
            let readers = (0..bytes.byte() % 4).map(|_| {
                // Mostly forward, so that most graphs can run.
                let next = writer.map_or(0, |writer| writer.saturating_add(1));
                next.saturating_add(bytes.index(count.saturating_sub(next)))
            });
            let readers: Vec<u32> = readers.collect();
            Value { bytes: bytes.number(), writer, readers, kept: bytes.byte() % 4 == 0 }
        })
        .collect();
    for step in &mut steps {
        step.scratch = if bytes.byte() % 4 == 0 { bytes.number() } else { 0 };
    }
    for (output, value) in values.iter().enumerate() {
        let Some(step) = value.writer.and_then(|w| Some((w, steps.get_mut(w as usize)?))) else {
            continue;
        };
        let reads = values.iter().enumerate().filter(|(_, read)| read.readers.contains(&step.0));
        let pairs = reads.map(|(input, _)| (input as u32, output as u32));
        step.1.in_place.extend(pairs.filter(|_| bytes.byte() % 2 == 0));
    }
    let before = (0..bytes.byte() % 4).map(|_| (bytes.index(count), bytes.index(count)));
    Dag { steps, before: before.collect(), values }
}

fuzz_target!(|data: &[u8]| {
    let mut bytes = Bytes(data);
    let effort = Effort::nodes(u64::from(bytes.byte()) * 8);
    let problem = problem(&mut bytes);
    match place(&problem, &effort) {
        Ok(placement) => {
            assert_eq!(validate(&problem, &placement), Ok(()));
            let steps = timeline(&problem);
            let most = steps.map(|s| s.iter().map(|step| step.needed).max().unwrap_or(0));
            match most {
                Ok(most) => assert!(placement.lower_bound >= most),
                Err(error) => assert!(matches!(error, PlanError::TooMany { .. })),
            }
        }
        Err(error) => assert_eq!(problem.check(), Err(error)),
    }
    let dag = dag(&mut bytes);
    match order(&dag, &effort) {
        Ok(found) => {
            assert_eq!(dag.peak(&found.order), Ok(found.peak));
            assert!(found.lower_bound <= found.peak);
            assert!(dag.lifetimes(&found.order).is_ok());
        }
        Err(error) => assert_eq!(dag.check(), Err(error)),
    }
});
