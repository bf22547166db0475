"""The notebook in docs/ runs as it stands, on what `make demo DATASET=demo_smallest` has left."""

from pathlib import Path

import nbclient
import nbformat
import pytest
from jupyter_client.manager import AsyncKernelManager as KernelManager

PROJECT = Path(__file__).resolve().parent.parent.parent
DATASET = "demo_smallest"


def test_the_notebook_runs(monkeypatch, tmp_path):
    if not (PROJECT / f"results/{DATASET}/bundle/bundle.json").is_file():
        pytest.skip(f"no model: `make demo DATASET={DATASET}` makes one")
    monkeypatch.setenv("FEDN_DATASET", DATASET)
    notebook = nbformat.read(PROJECT / "docs/detect.ipynb", as_version=4)
    # Tests of MediaPipe have taken the network away: sockets of the file system, by path.
    kernel = KernelManager(kernel_name="python3", transport="ipc", ip=str(tmp_path / "kernel"))
    nbclient.NotebookClient(notebook, timeout=300, km=kernel).execute()
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in shown)  # the timeline
    tables = [output["data"]["text/html"] for output in shown if "text/html" in output.get("data", {})]
    assert len(tables) == 3 and "onset_s" in tables[0] and "best_iou" in tables[2]
