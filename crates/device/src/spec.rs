//! What a build and a run need to know of a core and a machine: plain values.

use serde::{Deserialize, Serialize};

/// A core as the compiler knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoreSpec {
    /// The compiler's target triple, `thumbv7em-none-eabihf`.
    pub target: String,
    /// The compiler's name of the processor, `cortex-m4`; empty for the target's default.
    pub cpu: String,
    /// Further `-C target-feature` values, with their sign.
    pub features: Vec<String>,
}

impl CoreSpec {
    /// A core by target triple and processor name.
    pub fn new(target: impl Into<String>, cpu: impl Into<String>) -> Self {
        Self { target: target.into(), cpu: cpu.into(), features: Vec::new() }
    }

    /// What the compiler is told of the core beyond its target: `-Ctarget-cpu` and `-Ctarget-feature`.
    pub fn rust_flags(&self) -> Vec<String> {
        let mut flags = Vec::new();
        if !self.cpu.is_empty() {
            flags.push(format!("-Ctarget-cpu={}", self.cpu));
        }
        if !self.features.is_empty() {
            flags.push(format!("-Ctarget-feature={}", self.features.join(",")));
        }
        flags
    }

    /// Whether this is a RISC-V core; the rest are Cortex-M.
    pub fn is_riscv(&self) -> bool {
        self.target.starts_with("riscv")
    }
}

/// A contiguous range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    /// The name in the linker script: upper case letters, digits and underscores.
    pub name: String,
    /// The first address.
    pub origin: u64,
    /// Bytes.
    pub len: u64,
}

impl Region {
    /// A region by name, first address and length in bytes.
    pub fn new(name: impl Into<String>, origin: u64, len: u64) -> Self {
        Self { name: name.into(), origin, len }
    }

    /// Whether the address lies in it.
    pub fn contains(&self, address: u64) -> bool {
        address >= self.origin && address - self.origin < self.len
    }
}

/// Where code, constants and variables go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryMap {
    /// Vectors, code, constants and the start values of variables.
    pub flash: Region,
    /// Variables and stack; the stack starts at its end.
    pub ram: Region,
    /// Where weights go instead of flash.
    pub weights: Option<Region>,
    /// Where the arena goes instead of RAM; it is not zeroed there at start.
    pub arena: Option<Region>,
}

impl MemoryMap {
    /// Code in `flash`, everything else in `ram`.
    pub fn new(flash: Region, ram: Region) -> Self {
        Self { flash, ram, weights: None, arena: None }
    }

    /// Every region, flash first.
    pub fn regions(&self) -> impl Iterator<Item = &Region> {
        [&self.flash, &self.ram].into_iter().chain(&self.weights).chain(&self.arena)
    }
}

/// A timer of the emulated machine, read when instructions cannot be counted one by one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Timer {
    /// None is known.
    None,
    /// Arm's CMSDK timer.
    Cmsdk {
        /// Address of its control register.
        base: u64,
        /// Picoseconds a tick; an instruction takes 1000 under `-icount shift=0`.
        picoseconds: u64,
    },
    /// Arm's system counter.
    SystemCounter {
        /// Address of its control frame.
        base: u64,
        /// Picoseconds a tick.
        picoseconds: u64,
    },
    /// The processor's SysTick, 24 bits.
    SysTick {
        /// Picoseconds a tick.
        picoseconds: u64,
    },
    /// A timer of the nRF51, 32 bits wide, at 16 MHz.
    Nrf {
        /// Address of its first register.
        base: u64,
        /// Picoseconds a tick.
        picoseconds: u64,
    },
    /// RISC-V's counter of retired instructions.
    Minstret,
}

impl Timer {
    /// Instructions a tick under `-icount shift=0`, or nothing when there is no timer.
    pub fn instructions_per_tick(&self) -> Option<f64> {
        match self {
            Timer::None => None,
            Timer::Cmsdk { picoseconds, .. }
            | Timer::SystemCounter { picoseconds, .. }
            | Timer::Nrf { picoseconds, .. }
            | Timer::SysTick { picoseconds } => Some(*picoseconds as f64 / 1000.0),
            Timer::Minstret => Some(1.0),
        }
    }
}

/// An emulated machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The emulator's program, `qemu-system-arm`.
    pub emulator: String,
    /// The machine's name there, `mps2-an386`.
    pub machine: String,
    /// Further arguments, such as `-bios none`.
    pub arguments: Vec<String>,
    /// Its memory, as far as firmware may use it.
    pub memory: MemoryMap,
    /// Its timer.
    pub timer: Timer,
}

/// How much the compiler optimizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum OptLevel {
    /// For size, `opt-level = "s"`.
    #[serde(rename = "s")]
    Size,
    /// `opt-level = 2`.
    #[serde(rename = "2")]
    Two,
    /// For speed, `opt-level = 3`.
    #[default]
    #[serde(rename = "3")]
    Three,
}

impl OptLevel {
    /// As it stands in `Cargo.toml`.
    pub const fn as_toml(self) -> &'static str {
        match self {
            OptLevel::Size => "\"s\"",
            OptLevel::Two => "2",
            OptLevel::Three => "3",
        }
    }
}

/// How firmware is compiled. Overflow checks are off, panics abort, one codegen unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Profile {
    /// The optimization level.
    pub opt_level: OptLevel,
    /// Whole-program link-time optimization.
    pub lto: bool,
}

impl Profile {
    /// The `[profile.release]` table.
    pub fn to_toml(self) -> String {
        let lto = if self.lto { "\"fat\"" } else { "false" };
        format!(
            "[profile.release]\nopt-level = {}\nlto = {lto}\ncodegen-units = 1\npanic = \"abort\"\n\
             overflow-checks = false\ndebug = false\nstrip = false\nincremental = false\n",
            self.opt_level.as_toml()
        )
    }
}
