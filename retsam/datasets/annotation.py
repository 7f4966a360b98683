"""How an annotation file becomes a mask of its photograph: one small reader for each way that sets code their masks.

A reader takes the file and the photograph's (height, width) and returns two boolean arrays of that shape: the truth,
and where the annotation counts (False where the annotators left it open). It raises :class:`UserError` for a file that
it cannot use.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat
from skimage.draw import polygon

from retsam.errors import UserError
from retsam.io.images import ImageError, read_image

Mask = NDArray[np.bool_]
Shape = tuple[int, int]
Reader = Callable[[Path, Shape], tuple[Mask, Mask]]

GAP = 2
"""Pixels by which a contour may leave its photograph: the experts' strokes end at the edge."""


def bright(path: Path, shape: Shape) -> tuple[Mask, Mask]:
    """What reaches half of the file's brightest value in any channel: 0/1, 0/255 and coloured palettes alike."""
    values = _raster(path, shape).max(axis=2)
    return values >= max(int(values.max()) / 2, 1), _everywhere(shape)


def majority(path: Path, shape: Shape) -> tuple[Mask, Mask]:
    """Above 127 in a soft map of several experts: more than half of them."""
    return _raster(path, shape).max(axis=2) > 127, _everywhere(shape)


def artery(path: Path, shape: Shape) -> tuple[Mask, Mask]:
    """Red of an artery/vein colour map; other colours than red and blue (crossing, uncertain) do not count."""
    red, _, counted = _colours(path, shape)
    return red, counted


def vein(path: Path, shape: Shape) -> tuple[Mask, Mask]:
    """Blue of an artery/vein colour map; other colours than red and blue (crossing, uncertain) do not count."""
    _, blue, counted = _colours(path, shape)
    return blue, counted


def hole(path: Path, shape: Shape) -> tuple[Mask, Mask]:
    """Dark islands in a bright field: dark regions that do not touch the picture's edge."""
    dark = (_raster(path, shape).max(axis=2) < 128).astype(np.uint8)
    _, labels = cv2.connectedComponents(dark, connectivity=4)
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    return (dark > 0) & ~np.isin(labels, edge), _everywhere(shape)


def _levels(path: Path, shape: Shape, inside: tuple[int, ...]) -> tuple[Mask, Mask]:
    values = _raster(path, shape).max(axis=2)
    if min(int(values[row, col]) for row in (0, -1) for col in (0, -1)) < 192:
        raise UserError(f"annotation {path.name} is dark in a corner, where the official file is white background.")
    nearest = np.array([0, 128, 255])[np.digitize(values, [64, 192])]
    return np.isin(nearest, inside), _everywhere(shape)


cup_of_three = partial(_levels, inside=(0,))
"""Optic cup of a mask in three levels: 0 cup, 128 rim, 255 background."""

disc_of_three = partial(_levels, inside=(0, 128))
"""Optic disc, cup included, of a mask in three levels."""

black_on_white = partial(_levels, inside=(0,))
"""Mask that is 0 inside and 255 outside."""


def _ranks(path: Path, shape: Shape, at_least: int) -> tuple[Mask, Mask]:
    if path.suffix.lower() == ".mat":
        values = _matlab(path, shape)
    else:
        values = _raster(path, shape).max(axis=2).astype(np.int64)
    levels = np.unique(values)
    if len(levels) > 3:
        raise UserError(f"annotation {path.name} has {len(levels)} levels, not the three of background, rim and cup.")
    return np.searchsorted(levels, values) >= at_least, _everywhere(shape)


disc_by_rank = partial(_ranks, at_least=1)
"""Optic disc, cup included, of a mask with background < rim < cup: 0/1/2, or any other three values."""

cup_by_rank = partial(_ranks, at_least=2)
"""Optic cup of a mask with background < rim < cup; empty where only two values occur."""


def contour(path: Path, shape: Shape) -> tuple[Mask, Mask]:
    """Inside of one closed line, a text file with x and y of a point in each row."""
    try:
        points = np.loadtxt(path, ndmin=2)[:, :2]
    except (ValueError, IndexError, OSError) as error:
        raise UserError(f"annotation {path.name} is no list of x and y; take it from the set again.") from error
    return _filled(path, shape, [points]), _everywhere(shape)


def _shapes(path: Path, shape: Shape, label: str) -> tuple[Mask, Mask]:
    lines = []
    for item in _labelme(path):
        if str(item["label"]).casefold() != label:
            continue
        points = np.asarray(item["points"], float).reshape(-1, 2)
        lines.append(_circle(points) if item.get("shape_type") == "circle" else points)
    return _filled(path, shape, lines), _everywhere(shape)


disc_of_shapes = partial(_shapes, label="disc")
"""Polygons labelled ``disc`` in a labelme file."""

cup_of_shapes = partial(_shapes, label="cup")
"""Polygons labelled ``cup`` in a labelme file."""


def labels_of_shapes(path: Path) -> set[str]:
    """Labels in a labelme file, in lower case."""
    return {str(item["label"]).casefold() for item in _labelme(path)}


@dataclass(frozen=True)
class MaskFile:
    """The annotation of one target on one photograph.

    Attributes
    ----------
    path : Path or None
        None: the annotators looked and marked nothing (an empty mask).
    reader : callable
        How the set codes its masks; see this module.
    """

    path: Path | None
    reader: Reader = bright

    def read(self, shape: Shape) -> tuple[Mask, Mask]:
        """Read the mask.

        Parameters
        ----------
        shape : (height, width)
            Of the photograph.

        Returns
        -------
        truth : (height, width) bool
        counted : (height, width) bool
            False where the annotation is uncertain.

        Raises
        ------
        UserError
            If the file cannot be read, is not of the photograph's size or not coded as the set says.
        """
        if self.path is None:
            return np.zeros(shape, bool), _everywhere(shape)
        return self.reader(self.path, shape)


def _everywhere(shape: Shape) -> Mask:
    return np.ones(shape, bool)


def _check_shape(path: Path, found: tuple[int, ...], shape: Shape) -> None:
    if tuple(found[:2]) != tuple(shape):
        sizes = f"{found[1]}x{found[0]}, its photograph {shape[1]}x{shape[0]}"
        raise UserError(f"annotation {path.name} is {sizes}; take both from one release of the data set.")


def _raster(path: Path, shape: Shape) -> NDArray[np.uint8]:
    try:
        pixels = read_image(path)
    except ImageError as error:
        raise UserError(f"annotation {error}") from error
    _check_shape(path, pixels.shape, shape)
    return pixels


def _colours(path: Path, shape: Shape) -> tuple[Mask, Mask, Mask]:
    """Red, blue, and where neither is another colour."""
    high = _raster(path, shape) >= 128
    red = high[..., 0] & ~high[..., 1] & ~high[..., 2]
    blue = high[..., 2] & ~high[..., 0] & ~high[..., 1]
    if not (red.any() or blue.any()):
        raise UserError(f"annotation {path.name} has no red artery and no blue vein; take the set's colour maps.")
    return red, blue, ~(high.any(axis=2) & ~red & ~blue)


def _matlab(path: Path, shape: Shape) -> NDArray[np.int64]:
    """Variable ``mask`` of a MATLAB file."""
    try:
        values = np.asarray(loadmat(path)["mask"])
    except KeyError as error:
        raise UserError(f"annotation {path.name} has no variable 'mask'; take it from the set again.") from error
    except Exception as error:  # scipy raises many kinds for damaged files
        raise UserError(f"annotation {path.name} is no MATLAB file; copy it again from its source.") from error
    _check_shape(path, values.shape, shape)
    return values.astype(np.int64)


def _labelme(path: Path) -> list[dict]:
    try:
        shapes = json.loads(path.read_text(encoding="utf-8"))["shapes"]
        if any("label" not in item or "points" not in item for item in shapes):
            raise KeyError("label")
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise UserError(f"annotation {path.name} is no labelme file with shapes; copy it again.") from error
    return list(shapes)


def _circle(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Outline of a labelme circle, which is given by its centre and one point on it."""
    angle = np.linspace(0, 2 * np.pi, 360, endpoint=False)
    radius = np.hypot(*(points[1] - points[0]))
    return points[0] + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _filled(path: Path, shape: Shape, lines: list[NDArray[np.float64]]) -> Mask:
    """Pixels whose centres, at integer coordinates, lie inside closed lines."""
    mask = np.zeros(shape, bool)
    height, width = shape
    for points in lines:
        if len(points) < 3 or not np.isfinite(points).all():
            raise UserError(f"annotation {path.name} has a contour of fewer than three points.")
        if points.min() < -GAP or (points.max(axis=0) > [width - 1 + GAP, height - 1 + GAP]).any():
            raise UserError(
                f"annotation {path.name} reaches outside its photograph of {width}x{height}; "
                "take both from one release of the data set."
            )
        mask[polygon(points[:, 1], points[:, 0], shape)] = True
    return mask
