//! Runs the cases on the core and prints the first one of each kernel whose copies differ.

#![no_std]
#![no_main]

#[cfg(target_arch = "arm")]
use cortex_m_rt::entry;
use kinglet_kernels as arch;
use kinglet_kernels_plain as plain;
#[cfg(target_arch = "riscv32")]
use riscv_rt::entry;

use core::fmt::Write;

mod cases;
#[allow(dead_code, reason = "files are for other programs")]
mod semihost;

#[entry]
fn main() -> ! {
    // On the stack, which has the megabytes of an emulated board.
    let memory = &mut cases::Memory::ZERO;
    memory.fill(&mut cases::Random::new({{seed}}));
    let end = {{first}}u32 + {{count}};
    for &(feature, name, case) in cases::KERNELS {
        if feature != "{{feature}}" {
            continue;
        }
        let failed = ({{first}}..end).find(|&number| !cases::run(case, memory, {{seed}}, number));
        // Printing to the emulator does not fail.
        let _ = match failed {
            Some(number) => {
                let (at, found, expected) = memory.difference;
                writeln!(
                    semihost::Console,
                    "FAILED {name} case {number}: output {at} is {found}, not {expected}"
                )
            }
            None => writeln!(semihost::Console, "equal {name}"),
        };
    }
    semihost::exit(0)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let _ = writeln!(semihost::Console, "FAILED {info}");
    semihost::exit(1)
}
