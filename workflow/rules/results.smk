# Stage results: all folds of all experiments -> the table; figures of the first experiment.


rule results:
    input:
        videos="data/{dataset}/videos.csv",
        events="data/{dataset}/events.csv",
        detections=every_fold,
        folders=fold_folders,
        code=code("report/results.py"),
    output:
        multiext("results/{dataset}_table", ".csv", ".md", ".tex", "_differences.csv"),
    log:
        "results/{dataset}/logs/results.log",
    benchmark:
        "results/{dataset}/benchmarks/results.tsv"
    resources:
        mem_mb=2000,
    params:
        stem=lambda wildcards: f"results/{wildcards.dataset}_table",
        folder=lambda wildcards: f"results/{wildcards.dataset}/{label_set(wildcards.dataset)}",
        settings=settings("run", *TRUTH, "evaluation"),
    shell:
        "fedn-pipeline results --dataset {wildcards.dataset} --videos {input.videos} --events {input.events}"
        " --folder {params.folder} --out {params.stem} --settings {params.settings:q} > {log} 2>&1"


rule figures:
    input:
        videos="data/{dataset}/videos.csv",
        events="data/{dataset}/events.csv",
        detections=lambda wildcards: every_fold(wildcards, [first_experiment(wildcards)]),
        alignment=lambda wildcards: expand(
            "data/{dataset}/alignment/{video}.csv", dataset=wildcards.dataset, video=videos(wildcards.dataset).video_id
        ),
        crops=lambda wildcards: expand(
            "data/{dataset}/crops/{video}.mp4",
            dataset=wildcards.dataset,
            video=videos(wildcards.dataset).video_id,
        ),
        code=code("report/figures.py"),
    output:
        "results/{dataset}/report/figures.txt",
    log:
        "results/{dataset}/logs/figures.log",
    benchmark:
        "results/{dataset}/benchmarks/figures.tsv"
    resources:
        mem_mb=1500,
    params:
        experiment=first_experiment,
        seed=lambda wildcards: resolved(wildcards.dataset)["run"]["seeds"][0],
        faces=lambda wildcards: f"data/{wildcards.dataset}",
        folder=lambda wildcards: f"results/{wildcards.dataset}/{label_set(wildcards.dataset)}",
        out=subpath(output[0], parent=True),
        settings=settings(*TRUTH, "report", "evaluation.iou"),
    shell:
        "fedn-pipeline report --videos {input.videos} --events {input.events} --faces {params.faces}"
        " --folds {params.folder}/{params.experiment}/seed{params.seed} --out {params.out}"
        " --settings {params.settings:q} > {log} 2>&1"
