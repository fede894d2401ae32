//! Any bytes as NumPy arrays: arrays or a diagnostic, never a panic or memory beyond the limit; what
//! is read is the same after writing it and reading it again.
#![no_main]

use kinglet_formats::npz::{read_npy, read_npz_within, write_npz};
use libfuzzer_sys::fuzz_target;

const LIMIT: usize = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(array) = read_npy(bytes) {
        assert_eq!(array.data().len(), array.len() * array.dtype().bytes());
    }
    match read_npz_within(bytes, LIMIT) {
        Ok(arrays) => {
            assert!(arrays.iter().map(|(_, array)| array.data().len()).sum::<usize>() <= LIMIT);
            // Two entries of one name cannot be written.
            let mut names: Vec<_> = arrays.iter().map(|(name, _)| name).collect();
            names.sort_unstable();
            names.dedup();
            if names.len() == arrays.len() {
                let list = arrays.iter().map(|(name, array)| (name.as_str(), array));
                let written = write_npz(list).expect("arrays that were read can be written");
                let again = read_npz_within(&written, LIMIT).expect("what was written can be read");
                assert!(again == arrays);
            }
        }
        Err(failure) => {
            for diagnostic in failure.diagnostics() {
                assert!(!diagnostic.places.is_empty(), "no place: {diagnostic}");
                assert!(diagnostic.help.is_some(), "no help: {diagnostic}");
            }
        }
    }
});
