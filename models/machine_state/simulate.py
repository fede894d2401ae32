# SPDX-License-Identifier: MIT OR Apache-2.0
"""Simulated vibration of a small rotating machine, as a cheap accelerometer sees it.

One run is one machine at one speed with at most one fault. Its equations of
motion are integrated in time, then passed through a model of the sensor. All
runs of a batch are integrated side by side with numpy.

The machine
    The housing (mass M, three translations x, y, z) stands on a support with
    one natural frequency and one damping ratio an axis. Two local modes of
    the housing, between 350 and 1450 Hz, are excited by impacts and by
    roughness. Forces are given per mass M, so they are accelerations.

Axes (machine and, apart from a small tilt, sensor)
    x along the shaft, y horizontal across it, z vertical, up.

The faults, all present in every machine to a small, healthy degree
    imbalance      force  mu * e * w^2  rotating in the y-z plane; e = G / w by
                   the balance grade G in mm/s (ISO 21940-11), mu the rotor's
                   share of the mass.
    misalignment   the coupling's reaction to an offset: a force that does not
                   grow with speed, at 1x, 2x, 3x, 4x, in a fixed radial
                   direction for the parallel part, along the shaft for the
                   angular part.
    bearing_fault  an impact at each pass of a rolling element over a spall on
                   the outer or inner race: BPFO = n f/2 (1 - r),
                   BPFI = n f/2 (1 + r), r = (d/D) cos(a); the interval is
                   jittered by slip and the strength follows the load zone.
    looseness      the vertical support loses most of its stiffness while the
                   loose foot is lifted, and the foot strikes the base when it
                   comes down. Harmonics, truncated half-waves and, at some
                   speeds, half orders follow from that; none is put in.

Units: SI (m, s, m/s^2) inside; the result is in counts of the sensor,
256 counts per g (1 g = 9.80665 m/s^2), which is 3.90625 mg a count.
"""

from dataclasses import dataclass

import numpy as np

CLASSES = ("normal", "imbalance", "misalignment", "bearing_fault", "looseness")

SAMPLE_RATE_HZ = 3200
WINDOW = 512
COUNTS_PER_G = 256
RANGE_G = 16
STANDARD_GRAVITY = 9.80665

# The equations are integrated this many times faster than the sensor samples.
OVERSAMPLE = 5
# Forces fade in over RAMP_S and the transient dies out until SETTLE_S.
RAMP_S = 0.30
SETTLE_S = 0.50
# Runs integrated side by side. Part of the seed's meaning: another value
# gives other, equally valid, runs.
BATCH = 1024

# Severity 0 to 1 maps to these magnitudes, evenly in their logarithm. The
# weak test set continues the same line below 0.
SEVERITY_RANGE = {
    "imbalance": (14.0, 90.0),  # balance grade G at running speed, mm/s
    "misalignment": (0.5, 6.0),  # alternating coupling force per mass, m/s^2
    "bearing_fault": (3.0, 45.0),  # peak of the local ringing, m/s^2
    "looseness": (0.5, 0.95),  # share of the stiffness lost when lifted
}
# What a healthy machine has of each.
HEALTHY_GRADE = (0.4, 6.3)
HEALTHY_COUPLING = (0.02, 0.15)

TRAIN_SPEED_HZ = (20.0, 60.0)
HELD_OUT_SPEED_HZ = ((34.0, 38.0), (43.0, 46.0))
BEYOND_SPEED_HZ = ((16.0, 20.0), (60.0, 68.0))
HELD_OUT_MODE_HZ = ((500.0, 600.0), (1000.0, 1150.0))
# Rolling elements and r = (d/D) cos(a). Training draws n from TRAIN_ELEMENTS
# and r evenly from TRAIN_RATIO; these real bearings are kept for the test.
TRAIN_ELEMENTS = (7, 8, 10, 11, 12)
TRAIN_RATIO = (0.17, 0.27)
HELD_OUT_BEARINGS = (
    (9, 7.938 / 39.04),  # 6205
    (13, 3.5 / 25.6),  # the FEMTO-ST "PRONOSTIA" test bearing
    (16, 0.331 / 2.815 * np.cos(np.deg2rad(15.17))),  # ZA-2115 of the IMS test rig
)


@dataclass(frozen=True)
class Split:
    """Where a data set is drawn from. Ids are part of the random seed."""

    id: int
    speed: str = "seen"  # seen, between, beyond
    severity: tuple = (0.0, 1.0)
    machine: str = "seen"  # seen, unseen


SPLITS = {
    "train": Split(0),
    "validation": Split(1),
    "calibration": Split(2),
    "test": Split(3),
    "speed_between": Split(4, speed="between"),
    "speed_beyond": Split(5, speed="beyond"),
    "weak": Split(6, severity=(-0.4, 0.0)),
    "unseen_machine": Split(7, machine="unseen"),
    "examples": Split(8, severity=(0.5, 0.8)),
}


def simulate(split, count, seed, samples=WINDOW):
    """Simulates `count` recordings of a split of `SPLITS`, each of `samples` samples.

    Returns a dict of arrays, first axis `count`:
      raw       int16 [count, samples, 3], counts of the sensor, gravity included
      label     uint8, index into CLASSES; classes alternate, so any multiple
                of five is balanced
      severity  float32; not a number for normal
      speed_hz  float32, shaft speed
      kind      uint8; bearing_fault: 0 outer race, 1 inner race; normal:
                1 for a machine that stands still; else 0
    """
    parts = []
    for batch, start in enumerate(range(0, count, BATCH)):
        rng = np.random.default_rng([seed, SPLITS[split].id, batch])
        n = min(BATCH, count - start)
        parts.append(_simulate_batch(SPLITS[split], start, n, samples, rng))
    return {key: np.concatenate([p[key] for p in parts]) for key in parts[0]}


def _log_uniform(rng, low, high, shape):
    return np.exp(rng.uniform(np.log(low), np.log(high), shape))


def _bands(rng, bands, n):
    """Uniform over a union of intervals."""
    widths = np.array([high - low for low, high in bands])
    which = rng.choice(len(bands), n, p=widths / widths.sum())
    lows = np.array([b[0] for b in bands])
    return lows[which] + rng.random(n) * widths[which]


def _without(low, high, holes):
    """The interval low..high without the holes, as a list of intervals."""
    bands = []
    for hole_low, hole_high in holes:
        if low < hole_low < high:
            bands.append((low, hole_low))
            low = hole_high
    bands.append((low, high))
    return bands


def _speed(split, rng, n):
    """Shaft speed in Hz and the frequency of the magnetic hum."""
    if split.speed == "between":
        speed = _bands(rng, HELD_OUT_SPEED_HZ, n)
    elif split.speed == "beyond":
        speed = _bands(rng, BEYOND_SPEED_HZ, n)
    else:
        speed = _bands(rng, _without(*TRAIN_SPEED_HZ, HELD_OUT_SPEED_HZ), n)
    slip = rng.uniform(0.005, 0.04, n)
    pole_pairs = rng.integers(1, 3, n)
    # Half of the training machines hang on the line, with an induction
    # motor's slip; the others have a variable drive.
    line = np.where(rng.random(n) < 0.5, 50.0, 60.0)
    on_line = (rng.random(n) < 0.5) & (split.speed == "seen")
    speed = np.where(on_line, line / pole_pairs * (1.0 - slip), speed)
    hum = 2.0 * speed / (1.0 - slip) * pole_pairs
    return speed, hum


def _support(rng, speed, loose, n):
    """Natural frequencies (Hz) and damping ratios of the support, [3, n].

    Soft mounts lie below the speed, stiff ones above; a builder keeps away
    from the resonance itself. A machine that got loose was bolted down, and
    nobody chose where its support ended up.
    """
    soft = rng.random(n) < 0.55
    low = rng.uniform(5.0, 13.0, n)
    high = speed * rng.uniform(1.45, 2.8, n)
    vertical = np.where(soft, low, high)
    vertical = np.where(loose, speed * rng.uniform(0.6, 2.6, n), vertical)
    side = np.where(soft & ~loose, rng.uniform(0.6, 0.9, n), rng.uniform(0.85, 0.98, n))
    axial = np.where(soft & ~loose, rng.uniform(0.7, 1.1, n), rng.uniform(0.95, 1.4, n))
    frequency = np.stack([vertical * axial, vertical * side, vertical])
    damping = np.where(soft & ~loose, rng.uniform(0.06, 0.18, (3, n)), rng.uniform(0.02, 0.08, (3, n)))
    return frequency, damping


def _modes(split, rng, n):
    """Frequencies (Hz), damping ratios, unit shapes [2, 3, n], impact weights."""
    if split.machine == "unseen":
        frequency = np.stack([_bands(rng, [band], n) for band in HELD_OUT_MODE_HZ])
    else:
        low_hole, high_hole = HELD_OUT_MODE_HZ
        frequency = np.stack(
            [
                _bands(rng, _without(350.0, 800.0, [low_hole]), n),
                _bands(rng, _without(800.0, 1450.0, [high_hole]), n),
            ]
        )
    damping = _log_uniform(rng, 0.012, 0.06, (2, n))
    shape = rng.standard_normal((2, 3, n))
    # Impacts act across the shaft: the axial part of the shapes is small.
    shape[:, 0] *= 0.5
    shape /= np.linalg.norm(shape, axis=1, keepdims=True)
    weight = rng.uniform(0.3, 1.0, (2, n))
    weight /= weight.max(axis=0)
    return frequency, damping, shape, weight


def _bearing(split, rng, n):
    """Passing frequency per shaft turn and whether the inner race has the spall."""
    if split.machine == "unseen":
        table = np.array(HELD_OUT_BEARINGS)[rng.integers(0, len(HELD_OUT_BEARINGS), n)]
        elements, ratio = table[:, 0], table[:, 1]
    else:
        elements = np.array(TRAIN_ELEMENTS)[rng.integers(0, len(TRAIN_ELEMENTS), n)]
        ratio = rng.uniform(*TRAIN_RATIO, n)
    inner = rng.random(n) < 0.5
    return elements / 2.0 * np.where(inner, 1.0 + ratio, 1.0 - ratio), inner


def _impacts(rng, steps, dt, rate, speed, inner, peak):
    """Impact strength per step, [steps, n], peak of the ringing in m/s^2.

    The interval varies by 1 % a pass, which adds up as slip does. A spall on
    the inner race turns through the load zone, one on the outer stays in it.
    """
    n = len(dt)
    duration = steps * dt.max()
    passes = int(duration * rate.max() * 1.1) + 4
    interval = (1.0 + 0.01 * rng.standard_normal((passes, n))) / rate
    time = np.cumsum(interval, axis=0) - rng.random(n) / rate
    strength = peak * np.maximum(0.2, 1.0 + 0.15 * rng.standard_normal((passes, n)))
    angle = 2.0 * np.pi * speed * time + rng.uniform(0.0, 2.0 * np.pi, n)
    zone = rng.uniform(0.45, 0.9, n)
    load = np.maximum(0.0, 1.0 - (1.0 - np.cos(angle)) / (2.0 * zone)) ** 1.5
    strength *= np.where(inner, 0.15 + 0.85 * load, 1.0)
    kicks = np.zeros((steps, n), np.float32)
    position = time / dt
    whole = np.floor(position).astype(np.int64)
    part = position - whole
    column = np.broadcast_to(np.arange(n), whole.shape)
    # An impact between two steps is shared by both.
    for offset, share in ((0, 1.0 - part), (1, part)):
        row = whole + offset
        inside = (row >= 0) & (row < steps)
        np.add.at(kicks, (row[inside], column[inside]), (strength * share)[inside])
    return kicks


def _harmonics(rng, label, severity, speed, n):
    """Complex force per mass at 1x to 4x, [3 axes, 4 orders, n], in m/s^2."""

    def turn(*shape):
        return np.exp(2j * np.pi * rng.random(shape))

    def magnitude(name, healthy):
        low, high = SEVERITY_RANGE[name]
        fault = low * (high / low) ** severity
        return np.where(label == CLASSES.index(name), fault, healthy)

    omega = 2.0 * np.pi * speed
    grade = magnitude("imbalance", _log_uniform(rng, *HEALTHY_GRADE, n))
    # Looseness shows under a moderate imbalance; without one nothing lifts.
    grade = np.where(
        label == CLASSES.index("looseness"), _log_uniform(rng, 4.0, 25.0, n), grade
    )
    rotor_share = rng.uniform(0.15, 0.45, n)
    eccentricity = grade * 1e-3 / omega
    unbalance = rotor_share * eccentricity * omega**2 * turn(n)
    force = np.zeros((3, 4, n), complex)
    force[1, 0] += unbalance
    force[2, 0] += -1j * unbalance
    # An overhung rotor shakes the axial direction a little, too.
    force[0, 0] += rng.uniform(0.03, 0.2, n) * unbalance * turn(n)

    coupling = magnitude("misalignment", _log_uniform(rng, *HEALTHY_COUPLING, n))
    parallel = rng.uniform(0.15, 1.0, n)
    angular = rng.uniform(0.15, 1.0, n)
    largest = np.maximum(parallel, angular)
    direction = rng.uniform(0.0, 2.0 * np.pi, n)
    radial = np.stack(
        [
            rng.uniform(0.2, 0.8, n),
            rng.uniform(0.7, 1.2, n),
            rng.uniform(0.15, 0.7, n),
            rng.uniform(0.03, 0.2, n),
        ]
    ) * turn(4, n)
    radial *= coupling * parallel / largest
    force[1] += radial * np.cos(direction)
    force[2] += radial * np.sin(direction)
    axial = np.stack(
        [
            rng.uniform(0.5, 1.1, n),
            rng.uniform(0.3, 0.9, n),
            rng.uniform(0.1, 0.5, n),
            rng.uniform(0.02, 0.1, n),
        ]
    ) * turn(4, n)
    force[0] += axial * coupling * angular / largest
    return force


def _simulate_batch(split, start, n, samples, rng):
    label = (np.arange(start, start + n) % len(CLASSES)).astype(np.uint8)
    loose = label == CLASSES.index("looseness")
    severity = rng.uniform(*split.severity, n)
    speed, hum_hz = _speed(split, rng, n)
    # A sensor's own oscillator is off by up to 1.5 %.
    dt = 1.0 / (SAMPLE_RATE_HZ * OVERSAMPLE * (1.0 + rng.uniform(-0.015, 0.015, n)))
    steps = int(SETTLE_S * SAMPLE_RATE_HZ) * OVERSAMPLE + samples * OVERSAMPLE
    still = (label == 0) & (rng.random(n) < 0.05)

    support_hz, support_damping = _support(rng, speed, loose, n)
    mode_hz, mode_damping, shape, weight = _modes(split, rng, n)
    pass_order, inner = _bearing(split, rng, n)
    faulty = label == CLASSES.index("bearing_fault")
    low, high = SEVERITY_RANGE["bearing_fault"]
    peak = np.where(faulty, low * (high / low) ** severity, 0.0)
    slip = rng.uniform(0.98, 1.0, n)
    kicks = _impacts(rng, steps, dt, pass_order * speed * slip, speed, inner, peak)

    low, high = SEVERITY_RANGE["looseness"]
    lost = np.where(loose, np.minimum(0.97, low * (high / low) ** severity), 0.0)
    force = _harmonics(rng, label, severity, speed, n)
    # How far the foot may rise before it lifts: a fraction of the swing the
    # bolted machine would make under its imbalance.
    ratio = speed / support_hz[2]
    swing = np.abs(force[2, 0]) / (2.0 * np.pi * speed) ** 2 * ratio**2
    swing /= np.sqrt((1.0 - ratio**2) ** 2 + (2.0 * support_damping[2] * ratio) ** 2)
    gap = np.where(loose, rng.uniform(0.0, 0.4, n) * swing, 1.0)
    strike = np.where(loose, _log_uniform(rng, 0.05, 0.5, n) * lost, 0.0)
    # A lifting foot rocks the machine; others have a little cross-coupling.
    rock = np.where(loose, rng.uniform(-0.5, 0.5, (2, n)), rng.uniform(-0.08, 0.08, (2, n)))

    hum = _log_uniform(rng, 0.01, 0.35, n) * (rng.random(n) < 0.7)
    hum = hum * np.exp(2j * np.pi * rng.random((2, n))) * rng.uniform(0.2, 1.0, (2, n))
    blades = rng.integers(5, 10, n).astype(np.float32)
    blade = _log_uniform(rng, 0.02, 0.5, n) * (rng.random(n) < 0.5)
    blade = blade * np.exp(2j * np.pi * rng.random((3, n))) * rng.uniform(0.2, 1.0, (3, n))
    wander = rng.uniform(0.0, 0.002, n) * speed
    wander_hz = rng.uniform(0.5, 5.0, n)
    wander_phase = rng.uniform(0.0, 2.0 * np.pi, n)
    rumble = _log_uniform(rng, 0.01, 0.2, n)
    rumble_pole = np.exp(-2.0 * np.pi * rng.uniform(15.0, 120.0, n) * dt)
    rough = _log_uniform(rng, 0.03, 0.45, n)
    for excitation in (hum, blade, force, rumble, rough):
        excitation[..., still] = 0.0

    measured = _integrate(
        rng, samples, steps, dt, speed, hum_hz, kicks, force, hum, blades, blade,
        (wander, wander_hz, wander_phase), (rumble, rumble_pole), rough,
        (support_hz, support_damping), (mode_hz, mode_damping, shape, weight),
        (lost, gap, strike), rock,
    )
    raw = _sensor(rng, measured, 20.0 if split.machine == "unseen" else 10.0)
    kind = np.where(faulty, inner, still).astype(np.uint8)
    severity = np.where(label == 0, np.nan, severity).astype(np.float32)
    return {
        "raw": raw,
        "label": label,
        "severity": severity,
        "speed_hz": np.where(still, 0.0, speed).astype(np.float32),
        "kind": kind,
    }


def _integrate(
    rng, samples, steps, dt, speed, hum_hz, kicks, force, hum, blades, blade,
    wander, rumble, rough, support, modes, looseness, rock,
):
    """Semi-implicit Euler in time. Returns acceleration, m/s^2, [samples, 3, n]."""
    n = len(dt)
    f32 = np.float32
    step = dt.astype(f32)
    wander_hz_peak, wander_hz, wander_phase = wander
    rumble_rms, rumble_pole = (a.astype(f32) for a in rumble)
    lost, gap, strike = (a.astype(f32) for a in looseness)
    omega = (2.0 * np.pi * support[0]).astype(f32)
    drag = 2.0 * support[1].astype(f32) * omega
    stiffness = omega**2
    mode_hz, mode_damping, shape, weight = modes
    mode_omega = (2.0 * np.pi * mode_hz).astype(f32)
    mode_drag = 2.0 * mode_damping.astype(f32) * mode_omega
    mode_stiffness = mode_omega**2
    shape, weight, rock = shape.astype(f32), weight.astype(f32), rock.astype(f32)
    force, hum, blade = (a.astype(np.complex64) for a in (force, hum, blade))
    # White noise of this strength keeps a mode ringing at the wanted RMS.
    rough_drive = rough * np.sqrt(4.0 * mode_damping / (dt * 2.0 * np.pi * mode_hz))
    rough_drive = (rough_drive * weight / np.sqrt(2.0)).astype(f32)
    rumble_drive = rumble_rms * np.sqrt(1.0 - rumble_pole**2)
    lowpass = _LowPass(rng.uniform(1150.0, 1450.0, n), dt)

    position = np.zeros((3, n), f32)
    velocity = np.zeros((3, n), f32)
    mode_position = np.zeros((2, n), f32)
    mode_velocity = np.zeros((2, n), f32)
    colored = np.zeros((3, n), f32)
    lifted = np.zeros(n, bool)
    start = rng.uniform(0.0, 2.0 * np.pi, n)
    first = steps - samples * OVERSAMPLE
    warm = first - 40 * OVERSAMPLE
    result = np.empty((samples, 3, n), f32)
    chunk = 512
    for index in range(steps):
        if index % chunk == 0:
            white = rng.standard_normal((chunk, 5, n), dtype=f32)
        noise = white[index % chunk]
        time = index * dt
        fade = f32(min(1.0, index / (RAMP_S * SAMPLE_RATE_HZ * OVERSAMPLE)))
        angle = 2.0 * np.pi * speed * time + start
        angle += wander_hz_peak / wander_hz * np.sin(2.0 * np.pi * wander_hz * time + wander_phase)
        first_order = np.exp(1j * angle).astype(np.complex64)
        second_order = first_order * first_order
        drive = force[:, 0] * first_order + force[:, 1] * second_order
        drive += force[:, 2] * (second_order * first_order)
        drive += force[:, 3] * (second_order * second_order)
        drive += blade * np.exp(1j * (blades * angle)).astype(np.complex64)
        drive[1:] += hum * np.exp(2j * np.pi * hum_hz * time).astype(np.complex64)
        colored = rumble_pole * colored + rumble_drive * noise[:3]

        above = np.maximum(position[2] - gap, 0.0)
        was_lifted, lifted = lifted, above > 0.0
        acceleration = fade * drive.real + colored - stiffness * position - drag * velocity
        acceleration[2] += lost * (stiffness[2] * above + drag[2] * velocity[2] * lifted)
        landed = strike * np.abs(velocity[2]) * (was_lifted & ~lifted)
        velocity += step * acceleration
        position += step * velocity

        # A kick of peak / omega in velocity makes a mode ring with that peak.
        mode_velocity += weight * (fade * kicks[index] / mode_omega + landed)
        ringing = -mode_stiffness * mode_position - mode_drag * mode_velocity
        mode_velocity += step * (ringing + rough_drive * noise[3:])
        mode_position += step * mode_velocity

        if index >= warm:
            total = acceleration + shape[0] * ringing[0] + shape[1] * ringing[1]
            total[:2] += rock * acceleration[2]
            filtered = lowpass(total)
            if index >= first and (index - first) % OVERSAMPLE == 0:
                result[(index - first) // OVERSAMPLE] = filtered
    return result


class _LowPass:
    """The sensor's own filter: second-order Butterworth, a corner per run (Hz)."""

    def __init__(self, corner_hz, dt):
        k = np.tan(np.pi * corner_hz * dt)
        scale = 1.0 / (1.0 + np.sqrt(2.0) * k + k * k)
        self.b = (k * k * scale).astype(np.float32)
        self.a1 = (2.0 * (k * k - 1.0) * scale).astype(np.float32)
        self.a2 = ((1.0 - np.sqrt(2.0) * k + k * k) * scale).astype(np.float32)
        self.s1 = self.s2 = np.float32(0.0)

    def __call__(self, x):
        y = self.b * x + self.s1
        self.s1 = 2.0 * self.b * x - self.a1 * y + self.s2
        self.s2 = self.b * x - self.a2 * y
        return y


def _sensor(rng, measured, tilt_limit_deg):
    """From true acceleration, m/s^2 [samples, 3, n], to counts, int16 [n, samples, 3]."""
    n = measured.shape[2]
    tilt = np.deg2rad(np.clip(rng.normal(0.0, tilt_limit_deg / 2.5, (3, n)), -tilt_limit_deg, tilt_limit_deg))
    (sx, sy, sz), (cx, cy, cz) = np.sin(tilt), np.cos(tilt)
    rotation = np.array(
        [
            [cy * cz, sx * sy * cz - cx * sz, cx * sy * cz + sx * sz],
            [cy * sz, sx * sy * sz + cx * cz, cx * sy * sz - sx * cz],
            [-sy, sx * cy, cx * cy],
        ]
    )
    # At rest an accelerometer reads 1 g upward.
    proper = measured / STANDARD_GRAVITY
    proper[:, 2] += 1.0
    seen = np.einsum("ijn,tjn->tin", rotation, proper)
    gain = 1.0 + np.clip(rng.normal(0.0, 0.03, (3, n)), -0.08, 0.08)
    offset = rng.uniform(-0.1, 0.1, (3, n))
    # 0.15 to 0.45 mg per root hertz over about 1600 Hz.
    density = rng.uniform(0.15e-3, 0.45e-3, (3, n))
    noise = density * np.sqrt(1600.0) * rng.standard_normal(seen.shape)
    counts = np.rint((seen * gain + offset + noise) * COUNTS_PER_G)
    limit = RANGE_G * COUNTS_PER_G
    counts = np.clip(counts, -limit, limit - 1).astype(np.int16)
    return np.ascontiguousarray(counts.transpose(2, 0, 1))
