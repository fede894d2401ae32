//! The fake model on every emulated machine: same outputs, exact counts, sizes that add up.

use kinglet_device::{
    Basis, Cache, Cases, Count, Elf, Emulator, HostRequest, ModelCrate, OptLevel, Profile, Request,
    SourceTree, by_function, machines, run, run_host, toolchain,
};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

fn cache() -> &'static Cache {
    static CACHE: OnceLock<Cache> = OnceLock::new();
    CACHE.get_or_init(|| {
        Cache::at(concat!(env!("CARGO_TARGET_TMPDIR"), "/kinglet-cache"), 4 << 30).unwrap()
    })
}

fn fake() -> ModelCrate {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake");
    ModelCrate::at_top(SourceTree::read(&folder).unwrap())
}

/// The machines that can be built for and emulated here; all of them when CI is set.
fn boards() -> Vec<machines::Board> {
    let usable = |board: &machines::Board| {
        let missing = toolchain::route(&board.core.target)
            .err()
            .or(Emulator::find(&board.machine.emulator).err());
        if let Some(failure) = &missing {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{}: {failure}", board.name);
            println!("skipped {}: {failure}", board.name);
        }
        missing.is_none()
    };
    machines::boards().into_iter().filter(usable).collect()
}

/// Two cases of three steps with bytes from a fixed generator.
fn cases() -> Cases {
    let mut state = 1u32;
    let inputs = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    Cases {
        cases: 2,
        steps: 3,
        input_bytes: vec![32, 4],
        output_bytes: vec![64, 4],
        inputs: inputs.take(2 * 3 * 36).collect(),
    }
}

/// What the fake model computes, written once more.
fn expected(cases: &Cases) -> Vec<u8> {
    let mut out = Vec::new();
    for case in cases.inputs.chunks(3 * 36) {
        let mut total = 0i32;
        for step in case.chunks(36) {
            let gain = i32::from_le_bytes(step[32..].try_into().unwrap());
            for row in 0..16usize {
                let weight = |column: usize| i32::from(((row * 32 + column) * 37 + 11) as u8 as i8);
                let dot: i32 =
                    (0..32).map(|column| weight(column) * i32::from(step[column] as i8)).sum();
                let sum = dot.wrapping_mul(gain);
                total = total.wrapping_add(sum);
                out.extend(sum.to_le_bytes());
            }
            out.extend(total.to_le_bytes());
        }
    }
    out
}

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn every_machine_agrees() {
    let (model, cases) = (fake(), cases());
    for board in boards() {
        for opt_level in [OptLevel::Three, OptLevel::Size] {
            let request = Request {
                model: &model,
                core: &board.core,
                machine: &board.machine,
                profile: Profile { opt_level, lto: false },
                taps: false,
                cases: &cases,
                count: Count::Profile,
                marks: &["fake_model::accumulate".to_owned()],
                timeout: LIMIT,
            };
            let outcome = run(cache(), &request)
                .unwrap_or_else(|failure| panic!("{}: {failure}", board.name));
            assert_eq!(outcome.outputs.bytes(), expected(&cases), "{}", board.name);
            assert_eq!(outcome.basis, Basis::Exact, "{:?}", outcome.notes);
            assert_eq!(outcome.counts.len(), 6);
            for count in &outcome.counts {
                assert_eq!(
                    count.by_address.values().sum::<u64>(),
                    count.instructions,
                    "{}",
                    board.name
                );
                assert_eq!(count.marks.len(), 1);
                assert!(count.marks[0].1 < count.instructions);
            }
            assert!(
                outcome.stack_bytes > 0 && outcome.stack_bytes < 2048,
                "{} bytes",
                outcome.stack_bytes
            );
            let elf = Elf::read(&outcome.firmware.path).unwrap();
            elf.require_no_panic().unwrap_or_else(|failure| panic!("{}: {failure}", board.name));
            assert_eq!(outcome.sizes.weights, 512);
            assert_eq!(outcome.sizes.arena, 160);
            let top = by_function(&outcome.counts[0], &elf);
            assert_eq!(top[0].0, "fake_model::multiply", "{top:?}");
            let sizes = &outcome.sizes;
            println!(
                "{} {opt_level:?}: {} instructions, stack {}, built in {:.1} s (cached {}), ran {:.3} s, {sizes:?}",
                board.name,
                outcome.counts[0].instructions,
                outcome.stack_bytes,
                outcome.firmware.took.as_secs_f64(),
                outcome.firmware.cached,
                outcome.seconds
            );
        }
    }
}

#[test]
fn the_host_agrees() {
    let (model, cases) = (fake(), cases());
    for taps in [false, true] {
        let request = HostRequest {
            model: &model,
            profile: Profile::default(),
            taps,
            cases: &cases,
            timeout: LIMIT,
        };
        let outcome = run_host(cache(), &request).unwrap();
        assert_eq!(outcome.outputs.bytes(), expected(&cases));
        assert_eq!(outcome.taps.len(), if taps { 6 } else { 0 });
    }
}
