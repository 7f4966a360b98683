"""Recipes: shipped ones are right, mistakes are said with a hint, and test photographs are never trained on."""

from dataclasses import MISSING, fields

import pytest

from retsam.errors import UserError
from retsam.training.recipe import (
    RECIPES,
    AugmentationRecipe,
    LossRecipe,
    RecipeError,
    ScheduleRecipe,
    parse_recipe,
    read_recipe,
)

PHANTOMS = {"name": "phantom", "count": 6, "validation": 2}


def values(**more):
    return {"preset": "smoke", "sources": [PHANTOMS], "schedule": {"steps": 5}, **more}


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_recipes_are_right_and_found_by_name(path):
    assert read_recipe(path) == read_recipe(path.stem)
    assert read_recipe(path).network.detail_size == read_recipe(path).frame_size


def test_the_shipped_recipe_keeps_test_parts_out():
    sources = {source.name: source for source in read_recipe("unify").sources}
    assert {sources[name].split for name in ("drive", "idrid", "drishti_gs", "rim_one")} == {"train"}
    assert "hei_med" not in sources
    assert all(source.validation for source in sources.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sourcs": []}, "'sourcs'; did you mean 'sources'"),
        ({"schedule": {"steps": 5, "lr": 1}}, "unknown key 'schedule.lr'; known are steps"),
        ({"preset": "retsam-tinny"}, "did you mean 'retsam-tiny'"),
        ({"branches": ["vessel"]}, "no head is named 'vessel'; did you mean 'vessels'"),
        ({"sources": [{**PHANTOMS, "targets": ["vesel"]}]}, "did you mean 'vessel'"),
        ({"sources": [{**PHANTOMS, "validation": 0}]}, "nothing is left for validation"),
        ({"sources": [PHANTOMS, PHANTOMS]}, "listed twice"),
        ({"sources": [{"name": "phantom", "validation": 2}]}, "need a count"),
        ({"sources": [{"name": "driv", "validation": 2}]}, "did you mean 'drive'"),
        ({"sources": [{"name": "drive", "validation": 2, "count": 3}]}, "for phantoms only"),
        ({"sources": []}, "share above 0"),
        ({"crop": 2048}, "larger than the frame"),
        ({"crop": 100}, "multiple of 16"),
    ],
)
def test_mistakes_are_said_with_a_hint(change, message):
    with pytest.raises(RecipeError, match=message.replace("(", "\\(")):
        parse_recipe(values(**change))


@pytest.mark.parametrize("role", ["train", "validation"])
@pytest.mark.parametrize(
    ("name", "split"), [("hei_med", "all"), ("drive", "test"), ("drive", "all"), ("rim_one", "test"), ("idrid", "all")]
)
def test_what_judges_a_model_is_never_trained_on(name, split, role):
    source = {"name": name, "split": split, "validation": 2, "role": role}
    with pytest.raises(RecipeError, match="may be used to judge a model only") as error:
        parse_recipe(values(sources=[source, PHANTOMS]))
    assert "\n" not in str(error.value)


def test_files_that_are_no_recipe(tmp_path):
    with pytest.raises(UserError, match="shipped ones are adapt, refine, smoke, unify, vessels"):
        read_recipe(tmp_path / "none.yaml")
    (tmp_path / "a.yaml").write_text("[1, 2")
    with pytest.raises(UserError, match="no YAML"):
        read_recipe(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").write_text("- 1")
    with pytest.raises(UserError, match="no keys"):
        read_recipe(tmp_path / "b.yaml")


def test_digest_is_of_what_decides_the_result():
    recipe = parse_recipe(values())
    assert recipe.digest() == parse_recipe(values(data="elsewhere", device="cpu")).with_steps(9).digest()
    assert recipe.digest() != parse_recipe(values(seed=2)).digest()
    with pytest.raises(UserError, match="at least one step"):
        recipe.with_steps(0)


def test_cache_content_depends_on_frames_alone():
    one, two = (
        parse_recipe(values(sources=[{**PHANTOMS, **m}])).sources[0] for m in ({}, {"share": 3, "validation": 3})
    )
    assert one.content(128) == two.content(128)
    assert one.content(128) != one.content(192)
    three = parse_recipe(values(sources=[{**PHANTOMS, "seed": 4}])).sources[0]
    assert three.content(128) != one.content(128)


def test_blocks_have_the_fields_and_defaults_of_what_they_configure():
    pytest.importorskip("torch")
    pytest.importorskip("segment_anything")
    from retsam.training.augment import Augmentation
    from retsam.training.losses import LossWeights
    from retsam.training.trainer import Schedule

    for block, target in ((ScheduleRecipe, Schedule), (LossRecipe, LossWeights), (AugmentationRecipe, Augmentation)):
        defaults = {f.name: f.default for f in fields(target)}
        assert list(block.model_fields) == list(defaults)
        for name, info in block.model_fields.items():
            assert info.is_required() == (defaults[name] is MISSING)
            if not info.is_required():
                assert info.default == defaults[name], name
