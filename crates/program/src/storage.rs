//! Which tensors share memory: a forest of storages, each a block of bytes.

use kinglet_graph::TensorId;

/// Names a storage; storages that were merged have one [`Storages::root`].
pub(crate) type StorageId = usize;

/// A block of bytes before it has a place.
#[derive(Clone, Debug)]
pub(crate) struct Storage {
    pub bytes: usize,
    /// The state variable it is, by position.
    pub state: Option<usize>,
    /// Holds a value before the first step.
    pub is_input: bool,
    /// Must hold its value after the last step.
    pub is_output: bool,
    pub tensors: Vec<TensorId>,
    pub label: String,
    parent: StorageId,
}

/// All storages.
#[derive(Default)]
pub(crate) struct Storages {
    list: Vec<Storage>,
}

impl Storages {
    pub fn add(&mut self, bytes: usize, tensor: Option<TensorId>, label: &str) -> StorageId {
        let id = self.list.len();
        self.list.push(Storage {
            bytes,
            state: None,
            is_input: false,
            is_output: false,
            tensors: tensor.into_iter().collect(),
            label: label.to_owned(),
            parent: id,
        });
        id
    }

    /// The storage that this one has become part of.
    pub fn root(&self, mut id: StorageId) -> StorageId {
        while self.list[id].parent != id {
            id = self.list[id].parent;
        }
        id
    }

    pub fn get(&self, id: StorageId) -> &Storage {
        &self.list[self.root(id)]
    }

    pub fn get_mut(&mut self, id: StorageId) -> &mut Storage {
        let root = self.root(id);
        &mut self.list[root]
    }

    /// Makes `guest` part of `host`.
    pub fn merge(&mut self, host: StorageId, guest: StorageId) {
        let (host, guest) = (self.root(host), self.root(guest));
        if host == guest {
            return;
        }
        let taken = std::mem::take(&mut self.list[guest].tensors);
        let (bytes, state) = (self.list[guest].bytes, self.list[guest].state);
        let (is_input, is_output) = (self.list[guest].is_input, self.list[guest].is_output);
        self.list[guest].parent = host;
        let host = &mut self.list[host];
        host.tensors.extend(taken);
        host.bytes = host.bytes.max(bytes);
        host.state = host.state.or(state);
        host.is_input |= is_input;
        host.is_output |= is_output;
    }

    /// All storages that are not part of another.
    pub fn roots(&self) -> impl Iterator<Item = StorageId> + '_ {
        (0..self.list.len()).filter(|&id| self.list[id].parent == id)
    }
}
