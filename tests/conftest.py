"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of real photographs; tests that need it skip where it is missing."""
    root = Path(os.environ.get("RETSAM_DATA", ROOT.parent / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"no real photographs at RETSAM_DATA={root}")
    return root
