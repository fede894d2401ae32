//= none
/// No timer is known for this machine.
pub fn start_timer() {}

/// Always zero.
pub fn timer() -> u32 {
    0
}
//= cmsdk
const TIMER: *mut u32 = TIMER_BASE as *mut u32;

/// Starts the CMSDK timer, which counts down from all ones.
pub fn start_timer() {
    // SAFETY: the board's timer registers: control at 0, value at 4, reload at 8.
    unsafe {
        TIMER.write_volatile(0);
        TIMER.add(2).write_volatile(u32::MAX);
        TIMER.add(1).write_volatile(u32::MAX);
        TIMER.write_volatile(1);
    }
}

/// Ticks, counting up and wrapping.
#[inline(always)]
pub fn timer() -> u32 {
    // SAFETY: reads the board's timer register.
    !unsafe { TIMER.add(1).read_volatile() }
}
//= system_counter
const COUNTER: *mut u32 = TIMER_BASE as *mut u32;

/// Starts the system counter.
pub fn start_timer() {
    // SAFETY: the board's control frame of the system counter.
    unsafe { COUNTER.write_volatile(1) };
}

/// Ticks, counting up and wrapping.
#[inline(always)]
pub fn timer() -> u32 {
    // SAFETY: reads the low word of the board's system counter.
    unsafe { COUNTER.add(2).read_volatile() }
}
//= nrf
const TIMER: *mut u32 = TIMER_BASE as *mut u32;

/// Starts the timer: 32 bits, no prescaler.
pub fn start_timer() {
    // SAFETY: the chip's timer registers: BITMODE, PRESCALER, START.
    unsafe {
        TIMER.add(0x508 / 4).write_volatile(3);
        TIMER.add(0x510 / 4).write_volatile(0);
        TIMER.write_volatile(1);
    }
}

/// Ticks, counting up and wrapping.
#[inline(always)]
pub fn timer() -> u32 {
    // SAFETY: captures the count into CC[0] and reads it.
    unsafe {
        TIMER.add(0x40 / 4).write_volatile(1);
        TIMER.add(0x540 / 4).read_volatile()
    }
}
//= systick
const SYSTICK: *mut u32 = 0xE000_E010 as *mut u32;

/// Starts SysTick on the processor's clock; it counts down from 2^24 - 1.
pub fn start_timer() {
    // SAFETY: SysTick's registers: control at 0, reload at 4, value at 8.
    unsafe {
        SYSTICK.write_volatile(0);
        SYSTICK.add(1).write_volatile(0x00FF_FFFF);
        SYSTICK.add(2).write_volatile(0);
        SYSTICK.write_volatile(5);
    }
}

/// Ticks, counting up, of 24 bits in the upper part of the word so that differences wrap.
#[inline(always)]
pub fn timer() -> u32 {
    // SAFETY: reads SysTick's value register.
    !unsafe { SYSTICK.add(2).read_volatile() } << 8
}
//= minstret
/// `minstret` runs from reset.
pub fn start_timer() {}

/// Retired instructions, low word.
#[inline(always)]
pub fn timer() -> u32 {
    let count: u32;
    // SAFETY: reads a counter register.
    unsafe { asm!("csrr {0}, minstret", out(reg) count, options(nomem, nostack)) };
    count
}
