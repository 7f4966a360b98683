"""What labels of whole photographs rule out is learnt as absent; people are in one part; judging knows who was seen."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("segment_anything")

from retsam.datasets import Case, get_dataset  # noqa: E402
from retsam.errors import UserError  # noqa: E402
from retsam.evaluation.seen import role_of  # noqa: E402
from retsam.segmentation.network import checkpoint  # noqa: E402
from retsam.segmentation.network.config import CHANNELS, FINE  # noqa: E402
from retsam.segmentation.network.model import Logits  # noqa: E402
from retsam.taxonomy import DEFINITIONAL, RULED_OUT  # noqa: E402
from retsam.training.augment import NONE  # noqa: E402
from retsam.training.batches import make_batch  # noqa: E402
from retsam.training.data import PERSON, cache_file, held_back, kept_apart, load_parts  # noqa: E402
from retsam.training.frames import pack  # noqa: E402
from retsam.training.initial import joined_rows  # noqa: E402
from retsam.training.losses import LossWeights, compute_loss  # noqa: E402
from retsam.training.recipe import SMOKE, RecipeError, SourceRecipe, parse_recipe  # noqa: E402
from retsam.training.sources import case_frame  # noqa: E402
from retsam.training.stages import unify  # noqa: E402
from tests.annotated import make_hrf, make_idrid_localization, photograph, save  # noqa: E402

OF_DR = {"microaneurysm", "hemorrhage", "hard_exudate", "cotton_wool_spot"}
OF_NORMAL = OF_DR | {"drusen", "patchy_atrophy", "diffuse_atrophy"}
PHANTOMS = {"name": "phantom", "count": 3, "validation": 1}


def recipe(*sources, **more):
    values = {"preset": "smoke", "frame_size": 64, "crop": 64, "batch": 2, "sources": list(sources) or [PHANTOMS]}
    schedule = {"steps": 2, "warmup": 1, "validate_every": 2, "mixed": False}
    return parse_recipe({**values, "schedule": schedule, **more})


def make_people(root, well=6, keywords=True):
    """ODIR's layout: people with two normal eyes, one with a normal and a diabetic eye, one with another disease."""
    rows = [(f"{p}_{side}", f"P{p}", "0,0,0,0", "normal fundus") for p in range(well) for side in ("left", "right")]
    rows += [("50_left", "P50", "0,0,0,0", "normal fundus"), ("50_right", "P50", "1,0,0,0", "mild retinopathy")]
    rows += [("60_left", "P60", "0,0,0,0", "hypertensive retinopathy"), ("60_right", "P60", "0,0,,0", "normal fundus")]
    rows += [("61_left", "P61", "0,0,0,0", "normal fundus; lens dust")]
    for number, (name, *_) in enumerate(rows):
        picture = photograph()
        picture[60:90, 70 + 2 * number : 80 + 2 * number] = (30 + 10 * number, 240 - 12 * number, 10 * number)
        save(root / f"images/{name}.png", picture)
    head = "image_id,participant_id,path,dr,amd,glaucoma,myopia" + ",keywords" * keywords
    lines = [f"{n},{p},images/{n}.png,{zeros}" + f",{words}" * keywords for n, p, zeros, words in rows]
    (root / "manifest.csv").write_text("\n".join([head, *lines]) + "\n")
    return root


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    root = tmp_path_factory.mktemp("sets")
    make_people(root / "ODIR-5K")
    return root


@pytest.fixture(autouse=True)
def no_other_data(monkeypatch):
    monkeypatch.delenv("RETSAM_DATA", raising=False)


# Sets


def test_less_is_ruled_out_than_a_disease_is_made_of():
    for disease in ("dr", "myopia"):
        assert RULED_OUT[disease] < DEFINITIONAL[disease]
    assert "tessellation" not in get_dataset("odir").rules_out


def test_only_eyes_that_are_normal_in_every_word(sets, tmp_path):
    absent = {case.image_id: case.absent for case in get_dataset("odir").cases(sets / "ODIR-5K")}
    assert absent["0_left"] == absent["50_left"] == OF_NORMAL
    assert {name for name, targets in absent.items() if not targets} == {
        "50_right",
        "60_left",
        "60_right",
        "61_left",
    }
    bare = get_dataset("odir").cases(make_people(tmp_path, keywords=False))
    assert not any(case.absent for case in bare)


def test_groups_of_hrf(tmp_path):
    make_hrf(tmp_path)
    for folder, end in (("images", ".JPG"), ("manual1", ".tif"), ("mask", "_mask.tif")):
        for old, new in (("01_dr", "01_g"), ("02_dr", "02_x")):
            (tmp_path / folder / f"{old}{end}").rename(tmp_path / folder / f"{new}{end}")
    glaucoma, other, healthy = get_dataset("hrf").cases(tmp_path)
    assert (glaucoma.labels, glaucoma.absent) == ({"dr": False, "glaucoma": True}, OF_DR)
    assert (healthy.labels, healthy.absent) == ({"dr": False, "glaucoma": False}, OF_DR)
    assert (other.labels, other.absent) == ({}, frozenset())
    (diabetic, *_) = get_dataset("hrf").cases(make_hrf(tmp_path / "again"))
    assert (diabetic.labels, diabetic.absent) == ({"dr": True}, frozenset())


def grades(root, text):
    folder = root / "B. Disease Grading/2. Groundtruths"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a. IDRiD_Disease Grading_Training Labels.csv").write_text(text)


def test_grades_of_idrid(tmp_path):
    root = make_idrid_localization(tmp_path)
    idrid = get_dataset("idrid_localization")
    assert [(case.labels, case.absent) for case in idrid.cases(root)] == [({}, frozenset())] * 2
    grades(root, "Image name,Retinopathy grade,Risk of macular edema ,,\nIDRiD_001,3,2,,\nIDRiD_002,0,0,,\n,,,,\n")
    first, second = idrid.cases(root)
    assert (first.labels, first.absent) == ({"dr": True}, frozenset())
    assert (second.labels, second.absent) == ({"dr": False}, OF_DR)
    grades(root, "Image name,Retinopathy grade\nIDRiD_001,7\n")
    with pytest.raises(UserError, match="grade of 'IDRiD_001' is not one of 0 to 4"):
        idrid.cases(root)
    grades(root, "Image,Grade\n")
    with pytest.raises(UserError, match="no column 'Image name'"):
        idrid.cases(root)


# Recipe


def test_recipes_without_the_key_are_known_by_what_they_were():
    plain = SourceRecipe(name="hrf", split="all", validation=1)
    assert "absent" not in plain.settings()
    assert "absent" not in plain.content(64)
    asked = plain.model_copy(update={"absent": True})
    assert asked.settings() == {**plain.settings(), "absent": True}
    assert asked.content(64) == {**plain.content(64), "absent": True}
    content = '{"exclude": [], "format": 1, "frame_size": 64, "name": "hrf", "split": "all", "webp": false}'
    name = f"hrf-64-{hashlib.sha256(content.encode()).hexdigest()[:12]}.parquet"
    whole = recipe(plain)
    assert cache_file(whole, plain, Path()).name == name
    assert cache_file(whole, asked, Path()).name != name


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"name": "drive", "absent": True}, "no label of drive rules anything out"),
        ({"name": "phantom", "count": 2, "absent": True}, "everything is known"),
        ({"name": "mine", "folder": "x", "absent": True}, "absent is for public sets"),
        ({"name": "odir"}, "labels of whole photographs only; 'absent: true' takes those"),
        ({"name": "drimdb"}, "labels of whole photographs only; take another set"),
        ({"name": "hrf", "split": "all", "absent": True, "targets": ["vessel"]}, "add some of microaneurysm, hemorr"),
    ],
)
def test_what_cannot_be_asked_for(source, message):
    with pytest.raises(RecipeError, match=message):
        recipe({**source, "validation": 1})


def test_experts_take_it_where_they_learn_it():
    experts = {"trees": {"targets": ["vessel"]}, "lesions": {"targets": ["hemorrhage", "drusen"]}}
    hrf = {"name": "hrf", "split": "all", "absent": True, "validation": 1}
    whole = recipe(hrf, {"name": "odir", "split": "all", "absent": True}, PHANTOMS, experts=experts)
    found = {name: {s.name: (s.targets, s.absent) for s in whole.expert(name).sources} for name in experts}
    assert found["trees"] == {"hrf": (("vessel",), False), "phantom": (("vessel",), False)}
    assert found["lesions"]["hrf"] == (("hemorrhage",), True)
    assert found["lesions"]["odir"] == (("hemorrhage", "drusen"), True)


# Frames


def test_absent_targets_are_known_and_empty(tmp_path):
    hrf = get_dataset("hrf")
    cases = {case.image_id: case for case in hrf.cases(make_hrf(tmp_path))}
    assert case_frame(hrf, cases["10_h"], 64).known == {"vessel"}
    frame = case_frame(hrf, cases["10_h"], 64, absent=True)
    assert frame.known == OF_DR | {"vessel"}
    assert set(frame.packed) == {"vessel"}
    assert not frame.mask("hard_exudate").any()
    assert case_frame(hrf, cases["01_dr"], 64, absent=True).known == {"vessel"}


def test_absence_counts_in_the_cross_entropy_and_not_in_dice():
    image = np.full((64, 64, 3), 120, np.uint8)
    nothing = np.zeros((64, 64), bool)
    absent = pack("odir-a", "odir", image, ~nothing, dict.fromkeys(sorted(OF_NORMAL), nothing))
    batch = make_batch([absent], torch.Generator().manual_seed(0), SMOKE, 64, NONE)
    assert {*batch.fine.targets, *batch.wide.targets} == OF_NORMAL
    terms = []
    for height in (-8.0, 0.0):
        planes = (len(FINE), batch.fine), (len(CHANNELS) - len(FINE), batch.wide)
        fine, wide = (torch.full((1, count, *plane.labels.shape[2:]), height) for count, plane in planes)
        terms.append(compute_loss(Logits(fine, wide), batch, LossWeights()))
    assert all(float(term["dice"]) == 0 for term in terms)
    assert float(terms[0]["cross_entropy"]) < 0.01
    assert float(terms[1]["cross_entropy"]) == pytest.approx(np.log(2), abs=1e-4)


# People


def people(count, source="odir"):
    fov, rng, out = np.ones((64, 64), bool), np.random.default_rng(count), []
    for person in range(count):
        for side in ("left", "right")[: 1 + person % 2]:
            image = rng.integers(0, 255, (64, 64, 3)).astype(np.uint8)
            frame = pack(f"{source}-{person}_{side}", source, image, fov, {"drusen": ~fov})
            out.append(replace(frame, person=f"P{person}"))
    return out


def test_both_eyes_of_a_person_are_in_one_part():
    frames = people(30)
    source = SourceRecipe(name="odir", split="all", absent=True, validation=7, test=10)
    roles = kept_apart(frames, source)
    for person in {frame.person for frame in frames}:
        assert len({roles.get(frame.name) for frame in frames if frame.person == person}) == 1
    counts = [list(roles.values()).count(role) for role in ("validation", "test")]
    assert counts[0] in (7, 8)
    assert counts[1] in (10, 11)
    assert kept_apart(frames[::-1], source) == roles


def test_the_other_eye_follows_a_copy_in_another_set():
    mine = [frame for frame in people(8) if frame.person in ("P1", "P3", "P5", "P7")]
    there = pack("idrid-x", "idrid", mine[0].image, mine[0].fov, {"drusen": ~mine[0].fov})
    sources = [
        SourceRecipe(name="idrid", role="validation"),
        SourceRecipe(name="odir", split="all", absent=True),
    ]
    held = held_back(sources, {"idrid": [there], "odir": mine}, lambda text: None)
    assert held == {"idrid-x": "validation", "odir-1_left": "validation", "odir-1_right": "validation"}


def test_frames_are_those_of_which_something_is_known(sets, tmp_path):
    source = {"name": "odir", "split": "all", "absent": True, "test": 4}
    whole = recipe(source, PHANTOMS, data=str(sets))
    made = load_parts(whole, tmp_path, 1)
    odir = {f.name: f for part in (made.train, made.test) for f in part if f.source == "odir"}
    assert len(odir) == 13
    assert all(frame.known == OF_NORMAL and not frame.packed for frame in odir.values())
    assert odir["odir-0_left"].person == "P0"
    again = load_parts(whole, tmp_path, 1)
    assert [(f.name, f.person) for f in again.test] == [(f.name, f.person) for f in made.test]
    files = {path.name.split("-")[0]: pq.read_schema(path).names for path in tmp_path.iterdir()}
    assert (PERSON.name in files["odir"], PERSON.name in files["phantom"]) == (True, False)
    few = recipe({**source, "targets": ["hard_exudate"]}, PHANTOMS, data=str(sets))
    assert {frozenset(f.known) for f in load_parts(few, tmp_path, 1).test} == {frozenset({"hard_exudate"})}


def test_labels_that_rule_nothing_out_are_said(tmp_path):
    make_people(tmp_path / "sets/O", keywords=False)
    source = {"name": "odir", "split": "all", "absent": True}
    with pytest.raises(UserError, match="no label there rules anything out"):
        load_parts(recipe(source, PHANTOMS, data=str(tmp_path / "sets")), None, 1)


# Judging


def test_the_weights_say_who_was_seen(sets, tmp_path):
    source = {"name": "odir", "split": "all", "absent": True, "test": 4}
    path = unify(recipe(source, PHANTOMS, data=str(sets)), tmp_path / "run", device="cpu", workers=1)
    metadata = checkpoint.load(path).metadata
    rows = {row["role"]: row for row in metadata.data if row["set"] == "odir"}
    assert (rows["train"]["n"], rows["test"]["n"]) in ((9, 4), (8, 5))
    assert len(rows["train"]["images"]) == rows["train"]["n"]
    cases = get_dataset("odir").cases(sets / "ODIR-5K")
    role = {case.image_id: role_of(metadata, "odir", case) for case in cases}
    assert {name for name, r in role.items() if r == "train"} == set(rows["train"]["images"])
    assert {name for name, r in role.items() if r == "test"} == set(rows["test"]["images"])
    assert role["50_right"] == role["60_left"] == "unseen"


def test_two_stages_that_used_parts_of_a_set():
    def row(role, *images):
        return {"set": "odir", "split": "all", "licence": "", "role": role, "n": len(images), "images": list(images)}

    before, now = [row("train", "a", "b"), row("test", "s", "t")], [row("train", "b", "s"), row("test", "t", "u")]
    assert joined_rows(before, now) == [row("train", "a", "b", "s", "u"), row("test", "t")]
    assert joined_rows([row("train", "a")], [row("train", "b")]) == [row("train", "a", "b")]
    metadata = checkpoint.Metadata("m", {}, tuple(joined_rows(before, now)), (), "", "")
    assert [role_of(metadata, "odir", Case(name, "all", Path())) for name in "ats"] == ["train", "test", "train"]
