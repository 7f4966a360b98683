"""Sorting, filtering and downloads of the report, in a real browser."""

import csv
import dataclasses
import io
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from retsam.report.html import build_report
from retsam.report.inputs import ReportInputs
from retsam.report.tables import associations
from tests.synthetic_report import SCRIPT, SECTIONS, registry, report_inputs

pytestmark = pytest.mark.browser

FORMULA = '=HYPERLINK("http://x.invalid","here")'
SET = '.set[data-name="associations-1"]'
NETWORK = f'{SET} table[data-group^="Vessel network"]'


def hostile() -> ReportInputs:
    """Inputs with a biomarker whose label is a formula and a cohort whose name is markup."""
    made = report_inputs(60, ("dr", SCRIPT), cohort=SCRIPT, pictures=1)
    entry = registry()["fd_box_mask"]
    return dataclasses.replace(
        made, biomarkers={**made.biomarkers, "fd_box_mask": dataclasses.replace(entry, label=FORMULA)}
    )


@pytest.fixture(scope="module")
def inputs() -> ReportInputs:
    return hostile()


@pytest.fixture(scope="module")
def report(inputs: ReportInputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "index.html"
    path.write_text(build_report(inputs), encoding="utf-8")
    return path


@pytest.fixture
def visit(opened: Callable[..., Any], report: Path) -> Any:
    found = opened(report)
    yield found
    assert found.said == []
    assert [url for url in found.asked if not url.startswith(("data:", "blob:"))] == [report.as_uri()]


def rows(visit: Any, table: str) -> list[list[str]]:
    """Visible rows of data, cell by cell."""
    return visit.page.evaluate(
        "s => [...document.querySelector(s).tBodies[0].rows].filter(r => !r.hidden && !r.classList.contains('group'))"
        ".map(r => [...r.cells].map(c => c.textContent))",
        table,
    )


def column(visit: Any, table: str, name: str) -> Any:
    return visit.page.locator(f"{table} thead th", has_text=name).first


def flat(html: str) -> str:
    """Markup without line breaks: the place of these in a moved row says nothing."""
    return html.replace("\n", "")


def saved(visit: Any, button: str, tmp_path: Path) -> Path:
    with visit.page.expect_download(timeout=120_000) as caught:
        visit.page.click(button)
    path = tmp_path / caught.value.suggested_filename
    caught.value.save_as(path)
    return path


def test_sorting_up_down_and_back(visit: Any) -> None:
    before = visit.page.inner_html(f"{NETWORK} tbody")
    head = column(visit, NETWORK, "OR (95% CI)")
    at = [t.strip() for t in visit.page.locator(f"{NETWORK} thead th").all_inner_texts()].index("OR (95% CI)")
    for order, sign in (("ascending", 1), ("descending", -1)):
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == order
        shown = rows(visit, NETWORK)
        assert {len(row) for row in shown} == {len(shown[0])}  # each row names its biomarker itself
        odds = [float(row[at].split(" ")[0]) for row in shown]
        assert odds == sorted(odds, key=lambda value: sign * value) and len(set(odds)) > 2
    head.locator("button").click()
    assert head.get_attribute("aria-sort") is None
    assert flat(visit.page.inner_html(f"{NETWORK} tbody")) == flat(before)


def test_missing_values_stay_below(visit: Any) -> None:
    table = f'{SET} table[data-group^="Optic disc"]'
    for _ in range(2):
        column(visit, table, "OR (95% CI)").locator("button").click()
        last = rows(visit, table)[-2:]
        assert all("–" in row for row in last)


def test_sorting_by_keyboard(visit: Any) -> None:
    head = column(visit, NETWORK, "Biomarker")
    head.locator("button").focus()
    visit.page.keyboard.press("Enter")
    names = [row[0] for row in rows(visit, NETWORK)]
    assert head.get_attribute("aria-sort") == "ascending" and names == sorted(names, key=str.lower)
    visit.page.keyboard.press("Space")
    assert head.get_attribute("aria-sort") == "descending"


def test_a_table_whose_order_says_something_is_not_sorted(visit: Any) -> None:
    assert visit.page.locator("#participants .sort").count() == 0
    assert visit.page.locator("#strobe .sort").count() == 0


def test_filtering_rows_by_words(visit: Any) -> None:
    before = visit.page.inner_html(SET)
    box = visit.page.locator(f"{SET} input[type=search]")
    box.fill("DENSITY  crude")
    assert [row[:2] for row in rows(visit, NETWORK)] == [
        ["Vessel densityvessel_density", "Crude"], ["Skeleton densityskeleton_density", "Crude"],
    ]  # fmt: skip
    assert visit.page.inner_text(f"{SET} [role=status]") == "3 of 38 rows"
    assert not visit.page.locator(f'{SET} details:has(table[data-group^="Optic disc"])').is_visible()
    box.fill("nothing has this name")
    assert visit.page.inner_text(f"{SET} [role=status]") == "0 of 38 rows"
    box.fill("")
    assert flat(visit.page.inner_html(SET)).replace(' class=""', "") == flat(before)
    assert visit.page.inner_text(f"{SET} [role=status]") == ""


def test_every_control_has_a_name_and_takes_the_focus(visit: Any) -> None:
    controls = visit.page.evaluate(
        "[...document.querySelectorAll('button,input,summary')].map(e => [e.getAttribute('aria-label') ||"
        " e.textContent, e.tabIndex, e.tagName])"
    )
    assert len(controls) > 50
    assert all(name.strip() and place == 0 for name, place, _ in controls)
    labels = [name for name, _, tag in controls if name.startswith("Download")]
    assert len(labels) == len(set(labels))


def test_a_table_as_csv(visit: Any, inputs: ReportInputs, tmp_path: Path) -> None:
    path = saved(visit, f'{SET} button:text-is("CSV")', tmp_path)
    assert path.name == "associations-1.csv"
    text = path.read_bytes().decode("utf-8-sig")
    head, *body = csv.reader(io.StringIO(text))
    assert head[:4] == ["Group", "Biomarker", "Column", "Model"]
    shown = [row for row in associations(inputs, "dr").rows if not row.group]
    assert len(body) == len(shown) and {len(row) for row in body} == {len(head)}
    odds = head.index("OR (95% CI)")
    assert [row[odds] for row in body] == [row.cells[odds - 2 - (row.span == 0)] for row in shown]
    assert {row[2] for row in body} == {r.code for r in shown if r.code}
    cells = [cell for row in body for cell in row]
    assert "'" + FORMULA in cells and not [cell for cell in cells if cell[:1] in "=+@\t"[: len(cell)] and cell]


def test_csv_holds_what_is_shown_in_the_order_shown(visit: Any, tmp_path: Path) -> None:
    visit.page.locator(f"{SET} input[type=search]").fill("crude")
    for _ in range(2):
        column(visit, NETWORK, "p").locator("button").click()
    path = saved(visit, f'{SET} button:text-is("CSV")', tmp_path)
    _, *body = csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig")))
    network = [row for row in body if row[0].startswith("Vessel network")]
    shown = rows(visit, NETWORK)
    assert [row[2] for row in network] == [next(c for c in registry() if row[0].endswith(c)) for row in shown]
    assert len(network) == 7 and len(body) == 19


def test_a_figure_as_svg_and_png(visit: Any, tmp_path: Path) -> None:
    drawing = '.drawing[data-name="forest-1-2"]'
    path = saved(visit, f'{drawing} button:text-is("SVG")', tmp_path)
    root = ElementTree.parse(path).getroot()
    assert path.name == "forest-1-2.svg" and root.tag == "{http://www.w3.org/2000/svg}svg"
    width, height = (float(root.attrib[k].removesuffix("pt")) for k in ("width", "height"))
    assert width == pytest.approx(7.2 * 72)
    names = {element.get("id") for element in root.iter()}
    used = {value[1:] for e in root.iter() for key, value in e.attrib.items() if key.endswith("href")}
    assert used and used <= names
    path = saved(visit, f'{drawing} button:text-is("PNG")', tmp_path)
    with Image.open(path) as image:
        assert image.size == (round(width * 300 / 72), round(height * 300 / 72))
        pixels = np.asarray(image.convert("RGB"))
    assert (pixels[:5] == 255).all() and 0.005 < (pixels < 128).any(axis=2).mean() < 0.5


def test_download_buttons_of_all_kinds_work(visit: Any, tmp_path: Path) -> None:
    names = []
    for text in ("CSV", "SVG", "PNG"):
        buttons = visit.page.locator(f'button:text-is("{text}")').all()
        for button in buttons[:: len(buttons) // 6 + 1]:  # Chromium lets a page start twenty downloads, no more
            with visit.page.expect_download(timeout=120_000) as caught:
                button.click()
            names.append(caught.value.suggested_filename)
    assert len(names) == len(set(names)) > 11


def test_the_page_is_complete_without_script(opened: Callable[..., Any], report: Path) -> None:
    visit = opened(report, script=False)
    assert visit.page.locator(".tools, .sort").count() == 0
    for name in SECTIONS:
        assert visit.page.locator(f"section#{name} > h2").is_visible(), name
    assert visit.page.locator(f"{NETWORK} tbody tr").first.is_visible()
