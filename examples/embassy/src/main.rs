//! A model in one task, a radio in another: the run is made step by step, and the radio has its turn
//! between any two steps.
//!
//! Prints by semihosting, for the emulator or a debugger; everything else is as on a board of your own.

#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering};
// Brings the critical section of a single core.
use cortex_m as _;
use cortex_m_semihosting::{debug, hprintln};
use embassy_executor::Spawner;
use embassy_futures::yield_now;
use machine_state::{Arena, Model, OUTPUT_STATE_LABELS, STEPS};
use panic_halt as _;
use static_cell::ConstStaticCell;

static ARENA: ConstStaticCell<Arena> = ConstStaticCell::new(Arena::ZERO);

/// How often the radio had its turn.
static TURNS: AtomicU32 = AtomicU32::new(0);

/// Stands for whatever has a deadline. A real one waits for its interrupt instead of yielding.
#[embassy_executor::task]
async fn radio() {
    loop {
        TURNS.fetch_add(1, Ordering::Relaxed);
        yield_now().await;
    }
}

#[embassy_executor::task]
async fn inference(arena: &'static mut Arena) {
    let mut model = Model::new(arena);

    // At once: the radio waits for all of it.
    model.input_acceleration().fill(1);
    model.run();
    let whole = *model.output_state();

    // In slices: it waits for the longest step at most, which `kinglet profile` shows.
    model.input_acceleration().fill(1);
    let before = TURNS.load(Ordering::Relaxed);
    let mut slices = model.begin();
    while slices.step() {
        yield_now().await;
    }
    let turns = TURNS.load(Ordering::Relaxed).wrapping_sub(before);
    let equal = *model.output_state() == whole;

    hprintln!("{} slices, the radio had {} turns meanwhile", STEPS, turns);
    hprintln!("outputs are {}", if equal { "equal" } else { "NOT equal" });
    let scores = whole.iter().zip(OUTPUT_STATE_LABELS);
    if let Some((_, label)) = scores.max_by_key(|(score, _)| **score) {
        hprintln!("state {}", label);
    }
    debug::exit(if equal { debug::EXIT_SUCCESS } else { debug::EXIT_FAILURE });
}

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    // Both tasks exist once: their places are free.
    if let (Ok(radio), Ok(inference)) = (radio(), inference(ARENA.take())) {
        spawner.spawn(radio);
        spawner.spawn(inference);
    }
}
