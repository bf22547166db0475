"""FEDN: find every facial expression in a long video and name its emotion (Fang et al. 2025)."""

import importlib

__version__ = "0.1.0"
__all__ = ["detect", "timeline"]


def __getattr__(name):
    """`fedn_pipeline.detect` and `fedn_pipeline.timeline` are imported when asked for: commands start sooner."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Not by `import`: whoever imports the package would seem to need all that this needs (sources.py).
    return getattr(importlib.import_module("fedn_pipeline.own_video.api"), name)
