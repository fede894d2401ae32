//! What of the environment is there, what is missing, and the command that mends it.

use crate::cache::Cache;
use crate::emulator::{self, Emulator};
use crate::plugin::plugin;
use crate::toolchain::{remedy, route, toolchains};
use serde::Serialize;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is there.
    Ok,
    /// Something works less well without it.
    Degraded,
    /// Something does not work without it.
    Missing,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked for: `rust`, `target thumbv6m-none-eabi`, `qemu-system-arm`.
    pub name: String,
    /// How it came out.
    pub state: State,
    /// What was found, or what is lost without it.
    pub detail: String,
    /// The command that mends it.
    pub remedy: Option<String>,
}

impl Check {
    fn ok(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { name: name.into(), state: State::Ok, detail: detail.into(), remedy: None }
    }

    fn missing(
        name: impl Into<String>,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            state: State::Missing,
            detail: detail.into(),
            remedy: Some(remedy.into()),
        }
    }
}

/// Looks at compilers, at each of the targets, at each of the emulators, and at the build cache.
pub fn doctor(targets: &[&str], emulators: &[&str]) -> Vec<Check> {
    let mut checks = Vec::new();
    let found = toolchains();
    for toolchain in found {
        checks.push(Check::ok(
            "rust",
            format!("{} in {}", toolchain.release, toolchain.sysroot.display()),
        ));
    }
    if found.is_empty() {
        checks.push(Check::missing(
            "rust",
            "no compiler with cargo beside it",
            "install Rust with rustup",
        ));
    }
    for target in targets {
        let name = format!("target {target}");
        checks.push(match route(target) {
            Ok(route) => Check::ok(name, route.describe()),
            Err(failure) => {
                let help = failure.first().help.clone().unwrap_or_else(|| remedy(target));
                Check::missing(name, failure.first().message.clone(), help)
            }
        });
    }
    let cache = Cache::open();
    for program in emulators {
        match Emulator::find(program) {
            Ok(found) => {
                checks.push(Check::ok(
                    *program,
                    format!("{} at {}", found.version, found.path.display()),
                ));
                let Ok(cache) = &cache else { continue };
                let name = format!("{program} counting plug-in");
                checks.push(match plugin(cache, &found) {
                    Ok(_) => Check::ok(name, "built; instructions are counted one by one"),
                    Err(why) => Check {
                        name,
                        state: State::Degraded,
                        detail: format!("{why}; instructions are counted by a timer"),
                        remedy: Some(
                            "install a C linker (`cc`) for this machine's own Rust programs".into(),
                        ),
                    },
                });
            }
            Err(failure) => {
                checks.push(Check::missing(
                    *program,
                    failure.first().message.clone(),
                    emulator::remedy(program),
                ));
            }
        }
    }
    checks.push(match cache {
        Ok(cache) => {
            let info = cache.info();
            let bytes = info.firmware_bytes + info.build_bytes;
            Check::ok(
                "build cache",
                format!("{} of {} bytes used in {}", bytes, info.limit_bytes, info.path.display()),
            )
        }
        Err(failure) => Check::missing(
            "build cache",
            failure.first().to_string(),
            failure.first().help.clone().unwrap_or_default(),
        ),
    });
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_comes_with_the_command_that_mends_it() {
        let checks = doctor(&["no-such-target"], &["qemu-system-no-such"]);
        let find = |name: &str| checks.iter().find(|check| check.name == name).unwrap();
        assert_eq!(find("rust").state, State::Ok);
        let target = find("target no-such-target");
        assert_eq!(target.state, State::Missing);
        assert!(target.remedy.as_ref().unwrap().contains("rustup target add no-such-target"));
        let emulator = find("qemu-system-no-such");
        assert_eq!(emulator.state, State::Missing);
        assert!(emulator.remedy.as_ref().unwrap().contains("apt-get install"));
        assert!(checks.iter().all(|check| check.state == State::Ok || check.remedy.is_some()));
    }
}
