"""Which files of the package a stage runs: its modules and everything of the package that they import.

Their digest is a parameter of the stage's rules, so that an edited module re-runs the stages that use it (Snakemake
does not look into a command), and folds record it. Read from the imports in the source; nothing is imported.
"""

import hashlib
import re
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent


def _file(module):
    """File of `fedn_pipeline.a.b`, or None if it is no module of the package."""
    path = PACKAGE.parent.joinpath(*module.split("."))
    if path.with_suffix(".py").is_file():
        return path.with_suffix(".py")
    return path / "__init__.py" if (path / "__init__.py").is_file() else None


# `from a.b import c, d as e`, also over several lines in brackets, or `import a.b`. Python's own parser takes longer,
# and every start of Snakemake would wait for it; tests/test_sources.py holds the two against each other.
IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+)?import[ \t]+(\([^)]*\)|.*)", re.MULTILINE)


@cache
def _imports(path):
    """Files of the package that one file imports directly, and the tables and page templates that lie beside it."""
    found = {*path.parent.glob("*.csv"), *path.parent.glob("*.html")}
    package = path.relative_to(PACKAGE.parent).parent.parts
    for base, names in IMPORT.findall(re.sub("#.*", "", path.read_text(encoding="utf-8"))):
        names = [name.split()[0] for name in names.strip("() \n").split(",") if name.strip()]
        if base:
            level = len(base) - len(base.lstrip("."))  # from .planning import plan
            above = package[: len(package) - level + 1] if level else ()
            base = ".".join([*above, *filter(None, [base[level:]])])
            names = [base, *(f"{base}.{name}" for name in names)]
        found.update(_file(name) for name in names if name.split(".")[0] == PACKAGE.name and _file(name))
    return found


def of(*places):
    """Sorted paths that modules like `training/fold.py` need; `compute.py` and the rest come by their imports."""
    waiting, found = [PACKAGE / place for place in places], set()
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            if path.suffix == ".py":
                waiting += _imports(path)
    return sorted(str(path) for path in found)


def digest(*places):
    """SHA-256 (hex) of the names and contents of all files of `of(*places)`: the code that made a result."""
    found = hashlib.sha256()
    for path in map(Path, of(*places)):
        found.update(f"{path.relative_to(PACKAGE).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return found.hexdigest()
