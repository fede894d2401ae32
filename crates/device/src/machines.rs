//! The emulated machines as plain values, for callers and tests that have no board file at hand.

use crate::spec::{CoreSpec, Machine, MemoryMap, Region, Timer};

/// A core and the emulated machine it is run on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Board {
    /// The board's name.
    pub name: String,
    /// Its core.
    pub core: CoreSpec,
    /// The machine.
    pub machine: Machine,
}

fn arm(machine: &str, memory: MemoryMap, timer: Timer) -> Machine {
    Machine {
        emulator: "qemu-system-arm".into(),
        machine: machine.into(),
        arguments: Vec::new(),
        memory,
        timer,
    }
}

const CMSDK: Timer = Timer::Cmsdk { base: 0x4000_0000, picoseconds: 40_000 };

fn mps2() -> MemoryMap {
    MemoryMap::new(Region::new("flash", 0, 4 << 20), Region::new("ram", 0x2000_0000, 4 << 20))
}

/// nRF51822: 256 KiB of flash, 16 KiB of RAM.
pub fn microbit() -> Machine {
    let memory = MemoryMap::new(
        Region::new("flash", 0, 256 << 10),
        Region::new("ram", 0x2000_0000, 16 << 10),
    );
    arm("microbit", memory, Timer::SysTick { picoseconds: 62_500 })
}

/// The eight machines that Kinglet's firmware is tested on.
pub fn boards() -> Vec<Board> {
    let board =
        |name: &str, core: CoreSpec, machine: Machine| Board { name: name.into(), core, machine };
    let mut an547 = MemoryMap::new(
        Region::new("itcm", 0, 512 << 10),
        Region::new("dtcm", 0x2000_0000, 512 << 10),
    );
    an547.weights = Some(Region::new("ddr", 0x6000_0000, 64 << 20));
    vec![
        board("microbit", CoreSpec::new("thumbv6m-none-eabi", "cortex-m0"), microbit()),
        board(
            "mps2-an385-v6m",
            CoreSpec::new("thumbv6m-none-eabi", "cortex-m0plus"),
            arm("mps2-an385", mps2(), CMSDK),
        ),
        board(
            "mps2-an385",
            CoreSpec::new("thumbv7m-none-eabi", "cortex-m3"),
            arm("mps2-an385", mps2(), CMSDK),
        ),
        board(
            "mps2-an386",
            CoreSpec::new("thumbv7em-none-eabihf", "cortex-m4"),
            arm("mps2-an386", mps2(), CMSDK),
        ),
        board(
            "mps2-an500",
            CoreSpec::new("thumbv7em-none-eabihf", "cortex-m7"),
            arm("mps2-an500", mps2(), CMSDK),
        ),
        board(
            "mps2-an505",
            CoreSpec::new("thumbv8m.main-none-eabihf", "cortex-m33"),
            arm(
                "mps2-an505",
                MemoryMap::new(
                    Region::new("ssram1", 0x1000_0000, 4 << 20),
                    Region::new("ssram23", 0x3800_0000, 4 << 20),
                ),
                Timer::Cmsdk { base: 0x5000_0000, picoseconds: 50_000 },
            ),
        ),
        board(
            "mps3-an547",
            CoreSpec::new("thumbv8m.main-none-eabihf", "cortex-m55"),
            arm(
                "mps3-an547",
                an547,
                Timer::SystemCounter { base: 0x5810_0000, picoseconds: 31_250 },
            ),
        ),
        board(
            "riscv32-virt",
            CoreSpec::new("riscv32imc-unknown-none-elf", ""),
            Machine {
                emulator: "qemu-system-riscv32".into(),
                machine: "virt".into(),
                arguments: vec!["-bios".into(), "none".into()],
                memory: MemoryMap::new(
                    Region::new("flash", 0x8000_0000, 8 << 20),
                    Region::new("ram", 0x8080_0000, 8 << 20),
                ),
                timer: Timer::Minstret,
            },
        ),
    ]
}
