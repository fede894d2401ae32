//! Runs of inputs: what the inputs of an output place are when they are taken where they lie.

use core::marker::PhantomData;

/// A slice whose layout is known: instructions take its address from it.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Run {
    pub(super) first: *const i8,
    pub(super) len: usize,
}

/// Up to `N` slices whose elements, one slice after the other, are the inputs of an output place.
pub struct Runs<'a, const N: usize> {
    runs: [Run; N],
    count: usize,
    depth: usize,
    /// How far all runs may be moved on.
    slack: usize,
    slices: PhantomData<&'a [i8]>,
}

impl<'a, const N: usize> Runs<'a, N> {
    /// None.
    #[inline(always)]
    pub fn new() -> Self {
        let runs = [Run { first: core::ptr::null(), len: 0 }; N];
        Self { runs, count: 0, depth: 0, slack: usize::MAX, slices: PhantomData }
    }

    /// Forgets them all.
    #[inline(always)]
    pub fn clear(&mut self) {
        (self.count, self.depth, self.slack) = (0, 0, usize::MAX);
    }

    /// Adds the first `len` elements; nothing happens when they are not there, are none, or there is no place
    /// left.
    #[inline(always)]
    pub fn push(&mut self, values: &'a [i8], len: usize) {
        let Some(run) = self.runs.get_mut(self.count) else { return };
        let Some(slack) = values.len().checked_sub(len) else { return };
        if len == 0 {
            return;
        }
        *run = Run { first: values.as_ptr(), len };
        self.count = self.count.wrapping_add(1);
        self.depth = self.depth.wrapping_add(len);
        self.slack = self.slack.min(slack);
    }

    /// The runs, moved on by `at`; `None` when there are none, or not so many elements behind one of them.
    #[inline(always)]
    pub(super) fn moved(&self, at: usize) -> Option<Moved<'_>> {
        let runs = self.runs.get(..self.count).unwrap_or(&[]);
        let usable = !runs.is_empty() && at <= self.slack;
        usable.then_some(Moved { runs, depth: self.depth, at })
    }
}

impl<const N: usize> Default for Runs<'_, N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs that are there, none empty, each with `at` elements behind it: only [`Runs::moved`] makes it.
#[derive(Clone, Copy)]
pub(super) struct Moved<'a> {
    pub(super) runs: &'a [Run],
    pub(super) depth: usize,
    pub(super) at: usize,
}

impl<'a> Moved<'a> {
    #[inline(always)]
    pub(super) fn slices(self) -> impl Iterator<Item = &'a [i8]> + Clone {
        self.runs.iter().map(move |run| {
            // SAFETY: each run was made from a slice that outlives the borrow and has at least `at` elements
            // behind the `len` of the run.
            unsafe { core::slice::from_raw_parts(run.first.wrapping_add(self.at), run.len) }
        })
    }
}
