//! A processor core: what [`kinglet_target`] says of it, and what the toolchain calls it.

use kinglet_target::{Fpu, Isa, Target, Vector};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A processor core.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Core {
    /// Its id: lower case, `cortex-m4f`.
    pub id: String,
    /// Its name as the vendor writes it.
    pub name: String,
    /// Its instruction set.
    pub isa: Isa,
    /// Its floating-point unit.
    pub fpu: Fpu,
    /// The vector extension that Kinglet knows how to use on it.
    pub vector: Vector,
    /// Bytes of a pointer.
    pub pointer_bytes: u8,
    /// Further extensions, in words; Kinglet does not use them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<String>,
    /// The Rust target triple; absent when nothing is built for the core.
    #[serde(default)]
    pub rust_target: Option<String>,
    /// The value of `-C target-cpu`; absent: the target's own default.
    #[serde(default)]
    pub target_cpu: Option<String>,
    /// Values of `-C target-feature`, with their sign.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub target_features: Vec<String>,
    /// Remarks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The source of each fact, by the fact's key.
    pub sources: BTreeMap<String, String>,
    /// Facts without a source, by key, with the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unverified: BTreeMap<String, String>,
}

impl Core {
    /// The core as lowering sees it.
    pub const fn target(&self) -> Target {
        Target {
            isa: self.isa,
            fpu: self.fpu,
            vector: self.vector,
            pointer_bytes: self.pointer_bytes,
        }
    }

    /// Whether Kinglet can build code for it.
    pub const fn builds(&self) -> bool {
        self.rust_target.is_some()
    }

    /// The keys of the facts that need a source: those that have a value.
    pub fn facts(&self) -> Vec<&'static str> {
        let mut facts = vec!["isa", "fpu", "vector"];
        if !self.extensions.is_empty() {
            facts.push("extensions");
        }
        if self.rust_target.is_some() {
            facts.push("rust_target");
        }
        facts
    }

    /// Whether code for `other` may run on this core: the instruction set is the same or one that
    /// this one contains, and nothing `other` has in hardware is missing here.
    pub fn runs_code_of(&self, other: &Core) -> bool {
        use Isa::{Armv6m, Armv7em, Armv7m, Armv8m};
        let level = |isa| match isa {
            Armv6m => Some(0),
            Armv7m => Some(1),
            Armv7em => Some(2),
            Armv8m => Some(3),
            _ => None,
        };
        let isa = match (level(self.isa), level(other.isa)) {
            (Some(mine), Some(theirs)) => mine >= theirs,
            _ => self.isa == other.isa,
        };
        let fpu = |fpu| match fpu {
            Fpu::None => 0,
            Fpu::Single => 1,
            Fpu::Double => 2,
        };
        let vector = match (self.vector, other.vector) {
            (_, Vector::None) | (Vector::Helium, Vector::Dsp) => true,
            (mine, theirs) => mine == theirs,
        };
        isa && fpu(self.fpu) >= fpu(other.fpu) && vector
    }
}
