"""Expression types as an axis of the tables (`run.by_type`): macro, micro, and both pooled.

Each is a ground truth with folds of its own. Those of the data set's own types (`dataset.expression_types`) lie in a
folder called as the label set, `annotated`; the others' has the type behind it, `annotated.micro`. The workflow asks
here, so nothing heavy is imported.
"""

TYPES = {"macro": ["macro"], "micro": ["micro"], "both": ["macro", "micro"]}


def axis(settings):
    """`{ending of the folder's name: expression types}` of a run's tables, in their order; `settings`: run, dataset."""
    own = settings["dataset"]["expression_types"]
    if not settings["run"]["by_type"]:
        return {"": own}
    return {"" if set(types) == set(own) else f".{name}": types for name, types in TYPES.items()}


def named(folder, section):
    """Section `dataset` with the labels and expression types that the name of a folder of folds says."""
    labels, _, name = folder.partition(".")
    return {**section, "labels": labels, "expression_types": TYPES[name] if name else section["expression_types"]}


def words(types):
    """The cell of column `expression_types`: macro, micro or macro+micro."""
    return "+".join(sorted(types))
