//! Loading a model.

use kinglet_diag::{Diagnostic, Place, Result, code};
use kinglet_ops::Graph;
use kinglet_program::{Options, Program};
use kinglet_target::Target;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The largest model file that is read, in bytes.
const LARGEST_MODEL: u64 = 2 << 30;

/// A model that was read and verified.
#[derive(Clone, Debug)]
pub struct Model {
    /// Where it came from.
    pub path: PathBuf,
    /// Its graph, as the file has it.
    pub graph: Arc<Graph>,
    /// The graph after the passes: what programs are made from.
    pub optimized: Arc<Graph>,
    /// Warnings and notes from reading it.
    pub remarks: Vec<Diagnostic>,
    /// SHA-256 of the file, hexadecimal.
    pub digest: String,
    /// Bytes of the file.
    pub bytes: usize,
}

impl Model {
    /// Reads a model file.
    ///
    /// # Errors
    /// A file that is missing or cannot be read, and everything wrong with its content.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = read_file(path)?;
        let digest = hex(&Sha256::digest(&bytes));
        let name = path.file_stem().map_or("model".into(), |stem| stem.to_string_lossy());
        let len = bytes.len();
        let shown = path.display().to_string();
        let imported = kinglet_import::read(Arc::new(bytes), &name)
            .map_err(|failure| failure.in_file(&shown))?;
        let optimized = kinglet_passes::standard(imported.graph.clone())
            .map_err(|failure| failure.in_file(&shown))?;
        let remarks = imported.remarks.into_iter().map(|r| r.in_file(shown.as_str())).collect();
        Ok(Self {
            path: path.to_owned(),
            graph: Arc::new(imported.graph),
            optimized: Arc::new(optimized),
            remarks,
            digest,
            bytes: len,
        })
    }

    /// The program for a target.
    ///
    /// # Errors
    /// Every node that cannot be lowered.
    pub fn program(&self, target: &Target, options: &Options) -> Result<Program> {
        self.lower(&self.optimized, target, options)
    }

    /// The program for a target in which every tensor of the file exists: it is made from the graph
    /// before the passes, which fuse some tensors away. Its tensor ids are those of `graph`.
    ///
    /// # Errors
    /// Every node that cannot be lowered.
    pub fn program_with_every_tensor(&self, target: &Target, options: &Options) -> Result<Program> {
        self.lower(&self.graph, target, options)
    }

    fn lower(&self, graph: &Graph, target: &Target, options: &Options) -> Result<Program> {
        let shown = self.path.display().to_string();
        kinglet_program::lower(graph, target, options).map_err(|f| f.in_file(&shown))
    }
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a whole file, within reason.
///
/// # Errors
/// `K0801` when it is not there, cannot be read, or is too large.
pub fn read_file(path: &Path) -> Result<Vec<u8>> {
    let shown = path.display().to_string();
    let unreadable = |why: String, help: &str| {
        Diagnostic::error(code::FILE_UNREADABLE, why)
            .at(Place::File(shown.clone()))
            .help(help.to_owned())
    };
    let mut file = File::open(path).map_err(|error| {
        unreadable(
            format!("the file cannot be opened: {error}"),
            "check the path and its permissions",
        )
    })?;
    let length = file.metadata().map(|meta| if meta.is_dir() { None } else { Some(meta.len()) });
    match length {
        Ok(Some(length)) if length <= LARGEST_MODEL => {}
        Ok(Some(length)) => {
            let why = format!("the file has {length} bytes, more than {LARGEST_MODEL}");
            return Err(unreadable(why, "models of this size do not run at the edge").into());
        }
        Ok(None) => return Err(unreadable("this is a folder".to_owned(), "name a file").into()),
        Err(error) => {
            return Err(unreadable(format!("the file cannot be read: {error}"), "try again").into());
        }
    }
    let mut bytes = Vec::new();
    // The limit holds even where the length lies: pipes and special files have none.
    let read = file.by_ref().take(LARGEST_MODEL).read_to_end(&mut bytes);
    read.map_err(|error| unreadable(format!("the file cannot be read: {error}"), "try again"))?;
    Ok(bytes)
}
