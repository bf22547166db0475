"""Run benchmarks one after the other and write what they say to docs/performance.md (`make bench`).

    python benchmarks/page.py [--quick] [--out docs/performance.md] [NAME ...]

Without names all of this folder run; with names the page keeps the sections of the others. A benchmark that fails stops
the page: a number that is not there is no number.
"""

import argparse
import ast
import datetime
import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import torch

from fedn_pipeline.files import write_text

FOLDER = Path(__file__).parent
NOT_MEASURING = ("common", "page")
HEAD = """# How fast, against what

Written by `make bench`, one section per script of `benchmarks/`; each claim is a ratio against a named alternative in
the same run, or a limit; it is above 1 where ours is better. A target other than a plain factor is what the limit asks
for: the script says how it comes about. Units stand below each table. What a script scales (the bootstrap's alternative
is one draw of one method, times all) or projects, it says. Ratios carry over to other machines better than times do.

"""
FIGURES = {"scale": "![Time and memory of each part over frames](scale.png)\n\n"}


def machine():
    """One line: what it was measured on."""
    about = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    processor = next((line.partition(": ")[2] for line in about.splitlines() if "model name" in line), "unknown")
    amx = "AMX" if torch.cpu._is_amx_tile_supported() else "no AMX"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    packages = [name for name in ("torch", "openvino") if find_spec(name)]
    versions = ", ".join([f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in packages)])
    return f"{processor} ({amx}), {os.cpu_count()} cores, {memory:.0f} GiB, {gpu}; {versions}"


def run(name, quick):
    """`(printed text without the JSON lines, the JSON lines as dictionaries, seconds)` of one script."""
    command = [sys.executable, str(FOLDER / f"{name}.py"), *(["--quick"] if quick else [])]
    started = time.perf_counter()
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    found = [json.loads(line) for line in lines if line.startswith('{"name"')]
    if not found:
        raise SystemExit(f"{name}: no line of JSON; every benchmark ends with one")
    return "\n".join(line for line in lines if not line.startswith("{")), found, time.perf_counter() - started


def verdict(entry):
    """`met`, `missed`, or nothing to hold it against."""
    if entry["ratio"] is None:
        return "not measured"
    if entry["target"] is None:
        return ""
    return "met" if entry["ratio"] >= entry["target"] else "**missed**"


def number(value):
    return "" if value is None else f"{value:.4g}"


def section(name, text, found, taken, how):
    """Markdown of one benchmark: its claim, its ratios, what it printed. `how`: when and on what it ran."""
    claim = ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))).splitlines()[0]
    rows = [
        f"| {entry['name']} | {number(entry['ours'])} | {number(entry['alternative'])} | {number(entry['ratio'])} "
        f"| {number(entry['target'])} | {verdict(entry)} |"
        for entry in found
    ]
    table = "\n".join(["| claim | ours | alternative | ratio | target | |", "|---|---|---|---|---|---|", *rows])
    head = f"## {name}\n\n{claim}\n`benchmarks/{name}.py`, {taken:.0f} s; {how}.\n\n{FIGURES.get(name, '')}"
    return f"{head}{table}\n\n```\n{text.strip()}\n```\n\n"


def sections_of(path):
    """The sections of a page written before, by name."""
    if not path.is_file():
        return {}
    parts = path.read_text(encoding="utf-8").split("\n## ")[1:]
    return {part.partition("\n")[0]: f"## {part.rstrip()}\n\n" for part in parts}


def main():
    every = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in NOT_MEASURING)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(every)}; all without")
    parser.add_argument("--quick", action="store_true", help="each within 60 s on 2 cores")
    parser.add_argument("--out", type=Path, default=FOLDER.parent / "docs" / "performance.md")
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - set(every)):
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(every)}")
    sections = sections_of(options.out) if options.names else {}
    how = f"{datetime.date.today():%Y-%m-%d}{', --quick' if options.quick else ''}, {machine()}"
    for name in options.names or every:
        print(f"{name} ...", flush=True)
        text, found, taken = run(name, options.quick)
        print(text, flush=True)
        sections[name] = section(name, text, found, taken, how)
    body = "".join(sections[name] for name in every if name in sections).rstrip()
    write_text(options.out, f"{HEAD}{body}\n", checksum=False)


if __name__ == "__main__":
    main()
