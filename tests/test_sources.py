"""What a stage runs: exactly the package's modules that importing it loads."""

import ast
import subprocess
import sys

import pytest

from fedn_pipeline import sources

STAGES = [
    "dataset/demo/stage.py", "faces/align.py", "features/pretrain.py", "features/extract.py", "features/cache.py",
    "training/fold.py", "references/fold.py", "detection/fold.py", "report/results.py", "report/stage.py",
]  # fmt: skip


@pytest.mark.parametrize("stage", STAGES)
def test_equals_what_python_loads(stage):
    name = "fedn_pipeline." + stage.removesuffix(".py").replace("/", ".")
    ours = "[m.__file__ for n, m in sys.modules.items() if n.startswith('fedn_pipeline')]"
    code = f"import sys, {name}; print(*{ours})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {path for path in done.stdout.split() if not path.endswith("__init__.py")}
    listed = {path for path in sources.of(stage) if path.endswith(".py") and not path.endswith("__init__.py")}
    assert loaded == listed


def test_tables_beside_a_module_count():
    assert any(path.endswith("faces/ibug68.csv") for path in sources.of("faces/align.py"))


def test_no_stage_but_features_and_folds_needs_torch():
    for stage in (
        "dataset/demo/stage.py",
        "faces/align.py",
        "references/fold.py",
        "detection/fold.py",
        "report/results.py",
    ):
        assert not any(path.endswith("compute.py") for path in sources.of(stage))


def test_digest_changes_with_the_code_alone(monkeypatch, tmp_path):
    monkeypatch.setattr(sources, "PACKAGE", tmp_path)
    (tmp_path / "stage.py").write_text("x = 1\n")
    before = sources.digest("stage.py")
    assert sources.digest("stage.py") == before and len(before) == 64
    (tmp_path / "other.py").write_text("")
    assert sources.digest("stage.py") == before
    (tmp_path / "stage.py").write_text("x = 2\n")
    assert sources.digest("stage.py") != before


def imported(path):
    """Files of the package that Python's own parser finds imported in one file."""
    package, found = path.relative_to(sources.PACKAGE.parent).parent.parts, set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*above, *filter(None, [node.module])])
            found.update([base, *(f"{base}.{name.name}" for name in node.names)])
    return {sources._file(name) for name in found if name.split(".")[0] == sources.PACKAGE.name} - {None}


@pytest.mark.parametrize("path", sorted(sources.PACKAGE.rglob("*.py")), ids=lambda path: path.stem)
def test_imports_are_those_of_pythons_own_parser(path):
    assert {found for found in sources._imports(path) if found.suffix == ".py"} == imported(path)


def test_imports_in_every_form(monkeypatch, tmp_path):
    package = tmp_path / "pack"
    (package / "part").mkdir(parents=True)
    for name in ("a", "b", "c", "d", "part/e", "part/f", "part/stage"):
        (package / f"{name}.py").write_text("")
    (package / "part/stage.py").write_text(
        "import os, pack.a as x\nfrom pack import (  # names (both)\n    b,  # one\n    c as y,\n)\n"
        "def late():\n    from .e import z\n    from . import f\n    from ..d import *  # star\n"
    )
    monkeypatch.setattr(sources, "PACKAGE", package)
    names = {path.removeprefix(f"{package}/") for path in sources.of("part/stage.py")}
    assert names == {"a.py", "b.py", "c.py", "d.py", "part/e.py", "part/f.py", "part/stage.py"}
