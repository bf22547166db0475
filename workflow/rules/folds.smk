# Stages folds and detections: train and predict one held-out group; then decode, NMS, threshold. References, cascades.


rule folds:
    input:
        videos="data/{dataset}/videos.csv",
        events="data/{dataset}/events.csv",
        features=fold_features,
    output:
        multiext(
            f"{FOLD}/",
            "checkpoint.safetensors",
            "training_log.csv",
            "predictions.h5",
            "cost.json",
            "fold.json",
        ),
    log:
        f"{FOLD}/folds.log",
    benchmark:
        f"{FOLD}/folds_benchmark.tsv"
    wildcard_constraints:
        experiment=by_method("fedn"),
    threads: lambda wildcards: resolved(wildcards.dataset, wildcards.experiment)["training"]["threads"]
    resources:
        mem_mb=memory,
        runtime=fold_minutes,
        gpu_slots=GPU_SLOTS,
    params:
        code=code("training/fold.py"),
        folder=subpath(output[0], parent=True),
        settings=settings(*TRUTH, "windows", "model", "training", "folds.group", "folds.method", "folds.held_out"),
    shell:
        "fedn-pipeline folds --videos {input.videos:q} --events {input.events:q} --features {input.features:q}"
        " --held-out {wildcards.held_out:q} --seed {wildcards.seed:q} --out {params.folder:q}"
        " --settings {params.settings:q} > {log:q} 2>&1"


rule detections:
    input:
        videos="data/{dataset}/videos.csv",
        events="data/{dataset}/events.csv",
        predictions=f"{FOLD}/predictions.h5",
    output:
        multiext(f"{FOLD}/", "detections.csv", "threshold.json", "detections_cost.json"),
    log:
        f"{FOLD}/detections.log",
    benchmark:
        f"{FOLD}/detections_benchmark.tsv"
    wildcard_constraints:
        experiment=by_method("fedn"),
    resources:
        mem_mb=1000,
        runtime=minutes(60),
    params:
        code=code("detection/fold.py"),
        folder=subpath(output[0], parent=True),
        settings=settings(*TRUTH, "detections", *THRESHOLD),
    shell:
        "fedn-pipeline detections --predictions {input.predictions:q} --videos {input.videos:q} --events {input.events:q}"
        " --out {params.folder:q} --settings {params.settings:q} > {log:q} 2>&1"


rule reference:
    input:
        videos="data/{dataset}/videos.csv",
        events="data/{dataset}/events.csv",
        features=fold_features,
    output:
        multiext(f"{FOLD}/", "detections.csv", "threshold.json", "cost.json", "fold.json"),
    log:
        f"{FOLD}/reference.log",
    benchmark:
        f"{FOLD}/reference_benchmark.tsv"
    wildcard_constraints:
        experiment=by_method("chance", "classic"),
    group:
        reference_group
    resources:
        mem_mb=memory,
        runtime=reference_minutes,
    params:
        code=code("references/fold.py"),
        folder=subpath(output[0], parent=True),
        settings=settings(*TRUTH, "training.held_out_fraction", "folds", "detections.max_missing_share", *THRESHOLD),
    shell:
        "fedn-pipeline folds --videos {input.videos:q} --events {input.events:q} --features {input.features:q}"
        " --held-out {wildcards.held_out:q} --seed {wildcards.seed:q} --out {params.folder:q}"
        " --settings {params.settings:q} > {log:q} 2>&1"


rule cascade:
    input:
        unpack(cascade_sources),
        videos="data/{dataset}/videos.csv",
        events="data/{dataset}/events.csv",
    output:
        multiext(
            f"{FOLD}/",
            "checkpoint.safetensors",
            "training_log.csv",
            "detections.csv",
            "threshold.json",
            "cost.json",
            "fold.json",
        ),
    log:
        f"{FOLD}/cascade.log",
    benchmark:
        f"{FOLD}/cascade_benchmark.tsv"
    wildcard_constraints:
        experiment=by_method("cascade", "str"),
    threads: lambda wildcards: resolved(wildcards.dataset, wildcards.experiment)["training"]["threads"]
    resources:
        mem_mb=memory,
        runtime=fold_minutes,
        gpu_slots=GPU_SLOTS,
    params:
        code=code("cascades/fold.py"),
        sources=cascade_arguments,
        folder=subpath(output[0], parent=True),
        settings=settings(
            *TRUTH,
            *THRESHOLD,
            "training.threads",
            "training.held_out_fraction",
            "folds",
            "cascade",
            "cefl",
            "str",
            "backbone.input_size",
            "backbone.mean",
            "backbone.std",
            "detections",
        ),
    shell:
        "fedn-pipeline folds --videos {input.videos:q} --events {input.events:q} {params.sources:q}"
        " --held-out {wildcards.held_out:q} --seed {wildcards.seed:q} --out {params.folder:q}"
        " --settings {params.settings:q} > {log:q} 2>&1"


rule peer:
    input:
        unpack(peer_sources),
        videos="data/{dataset}/videos.csv",
        events="data/{dataset}/events.csv",
    output:
        multiext(
            f"{FOLD}/",
            "checkpoint.safetensors",
            "training_log.csv",
            "detections.csv",
            "threshold.json",
            "cost.json",
            "fold.json",
        ),
    log:
        f"{FOLD}/peer.log",
    benchmark:
        f"{FOLD}/peer_benchmark.tsv"
    wildcard_constraints:
        experiment=by_method(*needs.METHODS),
    threads: lambda wildcards: resolved(wildcards.dataset, wildcards.experiment)["training"]["threads"]
    resources:
        mem_mb=memory,
        runtime=fold_minutes,
        gpu_slots=GPU_SLOTS,
    params:
        code=code("peers/fold.py"),
        sources=peer_arguments,
        folder=subpath(output[0], parent=True),
        settings=lambda wildcards: settings(*PEER, method(wildcards.experiment))(wildcards),
    shell:
        "fedn-pipeline folds --videos {input.videos:q} --events {input.events:q} {params.sources:q}"
        " --held-out {wildcards.held_out:q} --seed {wildcards.seed:q} --out {params.folder:q}"
        " --settings {params.settings:q} > {log:q} 2>&1"
