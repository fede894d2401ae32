//! Counts instructions inside QEMU, exactly: a TCG plug-in written by Kinglet and built where it runs.
//!
//! Arguments: `begin=ADDRESS` sets the count to zero, `end=ADDRESS` writes it as `end COUNT`,
//! `marks=A:B:C` writes `mark ADDRESS COUNT` whenever one is reached, `profile=on` also writes
//! `at ADDRESS COUNT` for every address executed since `begin`, `flash=LOW:HIGH` beside it
//! `read ADDRESS COUNT` for every instruction that read from that range, `costs=FILE` gives lines of
//! `ADDRESS COST` whose sum stands behind the count of `mark` and `end`, `stack=LOW:HIGH` writes at exit the
//! lowest address stored to in that range, `out=FILE` is where it all goes.
//!
//! A count runs from the instruction at `begin`, included, to that at `end` or a mark, not included.
//! A translation block runs from its first instruction to its last unless it faults, which ends the
//! run anyway; so one addition counts a stretch of instructions up to the next marked address.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::fs::File;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock};

/// QEMU 9 replaced the inline operations of version 1 by ones with a counter for each processor.
#[unsafe(no_mangle)]
pub static qemu_plugin_version: c_int = if cfg!(qemu_api_2) { 2 } else { 1 };

const INLINE_ADD_U64: c_int = 0;
const CB_NO_REGS: c_int = 0;
/// Reads and writes: QEMU 7 takes the one for the other when asked for one of them.
const MEM_RW: c_int = 3;

#[repr(C)]
pub struct Block {
    _opaque: [u8; 0],
}

#[repr(C)]
pub struct Instruction {
    _opaque: [u8; 0],
}

type Translated = unsafe extern "C" fn(id: u64, block: *mut Block);
type Executed = unsafe extern "C" fn(cpu: c_uint, data: *mut c_void);
type Accessed = unsafe extern "C" fn(cpu: c_uint, info: u32, address: u64, data: *mut c_void);
type Exiting = unsafe extern "C" fn(id: u64, data: *mut c_void);

unsafe extern "C" {
    fn qemu_plugin_register_vcpu_tb_trans_cb(id: u64, callback: Translated);
    fn qemu_plugin_register_atexit_cb(id: u64, callback: Exiting, data: *mut c_void);
    fn qemu_plugin_tb_n_insns(block: *const Block) -> usize;
    fn qemu_plugin_tb_get_insn(block: *const Block, index: usize) -> *mut Instruction;
    fn qemu_plugin_insn_vaddr(instruction: *const Instruction) -> u64;
    fn qemu_plugin_register_vcpu_insn_exec_cb(
        instruction: *mut Instruction,
        callback: Executed,
        flags: c_int,
        data: *mut c_void,
    );
    fn qemu_plugin_register_vcpu_mem_cb(
        instruction: *mut Instruction,
        callback: Accessed,
        flags: c_int,
        access: c_int,
        data: *mut c_void,
    );
    fn qemu_plugin_mem_is_store(info: u32) -> bool;
    fn _exit(status: c_int) -> !;
}

/// A 64-bit counter that translated code adds to by itself.
#[cfg(not(qemu_api_2))]
mod counter {
    use super::*;

    unsafe extern "C" {
        fn qemu_plugin_register_vcpu_insn_exec_inline(
            instruction: *mut Instruction,
            operation: c_int,
            counter: *mut c_void,
            value: u64,
        );
    }

    pub struct Counter(Box<AtomicU64>);

    impl Counter {
        pub fn new() -> Self {
            Self(Box::new(AtomicU64::new(0)))
        }
        pub fn get(&self) -> u64 {
            self.0.load(Relaxed)
        }
        pub fn set(&self, value: u64) {
            self.0.store(value, Relaxed);
        }
        /// # Safety
        /// The instruction must come from the block under translation, and the counter live until exit.
        pub unsafe fn add_when_executed(&self, instruction: *mut Instruction, value: u64) {
            let counter = self.0.as_ptr().cast();
            // SAFETY: passed on from the caller.
            unsafe {
                qemu_plugin_register_vcpu_insn_exec_inline(
                    instruction,
                    INLINE_ADD_U64,
                    counter,
                    value,
                )
            };
        }
    }
}

/// A 64-bit counter that translated code adds to by itself.
#[cfg(qemu_api_2)]
mod counter {
    use super::*;

    #[repr(C)]
    pub struct Board {
        _opaque: [u8; 0],
    }

    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct Entry {
        board: *mut Board,
        offset: usize,
    }

    unsafe extern "C" {
        fn qemu_plugin_scoreboard_new(size: usize) -> *mut Board;
        fn qemu_plugin_u64_get(entry: Entry, cpu: c_uint) -> u64;
        fn qemu_plugin_u64_set(entry: Entry, cpu: c_uint, value: u64);
        fn qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(
            instruction: *mut Instruction,
            operation: c_int,
            entry: Entry,
            value: u64,
        );
    }

    pub struct Counter(Entry);

    // SAFETY: a scoreboard is QEMU's own and may be used from any thread.
    unsafe impl Send for Counter {}
    // SAFETY: as above.
    unsafe impl Sync for Counter {}

    impl Counter {
        pub fn new() -> Self {
            // SAFETY: asks QEMU for a board of one u64 a processor; never freed.
            Self(Entry { board: unsafe { qemu_plugin_scoreboard_new(8) }, offset: 0 })
        }
        pub fn get(&self) -> u64 {
            // SAFETY: the board lives until exit; the machines have one processor.
            unsafe { qemu_plugin_u64_get(self.0, 0) }
        }
        pub fn set(&self, value: u64) {
            // SAFETY: as in `get`.
            unsafe { qemu_plugin_u64_set(self.0, 0, value) };
        }
        /// # Safety
        /// The instruction must come from the block under translation.
        pub unsafe fn add_when_executed(&self, instruction: *mut Instruction, value: u64) {
            // SAFETY: passed on from the caller.
            unsafe {
                qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(
                    instruction,
                    INLINE_ADD_U64,
                    self.0,
                    value,
                )
            };
        }
    }
}

use counter::Counter;

struct State {
    begin: u64,
    end: u64,
    marks: BTreeSet<u64>,
    stack: Option<(u64, u64)>,
    total: Counter,
    by_address: Option<Mutex<BTreeMap<u64, Counter>>>,
    flash: Option<(u64, u64)>,
    reads: Mutex<BTreeMap<u64, &'static AtomicU64>>,
    costs: BTreeMap<u64, u64>,
    cost: Counter,
    lowest: AtomicU64,
    out: Mutex<File>,
}

static STATE: OnceLock<State> = OnceLock::new();

impl State {
    fn is_marked(&self, address: u64) -> bool {
        address == self.begin || address == self.end || self.marks.contains(&address)
    }

    fn write(&self, line: &str) {
        if let Ok(mut out) = self.out.lock() {
            let _ = writeln!(out, "{line}");
        }
    }

    fn cost_at(&self, address: u64) -> u64 {
        self.costs.get(&address).copied().unwrap_or(0)
    }

    /// The running sums, as they stand in a line.
    fn sums(&self) -> String {
        match self.costs.is_empty() {
            true => self.total.get().to_string(),
            false => format!("{} {}", self.total.get(), self.cost.get()),
        }
    }

    fn count_here(&self, address: u64) {
        if let Some(map) = &self.by_address
            && let Ok(map) = map.lock()
            && let Some(counter) = map.get(&address)
        {
            counter.set(counter.get() + 1);
        }
        self.total.set(self.total.get() + 1);
        self.cost.set(self.cost.get() + self.cost_at(address));
    }

    fn reached(&self, address: u64) {
        if address == self.begin {
            self.total.set(0);
            self.cost.set(0);
            if let Ok(reads) = self.reads.lock() {
                reads.values().for_each(|count| count.store(0, Relaxed));
            }
            if let Some(map) = &self.by_address
                && let Ok(map) = map.lock()
            {
                map.values().for_each(|counter| counter.set(0));
            }
        } else if address == self.end {
            self.write(&format!("end {}", self.sums()));
            if let Ok(reads) = self.reads.lock() {
                for (address, count) in reads.iter() {
                    match count.load(Relaxed) {
                        0 => {}
                        count => self.write(&format!("read {address:#x} {count}")),
                    }
                }
            }
            if let Some(map) = &self.by_address
                && let Ok(map) = map.lock()
            {
                for (address, counter) in map.iter().filter(|(_, counter)| counter.get() != 0) {
                    self.write(&format!("at {address:#x} {}", counter.get()));
                }
            }
        } else {
            self.write(&format!("mark {address:#x} {}", self.sums()));
        }
        self.count_here(address);
    }
}

unsafe extern "C" fn marked(_cpu: c_uint, data: *mut c_void) {
    if let Some(state) = STATE.get() {
        state.reached(data as u64);
    }
}

unsafe extern "C" fn stored(_cpu: c_uint, info: u32, address: u64, _data: *mut c_void) {
    // SAFETY: asks QEMU about what it just gave.
    if unsafe { qemu_plugin_mem_is_store(info) }
        && let Some(state) = STATE.get()
        && let Some((low, high)) = state.stack
        && (low..high).contains(&address)
    {
        state.lowest.fetch_min(address, Relaxed);
    }
}

/// `data` is the counter of the instruction that reads.
unsafe extern "C" fn read(_cpu: c_uint, info: u32, address: u64, data: *mut c_void) {
    // SAFETY: asks QEMU about what it just gave.
    if !unsafe { qemu_plugin_mem_is_store(info) }
        && let Some(state) = STATE.get()
        && let Some((low, high)) = state.flash
        && (low..high).contains(&address)
    {
        // SAFETY: a counter that was leaked when the instruction was translated.
        unsafe { &*data.cast::<AtomicU64>() }.fetch_add(1, Relaxed);
    }
}

unsafe extern "C" fn exiting(_id: u64, _data: *mut c_void) {
    if let Some(state) = STATE.get() {
        let lowest = state.lowest.load(Relaxed);
        if lowest != u64::MAX {
            state.write(&format!("lowest {lowest:#x}"));
        }
    }
}

unsafe extern "C" fn translated(_id: u64, block: *mut Block) {
    let Some(state) = STATE.get() else { return };
    // SAFETY: QEMU gives a block that lives through this call.
    let length = unsafe { qemu_plugin_tb_n_insns(block) };
    let mut stretch: Option<(*mut Instruction, u64, u64)> = None;
    for index in 0..=length {
        let mut marked_here = None;
        if index < length {
            // SAFETY: the index is below the block's length.
            let instruction = unsafe { qemu_plugin_tb_get_insn(block, index) };
            // SAFETY: the instruction belongs to the block.
            let address = unsafe { qemu_plugin_insn_vaddr(instruction) };
            if state.stack.is_some() {
                let none = std::ptr::null_mut();
                // SAFETY: as above; the callback needs no data.
                unsafe {
                    qemu_plugin_register_vcpu_mem_cb(instruction, stored, CB_NO_REGS, MEM_RW, none)
                };
            }
            if state.flash.is_some()
                && let Ok(mut reads) = state.reads.lock()
            {
                let counter = reads.entry(address).or_insert_with(|| Box::leak(Box::default()));
                let data = std::ptr::from_ref::<AtomicU64>(counter).cast_mut().cast();
                // SAFETY: as above; the counter is never freed.
                unsafe {
                    qemu_plugin_register_vcpu_mem_cb(instruction, read, CB_NO_REGS, MEM_RW, data)
                };
            }
            let is_marked = state.is_marked(address);
            if let Some(map) = &state.by_address
                && let Ok(mut map) = map.lock()
            {
                let counter = map.entry(address).or_insert_with(Counter::new);
                if !is_marked {
                    // SAFETY: as above; counters are never dropped.
                    unsafe { counter.add_when_executed(instruction, 1) };
                }
            }
            if is_marked {
                marked_here = Some((instruction, address));
            } else {
                let cost = state.cost_at(address);
                stretch = Some(stretch.map_or((instruction, 1, cost), |(first, length, sum)| {
                    (first, length + 1, sum + cost)
                }));
                continue;
            }
        }
        if let Some((first, length, cost)) = stretch.take() {
            // SAFETY: as above; the state is never dropped.
            unsafe { state.total.add_when_executed(first, length) };
            if cost > 0 {
                // SAFETY: as above.
                unsafe { state.cost.add_when_executed(first, cost) };
            }
        }
        if let Some((instruction, address)) = marked_here {
            // SAFETY: as above; the data is a number.
            unsafe {
                qemu_plugin_register_vcpu_insn_exec_cb(
                    instruction,
                    marked,
                    CB_NO_REGS,
                    address as *mut c_void,
                )
            };
        }
    }
}

fn number(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

fn configure(arguments: &[&str]) -> Option<State> {
    let (mut begin, mut end, mut marks, mut stack, mut profile, mut out) =
        (u64::MAX, u64::MAX, BTreeSet::new(), None, false, None);
    let (mut flash, mut costs) = (None, BTreeMap::new());
    let range = |value: &str| {
        let (low, high) = value.split_once(':')?;
        Some((number(low)?, number(high)?))
    };
    for argument in arguments {
        let (name, value) = argument.split_once('=')?;
        match name {
            "begin" => begin = number(value)?,
            "end" => end = number(value)?,
            "marks" => marks = value.split(':').map(number).collect::<Option<_>>()?,
            "stack" => stack = Some(range(value)?),
            "flash" => flash = Some(range(value)?),
            "costs" => {
                for line in std::fs::read_to_string(value).ok()?.lines() {
                    let (address, cost) = line.split_once(' ')?;
                    costs.insert(number(address)?, cost.parse().ok()?);
                }
            }
            "profile" => profile = value == "on",
            "out" => out = Some(File::create(value).ok()?),
            _ => return None,
        }
    }
    Some(State {
        begin,
        end,
        marks,
        stack,
        total: Counter::new(),
        by_address: profile.then(|| Mutex::new(BTreeMap::new())),
        flash,
        reads: Mutex::new(BTreeMap::new()),
        costs,
        cost: Counter::new(),
        lowest: AtomicU64::new(u64::MAX),
        out: Mutex::new(out?),
    })
}

/// The emulator must not outlive who started it, however that one ended.
fn end_with_parent() {
    let parent = std::os::unix::process::parent_id();
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(std::time::Duration::from_millis(200));
            if std::os::unix::process::parent_id() != parent {
                // SAFETY: ends the process at once, whatever its other threads do.
                unsafe { _exit(1) };
            }
        }
    });
}

/// # Safety
/// Called by QEMU with `argc` strings at `argv`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qemu_plugin_install(
    id: u64,
    _info: *const c_void,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    let mut arguments = Vec::new();
    for index in 0..usize::try_from(argc).unwrap_or(0) {
        // SAFETY: QEMU gives `argc` strings, which live until exit.
        let text = unsafe { CStr::from_ptr(*argv.add(index)) };
        let Ok(text) = text.to_str() else { return 1 };
        arguments.push(text);
    }
    let Some(state) = configure(&arguments) else { return 1 };
    if STATE.set(state).is_err() {
        return 1;
    }
    end_with_parent();
    // SAFETY: registers functions of the types that QEMU expects, for the id it gave.
    unsafe {
        qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
        qemu_plugin_register_atexit_cb(id, exiting, std::ptr::null_mut());
    }
    0
}
