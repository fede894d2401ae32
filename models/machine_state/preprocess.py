# SPDX-License-Identifier: MIT OR Apache-2.0
"""From the sensor's counts to the model's input. preprocessing.toml in code.

Integers only, so that a device and this script cannot differ.
"""

import numpy as np

WINDOW = 512
WINDOW_SHIFT = 9  # 512 = 2^9
# One step of the model's input is 1/64 g, one count of the sensor 1/256 g.
MULTIPLIER = 1
SHIFT = 2
INPUT_SCALE = 1.0 / 64.0  # g a step; the zero point is 0


def quantize(raw):
    """int16 counts [..., 512, 3] to int8 model input of the same shape.

    mean = floor((sum + 256) / 512)              each axis, over the window
    q    = clamp(floor(((raw - mean) * 1 + 2) / 4), -128, 127)

    Removing the mean removes gravity and the sensor's offset. The limits are
    about 2 g; harder impacts are clipped, here and in training.
    """
    raw = np.asarray(raw)
    if raw.dtype != np.int16 or raw.shape[-2:] != (WINDOW, 3):
        raise ValueError(f"expected int16 [..., {WINDOW}, 3], got {raw.dtype} {raw.shape}")
    wide = raw.astype(np.int32)
    total = wide.sum(axis=-2, keepdims=True)
    mean = (total + WINDOW // 2) >> WINDOW_SHIFT
    scaled = ((wide - mean) * MULTIPLIER + (1 << (SHIFT - 1))) >> SHIFT
    return np.clip(scaled, -128, 127).astype(np.int8)


def to_input(raw):
    """int8 tensor [cases, 512, 1, 3]: what the int8 model takes, less its batch axis."""
    return quantize(raw)[..., :, None, :]


def to_real(quantized):
    """float32 of the same shape, in g: what the float model takes."""
    return quantized.astype(np.float32) * np.float32(INPUT_SCALE)
