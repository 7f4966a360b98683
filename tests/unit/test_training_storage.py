"""Storage in training: the quantisation is JPEG's, and what is not stored stays as it is."""

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from retsam.training.augment import NONE  # noqa: E402
from retsam.training.batches import Lens  # noqa: E402
from retsam.training.storage import jpeg, store  # noqa: E402


def picture(side=64, seed=0):
    """A smooth coloured scene with some texture, (1, 3, side, side), 0-1."""
    rng = np.random.default_rng(seed)
    image = cv2.GaussianBlur(rng.random((side, side, 3)), (0, 0), 3.0)
    image = (image - image.min()) / np.ptp(image) * 0.8 + 0.1 + 0.03 * rng.standard_normal((side, side, 1))
    return torch.from_numpy(image.clip(0, 1).astype(np.float32)).permute(2, 0, 1)[None]


def coded(image, quality):
    """What OpenCV's JPEG leaves of it, colour at full resolution."""
    bgr = np.round(255 * image[0].permute(1, 2, 0).numpy()).astype(np.uint8)[..., ::-1]
    options = [
        cv2.IMWRITE_JPEG_QUALITY,
        quality,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ]
    back = cv2.imdecode(cv2.imencode(".jpg", np.ascontiguousarray(bgr), options)[1], cv2.IMREAD_COLOR)
    return torch.from_numpy(back[..., ::-1].astype(np.float32) / 255.0).permute(2, 0, 1)[None]


@pytest.mark.parametrize("quality", [10, 50, 75, 95])
def test_quantisation_is_that_of_a_jpeg_library(quality):
    image = picture()
    ours, theirs = jpeg(image, quality), coded(image, quality)
    loss = (theirs - image).pow(2).mean().sqrt()
    if quality < 90:  # above, steps are as small as the library's rounding of colours to whole numbers
        assert (ours - theirs).pow(2).mean().sqrt() < 0.25 * loss + 0.5 / 255.0
    assert (ours - image).pow(2).mean().sqrt() == pytest.approx(float(loss), rel=0.1, abs=0.5 / 255.0)


def test_sides_that_are_no_multiple_of_a_block():
    image = picture(61)
    assert jpeg(image, 90).shape == image.shape
    assert (jpeg(image, 100) - image).abs().max() < 3.0 / 255.0


def test_flat_pictures_stay_flat():
    flat = torch.full((1, 3, 32, 32), 0.5)
    assert (jpeg(flat, 50) - flat).abs().max() < 3.0 / 255.0


def test_each_picture_is_stored_in_its_own_way():
    both = picture().expand(2, -1, -1, -1)
    out = store(both, torch.tensor([2.0, 2.0]), torch.tensor([0.0, 60.0]))
    assert torch.equal(out[0], both[0])
    fine = [x[:, 1:].sub(x[:, :-1]).abs().mean() for x in out]
    assert fine[1] < 0.8 * fine[0]
    assert out.shape == both.shape and out.min() >= 0 and out.max() <= 1


def test_a_lens_without_storage_draws_as_before():
    """Recipes from before it was there draw the same batches."""
    lens = [
        Lens.draw(torch.Generator().manual_seed(1), 4, augmentation, 16, torch.device("cpu"))
        for augmentation in (NONE.__class__(), NONE.__class__(coarse=3.0))
    ]
    assert lens[0].storage is lens[1].storage is None
    assert torch.equal(lens[0].grain, lens[1].grain)
    on = Lens.draw(torch.Generator().manual_seed(1), 200, NONE.__class__(stored=0.5), 16, torch.device("cpu"))
    assert 0.35 < (on.storage[:, 1] > 0).float().mean() < 0.65
    assert on.storage[:, 0].min() >= 1.0 and on.storage[:, 0].max() <= 2.2
