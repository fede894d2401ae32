//! From a printed crate to a measured run: the project around it, the compiler, the build cache, the
//! emulator, the ELF, counters and the stack.
//!
//! This crate knows no model beyond the printed crate's interface and no operator at all. It takes plain
//! values ([`CoreSpec`], [`Machine`], [`Cases`]) and gives plain values back; it prints nothing.
//!
//! The road of one request ([`run`]): [`toolchain::route`] finds a compiler for the core, [`build`] writes
//! the board project into the cache's work folder and builds it (or finds the result by its content),
//! the emulator runs it with the counting plug-in, and [`Elf`] and the run's files say what it took.

mod archive;
mod board;
mod cache;
mod doctor;
mod elf;
mod emulator;
mod example;
mod firmware;
mod library;
mod plugin;
mod project;
mod protocol;
mod run;
mod source;
mod spec;
mod sysroot;
pub mod timing;
pub mod toolchain;

pub use board::{Emulation, Needs, core};
pub use cache::{Cache, CacheInfo, DEFAULT_LIMIT_BYTES};
pub use doctor::{Check, State, doctor};
pub use elf::{Elf, RegionUse, Sizes, Symbol};
pub use emulator::Emulator;
pub use example::{EXAMPLE, Example, Measured, example, measure_example, run_project};
pub use firmware::{Build, Firmware, build, build_host, build_project};
pub use library::{Library, build_library, c_flags};
pub use plugin::{InferenceCount, by_function};
pub use project::memory_x;
pub use protocol::{Cases, Outputs, Tap};
pub use run::{Basis, Count, HostOutcome, HostRequest, Outcome, Request, run, run_host};
pub use source::{ModelCrate, SourceTree};
pub use spec::{CoreSpec, Machine, MemoryMap, OptLevel, Profile, Region, Timer};
