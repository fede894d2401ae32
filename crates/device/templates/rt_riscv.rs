//! Start-up, stack and timer of a RISC-V machine.

use core::arch::asm;
use model::Arena;
use riscv_rt::entry;

unsafe extern "C" {
    static mut __euninit: u32;
    static mut _stack_start: u32;
}

/// The word that fills the unused stack.
const PAINT: u32 = 0xCCCC_CCCC;

#[entry]
fn main() -> ! {
    static mut ARENA: Arena = Arena::ZERO;
    // SAFETY: the start-up code calls this function once, and nothing else can name the static.
    crate::run(unsafe { &mut *&raw mut ARENA })
}

#[unsafe(no_mangle)]
extern "C" fn ExceptionHandler(frame: &riscv_rt::TrapFrame) -> ! {
    let (pc, cause): (u32, u32);
    // SAFETY: reads two status registers.
    unsafe {
        asm!("csrr {0}, mepc", "csrr {1}, mcause", out(reg) pc, out(reg) cause, options(nomem, nostack));
    }
    let sp = &raw const *frame as u32;
    crate::fault(pc, frame.ra as u32, sp, cause)
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
    // stack pointer, and interrupts are off from reset.
    unsafe {
        asm!(
            "j 3f",
            "2: sw {paint}, 0({at})",
            "addi {at}, {at}, 4",
            "3: bltu {at}, sp, 2b",
            at = inout(reg) &raw mut __euninit => _,
            paint = in(reg) PAINT,
            options(nostack),
        );
    }
}

/// Bytes of stack used since the start, and bytes there were.
pub fn stack_used() -> (u32, u32) {
    let bottom = &raw const __euninit as u32;
    let top = &raw const _stack_start as u32;
    let mut at = bottom;
    // SAFETY: reads the stack's own range, word by word.
    while at < top && unsafe { (at as *const u32).read_volatile() } == PAINT {
        at = at.wrapping_add(4);
    }
    (top.wrapping_sub(at), top.wrapping_sub(bottom))
}
