"""The demo data set (rules follow)."""

from .planning import plan
from .rendering import render_video

__all__ = ["plan", "render_video"]
