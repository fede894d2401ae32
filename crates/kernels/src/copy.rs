//! Moving bytes of any element type in runs that are adjacent on both sides.

kernel! {
    /// Copies bytes of any element type; as many as the shorter side has.
    copy_bytes version 1
    params CopyBytes {}
    operands (input input: u8, output output: u8)
}

kernel! {
    /// Copies rows of adjacent bytes from one place to another. Bytes of the output that are in no row
    /// keep their value, so that several calls can build one output.
    copy_rows version 1
    params CopyRows {
        /// Number of rows.
        rows: u32,
        /// Bytes of a row.
        row_bytes: u32,
        /// The first row's place in the input.
        input_start: u32,
        /// Bytes from one row to the next in the input.
        input_stride: u32,
        /// The first row's place in the output.
        output_start: u32,
        /// Bytes from one row to the next in the output.
        output_stride: u32,
    }
    operands (input input: u8, output output: u8)
}

#[inline(always)]
fn copy_bytes(_p: &CopyBytes, input: &[u8], output: &mut [u8]) {
    let len = input.len().min(output.len());
    copy_run(input, 0, output, 0, len);
}

#[inline(always)]
fn copy_rows(p: &CopyRows, input: &[u8], output: &mut [u8]) {
    #[cfg(all(target_arch = "arm", feature = "helium"))]
    if let Some(from) = input.get(p.input_start as usize..)
        && let Some(to) = output.get_mut(p.output_start as usize..)
        && crate::arch::helium::copy_rows(
            p.rows as usize,
            p.row_bytes as usize,
            from,
            p.input_stride as usize,
            to,
            p.output_stride as usize,
        )
    {
        return;
    }
    let (mut from, mut to) = (p.input_start, p.output_start);
    for _ in 0..p.rows {
        copy_run(input, from as usize, output, to as usize, p.row_bytes as usize);
        from = from.wrapping_add(p.input_stride);
        to = to.wrapping_add(p.output_stride);
    }
}

/// Copies `len` bytes from a place in the input to a place in the output; nothing when they are not all
/// there.
///
/// A loop over words and not `copy_from_slice`: that would link a general `memcpy`, which is larger
/// than many a kernel and no faster for the runs of a few hundred bytes that models have.
#[inline(always)]
pub(crate) fn copy_run(input: &[u8], from: usize, output: &mut [u8], to: usize, len: usize) {
    let source = input.get(from..from.wrapping_add(len)).unwrap_or(&[]);
    let place = output.get_mut(to..to.wrapping_add(len)).unwrap_or(&mut []);
    copy_words(source, place);
}

/// Copies as many bytes as both sides have.
#[cfg(all(target_arch = "riscv32", feature = "rv32"))]
#[inline(always)]
pub(crate) fn copy_words(source: &[u8], place: &mut [u8]) {
    crate::arch::rv32::copy::copy(place, source);
}

/// Copies as many bytes as both sides have, which are of one length.
#[cfg(not(all(target_arch = "riscv32", feature = "rv32")))]
#[inline(always)]
pub(crate) fn copy_words(source: &[u8], place: &mut [u8]) {
    // A register of the smallest cores.
    let (source_words, source_rest) = source.as_chunks::<4>();
    let (place_words, place_rest) = place.as_chunks_mut::<4>();
    for (to, from) in place_words.iter_mut().zip(source_words) {
        *to = *from;
    }
    for (to, from) in place_rest.iter_mut().zip(source_rest) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn rows_land_where_they_should(
            rows in 0u32..5, row_bytes in 0u32..11,
            input_gap in 0u32..4, output_gap in 0u32..4,
            input_start in 0u32..4, output_start in 0u32..4,
        ) {
            let input: Vec<u8> = (0..64).collect();
            let mut output = vec![255u8; 64];
            let kernel = CopyRows {
                rows, row_bytes, input_start, output_start,
                input_stride: row_bytes + input_gap,
                output_stride: row_bytes + output_gap,
            };
            kernel.run(&input, &mut output);
            let mut expected = vec![255u8; 64];
            for row in 0..rows {
                for byte in 0..row_bytes {
                    let to = output_start + row * (row_bytes + output_gap) + byte;
                    let from = input_start + row * (row_bytes + input_gap) + byte;
                    expected[to as usize] = input[from as usize];
                }
            }
            prop_assert_eq!(output, expected);
        }
    }

    #[test]
    fn a_row_outside_copies_nothing() {
        let mut output = [7u8; 4];
        let kernel = CopyRows {
            rows: 2,
            row_bytes: 4,
            input_start: u32::MAX,
            input_stride: 1,
            output_start: 2,
            output_stride: 1,
        };
        kernel.run(&[1, 2, 3, 4], &mut output);
        assert_eq!(output, [7; 4]);
    }
}
