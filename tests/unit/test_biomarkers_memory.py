"""An image and all masks and centrelines that it holds are freed with its row, not when the collector comes by."""

import gc
import weakref

from retsam.biomarkers.image import RetinalImage
from tests.eyes import eye_masks, measured, rows


def test_an_image_is_freed_with_its_row(monkeypatch):
    kept: list[weakref.ref] = []

    class Watched(RetinalImage):
        def __init__(self, *args):
            super().__init__(*args)
            kept.append(weakref.ref(self))

    monkeypatch.setattr("retsam.biomarkers.table.RetinalImage", Watched)
    images = [rows("whole", eye_masks(256)), rows("no_fovea", eye_masks(256), fovea=None)]
    gc.disable()
    try:
        measured(*images)
        assert [image() for image in kept] == [None, None]
    finally:
        gc.enable()
