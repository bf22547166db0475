"""Two honest references on the same folds: `chance` and `classic`. They write what stage `detections` writes."""
