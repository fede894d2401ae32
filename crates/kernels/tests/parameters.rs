//! Every kernel's parameters: what is printed is Rust that means the same, what is encoded decodes to
//! the same, and no parameters with no operands make a kernel panic.
//!
//! The kernels come from the list, so that a new one is tested by being declared. Parameters come from
//! the decoder, which takes them from any bytes.
#![cfg(feature = "reflect")]

use kinglet_kernels::declare::{Declaration, Element, Role};
use kinglet_kernels::reflect::Operand;
use kinglet_kernels::{DECLARATIONS, decode};
use proptest::prelude::*;
use syn::{Expr, ExprUnary, Lit, UnOp};

/// More bytes than any kernel's parameters have.
const ENOUGH: usize = 400;

/// The parameters at the front of `bytes`: as printed, as encoded, and how many bytes they took.
fn read(declaration: &Declaration, bytes: &[u8]) -> Option<(String, Vec<u8>, usize)> {
    let mut rest = bytes;
    let (printed, encoded) = decode(declaration.name, &mut rest, |kernel| {
        assert_eq!(kernel.declaration(), declaration);
        let (mut printed, mut encoded) = (String::new(), Vec::new());
        kernel.print(&mut printed).unwrap();
        kernel.encode(&mut |piece| encoded.extend_from_slice(piece));
        (printed, encoded)
    })?;
    Some((printed, encoded, bytes.len() - rest.len()))
}

/// The numbers of a printed expression in order, floats as their bits. Fails on anything that is not a
/// struct of numbers, words, lists and such structs.
fn numbers(expression: &Expr, found: &mut Vec<i128>) -> Result<(), String> {
    let unexpected = || Err(format!("unexpected expression {expression:?}"));
    match expression {
        Expr::Struct(value) => {
            if value.rest.is_some() || value.dot2_token.is_some() {
                return unexpected();
            }
            value.fields.iter().try_for_each(|field| numbers(&field.expr, found))
        }
        Expr::Array(items) => items.elems.iter().try_for_each(|item| numbers(item, found)),
        Expr::Unary(ExprUnary { op: UnOp::Neg(_), expr, .. }) => match &**expr {
            Expr::Lit(literal) => literal_number(&literal.lit, true, found),
            _ => unexpected(),
        },
        Expr::Lit(literal) => literal_number(&literal.lit, false, found),
        Expr::Path(path) => {
            let names: Vec<String> =
                path.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            match names.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                ["f32", "INFINITY"] => found.push(f32::INFINITY.to_bits().into()),
                ["f32", "NEG_INFINITY"] => found.push(f32::NEG_INFINITY.to_bits().into()),
                // A variant of an enumeration.
                [_, _] => {}
                _ => return unexpected(),
            }
            Ok(())
        }
        // `f32::from_bits(0x7fc00000)`
        Expr::Call(call) => call.args.iter().try_for_each(|argument| numbers(argument, found)),
        _ => unexpected(),
    }
}

fn literal_number(literal: &Lit, negative: bool, found: &mut Vec<i128>) -> Result<(), String> {
    let number = match literal {
        Lit::Int(int) => {
            let value = int.base10_parse::<i128>().map_err(|error| error.to_string())?;
            if negative { -value } else { value }
        }
        Lit::Float(float) => {
            let value = float.base10_parse::<f32>().map_err(|error| error.to_string())?;
            i128::from((if negative { -value } else { value }).to_bits())
        }
        Lit::Bool(bool) => bool.value.into(),
        _ => return Err(format!("unexpected literal {literal:?}")),
    };
    found.push(number);
    Ok(())
}

/// The same numbers from the encoded bytes, given how wide each may be: every number's bits must stand
/// in the bytes, in order and without a gap.
fn stand_in_order(numbers: &[i128], bytes: &[u8]) -> bool {
    let Some((&number, later)) = numbers.split_first() else { return bytes.is_empty() };
    [1usize, 2, 4, 8].iter().any(|&width| {
        bytes.split_at_checked(width).is_some_and(|(front, rest)| {
            number.to_le_bytes()[..width] == *front && stand_in_order(later, rest)
        })
    })
}

/// Checks one kernel's parameters from these bytes; whether they meant anything.
fn check(declaration: &Declaration, bytes: &[u8]) -> Result<bool, TestCaseError> {
    let Some((printed, encoded, taken)) = read(declaration, bytes) else { return Ok(false) };
    // The image form gives back what it was read from.
    prop_assert_eq!(&encoded, &bytes[..taken], "{}", declaration.name);
    for len in 0..taken {
        prop_assert!(read(declaration, &bytes[..len]).is_none(), "{} of {len}", declaration.name);
    }
    // The printed form is Rust, names the struct, and has the same numbers.
    let expression: Expr = syn::parse_str(&printed)
        .map_err(|error| TestCaseError::fail(format!("{printed}: {error}")))?;
    let Expr::Struct(value) = &expression else {
        return Err(TestCaseError::fail(format!("{printed} is not a struct")));
    };
    prop_assert!(value.path.is_ident(declaration.params), "{}", printed);
    let mut found = Vec::new();
    numbers(&expression, &mut found).map_err(TestCaseError::fail)?;
    prop_assert!(stand_in_order(&found, &encoded), "{} is not {:?}", printed, encoded);
    Ok(true)
}

proptest! {
    #[test]
    fn parameters_survive_printing_and_encoding(
        random in proptest::collection::vec(any::<u8>(), ENOUGH),
        small in proptest::collection::vec(0u8..3, ENOUGH / 4),
    ) {
        // Small numbers of four bytes as well: random bytes seldom make a bool.
        let small: Vec<u8> = small.iter().flat_map(|&byte| [byte, 0, 0, 0]).collect();
        for declaration in DECLARATIONS {
            check(declaration, &random)?;
            check(declaration, &small)?;
        }
    }

    #[test]
    fn no_kernel_panics(
        small in proptest::collection::vec(0u8..9, ENOUGH / 4),
        lens in proptest::collection::vec(0usize..70, 8),
        fill: u8,
    ) {
        // Small numbers of four bytes beside operands of lengths that do not fit them. Not larger ones:
        // a window of 4 billion rows takes its time.
        let bytes: Vec<u8> = small.iter().flat_map(|&byte| [byte, 0, 0, 0]).collect();
        for declaration in DECLARATIONS {
            call(declaration, &bytes, &lens, fill);
        }
    }
}

/// Calls a kernel on operands of these lengths.
fn call(declaration: &Declaration, mut bytes: &[u8], lens: &[usize], fill: u8) {
    let aligned =
        |len: usize, element: Element| vec![u64::from(fill); len * element.bytes() / 8 + 1];
    let mut memory: Vec<Vec<u64>> = declaration
        .operands
        .iter()
        .zip(lens.iter().cycle())
        .map(|(operand, &len)| aligned(len, operand.element))
        .collect();
    let mut operands: Vec<Operand<'_>> = memory
        .iter_mut()
        .zip(declaration.operands)
        .zip(lens.iter().cycle())
        .map(|((words, operand), &len)| {
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(words);
            let bytes = &mut bytes[..len * operand.element.bytes()];
            match operand.role {
                Role::In | Role::Const => Operand::Read(bytes),
                Role::Out | Role::InOut | Role::Scratch => Operand::Write(bytes),
            }
        })
        .collect();
    decode(declaration.name, &mut bytes, |kernel| {
        // A wrong number of operands is no reason to panic either.
        kernel.call(&mut []);
        kernel.call(&mut operands);
    });
}

#[test]
fn every_kernel_has_parameters_and_a_name_of_its_own() {
    for (index, declaration) in DECLARATIONS.iter().enumerate() {
        let bytes = vec![0; ENOUGH];
        let taken = check(declaration, &bytes);
        assert!(matches!(taken, Ok(true)), "{}: {taken:?}", declaration.name);
        let same = |other: &&Declaration| {
            other.name == declaration.name || other.params == declaration.params
        };
        assert_eq!(DECLARATIONS.iter().position(same), Some(index));
    }
}

#[test]
fn extremes_are_printed_as_they_are() {
    // A NaN with a payload, the infinities, minus zero, the least subnormal; the fields of a clamp are
    // two floats.
    let clamp = DECLARATIONS.iter().find(|declaration| declaration.name == "clamp_f32").unwrap();
    let values =
        [0x7fc0_1234, 0xff80_0000, 0x7f80_0000, 0x8000_0000, 1, f32::MIN_POSITIVE.to_bits()];
    for pair in values.windows(2) {
        let bytes: Vec<u8> = pair.iter().flat_map(|bits: &u32| bits.to_le_bytes()).collect();
        let checked = check(clamp, &bytes);
        assert!(matches!(checked, Ok(true)), "{checked:?}");
    }
}

#[test]
fn an_unknown_kernel_is_not_decoded() {
    assert!(decode("no_such_kernel", &mut [0u8; 8].as_slice(), |_| ()).is_none());
}
