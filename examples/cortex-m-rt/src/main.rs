//! A control loop that asks a model for the state of a machine.
//!
//! Prints by semihosting, for the emulator or a debugger; everything else is as on a board of your own.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use cortex_m_semihosting::{debug, hprintln};
use machine_state::{Arena, INPUT_ACCELERATION_SCALE, Model, OUTPUT_STATE_LABELS};
use panic_halt as _;

/// Stands for the accelerometer: gravity, 1 g down, and a little noise.
fn read_sensor(samples: &mut [i8]) {
    let mut noise = 1u32;
    for (index, sample) in samples.iter_mut().enumerate() {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let small = f32::from((noise >> 24) as u8) / 2550.0 - 0.05;
        let gravity = if index % 3 == 2 { 1.0 } else { 0.0 };
        // The zero point of this input is 0.
        *sample = ((gravity + small) / INPUT_ACCELERATION_SCALE) as i8;
    }
}

#[entry]
fn main() -> ! {
    // `entry` gives this function, and nobody else, the only reference to the static.
    static mut ARENA: Arena = Arena::ZERO;
    let mut model = Model::new(ARENA);

    // The stored vector: does this board compute what the host computed?
    let passed = model.check();
    hprintln!("check {}", if passed { "passed" } else { "FAILED" });

    read_sensor(model.input_acceleration());
    model.run();
    let scores = model.output_state().iter().zip(OUTPUT_STATE_LABELS);
    if let Some((score, label)) = scores.max_by_key(|(score, _)| **score) {
        hprintln!("state {}, score {}", label, score);
    }
    debug::exit(if passed { debug::EXIT_SUCCESS } else { debug::EXIT_FAILURE });
    loop {
        cortex_m::asm::wfi();
    }
}
