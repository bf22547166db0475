"""The commands `export` and `import` (stage.py): this project's tables <-> the formats of annotations/ (exchange.md).

known.py tells which videos there are, detected.py what there is to export; faces/axis.py alone turns frames into
seconds and back.
"""
