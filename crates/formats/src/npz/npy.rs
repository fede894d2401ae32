//! One array: the `.npy` format, versions 1 to 3.
//!
//! Magic, version, length of the header, the header: a Python dictionary literal with the keys
//! `descr`, `fortran_order` and `shape`; then the elements. (NumPy Enhancement Proposal 1.)

use super::array::{Array, DType, byte_size, swap};
use kinglet_diag::{Diagnostic, Place, Result, code};

const MAGIC: &[u8] = b"\x93NUMPY";
/// The most dimensions NumPy has.
const MAX_RANK: usize = 64;

/// Reads one array from the bytes of a `.npy` file.
pub fn read_npy(bytes: &[u8]) -> Result<Array> {
    let header = Header::read(bytes)?;
    let data = bytes.get(header.end..).unwrap_or_default();
    let expected = byte_size(header.dtype, &header.shape);
    if expected != Some(data.len()) {
        return Err(Diagnostic::error(
            code::NPY_SIZE,
            format!(
                "the array has {} bytes of elements, {} {:?} asks for {}",
                data.len(),
                header.dtype,
                header.shape,
                expected.map_or_else(|| "more than any memory".to_owned(), |n| n.to_string())
            ),
        )
        .at(Place::Byte(super::byte(header.end)))
        .help("the file was cut short or edited: write it again")
        .into());
    }
    let mut data = match header.fortran && header.shape.len() > 1 {
        true => c_order(data, &header.shape, header.dtype.bytes()),
        false => data.to_vec(),
    };
    if header.big_endian {
        swap(&mut data, header.dtype.bytes());
    }
    Array::new(header.dtype, header.shape, data)
}

/// Writes one array as a `.npy` file: version 1, little-endian, C order.
pub fn write_npy(array: &Array) -> Vec<u8> {
    let shape = array.shape().iter().map(|d| format!("{d},")).collect::<Vec<_>>().join(" ");
    // NumPy writes (3,) and (3, 4): a comma after the last only where there is one dimension.
    let shape = if array.shape().len() > 1 { shape.trim_end_matches(',') } else { shape.as_str() };
    let descr = descr(array.dtype());
    let mut header =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    // Magic, version, length and header together end on a multiple of 64, with a line feed.
    let unpadded = header.len().saturating_add(11);
    let padding = unpadded.next_multiple_of(64).saturating_sub(unpadded);
    header.extend(std::iter::repeat_n(' ', padding));
    header.push('\n');
    let mut out = MAGIC.to_vec();
    match u16::try_from(header.len()) {
        Ok(len) => {
            out.extend([1, 0]);
            out.extend(len.to_le_bytes());
        }
        Err(_) => {
            out.extend([2, 0]);
            out.extend(u32::try_from(header.len()).unwrap_or(u32::MAX).to_le_bytes());
        }
    }
    out.extend(header.as_bytes());
    out.extend(array.data());
    out
}

fn descr(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "|b1",
        DType::I8 => "|i1",
        DType::U8 => "|u1",
        DType::I16 => "<i2",
        DType::U16 => "<u2",
        DType::I32 => "<i4",
        DType::U32 => "<u4",
        DType::I64 => "<i8",
        DType::U64 => "<u8",
        DType::F16 => "<f2",
        DType::F32 => "<f4",
        DType::F64 => "<f8",
    }
}

/// Elements from Fortran order (first index fastest) to C order (last index fastest). `data` has
/// exactly the elements of `shape`.
fn c_order(data: &[u8], shape: &[usize], size: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len());
    let mut strides = Vec::with_capacity(shape.len());
    let mut stride = 1usize;
    for dimension in shape {
        strides.push(stride);
        stride = stride.saturating_mul(*dimension);
    }
    let mut index = vec![0usize; shape.len()];
    let mut source = 0usize;
    for _ in 0..data.len() / size {
        let start = source.saturating_mul(size);
        out.extend(data.get(start..start.saturating_add(size)).unwrap_or_default());
        for ((i, dimension), stride) in index.iter_mut().zip(shape).zip(&strides).rev() {
            *i = i.saturating_add(1);
            source = source.saturating_add(*stride);
            if *i < *dimension {
                break;
            }
            source = source.saturating_sub(stride.saturating_mul(*dimension));
            *i = 0;
        }
    }
    out
}

struct Header {
    dtype: DType,
    big_endian: bool,
    fortran: bool,
    shape: Vec<usize>,
    /// Where the elements start.
    end: usize,
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Self> {
        let bad = |at: usize, what: &str| {
            Diagnostic::error(
                code::NPY_HEADER,
                format!("the header of the array cannot be read: {what}"),
            )
            .at(Place::Byte(super::byte(at)))
            .help("write the array with numpy.save or numpy.savez")
        };
        if !bytes.starts_with(MAGIC) {
            return Err(bad(0, "the file does not start with \\x93NUMPY").into());
        }
        let (start, len) = match bytes.get(6..12).unwrap_or(bytes.get(6..).unwrap_or_default()) {
            [1, 0, a, b, ..] => (10usize, usize::from(u16::from_le_bytes([*a, *b]))),
            [2 | 3, 0, a, b, c, d] => {
                let len = u32::from_le_bytes([*a, *b, *c, *d]);
                (12, usize::try_from(len).unwrap_or(usize::MAX))
            }
            [1..=3, ..] => return Err(bad(6, "the file ends in it").into()),
            _ => return Err(bad(6, "its version is not 1, 2 or 3").into()),
        };
        let end = start.saturating_add(len);
        let text = bytes.get(start..end).ok_or_else(|| bad(start, "the file ends in it"))?;
        let text = std::str::from_utf8(text).map_err(|_| bad(start, "it is not text"))?;

        let mut parser = Parser { rest: text };
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        let mut entries = || -> Option<()> {
            parser.take("{")?;
            while !parser.accept("}") {
                let key = parser.string()?;
                parser.take(":")?;
                match key {
                    "descr" => descr = Some(parser.descr()?),
                    "fortran_order" => fortran = Some(parser.truth()?),
                    "shape" => shape = Some(parser.tuple()?),
                    _ => return None,
                }
                if !parser.accept(",") {
                    parser.take("}")?;
                    break;
                }
            }
            parser.rest.trim().is_empty().then_some(())
        };
        let (Some(()), Some(descr), Some(fortran), Some(shape)) =
            (entries(), descr, fortran, shape)
        else {
            let shown: String = text.trim().chars().take(120).collect();
            return Err(bad(
                start,
                &format!("{shown:?} is not a dictionary of descr, fortran_order and shape"),
            )
            .into());
        };
        let (dtype, big_endian) =
            element(descr).map_err(|d| d.at(Place::Byte(super::byte(start))))?;
        Ok(Self { dtype, big_endian, fortran, shape, end })
    }
}

/// The element type of a type string, and whether it is big-endian.
fn element(descr: &str) -> Result<(DType, bool), Diagnostic> {
    let (order, kind) = match descr.as_bytes() {
        [order @ (b'<' | b'>' | b'|' | b'='), ..] => {
            (Some(*order), descr.get(1..).unwrap_or_default())
        }
        _ => (None, descr),
    };
    if kind.starts_with('O') {
        return Err(Diagnostic::error(
            code::NPY_OBJECT,
            "the array holds pickled Python objects, which Kinglet does not read".to_owned(),
        )
        .help("save each array under its own name with a number type: numpy.savez(\"x.npz\", in0=a, in1=b)"));
    }
    let dtype = match kind {
        "b1" | "?" => DType::Bool,
        "i1" => DType::I8,
        "u1" => DType::U8,
        "i2" => DType::I16,
        "u2" => DType::U16,
        "i4" => DType::I32,
        "u4" => DType::U32,
        "i8" => DType::I64,
        "u8" => DType::U64,
        "f2" => DType::F16,
        "f4" => DType::F32,
        "f8" => DType::F64,
        _ => {
            return Err(Diagnostic::error(
                code::NPY_TYPE,
                format!("elements of type {descr:?} cannot be read"),
            )
            .help("convert the array before saving: a.astype(numpy.float32)"));
        }
    };
    Ok((dtype, order == Some(b'>')))
}

/// The few forms of Python literals that a header has.
struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn accept(&mut self, token: &str) -> bool {
        match self.rest.trim_start().strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn take(&mut self, token: &str) -> Option<()> {
        self.accept(token).then_some(())
    }

    fn string(&mut self) -> Option<&'a str> {
        let quote = if self.accept("'") {
            '\''
        } else if self.accept("\"") {
            '"'
        } else {
            return None;
        };
        let (text, rest) = self.rest.split_once(quote)?;
        self.rest = rest;
        Some(text)
    }

    /// A type string, or the list that describes a record, as its text.
    fn descr(&mut self) -> Option<&'a str> {
        if !self.rest.trim_start().starts_with('[') {
            return self.string();
        }
        let text = self.rest.trim_start();
        let end = text.find(']')?.checked_add(1)?;
        let (list, rest) = text.split_at_checked(end)?;
        self.rest = rest;
        Some(list)
    }

    fn truth(&mut self) -> Option<bool> {
        if self.accept("True") { Some(true) } else { self.take("False").map(|()| false) }
    }

    fn tuple(&mut self) -> Option<Vec<usize>> {
        self.take("(")?;
        let mut numbers = Vec::new();
        while !self.accept(")") {
            if numbers.len() >= MAX_RANK {
                return None;
            }
            let text = self.rest.trim_start();
            let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
            let (number, rest) = text.split_at_checked(digits)?;
            numbers.push(number.parse().ok()?);
            // Python 2 wrote long integers with an L behind.
            self.rest = rest.strip_prefix('L').unwrap_or(rest);
            if !self.accept(",") {
                self.take(")")?;
                break;
            }
        }
        Some(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(version: u8, header: &str, data: &[u8]) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend([version, 0]);
        match version {
            1 => out.extend((header.len() as u16).to_le_bytes()),
            _ => out.extend((header.len() as u32).to_le_bytes()),
        }
        out.extend(header.as_bytes());
        out.extend(data);
        out
    }

    fn code_of(bytes: &[u8]) -> kinglet_diag::Code {
        read_npy(bytes).unwrap_err().first().code
    }

    #[test]
    fn fortran_order_and_big_endian_become_c_order_and_little_endian() {
        let header = "{'descr': '>i2', 'fortran_order': True, 'shape': (2, 3), }\n";
        // [[1, 2, 3], [4, 5, 6]], first index fastest.
        let data: Vec<u8> = [1i16, 4, 2, 5, 3, 6].iter().flat_map(|v| v.to_be_bytes()).collect();
        for version in 1..=3 {
            let array = read_npy(&file(version, header, &data)).unwrap();
            assert_eq!(array.shape(), [2, 3]);
            assert_eq!(*array.view::<i16>().unwrap(), [1, 2, 3, 4, 5, 6]);
        }
    }

    #[test]
    fn three_dimensions_in_fortran_order() {
        let shape = [2usize, 3, 4];
        let mut data = vec![0u8; 24];
        for a in 0..2 {
            for b in 0..3 {
                for c in 0..4 {
                    data[a + 2 * (b + 3 * c)] = (12 * a + 4 * b + c) as u8;
                }
            }
        }
        let expected: Vec<u8> = (0..24).collect();
        assert_eq!(c_order(&data, &shape, 1), expected);
    }

    #[test]
    fn what_is_written_is_read_back() {
        for dtype in DType::ALL {
            for shape in [vec![], vec![0], vec![3], vec![2, 3], vec![1, 2, 3, 4]] {
                let size = byte_size(dtype, &shape).unwrap();
                let data = (0..size).map(|i| (i % 2) as u8).collect();
                let array = Array::new(dtype, shape, data).unwrap();
                let bytes = write_npy(&array);
                assert_eq!((bytes.len() - array.data().len()) % 64, 0);
                assert_eq!(read_npy(&bytes).unwrap(), array);
            }
        }
    }

    #[test]
    fn headers_of_other_kinds_are_refused_by_name() {
        let with = |descr: &str| {
            file(
                1,
                &format!("{{'descr': {descr}, 'fortran_order': False, 'shape': (1,), }}\n"),
                &[0; 8],
            )
        };
        assert_eq!(code_of(&with("'|O'")), code::NPY_OBJECT);
        assert_eq!(code_of(&with("'<c8'")), code::NPY_TYPE);
        assert_eq!(code_of(&with("'<U2'")), code::NPY_TYPE);
        assert_eq!(code_of(&with("[('a', '<f4'), ('b', '<f4')]")), code::NPY_TYPE);
        assert_eq!(code_of(&with("'<f4'")), code::NPY_SIZE);
        assert_eq!(code_of(b"1,2,3\n"), code::NPY_HEADER);
        assert_eq!(code_of(b"\x93NUMPY"), code::NPY_HEADER);
        assert_eq!(code_of(b"\x93NUMPY\x01\0\xff\xff{"), code::NPY_HEADER);
        assert_eq!(code_of(b"\x93NUMPY\x09\0\x01\0{"), code::NPY_HEADER);
        assert_eq!(code_of(&file(1, "{'descr': '<f4'}\n", &[])), code::NPY_HEADER);
        let huge =
            "{'descr': '<f8', 'fortran_order': False, 'shape': (9999999999, 9999999999), }\n";
        assert_eq!(code_of(&file(1, huge, &[])), code::NPY_SIZE);
        let beyond =
            "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,), }\n";
        assert_eq!(code_of(&file(1, beyond, &[])), code::NPY_HEADER);
    }

    #[test]
    fn every_cut_of_a_file_is_refused() {
        let array = Array::from_elements(vec![2, 2], &[1.0f32, 2.0, 3.0, 4.0]).unwrap();
        let bytes = write_npy(&array);
        for len in 0..bytes.len() {
            assert!(read_npy(&bytes[..len]).is_err(), "{len} of {} bytes", bytes.len());
        }
    }

    #[test]
    fn a_view_of_another_type_is_refused() {
        let array = Array::from_elements(vec![2], &[1i8, 2]).unwrap();
        assert_eq!(array.view::<f32>().unwrap_err().first().code, code::ARRAY_TYPE);
        assert_eq!(array.reshape(vec![3]).unwrap_err().first().code, code::ARRAY_TYPE);
    }
}
