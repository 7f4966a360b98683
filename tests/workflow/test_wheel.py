"""The wheel: built from the clone, installed elsewhere, it brings its package data along."""

import os
import subprocess
import sys
import zipfile

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.workflow

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    command = [*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(out), str(ROOT)]
    subprocess.run(command, check=True, timeout=300)
    return next(out.glob("retsam-*.whl"))


def test_wheel_holds_every_module_and_its_data(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    inside = [p for p in (ROOT / "retsam").rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    assert {str(p.relative_to(ROOT)) for p in inside} <= names
    assert {"retsam/quality/gradability.json", "retsam/report/templates/report.html"} <= names


def test_installed_elsewhere_it_simulates_and_scores(wheel, tmp_path):
    """The dependencies come from the tests' own environment; retsam from the wheel alone."""
    site = tmp_path / "site"
    subprocess.run([*PIP, "install", "--no-deps", "--target", str(site), str(wheel)], check=True, timeout=300)
    environment = {**os.environ, "PYTHONPATH": str(site)}

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, "-P", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = run("-c", "import retsam; print(retsam.__file__)")
    assert where.startswith(str(site))
    run("-m", "retsam", "simulate", "c", "--participants", "2", "--seed", "1", "--frame-size", "256")
    said = run("-m", "retsam", "quality", "c/manifest.csv", "--out", "q.csv")
    assert "ok" in said
    assert (tmp_path / "q.csv").read_text().count("\n") >= 3
