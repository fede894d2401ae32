//! What the device tests share: one cache, the fake model and its expected outputs.

use kinglet_device::{
    Cache, Cases, Count, Emulation, Emulator, ModelCrate, Needs, Outcome, Profile, Request,
    SourceTree, run, toolchain,
};
use kinglet_diag::Failure;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

pub const LIMIT: Duration = Duration::from_secs(120);

/// One cache for all tests, kept between runs.
pub fn cache() -> &'static Cache {
    static CACHE: OnceLock<Cache> = OnceLock::new();
    let folder = concat!(env!("CARGO_TARGET_TMPDIR"), "/kinglet-cache");
    CACHE.get_or_init(|| Cache::at(folder, 8 << 30).unwrap())
}

/// The crate in `tests/fake`.
pub fn fake() -> ModelCrate {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake");
    ModelCrate::at_top(SourceTree::read(&folder).unwrap())
}

/// The fake crate with a piece of its text replaced, and unsafe code allowed.
pub fn changed(from: &str, to: &str) -> ModelCrate {
    let mut model = fake();
    let text = std::str::from_utf8(model.tree.get("src/lib.rs").unwrap()).unwrap();
    assert!(text.contains(from), "the fake model has no `{from}`");
    let text = text.replacen("#![forbid(unsafe_code)]", "", 1).replacen(from, to, 1);
    model.tree.insert("src/lib.rs", text);
    model
}

/// The emulated board, or nothing when it cannot be built for or run here; never nothing when CI is set.
pub fn board(id: &str) -> Option<Emulation> {
    let board = Emulation::of(kinglet_boards::find(id).unwrap(), Needs::default()).unwrap();
    let compiler = toolchain::route(&board.core.target).err();
    let missing = compiler.or(Emulator::find(&board.machine.emulator).err());
    if let Some(failure) = &missing {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{id}: {failure}");
        println!("skipped {id}: {failure}");
    }
    missing.is_none().then_some(board)
}

/// Two cases of three steps with bytes from a fixed generator.
pub fn cases() -> Cases {
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
#[allow(dead_code, reason = "not every test binary compares outputs")]
pub fn expected(cases: &Cases) -> Vec<u8> {
    let mut out = Vec::new();
    for case in cases.inputs.chunks(3 * 36) {
        let mut total = 0i32;
        for step in case.chunks(36) {
            let gain = i32::from_le_bytes(step[32..].try_into().unwrap());
            for row in 0..16usize {
                let weight = |column: usize| i32::from(((row * 32 + column) * 37 + 11) as u8 as i8);
                let products = (0..32).map(|column| weight(column) * i32::from(step[column] as i8));
                let sum = products.sum::<i32>().wrapping_mul(gain);
                total = total.wrapping_add(sum);
                out.extend(sum.to_le_bytes());
            }
            out.extend(total.to_le_bytes());
        }
    }
    out
}

/// A run with everything but the model, the board and the cases at its default.
#[allow(dead_code, reason = "not every test binary runs firmware")]
pub fn attempt<'a>(
    model: &'a ModelCrate,
    board: &'a Emulation,
    cases: &'a Cases,
    change: impl FnOnce(&mut Request<'a>),
) -> Result<Outcome, Failure> {
    let mut request = Request {
        model,
        core: &board.core,
        machine: &board.machine,
        profile: Profile::default(),
        taps: false,
        cases,
        count: Count::Instructions,
        marks: &[],
        costs: None,
        timeout: LIMIT,
    };
    change(&mut request);
    run(cache(), &request)
}
