//! Archives of arrays, written here and by hand.

use kinglet_diag::{Code, code};
use kinglet_formats::npz::{Array, DType, read_npz, read_npz_within, write_npy, write_npz};
use proptest::prelude::*;
use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

fn sample() -> Vec<(&'static str, Array)> {
    vec![
        (
            "in1",
            Array::from_elements(vec![2, 3], &[1.0f32, -2.0, f32::MAX, 0.5, -0.0, 3.0]).unwrap(),
        ),
        ("in0", Array::from_elements(vec![4], &[-128i8, -1, 0, 127]).unwrap()),
        ("labels", Array::from_elements(vec![1], &[u64::MAX]).unwrap()),
    ]
}

fn write(arrays: &[(&'static str, Array)]) -> Vec<u8> {
    write_npz(arrays.iter().map(|(name, array)| (*name, array))).unwrap()
}

/// An archive with any content, stored or deflated.
fn archive(entries: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        let options = SimpleFileOptions::default().compression_method(method);
        writer.start_file(*name, options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn code_of(bytes: &[u8]) -> Code {
    let failure = read_npz(bytes).unwrap_err();
    assert!(!failure.first().places.is_empty() && failure.first().help.is_some(), "{failure:?}");
    failure.first().code
}

#[test]
fn arrays_come_back_in_order() {
    let arrays = sample();
    let bytes = write(&arrays);
    let read = read_npz(&bytes).unwrap();
    assert_eq!(read.len(), arrays.len());
    for ((name, array), (read_name, read_array)) in arrays.iter().zip(&read) {
        assert_eq!((*name, array), (read_name.as_str(), read_array));
    }
    assert_eq!(*read[1].1.view::<i8>().unwrap(), [-128, -1, 0, 127]);
    // The same arrays, the same bytes.
    assert_eq!(bytes, write(&sample()));
}

#[test]
fn stored_and_deflated_are_read() {
    let array = Array::from_elements(vec![3], &[1i16, 2, 3]).unwrap();
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let bytes = archive(&[("x.npy", &write_npy(&array))], method);
        assert_eq!(read_npz(&bytes).unwrap(), [("x".to_owned(), array.clone())]);
    }
}

#[test]
fn what_is_no_archive_of_arrays_is_refused() {
    assert_eq!(code_of(b""), code::NPZ_DAMAGED);
    assert_eq!(code_of(b"PK\x03\x04 and so on"), code::NPZ_DAMAGED);
    assert_eq!(
        code_of(&archive(&[("readme.txt", b"hello")], CompressionMethod::Stored)),
        code::NPZ_DAMAGED
    );
    assert_eq!(
        code_of(&archive(&[("x.npy", b"hello")], CompressionMethod::Stored)),
        code::NPY_HEADER
    );
    let whole = write(&sample());
    for len in 0..whole.len() {
        assert!(read_npz(&whole[..len]).is_err(), "{len} of {} bytes", whole.len());
    }
}

#[test]
fn a_changed_byte_of_an_array_fails_its_checksum() {
    let array = Array::from_elements(vec![4], &[1u8, 2, 3, 4]).unwrap();
    let mut bytes = archive(&[("x.npy", &write_npy(&array))], CompressionMethod::Stored);
    let at = bytes.windows(4).position(|w| w == [1, 2, 3, 4]).unwrap();
    bytes[at] = 9;
    assert_eq!(code_of(&bytes), code::NPZ_DAMAGED);
}

#[test]
fn archives_beyond_the_limit_are_refused() {
    let zeros = Array::new(DType::U8, vec![1 << 20], vec![0; 1 << 20]).unwrap();
    let bytes = write_npz([("a", &zeros), ("b", &zeros)]).unwrap();
    assert!(bytes.len() < 4096);
    assert_eq!(read_npz(&bytes).unwrap().len(), 2);
    let failure = read_npz_within(&bytes, (1 << 20) + 100).unwrap_err();
    assert_eq!(failure.first().code, code::NPZ_TOO_LARGE);
    assert!(failure.first().to_string().contains("\"b.npy\""), "{failure}");
}

#[test]
fn a_size_that_deflate_cannot_reach_is_refused() {
    let array = Array::new(DType::U8, vec![100], vec![7; 100]).unwrap();
    let mut bytes = write_npz([("x", &array)]).unwrap();
    // The unpacked size stands at byte 24 of the central directory's entry.
    let entry = bytes.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    bytes[entry + 24..entry + 28].copy_from_slice(&0x7000_0000u32.to_le_bytes());
    assert_eq!(code_of(&bytes), code::NPZ_TOO_LARGE);
}

proptest! {
    #[test]
    fn changed_bytes_never_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..16)) {
        let mut bytes = write(&sample());
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let _ = read_npz(&bytes);
    }

    #[test]
    fn any_array_comes_back(shape in prop::collection::vec(0usize..5, 0..4), seed in any::<u8>()) {
        let size = shape.iter().product::<usize>();
        let elements: Vec<i32> = (0..size).map(|i| i32::try_from(i).unwrap() - i32::from(seed)).collect();
        let array = Array::from_elements(shape, &elements).unwrap();
        let bytes = write_npz([("x", &array)]).unwrap();
        prop_assert_eq!(&read_npz(&bytes).unwrap()[0].1, &array);
    }
}

/// Not a test: writes small files for the fuzzer to start from.
#[test]
#[ignore = "writes files into the repository"]
fn write_fuzz_seeds() {
    let folder =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/npz_reader");
    let mut fortran = b"\x93NUMPY\x02\0".to_vec();
    let header = "{'descr': '>i2', 'fortran_order': True, 'shape': (2, 3), }\n";
    fortran.extend(u32::try_from(header.len()).unwrap().to_le_bytes());
    fortran.extend(header.as_bytes());
    fortran.extend([0, 1, 0, 4, 0, 2, 0, 5, 0, 3, 0, 6]);
    let stored = archive(&[("x.npy", &fortran)], CompressionMethod::Stored);
    for (name, file) in
        [("deflated.npz", write(&sample())), ("stored.npz", stored), ("one.npy", fortran)]
    {
        std::fs::write(folder.join(name), file).unwrap();
    }
}
