# Stage features: the backbone's weights, features of batches of videos, one merged file per data set and backbone.


rule pretrain:
    input:
        stills=stills,
        code=code("features/pretrain.py"),
    output:
        "data/{dataset}/backbones/{backbone}.safetensors",
    log:
        "results/{dataset}/logs/pretrain/{backbone}.log",
    benchmark:
        "results/{dataset}/benchmarks/pretrain/{backbone}.tsv"
    wildcard_constraints:
        dataset=datasets(lambda every: every["backbone"]["checkpoint"] is None),
    priority: 50
    threads: lambda wildcards: resolved(wildcards.dataset)["pretrain"]["threads"]
    resources:
        mem_mb=3000,
    params:
        folder=lambda wildcards, input: Path(input.stills).parent if input.stills.endswith(".csv") else input.stills,
        exclude=excluded,
        settings=settings("pretrain", "backbone.input_size", "backbone.mean", "backbone.std"),
    shell:
        "fedn-pipeline pretrain --stills {params.folder:q} {params.exclude} --out {output}"
        " --settings {params.settings:q} > {log} 2>&1"


rule backbone:
    input:
        checkpoint=lambda wildcards: resolved(wildcards.dataset)["backbone"]["checkpoint"],
        code=code("features/checkpoint.py"),
    output:
        "data/{dataset}/backbones/{backbone}.safetensors",
    log:
        "results/{dataset}/logs/backbone/{backbone}.log",
    benchmark:
        "results/{dataset}/benchmarks/backbone/{backbone}.tsv"
    wildcard_constraints:
        dataset=datasets(lambda every: every["backbone"]["checkpoint"] is not None),
    resources:
        mem_mb=1500,
    shell:
        "fedn-pipeline backbone --checkpoint {input.checkpoint:q} --out {output} > {log} 2>&1"


rule features_part:
    input:
        videos=ancient("data/{dataset}/videos.csv"),
        weights="data/{dataset}/backbones/{backbone}.safetensors",
        crops=lambda wildcards: expand(
            "data/{dataset}/crops/{video}.mp4",
            dataset=wildcards.dataset,
            video=part_videos(wildcards),
        ),
        alignment=lambda wildcards: expand(
            "data/{dataset}/alignment/{video}.csv",
            dataset=wildcards.dataset,
            video=part_videos(wildcards),
        ),
        code=code("features/extract.py"),
    output:
        temp("data/{dataset}/features/{backbone}/part{part}.h5"),
    log:
        "results/{dataset}/logs/features/{backbone}/part{part}.log",
    benchmark:
        "results/{dataset}/benchmarks/features/{backbone}/part{part}.tsv"
    threads: lambda wildcards: resolved(wildcards.dataset)["backbone"]["threads"]
    resources:
        mem_mb=3000,
    params:
        only=part_videos,
        facts=facts,
        folder=lambda wildcards: f"data/{wildcards.dataset}",
        settings=settings(
            "backbone.input_size",
            "backbone.precision",
            "backbone.batch_size",
            "backbone.threads",
            "backbone.mean",
            "backbone.std",
        ),
    shell:
        "fedn-pipeline features --videos {input.videos} --only {params.only:q} --faces {params.folder}"
        " --weights {input.weights} --out {output} --settings {params.settings:q} > {log} 2>&1"


rule features:
    input:
        parts=parts,
        code=code("features/cache.py"),
    output:
        "data/{dataset}/features/{backbone}.h5",
    log:
        "results/{dataset}/logs/features/{backbone}.log",
    benchmark:
        "results/{dataset}/benchmarks/features/{backbone}.tsv"
    resources:
        mem_mb=1000,
    shell:
        "fedn-pipeline features --merge {input.parts} --out {output} > {log} 2>&1"
