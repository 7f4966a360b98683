"""Readers of annotation files: each way that data sets code their masks."""

import json
import pickle

import numpy as np
import pytest
from scipy.io import savemat

from retsam.datasets import MaskFile, annotation
from retsam.errors import UserError
from tests.annotated import (
    DISC,
    HEIGHT,
    WIDTH,
    by_rank,
    circle,
    colour_map,
    polygon,
    save,
    soft_map,
    three_levels,
    vessels,
)

SHAPE = (HEIGHT, WIDTH)
DISC_MASK, CUP_MASK = circle(*DISC, 12), circle(*DISC, 6)


@pytest.mark.parametrize("high", [1, 76, 255])
def test_masks_of_any_brightness(high, tmp_path):
    path = save(tmp_path / "m.png", (vessels() * high).astype(np.uint8))
    np.testing.assert_array_equal(MaskFile(path).read((HEIGHT, WIDTH))[0], vessels())


def test_empty_and_red_masks(tmp_path):
    empty = save(tmp_path / "e.png", np.zeros((HEIGHT, WIDTH), np.uint8))
    assert not MaskFile(empty).read((HEIGHT, WIDTH))[0].any()
    red = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    red[vessels()] = (255, 0, 0)
    np.testing.assert_array_equal(MaskFile(save(tmp_path / "r.tif", red)).read((HEIGHT, WIDTH))[0], vessels())


def test_artery_vein_colours(tmp_path):
    path = save(tmp_path / "av.png", colour_map())
    red, counted = MaskFile(path, annotation.artery).read((HEIGHT, WIDTH))
    blue, _ = MaskFile(path, annotation.vein).read((HEIGHT, WIDTH))
    assert red.sum() == 6 * 70
    assert blue.sum() == 6 * 80
    assert (~counted).sum() == 54 * 6 + 6 * 10  # the crossing and the uncertain end
    assert not (red & blue).any()


def test_annotation_of_another_size_or_damaged(tmp_path):
    path = save(tmp_path / "m.png", vessels())
    with pytest.raises(UserError, match=r"m\.png is 180x150, its photograph 100x100"):
        MaskFile(path).read((100, 100))
    path.write_bytes(b"nonsense")
    with pytest.raises(UserError, match=r"annotation m\.png is not an image"):
        MaskFile(path).read((HEIGHT, WIDTH))


def test_a_colour_map_without_the_colours_is_refused(tmp_path):
    path = save(tmp_path / "av.png", vessels())
    with pytest.raises(UserError, match=r"av\.png has no red artery and no blue vein"):
        MaskFile(path, annotation.vein).read(SHAPE)


def test_majority_of_four_experts(tmp_path):
    path = save(tmp_path / "soft.png", soft_map(12))
    np.testing.assert_array_equal(MaskFile(path, annotation.majority).read(SHAPE)[0], DISC_MASK)


def test_three_levels(tmp_path):
    path = save(tmp_path / "m.bmp", three_levels())
    np.testing.assert_array_equal(MaskFile(path, annotation.disc_of_three).read(SHAPE)[0], DISC_MASK)
    np.testing.assert_array_equal(MaskFile(path, annotation.cup_of_three).read(SHAPE)[0], CUP_MASK)


def test_levels_turned_round_are_refused(tmp_path):
    path = save(tmp_path / "m.bmp", DISC_MASK)
    for reader in (annotation.disc_of_three, annotation.black_on_white):
        with pytest.raises(UserError, match=r"m\.bmp is dark in a corner"):
            MaskFile(path, reader).read(SHAPE)


def test_black_on_white(tmp_path):
    path = save(tmp_path / "m.bmp", ~DISC_MASK)
    np.testing.assert_array_equal(MaskFile(path, annotation.black_on_white).read(SHAPE)[0], DISC_MASK)


@pytest.mark.parametrize("factor", [1, 100])
def test_classes_by_rank(factor, tmp_path):
    path = save(tmp_path / "m.png", by_rank() * np.uint8(factor))
    np.testing.assert_array_equal(MaskFile(path, annotation.disc_by_rank).read(SHAPE)[0], DISC_MASK)
    np.testing.assert_array_equal(MaskFile(path, annotation.cup_by_rank).read(SHAPE)[0], CUP_MASK)


def test_no_cup_among_the_ranks(tmp_path):
    path = save(tmp_path / "m.png", DISC_MASK)
    assert not MaskFile(path, annotation.cup_by_rank).read(SHAPE)[0].any()
    with pytest.raises(UserError, match=r"n\.png has 4 levels"):
        MaskFile(save(tmp_path / "n.png", np.tile(np.uint8([0, 1, 2, 3]), (150, 45))), annotation.cup_by_rank).read(
            SHAPE
        )


def test_matlab_classes(tmp_path):
    path = tmp_path / "001.mat"
    savemat(path, {"mask": by_rank()})
    np.testing.assert_array_equal(MaskFile(path, annotation.cup_by_rank).read(SHAPE)[0], CUP_MASK)
    with pytest.raises(UserError, match=r"001\.mat is 180x150, its photograph 100x100"):
        MaskFile(path, annotation.cup_by_rank).read((100, 100))
    savemat(path, {"other": by_rank()})
    with pytest.raises(UserError, match=r"001\.mat has no variable 'mask'"):
        MaskFile(path, annotation.cup_by_rank).read(SHAPE)
    path.write_bytes(b"nonsense")
    with pytest.raises(UserError, match=r"001\.mat is no MATLAB file"):
        MaskFile(path, annotation.cup_by_rank).read(SHAPE)


def agreement(mask: np.ndarray, truth: np.ndarray) -> float:
    return 2 * (mask & truth).sum() / (mask.sum() + truth.sum())


def test_contour(tmp_path):
    path = tmp_path / "disc.txt"
    np.savetxt(path, polygon(12))
    assert agreement(MaskFile(path, annotation.contour).read(SHAPE)[0], DISC_MASK) > 0.97
    with pytest.raises(UserError, match=r"disc\.txt reaches outside its photograph of 100x100"):
        MaskFile(path, annotation.contour).read((100, 100))
    for text, message in (("1 2\n3 4\n", "fewer than three points"), ("a b\n", "no list of x and y")):
        path.write_text(text)
        with pytest.raises(UserError, match=message):
            MaskFile(path, annotation.contour).read(SHAPE)


def test_labelme_shapes(tmp_path):
    path = tmp_path / "image_0.json"
    around = [list(DISC), [DISC[0] + 12, DISC[1]]]
    shapes = [
        {"label": "disc", "points": around, "shape_type": "circle"},
        {"label": "Cup", "points": polygon(6), "shape_type": "polygon"},
        {"label": "discLoc", "points": [[0, 0], [10, 10]], "shape_type": "rectangle"},
    ]
    path.write_text(json.dumps({"shapes": shapes}))
    assert agreement(MaskFile(path, annotation.disc_of_shapes).read(SHAPE)[0], DISC_MASK) > 0.97
    assert agreement(MaskFile(path, annotation.cup_of_shapes).read(SHAPE)[0], CUP_MASK) > 0.95
    assert annotation.labels_of_shapes(path) == {"disc", "cup", "discloc"}
    path.write_text("{}")
    with pytest.raises(UserError, match=r"image_0\.json is no labelme file"):
        MaskFile(path, annotation.disc_of_shapes).read(SHAPE)


def test_hole_in_a_white_field(tmp_path):
    path = save(tmp_path / "m.tif", circle(90, 75, 68) & ~DISC_MASK)
    np.testing.assert_array_equal(MaskFile(path, annotation.hole).read(SHAPE)[0], DISC_MASK)


def test_mask_files_travel_to_worker_processes(tmp_path):
    mask = MaskFile(save(tmp_path / "m.bmp", three_levels()), annotation.cup_of_three)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(mask)).read(SHAPE)[0], CUP_MASK)
