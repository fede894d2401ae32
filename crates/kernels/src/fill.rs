//! Setting every element of a tensor to one value.

/// Declares the kernel for one element width.
macro_rules! fill {
    ($name:ident $Params:ident $element:ty) => {
        kernel! {
            /// Sets every element of the output, of any type of this width.
            $name version 1
            params $Params {
                /// The value; of a float, its bits.
                value: $element,
            }
            operands (output output: $element)
        }

        #[inline(always)]
        fn $name(p: &$Params, output: &mut [$element]) {
            output.fill(p.value);
        }
    };
}

fill! { fill_u8 FillU8 u8 }
fill! { fill_i16 FillI16 i16 }
fill! { fill_i32 FillI32 i32 }
fill! { fill_i64 FillI64 i64 }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_is_set() {
        let (mut bytes, mut halves, mut words, mut longs) = ([0u8; 3], [0i16; 3], [0i32; 3], [0i64; 3]);
        FillU8 { value: 200 }.run(&mut bytes);
        FillI16 { value: -5 }.run(&mut halves);
        FillI32 { value: i32::MIN }.run(&mut words);
        FillI64 { value: i64::MIN }.run_inlined(&mut longs);
        assert_eq!((bytes, halves, words, longs), ([200; 3], [-5; 3], [i32::MIN; 3], [i64::MIN; 3]));
    }
}
