//! From a graph to a program: asks each node's operator for its calls, decides which tensors share
//! memory, and places the rest.

mod overlap;
mod share;

use crate::order::reordered;
use crate::storage::{StorageId, Storages};
use crate::{
    ALIGNMENT, Buffer, BufferId, Call, Constant, ConstantId, Operand, Port, Program, Region,
    Report, State, Step, TensorInfo, element_of,
};
use kinglet_diag::{Diagnostic, Failure, Place, code};
use kinglet_graph::{Data, Node, NodeId, TensorId, TensorKind};
use kinglet_kernels::CopyBytes;
use kinglet_ops::lower::{Arg, Lower, Lowered};
use kinglet_ops::{Graph, Op};
use kinglet_plan::{Block, Effort, Problem};
use kinglet_target::Target;
use std::sync::Arc;

/// How to lower.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether an output may take over the memory of an input that nobody needs any more.
    pub in_place: bool,
    /// How hard to look for a small arena.
    pub effort: Effort,
}

impl Default for Options {
    fn default() -> Self {
        Self { in_place: true, effort: Effort::default() }
    }
}

/// Lowers a verified graph for a target.
///
/// # Errors
/// Every node that cannot be lowered, all at once (`K0401`), or a plan that cannot be made (`K0402`).
pub fn lower(graph: &Graph, target: &Target, options: &Options) -> Result<Program, Failure> {
    let as_given = lower_in_order(graph, target, options)?;
    // The estimate of an order knows neither aliases nor in-place forms: the plan itself decides.
    match reordered(graph, &options.effort) {
        None => Ok(as_given),
        Some(graph) => {
            let other = lower_in_order(&graph, target, options)?;
            Ok(if other.arena_bytes < as_given.arena_bytes { other } else { as_given })
        }
    }
}

fn lower_in_order(graph: &Graph, target: &Target, options: &Options) -> Result<Program, Failure> {
    let mut builder = Builder::new(graph, target, options);
    builder.lower_nodes()?;
    builder.mark_outputs();
    builder.share_states();
    if options.in_place {
        builder.share_in_place();
    }
    builder.finish()
}

/// Where a tensor is.
#[derive(Clone, Copy, Debug)]
enum Home {
    Nowhere,
    Storage(StorageId),
    Constant(ConstantId),
}

/// An operand before buffers exist.
#[derive(Clone, Copy, Debug)]
enum Slot {
    Storage(StorageId),
    Constant(ConstantId),
}

/// A call before buffers exist.
struct Draft {
    node: NodeId,
    kernel: Arc<dyn kinglet_kernels::reflect::Kernel>,
    slots: Vec<Slot>,
    in_place: Option<DraftInPlace>,
    /// A plain copy from the first slot to the last: it can go when both become one storage.
    is_copy: bool,
    reports: Vec<(TensorId, StorageId)>,
}

struct DraftInPlace {
    input: StorageId,
    output: StorageId,
    kernel: Arc<dyn kinglet_kernels::reflect::Kernel>,
    slots: Vec<Slot>,
}

struct Builder<'a> {
    graph: &'a Graph,
    target: &'a Target,
    options: &'a Options,
    storages: Storages,
    homes: Vec<Home>,
    constants: Vec<Constant>,
    drafts: Vec<Draft>,
    prologue: Vec<(TensorId, StorageId)>,
    states: Vec<(TensorId, StorageId, Data)>,
    /// For each tensor, the nodes that read it.
    readers: Vec<Vec<NodeId>>,
    /// For each tensor, the tensors that are the same bytes.
    aliases_of: Vec<Vec<TensorId>>,
    /// For each state variable, the nodes that assign it.
    assigned_at: Vec<Vec<usize>>,
}

impl<'a> Builder<'a> {
    fn new(graph: &'a Graph, target: &'a Target, options: &'a Options) -> Self {
        let mut builder = Self {
            graph,
            target,
            options,
            storages: Storages::default(),
            homes: vec![Home::Nowhere; graph.tensors.len()],
            constants: Vec::new(),
            drafts: Vec::new(),
            prologue: Vec::new(),
            states: Vec::new(),
            readers: graph.readers(),
            aliases_of: vec![Vec::new(); graph.tensors.len()],
            assigned_at: vec![Vec::new(); graph.tensors.len()],
        };
        for port in &graph.inputs {
            let storage = builder.storage_of(port.tensor);
            builder.storages.get_mut(storage).is_input = true;
        }
        for id in graph.states() {
            let tensor = graph.tensor(id);
            let TensorKind::State(start) = &tensor.kind else { continue };
            let storage = builder.storage_of(id);
            builder.storages.get_mut(storage).state = Some(builder.states.len());
            builder.states.push((id, storage, start.clone()));
        }
        for (index, node) in graph.nodes.iter().enumerate() {
            for &position in node.op.assigned_states() {
                if let Some(Some(state)) = node.inputs.get(position) {
                    builder.assigned_at[state.index()].push(index);
                }
            }
        }
        builder
    }

    /// The tensor's storage, made on first use.
    fn storage_of(&mut self, id: TensorId) -> StorageId {
        if let Home::Storage(storage) = self.homes[id.index()] {
            return storage;
        }
        let tensor = self.graph.tensor(id);
        let storage = self.storages.add(tensor.ty.bytes(), Some(id), "");
        self.homes[id.index()] = Home::Storage(storage);
        storage
    }

    fn slot_of(&mut self, id: TensorId) -> Slot {
        match self.homes[id.index()] {
            Home::Storage(storage) => return Slot::Storage(storage),
            Home::Constant(constant) => return Slot::Constant(constant),
            Home::Nowhere => {}
        }
        let tensor = self.graph.tensor(id);
        match tensor.constant() {
            Some(data) => {
                let constant = Constant {
                    label: tensor.name.clone(),
                    data: data.clone(),
                    element: element_of(tensor.dtype()),
                    packing: "",
                    tensor: Some(id),
                };
                let constant = self.add_constant(constant);
                self.homes[id.index()] = Home::Constant(constant);
                Slot::Constant(constant)
            }
            None => Slot::Storage(self.storage_of(id)),
        }
    }

    /// Adds a constant, or finds one with the same bytes and element type.
    fn add_constant(&mut self, constant: Constant) -> ConstantId {
        let same = self.constants.iter().position(|other| {
            other.element == constant.element
                && other.packing == constant.packing
                && other.data == constant.data
        });
        ConstantId(same.unwrap_or_else(|| {
            self.constants.push(constant);
            self.constants.len() - 1
        }))
    }

    fn lower_nodes(&mut self) -> Result<(), Failure> {
        let mut refusals = Vec::new();
        let mut all = Vec::with_capacity(self.graph.nodes.len());
        for id in self.graph.node_ids() {
            let node = self.graph.node(id);
            let tensor = |t: &TensorId| self.graph.tensor(*t);
            let inputs = node.inputs.iter().map(|t| t.as_ref().map(tensor)).collect();
            let outputs = node.outputs.iter().map(tensor).collect();
            let mut lower = Lower::new(self.target, inputs, outputs);
            match node.op.lower(&mut lower) {
                Ok(()) => all.push((id, lower.finish())),
                Err(refusal) => {
                    let message = format!("{}: {}", node.op.name(), refusal.why);
                    let mut diagnostic = Diagnostic::error(code::NOT_LOWERED, message)
                        .at(Place::Node(self.graph.node_label(id)));
                    diagnostic.help = refusal.help;
                    refusals.push(diagnostic);
                }
            }
        }
        if !refusals.is_empty() {
            return Err(Failure::new(refusals));
        }
        for (id, lowered) in &all {
            for (output, input) in aliases(self.graph.node(*id), lowered) {
                self.aliases_of[input.index()].push(output);
            }
        }
        for (id, lowered) in all {
            self.add_lowered(id, lowered);
        }
        Ok(())
    }

    fn add_lowered(&mut self, id: NodeId, lowered: Lowered) {
        let node = self.graph.node(id);
        for (output, input) in aliases(node, &lowered) {
            self.alias(id, output, input);
        }
        let temporaries: Vec<_> = lowered
            .temporaries
            .iter()
            .map(|&bytes| self.storages.add(bytes, None, "scratch"))
            .collect();
        let constants: Vec<_> = lowered
            .constants
            .into_iter()
            .map(|constant| {
                let tensor =
                    constant.from_input.and_then(|i| node.inputs.get(i).copied().flatten());
                self.add_constant(Constant {
                    label: format!("{} of {}", constant.label, node.name),
                    data: constant.data,
                    element: constant.element,
                    packing: constant.packing,
                    tensor,
                })
            })
            .collect();
        let slot = |this: &mut Self, arg: &Arg| match *arg {
            Arg::Input(i) | Arg::State(i) => {
                node.inputs.get(i).copied().flatten().map(|t| this.slot_of(t))
            }
            Arg::Output(i) => node.outputs.get(i).map(|&t| Slot::Storage(this.storage_of(t))),
            Arg::Constant(i) => constants.get(i).map(|&c| Slot::Constant(c)),
            Arg::Temporary(i) => temporaries.get(i).map(|&s| Slot::Storage(s)),
        };
        for call in lowered.calls {
            let slots = call.args.iter().filter_map(|arg| slot(self, arg)).collect();
            let in_place = call.in_place.and_then(|form| {
                let input = node.inputs.get(form.input).copied().flatten()?;
                let Slot::Storage(input) = self.slot_of(input) else { return None };
                let output = self.storage_of(*node.outputs.get(form.output)?);
                let slots = form.args.iter().filter_map(|arg| slot(self, arg)).collect();
                Some(DraftInPlace { input, output, kernel: form.kernel, slots })
            });
            self.drafts.push(Draft {
                node: id,
                kernel: call.kernel,
                slots,
                in_place,
                is_copy: false,
                reports: Vec::new(),
            });
        }
        for (state, value) in lowered.assigns {
            let (Some(state), Some(value)) = (
                node.inputs.get(state).copied().flatten(),
                node.inputs.get(value).copied().flatten(),
            ) else {
                continue;
            };
            let (from, to) = (self.slot_of(value), self.storage_of(state));
            self.copy(id, from, to);
        }
        let reports: Vec<_> =
            node.outputs.iter().map(|&tensor| (tensor, self.storage_of(tensor))).collect();
        match self.drafts.last_mut() {
            Some(draft) => draft.reports.extend(reports),
            None => self.prologue.extend(reports),
        }
    }

    fn copy(&mut self, node: NodeId, from: Slot, to: StorageId) {
        self.drafts.push(Draft {
            node,
            kernel: Arc::new(CopyBytes {}),
            slots: vec![from, Slot::Storage(to)],
            in_place: None,
            is_copy: true,
            reports: Vec::new(),
        });
    }

    /// First writing and last using draft of a storage; `None` when no draft touches it.
    fn span(&self, storage: StorageId) -> Option<(usize, usize)> {
        let root = self.storages.root(storage);
        let mut span = None;
        for (index, draft) in self.drafts.iter().enumerate() {
            let used = draft
                .slots
                .iter()
                .any(|slot| matches!(slot, Slot::Storage(s) if self.storages.root(*s) == root));
            if used {
                let (first, _) = span.unwrap_or((index, index));
                span = Some((first, index));
            }
        }
        span
    }

    /// Marks the storages of the outputs.
    fn mark_outputs(&mut self) {
        for port in &self.graph.outputs {
            let storage = match self.slot_of(port.tensor) {
                Slot::Storage(storage) => storage,
                // An output that is a constant is copied to where outputs are looked for.
                Slot::Constant(constant) => {
                    let tensor = self.graph.tensor(port.tensor);
                    let storage = self.storages.add(tensor.ty.bytes(), Some(port.tensor), "");
                    let node = NodeId::new(self.graph.nodes.len().saturating_sub(1));
                    self.copy(node, Slot::Constant(constant), storage);
                    self.homes[port.tensor.index()] = Home::Storage(storage);
                    storage
                }
            };
            // A state variable that is an output is read where it is.
            self.storages.get_mut(storage).is_output = true;
        }
    }

    fn finish(self) -> Result<Program, Failure> {
        let Placed { buffers, ids, sizes: plan } = self.place()?;
        let buffer_of =
            |storage: StorageId| ids[self.storages.root(storage)].unwrap_or(BufferId(0));
        let report = |&(tensor, storage): &(TensorId, StorageId)| Report {
            tensor,
            buffer: buffer_of(storage),
        };
        let port = |port: &kinglet_graph::Port| {
            let tensor = self.graph.tensor(port.tensor);
            let Home::Storage(storage) = self.homes[port.tensor.index()] else {
                return Err(kinglet_diag::bug("a port without a buffer"));
            };
            Ok(Port {
                name: port.name.clone(),
                buffer: buffer_of(storage),
                ty: tensor.ty.clone(),
                quantization: tensor.quantization.clone(),
                labels: port.labels.clone(),
            })
        };
        let operand = |slot: &Slot| match *slot {
            Slot::Storage(storage) => Operand::Buffer(buffer_of(storage)),
            Slot::Constant(constant) => Operand::Constant(constant),
        };
        let steps = self
            .drafts
            .iter()
            .map(|draft| Step {
                call: Call {
                    kernel: Arc::clone(&draft.kernel),
                    operands: draft.slots.iter().map(operand).collect(),
                    // One copy of each kernel serves all its calls; specialized copies come with
                    // the fast kernels.
                    shared: true,
                },
                node: draft.node.index(),
                label: self.graph.node_label(draft.node),
                reports: draft.reports.iter().map(report).collect(),
            })
            .collect();
        let tensors = self.graph.tensors.iter().map(|tensor| TensorInfo {
            name: tensor.name.clone(),
            origin: tensor.origin,
            ty: tensor.ty.clone(),
        });
        Ok(Program {
            name: self.graph.name.clone(),
            target: *self.target,
            steps,
            prologue: self.prologue.iter().map(report).collect(),
            inputs: self.graph.inputs.iter().map(port).collect::<Result<_, _>>()?,
            outputs: self.graph.outputs.iter().map(port).collect::<Result<_, _>>()?,
            states: self
                .states
                .iter()
                .map(|(tensor, storage, start)| State {
                    name: self.graph.tensor(*tensor).name.clone(),
                    buffer: buffer_of(*storage),
                    start: start.clone(),
                })
                .collect(),
            tensors: tensors.collect(),
            arena_bytes: plan.arena,
            state_bytes: plan.state,
            arena_lower_bound: plan.lower_bound,
            arena_optimal: plan.optimal,
            buffers,
            constants: self.constants,
        })
    }

    /// Gives every storage its place.
    fn place(&self) -> Result<Placed, Failure> {
        let last_step = self.drafts.len().saturating_sub(1);
        let mut ids = vec![None; self.storages.roots().max().map_or(0, |last| last + 1)];
        let mut buffers = Vec::new();
        let mut state_end = 0;
        for root in self.storages.roots() {
            let storage = self.storages.get(root);
            let (first, last) = match (self.span(root), storage.is_input || storage.is_output) {
                (Some(span), _) => span,
                (None, true) => (0, last_step),
                (None, false) if storage.state.is_some() => (0, last_step),
                (None, false) => continue,
            };
            ids[root] = Some(BufferId(buffers.len()));
            let is_state = storage.state.is_some();
            let offset = state_end;
            if is_state {
                state_end = align(state_end + storage.bytes);
            }
            buffers.push(Buffer {
                bytes: storage.bytes,
                region: if is_state { Region::State } else { Region::Arena },
                offset: if is_state { offset } else { 0 },
                first: if is_state || storage.is_input { 0 } else { first },
                last: if is_state || storage.is_output { last_step } else { last },
                tensors: storage.tensors.clone(),
                label: storage.label.clone(),
            });
        }
        let placed: Vec<usize> =
            (0..buffers.len()).filter(|&i| buffers[i].region == Region::Arena).collect();
        let block = |&i: &usize| {
            let buffer: &Buffer = &buffers[i];
            let step = |step: usize| u32::try_from(step).unwrap_or(u32::MAX);
            Block::new(buffer.bytes as u64, ALIGNMENT as u64, step(buffer.first), step(buffer.last))
        };
        let problem = Problem::new(placed.iter().map(block).collect());
        let block_of = |storage: StorageId| {
            let buffer = ids.get(self.storages.root(storage)).copied().flatten()?;
            placed.binary_search(&buffer.0).ok()
        };
        let placement = overlap::place(problem, &self.overlaps(block_of), &self.options.effort)?;
        for (&index, &offset) in placed.iter().zip(&placement.offsets) {
            buffers[index].offset = usize::try_from(offset).unwrap_or(usize::MAX);
        }
        let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let sizes = Sizes {
            arena: bytes(placement.bytes),
            state: state_end,
            lower_bound: bytes(placement.lower_bound),
            optimal: placement.optimal,
        };
        Ok(Placed { buffers, ids, sizes })
    }
}

/// The outputs of a node that are the same bytes as an input, by tensor.
fn aliases(node: &Node<dyn Op>, lowered: &Lowered) -> Vec<(TensorId, TensorId)> {
    let tensor = |&(output, input): &(usize, usize)| {
        Some((*node.outputs.get(output)?, node.inputs.get(input).copied().flatten()?))
    };
    lowered.aliases.iter().filter_map(tensor).collect()
}

/// Buffers with their places, and the buffer of each storage.
struct Placed {
    buffers: Vec<Buffer>,
    ids: Vec<Option<BufferId>>,
    sizes: Sizes,
}

/// Sizes of the blocks of memory.
struct Sizes {
    arena: usize,
    state: usize,
    lower_bound: usize,
    optimal: bool,
}

fn align(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGNMENT)
}
