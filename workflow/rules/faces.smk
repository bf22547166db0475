# Stage faces: one video -> its alignment table and its 224x224 crops.


rule faces:
    input:
        video=source,
    output:
        alignment="data/{dataset}/alignment/{video}.csv",
        summary="data/{dataset}/alignment/{video}.json",
        crops="data/{dataset}/crops/{video}.mp4",
    log:
        "results/{dataset}/logs/faces/{video}.log",
    benchmark:
        "results/{dataset}/benchmarks/faces/{video}.tsv"
    group:
        faces_group
    resources:
        mem_mb=2000,
        runtime=faces_minutes,
    params:
        code=code("faces/align.py"),
        folder=lambda wildcards: f"data/{wildcards.dataset}",
        frame_axis=frame_axis,
        measured=measured,
        aligner=aligner,
        settings=settings("faces", "openface"),
    shell:
        "fedn-pipeline faces {input.video:q} --video-id {wildcards.video:q} {params.frame_axis:q} --leave-out --out {params.folder:q}"
        " --settings {params.settings:q} > {log:q} 2>&1"
