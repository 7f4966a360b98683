"""Pictures of the phantom for docs/phantom.md; run by hand: python benchmarks/contact_sheet.py docs/images.

``phantoms.jpg``: 24 random phantoms as thumbnails. ``phantom_truth.jpg``: four of them, and the same with their masks.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from retsam.phantom import Phantom, render
from retsam.taxonomy import FOV, TARGETS, TREES

COLUMNS, ROWS, THUMBNAIL = 6, 4, 224
SIDE = 448
SHOWN = {"dr": 0.9}, {"amd": 0.8}, {"myopia": 0.9}, {}


def square(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Picture (H, W, 3) centred on black and reduced to (side, side, 3)."""
    height, width = picture.shape[:2]
    longest = max(height, width)
    out = np.zeros((longest, longest, 3), np.uint8)
    top, left = (longest - height) // 2, (longest - width) // 2
    out[top : top + height, left : left + width] = picture
    return cv2.resize(out, (side, side), interpolation=cv2.INTER_AREA)


def tinted(phantom: Phantom) -> NDArray[np.uint8]:
    """Photograph with its masks: vessels tinted, everything else outlined in the taxonomy's colours."""
    out = (0.55 * phantom.image).astype(np.uint8)
    for name, target in TARGETS.items():
        mask = phantom.masks[name].astype(np.uint8)
        if name == "vessel" or not mask.any():
            continue
        if name in TREES:
            out[mask > 0] = target.colour
        else:
            outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(out, outlines, -1, target.colour, 2)
    return out


def write(path: Path, rows: list[list[NDArray[np.uint8]]]) -> None:
    sheet = np.vstack([np.hstack(row) for row in rows])
    cv2.imwrite(str(path), np.ascontiguousarray(sheet[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 88])
    print(f"{path.name}: {sheet.shape[1]}x{sheet.shape[0]}, {path.stat().st_size / 1000:.0f} kB")


def main(folder: Path) -> None:
    thumbnails = [square(render(seed, 448).image, THUMBNAIL) for seed in range(COLUMNS * ROWS)]
    write(folder / "phantoms.jpg", [thumbnails[i : i + COLUMNS] for i in range(0, len(thumbnails), COLUMNS)])
    four = [render(40 + i, 896, camera="round45", diseases=shown) for i, shown in enumerate(SHOWN)]
    write(
        folder / "phantom_truth.jpg", [[square(p.image, SIDE) for p in four], [square(tinted(p), SIDE) for p in four]]
    )
    print(", ".join(sorted({t for p in four for t in TARGETS if p.masks[t].any()} - {FOV})))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
