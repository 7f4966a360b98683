"""The data dictionary follows the registry."""

import csv
import io
import json
from pathlib import Path

import pytest

from retsam.biomarkers import FAMILIES, REGISTRY, catalogue
from retsam.status import Status

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "biomarkers.md"


def test_the_document_is_up_to_date():
    assert DOCUMENT.read_text(encoding="utf-8") == catalogue("md"), "run make config"


def test_markdown_describes_every_biomarker_and_family():
    text = catalogue("md")
    for name, b in REGISTRY.items():
        assert f"### `{name}`\n\n{b.definition}.\n" in text
    assert [text.index(f"## {heading}\n") for heading in FAMILIES.values()] == sorted(
        text.index(f"## {heading}\n") for heading in FAMILIES.values()
    )


def test_csv_and_json_hold_the_same_entries():
    from_csv = list(csv.DictReader(io.StringIO(catalogue("csv"))))
    from_json = json.loads(catalogue("json"))
    assert [e["name"] for e in from_csv] == [e["name"] for e in from_json] == list(REGISTRY)
    for row, entry in zip(from_csv, from_json, strict=True):
        assert row == {k: " ".join(v) if isinstance(v, list) else v for k, v in entry.items()}
        assert entry["statuses"][0] == Status.OK
        assert ("not_segmented" in entry["statuses"]) == bool(entry["requires"])


def test_unknown_format():
    with pytest.raises(ValueError, match="no format 'xml'; formats are md, csv, json"):
        catalogue("xml")
