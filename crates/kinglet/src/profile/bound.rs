//! What an instruction set allows at best, to compare counts with.

use kinglet_target::{Isa, Target, Vector};
use serde::Serialize;

/// The best that a dot product of int8 can do in a core's registers. `docs/json/profile.md` says how each
/// figure comes about.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bound {
    /// The instruction set.
    pub isa: &'static str,
    /// Multiply-accumulates an instruction.
    pub macs_per_instruction: f64,
    /// The block of outputs, and the instructions of its inner loop.
    pub block: &'static str,
}

const fn of(isa: &'static str, macs_per_instruction: f64, block: &'static str) -> Bound {
    Bound { isa, macs_per_instruction, block }
}

const BOUNDS: [Bound; 5] = [
    of("Armv6-M", 0.33, "many channels of one place: load, multiply, add for each product"),
    of("Armv7-M", 0.6, "3 places x 3 channels: 6 loads, 9 MLA for 9 products"),
    of(
        "Arm DSP extension",
        1.26,
        "1 place x 6 channels, 4 deep: 1 load and 2 SXTB16 for the input, 4 LDM of 3 words of spread weights, 12 SMLAD for 24 products",
    ),
    of("Helium", 8.7, "3 places x 2 channels, 16 deep: 5 loads, 6 VMLADAVA for 96 products"),
    of(
        "RV32IMC",
        0.6,
        "6 places in 4 words x 4 channels: 8 loads, 16 multiplies, 16 adds for 24 products",
    ),
];

/// The bound of a core; `None` for machines that no profile is made on.
pub fn bound(target: Target) -> Option<Bound> {
    let [armv6m, armv7m, dsp, helium, rv32imc] = BOUNDS;
    Some(match (target.isa, target.vector) {
        (_, Vector::Helium) => helium,
        (_, Vector::Dsp) => dsp,
        (Isa::Armv6m, _) => armv6m,
        (Isa::Armv7m | Isa::Armv7em | Isa::Armv8m, _) => armv7m,
        (Isa::Rv32imc, _) => rv32imc,
        (Isa::Xtensa | Isa::Aarch64 | Isa::X86_64, _) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_emulated_core_has_a_bound() {
        for board in kinglet_boards::all().iter().filter(|board| board.is_emulated()) {
            assert!(bound(board.target()).is_some(), "{}", board.id);
        }
        let isa =
            |id| bound(kinglet_boards::find(id).expect("a board").target()).expect("a bound").isa;
        assert_eq!(isa("mps2-an386"), "Arm DSP extension");
        assert_eq!(isa("mps2-an385"), "Armv7-M");
        assert_eq!(isa("mps2-an385-v6m"), "Armv6-M");
        assert_eq!(isa("mps3-an547"), "Helium");
        assert_eq!(isa("riscv32-virt"), "RV32IMC");
    }

    #[test]
    fn the_page_has_every_bound() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/json/profile.md");
        let page = std::fs::read_to_string(path).expect("the page");
        for bound in BOUNDS {
            let row =
                format!("| {} | {} | {} |", bound.isa, bound.macs_per_instruction, bound.block);
            assert!(page.contains(&row), "docs/json/profile.md lacks: {row}");
        }
    }
}
