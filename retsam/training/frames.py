"""Labelled frames: a photograph in the canonical frame with the targets that its data set annotates."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from retsam.taxonomy import TARGETS

POINTS = ("fovea",)
"""Targets that are a place, not an area."""

UNCERTAIN = "uncertain"
"""Name under which pixels are stored that the annotators left open; they do not count for artery and vein."""

IGNORE = "ignore"
"""Name under which pixels are stored that count for no target: those that pseudo-labels leave open."""


@dataclass(frozen=True)
class LabelledFrame:
    """One training or validation example.

    Attributes
    ----------
    name : str
        Unique: source, then image.
    source : str
        Data set that it comes from; sampling weights go by it.
    image : (S, S, 3) uint8
        Red, green, blue.
    fov : (S, S) bool
    known : frozenset of str
        Targets that the source annotates, or knows to be absent: present or not.
    packed : mapping of str to (S * S / 8,) uint8
        Bits of the masks that are not empty, of targets in ``known``, of :data:`UNCERTAIN` and of :data:`IGNORE`.
    points : mapping of str to (x, y)
        Places of :data:`POINTS` inside the field of view, frame pixels. One that is known and not here is out of view.
    person : str or None
        Whose eye it is, where the source says so.
    """

    name: str
    source: str
    image: NDArray[np.uint8]
    fov: NDArray[np.bool_]
    known: frozenset[str]
    packed: Mapping[str, NDArray[np.uint8]]
    points: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    person: str | None = None

    @property
    def size(self) -> int:
        """Side, pixels."""
        return self.image.shape[0]

    def mask(self, target: str) -> NDArray[np.bool_]:
        """Mask (S, S) of a target; empty where nothing was marked.

        Raises
        ------
        KeyError
            If the source does not annotate the target, or it is a point.
        """
        if target in POINTS:
            raise KeyError(f"{self.name}: {target} is a point")
        if target in self.packed:
            bits = np.unpackbits(self.packed[target], count=self.size**2)
            return bits.reshape(self.size, self.size).astype(bool)
        if target in self.known or target in (UNCERTAIN, IGNORE):
            return np.zeros((self.size, self.size), bool)
        raise KeyError(f"{self.name}: {target} is not annotated")


def pack(
    name: str,
    source: str,
    image: NDArray[np.uint8],
    fov: NDArray[np.bool_],
    masks: Mapping[str, NDArray[np.bool_]],
    points: Mapping[str, tuple[float, float]] | None = None,
    uncertain: NDArray[np.bool_] | None = None,
    ignore: NDArray[np.bool_] | None = None,
) -> LabelledFrame:
    """Make a labelled frame.

    Parameters
    ----------
    name, source : str
    image : (S, S, 3) uint8
    fov : (S, S) bool
    masks : mapping of str to (S, S) bool
        One for each annotated target, empty ones too.
    points : mapping of str to (x, y), optional
        Frame pixels. One that is out of view is known to be nowhere.
    uncertain : (S, S) bool, optional
        Pixels that the annotators left open; they do not count for artery and vein.
    ignore : (S, S) bool, optional
        Pixels that count for no target.

    Raises
    ------
    ValueError
        For a target that the taxonomy does not have, an area given as a point or a point as an area, or a mask of
        another shape than the field of view.
    """
    points = points or {}
    open_ = {UNCERTAIN: uncertain, IGNORE: ignore}
    areas = {**masks, **{key: mask for key, mask in open_.items() if mask is not None}}
    if wrong := sorted((set(masks) - set(TARGETS)) | (set(masks) & set(POINTS)) | (set(points) - set(POINTS))):
        raise ValueError(f"{name}: {wrong[0]!r} is no target, or not of this kind")
    if shapes := {str(mask.shape) for mask in areas.values()} - {str(fov.shape)}:
        raise ValueError(f"{name}: a mask is {shapes.pop()}, the field of view {fov.shape}")
    packed = {target: np.packbits(mask & fov) for target, mask in areas.items() if (mask & fov).any()}
    kept = {target: (float(x), float(y)) for target, (x, y) in points.items() if _inside(fov, x, y)}
    return LabelledFrame(name, source, image, fov, frozenset(masks) | frozenset(points), packed, kept)


def _inside(fov: NDArray[np.bool_], x: float, y: float) -> bool:
    row, column = round(y), round(x)
    return 0 <= row < fov.shape[0] and 0 <= column < fov.shape[1] and bool(fov[row, column])
