//! Slices in pieces of one length, without a division.
//!
//! `slice::chunks_exact` knows its length by dividing, and a `zip` asks for it: where the optimizer does
//! not look through both, a panic for a length of zero is linked, and a core without a divider calls a
//! library. Pieces here are cut off the front until there is no whole one left.

/// Cutting a slice into pieces; what is left behind the last whole piece is not given.
pub(crate) trait Chunks<T> {
    /// Pieces of `len` elements; none when `len` is 0.
    fn whole_chunks(&self, len: usize) -> WholeChunks<'_, T>;

    /// Pieces of `len` elements, to write; none when `len` is 0.
    fn whole_chunks_mut(&mut self, len: usize) -> WholeChunksMut<'_, T>;
}

impl<T> Chunks<T> for [T] {
    #[inline(always)]
    fn whole_chunks(&self, len: usize) -> WholeChunks<'_, T> {
        WholeChunks { rest: self, len }
    }

    #[inline(always)]
    fn whole_chunks_mut(&mut self, len: usize) -> WholeChunksMut<'_, T> {
        WholeChunksMut { rest: self, len }
    }
}

/// See [`Chunks::whole_chunks`].
#[derive(Clone, Debug)]
pub(crate) struct WholeChunks<'a, T> {
    rest: &'a [T],
    len: usize,
}

impl<'a, T> Iterator for WholeChunks<'a, T> {
    type Item = &'a [T];

    #[inline(always)]
    fn next(&mut self) -> Option<&'a [T]> {
        if self.len == 0 {
            return None;
        }
        let (piece, rest) = self.rest.split_at_checked(self.len)?;
        self.rest = rest;
        Some(piece)
    }
}

/// See [`Chunks::whole_chunks_mut`].
#[derive(Debug)]
pub(crate) struct WholeChunksMut<'a, T> {
    rest: &'a mut [T],
    len: usize,
}

impl<'a, T> Iterator for WholeChunksMut<'a, T> {
    type Item = &'a mut [T];

    #[inline(always)]
    fn next(&mut self) -> Option<&'a mut [T]> {
        if self.len == 0 || self.rest.len() < self.len {
            return None;
        }
        let (piece, rest) = core::mem::take(&mut self.rest).split_at_mut_checked(self.len)?;
        self.rest = rest;
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn pieces_are_those_of_chunks_exact() {
        let mut data: Vec<u8> = (0..17).collect();
        for len in 1..20 {
            let expected: Vec<Vec<u8>> = data.chunks_exact(len).map(<[u8]>::to_vec).collect();
            let found: Vec<Vec<u8>> = data.whole_chunks(len).map(<[u8]>::to_vec).collect();
            assert_eq!(found, expected, "{len}");
            let found: Vec<Vec<u8>> = data.whole_chunks_mut(len).map(|c| c.to_vec()).collect();
            assert_eq!(found, expected, "{len}");
        }
        assert_eq!(data.whole_chunks(0).count() + data.whole_chunks_mut(0).count(), 0);
    }
}
