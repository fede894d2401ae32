//! Operator options by name: reflection over the options tables of the schema.
//!
//! Knows no operator. Whoever gives an operator its meaning asks for its attributes by name and type;
//! what nobody asked for and is not at its default shows up in [`Attributes::unread`].

use super::flat::{Number, Table};
use super::schema::{FieldInfo, Kind, TableInfo, Width};
use kinglet_diag::{Diagnostic, Place, Result, bug, code};
use std::cell::Cell;

/// The most attributes a node has; a damaged list of fields may go on, and what follows is left out
/// when there are unknown fields before it to say so.
const MAX_FIELDS: usize = 64;

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// A truth value.
    Bool(bool),
    /// An integer of any width.
    Int(i64),
    /// A float.
    Float(f32),
    /// A value of one of the schema's enumerations.
    Enum {
        /// The enumeration's name, `Padding`.
        kind: &'static str,
        /// The value's name, `SAME`; `None` if the schema does not know it.
        name: Option<&'static str>,
        /// The number in the file.
        value: i64,
    },
    /// Truth values.
    Bools(Vec<bool>),
    /// Integers.
    Ints(Vec<i64>),
    /// Floats.
    Floats(Vec<f32>),
    /// Bytes, borrowed from the file.
    Bytes(&'a [u8]),
    /// A string.
    Text(String),
    /// A field newer than the schema: it is there, and what it holds is not known.
    Unknown,
}

impl Value<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float",
            Value::Enum { .. } => "enum",
            Value::Bools(_) => "bools",
            Value::Ints(_) => "ints",
            Value::Floats(_) => "floats",
            Value::Bytes(_) => "bytes",
            Value::Text(_) => "text",
            Value::Unknown => "unknown",
        }
    }
}

/// One attribute.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute<'a> {
    /// The schema's name for it, `stride_w`; `field_9` for one newer than the schema.
    pub name: String,
    /// Its value: the file's, or the schema's default.
    pub value: Value<'a>,
    /// Whether the value is the schema's default, written or not.
    pub is_default: bool,
}

/// The attributes of one node: all fields of its options table, those left out at their defaults.
///
/// Getters mark an attribute as read. Asking for a name the table does not have, or for another type
/// than the schema's, is a mistake in the caller and gives a diagnostic of class "bug".
#[derive(Clone, Debug, PartialEq)]
pub struct Attributes<'a> {
    /// The options table, `Conv2DOptions`; empty for an operator without options.
    pub table: &'static str,
    /// Where the table stands in the file; `None` if the operator has none there.
    pub offset: Option<u64>,
    list: Vec<Attribute<'a>>,
    /// Bit k: attribute k was read.
    read: Cell<u64>,
}

impl<'a> Attributes<'a> {
    /// No attributes at all.
    pub(crate) fn none() -> Self {
        Self { table: "", offset: None, list: Vec::new(), read: Cell::new(0) }
    }

    /// The defaults of a table.
    pub(crate) fn defaults(info: &'static TableInfo) -> Self {
        let fields = info.fields.iter().filter(|f| !matches!(f.kind, Kind::Deprecated));
        let list = fields
            .map(|field| Attribute {
                name: field.name.to_owned(),
                value: default_value(&field.kind),
                is_default: true,
            })
            .collect();
        Self { table: info.name, offset: None, list, read: Cell::new(0) }
    }

    /// The fields of an options table.
    pub(crate) fn read(table: &Table<'_, 'a>) -> Result<Self> {
        let info = table.info();
        let newer = table.newer_slots(MAX_FIELDS.saturating_sub(info.fields.len()));
        table.spend_records::<Attribute<'_>>(info.fields.len().saturating_add(newer.len()))?;
        let mut list = Vec::with_capacity(info.fields.len());
        for field in info.fields {
            if !matches!(field.kind, Kind::Deprecated) {
                let value = value(table, field)?;
                let is_default = value == default_value(&field.kind);
                list.push(Attribute { name: field.name.to_owned(), value, is_default });
            }
        }
        list.extend(newer.into_iter().map(|slot| Attribute {
            name: format!("field_{slot}"),
            value: Value::Unknown,
            is_default: false,
        }));
        Ok(Self { table: info.name, offset: Some(table.offset()), list, read: Cell::new(0) })
    }

    /// All attributes, in the schema's order; marks none of them as read.
    pub fn iter(&self) -> impl Iterator<Item = &Attribute<'a>> {
        self.list.iter()
    }

    /// The attributes that no getter asked for and that are not at their default, in order.
    pub fn unread(&self) -> Vec<(&str, &Value<'a>)> {
        let entries = self.list.iter().enumerate();
        entries
            .filter(|(index, a)| !a.is_default && self.read.get() & bit(*index) == 0)
            .map(|(_, a)| (a.name.as_str(), &a.value))
            .collect()
    }

    /// The value of an attribute, of whatever type; marks it as read.
    pub fn value(&self, name: &str) -> Result<&Value<'a>> {
        let found = self.list.iter().enumerate().find(|(_, a)| a.name == name);
        let Some((index, attribute)) = found else {
            let table =
                if self.table.is_empty() { "an operator without options" } else { self.table };
            return Err(bug(format!("{table} has no attribute {name}")));
        };
        self.read.set(self.read.get() | bit(index));
        Ok(&attribute.value)
    }

    /// A truth value.
    pub fn bool(&self, name: &str) -> Result<bool> {
        match self.value(name)? {
            Value::Bool(value) => Ok(*value),
            other => Err(self.mistyped(name, "bool", other)),
        }
    }

    /// An integer.
    pub fn int(&self, name: &str) -> Result<i64> {
        match self.value(name)? {
            Value::Int(value) => Ok(*value),
            other => Err(self.mistyped(name, "int", other)),
        }
    }

    /// A float.
    pub fn float(&self, name: &str) -> Result<f32> {
        match self.value(name)? {
            Value::Float(value) => Ok(*value),
            other => Err(self.mistyped(name, "float", other)),
        }
    }

    /// The name of an enumeration's value, `SAME`. A number the schema does not know is an error of
    /// the file.
    pub fn enum_name(&self, name: &str) -> Result<&'static str> {
        match self.value(name)? {
            Value::Enum { name: Some(value), .. } => Ok(value),
            Value::Enum { kind, name: None, value } => Err(Diagnostic::error(
                code::TFLITE_UNKNOWN_VALUE,
                format!("{}.{name} is {value}, which is no value of {kind}", self.table),
            )
            .at(Place::Byte(self.offset.unwrap_or_default()))
            .help("the file was written for a newer schema, or is damaged: convert the model with an older converter, or update Kinglet")
            .into()),
            other => Err(self.mistyped(name, "enum", other)),
        }
    }

    /// Truth values; empty if left out.
    pub fn bools(&self, name: &str) -> Result<&[bool]> {
        match self.value(name)? {
            Value::Bools(values) => Ok(values),
            other => Err(self.mistyped(name, "bools", other)),
        }
    }

    /// Integers; empty if left out.
    pub fn ints(&self, name: &str) -> Result<&[i64]> {
        match self.value(name)? {
            Value::Ints(values) => Ok(values),
            other => Err(self.mistyped(name, "ints", other)),
        }
    }

    /// Floats; empty if left out.
    pub fn floats(&self, name: &str) -> Result<&[f32]> {
        match self.value(name)? {
            Value::Floats(values) => Ok(values),
            other => Err(self.mistyped(name, "floats", other)),
        }
    }

    /// Bytes; empty if left out.
    pub fn bytes(&self, name: &str) -> Result<&'a [u8]> {
        match self.value(name)? {
            Value::Bytes(values) => Ok(values),
            other => Err(self.mistyped(name, "bytes", other)),
        }
    }

    /// A string; empty if left out.
    pub fn text(&self, name: &str) -> Result<&str> {
        match self.value(name)? {
            Value::Text(value) => Ok(value),
            other => Err(self.mistyped(name, "text", other)),
        }
    }

    fn mistyped(&self, name: &str, wanted: &str, found: &Value<'_>) -> kinglet_diag::Failure {
        bug(format!("{}.{name} is of type {}, asked for as {wanted}", self.table, found.kind()))
    }
}

fn bit(index: usize) -> u64 {
    u32::try_from(index).ok().and_then(|index| 1u64.checked_shl(index)).unwrap_or(0)
}

fn default_value(kind: &Kind) -> Value<'static> {
    match kind {
        Kind::Bool(value) => Value::Bool(*value),
        Kind::Int(_, value) => Value::Int(*value),
        Kind::Float(value) => Value::Float(*value),
        Kind::Enum(_, info, value) => {
            Value::Enum { kind: info.name, name: info.value_name(*value), value: *value }
        }
        Kind::Bools => Value::Bools(Vec::new()),
        Kind::Ints(_) => Value::Ints(Vec::new()),
        Kind::Floats => Value::Floats(Vec::new()),
        Kind::Bytes => Value::Bytes(&[]),
        Kind::Text => Value::Text(String::new()),
        Kind::Deprecated => Value::Unknown,
    }
}

/// The value of a field in the file, or its default.
fn value<'a>(table: &Table<'_, 'a>, field: &FieldInfo) -> Result<Value<'a>> {
    let (slot, name) = (field.slot, field.name);
    let found =
        match &field.kind {
            Kind::Bool(_) => table.number(slot, name)?.map(Value::Bool),
            Kind::Int(width, _) => int(table, *width, slot, name)?.map(Value::Int),
            Kind::Float(_) => table.number(slot, name)?.map(Value::Float),
            Kind::Enum(width, info, _) => int(table, *width, slot, name)?
                .map(|value| Value::Enum { kind: info.name, name: info.value_name(value), value }),
            Kind::Bools => table.numbers(slot, name)?.map(Value::Bools),
            Kind::Ints(width) => ints(table, *width, slot, name)?.map(Value::Ints),
            Kind::Floats => table.numbers(slot, name)?.map(Value::Floats),
            Kind::Bytes => table.bytes(slot, name)?.map(Value::Bytes),
            Kind::Text => table.string(slot, name)?.map(Value::Text),
            Kind::Deprecated => None,
        };
    Ok(found.unwrap_or_else(|| default_value(&field.kind)))
}

fn int(table: &Table<'_, '_>, width: Width, slot: usize, name: &str) -> Result<Option<i64>> {
    fn one<T: Number + Into<i64>>(
        t: &Table<'_, '_>,
        slot: usize,
        name: &str,
    ) -> Result<Option<i64>> {
        Ok(t.number::<T>(slot, name)?.map(Into::into))
    }
    match width {
        Width::I8 => one::<i8>(table, slot, name),
        Width::U8 => one::<u8>(table, slot, name),
        Width::I16 => one::<i16>(table, slot, name),
        Width::U16 => one::<u16>(table, slot, name),
        Width::I32 => one::<i32>(table, slot, name),
        Width::U32 => one::<u32>(table, slot, name),
        Width::I64 => one::<i64>(table, slot, name),
    }
}

fn ints(table: &Table<'_, '_>, width: Width, slot: usize, name: &str) -> Result<Option<Vec<i64>>> {
    fn all<T: Number + Into<i64>>(
        t: &Table<'_, '_>,
        slot: usize,
        name: &str,
    ) -> Result<Option<Vec<i64>>> {
        let found = t.numbers::<T>(slot, name)?;
        Ok(found.map(|values| values.into_iter().map(Into::into).collect()))
    }
    match width {
        Width::I8 => all::<i8>(table, slot, name),
        Width::U8 => all::<u8>(table, slot, name),
        Width::I16 => all::<i16>(table, slot, name),
        Width::U16 => all::<u16>(table, slot, name),
        Width::I32 => all::<i32>(table, slot, name),
        Width::U32 => all::<u32>(table, slot, name),
        Width::I64 => all::<i64>(table, slot, name),
    }
}
