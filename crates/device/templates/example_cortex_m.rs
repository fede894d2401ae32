//! {{summary}}
//!
//! Prints by semihosting, so it needs an emulator or a debugger: without one the processor faults at
//! the first message. Remove `semihost` for a board on its own.

#![no_std]
#![no_main]

#[allow(dead_code, reason = "files and input are there for your own programs")]
mod semihost;

use cortex_m_rt::entry;
use {{crate}}::{Arena, Model};

#[entry]
fn main() -> ! {
    // `entry` gives this function, and nobody else, the only reference to the static.
    static mut ARENA: Arena = Arena::ZERO;
    let mut model = Model::new(ARENA);
{{body}}
}

/// A program needs one; nothing here can panic, so it is not linked.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
