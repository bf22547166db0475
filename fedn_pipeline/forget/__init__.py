"""Erasing one subject from everything that the pipeline has written, and the proof that nothing is left."""
