# SPDX-License-Identifier: MIT OR Apache-2.0
"""Names, descriptions and labels inside a .tflite file.

Writes what the TensorFlow Lite metadata format asks for: a flatbuffer with the
identifier M001 as the model's metadata entry TFLITE_METADATA, and the label
file in a ZIP archive that follows the model's flatbuffer. The numbers of the
fields are their positions in the published metadata schema, version 1.1.0.
"""

import io
import zipfile

import flatbuffers
from tensorflow.lite.python import schema_py_generated as schema

TENSOR_AXIS_LABELS = 2
NORMALIZATION_OPTIONS = 1
# 1980-01-01, the first date a ZIP archive can hold: same bytes at any time.
ZIP_DATE = (1980, 1, 1, 0, 0, 0)


def _start_aligned_data(builder, length):
    return builder.StartVector(1, length, 16)


# The format asks for weights at multiples of 16 bytes; the generated Python
# code forgets it. Data kept as a list, not as an array, comes by here.
schema.BufferStartDataVector = _start_aligned_data


def describe(
    model, *, layers, name, description, version, author, license_text, input_info, output_info, labels
):
    """Returns the bytes of `model` with tensor names, metadata and labels.

    `input_info` and `output_info` are dicts with name, description,
    dimension_names, minimum and maximum. `layers` names the operators in their
    order: a tensor is called after the operator that writes it, weights and
    bias after the one that reads them. `labels` is the text of labels.txt.
    """
    tree = schema.ModelT.InitFromPackedBuf(model, 0)
    graph = tree.subgraphs[0]
    if len(layers) != len(graph.operators):
        raise ValueError(f"{len(layers)} names for {len(graph.operators)} operators")
    for layer, operator in zip(layers, graph.operators):
        graph.tensors[operator.outputs[0]].name = layer.encode()
        for index, part in zip(operator.inputs[1:], ("weights", "bias")):
            graph.tensors[index].name = f"{layer}/{part}".encode()
    for info, index in ((input_info, graph.inputs[0]), (output_info, graph.outputs[0])):
        graph.tensors[index].name = info["name"].encode()
    tree.description = name.encode()

    buffer = schema.BufferT()
    buffer.data = list(
        _metadata(name, description, version, author, license_text, input_info, output_info)
    )
    entry = schema.MetadataT()
    entry.name = b"TFLITE_METADATA"
    entry.buffer = len(tree.buffers)
    tree.buffers.append(buffer)
    tree.metadata = (tree.metadata or []) + [entry]

    for other in tree.buffers:
        if other.data is not None:
            other.data = list(other.data)
    builder = flatbuffers.Builder(len(model) * 2)
    builder.Finish(tree.Pack(builder), b"TFL3")
    stream = io.BytesIO()
    stream.write(builder.Output())
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo("labels.txt", ZIP_DATE), labels)
    return stream.getvalue()


def _metadata(name, description, version, author, license_text, input_info, output_info):
    b = flatbuffers.Builder(1024)
    label_file = _table(
        b,
        {
            0: b.CreateString("labels.txt"),
            1: b.CreateString("The classes, one a line, in the order of the output."),
        },
        4,
        int8={2: TENSOR_AXIS_LABELS},
    )
    tensors = [
        _tensor(b, input_info, None),
        _tensor(b, output_info, _references(b, [label_file])),
    ]
    subgraph = _table(
        b,
        {
            0: b.CreateString(name),
            2: _references(b, tensors[:1]),
            3: _references(b, tensors[1:]),
        },
        7,
    )
    root = _table(
        b,
        {
            0: b.CreateString(name),
            1: b.CreateString(description),
            2: b.CreateString(version),
            3: _references(b, [subgraph]),
            4: b.CreateString(author),
            5: b.CreateString(license_text),
            7: b.CreateString("1.0.0"),
        },
        8,
    )
    b.Finish(root, b"M001")
    return bytes(b.Output())


def _tensor(b, info, associated_files):
    names = _references(b, [b.CreateString(n) for n in info["dimension_names"]])
    # Content without a property type: plain features.
    content = _table(b, {1: _table(b, {}, 0)}, 3, int8={0: 1})
    stats = _table(
        b, {0: _floats(b, [info["maximum"]]), 1: _floats(b, [info["minimum"]])}, 2
    )
    fields = {
        0: b.CreateString(info["name"]),
        1: b.CreateString(info["description"]),
        2: names,
        3: content,
        5: stats,
    }
    if "mean" in info:
        options = _table(b, {0: _floats(b, [info["mean"]]), 1: _floats(b, [info["std"]])}, 2)
        unit = _table(b, {1: options}, 2, int8={0: NORMALIZATION_OPTIONS})
        fields[4] = _references(b, [unit])
    if associated_files is not None:
        fields[6] = associated_files
    return _table(b, fields, 7)


def _table(b, offsets, fields, int8=None):
    """A table of `fields` slots with the given offsets and one-byte scalars."""
    b.StartObject(fields)
    for slot, offset in offsets.items():
        b.PrependUOffsetTRelativeSlot(slot, offset, 0)
    for slot, value in (int8 or {}).items():
        b.PrependInt8Slot(slot, value, 0)
    return b.EndObject()


def _references(b, offsets):
    b.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        b.PrependUOffsetTRelative(offset)
    return b.EndVector()


def _floats(b, values):
    b.StartVector(4, len(values), 4)
    for value in reversed(values):
        b.PrependFloat32(value)
    return b.EndVector()
