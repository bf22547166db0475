"""Command `verify`: every file of a folder that has a checksum beside it, read and compared (files.py).

After moving data, after a node or a disk died, or when in doubt. No stage needs it: readers compare for themselves.
"""

from pathlib import Path

from tqdm import tqdm

from fedn_pipeline import files
from fedn_pipeline.files import InputError


def run(folders):
    """Compare all files below `folders`; a sentence on what was found. InputError with a line per damaged file."""
    absent = [str(folder) for folder in folders if not folder.is_dir()]
    if absent:
        raise InputError(f"no such folder: {', '.join(absent)}")
    paths = sorted(
        path.with_suffix("") for folder in folders for path in folder.rglob(f"*{files.CHECKSUM_SUFFIX}") if path.stem
    )
    paths = [path for path in paths if not files.is_partial(path)]
    if not paths:
        named = ", ".join(map(str, folders)) or "data, results"
        raise InputError(f"{named}: no file with a checksum beside it: nothing to compare; see --help")
    total = sum(path.stat().st_size for path in paths if path.is_file())
    faults = []
    with tqdm(total=total, desc="verify", unit="B", unit_scale=True) as progress:
        for path in paths:
            fault = files.damage(path)
            if fault:
                faults.append((path, fault))
            progress.update(path.stat().st_size if path.is_file() else 0)
    unfinished = sorted(path for folder in folders for path in folder.rglob(".*") if files.is_partial(path))
    told = f"{len(paths)} files with a checksum, {total / 1e6:.1f} MB: "
    if faults:
        lines = [f"{path}: {fault}" for path, fault in faults]
        named = " ".join(str(path) for path, _ in faults)
        raise InputError("\n".join([f"{told}{len(faults)} damaged", *lines, files.rebuild(named)]))
    left = "".join(f"\n{path}: left by a killed job; it may be deleted" for path in unfinished)
    return f"{told}all as they were written{left}"


def default_folders():
    """`data` and `results` of the project in which the command runs, as far as they are there."""
    return [folder for folder in map(Path, ("data", "results")) if folder.is_dir()]
