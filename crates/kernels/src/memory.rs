//! How printed code cuts one block of memory into the operands of a call, without `unsafe` and
//! without a panic: a place that does not exist is empty.

use crate::declare::ElementType;

/// Cuts pieces from a block in the order of their addresses.
#[derive(Debug)]
pub struct Cut<'a> {
    rest: &'a mut [u8],
    at: usize,
}

impl<'a> Cut<'a> {
    /// A block nothing was cut from yet.
    #[inline(always)]
    pub fn new(memory: &'a mut [u8]) -> Self {
        Self { rest: memory, at: 0 }
    }

    /// The bytes from `offset` of the block on; offsets must rise from call to call.
    #[inline(always)]
    pub fn take(&mut self, offset: usize, bytes: usize) -> &'a mut [u8] {
        let rest = core::mem::take(&mut self.rest);
        let skip = offset.wrapping_sub(self.at);
        let Some((_, rest)) = rest.split_at_mut_checked(skip) else { return &mut [] };
        let Some((piece, rest)) = rest.split_at_mut_checked(bytes) else { return &mut [] };
        self.rest = rest;
        self.at = offset.wrapping_add(bytes);
        piece
    }
}

/// Bytes as elements; empty when they are misaligned or not a whole number of elements.
#[inline(always)]
pub fn view<T: ElementType>(bytes: &[u8]) -> &[T] {
    bytemuck::try_cast_slice(bytes).unwrap_or(&[])
}

/// Bytes as elements to write; empty as in [`view`].
#[inline(always)]
pub fn view_mut<T: ElementType>(bytes: &mut [u8]) -> &mut [T] {
    bytemuck::try_cast_slice_mut(bytes).unwrap_or(&mut [])
}

/// The elements at an offset in constant data; empty when they are not there.
#[inline(always)]
pub fn constant<T: ElementType>(data: &'static [u8], offset: usize, bytes: usize) -> &'static [T] {
    view(data.get(offset..offset.wrapping_add(bytes)).unwrap_or(&[]))
}
