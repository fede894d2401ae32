//! What the peer, TensorFlow Lite Micro with CMSIS-NN, needs for the nine models that we are measured by,
//! and the cores it was measured on.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// A core that figures are compared on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Core {
    /// Its key in `data/peers.toml` and on the command line.
    pub key: &'static str,
    /// As people call it.
    pub name: &'static str,
    /// The emulated board that stands for it.
    pub board: &'static str,
    /// Whether the bench measures it without being asked.
    pub standard: bool,
}

const fn core(key: &'static str, name: &'static str, board: &'static str, standard: bool) -> Core {
    Core { key, name, board, standard }
}

/// All cores with figures of the peer's: `mps2-an385-v6m` is ARMv6-M code on an emulated M3, as the
/// peer's is; the peer's RISC-V figures are of RV32IMAC, whose atomics no kernel uses.
pub const CORES: [Core; 7] = [
    core("m4", "Cortex-M4", "mps2-an386", true),
    core("m55", "Cortex-M55", "mps3-an547", true),
    core("m0plus", "Cortex-M0+", "mps2-an385-v6m", true),
    core("rv32imc", "RV32IMC", "riscv32-virt", true),
    core("m3", "Cortex-M3", "mps2-an385", false),
    core("m7", "Cortex-M7", "mps2-an500", false),
    core("m33", "Cortex-M33", "mps2-an505", false),
];

/// The peer's figures.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peers {
    /// Bytes of the program around the model in the peer's flash figures.
    pub program_around: u64,
    /// By model.
    pub models: Vec<Peer>,
}

/// The peer's figures for one model; all sizes in bytes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// What the model is called in tables.
    pub name: String,
    /// The model file, without its folder and extension.
    pub file: String,
    /// Multiply-accumulates of one inference; a filter tap on padding counts.
    pub macs: u64,
    /// The largest sum of tensors alive at one operator.
    pub live_tensors: u64,
    /// Variables that outlive an inference.
    pub state: u64,
    /// Flash without the model, all -Os, on the M4, with the program around the model.
    pub flash_m4_size: u64,
    /// Instructions of one inference by core, the lowest of all builds measured.
    pub instructions: BTreeMap<String, u64>,
    /// Stack during inference by core.
    pub stack: BTreeMap<String, u64>,
}

static PEERS: LazyLock<Peers> = LazyLock::new(|| {
    // The text is part of the program; the test below reads it.
    toml::from_str(include_str!("../data/peers.toml"))
        .unwrap_or(Peers { program_around: 0, models: Vec::new() })
});

/// The peer's figures, in the order of all tables.
pub fn peers() -> &'static Peers {
    &PEERS
}

impl Peer {
    /// The model's file in the conformance set.
    pub fn path(&self, assets: &Path) -> PathBuf {
        assets.join(format!("models/{}.tflite", self.file))
    }

    /// The least that a planner without buffers in place could do: live tensors and state.
    pub fn memory(&self) -> u64 {
        self.live_tensors + self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::BOARDS;

    #[test]
    fn every_model_has_every_core() {
        let peers: Peers = toml::from_str(include_str!("../data/peers.toml")).expect("it parses");
        assert_eq!(peers.models.len(), 9);
        assert!(peers.program_around > 0);
        for peer in &peers.models {
            for core in CORES {
                assert!(peer.instructions[core.key] > 0, "{} on {}", peer.name, core.name);
                assert!(peer.stack[core.key] > 0, "{} on {}", peer.name, core.name);
            }
            assert_eq!(peer.instructions.len(), CORES.len());
            assert!(peer.flash_m4_size > peers.program_around);
        }
    }

    #[test]
    fn the_cores_are_those_of_the_device_matrix() {
        let mut ours: Vec<&str> = CORES.iter().map(|core| core.board).collect();
        let mut all = BOARDS.to_vec();
        ours.sort_unstable();
        all.sort_unstable();
        assert_eq!(ours, all);
    }

    #[test]
    fn the_model_files_have_these_multiplications() {
        let Some(assets) = crate::assets() else { return };
        for peer in &peers().models {
            let model = kinglet::model::Model::open(&peer.path(&assets)).expect("it opens");
            let macs: u64 =
                kinglet::inspect::inspect(&peer.path(&assets), &kinglet_target::Target::host())
                    .expect("it is described")
                    .facts
                    .totals
                    .macs
                    .expect("they are known");
            assert_eq!(macs, peer.macs, "{} ({})", peer.name, model.digest);
        }
    }
}
