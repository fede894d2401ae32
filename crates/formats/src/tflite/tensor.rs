//! Tensors: shape, data, quantization, sparsity.

use super::flat::{Table, size};
use super::read::{Buffer, bad_index};
use super::schema;
use super::{
    Quantization, QuantizationDetails, SparseDimension, Sparsity, Tensor, TensorType, VariantType,
    tensor_place,
};
use kinglet_diag::{Code, Diagnostic, Failure, Place, Result, code};

/// Reads a tensor, whose data is in one of `buffers`.
pub(super) fn tensor<'a>(
    buffers: &[Option<Buffer<'a>>],
    index: usize,
    table: &Table<'_, 'a>,
) -> Result<Tensor<'a>> {
    use schema::tensor as field;
    table.spend_records::<Tensor<'_>>(1)?;
    let name = table.text(field::NAME)?;
    let fault = |code, message: String| {
        Diagnostic::error(code, message)
            .at(Place::Byte(table.offset()))
            .at(tensor_place(index, &name))
    };
    let element = element_type(table, table.scalar(field::TYPE)?, &name)?;
    let shape: Vec<i32> = table.vector(field::SHAPE)?;
    let shape_signature = table.optional_vector(field::SHAPE_SIGNATURE)?;
    if table.scalar(field::EXTERNAL_BUFFER)? != 0 {
        return Err(fault(
            code::TFLITE_EXTERNAL,
            "the tensor's data is in another file".to_owned(),
        )
        .help("export the model with its weights inside the .tflite file")
        .into());
    }
    let buffer = size(table.scalar(field::BUFFER)?);
    // Buffer 0 stands for "no data", even in the rare file that lacks it or fills it.
    let data = match (buffer, buffers.get(buffer)) {
        (0, _) => None,
        (_, Some(found)) => found.map(|b| b.bytes),
        (_, None) => {
            return Err(bad_index("buffer", buffer, buffers.len())
                .at(Place::Byte(table.offset()))
                .at(tensor_place(index, &name))
                .into());
        }
    };
    let sparsity = table.child(field::SPARSITY)?.map(|t| sparsity(&t)).transpose()?;
    check_size(&shape, element, data.filter(|_| sparsity.is_none()), &fault)?;
    let quantization = match table.child(field::QUANTIZATION)? {
        Some(q) => Some(quantization(&q, &shape, &fault)?),
        None => None,
    };
    let mut variants = Vec::new();
    for variant in table.children(field::VARIANT_TENSORS)? {
        let variant = variant?;
        variant.spend_records::<VariantType>(1)?;
        variants.push(VariantType {
            shape: variant.vector(schema::variant_sub_type::SHAPE)?,
            element: element_type(
                &variant,
                variant.scalar(schema::variant_sub_type::TYPE)?,
                &name,
            )?,
            has_rank: variant.scalar(schema::variant_sub_type::HAS_RANK)?,
        });
    }
    Ok(Tensor {
        shape,
        shape_signature,
        has_rank: table.scalar(field::HAS_RANK)?,
        element,
        buffer,
        data,
        quantization,
        is_variable: table.scalar(field::IS_VARIABLE)?,
        sparsity,
        variants,
        offset: table.offset(),
        name,
    })
}

/// Shape and data must agree; without data the size must still be a number of this machine.
fn check_size(
    shape: &[i32],
    element: TensorType,
    data: Option<&[u8]>,
    fault: &dyn Fn(Code, String) -> Diagnostic,
) -> Result<()> {
    let lowest = if data.is_some() { 0 } else { -1 };
    if let Some(dimension) = shape.iter().find(|d| **d < lowest) {
        return Err(fault(
            code::TFLITE_BAD_SHAPE,
            format!("shape {shape:?} has the dimension {dimension}"),
        )
        .help("a shape has sizes of 0 and more; convert the model again, with fixed sizes")
        .into());
    }
    let elements = shape.iter().try_fold(1usize, |product, dimension| {
        product.checked_mul(usize::try_from(*dimension).unwrap_or(1))
    });
    let too_large = || {
        fault(
            code::TFLITE_BAD_SHAPE,
            format!("a tensor of shape {shape:?} is larger than any memory"),
        )
        .help("the file is damaged, or not meant to be run: fetch or convert it again")
    };
    let elements = elements.ok_or_else(too_large)?;
    if element.bits().is_none() {
        return Ok(());
    }
    let expected = element.bytes(elements).filter(|bytes| isize::try_from(*bytes).is_ok());
    let expected = expected.ok_or_else(too_large)?;
    match data {
        Some(data) if data.len() != expected => Err(fault(
            code::TFLITE_DATA_SIZE,
            format!(
                "the data has {} bytes, shape {shape:?} of {} asks for {expected}",
                data.len(),
                element.name()
            ),
        )
        .help("the file is damaged or was edited by a tool that got it wrong: convert the model again")
        .into()),
        _ => Ok(()),
    }
}

fn element_type(table: &Table<'_, '_>, number: i8, name: &str) -> Result<TensorType> {
    TensorType::from_code(number).ok_or_else(|| {
        Diagnostic::error(
            code::TFLITE_UNKNOWN_VALUE,
            format!("{number} is no element type that this version of Kinglet knows"),
        )
        .at(Place::Byte(table.offset()))
        .at(Place::Tensor(format!("\"{name}\"")))
        .help("the file was written for a newer schema, or is damaged: convert the model with an older converter, or update Kinglet")
        .into()
    })
}

fn quantization<'a>(
    table: &Table<'_, 'a>,
    shape: &[i32],
    fault: &dyn Fn(Code, String) -> Diagnostic,
) -> Result<Quantization<'a>> {
    use schema::quantization_parameters as field;
    table.spend_records::<Quantization<'_>>(1)?;
    let scales: Vec<f32> = table.vector(field::SCALE)?;
    let zero_points: Vec<i64> = table.vector(field::ZERO_POINT)?;
    let mut quantized_dimension = table.scalar(field::QUANTIZED_DIMENSION)?;
    let details = table.choice(field::DETAILS)?.map(|t| details(&t)).transpose()?;
    let wrong = |message: String| {
        Failure::from(
            fault(code::TFLITE_QUANTIZATION, message)
                .help("the file is damaged or its writer is wrong: convert the model again"),
        )
    };
    if scales.len() != zero_points.len() {
        return Err(wrong(format!(
            "the tensor has {} scales and {} zero points",
            scales.len(),
            zero_points.len()
        )));
    }
    if scales.len() > 1 {
        // Old converters gave a bias the quantized dimension of its filter: with one dimension there
        // is only one it can be.
        if shape.len() == 1 {
            quantized_dimension = 0;
        }
        let index = usize::try_from(quantized_dimension).ok();
        let dimension = index.and_then(|index| shape.get(index)).copied();
        if dimension.and_then(|d| usize::try_from(d).ok()) != Some(scales.len()) {
            return Err(wrong(format!(
                "the tensor has {} scales along dimension {quantized_dimension} of shape {shape:?}",
                scales.len()
            )));
        }
    }
    Ok(Quantization {
        scales,
        zero_points,
        quantized_dimension,
        min: table.vector(field::MIN)?,
        max: table.vector(field::MAX)?,
        details,
    })
}

fn details<'a>(table: &Table<'_, 'a>) -> Result<QuantizationDetails<'a>> {
    Ok(match table.info().name {
        "BlockwiseQuantization" => QuantizationDetails::Blockwise {
            scales: table.scalar(schema::blockwise_quantization::SCALES)?,
            zero_points: table.scalar(schema::blockwise_quantization::ZERO_POINTS)?,
            block_size: table.scalar(schema::blockwise_quantization::BLOCK_SIZE)?,
        },
        "MultiAxisQuantization" => QuantizationDetails::MultiAxis {
            scales: table.scalar(schema::multi_axis_quantization::SCALES)?,
            zero_points: table.scalar(schema::multi_axis_quantization::ZERO_POINTS)?,
            block_size: table.scalar(schema::multi_axis_quantization::BLOCK_SIZE)?,
            dimensions: table.vector(schema::multi_axis_quantization::QUANTIZED_DIMENSIONS)?,
        },
        _ => {
            let blob = table.blob(schema::custom_quantization::CUSTOM)?;
            QuantizationDetails::Custom(blob.map_or(&[], |(_, bytes)| bytes))
        }
    })
}

fn sparsity(table: &Table<'_, '_>) -> Result<Sparsity> {
    use schema::{dimension_metadata, sparsity_parameters as field};
    table.spend_records::<Sparsity>(1)?;
    let mut dimensions = Vec::new();
    for dimension in table.children(field::DIM_METADATA)? {
        let dimension = dimension?;
        dimension.spend_records::<SparseDimension>(1)?;
        let format = dimension.scalar(dimension_metadata::FORMAT)?;
        dimensions.push(if format == 0 {
            SparseDimension::Dense { size: dimension.scalar(dimension_metadata::DENSE_SIZE)? }
        } else {
            SparseDimension::Compressed {
                segments: sparse_indices(dimension.choice(dimension_metadata::ARRAY_SEGMENTS)?)?,
                indices: sparse_indices(dimension.choice(dimension_metadata::ARRAY_INDICES)?)?,
            }
        });
    }
    Ok(Sparsity {
        traversal_order: table.vector(field::TRAVERSAL_ORDER)?,
        block_map: table.vector(field::BLOCK_MAP)?,
        dimensions,
    })
}

fn sparse_indices(table: Option<Table<'_, '_>>) -> Result<Vec<i32>> {
    let Some(table) = table else { return Ok(Vec::new()) };
    Ok(match table.info().name {
        "Uint8Vector" => {
            let values = table.vector(schema::uint8_vector::VALUES)?;
            table.spend_records::<i32>(values.len())?;
            values.into_iter().map(i32::from).collect()
        }
        "Uint16Vector" => {
            let values = table.vector(schema::uint16_vector::VALUES)?;
            values.into_iter().map(i32::from).collect()
        }
        _ => table.vector(schema::int32_vector::VALUES)?,
    })
}
