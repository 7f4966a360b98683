"""Where results come from: hashes and names, never a place; and what the report says of the masks."""

from dataclasses import replace

import pytest

from retsam.config import parse_config
from retsam.provenance import made_by, provenance
from retsam.report.prose import _methods_segmentation
from tests.synthetic_report import report_inputs


def test_files_of_a_study_go_by_their_names():
    there, here = (
        provenance(
            parse_config({"manifest": f"{folder}/m.csv", "segmentation": {"model": f"{folder}/net.safetensors"}}),
            "0" * 64,
            {"net": "1" * 64},
        )
        for folder in ("/home/somebody/study", "elsewhere")
    )
    assert there == here
    assert there["config"]["segmentation"]["model"] == "net.safetensors"


def test_shards_that_were_made_differently_are_told_apart():
    one = {"model": "net", "device": "cpu", "dtype": "bfloat16"}
    assert made_by([one, one]) == one
    assert made_by([{}, one, one | {"device": "cuda", "dtype": "float16"}]) == {
        "model": "net",
        "device": "cpu, cuda",
        "dtype": "bfloat16, float16",
    }
    assert made_by([{}]) == {}


@pytest.mark.parametrize(
    ("segmentation", "made", "said"),
    [
        ({"model": "classical"}, {}, "Structures were segmented with the model “classical”. "),
        ({}, {}, ""),
        ({"model": "x", "masks": "mine.parquet"}, {}, "Masks were taken from the table “mine.parquet”. "),
        (
            {"model": "net.safetensors"},
            {"model": "net", "weights_sha256": "a" * 64, "device": "cpu", "dtype": "bfloat16", "flips": "false"},
            "Structures were segmented with the model “net” (weights sha256 aaaaaaaaaaaa), "
            "computed in bfloat16 on a CPU. ",
        ),
        (
            {"model": "net"},
            {"model": "net", "device": "cpu, cuda", "dtype": "bfloat16, float16", "flips": "true"},
            "Structures were segmented with the model “net”, computed in bfloat16 and float16 on CPUs and GPUs, "
            "as the mean of each photograph’s four mirror images. ",
        ),
    ],
)
def test_methods_say_what_made_the_masks(segmentation, made, said):
    inputs = replace(report_inputs(20), config={"segmentation": segmentation}, provenance={"segmentation": made})
    assert _methods_segmentation(inputs) == said
