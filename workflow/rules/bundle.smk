# The final model of an experiment, trained on all subjects, and the model bundle of a data set.


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
        videos="data/{dataset}/videos.csv",
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
        results=lambda wildcards: f"results/{wildcards.dataset}",
        data=lambda wildcards: f"data/{wildcards.dataset}",
        folder=subpath(output[0], parent=True),
        settings=settings(*BUNDLE, experiment=bundled),
    shell:
        "fedn-pipeline bundle {params.results:q} --data {params.data:q} --out {params.folder:q}"
        " --settings {params.settings:q} > {log:q} 2>&1"
