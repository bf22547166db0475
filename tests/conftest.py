"""Fixtures that several test folders share."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data():
    """Folder of real face videos and real OpenFace output; the project itself never needs it."""
    folder = Path(os.environ.get("FEDN_SHARED_DATA", REPOSITORY / "../shared/data")).resolve()
    if not folder.is_dir():
        pytest.skip(f"no real sample videos at {folder} (set FEDN_SHARED_DATA)")
    return folder
