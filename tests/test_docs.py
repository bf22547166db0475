"""What the code cites is there: every page of docs/ that is named, and every section of it that is quoted."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
CITATION = re.compile(r'\b([a-z]+)\.md(?:,\s+"([^"]+)")?')
FILES = [*sorted((REPOSITORY / "fedn_pipeline").rglob("*.py")), REPOSITORY / "fedn_pipeline/config.schema.yaml"]


def citations(text):
    return {(page, " ".join((section or "").split())) for page, section in CITATION.findall(text)}


@pytest.mark.parametrize("path", [path for path in FILES if citations(path.read_text())], ids=lambda path: path.stem)
def test_cited_pages_and_sections_exist(path):
    for page, section in citations(path.read_text()):
        cited = REPOSITORY / "docs" / f"{page}.md"
        assert cited.is_file(), f"{path}: cites {page}.md"
        headings = [line.lstrip("# ") for line in cited.read_text().splitlines() if line.startswith("#")]
        assert not section or section in headings, f"{path}: {page}.md has no section {section}"


def test_links_between_pages_lead_somewhere():
    for page in [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page}: {target}"
