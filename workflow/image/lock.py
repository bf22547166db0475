"""Writes requirements.txt, and requirements-EXTRA.txt per optional extra: every pinned version with its files' hashes.

    python3 -m venv LOCK && LOCK/bin/pip install uv && LOCK/bin/python workflow/image/lock.py

constraints.txt is what people edit; it cannot hold the hashes, because pip then refuses to install this project itself
in place. uv resolves pyproject.toml under it and asks the index that pip is set to for the hashes. The hashes are those
of all files of a version, so that any Python and processor finds its own among them.
"""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
HEAD = "# Made by workflow/image/lock.py from pyproject.toml and constraints.txt: edit those.\n"
INSTALLED_BY_ALL = ("dev",)  # what `make` installs


def index():
    """The arguments that name pip's index, if one is set; uv does not read pip's settings."""
    command = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    url = os.environ.get("PIP_INDEX_URL") or subprocess.run(command, capture_output=True, text=True).stdout.strip()
    return ["--default-index", url] if url else []


def locked(*extras):
    """`{name: its lines}` of all packages that these extras need."""
    chosen = [word for extra in extras for word in ("--extra", extra)]
    command = ["-m", "uv", "pip", "compile", "pyproject.toml", *chosen, "--constraints", "constraints.txt"]
    command += ["--generate-hashes", "--no-annotate", "--no-header", "--no-emit-index-url", "--no-emit-find-links"]
    command += ["--no-config", "--python-version", "3.11", "--python-platform", "linux", *index()]
    done = subprocess.run([sys.executable, *command], cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True)
    blocks = re.split(r"^(?=[^\s#])", done.stdout, flags=re.MULTILINE)
    return {block.split("==")[0]: block for block in blocks if "==" in block}


def main():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    base = locked(*INSTALLED_BY_ALL)
    (PROJECT / "requirements.txt").write_text(HEAD + "".join(base.values()), encoding="utf-8")
    for extra in sorted(set(project["optional-dependencies"]) - set(INSTALLED_BY_ALL)):
        more = {name: block for name, block in locked(*INSTALLED_BY_ALL, extra).items() if name not in base}
        note = "# Beside requirements.txt, installed after it.\n"
        (PROJECT / f"requirements-{extra}.txt").write_text(HEAD + note + "".join(more.values()), encoding="utf-8")


if __name__ == "__main__":
    main()
