//! The model metadata: names and descriptions for people, and which files are packed with the model.

use super::flat::{Flat, Table};
use super::schema;
use kinglet_diag::{Diagnostic, Place, Result, code};

const IDENTIFIER: &[u8] = b"M001";

/// What the author wrote about the model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelInfo {
    /// The model's name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// Its version, as the author counts.
    pub version: String,
    /// Who made it.
    pub author: String,
    /// Its licence.
    pub license: String,
    /// One for each subgraph described.
    pub subgraphs: Vec<SubgraphInfo>,
    /// Files that belong to the model as a whole.
    pub files: Vec<FileInfo>,
}

/// What the author wrote about a subgraph.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SubgraphInfo {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// In the order of the subgraph's inputs.
    pub inputs: Vec<TensorInfo>,
    /// In the order of the subgraph's outputs.
    pub outputs: Vec<TensorInfo>,
    /// Files that belong to the subgraph.
    pub files: Vec<FileInfo>,
}

/// What the author wrote about an input or output.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TensorInfo {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub description: String,
    /// Names of its dimensions; may be empty.
    pub dimension_names: Vec<String>,
    /// The mean to subtract before the model, by channel or one for all; empty if none is said.
    pub mean: Vec<f32>,
    /// The deviation to divide by before the model, like `mean`.
    pub std: Vec<f32>,
    /// The smallest value, by channel or one for all; empty if none is said.
    pub min: Vec<f32>,
    /// The largest value, like `min`.
    pub max: Vec<f32>,
    /// Files that belong to the tensor: labels of its values or of its axis.
    pub files: Vec<FileInfo>,
}

/// A file packed with the model, as the metadata describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileInfo {
    /// Its name in the archive.
    pub name: String,
    /// What it is.
    pub description: String,
    /// The schema's name of its kind, `TENSOR_AXIS_LABELS`; empty for one it does not know.
    pub kind: &'static str,
    /// The language of its content; may be empty.
    pub locale: String,
}

impl ModelInfo {
    /// Every file described, of the model, its subgraphs and their tensors.
    pub fn all_files(&self) -> impl Iterator<Item = &FileInfo> {
        self.files.iter().chain(self.subgraphs.iter().flat_map(|subgraph| {
            let tensors = subgraph.inputs.iter().chain(&subgraph.outputs);
            subgraph.files.iter().chain(tensors.flat_map(|tensor| tensor.files.iter()))
        }))
    }
}

/// Reads the content of the metadata entry, which starts at byte `at` of the file. A model runs
/// without its metadata, so a fault is a warning.
pub(super) fn read(bytes: &[u8], at: usize) -> Result<ModelInfo, Box<Diagnostic>> {
    let unreadable = |why: String| {
        Box::new(
            Diagnostic::warning(
                code::TFLITE_METADATA,
                format!("the model metadata cannot be read: {why}"),
            )
            .at(Place::Byte(super::flat::offset(at)))
            .help("the model itself is sound; its names, descriptions and labels are missing"),
        )
    };
    if bytes.get(4..8) != Some(IDENTIFIER) {
        return Err(unreadable("it does not carry the identifier M001".to_owned()));
    }
    let flat = Flat::new(bytes, at);
    flat.root(schema::model_metadata::TABLE)
        .and_then(|table| model(&table))
        .map_err(|failure| unreadable(failure.first().message.clone()))
}

fn model(table: &Table<'_, '_>) -> Result<ModelInfo> {
    use schema::model_metadata as field;
    let mut subgraphs = Vec::new();
    for subgraph in table.children(field::SUBGRAPH_METADATA)? {
        subgraphs.push(self::subgraph(&subgraph?)?);
    }
    Ok(ModelInfo {
        name: table.text(field::NAME)?,
        description: table.text(field::DESCRIPTION)?,
        version: table.text(field::VERSION)?,
        author: table.text(field::AUTHOR)?,
        license: table.text(field::LICENSE)?,
        subgraphs,
        files: files(table, field::ASSOCIATED_FILES)?,
    })
}

fn subgraph(table: &Table<'_, '_>) -> Result<SubgraphInfo> {
    use schema::sub_graph_metadata as field;
    table.spend_records::<SubgraphInfo>(1)?;
    let tensors = |field| -> Result<Vec<TensorInfo>> {
        table.children(field)?.map(|t| t.and_then(|t| tensor(&t))).collect()
    };
    Ok(SubgraphInfo {
        name: table.text(field::NAME)?,
        description: table.text(field::DESCRIPTION)?,
        inputs: tensors(field::INPUT_TENSOR_METADATA)?,
        outputs: tensors(field::OUTPUT_TENSOR_METADATA)?,
        files: files(table, field::ASSOCIATED_FILES)?,
    })
}

fn tensor(table: &Table<'_, '_>) -> Result<TensorInfo> {
    use schema::{normalization_options, process_unit, stats, tensor_metadata as field};
    table.spend_records::<TensorInfo>(1)?;
    let mut info = TensorInfo {
        name: table.text(field::NAME)?,
        description: table.text(field::DESCRIPTION)?,
        dimension_names: table.texts(field::DIMENSION_NAMES)?,
        files: files(table, field::ASSOCIATED_FILES)?,
        ..TensorInfo::default()
    };
    for unit in table.children(field::PROCESS_UNITS)? {
        let options = unit?.choice(process_unit::OPTIONS)?;
        if let Some(options) = options.filter(|o| o.info().name == "NormalizationOptions") {
            info.mean = options.vector(normalization_options::MEAN)?;
            info.std = options.vector(normalization_options::STD)?;
        }
    }
    if let Some(range) = table.child(field::STATS)? {
        info.min = range.vector(stats::MIN)?;
        info.max = range.vector(stats::MAX)?;
    }
    Ok(info)
}

fn files(table: &Table<'_, '_>, field: schema::Children) -> Result<Vec<FileInfo>> {
    let mut files = Vec::new();
    for file in table.children(field)? {
        let file = file?;
        file.spend_records::<FileInfo>(1)?;
        let kind = i64::from(file.scalar(schema::associated_file::TYPE)?);
        files.push(FileInfo {
            name: file.text(schema::associated_file::NAME)?,
            description: file.text(schema::associated_file::DESCRIPTION)?,
            kind: schema::ASSOCIATED_FILE_TYPE.value_name(kind).unwrap_or_default(),
            locale: file.text(schema::associated_file::LOCALE)?,
        });
    }
    Ok(files)
}
