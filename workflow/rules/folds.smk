# Stages folds and detections: train and predict one held-out group; then decode, NMS, threshold.
FOLD = "results/{dataset}/{labels}/{experiment}/seed{seed}/folds/{held_out}/"
EXPERIMENTS = sorted(path.stem for path in (CONFIG / "experiments").glob("*.yaml"))


def by_method(network):
    """Experiments of the network, or the references, as a wildcard constraint."""
    names = [name for name in EXPERIMENTS if (configuration.method(CONFIG, name) == "fedn") == network]
    return "|".join(names)


def fold_features(wildcards):
    name = backbone(wildcards.dataset, wildcards.experiment, wildcards.held_out)
    return f"data/{wildcards.dataset}/features/{name}.h5"


rule folds:
    input:
        videos="data/{dataset}/videos.csv",
        events="data/{dataset}/events.csv",
        features=fold_features,
        code=code("model", "training", "features/cache.py", "dataset/tables.py"),
    output:
        multiext(FOLD, "checkpoint.safetensors", "training_log.csv", "predictions.h5", "fold.json"),
    log:
        FOLD + "folds.log",
    benchmark:
        FOLD + "folds_benchmark.tsv"
    params:
        folder=subpath(output[0], parent=True),
        settings=settings("windows", "model", "training", "folds"),
    wildcard_constraints:
        experiment=by_method(network=True),
    threads: lambda wildcards: resolved(wildcards.dataset, wildcards.experiment)["training"]["threads"]
    resources:
        mem_mb=3000,
        gpu=1,
    shell:
        "fedn-pipeline folds --videos {input.videos} --events {input.events} --features {input.features}"
        " --held-out {wildcards.held_out:q} --seed {wildcards.seed} --out {params.folder}"
        " --settings {params.settings:q} > {log} 2>&1"


rule detections:
    input:
        videos="data/{dataset}/videos.csv",
        events="data/{dataset}/events.csv",
        predictions=FOLD + "predictions.h5",
        code=code("detection", "dataset/tables.py"),
    output:
        multiext(FOLD, "detections.csv", "threshold.json"),
    log:
        FOLD + "detections.log",
    benchmark:
        FOLD + "detections_benchmark.tsv"
    params:
        folder=subpath(output[0], parent=True),
        settings=settings("detections", "evaluation"),
    wildcard_constraints:
        experiment=by_method(network=True),
    resources:
        mem_mb=1500,
    shell:
        "fedn-pipeline detections --predictions {input.predictions} --videos {input.videos} --events {input.events}"
        " --out {params.folder} --settings {params.settings:q} > {log} 2>&1"


rule reference:
    input:
        videos="data/{dataset}/videos.csv",
        events="data/{dataset}/events.csv",
        features=fold_features,
        code=code("references", "detection", "training/split.py"),
    output:
        multiext(FOLD, "detections.csv", "threshold.json", "fold.json"),
    log:
        FOLD + "reference.log",
    benchmark:
        FOLD + "reference_benchmark.tsv"
    params:
        folder=subpath(output[0], parent=True),
        settings=settings("training", "folds", "evaluation"),
    wildcard_constraints:
        experiment=by_method(network=False),
    resources:
        mem_mb=1500,
    shell:
        "fedn-pipeline folds --videos {input.videos} --events {input.events} --features {input.features}"
        " --held-out {wildcards.held_out:q} --seed {wildcards.seed} --out {params.folder}"
        " --settings {params.settings:q} > {log} 2>&1"
