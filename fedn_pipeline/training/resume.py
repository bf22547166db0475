"""The state of a training at the end of an epoch, so that a fold that was killed goes on from there.

`resume.safetensors` in the fold's folder: network, optimiser, random states and the learning curve so far, with a key
of everything that the training depends on. Another key, or a damaged file, and the training starts anew. Saved and
loaded tensors are the same to the bit, so the weights at the end are those of an undisturbed run (on the CPU).
"""

import hashlib
import json
import sys
import time
from dataclasses import dataclass, field

import torch
from safetensors import SafetensorError, safe_open

from fedn_pipeline import sources, tensor_file
from fedn_pipeline.files import InputError, checked, checksum_path, sha256

NAME = "resume.safetensors"


def key(tables, features_path, device, **settings):
    """Digest of all that decides a training: tables, features, settings (JSON values), code, torch, kind of device."""
    words = {
        **settings,
        "tables": [table.to_csv(index=False) for table in tables],
        "features": sha256(features_path),
        "code": sources.digest("training/fold.py"),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
    }
    return hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()


@dataclass
class State:
    """What the loop holds beside network and optimiser: steps done, learning curve, sums of the row begun (scalar
    tensors by name), passes without a positive."""

    step: int = 0
    rows: list = field(default_factory=list)
    sums: dict = field(default_factory=dict)
    empty_passes: int = 0


class Saved:
    """The file of one fold. `every_s`: least seconds from one saving to the next."""

    def __init__(self, path, key, every_s):
        self.path, self.key, self.every_s = path, key, every_s
        self.last = time.monotonic()

    def save(self, network, optimizer, generator, state):
        """Write the state, if it is time; `generator` is NumPy's."""
        if time.monotonic() - self.last < self.every_s:
            return
        state_of = {f"network.{name}": value for name, value in network.state_dict().items()}
        for number, values in optimizer.state_dict()["state"].items():
            state_of |= {f"optimizer.{number}.{name}": value for name, value in values.items()}
        state_of |= {f"sums.{name}": value for name, value in state.sums.items()}
        state_of |= {f"random.{name}": value for name, value in _random().items()}
        words = {
            "key": self.key,
            "step": state.step,
            "rows": [list(row.items()) for row in state.rows],  # pairs: the log's columns have the loop's order
            "sums": list(state.sums),
            "empty_passes": state.empty_passes,
            "generator": generator.bit_generator.state,
        }
        tensor_file.save(self.path, state_of, words)
        self.last = time.monotonic()

    def load(self, network, optimizer, generator, device):
        """Put the saved state into network, optimiser and random generators; the State, a new one if none fits."""
        if not self.path.is_file():
            return State()
        try:
            with safe_open(checked(self.path), framework="pt") as file:
                words = tensor_file.description(file)
                found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (InputError, OSError, SafetensorError, ValueError, TypeError) as error:
            print(f"WARNING: {self.path}: cannot be used ({error}): training starts anew", file=sys.stderr)
            return State()
        if words.get("key") != self.key:
            print(f"{self.path}: of other settings, data or code: training starts anew", file=sys.stderr)
            return State()
        network.load_state_dict(_part(found, "network."))
        states = {}
        for name, value in _part(found, "optimizer.").items():
            number, _, name = name.partition(".")
            states.setdefault(int(number), {})[name] = value
        optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})
        generator.bit_generator.state = words["generator"]
        _set_random(_part(found, "random."))
        print(f"{self.path}: training goes on after step {words['step']}", file=sys.stderr)
        sums = _part(found, "sums.")
        sums = {name: sums[name].to(device) for name in words["sums"]}
        return State(words["step"], [dict(row) for row in words["rows"]], sums, words["empty_passes"])

    def remove(self):
        """The training is over: its weights are kept elsewhere."""
        for path in (self.path, checksum_path(self.path)):
            path.unlink(missing_ok=True)


def _part(tensors, prefix):
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _random():
    """Torch's random states; with a GPU, its own too."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def _set_random(states):
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])
