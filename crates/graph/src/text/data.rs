//! The data of constants and states between bytes and text.

use super::MAX_MADE_BYTES;
use super::lex::{Lexer, Token};
use super::number::{Number, integer};
use super::print::Writer;
use crate::{DType, Data, TensorType};
use half::f16;
use kinglet_diag::{Failure, code};

/// With more elements than this, data are printed as bytes.
const MAX_LISTED: usize = 64;
/// With more elements than this, data of zeros are printed as `zeros`.
const MAX_LISTED_ZEROS: usize = 8;
/// Bytes on a line of `hex`.
const HEX_LINE: usize = 32;

/// Does something with the Rust type that an element type has, unless it has none.
macro_rules! with_number {
    ($dtype:expr, $T:ident => $then:expr, $otherwise:expr) => {
        match $dtype {
            DType::I8 => {
                type $T = i8;
                $then
            }
            DType::U8 => {
                type $T = u8;
                $then
            }
            DType::I16 => {
                type $T = i16;
                $then
            }
            DType::U16 => {
                type $T = u16;
                $then
            }
            DType::I32 => {
                type $T = i32;
                $then
            }
            DType::U32 => {
                type $T = u32;
                $then
            }
            DType::I64 => {
                type $T = i64;
                $then
            }
            DType::U64 => {
                type $T = u64;
                $then
            }
            DType::F16 => {
                type $T = f16;
                $then
            }
            DType::F32 => {
                type $T = f32;
                $then
            }
            DType::F64 => {
                type $T = f64;
                $then
            }
            DType::Bool
            | DType::I4
            | DType::Complex64
            | DType::Complex128
            | DType::String
            | DType::Resource => $otherwise,
        }
    };
}

/// Data as they stand in the text form; numbers where there are few.
pub fn print_data(data: &Data, ty: &TensorType) -> String {
    let mut writer = Writer::default();
    write_data(&mut writer, data, ty);
    writer.finish()
}

/// Reads what [`print_data`] writes, and the other forms of data, for a tensor of this type.
///
/// # Errors
/// `K0301` and `K0303` as for a graph's text.
pub fn parse_data(source: &str, ty: &TensorType) -> Result<Data, Failure> {
    let mut lexer = Lexer::new(source)?;
    let data = read_data(&mut lexer, ty, &mut MadeZeros::default())?;
    match lexer.peek() {
        Token::End => Ok(data),
        _ => Err(lexer.unexpected("the end")),
    }
}

pub(crate) fn write_data(writer: &mut Writer, data: &Data, ty: &TensorType) {
    let bytes = data.bytes();
    let is_whole = ty.checked_bytes() == Some(bytes.len());
    let elements = ty.checked_len().unwrap_or(usize::MAX);
    if is_whole
        && elements > MAX_LISTED_ZEROS
        && bytes.len() <= MAX_MADE_BYTES
        && bytes.iter().all(|&byte| byte == 0)
    {
        writer.push("zeros");
        return;
    }
    let listed = is_whole && elements <= MAX_LISTED;
    match listed.then(|| element_texts(bytes, ty.dtype, elements)).flatten() {
        Some(texts) => writer.list(&texts),
        None => write_hex(writer, bytes),
    }
}

fn write_hex(writer: &mut Writer, bytes: &[u8]) {
    writer.push("hex(");
    for (index, line) in bytes.chunks(HEX_LINE).enumerate() {
        if bytes.len() > HEX_LINE {
            writer.push("\n  ");
        } else if index > 0 {
            writer.push(" ");
        }
        let digits: String = line.iter().map(|byte| format!("{byte:02x}")).collect();
        writer.push(&digits);
    }
    writer.push(if bytes.len() > HEX_LINE { "\n)" } else { ")" });
}

/// Each element as text, or `None` where bytes would not come back from it.
fn element_texts(bytes: &[u8], dtype: DType, elements: usize) -> Option<Vec<String>> {
    match dtype {
        DType::Bool => bytes
            .iter()
            .map(|byte| match byte {
                0 => Some("false".to_owned()),
                1 => Some("true".to_owned()),
                _ => None,
            })
            .collect(),
        DType::I4 => {
            let texts: Vec<_> = bytes
                .iter()
                .flat_map(|&byte| [byte & 15, byte >> 4])
                .take(elements)
                .map(|nibble| (i16::from(nibble ^ 8) - 8).to_string())
                .collect();
            let last = bytes.last().copied().unwrap_or(0);
            (elements.is_multiple_of(2) || last >> 4 == 0).then_some(texts)
        }
        dtype => with_number!(
            dtype,
            T => Some(bytes.chunks_exact(size_of::<T>()).map(|bytes| {
                T::from_le_bytes(bytes.try_into().unwrap_or_default()).print()
            }).collect()),
            None
        ),
    }
}

/// A block of zeros that all tensors of a graph share.
#[derive(Debug, Default)]
pub(crate) struct MadeZeros {
    block: std::sync::Arc<Vec<u8>>,
    /// Bytes that `random` has made so far.
    random: usize,
}

pub(crate) fn read_data(
    lexer: &mut Lexer<'_>,
    ty: &TensorType,
    made: &mut MadeZeros,
) -> Result<Data, Failure> {
    let at = lexer.at();
    match lexer.peek() {
        Token::Symbol('[') => Ok(Data::new(read_elements(lexer, ty.dtype)?)),
        Token::Word("hex") => {
            lexer.next()?;
            Ok(Data::new(lexer.hex()?))
        }
        Token::Word("zeros") => {
            lexer.next()?;
            let len = made_len(lexer, ty, at)?;
            if made.block.len() < len {
                made.block = std::sync::Arc::new(vec![0; len]);
            }
            Ok(Data::part(&made.block, 0..len).unwrap_or_else(|| Data::new(Vec::new())))
        }
        Token::Word("random") => {
            lexer.next()?;
            let seed = integer::<u64>(lexer, "a seed")?;
            made.random = made.random.saturating_add(made_len(lexer, ty, at)?);
            if made.random > MAX_MADE_BYTES {
                return Err(too_large(lexer, at));
            }
            Ok(Data::new(read_random(lexer, ty, seed)?))
        }
        Token::Symbol('<') => {
            lexer.next()?;
            let message = "the data were left out of this listing";
            Err(lexer
                .diagnostic(code::TEXT_SYNTAX, at, message)
                .help("print the graph with its data")
                .into())
        }
        _ => Err(lexer.unexpected("data: [...], zeros, hex(...) or random SEED")),
    }
}

fn made_len(lexer: &Lexer<'_>, ty: &TensorType, at: usize) -> Result<usize, Failure> {
    match ty.checked_bytes() {
        Some(bytes) if bytes <= MAX_MADE_BYTES => Ok(bytes),
        _ => Err(too_large(lexer, at)),
    }
}

fn too_large(lexer: &Lexer<'_>, at: usize) -> Failure {
    let message = format!("zeros and random make at most {MAX_MADE_BYTES} bytes");
    let diagnostic = lexer.diagnostic(code::TEXT_VALUE, at, message);
    diagnostic.help("write the bytes out, as hex(...)").into()
}

fn read_elements(lexer: &mut Lexer<'_>, dtype: DType) -> Result<Vec<u8>, Failure> {
    let at = lexer.at();
    match dtype {
        DType::Bool => lexer.list(|lexer| {
            let word = lexer.word("true or false")?;
            match word {
                "true" => Ok(1),
                "false" => Ok(0),
                _ => {
                    let message =
                        format!("expected true or false, found {}", Token::Word(word).describe());
                    Err(lexer.error(code::TEXT_SYNTAX, at, message))
                }
            }
        }),
        DType::I4 => {
            let nibbles = lexer.list(|lexer| {
                let at = lexer.at();
                let value = integer::<i8>(lexer, "i4")?;
                if !(-8..8).contains(&value) {
                    let message = format!("{value} is out of the range of i4");
                    return Err(lexer.error(code::TEXT_VALUE, at, message));
                }
                Ok(value.to_le_bytes()[0] & 15)
            })?;
            Ok(pack_nibbles(&nibbles))
        }
        dtype => with_number!(
            dtype,
            T => {
                let values = lexer.list(T::read)?;
                Ok(values.into_iter().flat_map(T::to_le_bytes).collect())
            },
            {
                let message = format!("elements of {dtype} cannot be written as numbers");
                Err(lexer.error(code::TEXT_VALUE, at, message))
            }
        ),
    }
}

fn pack_nibbles(nibbles: &[u8]) -> Vec<u8> {
    let pair = |pair: &[u8]| match *pair {
        [low, high] => low | high << 4,
        [low] => low,
        _ => 0,
    };
    nibbles.chunks(2).map(pair).collect()
}

fn read_random(lexer: &mut Lexer<'_>, ty: &TensorType, seed: u64) -> Result<Vec<u8>, Failure> {
    let at = lexer.at();
    let elements = ty.checked_len().unwrap_or(0);
    let mut random = Random(seed);
    match ty.dtype {
        DType::Bool => Ok((0..elements).map(|_| u8::from(random.next() & 1 == 1)).collect()),
        DType::I4 => {
            let nibbles: Vec<_> =
                (0..elements).map(|_| random.next().to_le_bytes()[0] & 15).collect();
            Ok(pack_nibbles(&nibbles))
        }
        dtype => with_number!(
            dtype,
            T => {
                let mut range = T::range();
                if lexer.accept('(')? {
                    let low = T::read(lexer)?;
                    lexer.expect(',')?;
                    range = low..=T::read(lexer)?;
                    lexer.expect(')')?;
                }
                if range.is_empty() {
                    let message = "the lower bound is above the upper";
                    return Err(lexer.error(code::TEXT_VALUE, at, message));
                }
                let draw = |_| T::draw(&range, random.next()).to_le_bytes();
                Ok((0..elements).flat_map(draw).collect())
            },
            {
                let message = format!("elements of {dtype} cannot be drawn");
                Err(lexer.error(code::TEXT_VALUE, at, message))
            }
        ),
    }
}

/// SplitMix64: the same seed draws the same data for ever.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
