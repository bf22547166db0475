# The final model of an experiment, trained on all subjects, and the model bundle of a data set.
from fedn_pipeline.bundle import choice
from fedn_pipeline.bundle.layout import BLENDSHAPES

BUNDLE = (
    "bundle",
    "run",
    "dataset.reader",
    "dataset.labels",
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


rule final:
    input:
        videos="data/{dataset}/videos.csv",
        events="data/{dataset}/events.csv",
        features=final_features,
    output:
        multiext(f"{FINAL}/", "checkpoint.safetensors", "training_log.csv", "final.json"),
    log:
        f"{FINAL}/final.log",
    benchmark:
        f"{FINAL}/final_benchmark.tsv"
    wildcard_constraints:
        experiment=by_method("fedn"),
    threads: lambda wildcards: resolved(wildcards.dataset, wildcards.experiment)["training"]["threads"]
    resources:
        mem_mb=memory,
        runtime=fold_minutes,
        gpu_slots=GPU_SLOTS,
    params:
        code=code("training/final.py"),
        folder=subpath(output[0], parent=True),
        settings=settings(*TRUTH, "windows", "model", "training", "folds.group", "folds.method", "folds.held_out"),
    shell:
        "fedn-pipeline final --videos {input.videos:q} --events {input.events:q} --features {input.features:q}"
        " --seed {wildcards.seed:q} --out {params.folder:q} --settings {params.settings:q} > {log:q} 2>&1"


# backbone.safetensors, which lies there too, is no output: not every backbone is a file of its own.
rule bundle:
    input:
        final=of_bundled(f"{FINAL}/final.json"),
        checkpoint=of_bundled(f"{FINAL}/checkpoint.safetensors"),
        thresholds=of_bundled(f"{FOLD}/threshold.json"),
        table="results/{dataset}_table.csv",
        weights=bundle_weights,
    output:
        "results/{dataset}/bundle/bundle.json",
        "results/{dataset}/bundle/detector.safetensors",
    log:
        "results/{dataset}/logs/bundle.log",
    benchmark:
        "results/{dataset}/benchmarks/bundle.tsv"
    resources:
        mem_mb=2000,
        runtime=minutes(60),
    params:
        code=code("bundle/write.py"),
        results="results/{dataset}",
        data="data/{dataset}",
        folder=subpath(output[0], parent=True),
        settings=settings(*BUNDLE, experiment=bundled),
    shell:
        "fedn-pipeline bundle {params.results:q} --data {params.data:q} --out {params.folder:q}"
        " --settings {params.settings:q} > {log:q} 2>&1"
