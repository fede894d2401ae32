//! From the FlatBuffer to the records, with every check.

use super::flat::{Flat, Table, size};
use super::schema::{self, TableInfo};
use super::{
    Attributes, Model, Operator, OperatorCode, Signature, Subgraph, Value, files, metadata,
    node_place, operator_name,
};
use crate::sniff;
use kinglet_diag::{Diagnostic, Failure, Place, Result, code};

const CUSTOM: i32 = 32;
const METADATA_ENTRY: &str = "TFLITE_METADATA";

/// Reads a TensorFlow Lite model from the bytes of its file.
///
/// Stops at the first structural fault, with its byte offset. Memory taken is bounded by the file's
/// size.
pub fn read(bytes: &[u8]) -> Result<Model<'_>> {
    sniff::expect_tflite(bytes)?;
    let flat = Flat::new(bytes, 0);
    let root = flat.root(schema::model::TABLE)?;
    let version = root.scalar(schema::model::VERSION)?;
    if version != 3 {
        return Err(Diagnostic::error(
            code::TFLITE_VERSION,
            format!("the file has schema version {version}, Kinglet reads version 3"),
        )
        .at(Place::Byte(root.offset()))
        .help("convert the model again with a current converter")
        .into());
    }
    let operator_codes = operator_codes(&root)?;
    let buffers = buffers(&root, bytes)?;
    let tables = root.children(schema::model::SUBGRAPHS)?;
    let count = tables.total();
    if count == 0 {
        return Err(Diagnostic::error(code::TFLITE_BAD_INDEX, "the model has no subgraph")
            .at(Place::Byte(root.offset()))
            .help("the file describes no network at all: convert the model again")
            .into());
    }
    let reader =
        Reader { file: bytes, codes: &operator_codes, buffers: &buffers, subgraphs: count };
    let mut subgraphs = Vec::new();
    for table in tables {
        subgraphs.push(reader.subgraph(&table?)?);
    }
    let metadata = metadata_entries(&root, &buffers)?;
    let signatures = signatures(&root, &subgraphs)?;
    let description = root.text(schema::model::DESCRIPTION)?;

    let mut warnings: Vec<_> = flat.newer_fields().into_iter().map(newer_field).collect();
    let info = metadata.iter().find(|(name, _)| name == METADATA_ENTRY).and_then(|(_, buffer)| {
        metadata::read(buffer.bytes, buffer.at).map_err(|fault| warnings.push(*fault)).ok()
    });
    let associated_files = files::read(bytes, info.as_ref(), &mut warnings);
    let metadata = metadata.into_iter().map(|(name, buffer)| (name, buffer.bytes)).collect();
    Ok(Model {
        version,
        description,
        operator_codes,
        subgraphs,
        metadata,
        signatures,
        info,
        associated_files,
        warnings,
    })
}

fn newer_field(field: super::flat::NewerField) -> Diagnostic {
    Diagnostic::warning(
        code::TFLITE_NEWER_FIELD,
        format!("a {} has field {}, which this version of Kinglet does not know", field.table, field.slot),
    )
    .at(Place::Byte(field.at))
    .help("the file was written for a newer schema; compare results with the original model before you rely on them")
}

/// The content of a buffer, and where it stands in the file.
#[derive(Clone, Copy)]
pub(super) struct Buffer<'a> {
    pub bytes: &'a [u8],
    pub at: usize,
}

fn operator_codes(root: &Table<'_, '_>) -> Result<Vec<OperatorCode>> {
    let mut codes = Vec::new();
    for table in root.children(schema::model::OPERATOR_CODES)? {
        let table = table?;
        table.spend_records::<OperatorCode>(1)?;
        let old = i32::from(table.scalar(schema::operator_code::DEPRECATED_BUILTIN_CODE)?);
        let new = table.scalar(schema::operator_code::BUILTIN_CODE)?;
        let builtin = old.max(new);
        let custom = table.optional_text(schema::operator_code::CUSTOM_CODE)?;
        codes.push(OperatorCode {
            builtin,
            name: operator_name(builtin)
                .map_or_else(|| format!("BUILTIN_{builtin}"), str::to_owned),
            custom: custom.filter(|_| builtin == CUSTOM),
            version: table.scalar(schema::operator_code::VERSION)?,
            offset: table.offset(),
        });
    }
    Ok(codes)
}

/// All buffers, inside and behind the FlatBuffer; `None` for those without content.
fn buffers<'a>(root: &Table<'_, 'a>, file: &'a [u8]) -> Result<Vec<Option<Buffer<'a>>>> {
    let mut buffers = Vec::new();
    for table in root.children(schema::model::BUFFERS)? {
        let table = table?;
        table.spend_records::<Option<Buffer<'_>>>(1)?;
        let inside = table.blob(schema::buffer::DATA)?;
        let inside = inside.filter(|(_, bytes)| !bytes.is_empty());
        buffers.push(match inside {
            Some((at, bytes)) => {
                Some(Buffer { bytes, at: usize::try_from(at).unwrap_or(usize::MAX) })
            }
            None => behind(
                &table,
                file,
                table.scalar(schema::buffer::OFFSET)?,
                table.scalar(schema::buffer::SIZE)?,
            )?,
        });
    }
    Ok(buffers)
}

/// Data that stands in the file but outside the FlatBuffer. Offsets of 0 and 1 mean there is none.
fn behind<'a>(
    table: &Table<'_, '_>,
    file: &'a [u8],
    offset: u64,
    len: u64,
) -> Result<Option<Buffer<'a>>> {
    if offset <= 1 {
        return Ok(None);
    }
    let range = usize::try_from(offset).ok().zip(usize::try_from(len).ok());
    let found =
        range.and_then(|(at, len)| Some(Buffer { bytes: file.get(at..at.checked_add(len)?)?, at }));
    match found {
        Some(buffer) => Ok(Some(buffer).filter(|b| !b.bytes.is_empty())),
        None => Err(Diagnostic::error(
            code::TFLITE_TRUNCATED,
            format!(
                "the file is cut short or damaged: {len} bytes of data at byte {offset} lie outside its {} bytes",
                file.len()
            ),
        )
        .at(Place::Byte(table.offset()))
        .help("compare the file's size and hash with the source and fetch or export it again")
        .into()),
    }
}

fn metadata_entries<'a>(
    root: &Table<'_, 'a>,
    buffers: &[Option<Buffer<'a>>],
) -> Result<Vec<(String, Buffer<'a>)>> {
    let mut entries = Vec::new();
    for table in root.children(schema::model::METADATA)? {
        let table = table?;
        table.spend_records::<(String, Buffer<'_>)>(1)?;
        let name = table.text(schema::metadata::NAME)?;
        let index = size(table.scalar(schema::metadata::BUFFER)?);
        let Some(buffer) = buffers.get(index) else {
            return Err(bad_index("buffer", index, buffers.len())
                .at(Place::Byte(table.offset()))
                .at(Place::Other(format!("metadata \"{name}\"")))
                .into());
        };
        entries.push((name, buffer.unwrap_or(Buffer { bytes: &[], at: 0 })));
    }
    Ok(entries)
}

fn signatures(root: &Table<'_, '_>, subgraphs: &[Subgraph<'_>]) -> Result<Vec<Signature>> {
    let mut signatures = Vec::new();
    for table in root.children(schema::model::SIGNATURE_DEFS)? {
        let table = table?;
        table.spend_records::<Signature>(1)?;
        let key = table.text(schema::signature_def::SIGNATURE_KEY)?;
        let place = || Place::Other(format!("signature \"{key}\""));
        let subgraph = size(table.scalar(schema::signature_def::SUBGRAPH_INDEX)?);
        let Some(graph) = subgraphs.get(subgraph) else {
            return Err(bad_index("subgraph", subgraph, subgraphs.len())
                .at(Place::Byte(table.offset()))
                .at(place())
                .into());
        };
        let names = |field| -> Result<Vec<(String, usize)>> {
            let mut names = Vec::new();
            for entry in table.children(field)? {
                let entry = entry?;
                entry.spend_records::<(String, usize)>(1)?;
                let index = size(entry.scalar(schema::tensor_map::TENSOR_INDEX)?);
                if index >= graph.tensors.len() {
                    return Err(bad_index("tensor", index, graph.tensors.len())
                        .at(Place::Byte(entry.offset()))
                        .at(place())
                        .into());
                }
                names.push((entry.text(schema::tensor_map::NAME)?, index));
            }
            Ok(names)
        };
        let inputs = names(schema::signature_def::INPUTS)?;
        let outputs = names(schema::signature_def::OUTPUTS)?;
        signatures.push(Signature { key, subgraph, inputs, outputs });
    }
    Ok(signatures)
}

/// What reading a subgraph needs to know of the rest of the model.
struct Reader<'m, 'a> {
    file: &'a [u8],
    codes: &'m [OperatorCode],
    buffers: &'m [Option<Buffer<'a>>],
    /// How many subgraphs there are.
    subgraphs: usize,
}

impl<'a> Reader<'_, 'a> {
    fn subgraph(&self, table: &Table<'_, 'a>) -> Result<Subgraph<'a>> {
        table.spend_records::<Subgraph<'_>>(1)?;
        let name = table.text(schema::sub_graph::NAME)?;
        let mut tensors = Vec::new();
        for (index, tensor) in table.children(schema::sub_graph::TENSORS)?.enumerate() {
            tensors.push(super::tensor::tensor(self.buffers, index, &tensor?)?);
        }
        let count = tensors.len();
        let required = |list: Vec<i32>, what: &str| {
            required(&list, count).map_err(|index| {
                bad_index("tensor", index, count)
                    .at(Place::Byte(table.offset()))
                    .at(Place::Other(format!("{what} of subgraph \"{name}\"")))
            })
        };
        let inputs = required(table.vector(schema::sub_graph::INPUTS)?, "inputs")?;
        let outputs = required(table.vector(schema::sub_graph::OUTPUTS)?, "outputs")?;
        let mut operators = Vec::new();
        for (index, operator) in table.children(schema::sub_graph::OPERATORS)?.enumerate() {
            operators.push(self.operator(index, &operator?, count)?);
        }
        Ok(Subgraph { name, tensors, inputs, outputs, operators, offset: table.offset() })
    }

    fn operator(
        &self,
        index: usize,
        table: &Table<'_, 'a>,
        tensors: usize,
    ) -> Result<Operator<'a>> {
        use schema::operator as field;
        table.spend_records::<Operator<'_>>(1)?;
        let code_index = size(table.scalar(field::OPCODE_INDEX)?);
        let Some(operator_code) = self.codes.get(code_index) else {
            return Err(bad_index("operator code", code_index, self.codes.len())
                .at(Place::Byte(table.offset()))
                .at(Place::Node(index.to_string()))
                .into());
        };
        let place = |d: Diagnostic| -> Failure {
            d.at(Place::Byte(table.offset())).at(node_place(index, operator_code.label())).into()
        };
        let bad_tensor = |index| place(bad_index("tensor", index, tensors));

        let inputs: Vec<i32> = table.vector(field::INPUTS)?;
        let mut optional = Vec::with_capacity(inputs.len());
        for input in inputs {
            optional.push(match usize::try_from(input) {
                Ok(index) if index < tensors => Some(index),
                Err(_) if input == -1 => None,
                _ => return Err(bad_tensor(i64::from(input))),
            });
        }
        let outputs = required(&table.vector(field::OUTPUTS)?, tensors).map_err(bad_tensor)?;
        let intermediates =
            required(&table.vector(field::INTERMEDIATES)?, tensors).map_err(bad_tensor)?;
        let mutating: Vec<bool> = table.vector(field::MUTATING_VARIABLE_INPUTS)?;
        if !mutating.is_empty() && mutating.len() != optional.len() {
            let message = format!(
                "the list of changed inputs has {} entries for {} inputs",
                mutating.len(),
                optional.len()
            );
            return Err(place(
                Diagnostic::error(code::TFLITE_BAD_INDEX, message)
                    .help("the file is damaged: fetch or convert it again"),
            ));
        }
        let attributes = self
            .attributes(table, operator_code)
            .map_err(|f| with_node(f, index, operator_code))?;
        self.check_subgraphs(&attributes).map_err(place)?;
        let inside = table.blob(field::CUSTOM_OPTIONS)?.map(|(_, bytes)| bytes);
        let custom_options = match inside {
            Some(bytes) => Some(bytes),
            None => behind(
                table,
                self.file,
                table.scalar(field::LARGE_CUSTOM_OPTIONS_OFFSET)?,
                table.scalar(field::LARGE_CUSTOM_OPTIONS_SIZE)?,
            )?
            .map(|buffer| buffer.bytes),
        };
        Ok(Operator {
            code: code_index,
            inputs: optional,
            outputs,
            intermediates,
            mutating_variable_inputs: mutating,
            attributes,
            custom_options,
            offset: table.offset(),
        })
    }

    /// The options in either union, or the defaults of the operator's own table.
    fn attributes(&self, table: &Table<'_, 'a>, operator: &OperatorCode) -> Result<Attributes<'a>> {
        let expected = schema::OPERATORS.iter().find(|(code, ..)| *code == operator.builtin);
        let expected: Option<&'static TableInfo> = expected.and_then(|(.., table)| *table);
        let found = match table.choice(schema::operator::BUILTIN_OPTIONS)? {
            Some(options) => Some(options),
            None => table.choice(schema::operator::BUILTIN_OPTIONS_2)?,
        };
        let defaults = || expected.map_or_else(Attributes::none, Attributes::defaults);
        let Some(options) = found else {
            return Ok(defaults());
        };
        let attributes = Attributes::read(&options)?;
        let known = operator_name(operator.builtin).is_some();
        if !known || expected.is_some_and(|e| e.name == attributes.table) {
            return Ok(attributes);
        }
        // Some writers give an operator without options the empty table of another one.
        if attributes.iter().all(|a| a.is_default) {
            return Ok(defaults());
        }
        Err(Diagnostic::error(
            code::TFLITE_WRONG_OPTIONS,
            format!(
                "the operator has {}, {}",
                attributes.table,
                expected.map_or_else(
                    || "and takes no options".to_owned(),
                    |e| format!("and takes {}", e.name)
                )
            ),
        )
        .at(Place::Byte(options.offset()))
        .help("the file is damaged or its writer is wrong: convert the model again")
        .into())
    }

    /// Options that name subgraphs must name existing ones.
    fn check_subgraphs(&self, attributes: &Attributes<'_>) -> Result<(), Diagnostic> {
        let info = schema::BUILTIN_OPTIONS.iter().chain(schema::BUILTIN_OPTIONS2);
        let Some(info) = info.into_iter().find(|info| info.name == attributes.table) else {
            return Ok(());
        };
        for field in info.fields.iter().filter(|f| f.subgraph) {
            let value = attributes.iter().find(|a| a.name == field.name).map(|a| &a.value);
            let indices = match value {
                Some(Value::Int(index)) => std::slice::from_ref(index),
                Some(Value::Ints(list)) => list,
                _ => &[],
            };
            let exists = |i: &i64| usize::try_from(*i).is_ok_and(|i| i < self.subgraphs);
            if let Some(index) = indices.iter().find(|i| !exists(i)) {
                return Err(bad_index("subgraph", *index, self.subgraphs)
                    .at(Place::Other(format!("{}.{}", info.name, field.name))));
            }
        }
        Ok(())
    }
}

fn with_node(failure: Failure, index: usize, operator: &OperatorCode) -> Failure {
    let place = node_place(index, operator.label());
    Failure::new(failure.diagnostics().iter().map(|d| d.clone().at(place.clone())).collect())
}

/// Tensor indices, all of which must be there; the first that is not as the error.
fn required(list: &[i32], tensors: usize) -> Result<Vec<usize>, i64> {
    let check = |index: &i32| {
        usize::try_from(*index).ok().filter(|i| *i < tensors).ok_or(i64::from(*index))
    };
    list.iter().map(check).collect()
}

pub(super) fn bad_index(what: &str, index: impl std::fmt::Display, count: usize) -> Diagnostic {
    Diagnostic::error(
        code::TFLITE_BAD_INDEX,
        format!("{what} {index} is named, the file has {count}"),
    )
    .help(
        "the file is damaged or was edited by a tool that got it wrong: fetch or convert it again",
    )
}
