//! The list of codes. One line here and one page in `codes/` make a code.
//!
//! Ranges: K00 general, K01 reading files, K02 operators and import, K03 graph, text form and
//! passes, K04 lowering, planning and programs, K05 code generation, K06 boards and fit, K07
//! toolchain, build and emulator, K08 inputs, outputs and comparison.

use crate::Class;
use serde::{Serialize, Serializer};
use std::fmt;

/// A diagnostic's code. Its meaning never changes and it is never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(&'static Entry);

#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Entry {
    name: &'static str,
    constant: &'static str,
    exit_code: u8,
    page: &'static str,
}

impl Code {
    /// The code as it is printed, `K0123`.
    pub const fn as_str(self) -> &'static str {
        self.0.name
    }

    /// The name of its constant in [`crate::code`].
    pub const fn constant(self) -> &'static str {
        self.0.constant
    }

    /// Which class of failure it is.
    pub const fn class(self) -> Class {
        match self.0.exit_code {
            1 => Class::Answer,
            2 => Class::Request,
            3 => Class::Environment,
            _ => Class::Bug,
        }
    }

    /// The page behind `kinglet explain`, Markdown.
    pub const fn page(self) -> &'static str {
        self.0.page
    }

    /// The title on its page.
    pub fn title(self) -> &'static str {
        let line = self.0.page.lines().next().unwrap_or_default();
        line.split_once(": ").map_or(line, |(_, title)| title)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

macro_rules! codes {
    ($($name:ident $constant:ident $class:ident;)*) => {
        /// One constant for each code.
        pub mod list {
            use super::{Code, Entry};
            use crate::Class;
            $(
                #[doc = include_str!(concat!("../codes/", stringify!($name), ".md"))]
                pub const $constant: Code = Code(&Entry {
                    name: stringify!($name),
                    constant: stringify!($constant),
                    exit_code: Class::$class.exit_code(),
                    page: include_str!(concat!("../codes/", stringify!($name), ".md")),
                });
            )*
        }
        const ALL: &[Code] = &[$(list::$constant),*];
    };
}

codes! {
    K0001 INTERNAL Bug;
    K0101 TFLITE_TRUNCATED Request;
    K0601 BOARD_UNKNOWN Request;
    K0602 BOARD_FILE_SYNTAX Request;
    K0603 CORE_UNKNOWN Request;
    K0604 BOARD_FILE_INVALID Request;
    K0605 BOARD_EMULATOR_UNFIT Request;
    K0606 BOARD_FILE_UNREADABLE Request;
}

pub(crate) use list::INTERNAL;

/// Every code, in order.
pub fn codes() -> &'static [Code] {
    ALL
}

/// The code with this name, in any case: `k0101` is `K0101`.
pub fn by_name(name: &str) -> Option<Code> {
    ALL.iter().copied().find(|code| code.as_str().eq_ignore_ascii_case(name))
}
