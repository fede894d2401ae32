//! The text form of a graph: a listing that is read back exactly.
//!
//! ```text
//! graph "kws"
//! description "One of twelve words"
//! input t0 "features"
//! output t5 "scores" labels ["yes", "no"]
//!
//! t0: i8[1,?49,10,1] q(0.58, 83) "input_1" @0
//! t1: i8[2,1,1,1] q([0.5, 0.25], 0, axis 0) "weights" @1 = constant [1, 2]
//! t2: f32[4] "history" = state zeros
//!
//! t5: i8[1,49,10,2] q(0.1, -128) "conv" @7 = conv2d(t0, t1, none) {padding = same} node "c" @3
//! assign_variable(t2, t3)
//! ```
//!
//! The grammar; spaces and line ends only separate, `#` starts a comment:
//!
//! ```text
//! graph     = "graph" text { "description" text | port | tensor | node }
//! port      = ("input" | "output") id [text] ["labels" "[" [text {"," text}] "]"]
//! tensor    = declared ["=" ("constant" | "state") data]
//! node      = [output {"," output} "="] operator "(" [arg {"," arg}] ")" [attributes]
//!             ["node" [text] ["@" int]]
//! output    = id | declared
//! declared  = id ":" dtype "[" [dim {"," dim}] "]" [quantization] [text] ["@" int]
//! dim       = ["?"] int                      ; ? marks an axis that the file leaves free
//! quantization = "q" "(" floats "," ints ["," "axis" int] ")"   ; a single value or a list
//! arg       = id | "none"
//! attributes = "{" [name "=" value {"," name "=" value}] "}"
//! value     = int | float | "true" | "false" | name | text | "[" ints or floats "]" | "f32" "[" "]"
//! data      = "[" elements "]" | "zeros" | "hex" "(" digits ")"
//!           | "random" int ["(" low "," high ")"]
//! ```
//!
//! Ids are `t0`, `t1` and so on without a gap, declared in any order. What is left out has a default:
//! a port's name is its tensor's, a node's name is its first output's. A float has a point or an
//! exponent, or is `inf`, `-inf`, `nan` or `nan(0x7fc00001)`. Data in brackets are the elements in
//! row-major order, `hex` are the bytes in memory order, little endian. `zeros` and `random` are as
//! long as the type says; `random` is for tests and is printed as what it drew.
//!
//! [`parse`] of [`print()`] gives the same graph, and the text of that graph is the same text, for every
//! graph whose operators' names and attributes are words. A reader of this form checks syntax and
//! ranges only; what a graph must obey is in [`crate::verify`].

#![deny(clippy::as_conversions)]

mod data;
mod lex;
mod number;
mod parse;
mod print;

pub use data::{parse_data, print_data};
pub use parse::{Unbuildable, parse};
pub use print::{listing, print};

/// `zeros` and `random` make no more bytes than this for one tensor; a reader must not let a short
/// text ask for all memory.
pub(crate) const MAX_MADE_BYTES: usize = 1 << 24;

#[cfg(test)]
mod tests;
