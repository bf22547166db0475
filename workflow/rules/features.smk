# Stage features: the backbone's weights, features of batches of videos, one merged file per data set and backbone.


def part_videos(wildcards):
    """The videos of one batch; a batch loads the model once."""
    size = resolved(wildcards.dataset)["backbone"]["videos_per_job"]
    first = int(wildcards.part) * size
    return sorted(videos(wildcards.dataset).video_id)[first : first + size]


def parts(wildcards):
    size = resolved(wildcards.dataset)["backbone"]["videos_per_job"]
    count = -(-len(videos(wildcards.dataset)) // size)
    return [f"data/{wildcards.dataset}/features/{wildcards.backbone}/part{number}.h5" for number in range(count)]


def excluded(wildcards):
    """`resnet18_demo_without_PHOTOGRAPH` is trained without the stills of that photograph."""
    _, without, photograph = wildcards.backbone.partition("_without_")
    return f"--exclude {photograph}" if without else ""


rule pretrain:
    input:
        stills="data/{dataset}/stills/stills.csv",
        code=code("features/pretrain.py", "features/backbone.py"),
    output:
        "data/{dataset}/backbones/{backbone}.safetensors",
    log:
        "results/{dataset}/logs/pretrain/{backbone}.log",
    benchmark:
        "results/{dataset}/benchmarks/pretrain/{backbone}.tsv"
    params:
        folder=lambda wildcards, input: Path(input.stills).parent,
        exclude=excluded,
        settings=settings("pretrain"),
    threads: lambda wildcards: resolved(wildcards.dataset)["pretrain"]["threads"]
    resources:
        mem_mb=3000,
        gpu=1,
    shell:
        "fedn-pipeline pretrain --stills {params.folder} {params.exclude} --out {output}"
        " --settings {params.settings:q} > {log} 2>&1"


rule features_part:
    input:
        videos="data/{dataset}/videos.csv",
        weights="data/{dataset}/backbones/{backbone}.safetensors",
        crops=lambda wildcards: expand(
            "data/{dataset}/crops/{video}.mkv", dataset=wildcards.dataset, video=part_videos(wildcards)
        ),
        alignment=lambda wildcards: expand(
            "data/{dataset}/alignment/{video}.csv", dataset=wildcards.dataset, video=part_videos(wildcards)
        ),
        code=code("features/extract.py", "features/backbone.py", "features/cache.py"),
    output:
        temp("data/{dataset}/features/{backbone}/part{part}.h5"),
    log:
        "results/{dataset}/logs/features/{backbone}/part{part}.log",
    benchmark:
        "results/{dataset}/benchmarks/features/{backbone}/part{part}.tsv"
    params:
        only=part_videos,
        folder=lambda wildcards: f"data/{wildcards.dataset}",
        settings=settings("backbone"),
    threads: lambda wildcards: resolved(wildcards.dataset)["backbone"]["threads"]
    resources:
        mem_mb=3000,
        gpu=1,
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
