# SPDX-License-Identifier: MIT OR Apache-2.0
"""Measures the model and writes its test vectors, examples and model card.

    python evaluate.py [--out DIR]

Reads machine_state.tflite and machine_state_f32.tflite from DIR, simulates the
test sets anew, runs them in TensorFlow Lite Micro and writes into DIR:
vectors.npz, vectors.json, vectors_f32.npz, layers.npz, evaluation.npz,
preprocessing.npz, examples/*.csv, model_card.json, and the tables of README.md.
"""

import argparse
import hashlib
import importlib.metadata
import json
import platform
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import numpy as np
from tflite_micro.python.tflite_micro import runtime
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

import preprocess
import simulate

# Not train.py's seed: the sets the network was chosen on are not these.
SEED = 3311
INT8 = "machine_state.tflite"
FLOAT = "machine_state_f32.tflite"
TEST_WINDOWS = {
    "test": 5000,
    "speed_between": 2500,
    "speed_beyond": 2500,
    "unseen_machine": 2500,
    "weak": 2500,
}
SPLIT_TEXT = {
    "test": "as trained, new machines",
    "speed_between": "speeds kept out of training, 34-38 and 43-46 Hz",
    "speed_beyond": "speeds outside training, 16-20 and 60-68 Hz",
    "unseen_machine": "three real bearings, resonances kept out of training, tilt up to 20 degrees",
    "weak": "faults weaker than any in training",
}
EVALUATION_WINDOWS = 250
EXAMPLE_SAMPLES = 1024
NO_LABEL = 255
ARENA_BYTES = 64 * 1024
SEVERITY_EDGES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


class Model:
    """One .tflite file in TensorFlow Lite Micro's reference kernels."""

    def __init__(self, path):
        self.bytes = path.read_bytes()
        self.interpreter = runtime.Interpreter.from_bytes(self.bytes, arena_size=ARENA_BYTES)

    def __call__(self, inputs):
        """Outputs [cases, 1, 5] for inputs [cases, 1, 512, 1, 3]."""
        outputs = []
        for case in inputs:
            self.interpreter.set_input(case, 0)
            self.interpreter.invoke()
            outputs.append(self.interpreter.get_output(0).copy())
        return np.stack(outputs)


def batched(raw):
    """int16 counts [cases, 512, 3] to int8 model input [cases, 1, 512, 1, 3]."""
    return preprocess.to_input(raw)[:, None]


def save(path, **arrays):
    """As numpy.savez_compressed, but with the same bytes at any time."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w") as file:
                np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)


def synthetic_cases(rng):
    """Inputs at and between the limits of int8, by name."""
    shape = (1, simulate.WINDOW, 1, 3)

    def full(value):
        return np.full(shape, value, np.int8)

    alternating = full(127)
    alternating[:, ::2] = -128
    impulse = full(0)
    impulse[0, simulate.WINDOW // 2] = 127
    # One sample alone at either end meets the padding of the first convolution.
    ends = full(0)
    ends[0, 0], ends[0, -1] = 127, -128
    ramp = np.linspace(-128, 127, simulate.WINDOW).round().astype(np.int8)
    one_axis = full(0)
    one_axis[0, :, 0, 2] = ramp
    cases = {
        "min": full(-128),
        "max": full(127),
        "zero": full(0),
        "alternating": alternating,
        "impulse": impulse,
        "ends": ends,
        "ramp": np.broadcast_to(ramp[None, :, None, None], shape),
        "ramp_z": one_axis,
    }
    for index in range(4):
        cases[f"random{index}"] = rng.integers(-128, 128, shape).astype(np.int8)
    for index in range(3):
        center = rng.integers(-60, 60)
        cases[f"narrow{index}"] = (center + rng.integers(-3, 4, shape)).astype(np.int8)
    return cases


def write_vectors(out, int8_model, float_model):
    cases = synthetic_cases(np.random.default_rng([SEED, 100]))
    labels = [NO_LABEL] * len(cases)
    for split, count in (("test", 15), ("weak", 5), ("speed_beyond", 5)):
        data = simulate.simulate(split, count, SEED + 1)
        for index, (case, label) in enumerate(zip(batched(data["raw"]), data["label"])):
            cases[f"{split}:{simulate.CLASSES[label]}{index // len(simulate.CLASSES)}"] = case
            labels.append(int(label))
    inputs = np.stack(list(cases.values()))
    outputs = int8_model(inputs)
    predictions = outputs[:, 0].argmax(axis=1).astype(np.uint8)
    save(
        out / "vectors.npz",
        in0=inputs,
        out0=outputs,
        labels=np.array(labels, np.uint8),
        pred=predictions,
    )
    (out / "vectors.json").write_text(json.dumps(list(cases), indent=0) + "\n")

    names = list(cases)
    few = [names.index(n) for n in ("zero", "ends", "random0", "narrow0")]
    few += range(len(names) - 25, len(names) - 20)
    real = preprocess.to_real(inputs[few])
    save(out / "vectors_f32.npz", in0=real, out0=float_model(real), cases=np.array(few, np.uint8))

    example = names.index("test:bearing_fault0")
    keeper = runtime.Interpreter.from_bytes(
        int8_model.bytes,
        arena_size=ARENA_BYTES,
        intrepreter_config=runtime.InterpreterConfig.kPreserveAllTensors,
    )
    keeper.set_input(inputs[example], 0)
    keeper.invoke()
    graph = schema.ModelT.InitFromObj(schema.Model.GetRootAs(int8_model.bytes, 0)).subgraphs[0]
    layers = {}
    for index in (int(operator.outputs[0]) for operator in graph.operators):
        tensor = keeper.GetTensor(index, 0)
        layers[f"t{index}"] = np.array(tensor["tensor_data"]).reshape(tensor["shape"])
    last = f"t{graph.outputs[0]}"
    if not np.array_equal(layers[last], outputs[example]):
        raise SystemExit("preserving all tensors changed the result")
    save(out / "layers.npz", in0=inputs[example], **layers)


def write_preprocessing(out):
    """Counts and the model input they must become, the limits of int16 included."""
    rng = np.random.default_rng([SEED, 101])
    raw = simulate.simulate("test", 5, SEED + 2)["raw"]
    extreme = np.stack(
        [
            np.full((simulate.WINDOW, 3), -32768),
            np.full((simulate.WINDOW, 3), 32767),
            np.where(np.arange(simulate.WINDOW)[:, None] % 2, 32767, -32768).repeat(3, axis=1),
            rng.integers(-32768, 32768, (simulate.WINDOW, 3)),
            # Every remainder of the division, on both sides of zero.
            (np.arange(simulate.WINDOW)[:, None] - 256).repeat(3, axis=1) + [0, 1, 2],
        ]
    ).astype(np.int16)
    raw = np.concatenate([raw, extreme])
    save(out / "preprocessing.npz", raw=raw, in0=preprocess.to_input(raw)[:, None])


def write_examples(out):
    """One recording a class, taken as they come."""
    folder = out / "examples"
    folder.mkdir(exist_ok=True)
    data = simulate.simulate("examples", len(simulate.CLASSES), SEED, EXAMPLE_SAMPLES)
    facts = {}
    for index, name in enumerate(simulate.CLASSES):
        lines = ["time_s,ax_g,ay_g,az_g"]
        for sample, counts in enumerate(data["raw"][index]):
            values = [sample / simulate.SAMPLE_RATE_HZ, *(counts / simulate.COUNTS_PER_G)]
            lines.append(",".join(f"{v:.8f}".rstrip("0").rstrip(".") for v in values))
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
        facts[name] = {"speed_hz": round(float(data["speed_hz"][index]), 2)}
        if name != "normal":
            facts[name]["severity"] = round(float(data["severity"][index]), 2)
    return facts


def write_evaluation(out, data, outputs):
    inputs = batched(data["raw"][:EVALUATION_WINDOWS])
    some = outputs[:EVALUATION_WINDOWS]
    save(
        out / "evaluation.npz",
        in0=inputs,
        out0=some,
        labels=data["label"][:EVALUATION_WINDOWS],
        pred=some[:, 0].argmax(axis=1).astype(np.uint8),
    )
    right = some[:, 0].argmax(axis=1) == data["label"][:EVALUATION_WINDOWS]
    return {"windows": EVALUATION_WINDOWS, "correct": int(right.sum())}


def confusion(labels, predictions):
    classes = range(len(simulate.CLASSES))
    return [[int(np.sum((labels == a) & (predictions == b))) for b in classes] for a in classes]


def measure(data, int8_outputs, float_outputs):
    """Figures of one split; the argmax of equal scores is the first."""
    labels = data["label"]
    int8_pred = int8_outputs[:, 0].argmax(axis=1)
    float_pred = float_outputs[:, 0].argmax(axis=1)
    right = int8_pred == labels
    result = {
        "windows": len(labels),
        "accuracy_int8": round(float(right.mean()), 4),
        "accuracy_f32": round(float((float_pred == labels).mean()), 4),
        "same_class": round(float((int8_pred == float_pred).mean()), 4),
        "recall_int8": {
            name: round(float(right[labels == c].mean()), 4)
            for c, name in enumerate(simulate.CLASSES)
        },
        "confusion_int8": confusion(labels, int8_pred),
    }
    result["recall_by_severity_int8"] = {}
    low, high = np.nanmin(data["severity"]), np.nanmax(data["severity"])
    edges = SEVERITY_EDGES if low >= 0 else (-0.4, -0.2, 0.0)
    for c, name in enumerate(simulate.CLASSES[1:], 1):
        bins = []
        for start, end in zip(edges, edges[1:]):
            inside = (labels == c) & (data["severity"] >= start) & (data["severity"] <= end)
            bins.append(round(float(right[inside].mean()), 3))
        result["recall_by_severity_int8"][name] = bins
    result["severity_edges"] = list(edges)
    bearing = labels == simulate.CLASSES.index("bearing_fault")
    result["recall_outer_race"] = round(float(right[bearing & (data["kind"] == 0)].mean()), 3)
    result["recall_inner_race"] = round(float(right[bearing & (data["kind"] == 1)].mean()), 3)
    still = (labels == 0) & (data["kind"] == 1)
    if still.any():
        result["standing_still"] = {"windows": int(still.sum()), "normal": int(right[still].sum())}
    return result


def arena(path):
    """What TensorFlow Lite Micro's recording allocator reports, in bytes, on this machine."""
    # The report goes to the C library's standard error, so a child prints it.
    code = (
        "import sys;from tflite_micro.python.tflite_micro import runtime;"
        "i=runtime.Interpreter.from_file(sys.argv[1],arena_size=65536);"
        "i.invoke();i.print_allocations()"
    )
    run = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    report = run.stdout + run.stderr
    found = {}
    for key in ("total", "head", "tail"):
        match = re.search(rf"Arena allocation {key} (\d+) bytes", report)
        if match is None:
            raise SystemExit(f"no '{key}' in the allocator's report:\n{report}")
        found[key] = int(match[1])
    return found


def facts(path):
    """Shapes, quantization, operators and sizes, read from the file."""
    content = path.read_bytes()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    graph = model.subgraphs[0]
    types = {v: k.lower() for k, v in vars(schema.TensorType).items() if isinstance(v, int)}
    builtins = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}

    def tensor(index):
        t = graph.tensors[index]
        entry = {
            "name": t.name.decode(),
            "type": types[t.type],
            "shape": [int(d) for d in t.shape],
        }
        if t.quantization is not None and t.quantization.scale is not None:
            entry["scale"] = float(t.quantization.scale[0])
            entry["zero_point"] = int(t.quantization.zeroPoint[0])
        return entry

    operators, macs = [], 0
    for op in graph.operators:
        code = model.operatorCodes[op.opcodeIndex]
        name = builtins[max(code.builtinCode, code.deprecatedBuiltinCode)]
        operators.append(name)
        output = graph.tensors[op.outputs[0]].shape
        if name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            weights = graph.tensors[op.inputs[1]].shape
            # MACs for one output element: all weights of its channel.
            per_element = np.prod(weights) // (weights[3] if name[0] == "D" else weights[0])
            macs += int(np.prod(output) * per_element)
    constants = [
        model.buffers[t.buffer].data
        for t in graph.tensors
        if model.buffers[t.buffer].data is not None
    ]
    parameters = sum(
        int(np.prod(t.shape)) for t in graph.tensors if model.buffers[t.buffer].data is not None
    )
    return {
        "file": path.name,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "input": tensor(graph.inputs[0]),
        "output": tensor(graph.outputs[0]),
        "operators": operators,
        "macs": macs,
        "parameters": parameters,
        "constant_bytes": sum(len(data) for data in constants),
        "arena_tflite_micro": arena(path),
    }


def check_contract(out, model):
    """preprocessing.toml must say what the model and preprocess.py do."""
    contract = tomllib.loads((out / "preprocessing.toml").read_text())
    pairs = {
        "sensor.rate_hz": (contract["sensor"]["rate_hz"], simulate.SAMPLE_RATE_HZ),
        "sensor.counts_per_g": (contract["sensor"]["counts_per_g"], simulate.COUNTS_PER_G),
        "window.length": (contract["window"]["length"], model["input"]["shape"][1]),
        "quantize.scale_g": (contract["quantize"]["scale_g"], model["input"]["scale"]),
        "quantize.zero_point": (contract["quantize"]["zero_point"], model["input"]["zero_point"]),
        "quantize.multiplier": (contract["quantize"]["multiplier"], preprocess.MULTIPLIER),
        "quantize.shift": (contract["quantize"]["shift"], preprocess.SHIFT),
        "output.labels": (contract["output"]["labels"], list(simulate.CLASSES)),
        "output.scale": (contract["output"]["scale"], model["output"]["scale"]),
        "output.zero_point": (contract["output"]["zero_point"], model["output"]["zero_point"]),
    }
    wrong = {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}
    if wrong:
        raise SystemExit(f"preprocessing.toml (first) and the model (second) differ: {wrong}")


def tables(card):
    """The generated part of README.md."""
    short = simulate.CLASSES
    lines = ["| set | windows | int8 | f32 | same class | " + " | ".join(short) + " |"]
    lines.append("|---|" + "---:|" * (4 + len(short)))
    for split, m in card["metrics"].items():
        recall = " | ".join(f"{100 * v:.1f}" for v in m["recall_int8"].values())
        lines.append(
            f"| `{split}`: {SPLIT_TEXT[split]} | {m['windows']} | {100 * m['accuracy_int8']:.1f} "
            f"| {100 * m['accuracy_f32']:.1f} | {100 * m['same_class']:.1f} | {recall} |"
        )
    test = card["metrics"]["test"]
    lines += ["", "Confusion on `test`, int8 (row: truth, column: answer):", ""]
    lines.append("| | " + " | ".join(short) + " |")
    lines.append("|---|" + "---:|" * len(short))
    for name, row in zip(short, test["confusion_int8"]):
        lines.append(f"| {name} | " + " | ".join(map(str, row)) + " |")
    edges = test["severity_edges"]
    heads = [f"{a:g}-{b:g}" for a, b in zip(edges, edges[1:])]
    lines += ["", "Found faults in % by severity, int8 (`weak` on the left):", ""]
    lines.append("| | -0.4 to -0.2 | -0.2 to 0 | " + " | ".join(heads) + " |")
    lines.append("|---|" + "---:|" * (2 + len(heads)))
    weak = card["metrics"]["weak"]["recall_by_severity_int8"]
    for name, bins in test["recall_by_severity_int8"].items():
        cells = " | ".join(f"{100 * v:.0f}" for v in weak[name] + bins)
        lines.append(f"| {name} | {cells} |")
    lines += [
        "",
        f"Outer race {100 * test['recall_outer_race']:.1f} %, inner race "
        f"{100 * test['recall_inner_race']:.1f} % found on `test`; "
        f"{test['standing_still']['normal']} of {test['standing_still']['windows']} windows of "
        "standing machines were called normal.",
    ]
    return "\n".join(lines)


def fill(path, card):
    if not path.exists():
        return
    text = path.read_text()
    begin, end = "<!-- generated by evaluate.py -->\n", "<!-- end -->"
    head, rest = text.split(begin)
    path.write_text(head + begin + "\n" + tables(card) + "\n\n" + end + rest.split(end)[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    out = parser.parse_args().out
    int8_model, float_model = Model(out / INT8), Model(out / FLOAT)
    int8_facts, float_facts = facts(out / INT8), facts(out / FLOAT)
    check_contract(out, int8_facts)
    write_vectors(out, int8_model, float_model)
    write_preprocessing(out)
    card = {
        "name": "machine_state",
        "license": "MIT OR Apache-2.0",
        "seed": SEED,
        "tools": {
            "python": platform.python_version(),
            **{
                package: importlib.metadata.version(package)
                for package in ("numpy", "tensorflow-cpu", "keras", "tflite-micro")
            },
        },
        "models": [int8_facts, float_facts],
        "examples": write_examples(out),
        "metrics": {},
    }
    for split, count in TEST_WINDOWS.items():
        data = simulate.simulate(split, count, SEED)
        inputs = batched(data["raw"])
        int8_outputs = int8_model(inputs)
        float_outputs = float_model(preprocess.to_real(inputs))
        card["metrics"][split] = measure(data, int8_outputs, float_outputs)
        if split == "test":
            card["evaluation"] = write_evaluation(out, data, int8_outputs)
        m = card["metrics"][split]
        print(f"{split}: int8 {m['accuracy_int8']:.4f}, f32 {m['accuracy_f32']:.4f}")
    digests = sorted(out.glob("*.npz")) + sorted(out.glob("examples/*.csv"))
    card["sha256"] = {
        str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest() for p in digests
    }
    text = json.dumps(card, indent=1)
    # Rows of numbers on one line each.
    text = re.sub(r"\[\s+([-\d.,\s]+?)\s+\]", lambda m: "[" + " ".join(m[1].split()) + "]", text)
    (out / "model_card.json").write_text(text + "\n")
    fill(out / "README.md", card)


if __name__ == "__main__":
    main()
