"""Annotations in the formats of the tools that people annotate with: ELAN, BORIS, ActivityNet's JSON, Praat.

One file per format, each `write(path, clips, spans)` and `read(path, tiers) -> spans.Found`, all in seconds; clock.py
alone turns frames into seconds and back. stage.py holds the commands `export` and `import` (exchange.md).
"""
