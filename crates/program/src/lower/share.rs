//! Which tensors need no memory of their own: aliases, values computed right in a state variable, and
//! outputs that take over a dying input.

use super::{Builder, Draft, DraftInPlace, Slot};
use crate::storage::StorageId;
use kinglet_graph::{NodeId, TensorId};
use kinglet_kernels::declare::Role;

/// An assignment that becomes no step.
struct Forward {
    value: StorageId,
    state: StorageId,
    /// The draft that computes the value from the variable and must do so in place.
    in_place: Option<usize>,
}

impl Builder<'_> {
    /// Makes `output` the same memory as `input`, or a copy where that could be seen.
    pub(super) fn alias(&mut self, node: NodeId, output: TensorId, input: TensorId) {
        let from = self.slot_of(input);
        let is_output = self.graph.outputs.iter().any(|port| port.tensor == output);
        let shares = match from {
            Slot::Constant(_) => false,
            Slot::Storage(storage) => match self.storages.get(storage).state {
                None => true,
                // A read of a state variable must not see what is assigned later.
                Some(state) => !is_output && self.last_use(output) < self.next_assign(state, node),
            },
        };
        let to = self.storage_of(output);
        match from {
            Slot::Storage(storage) if shares => self.storages.merge(storage, to),
            _ => self.copy(node, from, to),
        }
    }

    /// The last node that uses a tensor or anything that shares its memory by aliasing.
    fn last_use(&self, tensor: TensorId) -> usize {
        let mut last = 0;
        let mut same = vec![tensor];
        let mut next = 0;
        while let Some(&tensor) = same.get(next) {
            next += 1;
            if self.graph.outputs.iter().any(|port| port.tensor == tensor) {
                return usize::MAX;
            }
            let readers = self.readers[tensor.index()].iter().map(|node| node.index());
            last = readers.max().unwrap_or(0).max(last);
            same.extend(self.aliases_of[tensor.index()].iter().copied());
        }
        last
    }

    /// The first node after this one that assigns the state.
    fn next_assign(&self, state: usize, after: NodeId) -> usize {
        let (tensor, _, _) = self.states[state];
        let assigns = self.assigned_at[tensor.index()].iter().copied();
        assigns.filter(|&node| node >= after.index()).min().unwrap_or(usize::MAX)
    }

    /// Lets the value that is assigned to a state variable be computed right in the variable, where
    /// nobody needs the old value any more by then: the copy goes.
    pub(super) fn share_states(&mut self) {
        let mut index = 0;
        while index < self.drafts.len() {
            if !self.is_copy_to_itself(index) {
                let Some(forward) = self.forwarded(index) else {
                    index += 1;
                    continue;
                };
                self.storages.merge(forward.state, forward.value);
                if let Some(draft) = forward.in_place {
                    self.use_in_place(draft);
                }
            }
            let removed = self.drafts.remove(index);
            match index.checked_sub(1).and_then(|i| self.drafts.get_mut(i)) {
                Some(previous) => previous.reports.extend(removed.reports),
                None => self.prologue.extend(removed.reports),
            }
        }
    }

    /// Whether a draft copies a storage to where it is already: a value assigned twice.
    fn is_copy_to_itself(&self, index: usize) -> bool {
        let draft = &self.drafts[index];
        let [Slot::Storage(from), Slot::Storage(to)] = draft.slots[..] else { return false };
        draft.is_copy && self.storages.root(from) == self.storages.root(to)
    }

    /// How the value that the copy at `index` assigns to a state variable can live in the variable
    /// from the start, if it can.
    fn forwarded(&self, index: usize) -> Option<Forward> {
        let draft = &self.drafts[index];
        let [Slot::Storage(value), Slot::Storage(state)] = draft.slots[..] else { return None };
        if !draft.is_copy {
            return None;
        }
        let (from, to) = (self.storages.get(value), self.storages.get(state));
        to.state?;
        if from.state.is_some() || from.is_input || from.bytes != to.bytes {
            return None;
        }
        let (value, state) = (self.storages.root(value), self.storages.root(state));
        let (written, last) = self.span(value)?;
        // An output must hold the value to the end.
        let last = if from.is_output { usize::MAX } else { last };
        // Between the writing of the value and this copy nobody may touch the variable, unless the
        // value is computed from the variable in place; afterwards both hold the same.
        let touched: Vec<_> =
            (written..index).filter(|&i| self.uses(&self.drafts[i], state) > 0).collect();
        let in_place = match touched[..] {
            [] => None,
            [draft] if draft == written && self.can_assign_in_place(draft, value, state) => {
                Some(draft)
            }
            _ => return None,
        };
        // A later assignment must not destroy the value while it is still read as a value; one of the
        // same value does not.
        let is_again = |draft: &Draft| {
            draft.is_copy
                && matches!(draft.slots[..], [Slot::Storage(from), _] if self.storages.root(from) == value)
        };
        let mut later = self.drafts.iter().enumerate().skip(index + 1);
        let is_destroyed =
            later.any(|(i, draft)| i <= last && self.writes(draft, state) && !is_again(draft));
        (!is_destroyed).then_some(Forward { value, state, in_place })
    }

    /// Whether a draft computes a value from a state variable and nothing else of it, and could do so
    /// in place.
    fn can_assign_in_place(&self, draft: usize, value: StorageId, state: StorageId) -> bool {
        let draft = &self.drafts[draft];
        let fits = |form: &DraftInPlace| {
            let (input, output) = (self.storages.root(form.input), self.storages.root(form.output));
            (input, output) == (state, value) && self.uses(draft, state) == 1
        };
        self.options.in_place && draft.in_place.as_ref().is_some_and(fits)
    }

    /// How many operands of a draft are this storage.
    pub(super) fn uses(&self, draft: &Draft, root: StorageId) -> usize {
        let same =
            |slot: &&Slot| matches!(slot, Slot::Storage(s) if self.storages.root(*s) == root);
        draft.slots.iter().filter(same).count()
    }

    /// Makes a draft write its output over its input.
    fn use_in_place(&mut self, index: usize) {
        let draft = &mut self.drafts[index];
        if let Some(form) = draft.in_place.take() {
            draft.kernel = form.kernel;
            draft.slots = form.slots;
        }
    }

    /// Whether a draft writes a storage.
    fn writes(&self, draft: &Draft, root: StorageId) -> bool {
        let operands = draft.kernel.declaration().operands;
        draft.slots.iter().zip(operands).any(|(slot, operand)| {
            matches!(operand.role, Role::Out | Role::InOut)
                && matches!(slot, Slot::Storage(s) if self.storages.root(*s) == root)
        })
    }

    /// Lets outputs take over the memory of inputs that die there.
    pub(super) fn share_in_place(&mut self) {
        for index in 0..self.drafts.len() {
            let Some(form) = &self.drafts[index].in_place else { continue };
            let (input, output) = (self.storages.root(form.input), self.storages.root(form.output));
            if !self.can_take_over(index, input, output) {
                continue;
            }
            self.storages.merge(input, output);
            self.use_in_place(index);
        }
    }

    fn can_take_over(&self, index: usize, input: StorageId, output: StorageId) -> bool {
        let (from, to) = (self.storages.get(input), self.storages.get(output));
        if input == output || from.bytes != to.bytes || from.is_output || from.state.is_some() {
            return false;
        }
        if to.state.is_some() || to.is_input {
            return false;
        }
        let dies_here = self.span(input).is_some_and(|(_, last)| last == index);
        let born_here = self.span(output).is_some_and(|(first, _)| first == index);
        dies_here && born_here && self.uses(&self.drafts[index], input) == 1
    }
}
