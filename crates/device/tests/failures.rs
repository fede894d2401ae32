//! What goes wrong in firmware or around it, and how it is said.

mod common;

use common::{LIMIT, attempt, board, cache, cases, changed, fake};
use kinglet_device::{
    Basis, Cache, Cases, Elf, HostRequest, ModelCrate, Profile, build_host, run_host,
};
use kinglet_diag::code;
use std::time::{Duration, Instant};

const RUN: &str = "pub fn run(&mut self) {";

#[test]
fn a_panic_is_seen_before_it_happens_and_when_it_does() {
    let Some(board) = board("mps2-an386") else { return };
    let model = changed(
        RUN,
        "pub fn run(&mut self) { let n = self.gain[0]; self.sums[usize::from(n) + 63] = 1;",
    );
    let mut cases = cases();
    cases.inputs.fill(0);
    let outcome = attempt(&model, &board, &cases, |_| {}).unwrap();
    let failure = Elf::read(&outcome.firmware.path).unwrap().require_no_panic().unwrap_err();
    assert_eq!(failure.first().code, code::FORBIDDEN_SYMBOL);
    assert!(failure.first().message.contains("core::panicking"), "{failure}");
    cases.inputs.fill(200);
    let failure = attempt(&model, &board, &cases, |_| {}).unwrap_err();
    assert_eq!(failure.first().code, code::FIRMWARE_EXIT);
    let text = failure.to_string();
    assert!(text.contains("panicked") && text.contains("index out of bounds"), "{text}");
}

#[test]
fn a_fault_is_reported_with_its_function_and_inference() {
    let fault = "pub fn run(&mut self) { if self.gain[..1] == [7] { broken(); }";
    let mut model = changed(RUN, fault);
    let text = std::str::from_utf8(model.tree.get("src/lib.rs").unwrap()).unwrap();
    let broken = "#[inline(never)] fn broken() {
        #[cfg(target_arch = \"arm\")]
        unsafe { core::arch::asm!(\"udf #0\") };
        #[cfg(target_arch = \"riscv32\")]
        unsafe { core::arch::asm!(\"unimp\") };
    }";
    let text = format!("{text}\n{broken}\n");
    model.tree.insert("src/lib.rs", text);
    let mut cases = cases();
    cases.inputs.fill(0);
    cases.inputs[4 * 36 + 32] = 7;
    for board in
        ["mps2-an386", "microbit", "mps3-an547", "riscv32-virt"].into_iter().filter_map(board)
    {
        let failure = attempt(&model, &board, &cases, |_| {}).unwrap_err();
        assert_eq!(failure.first().code, code::FIRMWARE_FAULT, "{}: {failure}", board.board);
        let message = &failure.first().message;
        assert!(message.contains("fake_model::broken"), "{}: {failure}", board.board);
        assert!(message.contains("during inference 4"), "{}: {failure}", board.board);
    }
}

#[test]
fn what_does_not_end_is_stopped() {
    let model = changed(RUN, "pub fn run(&mut self) { loop { core::hint::spin_loop(); }");
    let limit = Duration::from_millis(300);
    let cases = cases();
    if let Some(board) = board("mps2-an386") {
        // Built first, so that only the run is timed.
        let _ = attempt(&model, &board, &cases, |request| request.timeout = Duration::ZERO);
        let start = Instant::now();
        let failure =
            attempt(&model, &board, &cases, |request| request.timeout = limit).unwrap_err();
        assert_eq!(failure.first().code, code::EMULATOR_TIMEOUT);
        assert!(start.elapsed() < Duration::from_secs(20));
    }
    let request = HostRequest {
        model: &model,
        profile: Profile::default(),
        taps: false,
        cases: &cases,
        timeout: limit,
    };
    assert_eq!(run_host(cache(), &request).unwrap_err().first().code, code::EMULATOR_TIMEOUT);
}

#[test]
fn what_does_not_fit_is_an_answer() {
    let Some(board) = board("microbit") else { return };
    let cases = cases();
    let large =
        changed("pub struct Arena([u8; 160]);", "pub struct Arena(pub [u8; 160], [u8; 20000]);");
    let mut model = large;
    let text = std::str::from_utf8(model.tree.get("src/lib.rs").unwrap()).unwrap();
    model.tree.insert("src/lib.rs", text.replace("Arena([0; 160])", "Arena([0; 160], [0; 20000])"));
    let failure = attempt(&model, &board, &cases, |_| {}).unwrap_err();
    assert_eq!(failure.first().code, code::REGION_OVERFLOW, "{failure}");
    let message = &failure.first().message;
    assert!(message.contains("RAM has 16384 bytes and lacks 37"), "{message}");
}

#[test]
fn a_stack_that_meets_the_statics_is_said() {
    let Some(board) = board("microbit") else { return };
    let deep =
        "pub fn run(&mut self) { let mut big = [0u8; 16080]; core::hint::black_box(&mut big); ";
    let failure = attempt(&changed(RUN, deep), &board, &cases(), |_| {}).unwrap_err();
    assert_eq!(failure.first().code, code::STACK_OVERFLOW, "{failure}");
    let shallow = deep.replace("16080", "12000");
    let outcome = attempt(&changed(RUN, &shallow), &board, &cases(), |_| {}).unwrap();
    assert!((12_000..12_600).contains(&outcome.stack_bytes), "{}", outcome.stack_bytes);
}

#[test]
fn sources_that_do_not_compile_are_said_with_the_compilers_words() {
    let model = changed(RUN, "pub fn run(&mut self) { let _: u8 = \"\";");
    let failure = build_host(cache(), &model, Profile::default(), false).unwrap_err();
    assert_eq!(failure.first().code, code::BUILD_FAILED);
    assert!(failure.to_string().contains("mismatched types"), "{failure}");
}

#[test]
fn inputs_of_the_wrong_length_are_refused_and_outputs_of_the_wrong_length_noticed() {
    let cases = cases();
    let short = Cases { inputs: vec![0; 7], ..cases.clone() };
    let model = fake();
    let profile = Profile::default();
    let request =
        HostRequest { model: &model, profile, taps: false, cases: &short, timeout: LIMIT };
    assert_eq!(run_host(cache(), &request).unwrap_err().first().code, code::CASES_MISMATCH);
    let wrong = Cases { output_bytes: vec![64, 5], ..cases };
    let request =
        HostRequest { model: &model, profile, taps: false, cases: &wrong, timeout: LIMIT };
    assert_eq!(run_host(cache(), &request).unwrap_err().first().code, code::FIRMWARE_EXIT);
}

/// A stand-in emulator that refuses plug-ins and hands everything else to the real one.
#[cfg(unix)]
#[test]
fn without_plug_ins_the_timer_counts_and_a_warning_says_so() {
    use std::os::unix::fs::PermissionsExt;
    let Some(mut board) = board("mps2-an386") else { return };
    let exact = attempt(&fake(), &board, &cases(), |_| {}).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("emulator");
    let real = &board.machine.emulator;
    let text = format!(
        "#!/bin/sh\nfor a in \"$@\"; do [ \"$a\" = -plugin ] && echo 'no plug-ins here' && exit 1; done\nexec {real} \"$@\"\n"
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    board.machine.emulator = script.display().to_string();
    let timed = attempt(&fake(), &board, &cases(), |_| {}).unwrap();
    assert_eq!(timed.basis, Basis::Timer { resolution: 40.0 });
    assert_eq!(timed.notes.len(), 1);
    assert_eq!(timed.notes[0].code, code::COUNT_INEXACT);
    assert!(timed.notes[0].message.contains("no plug-ins here"));
    for (timed, exact) in timed.counts.iter().zip(&exact.counts) {
        assert!(timed.instructions.abs_diff(exact.instructions) <= 96, "{timed:?} {exact:?}");
    }
}

#[test]
fn two_builds_at_once_do_not_disturb_each_other() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let models: Vec<ModelCrate> = (0..3u8)
        .map(|seed| {
            changed("index * 37 + 11", &format!("index * 37 + {}", 11 + u32::from(seed % 2)))
        })
        .collect();
    let built: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = models
            .iter()
            .map(|model| {
                // Each opens the cache for itself, as another process would.
                let cache = Cache::at(folder.path(), 1 << 30).unwrap();
                scope.spawn(move || build_host(&cache, model, Profile::default(), false).unwrap())
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(built[0].key, built[2].key);
    assert_ne!(built[0].key, built[1].key);
    let read = |index: usize| std::fs::read(&built[index].path).unwrap();
    assert_eq!(read(0), read(2));
    assert_ne!(read(0), read(1));
    assert_eq!(built.iter().filter(|firmware| firmware.cached).count(), 1);
    let again = Cache::at(folder.path(), 1 << 30).unwrap();
    let hit = build_host(&again, &models[0], Profile::default(), false).unwrap();
    assert!(hit.cached && hit.took < Duration::from_millis(500), "{:?}", hit.took);
    assert_eq!(again.info().firmware_count, 2);
}
