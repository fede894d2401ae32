//! Writes FlatBuffers for tests, with another implementation than the one that reads them.

use super::super::schema::{Child, Children, Choice, Scalar, Text, Texts, Vector};
use flatbuffers::{FlatBufferBuilder, Push, UnionWIPOffset, WIPOffset};
use std::rc::Rc;

type Builder = FlatBufferBuilder<'static>;
type Offset = WIPOffset<UnionWIPOffset>;
/// Writes what a slot points to and says where it is.
type Ahead = Rc<dyn Fn(&mut Builder) -> Offset>;
/// Puts a number into its slot.
type Inline = Rc<dyn Fn(&mut Builder, u16)>;

/// A table to be written.
#[derive(Clone, Default)]
pub struct T {
    ahead: Vec<(usize, Ahead)>,
    inline: Vec<(usize, Inline)>,
}

impl T {
    pub fn scalar<N: Push + Copy + 'static>(self, field: Scalar<N>, value: N) -> Self {
        self.slot(field.slot, value)
    }

    /// A number in a slot that the schema may not have.
    pub fn slot<N: Push + Copy + 'static>(mut self, slot: usize, value: N) -> Self {
        self.inline.push((slot, Rc::new(move |b, at| b.push_slot_always(at, value))));
        self
    }

    pub fn vector<N: Push + Copy + 'static>(self, field: Vector<N>, values: &[N]) -> Self {
        self.values(field.slot, values)
    }

    pub fn values<N: Push + Copy + 'static>(mut self, slot: usize, values: &[N]) -> Self {
        let values = values.to_vec();
        self.ahead.push((slot, Rc::new(move |b| b.create_vector(&values).as_union_value())));
        self
    }

    pub fn text(self, field: Text, text: &str) -> Self {
        self.string(field.slot, text)
    }

    pub fn string(mut self, slot: usize, text: &str) -> Self {
        let text = text.to_owned();
        self.ahead.push((slot, Rc::new(move |b| b.create_string(&text).as_union_value())));
        self
    }

    pub fn texts(mut self, field: Texts, texts: &[&str]) -> Self {
        let texts: Vec<String> = texts.iter().map(|t| (*t).to_owned()).collect();
        let write = move |b: &mut Builder| {
            let texts: Vec<_> = texts.iter().map(|t| b.create_string(t)).collect();
            b.create_vector(&texts).as_union_value()
        };
        self.ahead.push((field.slot, Rc::new(write)));
        self
    }

    pub fn child(mut self, field: Child, table: T) -> Self {
        self.ahead.push((field.slot, Rc::new(move |b| table.write(b))));
        self
    }

    pub fn children(mut self, field: Children, tables: Vec<T>) -> Self {
        let write = move |b: &mut Builder| {
            let tables: Vec<_> = tables.iter().map(|t| t.write(b)).collect();
            b.create_vector(&tables).as_union_value()
        };
        self.ahead.push((field.slot, Rc::new(write)));
        self
    }

    /// A vector that names one table many times.
    pub fn repeated(mut self, field: Children, table: T, times: usize) -> Self {
        let write = move |b: &mut Builder| {
            let table = table.write(b);
            b.create_vector(&vec![table; times]).as_union_value()
        };
        self.ahead.push((field.slot, Rc::new(write)));
        self
    }

    /// A union's table by its name in the schema.
    pub fn choice(self, field: Choice, variant: &str, table: T) -> Self {
        let index = field.variants.iter().position(|info| info.name == variant).unwrap();
        self.tagged(field, u8::try_from(index + 1).unwrap(), table)
    }

    /// A union with any tag.
    pub fn tagged(mut self, field: Choice, tag: u8, table: T) -> Self {
        self.ahead.push((field.slot + 1, Rc::new(move |b| table.write(b))));
        self.slot(field.slot, tag)
    }

    fn write(&self, b: &mut Builder) -> Offset {
        let ahead: Vec<_> = self.ahead.iter().map(|(slot, write)| (*slot, write(b))).collect();
        let start = b.start_table();
        for (slot, offset) in ahead {
            b.push_slot_always(position(slot), offset);
        }
        for (slot, write) in &self.inline {
            write(b, position(*slot));
        }
        b.end_table(start).as_union_value()
    }

    /// The bytes of a file with this root.
    pub fn file(&self, identifier: &str) -> Vec<u8> {
        let mut builder = FlatBufferBuilder::new();
        let root = self.write(&mut builder);
        builder.finish(root, Some(identifier));
        builder.finished_data().to_vec()
    }
}

/// Where the vtable has a slot's entry.
fn position(slot: usize) -> u16 {
    u16::try_from(4 + 2 * slot).unwrap()
}
