//! Which instructions belong to which step.

use std::collections::BTreeSet;
use std::ops::Range;

/// A stretch of an inference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// The steps it computes: one, but where steps without functions of their own follow each other.
    pub steps: Range<usize>,
    /// What it takes.
    pub instructions: u64,
    /// Cycles, predicted, where they were asked for.
    pub cycles: Option<u64>,
}

impl Segment {
    fn new(steps: Range<usize>, instructions: u64) -> Self {
        Self { steps, instructions, cycles: None }
    }
}

/// Cuts an inference into its steps.
///
/// `entries` has, for each step, the addresses at which its function begins: none where the step is part of
/// its caller. `body` gives the beginning of the function that holds an address, if it is one of those that
/// call the steps. `marks` are addresses with the running sum, in the order they were reached: every
/// beginning of a step's function, and as much of the body as is executed once. `total` is the sum at the
/// end.
///
/// A step begins where the one before it has returned, so that the preparation of its arguments is its own;
/// the first begins where the function that calls it does. A stretch of steps without functions ends where
/// the next step's function begins.
///
/// `None` when the calls are not those of the steps.
pub(super) fn segments(
    entries: &[BTreeSet<u64>],
    body: &dyn Fn(u64) -> Option<u64>,
    marks: &[(u64, u64)],
    total: u64,
) -> Option<Vec<Segment>> {
    let calls = calls(entries, body, marks, total)?;
    let expected: Vec<usize> =
        (0..entries.len()).filter(|&step| !entries[step].is_empty()).collect();
    if calls.len() != expected.len() {
        return None;
    }
    let in_body: Vec<(u64, u64)> =
        marks.iter().filter_map(|&(address, sum)| Some((body(address)?, sum))).collect();
    // The function that calls the first step, or the last to be entered where no step is a call.
    let first_call = calls.first().map_or(u64::MAX, |call| call.begin);
    let caller = in_body.iter().rev().find(|(_, sum)| *sum < first_call).map(|(of, _)| *of);
    let of_caller = || in_body.iter().filter(|(of, _)| Some(*of) == caller).map(|(_, sum)| *sum);
    let begin = of_caller().next().unwrap_or(first_call.min(total));

    let mut segments = Vec::new();
    let (mut at, mut next) = (begin, 0);
    for (call, step) in calls.iter().zip(expected) {
        if next < step {
            segments.push(Segment::new(next..step, call.begin.checked_sub(at)?));
            at = call.begin;
        }
        segments.push(Segment::new(step..step + 1, call.end.checked_sub(at)?));
        (at, next) = (call.end, step + 1);
    }
    if next < entries.len() {
        let end = of_caller().next_back().unwrap_or(at).max(at);
        segments.push(Segment::new(next..entries.len(), end - at));
    }
    Some(segments)
}

/// A call of a step's function: the sums at its first instruction and after its return.
struct Call {
    begin: u64,
    end: u64,
}

/// The calls in their order; `None` when one is not the step's that is next.
fn calls(
    entries: &[BTreeSet<u64>],
    body: &dyn Fn(u64) -> Option<u64>,
    marks: &[(u64, u64)],
    total: u64,
) -> Option<Vec<Call>> {
    let mut expected = entries.iter().filter(|entry| !entry.is_empty());
    let mut calls: Vec<Call> = Vec::new();
    let mut open: Option<u64> = None;
    for &(address, sum) in marks {
        match open {
            // What a step's function calls is part of it, be it another step's.
            Some(_) if body(address).is_none() => {}
            Some(begin) => {
                calls.push(Call { begin, end: sum });
                open = None;
            }
            None if entries.iter().any(|entry| entry.contains(&address)) => {
                if !expected.next()?.contains(&address) {
                    return None;
                }
                open = Some(sum);
            }
            None => {}
        }
    }
    // The last step may have been jumped to, to return to the caller's caller.
    calls.extend(open.map(|begin| Call { begin, end: total }));
    Some(calls)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Functions of 0x100 bytes: 0x100 and 0x200 call, 0x1000 and above are kernels.
    fn body(address: u64) -> Option<u64> {
        (0x100..0x300).contains(&address).then_some(address & !0xff)
    }

    fn entries(list: &[&[u64]]) -> Vec<BTreeSet<u64>> {
        list.iter().map(|entry| entry.iter().copied().collect()).collect()
    }

    fn segment(steps: Range<usize>, instructions: u64) -> Segment {
        Segment::new(steps, instructions)
    }

    /// 0x100 calls 0x200, which calls 0x1000, 0x2000 and 0x1000 again.
    const MARKS: [(u64, u64); 11] = [
        (0x100, 3),
        (0x102, 4),
        (0x200, 5),
        (0x202, 6),
        (0x1000, 7),
        (0x206, 50),
        (0x2000, 51),
        (0x20a, 60),
        (0x1000, 61),
        (0x20e, 100),
        (0x106, 102),
    ];

    #[test]
    fn a_step_begins_where_the_one_before_has_returned() {
        let steps = entries(&[&[0x1000], &[0x2000], &[0x1000]]);
        let found = segments(&steps, &body, &MARKS, 110).expect("the calls are the steps");
        // From 0x200 at 5 to 50, to 60, to 100: 15 of 110 lie outside.
        assert_eq!(found, [segment(0..1, 45), segment(1..2, 10), segment(2..3, 40)]);
    }

    #[test]
    fn a_jump_to_the_last_step_returns_to_the_callers_caller() {
        let marks = [(0x100, 3), (0x200, 4), (0x1000, 5), (0x204, 20), (0x2000, 21), (0x104, 30)];
        let steps = entries(&[&[0x1000], &[0x2000]]);
        let found = segments(&steps, &body, &marks, 35).expect("the calls are the steps");
        assert_eq!(found, [segment(0..1, 16), segment(1..2, 10)]);
        // Nothing is marked after it where all callers jump.
        let found = segments(&steps, &body, &marks[..5], 35).expect("the calls are the steps");
        assert_eq!(found, [segment(0..1, 16), segment(1..2, 15)]);
    }

    #[test]
    fn a_kernel_that_calls_a_kernel_is_one_step() {
        let marks = [(0x200, 4), (0x1000, 5), (0x2000, 9), (0x204, 20)];
        let found = segments(&entries(&[&[0x1000, 0x3000]]), &body, &marks, 30);
        assert_eq!(found.expect("the call is the step"), [segment(0..1, 16)]);
    }

    #[test]
    fn steps_without_functions_end_where_the_next_call_begins() {
        let marks = [(0x200, 4), (0x202, 30), (0x1000, 40), (0x204, 50), (0x206, 70)];
        let found = segments(&entries(&[&[], &[], &[0x1000], &[]]), &body, &marks, 80);
        assert_eq!(
            found.expect("the call is the step"),
            [segment(0..2, 36), segment(2..3, 10), segment(3..4, 20)]
        );
        let marks = [(0x100, 2), (0x200, 4), (0x202, 30), (0x206, 70)];
        let found = segments(&entries(&[&[], &[]]), &body, &marks, 80);
        assert_eq!(found.expect("no call at all"), [segment(0..2, 66)]);
    }

    #[test]
    fn other_calls_than_the_steps_are_refused() {
        let other = entries(&[&[0x2000], &[0x1000], &[0x1000]]);
        assert_eq!(segments(&other, &body, &MARKS, 110), None);
        assert_eq!(segments(&entries(&[&[0x1000], &[0x2000]]), &body, &MARKS, 110), None);
        let more = entries(&[&[0x1000], &[0x2000], &[0x1000], &[0x2000]]);
        assert_eq!(segments(&more, &body, &MARKS, 110), None);
    }
}
