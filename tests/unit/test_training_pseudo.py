"""Pseudo-labels: views come back to their place, what experts agree on is kept, what they do not is left out."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("segment_anything")

from retsam.errors import UserError  # noqa: E402
from retsam.phantom import render  # noqa: E402
from retsam.segmentation.network import checkpoint  # noqa: E402
from retsam.training import pseudo  # noqa: E402
from retsam.training.augment import NONE  # noqa: E402
from retsam.training.batches import make_batch  # noqa: E402
from retsam.training.data import about_packed, load_parts, unpack  # noqa: E402
from retsam.training.frames import pack  # noqa: E402
from retsam.training.losses import LossWeights, compute_loss  # noqa: E402
from retsam.training.pseudo import Expert, Tally, consensus, label, meeting_point, pseudo_label, views  # noqa: E402
from retsam.training.recipe import PseudoRecipe, parse_recipe  # noqa: E402
from retsam.training.sources import phantom_frame  # noqa: E402
from retsam.training.stages import train_experts  # noqa: E402
from retsam.training.validate import frame_scores  # noqa: E402

SIZE = 96
AT = np.arange(SIZE)


def blob(x, y, radius):
    return (AT[None] - x) ** 2 + (AT[:, None] - y) ** 2 <= radius**2


FOV = blob(47.5, 47.5, 46)


def picture(*discs):
    """A frame that is bright on discs (x, y, radius)."""
    bright = np.zeros((SIZE, SIZE), bool)
    for disc in discs:
        bright |= blob(*disc)
    return np.repeat((np.where(bright, 220, 60) * FOV).astype(np.uint8)[..., None], 3, 2)


def brightness(image, fov):
    return {"optic_disc": (image[..., 0] / np.float32(255)), "fovea": image[..., 0] / np.float32(255)}


def expert(predict=brightness, **thresholds):
    return Expert("e", "0", thresholds or {"optic_disc": 0.5, "fovea": 0.5}, predict)


def test_views_come_back_to_their_place():
    image = picture((60, 30, 9))
    seen = list(views(brightness, image, FOV, 1.25))
    assert len(seen) == 8
    for number, (maps, inside) in enumerate(seen):
        assert inside[48, 48]
        assert bool(inside[48, 3]) == (number < 4)
        found = maps["optic_disc"] > 0.5
        assert np.count_nonzero(found ^ blob(60, 30, 9)) <= 25  # the edge alone
        assert np.abs(np.argwhere(found).mean(axis=0) - [30, 60]).max() < 0.2


def test_what_views_agree_on_is_kept():
    tally = Tally()
    frame = label("x", picture((60, 30, 9)), FOV, [expert()], PseudoRecipe(), tally)
    assert frame is not None
    assert frame.known == {"optic_disc", "fovea"}
    mask = frame.mask("optic_disc")
    assert np.count_nonzero(mask ^ blob(60, 30, 9)) <= 40
    x, y = frame.points["fovea"]
    assert np.hypot(x - 60, y - 30) < 12
    assert (tally.kept["optic_disc"], tally.marked["optic_disc"], tally.left_out["optic_disc"]) == (1, 1, 0)
    assert tally.as_dict()["targets"]["optic_disc"]["agreement"] > 0.9


def test_what_depends_on_the_view_is_left_out():
    def one_sided(image, fov):
        out = np.zeros(image.shape[:2], np.float32)
        out[:, : SIZE // 2] = image[:, : SIZE // 2, 0] / 255
        return {"optic_disc": out, "hard_exudate": np.zeros_like(out), "vessel": np.zeros_like(out)}

    tally = Tally()
    wanted = {"optic_disc": 0.5, "hard_exudate": 0.5, "vessel": 0.5}
    frame = label("x", picture((60, 30, 9)), FOV, [expert(one_sided, **wanted)], PseudoRecipe(), tally)
    assert frame is not None
    assert frame.known == {"hard_exudate"}  # agreed to be absent; an eye without vessels is not believed
    assert not frame.mask("hard_exudate").any()
    assert dict(tally.left_out) == {"optic_disc": 1, "vessel": 1}
    empty = expert(lambda image, fov: {"vessel": np.zeros(image.shape[:2], np.float32)}, vessel=0.5)
    assert label("x", picture(), FOV, [empty], PseudoRecipe(), Tally()) is None


def test_pixels_without_a_majority_are_open():
    seen = np.broadcast_to(FOV, (8, SIZE, SIZE)).copy()
    votes = np.zeros((8, SIZE, SIZE), bool)
    votes[:] = blob(40, 40, 10)
    votes[:4] |= blob(70, 40, 4)
    votes[0] |= blob(40, 70, 4)
    mask, doubt, agreement = consensus(votes, seen, 0.75)
    assert np.array_equal(mask, blob(40, 40, 10))
    assert np.array_equal(doubt, blob(70, 40, 4))
    assert 0.8 < agreement < 1
    assert consensus(np.zeros_like(votes), seen, 0.75)[2] == 1
    rare = np.zeros_like(votes)
    rare[0, 40, 40] = True
    assert consensus(rare, seen, 0.75)[2] == pytest.approx(21 / 28)


def test_places_meet():
    place, agreement = meeting_point([(10, 10), (11, 10), (10, 10), None], 10)
    assert place == (10, 10)
    assert agreement == pytest.approx((0.9 + 1 + 0.9) / 6)
    assert meeting_point([(1, 1), None], 10) == (None, 0.0)


def test_open_pixels_count_for_no_target():
    """Neither loss nor validation may look at them."""
    config = parse_recipe(
        {"preset": "smoke", "sources": [{"name": "phantom", "count": 2, "validation": 1}], "schedule": {"steps": 1}}
    ).network
    size = config.detail_size
    fov = np.ones((size, size), bool)
    open_ = fov & (np.arange(size) < size // 2)
    image = np.full((size, size, 3), 90, np.uint8)
    left, right = ((fov & ~open_), open_ & (np.arange(size)[:, None] < 40))
    frames = [pack("a", "s", image, fov, {"drusen": m, "tessellation": m}, ignore=open_) for m in (left, left | right)]
    one, two = (make_batch([f], torch.Generator().manual_seed(0), config, size, NONE) for f in frames)
    for plane in (one.fine, one.wide):
        width = plane.valid.shape[3]
        assert not plane.valid[..., : width // 2].any()
        assert plane.valid[..., width // 2 :].all()
    logits = type("L", (), {})
    logits.fine = torch.randn(1, 8, size, size, generator=torch.Generator().manual_seed(1))
    logits.wide = torch.randn(1, 24, size // 4, size // 4, generator=torch.Generator().manual_seed(2))
    terms = [compute_loss(logits, batch, LossWeights()) for batch in (one, two)]
    assert {k: float(v) for k, v in terms[0].items()} == {k: float(v) for k, v in terms[1].items()}
    maps = {"drusen": np.random.default_rng(0).random((size, size)).astype(np.float32)}
    scores = [frame_scores(frame, maps)[0] for frame in frames]
    assert np.array_equal(scores[0].dice, scores[1].dice)
    assert scores[0].aupr == scores[1].aupr


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """A recipe, two experts of no use, and a folder of photographs."""
    folder = tmp_path_factory.mktemp("chain")
    recipe = parse_recipe(
        {
            "preset": "smoke",
            "frame_size": 64,
            "crop": 64,
            "batch": 2,
            "sources": [{"name": "phantom", "count": 4, "validation": 1, "seed": 3}],
            "schedule": {"steps": 1, "warmup": 1, "validate_every": 1, "mixed": False},
            "experts": {"vessels": {"targets": ["vessel"]}, "discs": {"targets": ["optic_disc", "fovea"]}},
            "pseudo": {"agreement": 0.0, "targets": ["vessel", "optic_disc"]},
        }
    )
    train_experts(recipe, folder / "experts", device="cpu", workers=1)
    (folder / "photographs" / "more").mkdir(parents=True)
    for seed, name in enumerate(("a.png", "more/b.png", "more/a.png")):
        Image.fromarray(render(70 + seed, 96).image).save(folder / "photographs" / name)
    (folder / "photographs" / "broken.jpg").write_bytes(b"nothing")
    return recipe, folder


def test_from_experts_to_frames_to_a_source(chain, tmp_path, monkeypatch):
    recipe, folder = chain
    said, out = [], tmp_path / "frames.parquet"
    monkeypatch.setattr(pseudo, "probabilities", lambda model, frame, device: {
        t: np.where(frame.image[..., 0] > 90, np.float32(0.99), np.float32(0)) for t in frame.known})  # fmt: skip
    pseudo_label(recipe, [folder / "experts"], folder / "photographs", out, device="cpu", say=said.append)
    rows = pd.read_parquet(out)
    assert rows["name"].tolist() == ["a.png", "more/a.png", "b"]
    frame = unpack(rows.iloc[0].to_dict(), "x")
    assert frame.known == {"vessel", "optic_disc"}
    assert frame.mask("ignore").any()
    report = json.loads(out.with_suffix(".json").read_text())
    assert report == about_packed(out)
    assert (report["photographs"], report["kept"], report["unusable"]) == (4, 3, {"unreadable": 1})
    assert report["targets"]["vessel"]["kept"] == 3
    assert [e["name"] for e in report["experts"]] == ["discs", "vessels"]
    assert any("vessel: kept on 3" in line for line in said)
    parts = load_parts(recipe.with_pseudo_labels(out), None, 1)
    assert sum(frame.source == "pseudo" for frame in parts.train) == 3
    again = tmp_path / "again.parquet"
    pseudo_label(recipe, [folder / "experts"], folder / "photographs", again, device="cpu", say=said.append)
    assert again.read_bytes() == out.read_bytes()


def test_untrained_networks_run_and_phantom_targets_are_not_asked_for(chain, tmp_path, monkeypatch):
    recipe, folder = chain
    weights = folder / "experts" / "vessels" / "weights.safetensors"
    table = tmp_path / "m.csv"
    table.write_text(f"image_id,path\nx,{folder / 'photographs' / 'a.png'}\n")
    asked = pseudo.load_experts(recipe, [weights], "cpu")
    assert [dict(e.thresholds) for e in asked] == [
        {"vessel": checkpoint.load(weights).metadata.targets["vessel"].threshold}
    ]
    frame = phantom_frame(5, 64)
    maps = asked[0].predict(frame.image[::-1], frame.fov[::-1])
    assert maps["vessel"].shape == (64, 64)
    alone = recipe.model_copy(update={"pseudo": PseudoRecipe()})
    with pytest.raises(UserError, match=r"name targets in 'pseudo.targets'"):
        pseudo_label(alone, [weights], table, tmp_path / "f.parquet", device="cpu")
    strict = recipe.model_copy(update={"pseudo": PseudoRecipe(agreement=1.0, targets=("vessel",))})
    noise = np.random.default_rng(0)
    monkeypatch.setattr(pseudo, "probabilities", lambda *_: {"vessel": noise.random((64, 64), np.float32)})
    with pytest.raises(UserError, match="no label was kept of 1 photographs"):
        pseudo_label(strict, [weights], table, tmp_path / "f.parquet", device="cpu")
    assert json.loads((tmp_path / "f.json").read_text())["kept"] == 0


def test_mistakes_are_one_sentence(chain, tmp_path):
    recipe, folder = chain
    photos = folder / "photographs"
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no file of weights at .*none"):
        pseudo_label(recipe, [tmp_path / "none"], photos, tmp_path / "f.parquet", device="cpu")
    with pytest.raises(UserError, match="no photographs in"):
        pseudo_label(recipe, [folder / "experts"], tmp_path / "empty", tmp_path / "f.parquet", device="cpu")
    with pytest.raises(UserError, match="no folder or manifest at"):
        pseudo_label(recipe, [folder / "experts"], tmp_path / "no", tmp_path / "f.parquet", device="cpu")
    large = recipe.model_copy(update={"frame_size": 128})
    with pytest.raises(UserError, match="frames of 64 px, the recipe's are 128"):
        pseudo_label(large, [folder / "experts"], photos, tmp_path / "f.parquet", device="cpu")
