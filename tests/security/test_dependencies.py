"""Every dependency is pinned, with hashes, and has its licence in docs/licences.md; the three lists agree."""

import re
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PINNED = re.compile(r"([A-Za-z0-9._-]+)==([^\s;\\]+)")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(name):
    """`{package: version}` of a file of pins."""
    lines = (PROJECT / name).read_text(encoding="utf-8").splitlines()
    found = [PINNED.match(line) for line in lines]
    return {canonical(match[1]): match[2] for match in found if match}


def declared():
    """`{extra or "": names}` of pyproject.toml."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    return {group: {canonical(re.match(r"[\w.-]+", line)[0]) for line in lines} for group, lines in groups.items()}


EXTRAS = sorted(set(declared()) - {"", "dev"})  # `dev` is in requirements.txt


def test_same_versions_with_and_without_hashes():
    locked = pins("requirements.txt")
    assert len(locked) > 100
    for extra in EXTRAS:
        more = pins(f"requirements-{extra}.txt")
        assert more and not set(more) & set(locked)
        locked |= more
    assert locked == pins("constraints.txt"), "run workflow/image/lock.py"


def test_everything_that_is_declared_is_pinned():
    groups = declared()
    assert groups[""] | groups["dev"] <= set(pins("requirements.txt"))
    for extra in EXTRAS:
        assert groups[extra] <= set(pins("requirements.txt")) | set(pins(f"requirements-{extra}.txt"))


@pytest.mark.parametrize("name", ["requirements.txt", *(f"requirements-{extra}.txt" for extra in EXTRAS)])
def test_every_pin_has_hashes_and_no_address(name):
    text = (PROJECT / name).read_text(encoding="utf-8")
    blocks = [block for block in re.split(r"^(?=[^\s#])", text, flags=re.MULTILINE) if not block.startswith("#")]
    assert len(blocks) == len(pins(name))
    for block in blocks:
        first, *hashes = [line.strip(" \\") for line in block.splitlines()]
        assert PINNED.fullmatch(first), first
        assert hashes and all(HASH.fullmatch(line) for line in hashes), first
        assert len(set(hashes)) == len(hashes)
    for line in text.splitlines():
        assert "://" not in line and not line.startswith("-"), line


def test_make_and_ci_install_by_hash():
    for name in ("Makefile", ".ci/run"):
        for line in (PROJECT / name).read_text(encoding="utf-8").splitlines():
            if "pip install" in line and not line.lstrip().startswith("#"):
                assert "--require-hashes" in line or "--no-deps --no-build-isolation -e ." in line, f"{name}: {line}"


def test_every_package_has_its_licence():
    rows = re.findall(r"^\| ([\w.-]+) \| (.+) \| (.+) \|$", (PROJECT / "docs/licences.md").read_text(), re.MULTILINE)
    named = {canonical(name): licence for name, licence, _ in rows}
    missing = sorted(set(pins("constraints.txt")) - set(named))
    assert not missing, f"{missing}: run workflow/image/licences.py"
    assert all(len(named[name]) >= 3 for name in pins("constraints.txt"))
    for name, word in {"av": "GPL", "nvidia-cublas": "NVIDIA", "certifi": "MPL", "mediapipe": "Apache"}.items():
        assert word in named[name]


def test_what_is_not_free_for_commerce_is_said():
    text = (PROJECT / "docs/licences.md").read_text(encoding="utf-8")
    section = text.partition("## What may not be used commercially")[2].partition("\n## ")[0]
    for name in ("CAS(ME)^2", "CAS(ME)^3", "SAMM", "AffectNet", "ImageNet", "OpenFace"):
        assert f"**{name}" in section or f", {name}" in section or f"and {name}" in section, name
