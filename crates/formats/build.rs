//! Compiles the schemas in `schema/` to `descriptors.rs`: constants for the fields the reader names,
//! and the lists behind the reflection of operator options.

use planus_types::ast::{FloatType, IntegerType};
use planus_types::intermediate::{
    AssignMode, Declaration, DeclarationIndex, DeclarationKind, Declarations, Enum, FloatLiteral,
    IntegerLiteral, Literal, SimpleType, Table, TypeKind,
};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

const SCHEMAS: [&str; 2] = ["schema/tflite.fbs", "schema/metadata.fbs"];
const OPTION_UNIONS: [&str; 2] = ["BuiltinOptions", "BuiltinOptions2"];

fn main() {
    println!("cargo::rerun-if-changed=schema");
    println!("cargo::rerun-if-changed=build.rs");
    let declarations =
        planus_translation::translate_files(&SCHEMAS).expect("the schemas have errors");
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let out = Path::new(&out);
    let descriptors = Descriptors::new(&declarations).print();
    fs::write(out.join("descriptors.rs"), descriptors).expect("descriptors.rs cannot be written");
}

struct Descriptors<'a> {
    declarations: &'a Declarations,
    /// Options table to the names of the operators it serves.
    served: BTreeMap<String, Vec<String>>,
    out: String,
}

impl<'a> Descriptors<'a> {
    fn new(declarations: &'a Declarations) -> Self {
        Self { declarations, served: BTreeMap::new(), out: String::new() }
    }

    fn print(mut self) -> String {
        for (path, declaration) in &self.declarations.declarations {
            let name = path.0.last().expect("a declaration has a name");
            match &declaration.kind {
                DeclarationKind::Enum(e) => self.print_enum(name, e),
                DeclarationKind::Table(t) if name.ends_with("Options") && !is_metadata(path) => {
                    self.note_operators(name, declaration);
                    self.print_options(name, t);
                }
                DeclarationKind::Table(t) => self.print_table(name, t),
                DeclarationKind::Union(_) => self.print_union(name, declaration),
                DeclarationKind::Struct(_) | DeclarationKind::RpcService(_) => {
                    panic!("{name}: structs and services are not used by these formats")
                }
            }
        }
        self.print_operators();
        self.out
    }

    fn line(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn print_enum(&mut self, name: &str, e: &Enum) {
        let mut values = String::new();
        for (value, variant) in &e.variants {
            write!(values, "({value}, {:?}), ", variant.name).expect("a string takes everything");
        }
        self.line(&format!(
            "pub static {}: EnumInfo = EnumInfo {{ name: {name:?}, values: &[{values}] }};",
            constant(name)
        ));
    }

    /// Collects the line "Operators: A, B" of an options table's comment.
    fn note_operators(&mut self, table: &str, declaration: &Declaration) {
        let lines = declaration.docstrings.docstrings.iter().map(|d| d.value.trim());
        let names: Vec<String> = lines
            .filter_map(|line| line.strip_prefix("Operators: "))
            .flat_map(|list| list.split(", ").map(str::to_owned))
            .collect();
        assert!(!names.is_empty(), "{table} does not say which operators it serves");
        self.served.insert(table.to_owned(), names);
    }

    /// An options table: everything in it is data for the reflection.
    fn print_options(&mut self, name: &str, table: &Table) {
        let mut fields = String::new();
        for (field, info) in &table.fields {
            let kind = if info.deprecated {
                "Kind::Deprecated".to_owned()
            } else {
                self.option_kind(name, field, &info.type_.kind, &info.assign_mode)
            };
            let subgraph = field.contains("subgraph") || field == "called_computations";
            write!(
                fields,
                "FieldInfo {{ name: {field:?}, slot: {}, kind: {kind}, subgraph: {subgraph} }}, ",
                info.vtable_index
            )
            .expect("a string takes everything");
        }
        assert!(table.fields.len() <= 64, "{name}: fields read are kept in 64 bits");
        self.print_info(name, table, &fields);
    }

    fn option_kind(&self, table: &str, field: &str, kind: &TypeKind, mode: &AssignMode) -> String {
        match kind {
            TypeKind::SimpleType(SimpleType::Bool) => {
                format!("Kind::Bool({})", matches!(default(mode), Some(Literal::Bool(true))))
            }
            TypeKind::SimpleType(SimpleType::Integer(width)) => {
                assert!(*width != IntegerType::U64, "{table}.{field} does not fit an i64");
                format!("Kind::Int(Width::{width:?}, {})", int_default(mode))
            }
            TypeKind::SimpleType(SimpleType::Float(FloatType::F32)) => {
                format!("Kind::Float({})", float_default(mode))
            }
            TypeKind::SimpleType(SimpleType::Enum(index)) => {
                let (name, e) = self.enumeration(*index);
                format!(
                    "Kind::Enum(Width::{:?}, &{}, {})",
                    e.type_,
                    constant(name),
                    int_default(mode)
                )
            }
            TypeKind::String => "Kind::Text".to_owned(),
            TypeKind::Vector(element) => match &element.kind {
                TypeKind::SimpleType(SimpleType::Bool) => "Kind::Bools".to_owned(),
                TypeKind::SimpleType(SimpleType::Integer(IntegerType::U8)) => {
                    "Kind::Bytes".to_owned()
                }
                TypeKind::SimpleType(SimpleType::Integer(width)) => {
                    format!("Kind::Ints(Width::{width:?})")
                }
                TypeKind::SimpleType(SimpleType::Enum(index)) => {
                    format!("Kind::Ints(Width::{:?})", self.enumeration(*index).1.type_)
                }
                TypeKind::SimpleType(SimpleType::Float(FloatType::F32)) => {
                    "Kind::Floats".to_owned()
                }
                other => panic!("{table}.{field}: no reflection for a vector of {other:?}"),
            },
            other => panic!("{table}.{field}: no reflection for {other:?}"),
        }
    }

    /// Any other table: one typed constant a field, for the reader to name.
    fn print_table(&mut self, name: &str, table: &Table) {
        self.print_info(name, table, "");
        self.line(&format!("pub mod {} {{ use super::*;", snake(name)));
        self.line(&format!("pub const TABLE: &TableInfo = &super::{};", constant(name)));
        for (field, info) in &table.fields {
            if info.deprecated {
                continue;
            }
            let slot = info.vtable_index;
            let (type_, extra) = self.field_type(&info.type_.kind, &info.assign_mode);
            self.line(&format!(
                "pub const {}: {type_} = {} {{ slot: {slot}, name: {field:?}{extra} }};",
                field.to_uppercase(),
                type_.split('<').next().expect("split gives one part at least"),
            ));
        }
        self.line("}");
    }

    fn field_type(&self, kind: &TypeKind, mode: &AssignMode) -> (String, String) {
        let table =
            |index: &DeclarationIndex| format!(", table: &super::{}", constant(self.name(*index)));
        match kind {
            TypeKind::SimpleType(SimpleType::Bool) => {
                let value = matches!(default(mode), Some(Literal::Bool(true)));
                ("Scalar<bool>".to_owned(), format!(", default: {value}"))
            }
            TypeKind::SimpleType(SimpleType::Float(FloatType::F32)) => {
                ("Scalar<f32>".to_owned(), format!(", default: {}", float_default(mode)))
            }
            TypeKind::SimpleType(SimpleType::Integer(_) | SimpleType::Enum(_)) => {
                let type_ = self.rust_integer(kind);
                (format!("Scalar<{type_}>"), format!(", default: {}", int_default(mode)))
            }
            TypeKind::String => ("Text".to_owned(), String::new()),
            TypeKind::Table(index) => ("Child".to_owned(), table(index)),
            TypeKind::Union(index) => {
                ("Choice".to_owned(), format!(", variants: super::{}", constant(self.name(*index))))
            }
            TypeKind::Vector(element) => match &element.kind {
                TypeKind::Table(index) => ("Children".to_owned(), table(index)),
                TypeKind::String => ("Texts".to_owned(), String::new()),
                TypeKind::SimpleType(SimpleType::Bool) => vector("bool"),
                TypeKind::SimpleType(SimpleType::Float(FloatType::F32)) => vector("f32"),
                simple => vector(self.rust_integer(simple)),
            },
            other => panic!("no access for {other:?}"),
        }
    }

    fn print_info(&mut self, name: &str, table: &Table, fields: &str) {
        let slots = table
            .fields
            .values()
            .map(|f| f.vtable_index + if f.type_.kind.is_type_with_tag() { 2 } else { 1 });
        let slots = slots.max().unwrap_or(0);
        self.line(&format!(
            "pub static {}: TableInfo = TableInfo {{ name: {name:?}, slots: {slots}, fields: &[{fields}] }};",
            constant(name)
        ));
    }

    fn print_union(&mut self, name: &str, declaration: &Declaration) {
        let DeclarationKind::Union(union) = &declaration.kind else { return };
        let tables = union.variants.values().map(|v| match &v.type_.kind {
            TypeKind::Table(index) => format!("&{}", constant(self.name(*index))),
            other => panic!("{name}: unions hold tables, not {other:?}"),
        });
        let tables = tables.collect::<Vec<_>>().join(", ");
        self.line(&format!("pub static {}: &[&TableInfo] = &[{tables}];", constant(name)));
    }

    /// The list of operators, each with its options table.
    fn print_operators(&mut self) {
        let mut table_of = BTreeMap::new();
        for (table, operators) in &self.served {
            for operator in operators {
                let before = table_of.insert(operator.clone(), table.clone());
                assert!(before.is_none(), "{operator} is served by {before:?} and {table}");
            }
        }
        let operators = self.declarations.declarations.iter().find_map(|(path, d)| match &d.kind {
            DeclarationKind::Enum(e) if path.0.last()? == "BuiltinOperator" => Some(e),
            _ => None,
        });
        let operators = operators.expect("the schema has operators");
        let mut list = String::new();
        for (code, variant) in &operators.variants {
            let table = match table_of.remove(&variant.name) {
                Some(table) => format!("Some(&{})", constant(&table)),
                None => "None".to_owned(),
            };
            writeln!(list, "({code}, {:?}, {table}),", variant.name).expect("a string takes it");
        }
        assert!(table_of.is_empty(), "options tables name unknown operators: {table_of:?}");
        self.line(&format!(
            "pub static OPERATORS: &[(i32, &str, Option<&TableInfo>)] = &[{list}];"
        ));
        for union in OPTION_UNIONS {
            let kind = self
                .declarations
                .declarations
                .iter()
                .find(|(path, _)| path.0.last().is_some_and(|name| name == union));
            let DeclarationKind::Union(u) = &kind.expect("the unions exist").1.kind else {
                panic!("{union} is a union");
            };
            for member in u.variants.keys() {
                assert!(self.served.contains_key(member), "{member} is no options table");
            }
        }
    }

    fn name(&self, index: DeclarationIndex) -> &'a str {
        let (path, _) = self.declarations.get_declaration(index);
        path.0.last().expect("a declaration has a name")
    }

    fn enumeration(&self, index: DeclarationIndex) -> (&'a str, &'a Enum) {
        let (path, declaration) = self.declarations.get_declaration(index);
        match &declaration.kind {
            DeclarationKind::Enum(e) => (path.0.last().expect("an enum has a name"), e),
            other => panic!("{path} is a {}", other.kind_as_str()),
        }
    }

    fn rust_integer(&self, kind: &TypeKind) -> &'static str {
        let width = match kind {
            TypeKind::SimpleType(SimpleType::Integer(width)) => *width,
            TypeKind::SimpleType(SimpleType::Enum(index)) => self.enumeration(*index).1.type_,
            other => panic!("{other:?} is not an integer"),
        };
        match width {
            IntegerType::U8 => "u8",
            IntegerType::U16 => "u16",
            IntegerType::U32 => "u32",
            IntegerType::U64 => "u64",
            IntegerType::I8 => "i8",
            IntegerType::I16 => "i16",
            IntegerType::I32 => "i32",
            IntegerType::I64 => "i64",
        }
    }
}

fn is_metadata(path: &planus_types::intermediate::AbsolutePath) -> bool {
    path.0.iter().any(|part| part == "metadata")
}

fn vector(type_: &str) -> (String, String) {
    (format!("Vector<{type_}>"), ", element: PhantomData".to_owned())
}

fn default(mode: &AssignMode) -> Option<&Literal> {
    match mode {
        AssignMode::HasDefault(literal) => Some(literal),
        AssignMode::Required | AssignMode::Optional => None,
    }
}

fn int_default(mode: &AssignMode) -> String {
    let value = match default(mode) {
        Some(Literal::Int(value) | Literal::EnumTag { value, .. }) => *value,
        None => IntegerLiteral::I32(0),
        Some(other) => panic!("{other} is not an integer"),
    };
    value.to_string()
}

fn float_default(mode: &AssignMode) -> String {
    match default(mode) {
        Some(Literal::Float(FloatLiteral::F32(value))) => format!("{value:?}"),
        Some(Literal::Float(FloatLiteral::F64(value))) => format!("{value:?}"),
        Some(Literal::Int(value)) => format!("{value}.0"),
        None => "0.0".to_owned(),
        Some(other) => panic!("{other} is not a number"),
    }
}

/// `Conv2DOptions` to `CONV2_D_OPTIONS`; two names never meet, since the tables' names differ in more
/// than case.
fn constant(name: &str) -> String {
    snake(name).to_uppercase()
}

fn snake(name: &str) -> String {
    let mut out = String::new();
    let mut lower = false;
    for c in name.chars() {
        if c.is_uppercase() && lower {
            out.push('_');
        }
        lower = c.is_lowercase() || c.is_ascii_digit();
        out.extend(c.to_lowercase());
    }
    out
}
