"""A bundle's detector as one ONNX file: windows of features -> raw predictions (command `onnx`).

The file is compared with PyTorch in onnxruntime before it takes its name. Needs the extra `onnx`. Torch's exporter by
tracing is used, whose successor would need a third package (onnxscript).
"""

import importlib.util
import io
import json
import warnings

import numpy as np
import torch
from torch import nn

from fedn_pipeline import intervals
from fedn_pipeline.files import InputError, whole
from fedn_pipeline.model import fedn, geometry

EXTRA = "pip install --require-hashes -r requirements-onnx.txt"
NEEDED = ("onnx", "onnxruntime")
INPUT, OUTPUTS = "features", ("raw_intervals", "logits", "intervals")
LARGEST_DIFFERENCE = 1e-4  # of any output from PyTorch's, of decoded intervals in lengths of a window
BATCHES = (1, 3)  # windows at once: the size that was traced, and another


class Raw(nn.Module):
    """Features `[B, rows_read, D]` -> what FEDN gives, raw intervals `[B, P, 2]` and logits `[B, P, C]`, and the
    intervals decoded: half-open, in frames from the window's start."""

    def __init__(self, network, grid):
        super().__init__()
        self.network, self.grid = network, grid

    def forward(self, features):
        raw, logits = self.network(features)
        return raw, logits, geometry.decode(raw, self.grid)


def run(bundle, path):
    """Export a load.Bundle to `path`; a line with the largest difference from PyTorch.

    Raises InputError without the extra, FloatingPointError if the exported network computes something else.
    """
    absent = [name for name in NEEDED if not importlib.util.find_spec(name)]
    if absent:
        raise InputError(f"onnx: {' and '.join(absent)} not installed; {EXTRA}")
    module = _module(bundle)
    rows = geometry.rows_read(bundle.settings["windows"], bundle.settings["model"])
    shape = rows, bundle.settings["model"]["feature_width"]
    model = _model(module, shape, bundle)
    difference = _difference(model, module, shape, geometry.window_frames(bundle.settings["windows"]))
    if not difference <= LARGEST_DIFFERENCE:
        raise FloatingPointError(f"{path}: onnxruntime differs from PyTorch by {difference:g}; nothing was written")
    with whole(path, checksum=False) as partial:
        partial.write_bytes(model)
    return (
        f"{path}: {INPUT} [B, {shape[0]}, {shape[1]}] -> {', '.join(OUTPUTS)}; largest difference from PyTorch "
        f"{difference:.1e} (at most {LARGEST_DIFFERENCE:g})"
    )


def _module(bundle):
    """The same network of plain convolutions, whose tracing keeps the number of windows open; its weights ask for
    gradients, or torch would put its own fused attention into the trace."""
    settings = {**bundle.settings, "model": {**bundle.settings["model"], "form": "per_window"}}
    network, grid = fedn.build(settings, len(bundle.classes))
    network.load_state_dict(bundle.network.state_dict())
    return Raw(network, grid).eval()


def _model(module, shape, bundle):
    """Bytes of the ONNX file, with what its user needs to know in its properties."""
    import onnx

    buffer, names = io.BytesIO(), [INPUT, *OUTPUTS]
    with warnings.catch_warnings():  # torch announces the exporter's successor, and constants that are meant to be ones
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, (torch.zeros(BATCHES[0], *shape),), buffer, input_names=names[:1], output_names=names[1:],
            dynamic_axes={name: {0: "windows"} for name in names}, dynamo=False,
        )  # fmt: skip
    model = onnx.load_from_string(buffer.getvalue())
    for output, values in zip(model.graph.output, (2, len(bundle.names), 2), strict=True):
        for axis, size in ((1, len(module.grid.point)), (2, values)):
            output.type.tensor_type.shape.dim[axis].dim_value = size
    onnx.helper.set_model_props(model, _properties(bundle, shape))
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _properties(bundle, shape):
    """The properties of the ONNX file: texts."""
    windows, description = bundle.settings["windows"], bundle.description
    said = {
        "classes": bundle.classes,
        "logits": bundle.names,
        "threshold": bundle.threshold,
        "fps": intervals.FEATURE_FPS,
        "rows_read": shape[0],
        "window_frames": geometry.window_frames(windows),
        "window_stride": windows["test_stride"],
        "rates": windows["rates"],
        "backbone": description["backbone"],
        "detections": bundle.settings["detections"],
    }
    texts = {name: description[name] for name in ("description", "licence", "version")}
    return texts | {name: json.dumps(value, sort_keys=True) for name, value in said.items()}


def samples(shape, generator):
    """Windows `[B, *shape]` float32 by kind: noise, and rows that change slowly, are never negative and end in a still
    picture, as those of a video do."""
    for n in BATCHES:
        yield generator.standard_normal((n, *shape), dtype=np.float32)
        slow = np.cumsum(generator.standard_normal((n, *shape), dtype=np.float32), axis=1) / 4
        slow = np.maximum(slow + generator.random((n, 1, shape[1]), dtype=np.float32), 0)
        slow[:, shape[0] // 2 :] = slow[:, shape[0] // 2 - 1, None]
        yield slow.astype(np.float16).astype(np.float32)


def _difference(model, module, shape, window_frames):
    """Largest difference of any output of the bytes of an ONNX file from PyTorch's; of frames, in `window_frames`."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    worst = 0.0
    for features in samples(shape, np.random.default_rng(0)):
        with torch.no_grad():
            wanted = [value.numpy() for value in module(torch.from_numpy(features))]
        for name, found, value in zip(OUTPUTS, session.run(OUTPUTS, {INPUT: features}), wanted, strict=True):
            difference = np.abs(found - value).max() / (window_frames if name == "intervals" else 1)
            worst = max(worst, float(difference) if np.isfinite(difference) else np.inf)
    return worst
