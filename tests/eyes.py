"""Drawn eyes and their rows of a masks table, for the tests of the biomarkers."""

import cv2
import numpy as np
import pandas as pd

from retsam import tables
from retsam.biomarkers import REGISTRY, biomarkers_schema, measure_table
from retsam.geometry import Frame
from retsam.io.masks import encode
from retsam.status import Status
from retsam.taxonomy import FOV

SIZE = 512


def grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixel coordinates about the middle of a square: x, y."""
    axis = np.arange(size) - (size - 1) / 2
    return np.meshgrid(axis, axis)


def bar(size: int, angle: float, width: float, length: float, shift: float = 0.0) -> np.ndarray:
    """A straight bar through the middle, `shift` px off it."""
    x, y = grid(size)
    t = np.radians(angle)
    along, across = x * np.cos(t) + y * np.sin(t), y * np.cos(t) - x * np.sin(t) + shift
    return (np.abs(across) <= width / 2) & (np.abs(along) <= length / 2)


def tree(size: int, seed: int = 0, branches: int = 14) -> np.ndarray:
    """Bent vessels with side branches out of a disc at (0.74, 0.5) of the frame, drawn to scale."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((2048, 2048), np.uint8)
    s = np.linspace(0, 1, 60)
    for k, direction in enumerate(np.linspace(0.35, 2 * np.pi + 0.35, branches, endpoint=False)):
        bend, reach, wave = rng.uniform(-0.5, 0.5), rng.uniform(0.3, 0.5), rng.uniform(0.005, 0.02)
        angle = direction + bend * s
        side = wave * np.sin(6 * np.pi * s)
        x = 0.74 + reach * s * np.cos(angle) - side * np.sin(angle)
        y = 0.5 + reach * s * np.sin(angle) + side * np.cos(angle)
        lines = [(x, y)]
        if k % 2:
            turn = angle[30] + rng.choice([-1, 1]) * rng.uniform(0.7, 1.1)
            lines.append((x[30] + 0.16 * s * np.cos(turn), y[30] + 0.16 * s * np.sin(turn)))
        for i, (u, v) in enumerate(lines):
            points = np.rint(np.column_stack([u, v]) * 2048 * 16).astype(np.int32)
            cv2.polylines(mask, [points], False, 1, thickness=28 if i == 0 else 20, shift=4)
    return cv2.resize(mask.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA) >= 0.5


def eye_masks(size: int = SIZE, seed: int = 0) -> dict[str, np.ndarray]:
    """Masks of a right eye: field, vessels, an oval disc and no fovea mask."""
    x, y = grid(size)
    disc = ((x - 0.24 * size) / (0.055 * size)) ** 2 + (y / (0.07 * size)) ** 2 <= 1
    fov = np.hypot(x, y) <= 0.495 * size
    return {FOV: fov, "vessel": tree(size, seed), "optic_disc": disc}


def rows(
    image_id: str,
    masks: dict[str, np.ndarray],
    fovea: tuple[float, float] | None = (0.44, 0.55),
    *,
    eye: str | None = None,
    um_per_px: float | None = None,
    flip: bool = False,
) -> list[dict]:
    """Rows of a MASKS table; `flip` mirrors the photograph."""
    size = masks[FOV].shape[0]
    frame = Frame(2 * size, 2 * size, size, 0, 0, 2 * size, size - 0.5, size - 0.5, 0.99 * size)
    shared = {"image_id": image_id, "status": "ok", "evidence": "annotated", "probability": 1.0, "eye": eye}
    shared |= {"um_per_px": um_per_px, **frame.as_row()}
    out = []
    for target, mask in masks.items():
        seen = mask[:, ::-1] if flip else mask
        out.append(shared | {"target": target, "rle": encode(seen), "area_px": int(seen.sum()), "x": None, "y": None})
    if fovea is not None:
        x, y = fovea[0] * size, fovea[1] * size
        x = size - 1 - x if flip else x
        out.append(shared | {"target": "fovea", "rle": None, "area_px": None, "x": x, "y": y})
    return out


def table(*images: list[dict]) -> pd.DataFrame:
    return pd.DataFrame([row for image in images for row in image], columns=tables.MASKS.names)


def measured(*images: list[dict], **kwargs) -> pd.DataFrame:
    result = measure_table(table(*images), **kwargs)
    tables.conform(result, biomarkers_schema())
    return result


def assert_honest(result: pd.DataFrame) -> None:
    """Every value is finite with status ok, or NaN with a reason that the dictionary lists."""
    for name, biomarker in REGISTRY.items():
        ok = result[f"{name}__status"] == Status.OK
        assert (np.isfinite(result[name]) == ok).all(), name
        for status in result.loc[~ok & (result["status"] == Status.OK), f"{name}__status"]:
            assert Status(status) in biomarker.statuses, (name, status)
