//! Boards and cores, as data.
//!
//! A core is an instruction set with its extensions and the names the Rust toolchain has for it; a
//! board is a core with memory, by contiguous region. Both are TOML files under `data/`, embedded
//! at build time, and every fact in them names its source or stands in the list of unverified ones.
//! The emulated machines are boards too, and say for which real cores they stand.
//!
//! This crate knows no model and no program, and builds nothing.
//!
//! ```
//! let board = kinglet_boards::find("nucleo-h743zi2")?;
//! let largest = board.largest_ram().expect("this board has RAM");
//! assert_eq!(largest.bytes, 512 * 1024); // of "1 MB": the sum of regions holds no arena
//! assert_eq!(board.emulator().expect("an M7 can be emulated").id, "mps2-an500");
//! # Ok::<(), kinglet_diag::Failure>(())
//! ```

mod board;
mod catalog;
mod cores;
mod docs;
mod read;

pub use board::{
    Accelerator, Board, Class, Emulated, Region, RegionKind, Reserved, Timer, TimerKind,
};
pub use catalog::{all, core, cores, find, load_file, open, source};
pub use cores::Core;
pub use docs::render_docs;
pub use read::parse_board;
