//! A board: a core with memory around it.

use crate::cores::Core;
use kinglet_target::Target;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What kind of machine a board is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Firmware runs alone on it; memory is a few named regions.
    Microcontroller,
    /// It runs Linux.
    Linux,
    /// A device beside a host: the board's core and memory are the host's, where they are known.
    Accelerator,
}

/// What a memory region is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RegionKind {
    /// RAM inside the chip; on a Linux board, its main memory.
    Ram,
    /// Flash inside the chip, or the one flash that the chip runs from.
    Flash,
    /// RAM outside a microcontroller: PSRAM, SDRAM, HyperRAM.
    Psram,
    /// Flash beside the one the firmware runs from; on a Linux board, its storage.
    ExternalFlash,
}

impl RegionKind {
    /// The kind as the board files write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            RegionKind::Ram => "ram",
            RegionKind::Flash => "flash",
            RegionKind::Psram => "psram",
            RegionKind::ExternalFlash => "external-flash",
        }
    }
}

/// One block of memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// Its name in the vendor's documents.
    pub name: String,
    /// What it is made of.
    pub kind: RegionKind,
    /// Its first address, where one is known.
    #[serde(default)]
    pub origin: Option<u64>,
    /// Its size in bytes; more than 0.
    pub bytes: u64,
    /// Whether it is one block. `false` when only a total was published, so that the largest block
    /// is not known to be as large as `bytes`.
    #[serde(default = "yes")]
    pub contiguous: bool,
    /// Whether the chip's ordinary DMA reaches it; absent when no source says.
    #[serde(default)]
    pub dma: Option<bool>,
    /// Whether it stands behind a data cache, so that first runs are slower than later ones; absent
    /// when no source says.
    #[serde(default)]
    pub cached: Option<bool>,
    /// Whether it is coupled to the core without wait states and without cache.
    #[serde(default)]
    pub tightly_coupled: bool,
    /// Of flash: cycles that a read takes beyond the first, at the board's clock; absent when no source says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_states: Option<u32>,
    /// Of flash: bytes that are read at once; stands beside `wait_states`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line_bytes: Option<u32>,
    /// A remark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// Its own source, where it differs from the board's source for `memory`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

const fn yes() -> bool {
    true
}

impl Region {
    /// The address behind its last byte, where its first is known.
    pub fn end(&self) -> Option<u64> {
        self.origin.and_then(|origin| origin.checked_add(self.bytes))
    }

    /// Whether `next` continues this region: the addresses adjoin and nothing else differs, so
    /// that one buffer may lie across the border.
    fn adjoins(&self, next: &Region) -> bool {
        let same = |r: &Region| (r.kind, r.dma, r.cached, r.tightly_coupled, r.contiguous);
        self.contiguous
            && same(self) == same(next)
            && self.end().is_some()
            && self.end() == next.origin
    }
}

/// Memory that is not the firmware's: a boot loader, a radio stack, an operating system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reserved {
    /// Who takes it.
    pub what: String,
    /// The name of the region it is taken from.
    pub region: String,
    /// How much, in bytes.
    pub bytes: u64,
    /// Who says so; absent exactly when it is an assumption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Whether it is Kinglet's assumption and not a published figure.
    #[serde(default)]
    pub assumption: bool,
}

/// A coprocessor for neural networks. Kinglet does not build for it; the board file names it so
/// that nobody mistakes the core's speed for the board's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accelerator {
    /// Its name.
    pub name: String,
    /// Its peak, in 10^12 operations a second, where published.
    #[serde(default)]
    pub tops: Option<f64>,
    /// What the peak counts: `dense int8`, `sparse int8`, `fp16`, where known.
    #[serde(default)]
    pub tops_basis: Option<String>,
}

/// A timer that counts instructions when QEMU runs with `-icount shift=0`, where one instruction
/// takes one virtual nanosecond.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timer {
    /// How it is programmed.
    pub kind: TimerKind,
    /// Its first register; absent for a timer that is no memory-mapped device.
    #[serde(default)]
    pub address: Option<u64>,
    /// Virtual nanoseconds, and so instructions, a tick.
    pub ns_per_tick: f64,
    /// The width of its counter in bits.
    pub bits: u8,
}

/// How an emulated machine's timer is programmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimerKind {
    /// CMSDK APB timer: write 0 to control (+0); all ones to reload (+8) and value (+4); 1 to
    /// control; read the value (+4), which counts down.
    CmsdkTimer,
    /// SSE-300 system counter, control frame: write 1 to +0; read the low word at +8, which counts
    /// up.
    SystemCounter,
    /// SysTick at `address`: write 0xff_ffff to reload (+4), 0 to value (+8), 5 to control (+0);
    /// read the value (+8), which counts down in 24 bits and wraps.
    SysTick,
    /// nRF51 TIMER: write 3 to BITMODE (+0x508), 0 to PRESCALER (+0x510), 1 to START (+0); write 1
    /// to CAPTURE\[0\] (+0x40) and read CC\[0\] (+0x540), which counts up.
    NrfTimer,
    /// The RISC-V CSR `minstret`: the exact number of instructions.
    Minstret,
}

/// What makes an emulated board run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Emulated {
    /// The program: `qemu-system-arm`.
    pub qemu: String,
    /// The value of `-machine`.
    pub machine: String,
    /// Further arguments this machine needs.
    #[serde(default)]
    pub args: Vec<String>,
    /// What is emulated, and what is not, in a sentence.
    pub emulates: String,
    /// The ids of the real cores it stands for.
    pub stands_for: Vec<String>,
    /// The timer that counts instructions.
    pub timer: Timer,
}

/// A board.
#[derive(Clone, Debug, Serialize)]
pub struct Board {
    /// Its id: lower case, digits and hyphens, `nucleo-f446re`.
    pub id: String,
    /// Other names it is found by; among them its key in published measurements.
    pub aliases: Vec<String>,
    /// Its name as the vendor writes it.
    pub name: String,
    /// Who makes it.
    pub vendor: String,
    /// Its chip.
    pub soc: String,
    /// What kind of machine it is.
    pub class: Class,
    /// The core that runs the model.
    pub core: &'static Core,
    /// How many of that core there are.
    pub core_count: u32,
    /// The other cores, in words.
    pub other_cores: Vec<String>,
    /// The core's clock in MHz, where known.
    pub clock_mhz: Option<f64>,
    /// Its memory, as the sources list it. For judging what fits take [`Board::ram_regions`].
    pub memory: Vec<Region>,
    /// Memory that is not the firmware's.
    pub reserved: Vec<Reserved>,
    /// Coprocessors for neural networks.
    pub accelerators: Vec<Accelerator>,
    /// How to run it, if it is an emulated machine.
    pub emulated: Option<Emulated>,
    /// The id of the emulated machine that stands for its core; its own if it is one.
    pub emulated_by: Option<String>,
    /// Remarks.
    pub notes: Vec<String>,
    /// The source of each fact, by the fact's key.
    pub sources: BTreeMap<String, String>,
    /// Facts that no independent source confirmed, or that no source states, by key, with the
    /// reason.
    pub unverified: BTreeMap<String, String>,
}

impl Board {
    /// The board's core as lowering sees it.
    pub const fn target(&self) -> Target {
        self.core.target()
    }

    /// Whether it is an emulated machine.
    pub const fn is_emulated(&self) -> bool {
        self.emulated.is_some()
    }

    /// The emulated board that stands for this one's core; itself if it is emulated; `None` when no
    /// emulated machine runs its code.
    pub fn emulator(&self) -> Option<&Board> {
        if self.is_emulated() {
            return Some(self);
        }
        let id = self.emulated_by.as_deref()?;
        crate::all().iter().find(|board| board.id == id)
    }

    /// The RAM inside the chip by contiguous block, in the order of the file; a block may span
    /// several of the vendor's regions and is then named after all of them (CM-01).
    pub fn ram_regions(&self) -> Vec<Region> {
        self.regions(RegionKind::Ram)
    }

    /// The flash the firmware runs from, by contiguous block.
    pub fn flash_regions(&self) -> Vec<Region> {
        self.regions(RegionKind::Flash)
    }

    /// The regions of one kind by contiguous block: regions whose addresses adjoin and whose
    /// properties are the same are joined, `SRAM1+SRAM2`.
    pub fn regions(&self, kind: RegionKind) -> Vec<Region> {
        let mut blocks: Vec<Region> = Vec::new();
        for region in self.memory.iter().filter(|region| region.kind == kind) {
            match blocks.last_mut() {
                Some(last) if last.adjoins(region) => {
                    last.name = format!("{}+{}", last.name, region.name);
                    last.bytes = last.bytes.saturating_add(region.bytes);
                }
                _ => blocks.push(region.clone()),
            }
        }
        blocks
    }

    /// The largest contiguous block of RAM inside the chip: the most an arena can have.
    pub fn largest_ram(&self) -> Option<Region> {
        largest(self.ram_regions())
    }

    /// The largest contiguous block of flash that the firmware runs from.
    pub fn largest_flash(&self) -> Option<Region> {
        largest(self.flash_regions())
    }

    /// The sum of all regions of one kind, in bytes.
    pub fn total_bytes(&self, kind: RegionKind) -> u64 {
        let regions = self.memory.iter().filter(|region| region.kind == kind);
        regions.fold(0, |sum, region| sum.saturating_add(region.bytes))
    }

    /// What is taken from regions of one kind before the firmware starts, in bytes.
    pub fn reserved_bytes(&self, kind: RegionKind) -> u64 {
        let of_kind = |name: &str| self.region(name).is_some_and(|region| region.kind == kind);
        let taken = self.reserved.iter().filter(|reserved| of_kind(&reserved.region));
        taken.fold(0, |sum, reserved| sum.saturating_add(reserved.bytes))
    }

    /// The region with this name, as the sources list it.
    pub fn region(&self, name: &str) -> Option<&Region> {
        self.memory.iter().find(|region| region.name == name)
    }

    /// The keys of the facts that have a value and so need a source or an entry among the
    /// unverified ones.
    pub fn facts(&self) -> Vec<&'static str> {
        let mut facts = vec!["soc", "core"];
        let mut add = |there: bool, fact| {
            if there {
                facts.push(fact);
            }
        };
        add(self.clock_mhz.is_some(), "clock_mhz");
        add(self.memory.iter().any(|region| region.source.is_none()), "memory");
        let attributes = |r: &Region| r.dma.is_some() || r.cached.is_some() || r.tightly_coupled;
        add(self.memory.iter().any(attributes), "memory_attributes");
        add(self.memory.iter().any(|region| region.wait_states.is_some()), "flash_timing");
        add(!self.accelerators.is_empty(), "accelerators");
        add(self.is_emulated(), "emulated");
        facts
    }
}

fn largest(regions: Vec<Region>) -> Option<Region> {
    // The first of equals, so that the answer does not depend on how ties are broken elsewhere.
    regions.into_iter().reduce(|best, region| if region.bytes > best.bytes { region } else { best })
}
