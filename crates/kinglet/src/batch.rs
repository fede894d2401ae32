//! Cases: what `run` reads from `.npz` and `.npy` files and what it writes.
//!
//! With r the rank of the model's input, an array of rank r is one case; of rank r + 1 it is
//! `[cases, ...]`, state reset before each; of rank r + 2 it is `[cases, time, ...]`, state kept along
//! time. All inputs share their leading axes.

use kinglet_diag::{Diagnostic, Failure, Place, Result, code};
use kinglet_formats::npz::{self, Array, DType as ArrayType};
use kinglet_graph::{DType, Port, Quantization, Tensor, TensorId};
use kinglet_ops::Graph;
use std::collections::BTreeMap;

/// Inputs of one or more runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The leading axes as the user gave them: none, `[cases]` or `[cases, time]`.
    leading: Vec<usize>,
    /// For each input, the bytes of all runs one after the other.
    inputs: Vec<Vec<u8>>,
}

/// Outputs of one or more runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BatchOutput {
    /// For each output, the bytes of all runs one after the other.
    pub outputs: Vec<Vec<u8>>,
    /// For each tensor that a node writes, the bytes of all runs; empty unless asked for.
    pub tensors: BTreeMap<TensorId, Vec<u8>>,
    /// What the run measured, on an emulated board.
    pub measured: Option<Measured>,
}

/// What a run on an emulated board measured.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Measured {
    /// Instructions of each inference; empty when they were not counted.
    pub instructions: Vec<u64>,
    /// Whether they were counted one by one, or by a timer.
    pub exact: bool,
    /// Most stack in use, bytes.
    pub stack_bytes: u64,
    /// Sizes of the linked program.
    pub sizes: kinglet_device::Sizes,
    /// Seconds in the emulator.
    pub seconds: f64,
    /// The linked program, in the build cache.
    #[serde(skip)]
    pub firmware: std::path::PathBuf,
}

/// How f32 arrays meet quantized inputs and outputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Numbers {
    /// The model's own element types; f32 for a quantized input is refused.
    #[default]
    Raw,
    /// f32 inputs are quantized, quantized outputs are dequantized.
    Real,
}

impl Batch {
    /// One run with these inputs.
    pub fn single(inputs: Vec<Vec<u8>>) -> Self {
        Self { leading: Vec::new(), inputs }
    }

    /// Cases made up from a seed: for each input the least and the greatest value everywhere, then
    /// random values over the full range of integers, and -4..4 for floats.
    pub fn made_up(graph: &Graph, cases: usize, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let inputs = graph.inputs.iter().map(|port| {
            let tensor = graph.tensor(port.tensor);
            let mut bytes = Vec::with_capacity(tensor.ty.bytes() * cases);
            for case in 0..cases {
                for _ in 0..tensor.ty.len() {
                    let bits = match case {
                        // Both ends of the range, whatever the width: see `element_bytes`.
                        0 => 0,
                        1 => u64::MAX,
                        _ => random.next(),
                    };
                    element_bytes(&mut bytes, tensor.dtype(), bits);
                }
            }
            bytes
        });
        Self { leading: vec![cases], inputs: inputs.collect() }
    }

    /// The same runs as one case: state is kept from each to the next.
    pub fn in_sequence(self) -> Self {
        let runs = self.cases() * self.steps();
        Self { leading: vec![1, runs], ..self }
    }

    /// Number of cases.
    pub fn cases(&self) -> usize {
        self.leading.first().copied().unwrap_or(1)
    }

    /// Runs of each case.
    pub fn steps(&self) -> usize {
        self.leading.get(1).copied().unwrap_or(1)
    }

    /// The bytes of an input for one run.
    pub fn input(&self, index: usize, case: usize, step: usize) -> &[u8] {
        let Some(bytes) = self.inputs.get(index) else { return &[] };
        let runs = (self.cases() * self.steps()).max(1);
        let each = bytes.len() / runs;
        let start = (case * self.steps() + step) * each;
        bytes.get(start..start + each).unwrap_or(&[])
    }

    /// Reads a `.npz` or `.npy` file for a model.
    ///
    /// # Errors
    /// A damaged file, or arrays that do not fit the model's inputs: all at once.
    pub fn read(bytes: &[u8], graph: &Graph, numbers: Numbers) -> Result<Self> {
        let arrays = if bytes.starts_with(b"\x93NUMPY") {
            vec![("in0".to_owned(), npz::read_npy(bytes)?)]
        } else {
            npz::read_npz(bytes)?
        };
        Self::from_arrays(&arrays, graph, numbers)
    }

    /// Takes the inputs from arrays named `in0`, `in1`, ... or by the inputs' names. Other arrays are
    /// left alone: a file may hold expected outputs too.
    ///
    /// # Errors
    /// Everything that does not fit, all at once.
    pub fn from_arrays(
        arrays: &[(String, Array)],
        graph: &Graph,
        numbers: Numbers,
    ) -> Result<Self> {
        let mut problems = Vec::new();
        let mut leading: Option<(Vec<usize>, String)> = None;
        let mut inputs = Vec::with_capacity(graph.inputs.len());
        for (index, port) in graph.inputs.iter().enumerate() {
            let tensor = graph.tensor(port.tensor);
            let key = format!("in{index}");
            let array = arrays
                .iter()
                .find(|(name, _)| *name == key)
                .or_else(|| arrays.iter().find(|(name, _)| *name == port.name));
            let Some((name, array)) = array else {
                problems.push(
                    Diagnostic::error(
                        code::INPUT_MISSING,
                        format!("there is no array {key} or \"{}\"", port.name),
                    )
                    .help(format!("the input is {}; save it as {key}", tensor.ty)),
                );
                continue;
            };
            match split_shape(array.shape(), tensor.shape()) {
                None => problems.push(
                    Diagnostic::error(
                        code::INPUT_SHAPE,
                        format!("the array is {:?}, the input is {}", array.shape(), tensor.ty),
                    )
                    .at(Place::Other(format!("array \"{name}\"")))
                    .help("give one case in the input's shape, [cases, ...] or [cases, time, ...]"),
                ),
                Some(axes) => match &leading {
                    Some((first, of)) if *first != axes => problems.push(
                        Diagnostic::error(
                            code::INPUT_SHAPE,
                            format!("leading axes are {axes:?} here and {first:?} in \"{of}\""),
                        )
                        .at(Place::Other(format!("array \"{name}\"")))
                        .help("all inputs must have the same number of cases and steps"),
                    ),
                    Some(_) => {}
                    None => leading = Some((axes, name.clone())),
                },
            }
            match input_bytes(array, tensor, numbers) {
                Ok(bytes) => inputs.push(bytes),
                Err(problem) => {
                    problems.push(problem.at(Place::Other(format!("array \"{name}\""))))
                }
            }
        }
        if !problems.is_empty() {
            return Err(Failure::new(problems));
        }
        Ok(Self { leading: leading.map(|(axes, _)| axes).unwrap_or_default(), inputs })
    }

    /// The outputs as named arrays with the inputs' leading axes: `out0`, ..., and `tK` for tensors.
    ///
    /// # Errors
    /// A bug, when an engine gave the wrong number of bytes.
    pub fn to_arrays(
        &self,
        output: &BatchOutput,
        graph: &Graph,
        numbers: Numbers,
    ) -> Result<Vec<(String, Array)>> {
        let mut arrays = Vec::new();
        for (index, (port, bytes)) in graph.outputs.iter().zip(&output.outputs).enumerate() {
            let tensor = graph.tensor(port.tensor);
            arrays.push((format!("out{index}"), self.array(tensor, bytes, numbers)?));
        }
        for (&id, bytes) in &output.tensors {
            let tensor = graph.tensor(id);
            if let Some(origin) = tensor.origin {
                arrays.push((format!("t{origin}"), self.array(tensor, bytes, Numbers::Raw)?));
            }
        }
        Ok(arrays)
    }

    /// A tensor's bytes of all runs as an array with the leading axes.
    ///
    /// # Errors
    /// A bug, when an engine gave the wrong number of bytes.
    pub fn tensor_array(&self, tensor: &Tensor, bytes: &[u8]) -> Result<Array> {
        self.array(tensor, bytes, Numbers::Raw)
    }

    fn array(&self, tensor: &Tensor, bytes: &[u8], numbers: Numbers) -> Result<Array> {
        let mut shape = self.leading.clone();
        shape.extend_from_slice(tensor.shape());
        let real = match (numbers, tensor.quantization.as_ref().and_then(Quantization::single)) {
            (Numbers::Real, Some((scale, zero_point))) => {
                dequantize(tensor.dtype(), bytes, scale, zero_point)
            }
            _ => None,
        };
        if let Some(values) = real {
            return Array::from_elements(shape, &values);
        }
        let dtype = array_type(tensor.dtype())
            .ok_or_else(|| kinglet_diag::bug(format!("no array holds {}", tensor.ty)))?;
        Array::new(dtype, shape, bytes.to_vec())
    }
}

/// xorshift64*: the same numbers on every machine.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        // A state of zero would stay zero.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

/// Appends one element made from random bits: all zeros is the least value, all ones the greatest.
pub(crate) fn element_bytes(bytes: &mut Vec<u8>, dtype: DType, bits: u64) {
    let top = |width: u32| bits >> (64 - width);
    match dtype {
        DType::Bool => bytes.push((top(1)) as u8),
        DType::I8 => bytes.push(top(8) as u8 ^ 0x80),
        DType::I16 => bytes.extend((top(16) as u16 ^ 0x8000).to_le_bytes()),
        DType::I32 => bytes.extend((top(32) as u32 ^ 0x8000_0000).to_le_bytes()),
        DType::I64 => bytes.extend((bits ^ 1 << 63).to_le_bytes()),
        DType::F32 => bytes.extend((top(24) as f32 / (1 << 21) as f32 - 4.0).to_le_bytes()),
        other => bytes.extend_from_slice(&bits.to_le_bytes()[..other.bits().div_ceil(8).min(8)]),
    }
}

/// The leading axes of an array over an input's shape.
fn split_shape(array: &[usize], input: &[usize]) -> Option<Vec<usize>> {
    let leading = array.len().checked_sub(input.len())?;
    let (axes, rest) = array.split_at_checked(leading)?;
    (leading <= 2 && rest == input).then(|| axes.to_vec())
}

/// The element type of arrays for a tensor's.
pub fn array_type(dtype: DType) -> Option<ArrayType> {
    Some(match dtype {
        DType::Bool => ArrayType::Bool,
        DType::I8 => ArrayType::I8,
        DType::U8 => ArrayType::U8,
        DType::I16 => ArrayType::I16,
        DType::U16 => ArrayType::U16,
        DType::I32 => ArrayType::I32,
        DType::U32 => ArrayType::U32,
        DType::I64 => ArrayType::I64,
        DType::U64 => ArrayType::U64,
        DType::F16 => ArrayType::F16,
        DType::F32 => ArrayType::F32,
        DType::F64 => ArrayType::F64,
        DType::I4 | DType::Complex64 | DType::Complex128 | DType::String | DType::Resource => {
            return None;
        }
    })
}

fn input_bytes(array: &Array, tensor: &Tensor, numbers: Numbers) -> Result<Vec<u8>, Diagnostic> {
    if array_type(tensor.dtype()) == Some(array.dtype()) {
        return Ok(array.data().to_vec());
    }
    let single = tensor.quantization.as_ref().and_then(Quantization::single);
    if let (ArrayType::F32, Some((scale, zero_point))) = (array.dtype(), single) {
        if numbers == Numbers::Real {
            let values: Vec<f32> = array
                .data()
                .chunks_exact(4)
                .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
                .collect();
            if let Some(bytes) = quantize(tensor.dtype(), &values, scale, zero_point) {
                return Ok(bytes);
            }
        } else {
            return Err(Diagnostic::error(
                code::INPUT_TYPE,
                format!("the array is float32, the input is {} with scale {scale} and zero point {zero_point}", tensor.ty),
            )
            .help("add --real: inputs are quantized and outputs dequantized; or save the quantized integers"));
        }
    }
    Err(Diagnostic::error(
        code::INPUT_TYPE,
        format!("the array is {}, the input is {}", array.dtype(), tensor.ty),
    )
    .help(format!("save the array with element type {}", tensor.dtype())))
}

/// `clamp(round(x / scale) + zero_point)`, half away from zero; NaN is 0 (TFLM-08).
fn quantize(dtype: DType, values: &[f32], scale: f32, zero_point: i64) -> Option<Vec<u8>> {
    let q = |x: f32, min: i64, max: i64| {
        ((x / scale).round() as i64).saturating_add(zero_point).clamp(min, max)
    };
    Some(match dtype {
        DType::I8 => values.iter().map(|&x| q(x, -128, 127) as i8 as u8).collect(),
        DType::U8 => values.iter().map(|&x| q(x, 0, 255) as u8).collect(),
        DType::I16 => {
            values.iter().flat_map(|&x| (q(x, -32768, 32767) as i16).to_le_bytes()).collect()
        }
        _ => return None,
    })
}

/// `(q - zero_point) * scale`.
fn dequantize(dtype: DType, bytes: &[u8], scale: f32, zero_point: i64) -> Option<Vec<f32>> {
    let real = |q: i64| (q - zero_point) as f32 * scale;
    Some(match dtype {
        DType::I8 => bytes.iter().map(|&b| real(i64::from(b as i8))).collect(),
        DType::U8 => bytes.iter().map(|&b| real(i64::from(b))).collect(),
        DType::I16 => bytes
            .chunks_exact(2)
            .map(|b| real(i64::from(i16::from_le_bytes([b[0], b[1]]))))
            .collect(),
        _ => return None,
    })
}

/// The ports' names and types, for messages.
pub fn describe(graph: &Graph, ports: &[Port]) -> String {
    let one = |port: &Port| format!("\"{}\" {}", port.name, graph.tensor(port.tensor).ty);
    ports.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_axes_are_cases_and_time() {
        assert_eq!(split_shape(&[1, 4], &[1, 4]), Some(vec![]));
        assert_eq!(split_shape(&[7, 1, 4], &[1, 4]), Some(vec![7]));
        assert_eq!(split_shape(&[7, 3, 1, 4], &[1, 4]), Some(vec![7, 3]));
        assert_eq!(split_shape(&[2, 7, 3, 1, 4], &[1, 4]), None);
        assert_eq!(split_shape(&[4], &[1, 4]), None);
        assert_eq!(split_shape(&[1, 5], &[1, 4]), None);
    }

    #[test]
    fn tflm_08_quantization_of_pixels() {
        let scale = 1.0 / 255.0;
        let bytes = quantize(DType::I8, &[0.0, 1.0, f32::NAN, 1e30, -1e30], scale, -128).unwrap();
        assert_eq!(bytes.map_i8(), [-128, 127, -128, 127, -128]);
        assert_eq!(
            dequantize(DType::I8, &[0x80, 0x7f], scale, -128).unwrap(),
            [0.0, 255.0 * scale]
        );
    }

    trait MapI8 {
        fn map_i8(&self) -> Vec<i8>;
    }
    impl MapI8 for Vec<u8> {
        fn map_i8(&self) -> Vec<i8> {
            self.iter().map(|&b| b as i8).collect()
        }
    }
}
