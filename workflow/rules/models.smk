# Functions of the final model and the bundle: which experiment, which features, weights and folds.
from fedn_pipeline.bundle import choice
from fedn_pipeline.bundle.layout import BLENDSHAPES

BUNDLE = (
    "bundle",
    "run",
    "dataset.reader",
    *TRUTH,
    "folds.group",
    "folds.held_out",
    "folds.method",
    *EMBEDDING,
    "backbone.name",
    "faces",
    "detections",
    "evaluation.iou",
    "evaluation.confidence_level",
)
FINAL = "results/{dataset}/{labels}/{experiment}/seed{seed}/final"


def allowed(check, dataset, experiment):
    """The settings of an experiment that passes `check` (of choice.py)."""
    every = resolved(dataset, experiment)
    try:
        check(experiment, every)
    except InputError as error:
        raise WorkflowError(error) from error
    return every


def final_features(wildcards):
    """The one feature cache of all subjects."""
    every = allowed(choice.check_final, wildcards.dataset, wildcards.experiment)
    check_emotions(wildcards.dataset, wildcards.experiment)
    return f"data/{wildcards.dataset}/features/{every['backbone']['name']}.h5"


def bundled(wildcards):
    """The experiment of a data set's bundle."""
    experiment = resolved(wildcards.dataset)["bundle"]["experiment"]
    allowed(choice.check_bundle, wildcards.dataset, experiment)
    return experiment


def of_bundled(pattern):
    """An input function: `pattern` of the experiment that is bundled, with the first seed."""

    def of(wildcards):
        dataset, seed = wildcards.dataset, resolved(wildcards.dataset)["run"]["seeds"][0]
        experiment = bundled(wildcards)
        held_out = groups(dataset, experiment)
        return expand(
            pattern, dataset=dataset, labels=label_set(dataset), experiment=experiment, seed=seed, held_out=held_out
        )

    return of


def bundle_weights(wildcards):
    """The backbone's weights, if they are a file of their own."""
    name = resolved(wildcards.dataset, bundled(wildcards))["backbone"]["name"]
    return [] if name == BLENDSHAPES else f"data/{wildcards.dataset}/backbones/{name}.safetensors"
