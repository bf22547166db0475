"""Read HDF5 files with distrust: what h5py raises for damaged ones, and arrays that are what they should be.

Used by the readers of feature caches and of raw predictions. A checksum beside a file (files.py) tells more, where
there is one.
"""

import h5py

# h5py raises these for damaged structures, names, types and sizes; which one is a matter of the place.
DAMAGED = (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError, OverflowError, MemoryError)


def array(group, name, kinds, axes):
    """Dataset `name` of a group as an array; ValueError unless its type is one of `kinds` (NumPy's letters) and it has
    so many `axes` (a set).
    """
    found = group[name]
    if not isinstance(found, h5py.Dataset) or found.dtype.kind not in kinds or found.ndim not in axes:
        raise ValueError(f"`{name}` is no array of the right type")
    return found[:]
