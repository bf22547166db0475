"""The images install by the same script as `make` and .ci/run, and hold what it needs."""

import re

from workflow.project import REPOSITORY

IMAGE = REPOSITORY / "workflow/image"
SCRIPT = "workflow/image/install.sh"


def calls(path):
    """The calls of install.sh in a file, in their order, comments left out."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    return [call.strip() for line in lines for call in re.findall(rf"{SCRIPT} ((?:system|python)[^&|;]*)", line)]


def test_both_images_call_the_script_that_make_and_ci_call():
    docker, apptainer = calls(IMAGE / "Dockerfile"), calls(IMAGE / "fedn.def")
    assert docker == apptainer == ["system", "python python3 generic"]
    assert calls(REPOSITORY / ".ci/run")[0] == "system"
    assert calls(REPOSITORY / "Makefile") == ["python .venv/bin/python dev -e"]


def test_nothing_is_installed_beside_the_script():
    for name in ("Dockerfile", "fedn.def", "../../Makefile", "../../.ci/run"):
        text = re.sub(r"^\s*#.*", "", (IMAGE / name).read_text(), flags=re.M)
        assert not re.search(r"apt-get (install|update)|pip install", text), name


def test_images_have_the_same_base_and_every_file_that_installing_reads():
    docker, apptainer = (IMAGE / "Dockerfile").read_text(), (IMAGE / "fedn.def").read_text()
    assert re.search(r"^FROM (\S+)", docker, re.M)[1] == re.search(r"^From: (\S+)", apptainer, re.M)[1]
    copied = {word for line in re.findall(r"^COPY (.+) \S+$", docker, re.M) for word in line.split()}
    files = re.search(r"%files\n(.*?)\n\n", apptainer, re.S)[1].split()[::2]
    assert copied == set(files) and all((REPOSITORY / name).exists() for name in copied)
    assert copied >= {
        "pyproject.toml",
        "requirements.txt",
        "requirements-generic.txt",
        "README.md",
        "fedn_pipeline",
        SCRIPT,
    }
