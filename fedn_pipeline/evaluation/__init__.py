"""What every number means (docs/evaluation.md), as code; no torch, only NumPy and pandas.

    detections.csv, events.csv, videos.csv
        -> matching            which prediction answers for which ground truth, one to one
        -> average_precision   AP of a ranking, for any number of bootstrap draws at once
        -> metrics             counts per subject, then F1, mAP and STRS from weighted counts
        -> bootstrap           95 % intervals over subjects, paired differences of two methods

The chain rests on one fact: matching happens within a video, so drawing subjects with replacement never
changes a match, only how often it counts. Videos are matched once, and every bootstrap draw is a vector of
subject weights; a plain evaluation is the same computation with all weights 1.

Conventions that decide a number: IoU counts frames of inclusive intervals; a prediction takes the *free*
ground truth it overlaps most; videos without ground truth count their false positives, and ground truth in
videos without predictions counts as missed; recognition looks at true positives only; macro averages run over
the emotions that have ground truth in the evaluated videos; fractions, never percent; undefined is None (null
in files).
"""
