//! Kinds of Thumb instructions, as far as they take different times (Arm DDI 0403E, chapter A5).

/// What an instruction does with the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One result from registers.
    Plain,
    Multiply,
    Divide,
    Load {
        bytes: u64,
    },
    Store {
        bytes: u64,
    },
    /// Loads or stores several registers.
    Several {
        registers: u64,
        /// The program counter is one of them.
        jumps: bool,
    },
    /// A branch that is always taken.
    Jump,
    Call,
    Conditional,
    Float,
    /// A division or a square root.
    FloatDivide,
}

/// The kind of the instruction that begins with these halves, and its bytes.
pub(super) fn kind([first, second]: [u16; 2]) -> (Kind, u64) {
    if first >> 11 < 0b11101 { (narrow(first), 2) } else { (wide(first, second), 4) }
}

fn several(list: u16, loads: bool) -> Kind {
    let jumps = loads && list >> 15 == 1;
    Kind::Several { registers: u64::from(list.count_ones()), jumps }
}

fn narrow(code: u16) -> Kind {
    let transfer =
        |loads: bool, bytes| if loads { Kind::Load { bytes } } else { Kind::Store { bytes } };
    match code >> 8 {
        0x43 if code & 0xc0 == 0x40 => Kind::Multiply,
        0x47 if code & 0x80 != 0 => Kind::Call,
        0x47 => Kind::Jump,
        // `add pc` and `mov pc`.
        0x44 | 0x46 if code & 0x87 == 0x87 => Kind::Jump,
        0x48..=0x4f => Kind::Load { bytes: 4 },
        0x50..=0x5f => match code >> 9 & 7 {
            0 => Kind::Store { bytes: 4 },
            1 => Kind::Store { bytes: 2 },
            2 => Kind::Store { bytes: 1 },
            4 => Kind::Load { bytes: 4 },
            5 | 7 => Kind::Load { bytes: 2 },
            _ => Kind::Load { bytes: 1 },
        },
        0x60..=0x6f | 0x90..=0x9f => transfer(code & 0x800 != 0, 4),
        0x70..=0x7f => transfer(code & 0x800 != 0, 1),
        0x80..=0x8f => transfer(code & 0x800 != 0, 2),
        0xb4 | 0xb5 => several(code & 0x1ff, false),
        0xbc | 0xbd => Kind::Several {
            registers: u64::from((code & 0x1ff).count_ones()),
            jumps: code >> 8 == 0xbd,
        },
        0xb1 | 0xb3 | 0xb9 | 0xbb => Kind::Conditional,
        0xc0..=0xcf => several(code & 0xff, false),
        0xd0..=0xdd => Kind::Conditional,
        0xe0..=0xe7 => Kind::Jump,
        _ => Kind::Plain,
    }
}

fn wide(first: u16, second: u16) -> Kind {
    let loads = first & 0x10 != 0;
    match first >> 8 {
        0xe8 | 0xe9 if first & 0x40 == 0 => several(second, loads),
        // Branches through a table.
        0xe8 if first & 0xf0 == 0xd0 && second & 0xffe0 == 0xf000 => Kind::Jump,
        0xe8 if first & 0x60 == 0x40 => {
            if loads {
                Kind::Load { bytes: 4 }
            } else {
                Kind::Store { bytes: 4 }
            }
        }
        0xe8 | 0xe9 => Kind::Several { registers: 2, jumps: false },
        0xec | 0xed => match (first & 0x1a0, loads) {
            // Up or down from an address without changing it: one register.
            (0x100 | 0x180, true) => Kind::Load { bytes: 4 },
            (0x100 | 0x180, false) => Kind::Store { bytes: 4 },
            // Two registers between the cores.
            _ if first & 0x1e0 == 0x40 => Kind::Plain,
            _ => Kind::Several { registers: u64::from(second & 0xff), jumps: false },
        },
        0xee => match (first & 0xb0, second & 0x50) {
            (0x80, 0) => Kind::FloatDivide,
            (0xb0, _) if first & 0xf == 1 && second & 0xd0 == 0xc0 => Kind::FloatDivide,
            _ => Kind::Float,
        },
        0xf0..=0xf7 if second & 0x8000 != 0 => match second & 0x5000 {
            0x5000 | 0x4000 => Kind::Call,
            0x1000 => Kind::Jump,
            // Barriers and system registers have all ones where a condition stands.
            _ if first & 0x380 == 0x380 => Kind::Plain,
            _ => Kind::Conditional,
        },
        0xf8 | 0xf9 => {
            let bytes = 1 << (first >> 5 & 3);
            match (second >> 12 == 15, loads, bytes) {
                (true, true, 4) => Kind::Several { registers: 1, jumps: true },
                // Hints to fetch ahead.
                (true, true, _) => Kind::Plain,
                (_, true, _) => Kind::Load { bytes },
                (_, false, _) => Kind::Store { bytes },
            }
        }
        0xfb if first & 0x80 == 0 => Kind::Multiply,
        0xfb if matches!(first >> 4 & 7, 1 | 3) => Kind::Divide,
        0xfb => Kind::Multiply,
        _ => Kind::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_have_their_kind() {
        // As `llvm-mc -triple thumbv7em -mcpu cortex-m4 -show-encoding` gives them.
        let several = |registers, jumps| Kind::Several { registers, jumps };
        for (halves, expected, name) in [
            ([0x4348, 0], Kind::Multiply, "muls r0, r1, r0"),
            ([0x1840, 0], Kind::Plain, "adds r0, r0, r1"),
            ([0x7801, 0], Kind::Load { bytes: 1 }, "ldrb r1, [r0]"),
            ([0x5741, 0], Kind::Load { bytes: 1 }, "ldrsb r1, [r0, r5]"),
            ([0x6001, 0], Kind::Store { bytes: 4 }, "str r1, [r0]"),
            ([0xb5f0, 0], several(5, false), "push {r4, r5, r6, r7, lr}"),
            ([0xbdf0, 0], several(5, true), "pop {r4, r5, r6, r7, pc}"),
            ([0xc91c, 0], several(3, false), "ldm r1!, {r2, r3, r4}"),
            ([0x4770, 0], Kind::Jump, "bx lr"),
            ([0x4780, 0], Kind::Call, "blx r0"),
            ([0xd1fe, 0], Kind::Conditional, "bne"),
            ([0xb108, 0], Kind::Conditional, "cbz r0"),
            ([0xe7fe, 0], Kind::Jump, "b"),
            ([0xbf08, 0], Kind::Plain, "it eq"),
            ([0xf000, 0xf800], Kind::Call, "bl"),
            ([0xf000, 0xb800], Kind::Jump, "b.w"),
            ([0xf47f, 0xaffe], Kind::Conditional, "bne.w"),
            ([0xf3bf, 0x8f4f], Kind::Plain, "dsb sy"),
            ([0xfb2c, 0x8802], Kind::Multiply, "smlad r8, r12, r2, r8"),
            ([0xfb50, 0xf001], Kind::Multiply, "smmul r0, r0, r1"),
            ([0xfb80, 0x0101], Kind::Multiply, "smull r0, r1, r0, r1"),
            ([0xfb90, 0xf0f1], Kind::Divide, "sdiv r0, r0, r1"),
            ([0xfbb0, 0xf0f1], Kind::Divide, "udiv r0, r0, r1"),
            ([0xfa2f, 0xf080], Kind::Plain, "sxtb16 r0, r0"),
            ([0xf850, 0xcb04], Kind::Load { bytes: 4 }, "ldr r12, [r0], #4"),
            ([0xf990, 0x1001], Kind::Load { bytes: 1 }, "ldrsb.w r1, [r0, #1]"),
            ([0xf8a0, 0x1001], Kind::Store { bytes: 2 }, "strh.w r1, [r0, #1]"),
            ([0xf85d, 0xfb04], several(1, true), "ldr pc, [sp], #4"),
            ([0xe8bd, 0x8ff0], several(9, true), "pop.w {r4-r11, pc}"),
            ([0xe92d, 0x4ff0], several(9, false), "push.w {r4-r11, lr}"),
            ([0xe9d0, 0x1200], several(2, false), "ldrd r1, r2, [r0]"),
            ([0xe8df, 0xf000], Kind::Jump, "tbb [pc, r0]"),
            ([0xea40, 0x0001], Kind::Plain, "orr.w r0, r0, r1"),
            ([0xed90, 0x0a00], Kind::Load { bytes: 4 }, "vldr s0, [r0]"),
            ([0xed80, 0x0a00], Kind::Store { bytes: 4 }, "vstr s0, [r0]"),
            ([0xed2d, 0x8b02], several(2, false), "vpush {d8}"),
            ([0xee30, 0x0a20], Kind::Float, "vadd.f32 s0, s0, s1"),
            ([0xee80, 0x0a20], Kind::FloatDivide, "vdiv.f32 s0, s0, s1"),
            ([0xeeb1, 0x0ac0], Kind::FloatDivide, "vsqrt.f32 s0, s0"),
        ] {
            assert_eq!(kind(halves).0, expected, "{name}");
            assert_eq!(kind(halves).1 == 2, halves[0] >> 11 < 29, "{name}");
        }
    }
}
