# SPDX-License-Identifier: MIT OR Apache-2.0
"""Trains the machine-state model and writes machine_state.tflite and its float twin.

    python train.py [--out DIR]

Takes one thread about five minutes. evaluate.py then measures the result and
writes the test vectors and the model card.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

# Before TensorFlow is loaded: one thread, and no kernels chosen by the CPU at
# hand, so that a run repeats.
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema

import metadata
import preprocess
import simulate

SEED = 2026
TRAIN_WINDOWS = 40960
VALIDATION_WINDOWS = 2560
CALIBRATION_WINDOWS = 500
EPOCHS = 28
BATCH_SIZE = 128
PEAK_LEARNING_RATE = 4e-3

# First convolution: channels, kernel, stride. Then depthwise-separable blocks:
# kernel, stride, channels. 1-D in time; the second spatial axis is 1.
FIRST = (8, 15, 4)
BLOCKS = ((9, 2, 24), (9, 2, 32), (9, 1, 48))

LAYERS = (
    "first",
    *(f"block{n}/{part}" for n in range(1, 1 + len(BLOCKS)) for part in ("depthwise", "pointwise")),
    "pool",
    "dense",
    "softmax",
)

VERSION = "1.0.0"
DESCRIPTION = (
    "State of a small rotating machine (16 to 68 turns a second) from 0.16 s of a "
    "3-axis accelerometer at 3200 Hz. Trained on simulated vibration only."
)
INPUT = {
    "name": "acceleration",
    "description": (
        "512 samples at 3200 Hz of x (along the shaft), y (horizontal), z (vertical, up) "
        "in g, less the mean of each axis over the window, clipped to -2 and 127/64 g. "
        "The int8 model takes steps of 1/64 g."
    ),
    "dimension_names": ["batch", "time", "one", "axis"],
    "minimum": -2.0,
    "maximum": 127.0 / 64.0,
    "mean": 0.0,
    "std": 1.0,
}
OUTPUT = {
    "name": "state",
    "description": "Probability of each class of labels.txt.",
    "dimension_names": ["batch", "class"],
    "minimum": 0.0,
    "maximum": 1.0,
}


def network():
    """The classifier; input [512, 1, 3] in g, output five logits."""
    keras = tf.keras

    def normalized(x):
        # A bounded activation keeps the int8 steps small where faults are weak.
        return keras.layers.ReLU(6.0)(keras.layers.BatchNormalization()(x))

    channels, kernel, stride = FIRST
    inputs = keras.Input((simulate.WINDOW, 1, 3))
    x = keras.layers.Conv2D(channels, (kernel, 1), (stride, 1), "same", use_bias=False)(inputs)
    x = normalized(x)
    for kernel, stride, channels in BLOCKS:
        # Keras wants equal strides; along the axis of length 1 any stride is the same.
        depthwise = keras.layers.DepthwiseConv2D(
            (kernel, 1), (stride, stride), "same", use_bias=False
        )
        x = normalized(depthwise(x))
        x = normalized(keras.layers.Conv2D(channels, 1, use_bias=False)(x))
    x = keras.layers.AveragePooling2D((x.shape[1], 1))(x)
    x = keras.layers.Flatten()(x)
    return keras.Model(inputs, keras.layers.Dense(len(simulate.CLASSES))(x))


def windows(split, count):
    """Model input in g and labels of a simulated split."""
    data = simulate.simulate(split, count, SEED)
    return preprocess.to_real(preprocess.to_input(data["raw"])), data["label"].astype(np.int32)


def train():
    keras = tf.keras
    x, y = windows("train", TRAIN_WINDOWS)
    validation = windows("validation", VALIDATION_WINDOWS)
    model = network()
    steps = EPOCHS * (len(x) // BATCH_SIZE)
    rate = keras.optimizers.schedules.CosineDecay(
        1e-4, steps, alpha=0.01, warmup_target=PEAK_LEARNING_RATE, warmup_steps=steps // 20
    )
    model.compile(
        keras.optimizers.Adam(rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    # The last epoch is kept, whatever the validation says: it is there to be
    # watched, and choosing by it would spend it.
    model.fit(
        x, y, batch_size=BATCH_SIZE, epochs=EPOCHS, validation_data=validation, verbose=2
    )
    return model


def export(model):
    """The float and the int8 model, as bytes, both without a free batch axis."""
    probabilities = tf.keras.Sequential([model, tf.keras.layers.Softmax()])

    def serve(acceleration):
        return {"state": probabilities(acceleration, training=False)}

    archive = tf.keras.export.ExportArchive()
    archive.track(probabilities)
    signature = [tf.TensorSpec([1, simulate.WINDOW, 1, 3], tf.float32, "acceleration")]
    archive.add_endpoint("serving_default", serve, input_signature=signature)
    # Calibration data, and both ends of the declared range, so that the
    # input's scale is exactly 1/64 g and its zero point 0.
    calibration, _ = windows("calibration", CALIBRATION_WINDOWS)
    edge = np.zeros_like(calibration[:1])
    edge[0, 0, 0, 0], edge[0, 1, 0, 0] = INPUT["minimum"], INPUT["maximum"]

    def representative():
        for window in np.concatenate([calibration, edge]):
            yield {"acceleration": window[None]}

    with tempfile.TemporaryDirectory() as folder:
        archive.write_out(folder, verbose=False)
        float_model = tf.lite.TFLiteConverter.from_saved_model(folder).convert()
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = representative
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
        # Older runtimes have no per-channel scales in a dense layer.
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
        int8_model = converter.convert()
    return float_model, int8_model


def check(int8_model):
    """Refuses a model that does not keep the contract of preprocessing.toml."""
    graph = schema.ModelT.InitFromPackedBuf(int8_model, 0).subgraphs[0]
    tensor = graph.tensors[graph.inputs[0]]
    found = (tensor.type, list(tensor.quantization.scale), list(tensor.quantization.zeroPoint))
    if found != (schema.TensorType.INT8, [preprocess.INPUT_SCALE], [0]):
        raise SystemExit(f"the input is (type, scale, zero point) {found}, not int8 1/64 0")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    options = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    tf.keras.utils.set_random_seed(SEED)

    begun = time.monotonic()
    model = train()
    float_model, int8_model = export(model)
    check(int8_model)
    labels = "".join(f"{name}\n" for name in simulate.CLASSES)
    options.out.mkdir(parents=True, exist_ok=True)
    for file, content in (
        ("machine_state.tflite", int8_model),
        ("machine_state_f32.tflite", float_model),
    ):
        named = metadata.describe(
            content,
            layers=LAYERS,
            name="machine_state",
            description=DESCRIPTION,
            version=VERSION,
            author="The Kinglet authors",
            license_text="MIT OR Apache-2.0",
            input_info=INPUT,
            output_info=OUTPUT,
            labels=labels,
        )
        (options.out / file).write_bytes(named)
        print(f"{file}: {len(named)} bytes")
    (options.out / "labels.txt").write_text(labels)
    print(f"{time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
