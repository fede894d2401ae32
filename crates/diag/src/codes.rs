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
    K0201 OPERATOR_UNKNOWN Request;
    K0202 OPERATOR_VERSION Request;
    K0203 ATTRIBUTE_UNREAD Request;
    K0204 SHAPE Request;
    K0205 FREE_DIMENSION Request;
    K0206 OPERATOR_REFUSED Request;
    K0207 STATE_VARIABLE Request;
    K0208 ORDER Request;
    K0209 TENSOR_TYPE Request;
    K0301 TEXT_SYNTAX Request;
    K0302 TEXT_TENSOR Request;
    K0303 TEXT_VALUE Request;
    K0304 TEXT_OPERATOR Request;
    K0310 GRAPH_ID Request;
    K0311 GRAPH_DATA Request;
    K0312 GRAPH_QUANTIZATION Request;
    K0313 GRAPH_PORT Request;
    K0314 GRAPH_STATE Request;
    K0315 GRAPH_SIZE Request;
    K0401 NOT_LOWERED Request;
    K0402 NOT_PLANNED Request;
    K0403 NOT_EVALUATED Request;
    K0101 TFLITE_TRUNCATED Request;
    K0102 FILE_EMPTY Request;
    K0103 FILE_UNKNOWN Request;
    K0104 FILE_OTHER_FORMAT Request;
    K0105 FILE_NOT_FETCHED Request;
    K0106 TFLITE_VERSION Request;
    K0107 TFLITE_BAD_INDEX Request;
    K0108 TFLITE_BAD_SHAPE Request;
    K0109 TFLITE_DATA_SIZE Request;
    K0110 TFLITE_QUANTIZATION Request;
    K0111 TFLITE_TOO_COMPLEX Request;
    K0112 TFLITE_UNKNOWN_VALUE Request;
    K0113 TFLITE_WRONG_OPTIONS Request;
    K0114 TFLITE_EXTERNAL Request;
    K0115 TFLITE_ASSOCIATED_FILE Request;
    K0116 TFLITE_METADATA Request;
    K0117 TFLITE_NEWER_FIELD Request;
    K0150 NPZ_DAMAGED Request;
    K0151 NPY_HEADER Request;
    K0152 NPY_OBJECT Request;
    K0153 NPY_TYPE Request;
    K0154 NPY_SIZE Request;
    K0155 NPZ_TOO_LARGE Request;
    K0156 ARRAY_TYPE Request;
    K0601 BOARD_UNKNOWN Request;
    K0602 BOARD_FILE_SYNTAX Request;
    K0603 CORE_UNKNOWN Request;
    K0604 BOARD_FILE_INVALID Request;
    K0605 BOARD_EMULATOR_UNFIT Request;
    K0606 BOARD_FILE_UNREADABLE Request;
    K0620 FIT_TIGHT Answer;
    K0621 FIT_UNCERTAIN Answer;
    K0622 FIT_TOTAL_ONLY Answer;
    K0623 FIT_SLOW_MEMORY Answer;
    K0624 SOFT_FLOAT Answer;
    K0701 TOOL_MISSING Environment;
    K0702 TARGET_UNAVAILABLE Environment;
    K0703 BUILD_FAILED Environment;
    K0704 REGION_OVERFLOW Answer;
    K0705 CACHE_UNUSABLE Environment;
    K0706 SOURCE_UNUSABLE Request;
    K0707 ELF_UNUSABLE Request;
    K0708 FORBIDDEN_SYMBOL Answer;
    K0709 EMULATOR_MISSING Environment;
    K0710 EMULATOR_TIMEOUT Environment;
    K0711 FIRMWARE_FAULT Bug;
    K0712 FIRMWARE_EXIT Environment;
    K0713 STACK_OVERFLOW Answer;
    K0714 COUNT_INEXACT Environment;
    K0715 EMULATOR_FAILED Environment;
    K0716 CASES_MISMATCH Request;
    K0717 BOARD_NOT_EMULATED Request;
    K0801 FILE_UNREADABLE Request;
    K0802 INPUT_MISSING Request;
    K0803 INPUT_SHAPE Request;
    K0804 INPUT_TYPE Request;
    K0805 ENGINE_UNKNOWN Request;
    K0806 NOT_EQUAL Answer;
    K0807 OUTPUT_UNWRITABLE Environment;
    K0808 GOLDEN_SHAPE Request;
    K0002 CODE_UNKNOWN Request;
    K0809 FOLDER_TAKEN Request;
    K0810 BOARD_NONE_FOUND Request;
    K0812 USAGE Request;
    K0820 NAME_TAKEN Request;
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
