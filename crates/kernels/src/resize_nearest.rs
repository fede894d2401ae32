//! Resizing images to their nearest pixels: TFLite RESIZE_NEAREST_NEIGHBOR.

kernel! {
    /// Builds each output pixel from the input pixel that two tables name. Bytes of any element type,
    /// NHWC.
    resize_nearest_bytes version 1
    params ResizeNearestBytes {
        /// Bytes of one input image.
        image_bytes: u32,
        /// Bytes of one pixel.
        pixel_bytes: u32,
    }
    operands (
        input input: u8,
        constant rows: i32,
        constant columns: i32,
        output output: u8,
    )
}

/// `rows` has, for each output row, where its input row starts in the image, in bytes; `columns`, for
/// each output column, where its pixel starts in the row.
#[inline(always)]
fn resize_nearest_bytes(
    p: &ResizeNearestBytes,
    input: &[u8],
    rows: &[i32],
    columns: &[i32],
    output: &mut [u8],
) {
    let pixel_bytes = p.pixel_bytes as usize;
    let (mut image, mut to) = (0usize, 0usize);
    // Counted, not cut into chunks: small cores have no instruction to divide.
    while image < input.len() {
        for &row in rows {
            for &column in columns {
                let from = image.wrapping_add(row.wrapping_add(column).cast_unsigned() as usize);
                crate::copy::copy_run(input, from, output, to, pixel_bytes);
                to = to.wrapping_add(pixel_bytes);
            }
        }
        image = image.wrapping_add((p.image_bytes as usize).max(1));
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
        fn every_pixel_is_the_one_named(
            images in 1usize..3, height in 1usize..4, width in 1usize..4, pixel in 1usize..5,
            rows in prop::collection::vec(0usize..100, 1..6),
            columns in prop::collection::vec(0usize..100, 1..6),
        ) {
            let input: Vec<u8> = (0..images * height * width * pixel).map(|i| i as u8).collect();
            let rows: Vec<usize> = rows.iter().map(|r| r % height).collect();
            let columns: Vec<usize> = columns.iter().map(|c| c % width).collect();
            let mut expected = Vec::new();
            for image in 0..images {
                for &row in &rows {
                    for &column in &columns {
                        for byte in 0..pixel {
                            expected.push(input[((image * height + row) * width + column) * pixel + byte]);
                        }
                    }
                }
            }
            let mut output = vec![0u8; expected.len()];
            let row_table: Vec<i32> = rows.iter().map(|r| (r * width * pixel) as i32).collect();
            let column_table: Vec<i32> = columns.iter().map(|c| (c * pixel) as i32).collect();
            ResizeNearestBytes {
                image_bytes: (height * width * pixel) as u32,
                pixel_bytes: pixel as u32,
            }
            .run(&input, &row_table, &column_table, &mut output);
            prop_assert_eq!(output, expected);
        }
    }
}
