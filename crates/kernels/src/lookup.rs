//! Functions of one 8-bit value, as a table: activations, and the step from one 8-bit type or scale to
//! another.

kernel! {
    /// `output = table[input]` for any two 8-bit types. The table has 256 bytes and is indexed by the
    /// input's bits as an unsigned number.
    lookup_u8 version 1
    params LookupU8 {}
    operands (input input: u8, constant table: u8, output output: u8)
}

kernel! {
    /// [`LookupU8`] with the output in place of the input.
    lookup_u8_in_place version 1
    params LookupU8InPlace {}
    operands (inout data: u8, constant table: u8)
}

#[inline(always)]
fn lookup_u8(_p: &LookupU8, input: &[u8], table: &[u8], output: &mut [u8]) {
    let Some(table) = table.first_chunk::<256>() else { return };
    for (to, from) in output.iter_mut().zip(input) {
        *to = entry(table, *from);
    }
}

#[inline(always)]
fn lookup_u8_in_place(_p: &LookupU8InPlace, data: &mut [u8], table: &[u8]) {
    let Some(table) = table.first_chunk::<256>() else { return };
    for value in data {
        *value = entry(table, *value);
    }
}

/// The entry of one value; an index of 8 bits is always inside.
#[inline(always)]
fn entry(table: &[u8; 256], index: u8) -> u8 {
    table.get(usize::from(index)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_byte_meets_its_entry(
            table in proptest::collection::vec(any::<u8>(), 256),
            input in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let expected: std::vec::Vec<u8> =
                input.iter().map(|&value| table[usize::from(value)]).collect();
            let mut output = std::vec![0; input.len()];
            LookupU8 {}.run(&input, &table, &mut output);
            prop_assert_eq!(&output, &expected);
            output.copy_from_slice(&input);
            LookupU8InPlace {}.run(&mut output, &table);
            prop_assert_eq!(&output, &expected);
        }
    }

    #[test]
    fn a_short_table_changes_nothing() {
        let mut data = [1, 2, 3];
        LookupU8InPlace {}.run(&mut data, &[0; 255]);
        assert_eq!(data, [1, 2, 3]);
    }
}
