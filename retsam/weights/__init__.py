"""Weights that are part of the package (``*.safetensors`` in this folder), and the model used where none is named."""

from pathlib import Path

DEFAULT_MODEL = "retsam-tiny"
"""Segmentation model of commands, functions and studies that name none."""

FOLDER = Path(__file__).parent
SUFFIX = ".safetensors"
"""Of files of weights."""
