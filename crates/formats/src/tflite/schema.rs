//! The schema as data: what the build script prints from `schema/*.fbs`, and the shapes it fills.
//!
//! Tables the reader walks have one typed constant a field (`tensor::SHAPE`), so that reading a field
//! as another type does not compile. Options tables are lists of [`FieldInfo`] and are only ever read
//! by reflection.

use std::marker::PhantomData;

/// A table: its name, how many fields this schema knows, and the fields themselves if the table is
/// one of operator options.
#[derive(Debug)]
pub(crate) struct TableInfo {
    pub name: &'static str,
    pub slots: usize,
    pub fields: &'static [FieldInfo],
}

/// One field of an options table.
#[derive(Debug)]
pub(crate) struct FieldInfo {
    pub name: &'static str,
    pub slot: usize,
    pub kind: Kind,
    /// Whether the number is the index of a subgraph.
    pub subgraph: bool,
}

/// The type of an options field, with its default where the format has one.
#[derive(Debug)]
pub(crate) enum Kind {
    Bool(bool),
    Int(Width, i64),
    Float(f32),
    Enum(Width, &'static EnumInfo, i64),
    Bools,
    Ints(Width),
    Floats,
    Bytes,
    Text,
    Deprecated,
}

/// How an integer is stored.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "the schema need not use every width the format has")]
pub(crate) enum Width {
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
}

#[derive(Debug)]
pub(crate) struct EnumInfo {
    pub name: &'static str,
    pub values: &'static [(i64, &'static str)],
}

impl EnumInfo {
    /// The name of a value, if the schema knows it.
    pub(crate) fn value_name(&self, value: i64) -> Option<&'static str> {
        self.values.iter().find(|(known, _)| *known == value).map(|(_, name)| *name)
    }
}

/// A number or truth value with its default.
#[derive(Clone, Copy)]
pub(crate) struct Scalar<T> {
    pub slot: usize,
    pub name: &'static str,
    pub default: T,
}

/// A vector of numbers or truth values.
#[derive(Clone, Copy)]
pub(crate) struct Vector<T> {
    pub slot: usize,
    pub name: &'static str,
    pub element: PhantomData<T>,
}

/// A string.
#[derive(Clone, Copy)]
pub(crate) struct Text {
    pub slot: usize,
    pub name: &'static str,
}

/// A vector of strings.
#[derive(Clone, Copy)]
pub(crate) struct Texts {
    pub slot: usize,
    pub name: &'static str,
}

/// A table.
#[derive(Clone, Copy)]
pub(crate) struct Child {
    pub slot: usize,
    pub name: &'static str,
    pub table: &'static TableInfo,
}

/// A vector of tables.
#[derive(Clone, Copy)]
pub(crate) struct Children {
    pub slot: usize,
    pub name: &'static str,
    pub table: &'static TableInfo,
}

/// A union: its tag is in the slot, its table in the next one.
#[derive(Clone, Copy)]
pub(crate) struct Choice {
    pub slot: usize,
    pub name: &'static str,
    pub variants: &'static [&'static TableInfo],
}

#[allow(
    dead_code,
    unused_imports,
    unused_qualifications,
    reason = "printed from the whole schema, of which the reader names a part"
)]
mod descriptors {
    use super::*;
    include!(concat!(env!("OUT_DIR"), "/descriptors.rs"));
}

pub(crate) use descriptors::*;
