//! Written by Kinglet: feeds cases to a model on an emulated board and brings its outputs back.
//!
//! Files are opened in the emulator's working directory by semihosting. `in.bin` starts with four
//! little-endian `u32`: magic, cases, steps a case, flags; then come, for each case and step, the
//! bytes of all inputs in order. `out.bin` gets the bytes of all outputs, case by case and step by
//! step. The model is reset before each case. All integers are little-endian.

#![no_std]
#![no_main]

mod rt;
mod semihost;

use core::sync::atomic::{AtomicU32, Ordering};
use model::{Arena, INPUTS, Model, OUTPUTS};
use semihost::File;

const IN_MAGIC: u32 = 0x3149_474B;
const STATS_MAGIC: u32 = 0x3153_474B;
const FAULT_MAGIC: u32 = 0x3146_474B;
/// Flag: write the board's timer around each inference to `ticks.bin`.
const FLAG_TICKS: u32 = 1;
/// Flag: write every tensor of every step to `taps.bin`.
#[cfg(feature = "taps")]
const FLAG_TAPS: u32 = 2;

/// Exit status: an input file is missing, short or of another version.
const EXIT_INPUT: usize = 64;
/// Exit status: an output file could not be written.
const EXIT_OUTPUT: usize = 65;
/// Exit status: the processor took a fault; `fault.bin` says where.
const EXIT_FAULT: usize = 66;

/// The inference under way, counted over all cases; for `fault.bin`.
static INFERENCE: AtomicU32 = AtomicU32::new(0);
/// The tensor last reported in taps mode, or all ones; for `fault.bin`.
static LAST_TENSOR: AtomicU32 = AtomicU32::new(u32::MAX);

fn or_exit<T, E>(result: Result<T, E>, status: usize) -> T {
    match result {
        Ok(value) => value,
        Err(_) => semihost::exit(status),
    }
}

fn write(file: &mut File, bytes: &[u8]) {
    or_exit(file.write_all(bytes), EXIT_OUTPUT);
}

fn read_u32(file: &mut File) -> u32 {
    let mut bytes = [0; 4];
    or_exit(file.read_exact(&mut bytes), EXIT_INPUT);
    u32::from_le_bytes(bytes)
}

/// One inference, in a function of its own so that nothing of it leaves the two markers.
#[inline(never)]
fn infer(model: &mut Model<'_>) {
    model.run();
}

/// Runs all cases; the frame of this function counts as part of the stack.
pub(crate) fn run(arena: &mut Arena) -> ! {
    rt::paint_stack();
    let mut input = or_exit(File::open(c"in.bin"), EXIT_INPUT);
    let mut output = or_exit(File::create(c"out.bin"), EXIT_OUTPUT);
    if read_u32(&mut input) != IN_MAGIC {
        semihost::exit(EXIT_INPUT);
    }
    let cases = read_u32(&mut input);
    let steps = read_u32(&mut input);
    let flags = read_u32(&mut input);
    let mut ticks = None;
    if flags & FLAG_TICKS != 0 {
        rt::start_timer();
        ticks = Some(or_exit(File::create(c"ticks.bin"), EXIT_OUTPUT));
    }
    #[cfg(feature = "taps")]
    let mut taps = match flags & FLAG_TAPS {
        0 => None,
        _ => Some(or_exit(File::create(c"taps.bin"), EXIT_OUTPUT)),
    };
    let mut model = Model::new(arena);
    for _ in 0..cases {
        model.reset();
        for _ in 0..steps {
            for index in 0..INPUTS {
                or_exit(input.read_exact(model.input_bytes_mut(index)), EXIT_INPUT);
            }
            #[cfg(feature = "taps")]
            if let Some(file) = &mut taps {
                write(file, &u32::MAX.to_le_bytes());
                write(file, &0u32.to_le_bytes());
                model.run_tapped(&mut |tensor: u32, bytes: &[u8]| {
                    LAST_TENSOR.store(tensor, Ordering::Relaxed);
                    write(file, &tensor.to_le_bytes());
                    write(file, &(bytes.len() as u32).to_le_bytes());
                    write(file, bytes);
                });
            } else {
                timed(&mut model, ticks.as_mut());
            }
            #[cfg(not(feature = "taps"))]
            timed(&mut model, ticks.as_mut());
            for index in 0..OUTPUTS {
                write(&mut output, model.output_bytes(index));
            }
            INFERENCE.store(INFERENCE.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        }
    }
    let (used, available) = rt::stack_used();
    let mut stats = or_exit(File::create(c"stats.bin"), EXIT_OUTPUT);
    for word in [STATS_MAGIC, used, available] {
        write(&mut stats, &word.to_le_bytes());
    }
    semihost::exit(0)
}

fn timed(model: &mut Model<'_>, ticks: Option<&mut File>) {
    let before = rt::timer();
    count_begin();
    infer(model);
    count_end();
    let after = rt::timer();
    if let Some(file) = ticks {
        write(file, &before.to_le_bytes());
        write(file, &after.to_le_bytes());
    }
}

/// The address at which a counter of instructions starts from zero.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn count_begin() {
    rt::mark!("begin");
}

/// The address at which a counter of instructions is read.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn count_end() {
    rt::mark!("end");
}

/// Says where the processor faulted, and ends the run.
pub(crate) fn fault(pc: u32, lr: u32, sp: u32, cause: u32) -> ! {
    if let Ok(mut file) = File::create(c"fault.bin") {
        let at = [INFERENCE.load(Ordering::Relaxed), LAST_TENSOR.load(Ordering::Relaxed)];
        for word in [FAULT_MAGIC, pc, lr, sp, cause, at[0], at[1]] {
            write(&mut file, &word.to_le_bytes());
        }
    }
    semihost::exit(EXIT_FAULT)
}

/// Linked only if something can panic, which the symbol check then reports.
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let _ = core::fmt::Write::write_fmt(&mut semihost::Console, format_args!("{info}\n"));
    semihost::exit(101)
}
