//! Start-up, stack and timer of a Cortex-M machine.

use core::arch::asm;
use cortex_m_rt::{ExceptionFrame, entry, exception};
use model::Arena;

unsafe extern "C" {
    static mut _stack_end: u32;
    static mut _stack_start: u32;
}

/// The word that fills the unused stack.
const PAINT: u32 = 0xCCCC_CCCC;

#[entry]
fn main() -> ! {
    static mut ARENA: Arena = Arena::ZERO;
    // SAFETY: masking interrupts touches no memory; nothing here waits for one.
    unsafe { asm!("cpsid i", options(nomem, nostack)) };
    crate::run(ARENA)
}

#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    let sp = &raw const *frame as u32;
    crate::fault(frame.pc(), frame.lr(), sp, frame.xpsr())
}

/// One instruction that does nothing. The name is a comment for the assembler: it keeps the compiler
/// from making one function of two that only hold a marker.
macro_rules! mark {
    ($name:literal) => {
        // SAFETY: does nothing; not `nomem`, so that no load or store crosses it.
        unsafe { core::arch::asm!(concat!("nop // ", $name), options(nostack)) }
    };
}
pub(crate) use mark;

/// Fills everything between the statics and the stack pointer.
#[inline(always)]
pub fn paint_stack() {
    // SAFETY: the linker script gives this range to the stack alone, all of it lies below the
    // stack pointer, and no interrupt can push a frame meanwhile.
    unsafe {
        asm!(
            "mov {end}, sp",
            "b 3f",
            "2: str {paint}, [{at}]",
            "adds {at}, #4",
            "3: cmp {at}, {end}",
            "blo 2b",
            at = inout(reg) &raw mut _stack_end => _,
            end = out(reg) _,
            paint = in(reg) PAINT,
            options(nostack),
        );
    }
}

/// Bytes of stack used since the start, and bytes there were.
pub fn stack_used() -> (u32, u32) {
    let bottom = &raw const _stack_end as u32;
    let top = &raw const _stack_start as u32;
    let mut at = bottom;
    // SAFETY: reads the stack's own range, word by word.
    while at < top && unsafe { (at as *const u32).read_volatile() } == PAINT {
        at = at.wrapping_add(4);
    }
    (top.wrapping_sub(at), top.wrapping_sub(bottom))
}
