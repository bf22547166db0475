"""The peers: every spotter that the paper compares FEDN with, on the same videos, folds and strict protocol.

One file per method, written from its paper; its head says what is reproduced and what differs. `fold.py` runs a fold of
any of them, `needs.py` says what each reads, `habits.py` scores each by its own published protocol too.
"""
