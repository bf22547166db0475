# Stage dataset: a raw release (or the rendered demo) -> the canonical tables, and the demo's videos and stills.


checkpoint dataset:
    input:
        annotations=annotations,
    output:
        videos="data/{dataset}/videos.csv",
        events="data/{dataset}/events.csv",
        issues="data/{dataset}/data_issues.csv",
    log:
        "results/{dataset}/logs/dataset.log",
    benchmark:
        "results/{dataset}/benchmarks/dataset.tsv"
    wildcard_constraints:
        dataset=datasets(lambda every: every["dataset"]["reader"] != "rehearsal"),
    resources:
        mem_mb=1000,
        runtime=120,  # a release of 4 million files on a shared file system: not measured,
    params:
        code=lambda wildcards: code("dataset/demo/stage.py" if wildcards.dataset in RENDERED else "dataset/stage.py"),
        reader=lambda wildcards: resolved(wildcards.dataset)["dataset"]["reader"],
        folder=lambda wildcards, output: Path(output.videos).parent,
        reading=reading,
        settings=lambda wildcards: settings(*(["demo"] if wildcards.dataset in RENDERED else READING))(wildcards),
    shell:
        "fedn-pipeline dataset {params.reader:q} --out {params.folder:q} {params.reading:q}"
        " --settings {params.settings:q} > {log:q} 2>&1"


rule demo_video:
    output:
        "data/{dataset}/raw/{video}.mp4",
    log:
        "results/{dataset}/logs/demo_video/{video}.log",
    benchmark:
        "results/{dataset}/benchmarks/demo_video/{video}.tsv"
    wildcard_constraints:
        dataset=datasets(lambda every: every["dataset"]["reader"] == "demo"),
    group:
        faces_group
    resources:
        mem_mb=1500,
        runtime=demo_video_minutes,
    params:
        code=code("dataset/demo/stage.py"),
        folder=lambda wildcards: f"data/{wildcards.dataset}",
        settings=settings("demo"),
    shell:
        "fedn-pipeline dataset demo --out {params.folder:q} --part {wildcards.video:q}"
        " --settings {params.settings:q} > {log:q} 2>&1"


rule demo_stills:
    output:
        "data/{dataset}/stills/stills.csv",
    log:
        "results/{dataset}/logs/demo_stills.log",
    benchmark:
        "results/{dataset}/benchmarks/demo_stills.tsv"
    wildcard_constraints:
        dataset=datasets(lambda every: every["pretrain"]["stills"] == "demo"),
    priority: 50  # the longest chain starts here: stills, pretrain, features
    resources:
        mem_mb=1500,
        runtime=demo_stills_minutes,
    params:
        code=code("dataset/demo/stage.py"),
        folder=lambda wildcards: f"data/{wildcards.dataset}",
        settings=settings("demo"),
    shell:
        "fedn-pipeline dataset demo --out {params.folder:q} --part stills"
        " --settings {params.settings:q} > {log:q} 2>&1"


checkpoint rehearsal:
    output:
        videos="data/{dataset}/videos.csv",
        events="data/{dataset}/events.csv",
        issues="data/{dataset}/data_issues.csv",
        features="data/{dataset}/features/resnet18.h5",
    log:
        "results/{dataset}/logs/rehearsal.log",
    benchmark:
        "results/{dataset}/benchmarks/rehearsal.tsv"
    wildcard_constraints:
        dataset=datasets(lambda every: every["dataset"]["reader"] == "rehearsal"),
    resources:
        mem_mb=1000,
        runtime=minutes(100),
    params:
        code=code("rehearsal.py"),
        folder=lambda wildcards, output: Path(output.videos).parent,
        settings=settings("rehearsal"),
    shell:
        "fedn-pipeline rehearse --out {params.folder:q} --settings {params.settings:q} > {log:q} 2>&1"
