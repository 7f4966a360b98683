"""The printed tables are those that phantoms are drawn from."""

from pathlib import Path

from retsam.phantom.anatomy import EYE
from retsam.phantom.camera import CAMERAS
from retsam.phantom.handbook import tables_markdown
from retsam.taxonomy import TARGETS

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "phantom-tables.md"


def test_document_is_up_to_date() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == tables_markdown(), "run make config"


def test_it_names_every_parameter_camera_and_finding() -> None:
    text = tables_markdown()
    anatomical = {"vessel", "artery", "vein", "optic_disc", "optic_cup", "fovea", "artifact"}
    for name in [*(row.name for row in EYE), *(set(TARGETS) - anatomical)]:
        assert f"`{name}`" in text
    for name in CAMERAS:
        assert f" {name} " in text
