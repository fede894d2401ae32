//! Where the taps of a window lie: what a depthwise convolution goes through for every channel.

use core::marker::PhantomData;

/// Taps that are found once for all channels of an output place.
pub const TAPS: usize = 25;

/// A slice whose layout is known: instructions take its address from it.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Run<T> {
    first: *const T,
    len: usize,
}

/// Up to [`TAPS`] slices.
pub struct Taps<'a, T> {
    runs: [Run<T>; TAPS],
    count: usize,
    shortest: usize,
    slices: PhantomData<&'a [T]>,
}

impl<'a, T: Copy> Taps<'a, T> {
    /// None.
    #[inline(always)]
    pub fn new() -> Self {
        let runs = [Run { first: core::ptr::null(), len: 0 }; TAPS];
        Self { runs, count: 0, shortest: 0, slices: PhantomData }
    }

    /// Forgets them all.
    #[inline(always)]
    pub fn clear(&mut self) {
        self.count = 0;
    }

    /// Adds a tap; nothing happens when there is no place left.
    #[inline(always)]
    pub fn push(&mut self, values: &'a [T]) {
        if let Some(run) = self.runs.get_mut(self.count) {
            *run = Run { first: values.as_ptr(), len: values.len() };
            self.shortest =
                if self.count == 0 { values.len() } else { self.shortest.min(values.len()) };
            self.count = self.count.wrapping_add(1);
        }
    }

    /// The taps, first to last.
    #[inline(always)]
    pub fn iter(&self) -> impl Iterator<Item = &'a [T]> {
        self.runs.iter().take(self.count).map(|run| {
            // SAFETY: of the first `count` runs each was made from a slice that lives as long as `'a`.
            unsafe { core::slice::from_raw_parts(run.first, run.len) }
        })
    }

    /// Where the runs begin, how many there are, and the length of the shortest.
    #[inline(always)]
    pub(super) fn parts(&self) -> (*const Run<T>, usize, usize) {
        (self.runs.as_ptr(), self.count, if self.count == 0 { 0 } else { self.shortest })
    }
}

impl<T: Copy> Default for Taps<'_, T> {
    fn default() -> Self {
        Self::new()
    }
}
