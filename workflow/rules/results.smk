# Stage results: all folds of all experiments -> the table; the report with every table and figure on one page.


rule results:
    input:
        videos="data/{dataset}/videos.csv",
        events="data/{dataset}/events.csv",
        detections=every_fold,
        folders=fold_folders,
    output:
        multiext("results/{dataset}_table", ".md", ".tex"),
        table=report("results/{dataset}_table.csv", caption="../report/table.rst", category="{dataset}"),
        differences=report(
            "results/{dataset}_table_differences.csv", caption="../report/differences.rst", category="{dataset}"
        ),
    log:
        "results/{dataset}/logs/results.log",
    benchmark:
        "results/{dataset}/benchmarks/results.tsv"
    resources:
        mem_mb=2000,
        runtime=minutes(600),
    params:
        code=code("report/results.py"),
        not_run=not_run_arguments,
        stem=lambda wildcards: f"results/{wildcards.dataset}_table",
        folder=lambda wildcards: f"results/{wildcards.dataset}/{label_set(wildcards.dataset)}",
        settings=settings("run", *TRUTH, "evaluation"),
    shell:
        "fedn-pipeline results --dataset {wildcards.dataset:q} --videos {input.videos:q} --events {input.events:q}"
        " --folder {params.folder:q} --out {params.stem:q} {params.not_run:q} --settings {params.settings:q} > {log:q} 2>&1"


rule comparison:
    input:
        videos="data/{dataset}/videos.csv",
        events="data/{dataset}/events.csv",
        detections=lambda wildcards: every_fold(wildcards, page_experiments(wildcards)),
        folders=lambda wildcards: fold_folders(wildcards, page_experiments(wildcards)),
    output:
        multiext("results/{dataset}/report/table", ".md", ".tex"),
        table=report("results/{dataset}/report/table.csv", caption="../report/table.rst", category="{dataset}"),
        differences=report(
            "results/{dataset}/report/table_differences.csv", caption="../report/differences.rst", category="{dataset}"
        ),
    log:
        "results/{dataset}/logs/comparison.log",
    benchmark:
        "results/{dataset}/benchmarks/comparison.tsv"
    resources:
        mem_mb=2000,
        runtime=minutes(600),
    params:
        code=code("report/results.py"),
        not_run=lambda wildcards: not_run_arguments(wildcards, page_experiments(wildcards)),
        stem="results/{dataset}/report/table",
        folder=lambda wildcards: f"results/{wildcards.dataset}/{label_set(wildcards.dataset)}",
        settings=comparison_settings,
    shell:
        "fedn-pipeline results --dataset {wildcards.dataset:q} --videos {input.videos:q} --events {input.events:q}"
        " --folder {params.folder:q} --out {params.stem:q} {params.not_run:q} --settings {params.settings:q} > {log:q} 2>&1"


rule report:
    input:
        videos="data/{dataset}/videos.csv",
        events="data/{dataset}/events.csv",
        table=page_table,
        detections=lambda wildcards: every_fold(wildcards, page_experiments(wildcards)),
        alignment=lambda wildcards: expand(
            "data/{dataset}/alignment/{video}.csv", dataset=wildcards.dataset, video=videos(wildcards.dataset).video_id
        ),
        crops=lambda wildcards: expand(
            "data/{dataset}/crops/{video}.mp4",
            dataset=wildcards.dataset,
            video=videos(wildcards.dataset).video_id,
        ),
    output:
        page=report("results/{dataset}/{page}/index.html", caption="../report/page.rst", category="{dataset}"),
        tables=report(
            directory("results/{dataset}/{page}/tables"),
            patterns=["{name}.csv"],
            caption="../report/paper_table.rst",
            category="{dataset}",
            subcategory="{page}: tables",
        ),
        figures=report(
            directory("results/{dataset}/{page}/figures"),
            patterns=["{name}.svg"],
            caption="../report/figure.rst",
            category="{dataset}",
            subcategory="{page}: figures",
        ),
        timelines=report(
            directory("results/{dataset}/{page}/timelines"),
            patterns=["{name}.png"],
            caption="../report/timeline.rst",
            category="{dataset}",
            subcategory="{page}: timelines",
        ),
    log:
        "results/{dataset}/logs/{page}.log",
    benchmark:
        "results/{dataset}/benchmarks/{page}.tsv"
    wildcard_constraints:
        page="summary|report",
    resources:
        mem_mb=2000,
        runtime=minutes(3600),
    params:
        code=code("report/stage.py"),
        not_run=lambda wildcards: not_run_arguments(wildcards, page_experiments(wildcards)),
        stem=lambda wildcards, input: Path(input.table).with_suffix(""),
        faces=lambda wildcards: f"data/{wildcards.dataset}",
        folder=lambda wildcards: f"results/{wildcards.dataset}/{label_set(wildcards.dataset)}",
        benchmarks=lambda wildcards: f"results/{wildcards.dataset}/benchmarks",
        out=subpath(output.page, parent=True),
        settings=page_settings,
    shell:
        "fedn-pipeline report --dataset {wildcards.dataset:q} --videos {input.videos:q} --events {input.events:q}"
        " --faces {params.faces:q} --folder {params.folder:q} --table {params.stem:q} --benchmarks {params.benchmarks:q}"
        " --out {params.out:q} {params.not_run:q} --settings {params.settings:q} > {log:q} 2>&1"
