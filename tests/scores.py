"""A method's metrics with their intervals, and two methods' difference, in one call each."""

from fedn_pipeline.evaluation.bootstrap import difference, draw_scores, summary


def summarise(videos, events, runs, settings):
    return summary(videos, draw_scores(videos, events, runs, settings), settings)


def paired_difference(videos, events, runs_a, runs_b, settings):
    a, b = (draw_scores(videos, events, runs, settings) for runs in (runs_a, runs_b))
    return summary(videos, difference(a, b), settings)
