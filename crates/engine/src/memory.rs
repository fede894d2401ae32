//! Aligned memory, cut into the operands of a call without `unsafe`.

use kinglet_kernels::reflect::Operand;

/// A block whose start is aligned to 16 bytes.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    words: Vec<u128>,
    bytes: usize,
}

impl Memory {
    pub fn new(bytes: usize) -> Self {
        Self { words: vec![0; bytes.div_ceil(size_of::<u128>())], bytes }
    }

    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut memory = Self::new(bytes.len());
        memory.bytes_mut().copy_from_slice(bytes);
        memory
    }

    pub fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(&self.words).get(..self.bytes).unwrap_or(&[])
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.words).get_mut(..self.bytes).unwrap_or(&mut [])
    }
}

/// A piece of memory wanted as an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub offset: usize,
    pub bytes: usize,
    pub write: bool,
    /// The operand it becomes.
    pub operand: usize,
}

/// Cuts `memory` at the pieces, which must be sorted by offset, and puts each in its operand's place.
/// Read-only pieces at the same place share their memory; any other overlap gives `None`.
pub(crate) fn cut<'a>(
    memory: &'a mut [u8],
    pieces: &[Piece],
    operands: &mut [Option<Operand<'a>>],
) -> Option<()> {
    let mut rest = memory;
    let mut start = 0;
    let mut index = 0;
    while let Some(piece) = pieces.get(index) {
        let (_, tail) =
            std::mem::take(&mut rest).split_at_mut_checked(piece.offset.checked_sub(start)?)?;
        let (own, tail) = tail.split_at_mut_checked(piece.bytes)?;
        rest = tail;
        start = piece.offset + piece.bytes;
        let same = |other: &&Piece| other.offset == piece.offset && other.bytes == piece.bytes;
        let count = pieces[index..].iter().take_while(same).count();
        let group = &pieces[index..index + count];
        if count == 1 && piece.write {
            *operands.get_mut(piece.operand)? = Some(Operand::Write(own));
        } else if group.iter().any(|piece| piece.write) && piece.bytes > 0 {
            return None;
        } else {
            let own: &'a [u8] = own;
            for piece in group {
                *operands.get_mut(piece.operand)? = Some(Operand::Read(own));
            }
        }
        index += count;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(offset: usize, bytes: usize, write: bool, operand: usize) -> Piece {
        Piece { offset, bytes, write, operand }
    }

    #[test]
    fn pieces_are_cut_and_equal_reads_share() {
        let mut memory = Memory::from_bytes(&[1, 2, 3, 4, 5, 6]);
        let mut operands: Vec<_> = (0..3).map(|_| None).collect();
        let pieces = [piece(1, 2, false, 0), piece(1, 2, false, 2), piece(4, 2, true, 1)];
        cut(memory.bytes_mut(), &pieces, &mut operands).unwrap();
        assert_eq!(operands[0].as_ref().unwrap().read::<u8>(), [2, 3]);
        assert_eq!(operands[2].as_ref().unwrap().read::<u8>(), [2, 3]);
        assert_eq!(operands[1].as_mut().unwrap().write::<u8>(), [5, 6]);
    }

    #[test]
    fn overlap_with_a_write_is_refused() {
        let refused = |pieces: [Piece; 2]| {
            let mut memory = Memory::new(8);
            let mut operands: Vec<_> = (0..2).map(|_| None).collect();
            cut(memory.bytes_mut(), &pieces, &mut operands).is_none()
        };
        assert!(refused([piece(0, 4, true, 0), piece(2, 4, false, 1)]));
        assert!(refused([piece(0, 4, true, 0), piece(0, 4, false, 1)]));
        assert!(!refused([piece(0, 4, true, 0), piece(4, 4, false, 1)]));
    }
}
