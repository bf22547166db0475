"""Which files of the package a stage runs: its modules and everything of the package that they import.

Their digest is a parameter of the stage's rules, so that an edited module re-runs the stages that use it (Snakemake
does not look into a command), and folds record it. Read from the imports in the source; nothing is imported.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent


def _file(module):
    """File of `fedn_pipeline.a.b`, or None if it is no module of the package."""
    path = PACKAGE.parent.joinpath(*module.split("."))
    if path.with_suffix(".py").is_file():
        return path.with_suffix(".py")
    return path / "__init__.py" if (path / "__init__.py").is_file() else None


@cache
def _imports(path):
    """Files of the package that one file imports directly, and the tables and page templates that lie beside it."""
    found = {*path.parent.glob("*.csv"), *path.parent.glob("*.html")}
    package = ".".join(path.relative_to(PACKAGE.parent).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:  # from .planning import plan
                base = ".".join(
                    [*package.split(".")[: len(package.split(".")) - node.level + 1], *filter(None, [base])]
                )
            modules = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        found.update(_file(name) for name in modules if name.split(".")[0] == PACKAGE.name and _file(name))
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
