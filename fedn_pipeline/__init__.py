"""FEDN: find every facial expression in a long video and name its emotion (Fang et al. 2025)."""

__version__ = "0.1.0"
