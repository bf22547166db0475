# Stage features: the backbone's weights, features, optical flow and flow of regions of batches of videos, merged; the
# latter two as features.


rule pretrain:
    input:
        stills=stills,
    output:
        "data/{dataset}/backbones/{backbone}.safetensors",
    log:
        "results/{dataset}/logs/pretrain/{backbone}.log",
    benchmark:
        "results/{dataset}/benchmarks/pretrain/{backbone}.tsv"
    wildcard_constraints:
        dataset=datasets(lambda every: every["backbone"]["checkpoint"] is None),
        backbone=RESNET,
    priority: 50
    threads: lambda wildcards: resolved(wildcards.dataset)["pretrain"]["threads"]
    resources:
        mem_mb=3500,
        runtime=pretrain_minutes,
        gpu_slots=GPU_SLOTS,
    params:
        code=code("features/pretrain.py"),
        folder=lambda wildcards, input: Path(input.stills).parent if input.stills.endswith(".csv") else input.stills,
        exclude=excluded,
        settings=settings("pretrain", "backbone.input_size", "backbone.mean", "backbone.std"),
    shell:
        "fedn-pipeline pretrain --stills {params.folder:q} {params.exclude:q} --out {output:q}"
        " --settings {params.settings:q} > {log:q} 2>&1"


rule backbone:
    input:
        checkpoint=lambda wildcards: resolved(wildcards.dataset)["backbone"]["checkpoint"],
    output:
        "data/{dataset}/backbones/{backbone}.safetensors",
    log:
        "results/{dataset}/logs/backbone/{backbone}.log",
    benchmark:
        "results/{dataset}/benchmarks/backbone/{backbone}.tsv"
    wildcard_constraints:
        dataset=datasets(lambda every: every["backbone"]["checkpoint"] is not None),
        backbone=RESNET,
    resources:
        mem_mb=1500,
        runtime=minutes(60),
    params:
        code=code("features/checkpoint.py"),
    shell:
        "fedn-pipeline backbone --checkpoint {input.checkpoint:q} --out {output:q} > {log:q} 2>&1"


rule i3d_weights:
    input:
        rgb=lambda wildcards: resolved(wildcards.dataset)["i3d"]["rgb"],
        flow=lambda wildcards: resolved(wildcards.dataset)["i3d"]["flow"],
    output:
        "data/{dataset}/backbones/i3d.safetensors",
    log:
        "results/{dataset}/logs/backbone/i3d.log",
    benchmark:
        "results/{dataset}/benchmarks/backbone/i3d.tsv"
    resources:
        mem_mb=1500,
        runtime=minutes(60),
    params:
        code=code("features/i3d.py"),
    shell:
        "fedn-pipeline backbone --i3d {input.rgb:q} {input.flow:q} --out {output:q} > {log:q} 2>&1"


rule features_part:
    input:
        videos=ancient("data/{dataset}/videos.csv"),
        weights=backbone_weights,
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
    output:
        part=temp("data/{dataset}/features/{backbone}/part{part}.h5"),
        checksum=temp("data/{dataset}/features/{backbone}/part{part}.h5.sha256"),
    log:
        "results/{dataset}/logs/features/{backbone}/part{part}.log",
    benchmark:
        "results/{dataset}/benchmarks/features/{backbone}/part{part}.tsv"
    threads: lambda wildcards: resolved(wildcards.dataset)["backbone"]["threads"]
    resources:
        mem_mb=3000,
        runtime=features_minutes,
        gpu_slots=GPU_SLOTS,
    params:
        code=lambda wildcards: code(f"features/{embedding(wildcards)[0]}.py"),
        only=part_videos,
        facts=facts,
        folder=lambda wildcards: f"data/{wildcards.dataset}",
        network=lambda wildcards, input: ["--weights", input.weights] if input.weights else ["--blendshapes"],
        settings=lambda wildcards: settings(*embedding(wildcards)[1])(wildcards),
    shell:
        "fedn-pipeline features --videos {input.videos:q} --only {params.only:q} --faces {params.folder:q}"
        " {params.network:q} --out {output.part:q} --settings {params.settings:q} > {log:q} 2>&1"


rule features:
    input:
        parts=feature_parts,
    output:
        "data/{dataset}/features/{backbone}.h5",
    log:
        "results/{dataset}/logs/features/{backbone}.log",
    benchmark:
        "results/{dataset}/benchmarks/features/{backbone}.tsv"
    wildcard_constraints:
        dataset=datasets(lambda every: every["dataset"]["reader"] != "rehearsal"),
        backbone=OF_CROPS,
    resources:
        mem_mb=1000,
        runtime=merge_minutes,
    params:
        code=code("features/cache.py"),
    shell:
        "fedn-pipeline features --merge {input.parts:q} --out {output:q} > {log:q} 2>&1"


rule flow_part:
    input:
        videos=ancient("data/{dataset}/videos.csv"),
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
    output:
        part=temp("data/{dataset}/flow/gap{gap}/part{part}.h5"),
        checksum=temp("data/{dataset}/flow/gap{gap}/part{part}.h5.sha256"),
    log:
        "results/{dataset}/logs/flow/gap{gap}/part{part}.log",
    benchmark:
        "results/{dataset}/benchmarks/flow/gap{gap}/part{part}.tsv"
    resources:
        mem_mb=1500,
        runtime=flow_minutes,
    params:
        code=code("features/flow.py"),
        only=part_videos,
        facts=facts,
        folder=lambda wildcards: f"data/{wildcards.dataset}",
        settings=settings("flow.method", "flow.work_size", "flow.size"),
    shell:
        "fedn-pipeline flow --videos {input.videos:q} --only {params.only:q} --faces {params.folder:q}"
        " --gap {wildcards.gap:q} --out {output.part:q} --settings {params.settings:q} > {log:q} 2>&1"


rule flow:
    input:
        parts=flow_parts,
    output:
        "data/{dataset}/flow/gap{gap}.h5",
    log:
        "results/{dataset}/logs/flow/gap{gap}.log",
    benchmark:
        "results/{dataset}/benchmarks/flow/gap{gap}.tsv"
    resources:
        mem_mb=1000,
        runtime=flow_merge_minutes,
    params:
        code=code("features/cache.py"),
    shell:
        "fedn-pipeline flow --merge {input.parts:q} --out {output:q} > {log:q} 2>&1"


rule regions_part:
    input:
        videos=ancient("data/{dataset}/videos.csv"),
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
    output:
        part=temp("data/{dataset}/regions/gap{gap}/part{part}.h5"),
        checksum=temp("data/{dataset}/regions/gap{gap}/part{part}.h5.sha256"),
    log:
        "results/{dataset}/logs/regions/gap{gap}/part{part}.log",
    benchmark:
        "results/{dataset}/benchmarks/regions/gap{gap}/part{part}.tsv"
    resources:
        mem_mb=1500,
        runtime=flow_minutes,
    params:
        code=code("features/regions.py"),
        only=part_videos,
        facts=facts,
        folder=lambda wildcards: f"data/{wildcards.dataset}",
        settings=settings("flow.method", "flow.work_size", "regions", "faces.crop_size"),
    shell:
        "fedn-pipeline flow --regions --videos {input.videos:q} --only {params.only:q} --faces {params.folder:q}"
        " --gap {wildcards.gap:q} --out {output.part:q} --settings {params.settings:q} > {log:q} 2>&1"


rule regions:
    input:
        parts=regions_parts,
    output:
        "data/{dataset}/regions/gap{gap}.h5",
    log:
        "results/{dataset}/logs/regions/gap{gap}.log",
    benchmark:
        "results/{dataset}/benchmarks/regions/gap{gap}.tsv"
    resources:
        mem_mb=1000,
        runtime=regions_merge_minutes,
    params:
        code=code("features/cache.py"),
    shell:
        "fedn-pipeline flow --merge {input.parts:q} --out {output:q} > {log:q} 2>&1"


rule motion_features:
    input:
        "data/{dataset}/{motion}/gap{gap}.h5",
    output:
        "data/{dataset}/features/{motion}_gap{gap}.h5",
    log:
        "results/{dataset}/logs/features/{motion}_gap{gap}.log",
    benchmark:
        "results/{dataset}/benchmarks/features/{motion}_gap{gap}.tsv"
    wildcard_constraints:
        motion=f"{needs.FLOW}|{needs.REGIONS}",
    resources:
        mem_mb=1500,
        runtime=flow_merge_minutes,
    params:
        code=code("features/motion.py"),
        settings=settings("flow.feature_size"),
    shell:
        "fedn-pipeline features --motion {input:q} --out {output:q} --settings {params.settings:q} > {log:q} 2>&1"
