//! Arithmetic and kernels of neural networks.
//!
//! This is what firmware links: no allocation, no panic, no `unsafe` outside `arch`, the same bits on
//! every machine. A kernel is a plain function over slices and a parameter struct that can be a
//! constant; it never sees a graph, a node or a tensor. Its portable form is the specification of its
//! bits.
//!
//! Rules for the code here, each of which keeps a panic out of the binary:
//! - slices are cut by `get`, `whole_chunks` (not `chunks_exact`, which divides), `zip` and
//!   `split_at_checked`, never by index;
//! - a length that does not match means "nothing to do for what is missing";
//! - integer arithmetic that could overflow is `wrapping_*` by choice.
//!
//! Adding a kernel: one file, one line in the list below (`kernels!`).

#![no_std]

#[cfg(test)]
extern crate std;

pub mod arch;
mod chunks;
mod columns;
#[macro_use]
pub mod declare;
pub mod dot;
pub mod fixed;
pub mod memory;
#[cfg(feature = "reflect")]
pub mod reflect;
pub mod rows;
#[cfg(test)]
mod testing;
mod window;

pub use window::Window;

/// Lists the kernel files and, for an image's decoder, every parameter struct in them.
macro_rules! kernels {
    ($($module:ident: $($Params:ident),+;)*) => {
        $(pub mod $module; pub use $module::{$($Params),+};)*

        /// Every kernel's declaration, in the order of the list.
        #[cfg(feature = "reflect")]
        pub const DECLARATIONS: &[&declare::Declaration] =
            &[$($(<$Params as reflect::Declared>::DECLARATION),+),*];

        /// The source files of this crate, path and text: what `kinglet compile` writes beside a
        /// model, so that it builds from any directory.
        #[cfg(feature = "reflect")]
        pub const SOURCES: &[(&str, &str)] = &[
            ("lib.rs", include_str!("lib.rs")),
            ("arch/dsp.rs", include_str!("arch/dsp.rs")),
            ("arch/helium.rs", include_str!("arch/helium.rs")),
            ("arch/helium/add.rs", include_str!("arch/helium/add.rs")),
            ("arch/helium/copies.rs", include_str!("arch/helium/copies.rs")),
            ("arch/helium/depthwise.rs", include_str!("arch/helium/depthwise.rs")),
            (
                "arch/helium/depthwise/instructions.rs",
                include_str!("arch/helium/depthwise/instructions.rs"),
            ),
            (
                "arch/helium/depthwise/twin.rs",
                include_str!("arch/helium/depthwise/twin.rs"),
            ),
            ("arch/helium/instructions.rs", include_str!("arch/helium/instructions.rs")),
            ("arch/helium/shallow.rs", include_str!("arch/helium/shallow.rs")),
            ("arch/helium/twin.rs", include_str!("arch/helium/twin.rs")),
            ("arch/mod.rs", include_str!("arch/mod.rs")),
            ("arch/rv32.rs", include_str!("arch/rv32.rs")),
            ("arch/rv32/copy.rs", include_str!("arch/rv32/copy.rs")),
            ("arch/rv32/instructions.rs", include_str!("arch/rv32/instructions.rs")),
            ("arch/rv32/ones.rs", include_str!("arch/rv32/ones.rs")),
            ("arch/rv32/sixes.rs", include_str!("arch/rv32/sixes.rs")),
            ("arch/rv32/sliding.rs", include_str!("arch/rv32/sliding.rs")),
            ("arch/taps.rs", include_str!("arch/taps.rs")),
            ("arch/v6m.rs", include_str!("arch/v6m.rs")),
            ("arch/v6m/instructions.rs", include_str!("arch/v6m/instructions.rs")),
            ("chunks.rs", include_str!("chunks.rs")),
            ("columns.rs", include_str!("columns.rs")),
            ("conv2d/rows.rs", include_str!("conv2d/rows.rs")),
            ("conv2d/threes.rs", include_str!("conv2d/threes.rs")),
            ("declare.rs", include_str!("declare.rs")),
            ("depthwise_conv2d/blocks.rs", include_str!("depthwise_conv2d/blocks.rs")),
            ("dot.rs", include_str!("dot.rs")),
            ("dot/shift.rs", include_str!("dot/shift.rs")),
            ("fixed.rs", include_str!("fixed.rs")),
            ("memory.rs", include_str!("memory.rs")),
            ("reflect.rs", include_str!("reflect.rs")),
            ("rows.rs", include_str!("rows.rs")),
            ("window.rs", include_str!("window.rs")),
            $((
                concat!(stringify!($module), ".rs"),
                include_str!(concat!(stringify!($module), ".rs")),
            )),*
        ];

        /// Decodes the parameters of the kernel with this name from the bytes of an image and hands
        /// the kernel to `visit`. `None` when the name is unknown or the bytes mean nothing.
        #[cfg(feature = "reflect")]
        pub fn decode<R>(
            name: &str,
            bytes: &mut &[u8],
            visit: impl FnOnce(&dyn reflect::Kernel) -> R,
        ) -> Option<R> {
            $($(
                if name == <$Params as reflect::Declared>::DECLARATION.name {
                    return <$Params as reflect::Field>::decode(bytes).map(|params| visit(&params));
                }
            )+)*
            None
        }
    };
}

kernels! {
    binary: AddF32, AddF32Broadcast, AddF32InPlace, AddI16, AddI16Broadcast, AddI16InPlace, AddI32,
        AddI32Broadcast, AddI32InPlace, AddI8, AddI8Broadcast, AddI8InPlace, MulF32, MulF32Broadcast,
        MulF32InPlace, MulI16, MulI16Broadcast, MulI16InPlace, MulI32, MulI32Broadcast, MulI32InPlace,
        MulI8, MulI8Broadcast, MulI8InPlace, SubF32, SubF32Broadcast, SubF32InPlace, SubI32,
        SubI32Broadcast, SubI32InPlace;
    copy: CopyBytes, CopyRows;
    copy_strided: CopyStridedI16, CopyStridedI32, CopyStridedI64, CopyStridedU8;
    fill: FillI16, FillI32, FillI64, FillU8;
    resize_nearest: ResizeNearestBytes;
    fully_connected: FullyConnectedAnyI8, FullyConnectedEightsI8, FullyConnectedF32, FullyConnectedI8,
        FullyConnectedPairsI8, FullyConnectedRowI8, FullyConnectedRowsI8, FullyConnectedThreesI8;
    conv2d: Conv2dAnyI8, Conv2dEightsI8, Conv2dF32, Conv2dI8, Conv2dPairsI8, Conv2dRowsI8,
        Conv2dThreesI8;
    depthwise_conv2d: DepthwiseConv2dAnyI8, DepthwiseConv2dBlocksI8, DepthwiseConv2dF32,
        DepthwiseConv2dI8, DepthwiseConv2dShiftI8, DepthwiseConv2dSlidingI8;
    lookup: LookupU8, LookupU8InPlace;
    mean: MeanF32, MeanI16, MeanI8;
    pool2d: AveragePool2dF32, AveragePool2dI8, MaxPool2dF32, MaxPool2dI8;
    prelu: PreluF32, PreluF32InPlace, PreluI8, PreluI8InPlace;
    quantize: DequantizeI16, DequantizeI8, DequantizeU8, QuantizeI16, QuantizeI8, QuantizeU8;
    requantize: RequantizeI16I16, RequantizeI16I32, RequantizeI16I8, RequantizeI16U8, RequantizeI32I16,
        RequantizeI32I8, RequantizeI8I16, RequantizeI8I32, RequantizeU8I16;
    softmax: SoftmaxF32, SoftmaxF32InPlace, SoftmaxI8, SoftmaxI8I16, SoftmaxI8InPlace;
    unary_f32: ClampF32, ClampF32InPlace, HardSwishF32, HardSwishF32InPlace, LeakyReluF32,
        LeakyReluF32InPlace, LogisticF32, LogisticF32InPlace, NegF32, NegF32InPlace, TanhF32,
        TanhF32InPlace;
}
