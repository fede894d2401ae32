//! How a kernel is declared: once.
//!
//! [`kernel!`](crate::kernel) takes the parameter struct, the operands by role and the plain function
//! that computes. From that come the two ways firmware calls it (`run`, one shared copy, and
//! `run_inlined`, specialized by constants) and, with the feature `reflect`, everything a host needs:
//! the [`Declaration`], running over untyped operands, printing the parameters as a Rust expression,
//! and the bytes of a program image with their decoder. No half is written by hand.

/// What a kernel does with an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Read only; never overlaps an output.
    In,
    /// Written and never read; elements that a call leaves out keep their value, so that several calls
    /// can build one output.
    Out,
    /// Read and then overwritten in place.
    InOut,
    /// Constant data: weights, tables.
    Const,
    /// Memory needed during the call only.
    Scratch,
}

/// How a kernel sees the elements of an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// 8-bit signed integer.
    I8,
    /// 8-bit unsigned integer; also bytes of any type where a kernel only moves data.
    U8,
    /// 16-bit signed integer.
    I16,
    /// 32-bit signed integer.
    I32,
    /// 64-bit signed integer.
    I64,
    /// 32-bit float.
    F32,
}

impl Element {
    /// Bytes of one element.
    pub const fn bytes(self) -> usize {
        match self {
            Element::I8 | Element::U8 => 1,
            Element::I16 => 2,
            Element::I32 | Element::F32 => 4,
            Element::I64 => 8,
        }
    }
}

/// A Rust type that is the element of an operand.
pub trait ElementType: bytemuck::Pod {
    /// Its name as data.
    const ELEMENT: Element;
}

macro_rules! element_types {
    ($($rust:ty => $element:ident),*) => {
        $(impl ElementType for $rust { const ELEMENT: Element = Element::$element; })*
    };
}
element_types!(i8 => I8, u8 => U8, i16 => I16, i32 => I32, i64 => I64, f32 => F32);

/// One operand of a kernel, as data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperandDeclaration {
    /// Its name in the kernel's signature.
    pub name: &'static str,
    /// What the kernel does with it.
    pub role: Role,
    /// How the kernel sees its elements.
    pub element: Element,
}

/// A kernel, as data: what a host, a printer and an image need to know of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Declaration {
    /// Its name, `fully_connected_i8`.
    pub name: &'static str,
    /// The name of its parameter struct, `FullyConnectedI8`.
    pub params: &'static str,
    /// Raised whenever the meaning of parameters or operands changes.
    pub version: u16,
    /// Its operands, in the order of its signature.
    pub operands: &'static [OperandDeclaration],
}

/// Declares a kernel. See the module text; `fully_connected.rs` is the example to copy.
///
/// Operand roles are written `input` (read), `output` (written), `inout`, `constant`, `scratch`.
///
/// A kernel that goes through images row by row has `images` of an element type, constants and what
/// [`crate::reflect::Kernel::distances`] gives in place of `operands`: input, constants and output are its
/// operands, and its function gets [`crate::rows::Images`] in place of input and output.
#[macro_export]
macro_rules! kernel {
    (
        $(#[$doc:meta])*
        $name:ident version $version:literal
        params $Params:ident { $( $(#[$field_doc:meta])* $field:ident : $field_type:ty ),* $(,)? }
        operands ( $( $role:ident $operand:ident : $element:ty ),* $(,)? )
    ) => {
        $crate::params! {
            $(#[$doc])*
            $Params { $( $(#[$field_doc])* $field : $field_type ),* }
        }

        impl $Params {
            /// Computes, by the one shared copy of this kernel in the program.
            #[inline(never)]
            pub fn run(&self, $( $operand: $crate::operand_type!($role $element) ),*) {
                $name(self, $($operand),*);
            }

            /// Computes, inlined where it is called, so that constant parameters fold.
            #[inline(always)]
            pub fn run_inlined(&self, $( $operand: $crate::operand_type!($role $element) ),*) {
                $name(self, $($operand),*);
            }
        }

        $crate::declared! {
            $name version $version $Params ( $( $role $operand : $element ),* )

            fn call(&self, operands: &mut [$crate::reflect::Operand<'_>]) {
                if let [$($operand),*] = operands {
                    $name(self, $( $crate::operand_view!($role $operand $element) ),*);
                }
            }
        }
    };
    (
        $(#[$doc:meta])*
        $name:ident version $version:literal
        params $Params:ident { $( $(#[$field_doc:meta])* $field:ident : $field_type:ty ),* $(,)? }
        images $element:ty, ( $( $operand:ident : $constant:ty ),* ) distances |$p:ident, $sizes:ident| $distances:expr
    ) => {
        $crate::params! {
            $(#[$doc])*
            $Params { $( $(#[$field_doc])* $field : $field_type ),* }
        }

        impl $Params {
            /// Computes, by the one shared copy of this kernel in the program.
            #[inline(never)]
            pub fn run(
                &self,
                input: &[$element],
                $( $operand: &[$constant], )*
                output: &mut [$element],
            ) {
                $name(self, $crate::rows::Images::Apart { input, output }, $($operand),*);
            }

            /// Computes, inlined where it is called, so that constant parameters fold.
            #[inline(always)]
            pub fn run_inlined(
                &self,
                input: &[$element],
                $( $operand: &[$constant], )*
                output: &mut [$element],
            ) {
                $name(self, $crate::rows::Images::Apart { input, output }, $($operand),*);
            }

            /// Computes where the output lies over the input, both in `memory`, by one shared copy: what is
            /// overwritten has been read.
            #[inline(never)]
            pub fn run_overlapping(
                &self,
                memory: &mut [$element],
                input: core::ops::Range<usize>,
                output: core::ops::Range<usize>,
                $( $operand: &[$constant], )*
            ) {
                let images = $crate::rows::Images::Overlapping { memory, input, output };
                $name(self, images, $($operand),*);
            }
        }

        $crate::declared! {
            $name version $version $Params
            ( input input: $element, $( constant $operand : $constant, )* output output: $element )

            fn call(&self, operands: &mut [$crate::reflect::Operand<'_>]) {
                if let [input, $( $operand, )* output] = operands {
                    let (input, output) = (input.read(), output.write());
                    let images = $crate::rows::Images::Apart { input, output };
                    $name(self, images, $( $operand.read::<$constant>() ),*);
                }
            }

            fn distances(&self, $sizes: [u64; 2]) -> Option<$crate::rows::Distances> {
                let $p = self;
                $distances
            }

            fn call_overlapping(
                &self,
                memory: &mut [u8],
                [input, output]: [core::ops::Range<usize>; 2],
                constants: &[$crate::reflect::Operand<'_>],
            ) {
                if let [$( $operand ),*] = constants {
                    let memory = $crate::memory::view_mut::<$element>(memory);
                    let elements = |bytes: core::ops::Range<usize>| {
                        bytes.start / size_of::<$element>()..bytes.end / size_of::<$element>()
                    };
                    let (input, output) = (elements(input), elements(output));
                    let images = $crate::rows::Images::Overlapping { memory, input, output };
                    $name(self, images, $( $operand.read::<$constant>() ),*);
                }
            }
        }
    };
}

/// What a host knows of a kernel: its declaration, and the calls that it is given.
#[doc(hidden)]
#[macro_export]
macro_rules! declared {
    (
        $name:ident version $version:literal $Params:ident
        ( $( $role:ident $operand:ident : $element:ty ),* )
        $($call:item)*
    ) => {
        #[cfg(feature = "reflect")]
        impl $crate::reflect::Kernel for $Params {
            fn declaration(&self) -> &'static $crate::declare::Declaration {
                <Self as $crate::reflect::Declared>::DECLARATION
            }

            fn print(&self, out: &mut dyn core::fmt::Write) -> core::fmt::Result {
                $crate::reflect::Field::print(self, out)
            }

            fn encode(&self, out: &mut dyn FnMut(&[u8])) {
                $crate::reflect::Field::encode(self, out);
            }

            $($call)*
        }

        #[cfg(feature = "reflect")]
        impl $crate::reflect::Declared for $Params {
            const DECLARATION: &'static $crate::declare::Declaration =
                &$crate::declare::Declaration {
                    name: stringify!($name),
                    params: stringify!($Params),
                    version: $version,
                    operands: &[ $( $crate::declare::OperandDeclaration {
                        name: stringify!($operand),
                        role: $crate::operand_role!($role),
                        element: <$element as $crate::declare::ElementType>::ELEMENT,
                    } ),* ],
                };
        }
    };
}

/// Declares a plain struct of parameters shared by several kernels, printable and encodable.
#[macro_export]
macro_rules! params {
    ( $(#[$doc:meta])* $Params:ident { $( $(#[$field_doc:meta])* $field:ident : $field_type:ty ),* $(,)? } ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $Params { $( $(#[$field_doc])* pub $field: $field_type ),* }
        $crate::fields!($Params { $($field),* });
    };
}

/// Implements `Field` for a struct, field by field.
#[doc(hidden)]
#[macro_export]
macro_rules! fields {
    ($Params:ident { $($field:ident),* }) => {
        #[cfg(feature = "reflect")]
        impl $crate::reflect::Field for $Params {
            fn print(&self, out: &mut dyn core::fmt::Write) -> core::fmt::Result {
                out.write_str(concat!(stringify!($Params), " { "))?;
                $(
                    out.write_str(concat!(stringify!($field), ": "))?;
                    $crate::reflect::Field::print(&self.$field, out)?;
                    out.write_str(", ")?;
                )*
                out.write_str("}")
            }

            fn encode(&self, out: &mut dyn FnMut(&[u8])) {
                // A struct without fields has no bytes.
                let _ = &out;
                $( $crate::reflect::Field::encode(&self.$field, out); )*
            }

            fn decode(bytes: &mut &[u8]) -> Option<Self> {
                let _ = &bytes;
                Some(Self { $( $field: $crate::reflect::Field::decode(bytes)? ),* })
            }
        }
    };
}

/// The Rust type of an operand by role.
#[doc(hidden)]
#[macro_export]
macro_rules! operand_type {
    (output $element:ty) => {
        &mut [$element]
    };
    (inout $element:ty) => {
        &mut [$element]
    };
    (scratch $element:ty) => {
        &mut [$element]
    };
    ($role:ident $element:ty) => {
        &[$element]
    };
}

/// The role of an operand as data.
#[doc(hidden)]
#[macro_export]
macro_rules! operand_role {
    (input) => {
        $crate::declare::Role::In
    };
    (output) => {
        $crate::declare::Role::Out
    };
    (inout) => {
        $crate::declare::Role::InOut
    };
    (constant) => {
        $crate::declare::Role::Const
    };
    (scratch) => {
        $crate::declare::Role::Scratch
    };
}

/// The typed view of an untyped operand by role.
#[doc(hidden)]
#[macro_export]
macro_rules! operand_view {
    (output $operand:ident $element:ty) => {
        $operand.write::<$element>()
    };
    (inout $operand:ident $element:ty) => {
        $operand.write::<$element>()
    };
    (scratch $operand:ident $element:ty) => {
        $operand.write::<$element>()
    };
    ($role:ident $operand:ident $element:ty) => {
        $operand.read::<$element>()
    };
}
