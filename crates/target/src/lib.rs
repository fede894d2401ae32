//! What lowering knows about the machine that will run a program: instruction set, features, what is
//! fast. A plain value; it knows no board, no memory map and no compiler.

use serde::{Deserialize, Serialize};

/// An instruction set architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isa {
    /// ARMv6-M: Cortex-M0, M0+. 32-bit multiply, no long multiply, no unaligned access.
    Armv6m,
    /// ARMv7-M: Cortex-M3. Long multiply.
    Armv7m,
    /// ARMv7E-M: Cortex-M4, M7. DSP instructions.
    Armv7em,
    /// ARMv8-M Mainline: Cortex-M33, M55.
    Armv8m,
    /// 32-bit RISC-V, integer, multiply, compressed: ESP32-C3 and C6 class.
    Rv32imc,
    /// Xtensa LX: ESP32, ESP32-S3. Known for `fit`; nothing is built for it.
    Xtensa,
    /// 64-bit Arm: Raspberry Pi, Jetson, Coral Dev Board.
    Aarch64,
    /// 64-bit x86.
    X86_64,
}

/// A floating-point unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fpu {
    /// None: f32 arithmetic is a library call.
    None,
    /// Single precision in hardware.
    Single,
    /// Single and double precision in hardware.
    Double,
}

/// Vector or packed integer arithmetic beyond the base instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vector {
    /// None.
    None,
    /// The Arm DSP extension: two 16-bit products at once (SMLAD).
    Dsp,
    /// Helium (MVE): 128-bit vectors.
    Helium,
    /// NEON (Advanced SIMD).
    Neon,
    /// AVX2 on x86-64.
    Avx2,
}

/// A machine as lowering sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Target {
    /// Its instruction set.
    pub isa: Isa,
    /// Its floating-point unit.
    pub fpu: Fpu,
    /// Its vector extension.
    pub vector: Vector,
    /// Bytes of a pointer.
    pub pointer_bytes: u8,
}

impl Target {
    /// The machine this code runs on, as far as portable kernels care.
    pub const fn host() -> Self {
        Self {
            isa: if cfg!(target_arch = "aarch64") { Isa::Aarch64 } else { Isa::X86_64 },
            fpu: Fpu::Double,
            vector: Vector::None,
            pointer_bytes: 8,
        }
    }

    /// Whether f32 arithmetic runs in hardware.
    pub const fn has_fpu(&self) -> bool {
        !matches!(self.fpu, Fpu::None)
    }
}
