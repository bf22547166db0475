"""Annotations in the formats of the tools that people annotate with: ELAN, BORIS, ActivityNet's JSON, Praat.

One file per format, each `write(path, clips, spans)` and `read(path, tiers) -> spans.Found`, all in seconds and without
a thought to frames, data sets or folders. Used by the reader `custom` and by the commands in exchange/ (exchange.md).
"""
