"""A page in headless Chromium, and what it said and asked for."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("Chromium is not installed")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


class Visit:
    """One opened page and everything it said or asked for."""

    def __init__(self, browser: Any, report: Path, width: int = 1280, scale: float = 1.0, script: bool = True) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        context = browser.new_context(
            viewport={"width": width, "height": 900}, device_scale_factor=scale, java_script_enabled=script
        )
        self.page = context.new_page()
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: (self.said.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(report.as_uri())
        self.page.wait_for_load_state("networkidle")

    def close(self) -> None:
        self.page.context.close()


@pytest.fixture
def opened(browser: Any) -> Iterator[Any]:
    """Function that opens a page: (report, width, scale, script) -> Visit."""
    visits: list[Visit] = []

    def open_page(report: Path, width: int = 1280, scale: float = 1.0, script: bool = True) -> Visit:
        visits.append(Visit(browser, report, width, scale, script))
        return visits[-1]

    yield open_page
    for visit in visits:
        visit.close()
