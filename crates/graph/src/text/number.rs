//! Numbers between bits and text, exactly.

use super::lex::{Lexer, Token};
use half::f16;
use kinglet_diag::{Failure, code};
use std::fmt::Debug;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// A type whose values stand in the text form as numbers.
pub(crate) trait Number: Copy + Sized {
    /// As it is printed.
    fn print(self) -> String;
    /// Takes one.
    fn read(lexer: &mut Lexer<'_>) -> Result<Self, Failure>;
    /// The value drawn between two bounds by a random word.
    fn draw(range: &RangeInclusive<Self>, random: u64) -> Self;
    /// The bounds of `random` where none are given.
    fn range() -> RangeInclusive<Self>;
}

macro_rules! integers {
    ($($integer:ty: $low:expr, $high:expr;)*) => { $(
        impl Number for $integer {
            fn print(self) -> String {
                self.to_string()
            }
            fn read(lexer: &mut Lexer<'_>) -> Result<Self, Failure> {
                integer(lexer, stringify!($integer))
            }
            fn draw(range: &RangeInclusive<Self>, random: u64) -> Self {
                let low = i128::from(*range.start());
                let count = i128::from(*range.end()) - low + 1;
                let drawn = low + i128::from(random).rem_euclid(count.max(1));
                Self::try_from(drawn).unwrap_or(*range.start())
            }
            fn range() -> RangeInclusive<Self> {
                $low..=$high
            }
        }
    )* };
}

integers! {
    i8: Self::MIN, Self::MAX;
    u8: Self::MIN, Self::MAX;
    i16: Self::MIN, Self::MAX;
    u16: Self::MIN, Self::MAX;
    i32: -1000, 1000;
    u32: 0, 1000;
    i64: -1000, 1000;
    u64: 0, 1000;
}

/// Takes a whole number of a type that has this name.
pub(crate) fn integer<T: FromStr>(lexer: &mut Lexer<'_>, name: &str) -> Result<T, Failure> {
    let at = lexer.at();
    let word = match lexer.peek() {
        Token::Word(word) if is_integer(word) => *word,
        _ => return Err(lexer.unexpected("a whole number")),
    };
    let value = word.parse();
    lexer.next()?;
    value.map_err(|_| {
        let word = word.get(..40).unwrap_or(word);
        lexer
            .diagnostic(code::TEXT_VALUE, at, format!("{word} is out of the range of {name}"))
            .help("write a number that the type can hold")
            .into()
    })
}

/// Whether a word is a whole number.
pub(crate) fn is_integer(word: &str) -> bool {
    let digits = word.strip_prefix('-').unwrap_or(word);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a word is a number that is not a whole one: with a point or an exponent, or a value that is
/// not finite.
pub(crate) fn is_float(word: &str) -> bool {
    let number = word.strip_prefix('-').unwrap_or(word);
    matches!(number, "inf") || word == "nan" || (has_digits_first(number) && !is_integer(word))
}

fn has_digits_first(number: &str) -> bool {
    number.bytes().next().is_some_and(|byte| byte.is_ascii_digit())
}

/// A binary floating-point type of the text form.
pub(crate) trait Float: Copy + FromStr + Debug {
    /// The bits of the NaN that is printed without them.
    const NAN: u64;
    /// From bits; `None` when there are too many.
    fn of_bits(bits: u64) -> Option<Self>;
    /// Its bits.
    fn bits(self) -> u64;
    /// Whether it is not a number.
    fn is_nan(self) -> bool;
    /// The shortest text of a finite value or infinity that reads back as it.
    fn finite(self) -> String;
    /// From the text of a finite value.
    fn of_text(text: &str) -> Option<Self>;
}

impl Float for f32 {
    const NAN: u64 = 0x7fc0_0000;
    fn of_bits(bits: u64) -> Option<Self> {
        u32::try_from(bits).ok().map(f32::from_bits)
    }
    fn bits(self) -> u64 {
        u64::from(self.to_bits())
    }
    fn is_nan(self) -> bool {
        self.is_nan()
    }
    fn finite(self) -> String {
        format!("{self:?}")
    }
    fn of_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Float for f64 {
    const NAN: u64 = 0x7ff8_0000_0000_0000;
    fn of_bits(bits: u64) -> Option<Self> {
        Some(f64::from_bits(bits))
    }
    fn bits(self) -> u64 {
        self.to_bits()
    }
    fn is_nan(self) -> bool {
        self.is_nan()
    }
    fn finite(self) -> String {
        format!("{self:?}")
    }
    fn of_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Float for f16 {
    const NAN: u64 = 0x7e00;
    fn of_bits(bits: u64) -> Option<Self> {
        u16::try_from(bits).ok().map(f16::from_bits)
    }
    fn bits(self) -> u64 {
        u64::from(self.to_bits())
    }
    fn is_nan(self) -> bool {
        f16::is_nan(self)
    }
    fn finite(self) -> String {
        // Every f16 is an f32, so that reading back through f32 is exact.
        format!("{:?}", self.to_f32())
    }
    fn of_text(text: &str) -> Option<Self> {
        text.parse().ok().map(f16::from_f32)
    }
}

/// A float as it is printed.
pub(crate) fn print_float<F: Float>(value: F) -> String {
    match value.is_nan() {
        true if value.bits() == F::NAN => "nan".to_owned(),
        true => format!("nan({:#x})", value.bits()),
        false => value.finite(),
    }
}

/// Takes a float; a whole number will do.
pub(crate) fn read_float<F: Float>(lexer: &mut Lexer<'_>) -> Result<F, Failure> {
    let at = lexer.at();
    let word = match lexer.peek() {
        Token::Word(word) if is_integer(word) || is_float(word) => *word,
        _ => return Err(lexer.unexpected("a number")),
    };
    lexer.next()?;
    let value = if word != "nan" {
        F::of_text(word)
    } else if lexer.accept('(')? {
        let bits = lexer.word("the bits of a NaN, as in nan(0x7fc00001)")?;
        lexer.expect(')')?;
        let bits = bits.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
        bits.and_then(F::of_bits).filter(|value| value.is_nan())
    } else {
        F::of_bits(F::NAN)
    };
    value.ok_or_else(|| {
        let word = word.get(..40).unwrap_or(word);
        lexer
            .diagnostic(code::TEXT_VALUE, at, format!("{word} is not a number of this type"))
            .help("write a number such as 0.5, 1e-7, inf, nan or nan(0x7fc00001)")
            .into()
    })
}

macro_rules! floats {
    ($($float:ty, $of_f64:expr, $to_f64:expr;)*) => { $(
        impl Number for $float {
            fn print(self) -> String {
                print_float(self)
            }
            fn read(lexer: &mut Lexer<'_>) -> Result<Self, Failure> {
                read_float(lexer)
            }
            fn draw(range: &RangeInclusive<Self>, random: u64) -> Self {
                // 2049 steps: between -1 and 1 all of them are exact, even in f16.
                let step = u32::try_from(random % 2049).unwrap_or(0);
                let (low, high) = ($to_f64(*range.start()), $to_f64(*range.end()));
                $of_f64(low + (high - low) * (f64::from(step) / 2048.0))
            }
            fn range() -> RangeInclusive<Self> {
                $of_f64(-1.0)..=$of_f64(1.0)
            }
        }
    )* };
}

floats! {
    f16, f16::from_f64, f16::to_f64;
    f32, narrow, f64::from;
    f64, |value: f64| value, |value: f64| value;
}

#[expect(clippy::as_conversions, reason = "the nearest f32 is meant; there is no other way to it")]
fn narrow(value: f64) -> f32 {
    value as f32
}
