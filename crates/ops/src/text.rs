//! Attributes between an operator's fields and the text form.

use crate::op::{Graph, Refusal};
use kinglet_diag::Failure;
use kinglet_graph::text::Unbuildable;
use kinglet_graph::{Attribute, DType};

/// Reads a graph from the text form ([`kinglet_graph::text`]). It is not verified yet.
///
/// # Errors
/// The first fault of the text, or every operator that is unknown or has the wrong attributes.
pub fn parse_graph(source: &str) -> Result<Graph, Failure> {
    kinglet_graph::text::parse(source, |name, attributes| {
        crate::parse(name, attributes).map_err(|Refusal { why, help }| Unbuildable { why, help })
    })
}

/// Attributes as they stand in the text form; each is taken once, and one left over is an error.
#[derive(Debug, Default)]
pub struct TextAttributes {
    entries: Vec<(String, Attribute)>,
}

impl TextAttributes {
    /// These attributes.
    pub fn new(entries: Vec<(String, Attribute)>) -> Self {
        Self { entries }
    }

    /// Takes the attribute with this name.
    pub fn take<T: AttributeValue>(&mut self, name: &str) -> Result<T, Refusal> {
        let Some(index) = self.entries.iter().position(|(n, _)| n == name) else {
            return Err(Refusal::new(format!("the attribute {name} is missing")));
        };
        let (_, value) = self.entries.remove(index);
        T::from_attribute(&value).ok_or_else(|| {
            Refusal::new(format!(
                "the attribute {name} cannot be {value:?}, expected {}",
                T::EXPECTED
            ))
        })
    }

    /// The names nobody took.
    pub fn left(&self) -> Vec<&str> {
        self.entries.iter().map(|(name, _)| name.as_str()).collect()
    }
}

/// A type that an operator's attribute can have.
pub trait AttributeValue: Sized {
    /// What is expected, for messages.
    const EXPECTED: &'static str;
    /// As it is printed.
    fn to_attribute(&self) -> Attribute;
    /// As it is read.
    fn from_attribute(attribute: &Attribute) -> Option<Self>;
}

macro_rules! integer_attributes {
    ($($integer:ty),*) => { $(
        impl AttributeValue for $integer {
            const EXPECTED: &'static str = "a whole number";
            fn to_attribute(&self) -> Attribute {
                // Attributes of this width stand in files as i32.
                Attribute::Int(i64::try_from(*self).unwrap_or(i64::MAX))
            }
            fn from_attribute(attribute: &Attribute) -> Option<Self> {
                match attribute {
                    Attribute::Int(value) => Self::try_from(*value).ok(),
                    _ => None,
                }
            }
        }

        impl<const N: usize> AttributeValue for [$integer; N] {
            const EXPECTED: &'static str = "a list of whole numbers of the right length";
            fn to_attribute(&self) -> Attribute {
                Attribute::Ints(self.iter().map(|&v| i64::try_from(v).unwrap_or(i64::MAX)).collect())
            }
            fn from_attribute(attribute: &Attribute) -> Option<Self> {
                Vec::<$integer>::from_attribute(attribute)?.try_into().ok()
            }
        }

        impl AttributeValue for Vec<$integer> {
            const EXPECTED: &'static str = "a list of whole numbers";
            fn to_attribute(&self) -> Attribute {
                Attribute::Ints(self.iter().map(|&v| i64::try_from(v).unwrap_or(i64::MAX)).collect())
            }
            fn from_attribute(attribute: &Attribute) -> Option<Self> {
                match attribute {
                    Attribute::Ints(values) => {
                        values.iter().map(|&v| <$integer>::try_from(v).ok()).collect()
                    }
                    _ => None,
                }
            }
        }
    )* };
}
integer_attributes!(i32, i64, usize);

impl AttributeValue for bool {
    const EXPECTED: &'static str = "true or false";
    fn to_attribute(&self) -> Attribute {
        Attribute::Bool(*self)
    }
    fn from_attribute(attribute: &Attribute) -> Option<Self> {
        match attribute {
            Attribute::Bool(value) => Some(*value),
            _ => None,
        }
    }
}

impl AttributeValue for f32 {
    const EXPECTED: &'static str = "a number";
    fn to_attribute(&self) -> Attribute {
        Attribute::Float(*self)
    }
    fn from_attribute(attribute: &Attribute) -> Option<Self> {
        match attribute {
            Attribute::Float(value) => Some(*value),
            _ => None,
        }
    }
}

impl AttributeValue for String {
    const EXPECTED: &'static str = "a text in quotes";
    fn to_attribute(&self) -> Attribute {
        Attribute::Text(self.clone())
    }
    fn from_attribute(attribute: &Attribute) -> Option<Self> {
        match attribute {
            Attribute::Text(value) => Some(value.clone()),
            _ => None,
        }
    }
}

impl AttributeValue for DType {
    const EXPECTED: &'static str = "an element type";
    fn to_attribute(&self) -> Attribute {
        Attribute::Word(self.name().to_owned())
    }
    fn from_attribute(attribute: &Attribute) -> Option<Self> {
        match attribute {
            Attribute::Word(word) => DType::by_name(word),
            _ => None,
        }
    }
}

/// Declares an attribute that is one of a few words, with TensorFlow Lite's spelling of each.
#[macro_export]
macro_rules! word_attribute {
    ($(#[$doc:meta])* $Name:ident { $($(#[$variant_doc:meta])* $Variant:ident $word:literal $tflite:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $Name { $($(#[$variant_doc])* $Variant),* }

        impl $Name {
            /// The value TensorFlow Lite spells like this.
            pub fn from_tflite(name: &str) -> Option<Self> {
                match name { $($tflite => Some(Self::$Variant),)* _ => None }
            }
        }

        impl $crate::text::AttributeValue for $Name {
            const EXPECTED: &'static str = concat!("one of" $(, " ", $word)*);
            fn to_attribute(&self) -> kinglet_graph::Attribute {
                kinglet_graph::Attribute::Word(match self { $(Self::$Variant => $word),* }.to_owned())
            }
            fn from_attribute(attribute: &kinglet_graph::Attribute) -> Option<Self> {
                match attribute {
                    kinglet_graph::Attribute::Word(word) => match word.as_str() {
                        $($word => Some(Self::$Variant),)*
                        _ => None,
                    },
                    _ => None,
                }
            }
        }
    };
}

/// Declares an operator's struct: its attributes are its fields. Gives `NAME`, `list_attributes` for
/// `Operator::attributes` and `parse` for the list.
#[macro_export]
macro_rules! operator {
    ($(#[$doc:meta])* $Op:ident $name:literal { $($(#[$field_doc:meta])* $field:ident : $field_type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $Op { $($(#[$field_doc])* pub $field: $field_type),* }

        impl $Op {
            /// The operator's name in the text form.
            pub const NAME: &'static str = $name;

            fn list_attributes(&self) -> Vec<(&'static str, kinglet_graph::Attribute)> {
                vec![$((
                    stringify!($field),
                    $crate::text::AttributeValue::to_attribute(&self.$field),
                )),*]
            }

            fn parse(
                #[allow(unused_variables, reason = "an operator may have no attributes")]
                attributes: &mut $crate::text::TextAttributes,
            ) -> Result<std::sync::Arc<dyn $crate::Op>, $crate::Refusal> {
                Ok(std::sync::Arc::new(Self { $($field: attributes.take(stringify!($field))?),* }))
            }
        }
    };
}
