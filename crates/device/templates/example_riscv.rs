//! {{summary}}
//!
//! Prints by semihosting, so it needs an emulator or a debugger: without one the processor traps at
//! the first message. Remove `semihost` for a board on its own.

#![no_std]
#![no_main]

#[allow(dead_code, reason = "files and input are there for your own programs")]
mod semihost;

use riscv_rt::entry;
use {{crate}}::{Arena, Model};

#[entry]
fn main() -> ! {
    static mut ARENA: Arena = Arena::ZERO;
    // SAFETY: the start-up code calls this function once, and nothing else can name the static.
    let mut model = Model::new(unsafe { &mut *&raw mut ARENA });
{{body}}
}

/// A program needs one; nothing here can panic, so it is not linked.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
