//! Random calls of kernels that have instructions of their own, compared with the same kernels without.
//!
//! This file is compiled twice: with this crate, and in the firmware of [`super::check`], where `arch` are the
//! kernels as a model links them and `plain` the same sources without instructions.

use super::{arch, plain};
use arch::arch::helium::depthwise::ORDER;
use arch::arch::rv32::sliding::Sliding;

/// A number generator (xorshift64*), the same on every machine.
pub struct Random(u64);

impl Random {
    /// Starts from a seed.
    pub fn new(seed: u64) -> Self {
        let mut random = Self(seed | 1);
        random.next();
        random
    }

    fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    /// One of `0..end`.
    fn below(&mut self, end: u32) -> u32 {
        ((u64::from(self.next()) * u64::from(end)) >> 32) as u32
    }

    /// One of `first..=last`.
    fn between(&mut self, first: u32, last: u32) -> u32 {
        first + self.below(last - first + 1)
    }

    fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u32) as usize]
    }
}

/// Elements that operands are cut from.
const POOL: usize = 1 << 15;
/// Most elements of an input and of an output.
const IMAGE: usize = 4096;
/// Most output channels.
const CHANNELS: usize = 72;

/// Weights of 25 taps in blocks of sixteen channels.
const REPEATED: usize = 25 * (CHANNELS + 16);

/// Words of the largest table.
const TABLE: usize = 4 * 3 * CHANNELS;

/// The memory of all cases.
#[repr(C, align(16))]
pub struct Memory {
    pool: [i8; POOL],
    words: [i32; POOL / 4],
    /// The pool without -128.
    mild: [i8; POOL],
    /// As many of those as a layer may need, repeated for blocks of sixteen channels.
    repeated: [i8; REPEATED],
    table: [i32; TABLE],
    input: [i8; IMAGE + 16],
    outputs: [[i8; IMAGE + 16]; 2],
    /// The first output that differs, and both values.
    pub difference: (usize, i8, i8),
}

impl Memory {
    /// Nothing in it yet.
    pub const ZERO: Self = Self {
        pool: [0; POOL],
        words: [0; POOL / 4],
        mild: [0; POOL],
        repeated: [0; REPEATED],
        table: [0; TABLE],
        input: [0; IMAGE + 16],
        outputs: [[0; IMAGE + 16]; 2],
        difference: (0, 0, 0),
    };

    /// Fills the pool: a third of any bytes, a third of small ones, and a third of the extremes.
    pub fn fill(&mut self, random: &mut Random) {
        for (index, value) in self.pool.iter_mut().enumerate() {
            let byte = random.next() as i8;
            *value = match index * 3 / POOL {
                0 => byte,
                1 => byte >> 4,
                _ => [-128, 127, -127, 0][(byte & 3) as usize],
            };
        }
        for (mild, &value) in self.mild.iter_mut().zip(&self.pool) {
            *mild = value.max(-127);
        }
        for (word, bytes) in self.words.iter_mut().zip(self.pool.as_chunks::<4>().0) {
            *word = i32::from_le_bytes(bytes.map(i8::cast_unsigned));
        }
    }

    /// Makes the weights of a block of sixteen channels, where the channels go into it several times, the same for
    /// each of those times.
    fn repeat(&mut self, random: &mut Random, channels: usize) {
        let from = random.below((POOL - REPEATED) as u32) as usize;
        let mild = self.mild[from..].as_chunks::<16>().0;
        let repeated = self.repeated.as_chunks_mut::<16>().0;
        for (to, from) in repeated.iter_mut().zip(mild) {
            for (at, to) in to.iter_mut().enumerate() {
                *to = if 16 % channels == 0 { from[at % channels] } else { from[at] };
            }
        }
    }

    /// An input of so many elements at any alignment; where it begins.
    fn input(&mut self, random: &mut Random, len: usize) -> usize {
        let at = random.below(16) as usize;
        let from = random.below((POOL - len) as u32 + 1) as usize;
        self.input[at..at + len].copy_from_slice(&self.pool[from..from + len]);
        at
    }
}

/// How the three words of an output channel stand.
#[derive(Clone, Copy)]
enum Form {
    /// Bias, twice the multiplier, a power of two: right shifts from 2 on.
    Plain,
    /// Bias, multiplier, right shift from 1 to 31.
    Shift,
    /// The same for shifts up to 21.
    ShortShift,
    /// Four biases, four multipliers, four shifts; the last four channels may be in two groups.
    Fours,
    /// Sixteen biases, then four multipliers and four shifts four times; few channels are repeated.
    Blocks,
}

/// The table of so many channels.
fn table(random: &mut Random, form: Form, table: &mut [i32; TABLE], depth: u32, channels: usize) {
    // Where outputs are spread over the range, mostly: about as many bits as a sum has more than an output.
    let bits = 32 - depth.leading_zeros() + 6;
    let mut of_channels = [[0; 3]; CHANNELS];
    for words in &mut of_channels {
        let bias = (random.next() >> 13) as i32 - (1 << 18);
        let multiplier = match random.below(8) {
            0 => 1 << 30,
            1 => i32::MAX,
            _ => (1 << 30) + (random.next() >> 2) as i32,
        };
        let shift = match random.below(8) {
            0 => random.between(2, 30),
            _ => random.between(bits.max(4) - 3, bits.min(29) + 1).max(2),
        };
        *words = match form {
            Form::Plain if random.below(32) == 0 => [bias, 0, 0],
            Form::Plain => [bias, multiplier.wrapping_mul(2), 1 << (32 - shift)],
            Form::Shift => [bias, multiplier, shift as i32],
            Form::ShortShift => [bias, multiplier, shift.min(21) as i32],
            Form::Fours | Form::Blocks => [bias, multiplier, -(shift as i32)],
        };
    }
    let of = |channel: usize, word: usize| of_channels[channel % CHANNELS][word];
    match form {
        Form::Fours => {
            for (group, words) in table.as_chunks_mut::<12>().0.iter_mut().enumerate() {
                let channel = |at: usize| match channels {
                    0..4 => group,
                    _ => (group * 4).min(channels - 4) + at,
                };
                for (at, order) in [0, 2, 1, 3].into_iter().enumerate() {
                    words[at] = of(channel(order), 0);
                    words[4 + at] = of(channel(at), 1);
                    words[8 + at] = of(channel(at), 2);
                }
            }
        }
        Form::Blocks => {
            for (block, words) in table.as_chunks_mut::<48>().0.iter_mut().enumerate() {
                let channel = |at: usize| match channels {
                    1 | 2 | 4 | 8 => at % channels,
                    _ => block * 16 + at,
                };
                for (at, &order) in ORDER.as_flattened().iter().enumerate() {
                    words[at] = of(channel(order), 0);
                    let four = 16 + at / 4 * 8 + at % 4;
                    words[four] = of(channel(order), 1);
                    words[four + 4] = of(channel(order), 2);
                }
            }
        }
        _ => {
            for (words, from) in table.as_chunks_mut::<3>().0.iter_mut().zip(of_channels) {
                *words = from;
            }
        }
    }
}

/// A window over an image.
struct Shape {
    window: arch::Window,
    channels: u32,
    outputs: u32,
    groups: u32,
}

impl Shape {
    fn taps(&self) -> u32 {
        self.window.height * self.window.width
    }

    fn lens(&self) -> [usize; 2] {
        let Self { window, channels, outputs, .. } = self;
        let input = window.in_height * window.in_width * channels;
        let output = window.out_height * window.out_width * outputs;
        [input as usize, output as usize]
    }
}

/// What a kernel asks of shapes.
#[derive(Clone, Copy)]
struct Limits {
    /// Output channels are the input's.
    depthwise: bool,
    groups: bool,
    dilation: bool,
    /// Most taps of a window.
    taps: u32,
    /// What else is asked.
    allowed: fn(&Shape) -> bool,
}

fn shape(random: &mut Random, limits: Limits) -> Shape {
    loop {
        let length = |random: &mut Random| match random.below(4) {
            0 => 1,
            1 => 3,
            _ => random.between(1, 6),
        };
        let step = |random: &mut Random, may: bool| if may { random.between(1, 2) } else { 1 };
        let (height, width) = (length(random), length(random));
        let channels = match random.below(3) {
            0 => random.between(1, 9),
            1 => 4 * random.between(1, 12),
            _ => random.between(1, 40),
        };
        let groups = if limits.groups && random.below(4) == 0 { random.between(2, 3) } else { 1 };
        let outputs = if limits.depthwise { channels } else { groups * random.between(1, 24) };
        let channels = if limits.groups { channels.div_ceil(groups) * groups } else { channels };
        let window = arch::Window {
            in_height: random.between(1, 9),
            in_width: random.between(1, 9),
            out_height: random.between(1, 7),
            out_width: random.between(1, 9),
            height,
            width,
            stride_height: random.between(1, 3),
            stride_width: random.between(1, 3),
            dilation_height: step(random, limits.dilation),
            dilation_width: step(random, limits.dilation),
            pad_top: random.below(height + 1),
            pad_left: random.below(width + 1),
        };
        let shape = Shape { window, channels, outputs, groups };
        let [input, output] = shape.lens();
        let depth = shape.taps() * if limits.depthwise { 1 } else { channels / groups };
        let weights = depth.next_multiple_of(16) * outputs.next_multiple_of(8);
        let fits = input <= IMAGE
            && output <= IMAGE
            && outputs as usize <= CHANNELS
            && weights as usize <= POOL / 4
            && shape.taps() <= limits.taps;
        if fits && (limits.allowed)(&shape) {
            return shape;
        }
    }
}

/// The other copy's window.
fn plain_window(window: &arch::Window) -> plain::Window {
    let arch::Window {
        in_height,
        in_width,
        out_height,
        out_width,
        height,
        width,
        stride_height,
        stride_width,
        dilation_height,
        dilation_width,
        pad_top,
        pad_left,
    } = *window;
    plain::Window {
        in_height,
        in_width,
        out_height,
        out_width,
        height,
        width,
        stride_height,
        stride_width,
        dilation_height,
        dilation_width,
        pad_top,
        pad_left,
    }
}

/// Least and greatest output: those of the type, mostly.
fn range(random: &mut Random) -> (i32, i32) {
    match random.below(3) {
        0 => {
            let (a, b) = (random.below(256) as i32 - 128, random.below(256) as i32 - 128);
            (a.min(b), a.max(b))
        }
        _ => (-128, 127),
    }
}

/// The constants of a call, cut from the pool.
struct Constants<'a> {
    bytes: &'a [i8],
    repeated: &'a [i8],
    words: &'a [i32],
    table: &'a [i32],
    padding: &'a [i8],
}

/// A call: input, constants, output.
type Call<'a> = &'a dyn Fn(&[i8], &Constants<'_>, &mut [i8]);

/// Calls both copies of a kernel with the same operands; whether they wrote the same, and nothing before and behind
/// the output.
fn equal(
    random: &mut Random,
    memory: &mut Memory,
    [input_len, output_len]: [usize; 2],
    calls: [Call<'_>; 2],
) -> bool {
    let at = memory.input(random, input_len);
    let to = random.below(16) as usize;
    let from = random.below(POOL as u32 * 3 / 4) as usize;
    let (bytes, repeated) = (&memory.pool[from..], &memory.repeated[..]);
    let words = &memory.words[random.below(POOL as u32 / 16 * 3) as usize..];
    // The input's zero point stands in the padding.
    let zero = random.one_of(&[-128, -1, 0, 5, 127]);
    let padding = [zero; 6 * CHANNELS];
    let constants = Constants { bytes, repeated, words, table: &memory.table, padding: &padding };
    let input = &memory.input[at..at + input_len];
    for (output, call) in memory.outputs.iter_mut().zip(calls) {
        output[..output_len + 16].fill(85);
        call(input, &constants, &mut output[to..to + output_len]);
    }
    let [first, second] = memory.outputs.each_ref().map(|output| &output[..output_len + 16]);
    if let Some(at) = first.iter().zip(second).position(|(a, b)| a != b) {
        memory.difference = (at - to, first[at], second[at]);
    }
    let outside = |place: usize| place < to || place >= to + output_len;
    first == second && first.iter().enumerate().all(|(i, &value)| value == 85 || !outside(i))
}

/// A case of a kernel with a window: what it asks of shapes, the table's form, its fields and its constants.
macro_rules! windowed {
    ($name:ident, $Params:ident, $shape_of:expr, $form:expr, |$shape:ident, $min:ident, $max:ident, $zero:ident|
     { $($field:ident: $value:expr),* }, [$($constant:ident),*]) => {
        fn $name(random: &mut Random, memory: &mut Memory) -> bool {
            let $shape = $shape_of(random);
            let ($min, $max) = range(random);
            let $zero = random.one_of(&[-128, 127, 0, -7]).clamp($min, $max);
            let depth = $shape.taps() * $shape.channels;
            table(random, $form, &mut memory.table, depth, $shape.outputs as usize);
            memory.repeat(random, $shape.outputs as usize);
            let first = arch::$Params { window: $shape.window, $($field: $value),* };
            let second = plain::$Params { window: plain_window(&$shape.window), $($field: $value),* };
            let lens = $shape.lens();
            equal(random, memory, lens, [
                &|input, c, output| first.run(input, $(c.$constant,)* output),
                &|input, c, output| second.run(input, $(c.$constant,)* output),
            ])
        }
    };
}

/// A case of a fully connected kernel: at most so many rows, and what fields it has beside the usual.
macro_rules! connected {
    ($name:ident, $Params:ident, $form:expr, $rows:literal, $weights:ident $(, |$inputs:ident| $field:ident: $value:expr)?) => {
        fn $name(random: &mut Random, memory: &mut Memory) -> bool {
            let (min, max) = range(random);
            let output_zero_point = random.one_of(&[-128, 127, 0, -7]).clamp(min, max);
            let (inputs, outputs) = match random.below(2) {
                0 => (random.between(1, 20), random.between(1, 20)),
                _ => (random.between(1, 200), random.between(1, 40)),
            };
            let rows = random.between(1, $rows);
            table(random, $form, &mut memory.table, inputs, outputs as usize);
            $(let $inputs = inputs;)?
            let first =
                arch::$Params { inputs, outputs, output_zero_point, min, max $(, $field: $value)? };
            let second =
                plain::$Params { inputs, outputs, output_zero_point, min, max $(, $field: $value)? };
            let lens = [rows * inputs, rows * outputs].map(|len| len as usize);
            equal(random, memory, lens, [
                &|input, c, output| first.run(input, c.$weights, c.table, output),
                &|input, c, output| second.run(input, c.$weights, c.table, output),
            ])
        }
    };
}

const ANY: Limits =
    Limits { depthwise: false, groups: true, dilation: true, taps: 36, allowed: |_| true };
const DEPTHWISE: Limits = Limits { depthwise: true, groups: false, ..ANY };

/// Four divides the channels of a group, or a place has few inputs.
const BLOCKS_OF_FOUR: Limits = Limits {
    allowed: |s| {
        (s.channels / s.groups).is_multiple_of(4) || s.taps() * s.channels / s.groups <= 160
    },
    ..ANY
};
windowed!(conv2d_pairs, Conv2dPairsI8, |random| shape(random, BLOCKS_OF_FOUR), Form::Plain, |shape, min, max, zero| {
    in_channels: shape.channels, out_channels: shape.outputs, groups: shape.groups,
    output_zero_point: zero, min: min, max: max
}, [words, table, padding]);
windowed!(depthwise, DepthwiseConv2dI8, |random| shape(random, DEPTHWISE), Form::Plain, |shape, min, max, zero| {
    channels: shape.channels, output_zero_point: zero, min: min, max: max
}, [bytes, table, padding]);
connected!(fully_connected_pairs, FullyConnectedPairsI8, Form::Plain, 4, words);

/// One group, columns side by side, and so few rows that its runs are counted.
const RUNS: Limits =
    Limits { groups: false, dilation: false, allowed: |s| 3 * s.window.height <= 20, ..ANY };
windowed!(conv2d_eights, Conv2dEightsI8, |random| shape(random, RUNS), Form::Shift, |shape, min, max, zero| {
    in_channels: shape.channels, out_channels: shape.outputs,
    output_zero_point: zero, min: min, max: max
}, [bytes, table, padding]);
/// As many taps as are found once.
const FEW: Limits = Limits { taps: 25, ..DEPTHWISE };
windowed!(depthwise_shift, DepthwiseConv2dShiftI8, |random| shape(random, FEW), Form::Shift, |shape, min, max, zero| {
    channels: shape.channels, output_zero_point: zero, min: min, max: max
}, [bytes, table, padding]);
connected!(fully_connected_eights, FullyConnectedEightsI8, Form::Shift, 4, bytes);

windowed!(depthwise_short, DepthwiseConv2dShiftI8, |random| shape(random, FEW), Form::ShortShift, |shape, min, max, zero| {
    channels: shape.channels, output_zero_point: zero, min: min, max: max
}, [bytes, table, padding]);
/// Few taps or few inputs, columns side by side.
const THREES: Limits = Limits {
    groups: false,
    dilation: false,
    allowed: |s| s.taps() <= 9 || s.taps() * s.channels <= 80,
    ..ANY
};
/// So many neighboring inputs have room whatever the weights.
fn longest(depth: u32) -> u32 {
    if depth < 64 { 0 } else { 48 }
}
windowed!(conv2d_threes, Conv2dThreesI8, |random| shape(random, THREES), Form::ShortShift, |shape, min, max, zero| {
    in_channels: shape.channels, out_channels: shape.outputs,
    output_zero_point: zero, min: min, max: max, longest: longest(shape.taps() * shape.channels)
}, [bytes, table, padding]);
connected!(fully_connected_threes, FullyConnectedThreesI8, Form::ShortShift, 9, bytes, |inputs| longest: longest(inputs));
/// So many rows that six are joined in the memory of the outputs of later ones.
fn fully_connected_sixes(random: &mut Random, memory: &mut Memory) -> bool {
    let (min, max) = range(random);
    let output_zero_point = random.one_of(&[-128, 127, 0, -7]).clamp(min, max);
    let (inputs, outputs) = (4 * random.between(1, 8), 8 * random.between(3, 5));
    let rows = random.between(6, 100);
    table(random, Form::ShortShift, &mut memory.table, inputs, outputs as usize);
    let longest = longest(inputs);
    let first =
        arch::FullyConnectedThreesI8 { inputs, outputs, output_zero_point, min, max, longest };
    let second =
        plain::FullyConnectedThreesI8 { inputs, outputs, output_zero_point, min, max, longest };
    let lens = [rows * inputs, rows * outputs].map(|len| len as usize);
    equal(
        random,
        memory,
        lens,
        [&|input, c, output| first.run(input, c.bytes, c.table, output), &|input, c, output| {
            second.run(input, c.bytes, c.table, output)
        }],
    )
}
connected!(fully_connected_row, FullyConnectedRowI8, Form::ShortShift, 1, bytes);
/// Windows of three by three with little padding.
fn sliding_shape(random: &mut Random) -> Shape {
    loop {
        let channels = random.between(1, 20);
        let axis = |random: &mut Random| {
            let (stride, before, behind) = (random.between(1, 2), random.below(2), random.below(2));
            let len = random.between(1, 12);
            let places = (len + before + behind).saturating_sub(3) / stride + 1;
            (len, stride, before, places)
        };
        let (in_height, stride_height, pad_top, out_height) = axis(random);
        let (in_width, stride_width, pad_left, out_width) = axis(random);
        let window = arch::Window {
            in_height,
            in_width,
            out_height,
            out_width,
            height: 3,
            width: 3,
            stride_height,
            stride_width,
            dilation_height: 1,
            dilation_width: 1,
            pad_top,
            pad_left,
        };
        if Sliding::new(&window, channels as usize).is_some() {
            return Shape { window, channels, outputs: channels, groups: 1 };
        }
    }
}
windowed!(depthwise_sliding, DepthwiseConv2dSlidingI8, sliding_shape, Form::ShortShift, |shape, min, max, zero| {
    channels: shape.channels, input_zero_point: -5, output_zero_point: zero, min: min, max: max
}, [bytes, table]);

/// What is taken where it lies or gathered.
const ROWS: Limits = Limits {
    groups: false,
    allowed: |s| arch::conv2d::takes_rows(&s.window, s.channels, s.outputs),
    ..ANY
};
windowed!(conv2d_rows, Conv2dRowsI8, |random| shape(random, ROWS), Form::Fours, |shape, min, max, zero| {
    in_channels: shape.channels, out_channels: shape.outputs,
    output_zero_point: zero, min: min, max: max
}, [bytes, table, padding]);
connected!(fully_connected_rows, FullyConnectedRowsI8, Form::Fours, 4, bytes);
windowed!(depthwise_blocks, DepthwiseConv2dBlocksI8, |random| shape(random, FEW), Form::Blocks, |shape, min, max, zero| {
    channels: shape.channels, output_zero_point: zero, min: min, max: max
}, [repeated, table, padding]);

/// A case: a kernel with random operands; whether both copies wrote the same.
pub type Case = fn(&mut Random, &mut Memory) -> bool;

/// The kernels by the feature that gives them instructions, with their cases.
pub const KERNELS: &[(&str, &str, Case)] = &[
    ("dsp", "conv2d_pairs_i8", conv2d_pairs),
    ("dsp", "depthwise_conv2d_i8", depthwise),
    ("dsp", "fully_connected_pairs_i8", fully_connected_pairs),
    ("v6m", "conv2d_eights_i8", conv2d_eights),
    ("v6m", "depthwise_conv2d_shift_i8", depthwise_shift),
    ("v6m", "fully_connected_eights_i8", fully_connected_eights),
    ("rv32", "conv2d_threes_i8", conv2d_threes),
    ("rv32", "depthwise_conv2d_shift_i8", depthwise_short),
    ("rv32", "depthwise_conv2d_sliding_i8", depthwise_sliding),
    ("rv32", "fully_connected_threes_i8", fully_connected_threes),
    ("rv32", "fully_connected_threes_i8 of many rows", fully_connected_sixes),
    ("rv32", "fully_connected_row_i8", fully_connected_row),
    ("helium", "conv2d_rows_i8", conv2d_rows),
    ("helium", "depthwise_conv2d_blocks_i8", depthwise_blocks),
    ("helium", "fully_connected_rows_i8", fully_connected_rows),
];

/// Runs the case with this number, which alone and the seed decide it.
pub fn run(case: Case, memory: &mut Memory, seed: u64, number: u32) -> bool {
    let mixed = (u64::from(number) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    case(&mut Random::new(seed ^ mixed), memory)
}
