//! What tests on emulated boards share.

use kinglet_device::{State, doctor};

/// Whether this is a machine where nothing may be skipped.
pub fn in_ci() -> bool {
    std::env::var("CI").as_deref() == Ok("true")
}

/// Whether firmware for a target can be built here, and run by these emulators; says so where not.
///
/// # Panics
/// Where not, and `CI=true`.
pub fn can_build(target: &str, emulators: &[&str]) -> bool {
    let checks = doctor(&[target], emulators);
    let missing = checks.iter().find(|check| check.state == State::Missing);
    if let Some(check) = missing {
        assert!(!in_ci(), "{}: {}", check.name, check.detail);
        println!("skipped: {}: {}", check.name, check.detail);
    }
    missing.is_none()
}

/// Whether firmware for a Cortex-M4F can be built and run here.
pub fn can_emulate() -> bool {
    can_build("thumbv7em-none-eabihf", &["qemu-system-arm"])
}
