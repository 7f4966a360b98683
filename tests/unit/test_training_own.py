"""Sources that users bring: annotated photographs in a folder, packed frames with pseudo-labels, experts' recipes."""

import numpy as np
import pytest
from PIL import Image

from retsam.datasets.own import OwnSet
from retsam.errors import UserError
from retsam.training.data import about_packed, compress, load_parts, read_packed, write_packed
from retsam.training.frames import pack
from retsam.training.recipe import RecipeError, parse_recipe

SIDE = 160


def eye(seed, side=SIDE):
    """A smooth picture with a bright disc in a round field, and the disc's mask."""
    at, rng = np.arange(side), np.random.default_rng(seed)
    fov = (at[None] - 80) ** 2 + (at[:, None] - 80) ** 2 < 75**2
    disc = (at[None] - 50 - 6 * seed) ** 2 + (at[:, None] - 80) ** 2 < 12**2
    coarse = np.kron(rng.integers(40, 160, (8, 8, 3)), np.ones((side // 8, side // 8, 1)))
    return (np.where(disc[..., None], 230, coarse) * fov[..., None]).astype(np.uint8), disc


@pytest.fixture
def own(tmp_path):
    """A set of five photographs in a folder; the last has an empty disc and no fovea."""
    root = tmp_path / "mine"
    for name in ("images", "masks/optic_disc", "masks/fovea"):
        (root / name).mkdir(parents=True)
    for seed in range(5):
        photo, disc = eye(seed)
        Image.fromarray(photo).save(root / "images" / f"e{seed}.jpg", quality=95)
        Image.fromarray(np.uint8(255) * (disc & (seed < 4))).save(root / "masks" / "optic_disc" / f"e{seed}.png")
        if seed < 4:
            spot = np.zeros((SIDE, SIDE), np.uint8)
            spot[79:82, 99:102] = 1
            Image.fromarray(spot).save(root / "masks" / "fovea" / f"e{seed}.png")
    return root


def recipe(*sources, **more):
    values = {"preset": "smoke", "frame_size": 64, "crop": 64, "schedule": {"steps": 2}}
    return parse_recipe({**values, "sources": list(sources), **more})


def test_own_photographs_are_a_source(own, tmp_path):
    wanted = recipe({"name": "mine", "folder": str(own), "validation": 1, "test": 1})
    parts = load_parts(wanted, tmp_path / "cache", 1)
    assert [len(part) for part in (parts.train, parts.validation, parts.test)] == [3, 1, 1]
    frames = {frame.name: frame for part in (parts.train, parts.validation, parts.test) for frame in part}
    assert sorted(frames) == [f"mine-e{i}" for i in range(5)]
    assert {frame.source for frame in frames.values()} == {"mine"}
    assert frames["mine-e0"].mask("optic_disc").any()
    assert frames["mine-e4"].known == {"optic_disc"}
    assert not frames["mine-e4"].mask("optic_disc").any()
    x, y = frames["mine-e1"].points["fovea"]
    assert abs(x - (100 - 5) * 64 / 150) < 1.5
    assert abs(y - 32) < 1.5
    assert (parts.licence["mine"], parts.split["mine"]) == ("the user's own", "all")
    digest = wanted.digest()
    assert wanted.settings()["sources"][0]["folder"] != str(own)
    foveas = load_parts(wanted.model_copy(update={"sources": (wanted.sources[0].model_copy(
        update={"targets": ("fovea",)}),)}), tmp_path / "cache", 1)  # fmt: skip
    assert "mine-e4" not in {f.name for part in (foveas.train, foveas.validation, foveas.test) for f in part}
    again = recipe({"name": "mine", "folder": str(own.rename(tmp_path / "moved")), "validation": 1, "test": 1})
    assert again.digest() == digest


def change(own, what):
    masks = own / "masks"
    if what == "no masks":
        masks.rename(own / "labels")
    elif what == "no target":
        (masks / "optic_disc").rename(masks / "optic_disk")
    elif what == "no photograph":
        (own / "images" / "e2.jpg").unlink()
    elif what == "no mask":
        for target in ("fovea", "optic_disc"):
            (masks / target / "e3.png").unlink()
    elif what == "no photographs":
        for path in (own / "images").iterdir():
            path.unlink()
    elif what == "other size":
        Image.fromarray(np.zeros((100, 120), np.uint8)).save(masks / "optic_disc" / "e1.png")
    elif what == "no image":
        (masks / "optic_disc" / "e1.png").write_bytes(b"nothing")


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no masks", "lay the set out as images/NAME"),
        ("no target", "rename it to 'optic_disc'"),
        ("no photograph", "no photograph 'e2'"),
        ("no mask", "no mask of photograph 'e3'"),
        ("no photographs", "put them there"),
        ("other size", "mask optic_disc/e1.png is 120x100, its photograph 160x160; save masks in"),
        ("no image", "mask optic_disc/e1.png .*save it again as PNG"),
    ],
)
def test_a_set_that_is_not_in_order_is_said(own, what, message):
    change(own, what)
    with pytest.raises(UserError, match=message) as error:
        for case in OwnSet().cases(own):
            for mask in case.masks.values():
                mask.read((SIDE, SIDE))
    assert "\n" not in str(error.value)


def packed(tmp_path, seeds, size=64):
    at = np.arange(size)
    fov = (at[None] - size / 2) ** 2 + (at[:, None] - size / 2) ** 2 < (size * 0.48) ** 2
    frames = []
    for seed in seeds:
        photo, disc = (a[8 : 8 + 2 * size : 2, 8 : 8 + 2 * size : 2] for a in eye(seed))
        frames.append(pack(f"p{seed}", "", photo * fov[..., None], fov, {"optic_disc": disc}, ignore=fov & (at < 20)))
    path = tmp_path / "frames.parquet"
    write_packed([compress(frame) for frame in frames], path, {"agreement": 0.85})
    return path


def test_packed_frames_are_a_source(own, tmp_path):
    path = packed(tmp_path, (6, 7))
    mine = {"name": "mine", "folder": str(own), "validation": 1}
    wanted = recipe(mine, {"name": "extra", "file": str(path)})
    parts = load_parts(wanted, tmp_path / "cache", 1)
    extra = [frame for frame in parts.train if frame.source == "extra"]
    assert [frame.name for frame in extra] == ["extra-p6", "extra-p7"]
    assert extra[0].mask("ignore").any()
    assert parts.split["extra"] == "pseudo-labels"
    assert about_packed(path) == {"agreement": 0.85}
    digest = wanted.digest()
    packed(tmp_path, (6, 8))
    assert wanted.digest() != digest
    with pytest.raises(UserError, match="frames of 64 px, the recipe's are 128"):
        read_packed(path, "extra", 128)
    path.write_bytes(b"nothing")
    with pytest.raises(UserError, match="holds no packed frames"):
        read_packed(path, "extra", 64)
    with pytest.raises(UserError, match="no packed frames at"):
        recipe(mine, {"name": "extra", "file": str(tmp_path / "none.parquet")}).digest()


def test_pseudo_labels_of_a_photograph_held_back_are_left_out(own, tmp_path):
    mine = {"name": "mine", "folder": str(own), "validation": 1, "test": 1}
    first = load_parts(recipe(mine), tmp_path / "cache", 1)
    path = tmp_path / "frames.parquet"
    write_packed([compress(frame) for part in (first.train, first.validation, first.test) for frame in part], path)
    parts = load_parts(recipe({"name": "extra", "file": str(path)}, mine), tmp_path / "cache", 1)
    assert [len(part) for part in (parts.train, parts.validation, parts.test)] == [6, 1, 1]
    assert {f.source for f in (*parts.validation, *parts.test)} == {"mine"}


PHANTOMS = {"name": "phantom", "count": 6, "validation": 2}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"name": "drive", "file": "x"}, "cannot name a file"),
        ({"name": "a/b", "folder": "x"}, "cannot name a file"),
        ({"name": "a", "folder": "x", "file": "y"}, "not both"),
        ({"name": "a", "file": "x", "validation": 2}, "can judge nothing"),
        ({"name": "a", "folder": "x", "seed": 2}, "for phantoms only"),
    ],
)
def test_mistakes_in_such_sources(source, message):
    with pytest.raises(RecipeError, match=message):
        recipe(source, PHANTOMS)


def test_an_expert_inherits_what_its_block_does_not_say():
    block = {"vessels": {"targets": ["artery", "vein"], "steps": 7}, "discs": {"targets": ["optic_disc"]}}
    sources = [{"name": "hrf", "validation": 1}, {"name": "idrid", "validation": 2}, PHANTOMS]
    whole = recipe(*sources, experts=block)
    vessels, discs = whole.expert("vessels"), whole.expert("discs")
    assert [source.name for source in vessels.sources] == ["hrf", "phantom"]
    assert vessels.sources[0].targets == ("artery", "vein")
    assert [source.name for source in discs.sources] == ["idrid", "phantom"]
    assert (vessels.schedule.steps, discs.schedule.steps) == (7, 2)
    assert not vessels.experts
    assert whole.digest() == recipe(*sources).digest()
    named = recipe(*sources, experts={"a": {"targets": ["vessel"], "sources": ["phantom"]}})
    assert [source.name for source in named.expert("a").sources] == ["phantom"]


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"a": {"targets": ["vesel"]}}, "did you mean 'vessel'"),
        ({"a": {"targets": []}}, "at least 1"),
        ({"a b": {"targets": ["vessel"]}}, "names a folder"),
        ({"a": {"targets": ["vessel"], "sources": ["phantm"]}}, "did you mean 'phantom'"),
        ({"a": {"targets": ["vessel"], "step": 2}}, "unknown key 'experts.a.step'; did you mean 'steps'"),
    ],
)
def test_mistakes_in_experts(block, message):
    with pytest.raises(RecipeError, match=message):
        recipe(PHANTOMS, experts=block)
