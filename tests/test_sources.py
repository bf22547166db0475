"""What a stage runs: exactly the package's modules that importing it loads."""

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
