"""Frames of a recipe: cached, carried, split; photographs that two sets share stay on one side."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from retsam.errors import UserError
from retsam.training import data
from retsam.training.data import cache_file, compress, copies_of, kept_apart, load_parts, pack_cache, unpack
from retsam.training.frames import LabelledFrame, pack
from retsam.training.recipe import SourceRecipe, parse_recipe

SIZE = 96


def eye(name, source="idrid", seed=0, size=SIZE, masks=("vessel", "drusen")) -> LabelledFrame:
    """A smooth picture in a round field, different for each seed."""
    rng = np.random.default_rng(seed)
    at = (np.arange(size) + 0.5) / size * 2 - 1
    fov = at[:, None] ** 2 + at[None] ** 2 <= 0.98
    coarse = rng.integers(30, 220, (6, 6, 3)).astype(np.uint8)
    image = np.asarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)) * fov[..., None].view(np.uint8)
    areas = {target: (rng.random((size, size)) < 0.1) for target in masks}
    return pack(name, source, image, fov, areas, {"fovea": (40.0, 51.5)}, rng.random((size, size)) < 0.02)


def phantoms(**more):
    source = {"name": "phantom", "count": 4, "validation": 1, **more}
    return parse_recipe(
        {"preset": "smoke", "frame_size": 64, "crop": 64, "sources": [source], "schedule": {"steps": 2}}
    )


@pytest.mark.parametrize("webp", [False, True])
def test_compressed_frame_is_the_frame(webp):
    frame = eye("idrid-a")
    again = unpack(compress(frame, webp=webp), "idrid")
    assert np.array_equal(again.fov, frame.fov)
    assert again.known == frame.known
    assert again.points == frame.points
    assert sorted(again.packed) == sorted(frame.packed)
    for target in ("vessel", "drusen", "uncertain"):
        assert np.array_equal(again.mask(target), frame.mask(target))
    assert np.abs(again.image.astype(int) - frame.image).mean() < 4
    assert not again.image[~frame.fov].any()


def test_cache_gives_what_making_gives(tmp_path):
    said = []
    recipe = phantoms()
    made = load_parts(recipe, tmp_path, 1, said.append)
    assert any("made in" in line for line in said)
    said.clear()
    cached = load_parts(recipe, tmp_path, 1, said.append)
    assert len(said) == 1
    assert "4 frames from" in said[0]
    bare = load_parts(recipe, None, 1, said.append)
    for parts in (cached, bare):
        for a, b in zip((*made.train, *made.validation), (*parts.train, *parts.validation), strict=True):
            assert a.name == b.name
            assert np.array_equal(a.image, b.image)
            assert {k: v.tobytes() for k, v in a.packed.items()} == {k: v.tobytes() for k, v in b.packed.items()}
    assert (len(made.train), len(made.validation)) == (3, 1)
    assert made.split == {"phantom": "synthetic"}


def test_broken_cache_is_said(tmp_path):
    recipe = phantoms()
    path = cache_file(recipe, recipe.sources[0], tmp_path)
    path.write_bytes(b"no table")
    with pytest.raises(UserError, match="delete it"):
        load_parts(recipe, tmp_path, 1)


def test_frames_kept_apart_do_not_depend_on_order_or_company():
    frames = [eye(f"idrid-{i}", seed=i) for i in range(9)]
    source = SourceRecipe(name="idrid", validation=3, test=2)
    roles = kept_apart(frames, source)
    assert sorted(roles.values()) == ["test"] * 2 + ["validation"] * 3
    assert kept_apart(frames[::-1], source) == roles
    rest = [f for f in frames if f.name in roles or f.name == "idrid-0"]
    assert kept_apart(rest, source) == roles
    everything = SourceRecipe(name="idrid", role="validation")
    assert set(kept_apart(frames, everything).values()) == {"validation"}


def test_copies_are_found_by_content():
    held, other = eye("idrid-a", seed=1), eye("idrid_localization-b", "idrid_localization", seed=2)
    small = cv2.resize(held.image, (60, 60), interpolation=cv2.INTER_AREA)
    seen = np.asarray(cv2.resize(small, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)) * held.fov[..., None].view(
        np.uint8
    )
    copy = replace(held, name="idrid_localization-a", source="idrid_localization", image=seen)
    assert copies_of({"idrid-a"}, [held, other, copy]) == {"idrid_localization-a"}
    assert copies_of(set(), [held, copy]) == set()


def test_crops_in_an_empty_field_are_told_apart():
    """Most of such a frame is black in every photograph."""
    frames = []
    for seed in (1, 2):
        whole = eye(f"rim_one-{seed}", "rim_one", seed)
        fov = np.zeros((SIZE, SIZE), bool)
        fov[38:58, 38:58] = True
        frames.append(replace(whole, fov=fov, image=whole.image * fov[..., None].view(np.uint8)))
    assert copies_of({frames[0].name}, frames) == set()


def drishti(root, count):
    """Photographs in the layout of DRISHTI-GS1, each with a bright disc at another place."""
    at = np.arange(160)
    for i in range(count):
        name = f"drishtiGS_{i:03d}"
        fov = (at[None] - 80) ** 2 + (at[:, None] - 80) ** 2 < 75**2
        disc = (at[None] - 50 - 8 * i) ** 2 + (at[:, None] - 80) ** 2 < 12**2
        photo = np.where(disc[..., None], 230, 90 + 20 * i).astype(np.uint8) * fov[..., None].astype(np.uint8)
        folder = root / "Training" / "GT" / name / "SoftMap"
        folder.mkdir(parents=True)
        (root / "Training" / "Images").mkdir(exist_ok=True)
        Image.fromarray(np.repeat(photo, 3, 2)).save(root / "Training" / "Images" / f"{name}.png")
        for part in ("OD", "cup"):
            Image.fromarray(np.uint8(255) * disc).save(folder / f"{name}_{part}segSoftmap.png")


def real(tmp_path, **more):
    source = {"name": "drishti_gs", "validation": 1, **more}
    recipe = {"preset": "smoke", "frame_size": 64, "crop": 64, "schedule": {"steps": 2}}
    return parse_recipe({**recipe, "data": str(tmp_path / "sets"), "sources": [source]})


def test_data_set_is_found_cached_and_needed_no_more(tmp_path, monkeypatch):
    monkeypatch.delenv("RETSAM_DATA", raising=False)
    drishti(tmp_path / "sets" / "Drishti", 4)
    recipe = real(tmp_path, targets=["optic_disc"])
    first = load_parts(recipe, tmp_path / "cache", 1)
    (tmp_path / "sets").rename(tmp_path / "gone")
    again = load_parts(recipe, tmp_path / "cache", 1)
    assert [f.name for f in again.train] == [f.name for f in first.train]
    assert all(f.known == {"optic_disc"} and f.mask("optic_disc").any() for f in again.train)
    assert "research" in again.licence["drishti_gs"]
    with pytest.raises(UserError, match="RETSAM_DATA"):
        load_parts(recipe, tmp_path / "other", 1)
    monkeypatch.setenv("RETSAM_DATA", str(tmp_path / "gone"))
    assert len(load_parts(recipe, tmp_path / "other", 1).train) == 3


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"validation": 4}, "validation and test take all 4"),
        ({"exclude": ["x"]}, "no photograph 'x'"),
        ({"targets": ["vessel"]}, "annotates none of vessel"),
    ],
)
def test_recipes_that_do_not_fit_the_data(tmp_path, monkeypatch, more, message):
    monkeypatch.delenv("RETSAM_DATA", raising=False)
    drishti(tmp_path / "sets" / "Drishti", 4)
    with pytest.raises(UserError, match=message):
        load_parts(real(tmp_path, **more), None, 1)


def test_missing_and_ambiguous_folders_are_said(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no folder has its layout"):
        data.dataset_root("drishti_gs", tmp_path)
    drishti(tmp_path / "a", 2)
    assert data.dataset_root("drishti_gs", tmp_path) == tmp_path / "a"
    drishti(tmp_path / "b", 2)
    with pytest.raises(UserError, match="several folders"):
        data.dataset_root("drishti_gs", tmp_path)
    (tmp_path / "b").rename(tmp_path / ".b")
    next((tmp_path / "a" / "Training" / "GT").rglob("*cup*")).unlink()
    with pytest.raises(UserError, match="1 file is missing"):
        data.dataset_root("drishti_gs", tmp_path)


def test_processes_make_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.delenv("RETSAM_DATA", raising=False)
    drishti(tmp_path / "sets" / "Drishti", 8)
    recipe = real(tmp_path)
    one, two = (pack_cache(recipe, tmp_path / str(n), n)[0] for n in (1, 2))
    assert one.read_bytes() == two.read_bytes()
    assert one.name == two.name


def test_phantoms_are_packed_only_when_asked_for(tmp_path):
    assert pack_cache(phantoms(), tmp_path, 1) == []


def test_a_copy_follows_the_source_before_it():
    first = [eye(f"idrid-{i}", seed=i) for i in range(6)]
    copies = [replace(f, name=f.name.replace("idrid", "other"), source="other") for f in first]
    others = [eye(f"other-{i}", "other", seed=i) for i in range(10, 14)]
    sources = [SourceRecipe(name="idrid", validation=2, test=1), SourceRecipe(name="drive", validation=2)]
    held = data.held_back(sources, {"idrid": first, "drive": [*copies, *others]}, lambda text: None)
    kept = {name.split("-")[1]: role for name, role in held.items() if name.startswith("idrid")}
    assert sorted(kept.values()) == ["test", "validation", "validation"]
    assert {name: role for name, role in held.items() if name in {f.name for f in copies}} == {
        f"other-{i}": role for i, role in kept.items()
    }
    assert len(held) == 8


def test_test_photographs_are_in_no_other_part(tmp_path, monkeypatch):
    monkeypatch.delenv("RETSAM_DATA", raising=False)
    drishti(tmp_path / "sets" / "Drishti", 8)
    recipe = real(tmp_path)
    source = recipe.sources[0].model_copy(update={"validation": 2, "test": 3})
    parts = load_parts(recipe.model_copy(update={"sources": (source,)}), None, 1)
    assert [len(part) for part in (parts.train, parts.validation, parts.test)] == [3, 2, 3]
    assert len({f.name for part in (parts.train, parts.validation, parts.test) for f in part}) == 8
