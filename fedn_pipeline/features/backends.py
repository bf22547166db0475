"""What computes the backbone's features: PyTorch, or OpenVINO on the processor (stage `features`).

`auto` follows a rule and times nothing, so one machine always gives the same features:

- backend: `openvino` where it is installed, the processor is an x86-64 and torch sees no GPU; else `torch`;
- precision: `bf16` where the device multiplies it faster (GPU; processors with AMX or AVX512-BF16); else `fp32`.

The keys `backbone.backend` and `backbone.precision` re-run the stage; what `auto` made of them is kept with the
features, and files that differ in it are never merged.
"""

import platform
import sys
from importlib.util import find_spec

import torch

from fedn_pipeline import compute
from fedn_pipeline.features import backbone
from fedn_pipeline.files import InputError

X86_64 = ("x86_64", "AMD64")
EXTRA = "pip install --require-hashes -r requirements-openvino.txt"


def fits_openvino(device):
    """Whether OpenVINO would be the faster one on a machine whose torch computes on `device`."""
    return device.type == "cpu" and platform.machine() in X86_64


def choose(settings, device):
    """`(backend, precision, device)` of section `backbone` on a machine whose torch computes on `device`.

    Raises InputError for a backend that is not installed.
    """
    name = settings["backend"]
    if name == "auto":
        name = "openvino" if fits_openvino(device) and find_spec("openvino") else "torch"
    if name == "openvino":
        device = torch.device("cpu")
        if not find_spec("openvino"):
            raise InputError(f"backbone.backend: openvino is not installed; {EXTRA}")
    return name, compute.choose_precision(settings["precision"], device), device


def load(weights, settings):
    """`(embed, backend, precision)` of the weights in a file, by section `backbone` of the configuration.

    embed: uint8 `[n, side, side, 3]` RGB (NumPy) -> float32 `[n, 512]`, on `settings["threads"]` processor threads.
    Raises InputError for weights that are not a ResNet18's, for a backend that is not installed, and for a precision
    that the processor does not have.
    """
    name, precision, device = choose(settings, compute.prepare(0, settings["threads"]))
    return BACKENDS[name](backbone.load(weights), settings, precision, device), name, precision


def _torch(network, settings, precision, device):
    network = network.to(device)

    def embed(images):
        with torch.inference_mode(), compute.autocast(precision, device):
            normalised = backbone.normalise(images, settings["mean"], settings["std"])
            return network(normalised.to(device)).float().cpu().numpy()

    return embed


def _openvino(network, settings, precision, _device):
    # OpenVINO reports its use to Intel over the network unless this module is absent: here it always is.
    sys.modules.setdefault("openvino_telemetry", None)
    import openvino
    from openvino.preprocess import PrePostProcessor

    side = settings["input_size"]
    example = torch.zeros(1, 3, side, side)
    steps = PrePostProcessor(openvino.convert_model(network, example_input=example, input=[-1, 3, side, side]))
    steps.input().tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    steps.input().model().set_layout(openvino.Layout("NCHW"))
    scaled = steps.input().preprocess().convert_element_type(openvino.Type.f32).scale(255.0)
    scaled.mean(settings["mean"]).scale(settings["std"])
    wanted = {"fp32": openvino.Type.f32, "bf16": openvino.Type.bf16}[precision]
    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": settings["threads"],
        "INFERENCE_PRECISION_HINT": wanted,
        "ENABLE_CPU_PINNING": False,  # jobs run side by side, and each would choose the same cores
    }
    compiled = openvino.compile_model(steps.build(), "CPU", options)
    if compiled.get_property("INFERENCE_PRECISION_HINT") != wanted:
        raise InputError(f"backbone.precision: OpenVINO has no {precision} on this processor; take fp32 or auto")
    return lambda images: compiled(images)[0]


# Each: (network, section `backbone`, fp32 or bf16, torch.device) -> embed of `load`.
BACKENDS = {"torch": _torch, "openvino": _openvino}
