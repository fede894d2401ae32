//! The fake model on every emulated machine: same outputs, exact counts, sizes that add up.

mod common;

use common::{LIMIT, attempt, board, cache, cases, changed, expected, fake};
use kinglet_device::{
    Basis, Cases, Count, Elf, Example, HostRequest, OptLevel, Profile, SourceTree, Timer,
    by_function, example, measure_example, run_host,
};

const BOARDS: [&str; 8] = [
    "microbit",
    "mps2-an385-v6m",
    "mps2-an385",
    "mps2-an386",
    "mps2-an500",
    "mps2-an505",
    "mps3-an547",
    "riscv32-virt",
];

#[test]
fn every_machine_agrees_and_counts_each_instruction() {
    let (model, cases) = (fake(), cases());
    let marks = ["fake_model::accumulate".to_owned()];
    for board in BOARDS.into_iter().filter_map(board) {
        let name = &board.board;
        for (opt_level, lto) in [
            (OptLevel::Three, false),
            (OptLevel::Two, false),
            (OptLevel::Size, false),
            (OptLevel::Size, true),
            (OptLevel::Three, true),
        ] {
            let profile = Profile { opt_level, lto };
            let outcome = attempt(&model, &board, &cases, |request| {
                request.profile = profile;
                request.count = Count::Profile;
                // Link-time optimization may put this function into its caller.
                request.marks = if lto { &[] } else { &marks };
            });
            let outcome = outcome.unwrap_or_else(|failure| panic!("{name}: {failure}"));
            assert_eq!(outcome.outputs.bytes(), expected(&cases), "{name}");
            assert_eq!(outcome.basis, Basis::Exact, "{:?}", outcome.notes);
            assert_eq!(outcome.counts.len(), 6);
            for count in &outcome.counts {
                let by_address: u64 = count.by_address.values().sum();
                assert_eq!(by_address, count.instructions, "{name}");
                assert!(count.marks.iter().all(|(_, sum)| *sum < count.instructions));
                assert_eq!(count.marks.len(), usize::from(!lto));
            }
            let plain = attempt(&model, &board, &cases, |request| request.profile = profile);
            let plain: Vec<u64> = plain.unwrap().counts.iter().map(|c| c.instructions).collect();
            let profiled: Vec<u64> = outcome.counts.iter().map(|c| c.instructions).collect();
            assert_eq!(plain, profiled, "{name}: counting by stretches and by address differ");
            assert!(outcome.stack_bytes > 0 && outcome.stack_bytes < 1024, "{name}");
            let elf = Elf::read(&outcome.firmware.path).unwrap();
            elf.require_no_panic()
                .unwrap_or_else(|failure| panic!("{name} {profile:?}: {failure}"));
            let sizes = &outcome.sizes;
            assert_eq!((sizes.weights, sizes.arena), (512, 160), "{name}");
            let parts = sizes.vectors + sizes.code + sizes.constants + sizes.weights;
            assert_eq!(parts + sizes.data + sizes.padding, sizes.flash, "{name}");
            assert!(sizes.padding < 64, "{name}: {sizes:?}");
            if !lto {
                let top = by_function(&outcome.counts[0], &elf);
                assert_eq!(top[0].0, "fake_model::multiply", "{top:?}");
            }
            println!(
                "{name} {profile:?}: {} instructions, {} stack, {} code, built in {:.1} s, ran {:.3} s",
                outcome.counts[0].instructions,
                outcome.stack_bytes,
                sizes.code,
                outcome.firmware.took.as_secs_f64(),
                outcome.seconds
            );
        }
    }
}

/// A model whose run is a loop of two instructions, as many rounds as its second input says.
fn loops(riscv: bool) -> kinglet_device::ModelCrate {
    let body = if riscv {
        "core::arch::asm!(\"2: addi {n}, {n}, -1\", \"bnez {n}, 2b\", n = inout(reg) n => _)"
    } else {
        "core::arch::asm!(\"2: subs {n}, #1\", \"bne 2b\", n = inout(reg) n => _)"
    };
    let text = format!(
        "pub fn run(&mut self) {{ let n = self.gain.first_chunk().map_or(1, |b| u32::from_le_bytes(*b)); unsafe {{ {body} }}; if true {{ return; }}"
    );
    changed("pub fn run(&mut self) {", &text)
}

/// Rounds in the three inferences.
const ROUNDS: [u32; 3] = [1_000, 1_000_000, 10_000_000];

fn rounds() -> Cases {
    let mut inputs = Vec::new();
    for rounds in ROUNDS {
        inputs.extend([0; 32]);
        inputs.extend(rounds.to_le_bytes());
    }
    Cases { cases: 1, steps: 3, inputs, ..cases() }
}

#[test]
fn a_loop_of_two_instructions_is_counted_exactly_and_the_timer_agrees() {
    for board in BOARDS.into_iter().filter_map(board) {
        let model = loops(board.core.is_riscv());
        let exact = attempt(&model, &board, &rounds(), |_| {}).unwrap();
        let rest: Vec<u64> = exact
            .counts
            .iter()
            .zip(ROUNDS)
            .map(|(count, rounds)| count.instructions - 2 * u64::from(rounds))
            .collect();
        // Call, return and markers, the loading of the number, and the call of the model's run.
        assert!(rest.iter().all(|other| *other == rest[0]) && rest[0] < 30, "{rest:?}");
        let timed = attempt(&model, &board, &rounds(), |request| request.count = Count::Timer);
        let timed = timed.unwrap();
        let Basis::Timer { resolution } = timed.basis else { panic!("{:?}", timed.basis) };
        for (by_timer, by_plugin) in timed.counts.iter().zip(&exact.counts) {
            let off = by_timer.instructions.abs_diff(by_plugin.instructions) as f64;
            assert!(off <= 2.0 * resolution + 16.0, "{}: off by {off}", board.board);
        }
        println!(
            "{}: 2n + {}; 22 M instructions in {:.2} s counted, {:.2} s timed",
            board.board, rest[0], exact.seconds, timed.seconds
        );
    }
}

#[test]
fn taps_report_every_tensor_on_the_board_as_on_the_host() {
    let (model, cases) = (fake(), cases());
    let profile = Profile::default();
    let request =
        |taps| HostRequest { model: &model, profile, taps, cases: &cases, timeout: LIMIT };
    let plain = run_host(cache(), &request(false)).unwrap();
    assert_eq!(plain.outputs.bytes(), expected(&cases));
    assert!(plain.taps.is_empty());
    let host = run_host(cache(), &request(true)).unwrap();
    assert_eq!(host.outputs, plain.outputs);
    assert_eq!(host.taps.len(), 6);
    let numbers: Vec<u32> = host.taps[0].iter().map(|tap| tap.tensor).collect();
    assert_eq!(numbers, [5, 9]);
    assert_eq!(Some(host.taps[4][0].bytes.as_slice()), host.outputs.get(4, 0));
    for board in ["mps2-an386", "riscv32-virt"].into_iter().filter_map(board) {
        let outcome = attempt(&model, &board, &cases, |request| request.taps = true).unwrap();
        assert_eq!(outcome.taps, host.taps, "{}", board.board);
        assert_eq!(outcome.outputs, host.outputs);
        assert_eq!((outcome.basis, outcome.counts.len()), (Basis::None, 0));
    }
}

/// The fake crate with a `check()`, and an example below it.
fn with_example(board: &kinglet_device::Emulation, check: &str) -> SourceTree {
    let run = "pub fn run(&mut self) {";
    let check = format!("pub fn check(&mut self) -> bool {{ self.run(); {check} }}\n{run}");
    let mut tree = changed(run, &check).tree;
    let written = example(Example {
        package: "fake-model",
        has_check: true,
        core: &board.core,
        memory: &board.machine.memory,
        machine: Some(&board.machine),
        profile: Profile { opt_level: OptLevel::Size, lto: true },
    });
    tree.graft("example", &written);
    tree
}

#[test]
fn the_example_is_built_measured_and_free_of_panics() {
    for board in BOARDS.into_iter().filter_map(board) {
        let tree = with_example(&board, "self.output_bytes(0).len() == 64");
        let measured = measure_example(cache(), &tree, "example", &board, LIMIT);
        let measured = measured.unwrap_or_else(|failure| panic!("{}: {failure}", board.board));
        assert_eq!(measured.printed, "check passed\n", "{}", board.board);
        Elf::read(&measured.firmware.path).unwrap().require_no_panic().unwrap();
        let stack = measured.stack_bytes.unwrap();
        assert!(stack > 0 && stack < 512, "{stack} bytes of stack");
        assert_eq!((measured.sizes.arena, measured.sizes.weights), (160, 512));
        println!(
            "{}: example has {} bytes of flash, {stack} of stack",
            board.board, measured.sizes.flash
        );
    }
}

#[test]
fn a_failed_check_is_not_a_measurement() {
    let Some(board) = board("mps2-an386") else { return };
    let tree = with_example(&board, "false");
    let failure = measure_example(cache(), &tree, "example", &board, LIMIT).unwrap_err();
    assert_eq!(failure.first().code, kinglet_diag::code::FIRMWARE_EXIT);
    assert!(failure.first().place_text().contains("check FAILED"), "{failure}");
}

#[test]
fn another_memory_map_is_linked_again() {
    let Some(board) = board("mps2-an386") else { return };
    let (model, cases) = (fake(), cases());
    let available = |len: u64| {
        let mut board = board.clone();
        board.machine.memory.ram.len = len;
        board.machine.timer = Timer::None;
        attempt(&model, &board, &cases, |_| {}).unwrap().stack_available
    };
    let (large, small) = (available(64 << 10), available(32 << 10));
    assert_eq!(large - small, 32 << 10);
}
