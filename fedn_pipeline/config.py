"""Configuration: one schema (config.schema.yaml) gives every key, default and check.

The workflow merges `config/config.yaml`, `config/datasets/NAME.yaml`, `config/experiments/NAME.yaml` and what the
command line says (`--config`), in this order, and hands each stage its own sections as JSON (`--settings`).
A stage fills the rest with the schema's defaults, so it runs without Snakemake too.
"""

import difflib
import json
import math
from functools import cache
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator

from fedn_pipeline.files import InputError

MAX_VALUES = 10_000  # of a configuration, ten times all keys; a YAML file can repeat itself into billions by aliases
# What the parsers raise for text that is no YAML or no JSON: bytes, dates and numbers that are none, endless nesting.
NO_JSON = (ValueError, RecursionError)
NO_YAML = (*NO_JSON, yaml.YAMLError)


@cache
def schema():
    """The JSON schema as a dictionary."""
    text = (Path(__file__).parent / "config.schema.yaml").read_text(encoding="utf-8")
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # the latter is slow


def _fill(node, value):
    """A copy of `value` in which every absent key of an object schema has its default."""
    if node.get("type") != "object" or not isinstance(value, dict):
        return value
    filled = dict(value)
    for key, child in node.get("properties", {}).items():
        filled[key] = _fill(child, filled.get(key, child.get("default")))
    return filled


def _explain(error, where):
    """One line for one schema violation, with the nearest known key for a misspelt one."""
    place = ".".join(str(part) for part in error.absolute_path)
    if error.validator == "additionalProperties":
        known = error.schema["properties"]
        lines = []
        for key in sorted(set(error.instance) - set(known)):
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean `{near[0]}`?" if near else f"; known: {', '.join(sorted(known))}"
            lines.append(f"{where}: unknown key `{'.'.join(filter(None, [place, key]))}`{hint}")
        return "\n".join(lines)
    return f"{where}: `{place}`: {error.message}"


def _once(pairs):
    """A dictionary of `(key, value)` pairs; ValueError for a key that stands there twice, so that one would be lost."""
    keys = [key for key, _ in pairs]
    twice = sorted({key for key in keys if keys.count(key) > 1}, key=str)
    if twice:
        raise ValueError(f"key `{twice[0]}` stands there twice")
    return dict(pairs)


class _Loader(yaml.SafeLoader):
    """Plain YAML in which no key stands twice."""

    def construct_mapping(self, node, deep=False):
        _once([(self.construct_object(key, deep=True), None) for key, _ in node.value if isinstance(key.value, str)])
        return super().construct_mapping(node, deep)


def _from_yaml(text, where):
    try:
        return yaml.load(text, Loader=_Loader)
    except NO_YAML as error:
        raise InputError(f"{where}: not valid YAML: {error}") from error


def _check_values(settings, where):
    """Refuse what YAML or JSON can hold and no configuration does."""
    waiting, n_values = [("", settings)], 0
    while waiting:
        place, value = waiting.pop()
        n_values += 1
        if n_values > MAX_VALUES:
            raise InputError(f"{where}: more than {MAX_VALUES} values: no configuration")
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{where}: `{place}`: {value} is no finite number")
        if isinstance(value, dict):
            odd = [key for key in value if not isinstance(key, str)]
            if odd:
                raise InputError(f"{where}: key `{odd[0]}` of `{place}` must be text")
            waiting += [(f"{place}.{key}".lstrip("."), inner) for key, inner in value.items()]
        elif isinstance(value, list):
            waiting += [(f"{place}.{i}", inner) for i, inner in enumerate(value)]


def validate(settings, where="settings"):
    """Settings with all defaults filled in. Raises InputError with every problem at once."""
    _check_values(settings, where)
    errors = Draft202012Validator(schema()).iter_errors(settings)
    errors = sorted(errors, key=lambda error: [str(part) for part in error.path])
    if errors:
        raise InputError("\n".join(_explain(error, where) for error in errors))
    return _fill(schema(), settings)


def merge(*layers):
    """Later layers win, key by key within objects; lists are replaced whole."""
    merged = {}
    for layer in layers:
        for key, value in (layer or {}).items():
            both = isinstance(value, dict) and isinstance(merged.get(key), dict)
            merged[key] = merge(merged[key], value) if both else value
    return merged


def read_yaml(path):
    """One YAML file as a dictionary, checked against the schema by itself so that errors name the file."""
    path = Path(path)
    if not path.is_file():
        near = ", ".join(sorted(other.stem for other in path.parent.glob("*.yaml"))) or "none"
        raise InputError(f"{path}: no such file; there are: {near}")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text in UTF-8: {error}") from error
    layer = _from_yaml(text, path) or {}
    if not isinstance(layer, dict):
        raise InputError(f"{path}: must hold sections with keys, found a {type(layer).__name__}")
    validate(layer, where=str(path))
    return layer


def typed(value):
    """`snakemake --config section='{key: 3}'` arrives with text in its leaves; read each as YAML."""
    if isinstance(value, dict):
        return {key: typed(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [typed(inner) for inner in value]
    return _from_yaml(value, "--config") if isinstance(value, str) else value


def resolve(folder, dataset=None, experiment=None, overrides=None):
    """All settings of one data set and experiment, defaults filled in (`folder` is `config/`)."""
    folder = Path(folder)
    layers = [read_yaml(folder / "config.yaml")]
    if dataset is not None:
        layers.append(read_yaml(folder / "datasets" / f"{dataset}.yaml"))
    if experiment is not None:
        layers.append(read_yaml(folder / "experiments" / f"{experiment}.yaml"))
    overrides = typed(overrides or {})
    validate(overrides, where="--config")
    return validate(merge(*layers, overrides))


def from_argument(text):
    """Settings of a command's `--settings`: JSON text, a YAML or JSON file, or nothing for all defaults."""
    if not text:
        return validate({})
    if text.lstrip().startswith("{"):
        try:
            settings = json.loads(text, object_pairs_hook=_once)
        except NO_JSON as error:
            raise InputError(f"--settings: not valid JSON: {error}") from error
        return validate(settings, where="--settings")
    return validate(read_yaml(text), where=text)


def method(folder, experiment):
    """`folds.method` of an experiment's own file (config/experiments/), whatever the data set."""
    layer = read_yaml(Path(folder) / "experiments" / f"{experiment}.yaml")
    return validate(layer)["folds"]["method"]
