"""Bundles that several tests read; one that changes a bundle copies it first."""

import json

import pytest
from bundle import planted_results

from fedn_pipeline import cli


def write(folder, backbone, *arguments):
    """The bundle that the command makes of `planted_results.results`."""
    found = planted_results.results(folder, backbone)
    given = ["--settings", json.dumps(planted_results.settings(backbone)), "--data", str(folder / "data/mine")]
    assert cli.main(["bundle", str(found), *given, *arguments]) == 0
    return found / "bundle"


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A bundle of a few hundred kB: its backbone is the landmark model."""
    return write(tmp_path_factory.mktemp("small"), "blendshapes")


@pytest.fixture(scope="session")
def large(tmp_path_factory):
    """A bundle with a ResNet18's weights."""
    return write(tmp_path_factory.mktemp("large"), "resnet18_demo")
