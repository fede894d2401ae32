//! Copying bytes where words must be aligned: the compiler loads and stores one by one what may not be.

/// Copies as many bytes as the shorter side has.
///
/// Its portable form is in `crate::copy`.
#[inline(never)]
pub fn copy(to: &mut [u8], from: &[u8]) {
    let len = to.len().min(from.len());
    // SAFETY: `len` bytes are there on both sides, and each round goes on only while that many are left. Words are
    // loaded and stored where both addresses are aligned to them.
    unsafe {
        core::arch::asm!(
            "or {a}, {to}, {from}",
            "andi {a}, {a}, 3",
            "li {e}, 4",
            "bnez {a}, 4f",
            "li {e}, 16",
            "j 3f",
            // Four words a round.
            "2:",
            "lw {a}, 0({from})",
            "lw {b}, 4({from})",
            "lw {c}, 8({from})",
            "lw {d}, 12({from})",
            "addi {from}, {from}, 16",
            "sw {a}, 0({to})",
            "sw {b}, 4({to})",
            "sw {c}, 8({to})",
            "sw {d}, 12({to})",
            "addi {to}, {to}, 16",
            "addi {len}, {len}, -16",
            "3:",
            "bgeu {len}, {e}, 2b",
            "li {e}, 4",
            "j 6f",
            "5:",
            "lw {a}, 0({from})",
            "addi {from}, {from}, 4",
            "sw {a}, 0({to})",
            "addi {to}, {to}, 4",
            "addi {len}, {len}, -4",
            "6:",
            "bgeu {len}, {e}, 5b",
            "j 4f",
            // Four bytes a round.
            "7:",
            "lb {a}, 0({from})",
            "lb {b}, 1({from})",
            "lb {c}, 2({from})",
            "lb {d}, 3({from})",
            "addi {from}, {from}, 4",
            "sb {a}, 0({to})",
            "sb {b}, 1({to})",
            "sb {c}, 2({to})",
            "sb {d}, 3({to})",
            "addi {to}, {to}, 4",
            "addi {len}, {len}, -4",
            "4:",
            "bgeu {len}, {e}, 7b",
            "beqz {len}, 9f",
            "8:",
            "lb {a}, 0({from})",
            "addi {from}, {from}, 1",
            "sb {a}, 0({to})",
            "addi {to}, {to}, 1",
            "addi {len}, {len}, -1",
            "bnez {len}, 8b",
            "9:",
            to = inout(reg) to.as_mut_ptr() => _,
            from = inout(reg) from.as_ptr() => _,
            len = inout(reg) len => _,
            a = out(reg) _,
            b = out(reg) _,
            c = out(reg) _,
            d = out(reg) _,
            e = out(reg) _,
            options(nostack),
        );
    }
}
