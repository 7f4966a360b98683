"""The report in a real browser: silent, self-contained, readable at 200 % and in print."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from retsam.report.html import build_report
from tests.synthetic_report import SCRIPT, SECTIONS, report_inputs, truth_table

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    inputs = report_inputs(200, ("dr", SCRIPT, "glaucoma", "myopia"), cohort=SCRIPT)
    inputs = dataclasses.replace(inputs, flow={**inputs.flow, "notes": [SCRIPT]}, truth=truth_table())
    values = inputs.images[["image_id"]].assign(vessel_density=0.1)
    inputs = dataclasses.replace(inputs, true_values=values, true_associations=inputs.associations)
    path = tmp_path_factory.mktemp("a folder with spaces") / "index.html"
    path.write_text(build_report(inputs), encoding="utf-8")
    return path


@pytest.fixture
def visit(opened: Callable[..., Any], report: Path) -> Any:
    return opened(report)


def test_it_opens_in_silence_and_asks_for_nothing(visit: Any, report: Path) -> None:
    assert visit.said == []
    assert [url for url in visit.asked if not url.startswith("data:")] == [report.as_uri()]


def test_every_section_is_seen(visit: Any) -> None:
    for name in (*SECTIONS, "truth"):
        assert visit.page.locator(f"section#{name} > h2").is_visible(), name
        visit.page.click(f'nav a[href="#{name}"]')
        assert visit.page.url.endswith(f"#{name}")


def test_injected_strings_stay_text(visit: Any) -> None:
    assert visit.page.locator('img[src="x"]').count() == 0
    assert visit.page.inner_text("h1") == SCRIPT
    assert visit.page.title().startswith(SCRIPT)
    assert visit.page.inner_text(".remarks li") == SCRIPT


def test_pictures_are_decoded_and_figures_have_a_size(visit: Any) -> None:
    assert visit.page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert visit.page.evaluate("document.images.length") == 6
    sizes = visit.page.evaluate(
        "[...document.querySelectorAll('figure svg')].map(s => s.getBoundingClientRect().height)"
    )
    assert len(sizes) >= 2 + 4 * 4 + 1 and min(sizes) > 50


@pytest.mark.parametrize("width", [1280, 640, 320])
def test_no_sideways_scrolling_at_any_zoom(opened: Callable[..., Any], report: Path, width: int) -> None:
    """A window of 1280 pixels at 200 % is 640 CSS pixels wide with two device pixels each; 400 % is 320."""
    visit = opened(report, width, 1280 / width)
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    cut = visit.page.evaluate(
        "[...document.querySelectorAll('h1,h2,h3,p,li,dd,figcaption,summary,.tools')].filter("
        "e => !e.closest('.skip') && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.textContent)"
    )
    assert cut == []


def test_it_prints(visit: Any, tmp_path: Path) -> None:
    visit.page.emulate_media(media="print")
    assert not visit.page.locator("nav").is_visible()
    assert not visit.page.locator(".tools").first.is_visible()
    assert visit.page.locator("section#associations table").first.is_visible()
    visit.page.set_viewport_size({"width": 703, "height": 1000})  # A4 less its margins at 96 dpi
    wide = visit.page.evaluate(
        "[...document.querySelectorAll('table, svg, img')]"
        ".filter(e => e.getBoundingClientRect().right > innerWidth + 1)"
        ".map(e => e.tagName + ' ' + (e.caption ? e.caption.textContent : ''))"
    )
    assert wide == []
    path = tmp_path / "report.pdf"
    visit.page.pdf(path=str(path), prefer_css_page_size=True)
    assert path.read_bytes().startswith(b"%PDF")
