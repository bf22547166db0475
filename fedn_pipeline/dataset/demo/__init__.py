"""The demo data set (rules follow)."""

from .planning import plan
from .rendering import render_video
from .stills import render_stills

__all__ = ["plan", "render_stills", "render_video"]
