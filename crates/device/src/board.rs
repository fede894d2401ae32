//! A board of `kinglet-boards` as the plain values that a build and a run need.

use crate::spec::{CoreSpec, Machine, MemoryMap, Region, Timer};
use kinglet_boards::{Board, RegionKind, TimerKind};
use kinglet_diag::{Diagnostic, Result, code};

/// What a model is known to need before anything is built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Bytes of arena and state.
    pub arena_bytes: u64,
    /// Bytes of weights and tables.
    pub weights_bytes: u64,
}

/// How a board's firmware is built and where it is run: on the board itself if it is an emulated one, or
/// on the emulated machine that stands for its core, with the board's own sizes of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emulation {
    /// The board's id.
    pub board: String,
    /// The id of the emulated board.
    pub emulated: String,
    /// The core that code is compiled for: the board's own.
    pub core: CoreSpec,
    /// The machine, with the memory that firmware may use.
    pub machine: Machine,
}

/// Flash kept for code and constants when deciding whether weights go there too.
const CODE_BYTES: u64 = 96 << 10;
/// RAM kept for stack and statics when deciding whether the arena goes there too.
const STACK_BYTES: u64 = 8 << 10;

/// RAM that firmware is given at most, unless its arena needs more.
const RAM_BYTES: u64 = 16 << 20;

impl Emulation {
    /// The emulation of a board for a model with these needs.
    ///
    /// Code and variables go to the machine's first flash and RAM. A real board's sizes are kept: its
    /// largest flash and its largest contiguous RAM, less what is reserved there. Weights or an arena that
    /// are too large for the machine's first regions, but not for the board, go to its other memory.
    ///
    /// # Errors
    /// K0717 if nothing can be built for the board's core, or no emulated machine stands for it.
    pub fn of(board: &Board, needs: Needs) -> Result<Self> {
        let unfit = |why: &str| {
            Diagnostic::error(code::BOARD_NOT_EMULATED, format!("the board {} {why}", board.id))
                .help("`kinglet boards` lists the emulated boards and the cores they stand for; the engines `native:` and `crate:` need no emulator")
        };
        let core = core(board).ok_or_else(|| unfit("has a core that firmware is not built for"))?;
        let host = board
            .emulator()
            .ok_or_else(|| unfit("has no emulated machine that stands for its core"))?;
        let emulated = host
            .emulated
            .as_ref()
            .ok_or_else(|| unfit("has no emulated machine that stands for its core"))?;
        let flash = first(host, RegionKind::Flash)
            .ok_or_else(|| unfit("is emulated by a machine without flash"))?;
        let ram = first(host, RegionKind::Ram)
            .ok_or_else(|| unfit("is emulated by a machine without RAM"))?;
        let mut memory = MemoryMap::new(flash, ram);
        // A RAM of a hundred megabytes is painted, loaded and searched in vain, and QEMU keeps the device
        // tree at the end of the RISC-V machine's.
        memory.ram.len = memory.ram.len.min(RAM_BYTES.max(needs.arena_bytes.saturating_mul(2)));
        // What the board has in all; an emulated one is not limited further.
        let (mut flash_bytes, mut ram_bytes) = (u64::MAX, u64::MAX);
        if !board.is_emulated() {
            let flash = board.largest_flash();
            flash_bytes = limit(&mut memory.flash, flash, board.reserved_bytes(RegionKind::Flash));
            ram_bytes =
                limit(&mut memory.ram, board.largest_ram(), board.reserved_bytes(RegionKind::Ram));
        }
        // Only what the board has and the machine's first region has not may lie elsewhere.
        if needs.weights_bytes.saturating_add(CODE_BYTES) > memory.flash.len
            && flash_bytes > memory.flash.len
        {
            memory.weights =
                spare(host, &[RegionKind::ExternalFlash, RegionKind::Psram], needs.weights_bytes);
            cut(&mut memory.weights, flash_bytes);
        }
        if needs.arena_bytes.saturating_add(STACK_BYTES) > memory.ram.len
            && ram_bytes > memory.ram.len
        {
            let other = spare(host, &[RegionKind::Ram, RegionKind::Psram], needs.arena_bytes);
            memory.arena = other.filter(|region| region.origin != memory.ram.origin);
            cut(&mut memory.arena, ram_bytes);
        }
        Ok(Self {
            board: board.id.clone(),
            emulated: host.id.clone(),
            core,
            machine: Machine {
                emulator: emulated.qemu.clone(),
                machine: emulated.machine.clone(),
                arguments: emulated.args.clone(),
                memory,
                timer: timer(&emulated.timer),
            },
        })
    }
}

/// The core of a board, if firmware is built for it.
pub fn core(board: &Board) -> Option<CoreSpec> {
    let target = board.core.rust_target.clone()?;
    (target.starts_with("thumb") || target.starts_with("riscv32")).then(|| CoreSpec {
        target,
        cpu: board.core.target_cpu.clone().unwrap_or_default(),
        features: board.core.target_features.clone(),
    })
}

fn placed(region: &kinglet_boards::Region) -> Option<Region> {
    Some(Region::new(region.name.clone(), region.origin?, region.bytes))
}

/// The first block of a kind.
fn first(board: &Board, kind: RegionKind) -> Option<Region> {
    board.regions(kind).iter().find_map(placed)
}

/// The first block of these kinds that holds so much, else the largest.
fn spare(board: &Board, kinds: &[RegionKind], bytes: u64) -> Option<Region> {
    let blocks: Vec<Region> = kinds
        .iter()
        .flat_map(|kind| board.regions(*kind))
        .filter_map(|region| placed(&region))
        .collect();
    let enough = blocks.iter().find(|region| region.len >= bytes).cloned();
    enough.or_else(|| blocks.into_iter().max_by_key(|region| region.len))
}

/// Makes a machine's region as large as a board's block less what is reserved there, if that is smaller;
/// returns what the board has.
fn limit(region: &mut Region, block: Option<kinglet_boards::Region>, reserved: u64) -> u64 {
    let Some(block) = block else { return region.len };
    let bytes = block.bytes.saturating_sub(reserved);
    region.len = region.len.min(bytes);
    region.name = block.name;
    bytes
}

fn cut(region: &mut Option<Region>, bytes: u64) {
    if let Some(region) = region {
        region.len = region.len.min(bytes);
    }
}

fn timer(timer: &kinglet_boards::Timer) -> Timer {
    let picoseconds = (timer.ns_per_tick * 1000.0).round() as u64;
    match (timer.kind, timer.address) {
        (TimerKind::CmsdkTimer, Some(base)) => Timer::Cmsdk { base, picoseconds },
        (TimerKind::SystemCounter, Some(base)) => Timer::SystemCounter { base, picoseconds },
        (TimerKind::NrfTimer, Some(base)) => Timer::Nrf { base, picoseconds },
        (TimerKind::SysTick, _) => Timer::SysTick { picoseconds },
        (TimerKind::Minstret, _) => Timer::Minstret,
        _ => Timer::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(id: &str, needs: Needs) -> Emulation {
        Emulation::of(kinglet_boards::find(id).unwrap(), needs).unwrap()
    }

    #[test]
    fn a_real_board_keeps_its_own_sizes() {
        let found = of("nucleo-f446re", Needs::default());
        assert_eq!(found.emulated, "mps2-an386");
        assert_eq!(found.core.cpu, "cortex-m4");
        assert_eq!(found.machine.memory.flash.len, 512 << 10);
        assert_eq!(found.machine.memory.ram.len, 128 << 10);
        assert_eq!(found.machine.memory.flash.origin, 0, "the machine's address, not the board's");
        let large = of("nucleo-f446re", Needs { arena_bytes: 1 << 20, weights_bytes: 1 << 20 });
        assert_eq!((large.machine.memory.arena, large.machine.memory.weights), (None, None));
    }

    #[test]
    fn an_emulated_board_lends_its_other_memory() {
        let small = of("mps3-an547", Needs { arena_bytes: 100_000, weights_bytes: 100_000 });
        assert_eq!((small.machine.memory.arena, small.machine.memory.weights), (None, None));
        let large = of("mps3-an547", Needs { arena_bytes: 600_000, weights_bytes: 600_000 });
        assert_eq!(large.machine.memory.weights.unwrap().name, "QSPI");
        assert_eq!(large.machine.memory.arena.unwrap().name, "ISRAM0+ISRAM1");
    }

    #[test]
    fn every_emulated_board_can_be_run() {
        let emulated: Vec<_> =
            kinglet_boards::all().iter().filter(|board| board.is_emulated()).collect();
        assert!(emulated.len() >= 8);
        for board in emulated {
            let found = Emulation::of(board, Needs::default()).unwrap();
            assert!(found.machine.timer.instructions_per_tick().is_some(), "{}", board.id);
        }
    }

    #[test]
    fn a_board_that_cannot_be_emulated_is_said() {
        let linux = kinglet_boards::find("raspberry-pi-5").unwrap();
        let failure = Emulation::of(linux, Needs::default()).unwrap_err();
        assert_eq!(failure.first().code, code::BOARD_NOT_EMULATED);
        assert!(failure.first().message.contains("raspberry-pi-5"));
    }
}
