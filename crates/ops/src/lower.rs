//! From one node to kernel calls. An operator's `lower` talks to [`Lower`]; the crate `program`
//! collects what it says.

use crate::op::Refusal;
use kinglet_graph::{Data, Tensor};
use kinglet_kernels::declare::Element;
use kinglet_kernels::reflect::Kernel;
use kinglet_target::Target;
use std::sync::Arc;

/// What stands in an operand's place, in terms of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arg {
    /// The node's input at this position: a value, a constant as it stands in the graph, or a state
    /// variable's value.
    Input(usize),
    /// The node's output at this position.
    Output(usize),
    /// The state variable at this input position, to be written.
    State(usize),
    /// A constant made by the lowering.
    Constant(usize),
    /// Memory of the node's own: scratch, or what one of its calls hands to the next.
    Temporary(usize),
}

/// A constant made by a lowering: packed weights, a table.
#[derive(Clone, Debug)]
pub struct Constant {
    /// What it is: `weights`, `channels`, `table`.
    pub label: &'static str,
    /// The bytes, little endian.
    pub data: Data,
    /// The element type.
    pub element: Element,
    /// How it is packed, for the reader of a listing; empty when as in the model.
    pub packing: &'static str,
    /// The node's input it was made from, where there is one.
    pub from_input: Option<usize>,
}

/// A kernel call in terms of the node.
#[derive(Clone, Debug)]
pub struct Call {
    /// The kernel with its parameters.
    pub kernel: Arc<dyn Kernel>,
    /// Its operands, in the order of its declaration.
    pub args: Vec<Arg>,
    /// The same computation with the output written over an input, where the kernel family has it.
    pub in_place: Option<InPlace>,
}

/// The in-place form of a call.
#[derive(Clone, Debug)]
pub struct InPlace {
    /// The input whose memory the output may take over when nobody needs it afterwards.
    pub input: usize,
    /// The output that takes it over.
    pub output: usize,
    /// The kernel; its `inout` operand is given as [`Arg::Output`].
    pub kernel: Arc<dyn Kernel>,
    /// Its operands.
    pub args: Vec<Arg>,
}

/// What a node was lowered to.
#[derive(Clone, Debug, Default)]
pub struct Lowered {
    /// The calls, in order.
    pub calls: Vec<Call>,
    /// The constants they name.
    pub constants: Vec<Constant>,
    /// Bytes of each temporary.
    pub temporaries: Vec<usize>,
    /// Outputs that are the same bytes as an input: (output, input).
    pub aliases: Vec<(usize, usize)>,
    /// State variables that take the value of an input, after all calls: (state's input, value's
    /// input).
    pub assigns: Vec<(usize, usize)>,
}

/// The lowering of one node.
pub struct Lower<'a> {
    target: &'a Target,
    inputs: Vec<Option<&'a Tensor>>,
    outputs: Vec<&'a Tensor>,
    lowered: Lowered,
}

impl<'a> Lower<'a> {
    /// Starts the lowering of a node with these tensors.
    pub fn new(
        target: &'a Target,
        inputs: Vec<Option<&'a Tensor>>,
        outputs: Vec<&'a Tensor>,
    ) -> Self {
        Self { target, inputs, outputs, lowered: Lowered::default() }
    }

    /// The machine that will run the calls.
    pub fn target(&self) -> &'a Target {
        self.target
    }

    /// How many inputs there are, absent ones included.
    pub fn input_count(&self) -> usize {
        self.inputs.len()
    }

    /// How many outputs there are.
    pub fn output_count(&self) -> usize {
        self.outputs.len()
    }

    /// The input tensor at this position, if it is there.
    pub fn optional_input(&self, index: usize) -> Option<&'a Tensor> {
        self.inputs.get(index).copied().flatten()
    }

    /// The input tensor at this position.
    pub fn input(&self, index: usize) -> Result<&'a Tensor, Refusal> {
        self.optional_input(index).ok_or_else(|| Refusal::new(format!("input {index} is missing")))
    }

    /// The output tensor at this position.
    pub fn output(&self, index: usize) -> Result<&'a Tensor, Refusal> {
        let output = self.outputs.get(index).copied();
        output.ok_or_else(|| Refusal::new(format!("output {index} is missing")))
    }

    /// Adds a constant made from an input (or from nothing).
    pub fn constant(
        &mut self,
        label: &'static str,
        packing: &'static str,
        from_input: Option<usize>,
        data: ConstantData,
    ) -> Arg {
        let (element, bytes) = data.into_parts();
        let constant = Constant { label, data: Data::new(bytes), element, packing, from_input };
        self.lowered.constants.push(constant);
        Arg::Constant(self.lowered.constants.len() - 1)
    }

    /// Adds memory of the node's own.
    pub fn temporary(&mut self, bytes: usize) -> Arg {
        self.lowered.temporaries.push(bytes);
        Arg::Temporary(self.lowered.temporaries.len() - 1)
    }

    /// Adds a call.
    pub fn call(&mut self, kernel: impl Kernel + 'static, args: &[Arg]) {
        let call = Call { kernel: Arc::new(kernel), args: args.to_vec(), in_place: None };
        self.lowered.calls.push(call);
    }

    /// Adds a call that has an in-place form: `output` may take the memory of `input`.
    pub fn call_or_in_place(
        &mut self,
        kernel: impl Kernel + 'static,
        args: &[Arg],
        (output, input): (usize, usize),
        in_place: impl Kernel + 'static,
        in_place_args: &[Arg],
    ) {
        let in_place =
            InPlace { input, output, kernel: Arc::new(in_place), args: in_place_args.to_vec() };
        let call = Call { kernel: Arc::new(kernel), args: args.to_vec(), in_place: Some(in_place) };
        self.lowered.calls.push(call);
    }

    /// Says that an output is the same bytes as an input: nothing has to be computed.
    pub fn alias(&mut self, output: usize, input: usize) {
        self.lowered.aliases.push((output, input));
    }

    /// Says that the state variable at one input takes the value of another input, after all calls.
    pub fn assign(&mut self, state: usize, value: usize) {
        self.lowered.assigns.push((state, value));
    }

    /// What the node was lowered to.
    pub fn finish(self) -> Lowered {
        self.lowered
    }
}

/// Elements of a constant.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each variant is the type it names")]
pub enum ConstantData {
    I8(Vec<i8>),
    U8(Vec<u8>),
    I16(Vec<i16>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    F32(Vec<f32>),
}

impl ConstantData {
    fn into_parts(self) -> (Element, Vec<u8>) {
        match self {
            ConstantData::I8(v) => (Element::I8, bytemuck::cast_slice(&v).to_vec()),
            ConstantData::U8(v) => (Element::U8, v),
            ConstantData::I16(v) => (Element::I16, bytemuck::cast_slice(&v).to_vec()),
            ConstantData::I32(v) => (Element::I32, bytemuck::cast_slice(&v).to_vec()),
            ConstantData::I64(v) => (Element::I64, bytemuck::cast_slice(&v).to_vec()),
            ConstantData::F32(v) => (Element::F32, bytemuck::cast_slice(&v).to_vec()),
        }
    }
}
