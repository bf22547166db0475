"""Give one reader of the pipeline many mutated inputs, in a child process that may hang, crash or run out of memory.

Hypothesis draws the mutations (the same ones on every run), `Child` runs a function of *_readers.py on each file and is
killed and blamed on the example if it does not answer; `check_mutated` counts what became of them. A reader may accept
an input (then *_readers.py has compared what it gave with an independent reading), or refuse it by an InputError that
names the file; everything else is a fault.
"""

import contextlib
import importlib
import json
import os
import resource
import select
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings

SECONDS = 60  # within which one example must be answered; the slowest take 5 on two busy cores
MEMORY_BYTES = 6_000_000_000  # of address space; torch's libraries alone reserve two of them
OTHER = "other values"  # what a reader may give where the file's format has no sums by which it could know
FAULTS_SHOWN = 10
LINES_SHOWN = 12


class Wrong(Exception):
    """A reader accepted an input and gave something else than what stands in it."""


def agree(found, expected, what):
    """Raise Wrong unless both are equal."""
    if found != expected:
        raise Wrong(f"{what}: {found!r:.300}, but the file says {expected!r:.300}")


class Child:
    """The process that runs functions of module `module` (*_readers.py) on one example after another."""

    def __init__(self, module, seconds=SECONDS):
        self.module, self.seconds, self.process, self.errors = module, seconds, None, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._end()

    def answer(self, function, example):
        """`(outcome, detail)` of `function(**example)`: accepted, refused, wrong, crash, died or hang."""
        if self.process is None:
            self._start()
        try:
            self.process.stdin.write(json.dumps([function, example]).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return self._died()
        ready, _, _ = select.select([self.process.stdout], [], [], self.seconds)
        if not ready:
            self._end()
            return "hang", f"no answer in {self.seconds} s"
        line = self.process.stdout.readline()
        return tuple(json.loads(line)) if line else self._died()

    def _start(self):
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115  (as long as the process)
        command = [sys.executable, str(Path(__file__).resolve()), self.module]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self.errors}
        pipes["env"] = os.environ | {"OMP_NUM_THREADS": "1"}
        # A group of its own, so that children of the child (the workbooks' parser) end with it.
        self.process = subprocess.Popen(command, **pipes, start_new_session=True)

    def _died(self):
        status = self.process.wait()
        self.errors.seek(max(0, self.errors.seek(0, os.SEEK_END) - 3000))
        text = self.errors.read().decode(errors="replace")
        self._end()
        return "died", f"exit status {status}\n{text}"

    def _end(self):
        if self.process is None:
            return
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.errors):
            with contextlib.suppress(BrokenPipeError):  # what was not flushed to a process that had died
                stream.close()
        self.process = None


def check_mutated(name, child, function, n, strategy, make, folder, record):
    """Run `function` in `child` on `n` inputs; fail with every kind of fault that was found; the counts, by outcome.

    `strategy` draws an example, `make(example, folder)` writes its files and returns the arguments of `function`.
    `record` is pytest's record_property. Files of the first example of each kind of fault stay in `folder`.
    """
    counts, faults = Counter(), {}
    inputs = folder / "inputs"

    @hypothesis_settings(
        max_examples=n,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def one(example):
        shutil.rmtree(inputs, ignore_errors=True)
        inputs.mkdir(parents=True)
        outcome, detail = child.answer(function, make(example, inputs))
        counts[outcome] += 1
        counts[OTHER] += detail == OTHER
        if outcome in ("accepted", "refused"):
            return
        lines = detail.strip().splitlines()[-LINES_SHOWN:]
        kind = (outcome, *(lines[-3:] if outcome == "crash" else lines[:1]))
        if kind not in faults:
            shutil.copytree(inputs, folder / f"fault_{len(faults)}", dirs_exist_ok=True)
            faults[kind] = [0, example, "\n".join(lines)]
        faults[kind][0] += 1

    one()
    n_other = counts.pop(OTHER)
    n_faults = sum(counts.values()) - counts["accepted"] - counts["refused"]
    accepted = f"{counts['accepted']} accepted" + (f" ({n_other} of them with other values)" if n_other else "")
    record(
        f"mutated inputs, {name}",
        f"{sum(counts.values())}: {counts['refused']} refused, {accepted}, {n_faults} faults",
    )
    text = [
        f"{count} x {kind[0]}, first by {example!r:.500}\n{shown}" for kind, (count, example, shown) in faults.items()
    ]
    assert not faults, f"{len(faults)} kinds of faults, files in {folder}\n" + "\n\n".join(text[:FAULTS_SHOWN])
    assert sum(counts.values()) == n, "the strategy has too few examples"
    return counts


def outcome_of(run, example):
    """`(outcome, detail)` of `run(**example)`; `names` of the example: what a refusal must mention, one of them."""
    from fedn_pipeline.files import InputError

    names = example.pop("names")
    try:
        return "accepted", str(run(**example))
    except InputError as error:
        named = any(name in str(error) for name in names)
        return ("refused", str(error)) if named else ("wrong", f"a refusal that names no file: {error}")
    except Wrong as error:
        return "wrong", str(error)
    except BaseException:
        return "crash", traceback.format_exc()


def main():
    """The child: a line of JSON in, a line of JSON out. What libraries print goes to the standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    readers = importlib.import_module(sys.argv[1])
    for line in sys.stdin:
        function, example = json.loads(line)
        answers.write(json.dumps(outcome_of(getattr(readers, function), example)) + "\n")
        answers.flush()


if __name__ == "__main__":
    import faulthandler

    faulthandler.enable()
    # Under its own name, so that `Wrong` is one class for *_readers.py and for this file.
    import fuzzing

    fuzzing.main()
