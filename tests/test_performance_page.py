"""docs/performance.md: a benchmark that is run again replaces its own section and no other."""

import sys

import pytest
from workflow.project import REPOSITORY


@pytest.fixture
def page(monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    import page

    return page


def test_named_benchmarks_replace_their_own_sections(page, monkeypatch, tmp_path):
    path = tmp_path / "performance.md"

    def written(text, *names):
        entry = {"name": "a claim", "ours": 1.0, "alternative": 3.0, "ratio": 3.0, "target": 2.0}
        monkeypatch.setattr(page, "run", lambda name, quick: (f"{name}: {text}", [entry], 1.0))
        monkeypatch.setattr(sys, "argv", ["page.py", "--out", str(path), *names])
        page.main()
        return path.read_text()

    assert "## nms" in written("first", "nms", "scale") and "| a claim | 1 | 3 | 3 | 2 | met |" in path.read_text()
    again = written("second", "nms", "matching")
    assert [line[3:] for line in again.splitlines() if line.startswith("## ")] == ["matching", "nms", "scale"]
    assert "nms: second" in again and "nms: first" not in again and "scale: first" in again
    assert again.count("a claim") == 3 and "](scale.png)" in again


def test_a_missed_target_is_marked(page):
    assert page.verdict({"ratio": 0.9, "target": 1}) == "**missed**"
    assert page.verdict({"ratio": None, "target": 1}) == "not measured"


def test_a_benchmark_without_numbers_stops_the_page(page, monkeypatch, tmp_path):
    (tmp_path / "silent.py").write_text('print("nothing")\n')
    monkeypatch.setattr(page, "FOLDER", tmp_path)
    with pytest.raises(SystemExit, match="silent: no line of JSON"):
        page.run("silent", quick=True)
