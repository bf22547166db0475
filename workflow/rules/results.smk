# Stage results: all folds of all experiments -> the table; figures of the first experiment.


def every_fold(wildcards, experiments=None):
    """detections.csv of every experiment, seed and held-out group."""
    run = resolved(wildcards.dataset)["run"]
    return [
        f"results/{wildcards.dataset}/{label_set(wildcards.dataset)}/{experiment}/seed{seed}/folds/{held_out}/detections.csv"
        for experiment in experiments or run["experiments"]
        for seed in run["seeds"]
        for held_out in groups(wildcards.dataset, experiment)
    ]


def first_experiment(wildcards):
    return resolved(wildcards.dataset)["run"]["experiments"][0]


rule results:
    input:
        videos="data/{dataset}/videos.csv",
        events="data/{dataset}/events.csv",
        detections=every_fold,
        code=code("evaluation", "report/table.py"),
    output:
        multiext("results/{dataset}_table", ".csv", ".md", ".tex", "_differences.csv"),
    log:
        "results/{dataset}/logs/results.log",
    benchmark:
        "results/{dataset}/benchmarks/results.tsv"
    params:
        stem=lambda wildcards: f"results/{wildcards.dataset}_table",
        folder=lambda wildcards: f"results/{wildcards.dataset}/{label_set(wildcards.dataset)}",
        settings=settings("run", "dataset", "evaluation"),
    resources:
        mem_mb=2000,
    shell:
        "fedn-pipeline results --dataset {wildcards.dataset} --videos {input.videos} --events {input.events}"
        " --folder {params.folder} --out {params.stem} --settings {params.settings:q} > {log} 2>&1"


rule figures:
    input:
        videos="data/{dataset}/videos.csv",
        events="data/{dataset}/events.csv",
        detections=lambda wildcards: every_fold(wildcards, [first_experiment(wildcards)]),
        crops=lambda wildcards: expand(
            "data/{dataset}/crops/{video}.mkv", dataset=wildcards.dataset, video=videos(wildcards.dataset).video_id
        ),
        code=code("report"),
    output:
        "results/{dataset}/report/figures.txt",
    log:
        "results/{dataset}/logs/figures.log",
    benchmark:
        "results/{dataset}/benchmarks/figures.tsv"
    params:
        experiment=first_experiment,
        seed=lambda wildcards: resolved(wildcards.dataset)["run"]["seeds"][0],
        faces=lambda wildcards: f"data/{wildcards.dataset}",
        folder=lambda wildcards: f"results/{wildcards.dataset}/{label_set(wildcards.dataset)}",
        out=subpath(output[0], parent=True),
        settings=settings("report", "evaluation"),
    resources:
        mem_mb=1500,
    shell:
        "fedn-pipeline report --videos {input.videos} --events {input.events} --faces {params.faces}"
        " --folds {params.folder}/{params.experiment}/seed{params.seed} --out {params.out}"
        " --settings {params.settings:q} > {log} 2>&1"
