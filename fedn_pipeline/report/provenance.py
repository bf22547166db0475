"""Where a row's numbers come from: experiment file, settings, code, weights, data, machine, measured speed.

Read from the configuration, from what the folds recorded (fold.json, checkpoint, threshold.json) and from Snakemake's
benchmark files. Nothing holds a date. Used by the report.
"""

import json
import os
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

import pandas as pd
import torch
from safetensors import safe_open

from fedn_pipeline import __version__, config, intervals, tensor_file
from fedn_pipeline.files import checked
from fedn_pipeline.model import flops

LIBRARIES = ("torch", "torchvision", "numpy", "scipy", "pandas", "opencv-contrib-python", "mediapipe", "snakemake")
COUNTED = ("windows", "model", "backbone", "folds", "i3d")  # sections that a network's cost depends on
FOLD_RULES = ("folds", "cascade", "peer", "reference")  # each fold was made by one of them
GIB = 2**30


def differences(settings, base):
    """The keys of `settings` whose values differ from `base`: `{section: {key: value}}`."""
    changed = {
        section: {key: value for key, value in keys.items() if key not in base[section] or value != base[section][key]}
        for section, keys in settings.items()
    }
    return {section: keys for section, keys in changed.items() if keys}


def of_seeds(folder, seeds, name):
    """The files called `name` in the folds of an experiment's `folder`, of these seeds alone."""
    return [path for seed in seeds for path in sorted(folder.glob(f"seed{seed}/folds/*/{name}"))]


def recorded_settings(folder, seeds):
    """The settings that a network's folds kept with their weights (`folder/seedN/folds/NAME`), or none."""
    for path in of_seeds(folder, seeds, "checkpoint.safetensors")[:1]:
        with safe_open(checked(path), framework="numpy") as file:
            return tensor_file.description(file).get("settings", {})
    return {}


def experiment_settings(name, config_folder, folder, settings):
    """`(file, its own keys, all settings)` of an experiment.

    What its folds recorded wins over its file, which wins over the data set's `settings`.
    """
    path = config_folder / "experiments" / f"{name}.yaml"
    layer = config.read_yaml(path)
    return path, layer, config.merge(settings, layer, recorded_settings(folder / name, settings["run"]["seeds"]))


def seconds(paths):
    """Wall-clock seconds in Snakemake's benchmark files."""
    return [float(pd.read_csv(path, sep="\t").s.iloc[0]) for path in paths]


@cache
def _network_cost(sections):
    """`flops.count` of settings as JSON, each distinct network counted once."""
    return flops.count(json.loads(sections))


def costs(settings, backbone, videos, folder, benchmarks):
    """Seconds per fold; of FEDN what the paper's ablation says, too: GFLOP, GMAC and parameters of a window with its
    backbone, and measured frames per second of that backbone. What it takes to run a method: `running_costs.py`.

    `backbone`: the name its folds recorded (None: no folds); `folder`: the experiment's. What is not known is absent.
    """
    found = _fold_seconds(folder, settings["run"]["seeds"])
    if settings["folds"]["method"] != "fedn" or settings["backbone"]["name"] == "blendshapes":
        return found
    cost = _network_cost(json.dumps({name: settings[name] for name in COUNTED}, sort_keys=True))
    found |= {"gflop": cost["total"], "gmac": cost["gmac"], "parameters": sum(cost["parameters"].values())}
    embedding = seconds((benchmarks / "features" / backbone).glob("part*.tsv")) if benchmarks and backbone else []
    if embedding:
        steps = sum(intervals.n_steps(video.n_frames, video.fps) for video in videos.itertuples())
        found["frames_per_second"] = steps / sum(embedding)
    return found


def _fold_seconds(folder, seeds):
    """`{"fold_s": mean seconds of a fold}` by Snakemake's benchmark files, if there are any."""
    paths = [path for rule in FOLD_RULES for path in of_seeds(folder, seeds, f"{rule}_benchmark.tsv")]
    of_folds = seconds(paths)
    return {"fold_s": sum(of_folds) / len(of_folds)} if of_folds else {}


def code_version():
    """`0.1.0, commit 0123456789 (with changes)`; the package alone where it is not in a git repository."""
    here = Path(__file__).parent

    def git(*words):
        try:
            return subprocess.run(
                ["git", "-C", here, *words], capture_output=True, text=True, check=True
            ).stdout.strip()
        except (OSError, subprocess.CalledProcessError):  # no git, or no repository
            return ""

    commit = git("rev-parse", "HEAD") if git("ls-files", here.parent / "__init__.py") else ""
    if not commit:
        return __version__
    changed = " (with uncommitted changes)" if git("status", "--porcelain", "--", here.parent) else ""
    return f"{__version__}, commit {commit[:12]}{changed}"


def _processor():
    """The processor's name, where Linux tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def machine():
    """`{what: in words}` of the machine and libraries that make the report."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB
    return {
        "Processor": f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB of memory",
        "GPU": torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none",
        "System": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "Libraries": ", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES),
        "Code": f"fedn-pipeline {code_version()}",
    }
