//! Files, words and the exit of a debugger or emulator (Arm's semihosting, version 2).

use core::ffi::CStr;
use core::fmt;

const SYS_OPEN: usize = 0x01;
const SYS_WRITEC: usize = 0x03;
const SYS_WRITE0: usize = 0x04;
const SYS_WRITE: usize = 0x05;
const SYS_READ: usize = 0x06;
const SYS_EXIT_EXTENDED: usize = 0x20;
/// The reason "the application ended", with a status beside it.
const ADP_STOPPED_APPLICATION_EXIT: usize = 0x2_0026;

#[cfg(target_arch = "arm")]
#[inline(always)]
unsafe fn call(operation: usize, argument: *const usize) -> usize {
    let result;
    // SAFETY: the debugger reads and writes what the operation says, which the caller vouches for.
    unsafe {
        core::arch::asm!("bkpt 0xab", inlateout("r0") operation => result, in("r1") argument, options(nostack));
    }
    result
}

#[cfg(target_arch = "riscv32")]
#[inline(always)]
unsafe fn call(operation: usize, argument: *const usize) -> usize {
    let result;
    // SAFETY: the debugger reads and writes what the operation says, which the caller vouches for. The
    // three instructions must be uncompressed and on one page.
    unsafe {
        core::arch::asm!(
            ".option push",
            ".option norvc",
            ".balign 16",
            "slli x0, x0, 0x1f",
            "ebreak",
            "srai x0, x0, 7",
            ".option pop",
            inlateout("a0") operation => result,
            in("a1") argument,
            options(nostack),
        );
    }
    result
}

/// A file of the debugger's machine.
pub struct File(usize);

/// The other side refused, or gave or took less than asked.
pub struct Refused;

impl File {
    /// Opens a file for reading.
    pub fn open(name: &CStr) -> Result<Self, Refused> {
        Self::with_mode(name, 1)
    }

    /// Makes a file, empty.
    pub fn create(name: &CStr) -> Result<Self, Refused> {
        Self::with_mode(name, 5)
    }

    fn with_mode(name: &CStr, mode: usize) -> Result<Self, Refused> {
        let argument = [name.as_ptr() as usize, mode, name.count_bytes()];
        // SAFETY: the name is read, up to its length.
        match unsafe { call(SYS_OPEN, argument.as_ptr()) } {
            usize::MAX => Err(Refused),
            handle => Ok(Self(handle)),
        }
    }

    /// Fills the buffer.
    pub fn read_exact(&mut self, bytes: &mut [u8]) -> Result<(), Refused> {
        let argument = [self.0, bytes.as_mut_ptr() as usize, bytes.len()];
        // SAFETY: at most `bytes.len()` bytes are written to `bytes`.
        let missing =
            if bytes.is_empty() { 0 } else { unsafe { call(SYS_READ, argument.as_ptr()) } };
        if missing == 0 { Ok(()) } else { Err(Refused) }
    }

    /// Writes all bytes.
    pub fn write_all(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        let argument = [self.0, bytes.as_ptr() as usize, bytes.len()];
        // SAFETY: `bytes` is read.
        let missing =
            if bytes.is_empty() { 0 } else { unsafe { call(SYS_WRITE, argument.as_ptr()) } };
        if missing == 0 { Ok(()) } else { Err(Refused) }
    }
}

/// Prints a text.
#[allow(dead_code, reason = "the example prints, the harness does not")]
pub fn print(text: &CStr) {
    // SAFETY: the text is read up to its final zero.
    unsafe { call(SYS_WRITE0, text.as_ptr().cast()) };
}

/// Ends the run with a status; 0 is success.
pub fn exit(status: usize) -> ! {
    let argument = [ADP_STOPPED_APPLICATION_EXIT, status];
    loop {
        // SAFETY: two words are read; without a debugger nothing happens and it is tried again.
        unsafe { call(SYS_EXIT_EXTENDED, argument.as_ptr()) };
    }
}

/// Where a panic's message goes; linked only if something can panic.
pub struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            let word = usize::from(byte);
            // SAFETY: one byte is read.
            unsafe { call(SYS_WRITEC, &raw const word) };
        }
        Ok(())
    }
}
