//! Taking elements of rows together, column by column: what means and pooling share.

use crate::dot::GROUP;

/// Runs of rows, each of `inner` elements.
#[derive(Clone, Copy)]
pub(crate) struct Runs<'a, T> {
    pub(crate) data: &'a [T],
    /// Elements of a row.
    pub(crate) inner: usize,
    /// Where the first run is, how long each is, and how far from one to the next.
    pub(crate) first: usize,
    pub(crate) len: usize,
    pub(crate) step: usize,
    /// How many runs.
    pub(crate) count: u32,
}

impl<T: Copy> Runs<'_, T> {
    /// For each column of `output`: `start`, then every element of the column by `add`, then `finish`.
    #[inline(always)]
    pub(crate) fn reduce<S: Copy>(
        &self,
        output: &mut [T],
        start: S,
        add: impl Fn(S, T) -> S,
        finish: impl Fn(S) -> T,
    ) {
        let (groups, rest) = output.as_chunks_mut::<GROUP>();
        let mut column = 0usize;
        for out in groups {
            let [mut a, mut b, mut c, mut d] = [start; GROUP];
            self.each(column, |&[x, y, z, w]: &[T; GROUP]| {
                (a, b, c, d) = (add(a, x), add(b, y), add(c, z), add(d, w));
            });
            *out = [finish(a), finish(b), finish(c), finish(d)];
            column = column.wrapping_add(GROUP);
        }
        for out in rest {
            let mut sum = start;
            self.each(column, |&[x]: &[T; 1]| sum = add(sum, x));
            *out = finish(sum);
            column = column.wrapping_add(1);
        }
    }

    /// Hands out `N` neighboring columns, row by row.
    #[inline(always)]
    fn each<const N: usize>(&self, column: usize, mut visit: impl FnMut(&[T; N])) {
        let mut at = self.first;
        for _ in 0..self.count {
            let run = self.data.get(at..at.wrapping_add(self.len)).unwrap_or(&[]);
            let mut left = run.get(column..).unwrap_or(&[]);
            while let Some(values) = left.first_chunk::<N>() {
                visit(values);
                left = left.get(self.inner..).unwrap_or(&[]);
            }
            at = at.wrapping_add(self.step);
        }
    }
}
