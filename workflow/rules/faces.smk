# Stage faces: one video -> its alignment table and its 224x224 crops.


def source(wildcards):
    """The video's file, relative to the data set's root."""
    table = videos(wildcards.dataset).set_index("video_id")
    return f"data/{wildcards.dataset}/{table.source[wildcards.video]}"


rule faces:
    input:
        video=source,
        code=code("faces"),
    output:
        alignment="data/{dataset}/alignment/{video}.csv",
        crops="data/{dataset}/crops/{video}.mkv",
    log:
        "results/{dataset}/logs/faces/{video}.log",
    benchmark:
        "results/{dataset}/benchmarks/faces/{video}.tsv"
    params:
        folder=lambda wildcards: f"data/{wildcards.dataset}",
        settings=settings("faces"),
    resources:
        mem_mb=2000,
    shell:
        "fedn-pipeline faces {input.video:q} --video-id {wildcards.video:q} --out {params.folder}"
        " --settings {params.settings:q} > {log} 2>&1"
