"""How the figures look: a colour, line and marker per method, told apart in greyscale too; deterministic files.

Colours: Okabe & Ito (2008), safe for colour-blind readers; yellow is left out on white paper.
"""

import matplotlib
from matplotlib import pyplot as plt

from fedn_pipeline.files import whole

matplotlib.use("Agg")
matplotlib.rcParams["text.parse_math"] = False  # a `$` in somebody's emotion is a dollar, not a formula
COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
MARKERS = "osD^vP*X<>"
FONT = {"font.size": 9, "axes.titlesize": 10, "axes.spines.top": False, "axes.spines.right": False}
JPEG_QUALITY = 85


def look(number):
    """Colour, line style and marker of the method `number`; no two of the first 70 agree in all three."""
    line, marker = LINES[number % len(LINES)], MARKERS[number % len(MARKERS)]
    return {"color": COLOURS[number % len(COLOURS)], "linestyle": line, "marker": marker, "markersize": 4}


def subplots(*shape, **further):
    """`plt.subplots` in the report's font, always a 2D array of axes."""
    with plt.rc_context(FONT):
        return plt.subplots(*shape, squeeze=False, layout="constrained", **further)


def save(figure, path):
    """Write a figure whole, the same bytes each time: no date, no random ids. The suffix is the format."""
    metadata = {".svg": {"Date": None}, ".png": {"Software": None}}.get(path.suffix)
    jpeg = {"pil_kwargs": {"quality": JPEG_QUALITY}} if path.suffix == ".jpg" else {}
    with whole(path, checksum=False) as partial, plt.rc_context({"svg.hashsalt": path.stem, **FONT}):
        figure.savefig(partial, dpi=110, metadata=metadata, **jpeg)
    plt.close(figure)
