//! A crate with the printed crate's interface, written by hand: a small matrix product with state.
//!
//! Output 0 is the 16 sums, as bytes of `i32`; output 1 the four lowest bytes of a running total that
//! `reset` clears.

#![no_std]
#![forbid(unsafe_code)]

pub const INPUTS: usize = 2;
pub const OUTPUTS: usize = 2;

const ROWS: usize = 16;
const COLUMNS: usize = 32;

#[repr(C, align(16))]
pub struct Weights([u8; ROWS * COLUMNS]);

pub static KINGLET_WEIGHTS: Weights = Weights(weights());

const fn weights() -> [u8; ROWS * COLUMNS] {
    let mut bytes = [0; ROWS * COLUMNS];
    let mut index = 0;
    while index < bytes.len() {
        bytes[index] = (index * 37 + 11) as u8;
        index += 1;
    }
    bytes
}

#[repr(C, align(16))]
pub struct Arena([u8; 160]);

impl Arena {
    pub const ZERO: Arena = Arena([0; 160]);
}

pub struct Model<'a> {
    values: &'a mut [u8],
    gain: &'a mut [u8],
    sums: &'a mut [u8],
    total: &'a mut [u8],
}

impl<'a> Model<'a> {
    pub fn new(arena: &'a mut Arena) -> Self {
        let (values, rest) = arena.0.split_at_mut(COLUMNS);
        let (gain, rest) = rest.split_at_mut(4);
        let (sums, rest) = rest.split_at_mut(4 * ROWS);
        let (total, _) = rest.split_at_mut(4);
        let mut model = Self { values, gain, sums, total };
        model.reset();
        model
    }

    pub fn reset(&mut self) {
        self.total.fill(0);
    }

    pub fn run(&mut self) {
        multiply(self.values, self.gain, self.sums);
        accumulate(self.sums, self.total);
    }

    #[cfg(feature = "taps")]
    pub fn run_tapped(&mut self, tap: &mut dyn FnMut(u32, &[u8])) {
        multiply(self.values, self.gain, self.sums);
        tap(5, self.sums);
        accumulate(self.sums, self.total);
        tap(9, self.total);
    }

    pub fn input_bytes_mut(&mut self, index: usize) -> &mut [u8] {
        match index {
            0 => self.values,
            1 => self.gain,
            _ => &mut [],
        }
    }

    pub fn output_bytes(&self, index: usize) -> &[u8] {
        match index {
            0 => self.sums,
            1 => self.total,
            _ => &[],
        }
    }
}

#[inline(never)]
fn multiply(values: &[u8], gain: &[u8], sums: &mut [u8]) {
    let gain = gain.first_chunk().map_or(0, |bytes| i32::from_le_bytes(*bytes));
    for (row, sum) in KINGLET_WEIGHTS.0.chunks_exact(COLUMNS).zip(sums.as_chunks_mut::<4>().0) {
        let products = row
            .iter()
            .zip(values)
            .map(|(w, v)| i32::from(*w as i8).wrapping_mul(i32::from(*v as i8)));
        let dot = products.fold(0i32, i32::wrapping_add);
        *sum = dot.wrapping_mul(gain).to_le_bytes();
    }
}

#[inline(never)]
fn accumulate(sums: &[u8], total: &mut [u8]) {
    if let Some(total) = total.first_chunk_mut::<4>() {
        let sum = sums.as_chunks::<4>().0.iter().fold(i32::from_le_bytes(*total), |sum, bytes| {
            sum.wrapping_add(i32::from_le_bytes(*bytes))
        });
        *total = sum.to_le_bytes();
    }
}
