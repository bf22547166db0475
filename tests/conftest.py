"""Fixtures that several test folders share."""

import os
from multiprocessing import forkserver
from pathlib import Path

import pytest

from fedn_pipeline import config
from fedn_pipeline.faces import align, crops

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_configure():
    """Processes of this server have the network, whatever MediaPipe has taken from the tests' own process."""
    forkserver.ensure_running()


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="tests/faults at full size (make faults): an hour or more")


@pytest.fixture(scope="session")
def full(pytestconfig):
    """Whether the tests of tests/faults run at full size."""
    return pytestconfig.getoption("--full")


def pytest_terminal_summary(terminalreporter):
    """What tests of tests/faults have counted (`record_property`): faults injected, detected, survived."""
    reports = [
        report for some in terminalreporter.stats.values() for report in some if hasattr(report, "user_properties")
    ]
    lines = {f"{report.nodeid}: {name} {value}" for report in reports for name, value in report.user_properties}
    if lines:
        terminalreporter.write_sep("=", "faults")
        terminalreporter.write_line("\n".join(sorted(lines)))


@pytest.fixture(scope="session")
def shared_data():
    """Folder of real face videos and real OpenFace output; the project itself never needs it."""
    folder = Path(os.environ.get("FEDN_SHARED_DATA", REPOSITORY / "../shared/data")).resolve()
    if not folder.is_dir():
        pytest.skip(f"no real sample videos at {folder} (set FEDN_SHARED_DATA)")
    return folder


@pytest.fixture(scope="session")
def real_faces(shared_data, tmp_path_factory):
    """`(folder, summaries)` of stage faces for both real videos: folder holds alignment/ and crops/ of each by name."""
    folder, settings, summaries = tmp_path_factory.mktemp("real_faces"), config.validate({}), {}
    for source in (shared_data / "real_videos/default.wmv", shared_data / "real_videos/head_motion.avi"):
        paths = folder / f"alignment/{source.stem}.csv", folder / f"crops/{source.stem}{crops.CROPS_SUFFIX}"
        summaries[source.stem] = align.process(source, *paths, settings, progress=False)
    return folder, summaries
