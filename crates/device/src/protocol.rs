//! The files by which a harness is fed and answers. Integers are little-endian.

use kinglet_diag::{Diagnostic, Result, code};

const IN_MAGIC: u32 = 0x3149_474B;
const STATS_MAGIC: u32 = 0x3153_474B;
const FAULT_MAGIC: u32 = 0x3146_474B;
pub(crate) const FLAG_TICKS: u32 = 1;
pub(crate) const FLAG_TAPS: u32 = 2;

/// Inputs for a run: cases that start from reset, each of one or more steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cases {
    /// How many cases.
    pub cases: u32,
    /// Steps a case; state is kept from one to the next.
    pub steps: u32,
    /// Bytes of each input of the model.
    pub input_bytes: Vec<usize>,
    /// Bytes of each output of the model.
    pub output_bytes: Vec<usize>,
    /// For each case and step in turn, the bytes of all inputs in order.
    pub inputs: Vec<u8>,
}

impl Cases {
    /// Inferences in all.
    pub fn inferences(&self) -> usize {
        self.cases as usize * self.steps as usize
    }

    pub(crate) fn check(&self) -> Result<()> {
        let wanted = self.input_bytes.iter().sum::<usize>().checked_mul(self.inferences());
        if wanted == Some(self.inputs.len()) {
            return Ok(());
        }
        Err(Diagnostic::error(
            code::CASES_MISMATCH,
            format!(
                "{} cases of {} steps need {} bytes of input a step, and {} bytes were given in all",
                self.cases,
                self.steps,
                self.input_bytes.iter().sum::<usize>(),
                self.inputs.len()
            ),
        )
        .help("give every input of the model for every case and step, in the model's order")
        .into())
    }

    pub(crate) fn to_file(&self, flags: u32) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(16 + self.inputs.len());
        for word in [IN_MAGIC, self.cases, self.steps, flags] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&self.inputs);
        bytes
    }
}

/// The outputs of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outputs {
    bytes: Vec<u8>,
    sizes: Vec<usize>,
}

impl Outputs {
    pub(crate) fn parse(bytes: Vec<u8>, cases: &Cases) -> Option<Self> {
        let wanted = cases.output_bytes.iter().sum::<usize>().checked_mul(cases.inferences())?;
        (bytes.len() == wanted).then(|| Self { bytes, sizes: cases.output_bytes.clone() })
    }

    /// All of it: for each case and step in turn, the bytes of all outputs in order.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes of one output after one inference, counted over all cases.
    pub fn get(&self, inference: usize, output: usize) -> Option<&[u8]> {
        let before: usize = self.sizes.get(..output)?.iter().sum();
        let start = inference.checked_mul(self.sizes.iter().sum())?.checked_add(before)?;
        self.bytes.get(start..start.checked_add(*self.sizes.get(output)?)?)
    }
}

/// One tensor as a step left it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tap {
    /// The tensor's number, as the printed crate reports it.
    pub tensor: u32,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

pub(crate) fn words(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word))
}

/// The taps of each inference.
pub(crate) fn parse_taps(mut bytes: &[u8]) -> Option<Vec<Vec<Tap>>> {
    let mut runs: Vec<Vec<Tap>> = Vec::new();
    while !bytes.is_empty() {
        let (head, rest) = bytes.split_at_checked(8)?;
        let mut head = words(head);
        let (tensor, length) = (head.next()?, head.next()? as usize);
        let (data, rest) = rest.split_at_checked(length)?;
        bytes = rest;
        match tensor {
            u32::MAX => runs.push(Vec::new()),
            _ => runs.last_mut()?.push(Tap { tensor, bytes: data.to_vec() }),
        }
    }
    Some(runs)
}

/// Bytes of stack used and bytes there were.
pub(crate) fn parse_stats(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut words = words(bytes);
    (bytes.len() == 12 && words.next()? == STATS_MAGIC).then_some(())?;
    Some((words.next()?, words.next()?))
}

/// Ticks of the timer in each inference; a timer may wrap once.
pub(crate) fn parse_ticks(bytes: &[u8]) -> Vec<u32> {
    let words: Vec<u32> = words(bytes).collect();
    words.as_chunks::<2>().0.iter().map(|[before, after]| after.wrapping_sub(*before)).collect()
}

/// Where the processor faulted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub pc: u32,
    pub lr: u32,
    pub sp: u32,
    pub cause: u32,
    pub inference: u32,
    pub tensor: Option<u32>,
}

impl Fault {
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut words = words(bytes);
        (bytes.len() == 28 && words.next()? == FAULT_MAGIC).then_some(())?;
        let (pc, lr, sp) = (words.next()?, words.next()?, words.next()?);
        let (cause, inference) = (words.next()?, words.next()?);
        Some(Self {
            pc,
            lr,
            sp,
            cause,
            inference,
            tensor: words.next().filter(|tensor| *tensor != u32::MAX),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cases() -> Cases {
        Cases {
            cases: 2,
            steps: 1,
            input_bytes: vec![2, 1],
            output_bytes: vec![1, 3],
            inputs: vec![0; 6],
        }
    }

    #[test]
    fn outputs_are_cut_by_inference_and_output() {
        let outputs = Outputs::parse(vec![1, 2, 3, 4, 5, 6, 7, 8], &cases()).unwrap();
        assert_eq!(outputs.get(1, 1), Some(&[6, 7, 8][..]));
        assert_eq!(outputs.get(0, 0), Some(&[1][..]));
        assert_eq!(outputs.get(2, 0), None);
        assert_eq!(outputs.get(0, 2), None);
        assert_eq!(Outputs::parse(vec![0; 7], &cases()), None);
    }

    #[test]
    fn cases_of_the_wrong_length_are_refused() {
        cases().check().unwrap();
        let wrong = Cases { inputs: vec![0; 5], ..cases() };
        assert_eq!(wrong.check().unwrap_err().first().code, code::CASES_MISMATCH);
    }

    #[test]
    fn taps_that_are_cut_short_are_nothing() {
        let mut bytes = vec![255, 255, 255, 255, 0, 0, 0, 0];
        bytes.extend([7, 0, 0, 0, 2, 0, 0, 0, 9, 8]);
        assert_eq!(parse_taps(&bytes).unwrap(), vec![vec![Tap { tensor: 7, bytes: vec![9, 8] }]]);
        for end in 1..bytes.len() {
            assert_eq!(parse_taps(&bytes[..end]).is_some(), end == 8, "cut at {end}");
        }
    }

    #[test]
    fn records_of_the_wrong_size_are_nothing() {
        assert_eq!(parse_stats(&[0; 12]), None);
        assert_eq!(parse_stats(b"KGS1\x08\0\0\0\x10\0\0\0"), Some((8, 16)));
        assert_eq!(Fault::parse(&[0; 23]), None);
        assert_eq!(parse_ticks(&[250, 255, 255, 255, 4, 0, 0, 0, 9]), vec![10]);
    }
}
