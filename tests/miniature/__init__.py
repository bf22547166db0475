"""Miniature releases in the exact raw layout of each data set, made from demo faces, with every trap of datasets.md.

Each writer fills a folder and returns what it `Planted`, so that tests can compare the readers' tables with it.
"""

from .casme2 import write_casme2
from .casme3 import write_casme3
from .custom import write_custom
from .plan import Planted
from .samm import write_samm

__all__ = ["Planted", "write_casme2", "write_casme3", "write_custom", "write_samm"]
