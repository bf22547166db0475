"""The demo data set keeps its rules: exact labels, pictures that show them, people kept apart, repeatable bytes."""

import av
import cv2
import numpy as np
import pandas as pd
import pytest
import yaml
from fedn_pipeline.dataset import demo
from fedn_pipeline.dataset.demo import animation, planning
from fedn_pipeline.dataset.demo.action_units import UNITS
from fedn_pipeline.dataset.demo.portraits import make_portrait
from fedn_pipeline.dataset.demo.rendering import Renderer
from fedn_pipeline.files import InputError
