"""Configuration: typed values, clear refusals, generated files in step with the model."""

import jsonschema
import pytest
import yaml

from retsam.config import Config, ConfigError, config_schema, default_yaml, generated_files, parse_config
from tests.conftest import ROOT


def test_generated_files_are_in_step():
    for name, text in generated_files().items():
        assert (ROOT / name).read_text(encoding="utf-8") == text, f"{name} drifted; run: make config"


def test_default_file_is_the_default_model():
    values = yaml.safe_load(default_yaml())
    assert parse_config(values) == Config()
    jsonschema.validate(values, config_schema())


def test_a_study_needs_only_the_keys_that_differ():
    config = parse_config({"cohort": "odir", "manifest": "m.csv", "shard_size": 128})
    assert (config.cohort, config.manifest, config.shard_size) == ("odir", "m.csv", 128)
    assert config.frame_size == 1024


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"manifst": "x"}, "unknown key 'manifst'; did you mean 'manifest'?"),
        ({"threads": 4}, "unknown key 'threads'; runtime settings belong to a profile"),
        ({"unit": "eye"}, "unknown key 'unit'; it belongs to 'association.unit'"),
        ({"images": "x"}, "give it as 'manifest'"),
        ({"quality": {"polcy": "none"}}, "unknown key 'quality.polcy'; did you mean 'policy'?"),
        ({"frame_size": 1000}, "must be a multiple of 64, nearest is 1024"),
        ({"cohort": "a/b"}, "name of a folder"),
        ({"cohort": ".."}, "name of a folder"),
        ({"shard_size": 0}, "greater than or equal to 1"),
        ({"quality": {"policy": "drop"}}, "'exclude', 'flag' or 'none'"),
    ],
)
def test_wrong_keys_get_a_hint(values, said):
    with pytest.raises(ConfigError) as refused:
        parse_config(values)
    assert said in str(refused.value)


def test_all_problems_at_once():
    with pytest.raises(ConfigError) as refused:
        parse_config({"cohort": "", "frame_size": 1, "nonsense": 1})
    assert len(str(refused.value).splitlines()) == 3


def test_numbers_as_cohort_name_are_text():
    assert parse_config({"cohort": 2024}).cohort == "2024"
