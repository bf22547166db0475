"""The bootstrap of the full table: 19 methods on 1300 videos of 100 subjects, all metrics, all paired differences.

    python benchmarks/bootstrap.py [--quick]

The alternative evaluates every draw on tables that hold each drawn subject's videos as often as it was drawn; one draw
of one method is timed and its time scaled. The target is the ratio at which ours takes a minute. `--quick` runs
4 methods and scales their time.
"""

import numpy as np
import pandas as pd
from common import detections_near, like_casme3, options, report, seconds

from fedn_pipeline.evaluation import bootstrap
from fedn_pipeline.evaluation.metrics import METRICS, default_settings, evaluate, subjects

METHODS = 19
LIMIT_S = 60
SETTINGS = default_settings()
ROUNDING = 1e-12  # sums in another order


def full_table(videos, events, methods):
    """Intervals of every method and of its difference to the first, as `report.results` computes them."""
    scores = [bootstrap.draw_scores(videos, events, [detections], SETTINGS) for detections in methods]
    paired = [bootstrap.difference(scores[0], other) for other in scores[1:]]
    return [bootstrap.summary(videos, values, SETTINGS) for values in scores + paired]


def one_draw(videos, events, detections, weights):
    """Metrics of one draw, evaluated on resampled tables."""
    times = videos.subject.map(dict(zip(subjects(videos), weights, strict=True)))
    times = dict(zip(videos.video_id, times, strict=True))

    def resampled(table):
        n = table.video_id.map(times)
        copies = [table[n > copy] for copy in range(max(times.values()))]
        return pd.concat([rows.assign(video_id=rows.video_id + f"_{copy}") for copy, rows in enumerate(copies)])

    tables = [resampled(table).reset_index(drop=True) for table in (videos, events, detections)]
    return evaluate(*tables, settings=SETTINGS)


def main():
    n_methods = 4 if options(__doc__.splitlines()[0]).quick else METHODS
    random = np.random.default_rng(0)
    videos, events = like_casme3()
    methods = [detections_near(random, videos, events) for _ in range(n_methods)]
    weights = bootstrap.draw_weights(len(subjects(videos)), SETTINGS)

    drawn = []
    draw_s = seconds(lambda: drawn.append(one_draw(videos, events, methods[0], weights[1])))
    ours_s = METHODS / n_methods * seconds(lambda: full_table(videos, events, methods))
    scores = bootstrap.draw_scores(videos, events, methods[:1], SETTINGS)
    difference = max(abs(scores[name][1] - drawn[0][name]) for name in METRICS)
    print(f"{METHODS} methods ({n_methods} run), {len(weights) - 1} draws; largest difference {difference:.1e}")
    if difference > ROUNDING:
        raise SystemExit("a draw differs from the evaluation of the resampled tables")
    resampling_s = METHODS * (len(weights) - 1) * draw_s
    report("bootstrap of the full table", ours_s, resampling_s, resampling_s / LIMIT_S, "s")


if __name__ == "__main__":
    main()
