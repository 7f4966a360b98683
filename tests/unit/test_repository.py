"""The repository itself: generated files in step, floors respected, imports light."""

import ast
import importlib.util
import re
import subprocess
import sys

import pytest
import yaml

from tests.conftest import ROOT

FLOORS = [
    {
        "status",
        "errors",
        "taxonomy",
        "geometry",
        "field",
        "tables",
        "metrics",
        "agreement",
        "config",
        "planning",
        "provenance",
        "logs",
        "io",
        "weights",
    },
    {"phantom"},
    {"quality", "segmentation", "datasets"},
    {"training"},
    {"biomarkers", "evaluation", "export"},
    {"cohort"},
    {"association", "report"},
    {"cli", "__main__"},
]
FLOOR = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}


def modules():
    return sorted((ROOT / "retsam").rglob("*.py"))


def imports(path):
    """Rooms of retsam that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "retsam":
            names = [f"retsam.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        yield from (name.split(".")[1] for name in names if name.startswith("retsam."))


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_room_imports_only_from_floors_below(path):
    room = path.relative_to(ROOT / "retsam").parts[0].removesuffix(".py")
    if room == "__init__":
        return
    assert room in FLOOR, f"{room} stands on no floor; add it to retsam/__init__.py and here"
    for other in imports(path):
        if other not in (room, "__version__"):
            assert FLOOR[other] <= FLOOR[room], f"{room} (floor {FLOOR[room]}) imports {other} (floor {FLOOR[other]})"


LIGHT = [
    "retsam",
    "retsam.quality",
    "retsam.datasets",
    "retsam.training",
    "retsam.training.sources",
    "retsam.biomarkers",
    "retsam.cohort",
    "retsam.association",
    "retsam.report",
]


@pytest.mark.parametrize("name", LIGHT)
def test_import_needs_no_torch(name):
    """Also with torch made impossible to import, as on a laptop without it."""
    code = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision", "segment_anything"):
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
import {name}
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


def test_bare_import_is_light():
    code = "import sys, retsam; print([m for m in ('torch', 'matplotlib', 'pandas', 'cv2') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def make_envs():
    spec = importlib.util.spec_from_file_location("make_envs", ROOT / "envs" / "make_envs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_environments_are_in_step_with_the_lock():
    module = make_envs()
    versions = module.pins()
    for name, text in module.environments().items():
        stored = (ROOT / "envs" / name).read_text(encoding="utf-8")
        assert stored == text, f"envs/{name} drifted; run: make config"
        for line in yaml.safe_load(stored)["dependencies"][-1]["pip"]:
            package, version = line.split("==")
            assert versions[package.lower()] == version


def test_lock_satisfies_every_declared_range_and_names_no_index():
    import tomllib

    from packaging.requirements import Requirement

    text = (ROOT / "envs" / "lock.txt").read_text(encoding="utf-8")
    assert "://" not in text
    assert "--" not in re.sub(r"#.*", "", text)
    versions = make_envs().pins()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = [*project["dependencies"], *(r for rs in project["optional-dependencies"].values() for r in rs)]
    for requirement in map(Requirement, declared):
        pinned = versions[requirement.name.lower().replace("_", "-")]
        assert requirement.specifier.contains(pinned), f"{requirement} but the lock has {pinned}"


def test_every_rule_has_log_benchmark_resources_and_conda():
    rules = {}
    for path in sorted((ROOT / "workflow" / "rules").glob("*.smk")):
        parts = re.split(r"^(?:rule|checkpoint) (\w+):$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        rules |= dict(zip(parts[1::2], parts[2::2], strict=True))
    assert rules
    for name, body in rules.items():
        for directive in ("log", "benchmark", "threads", "resources", "conda", "script"):
            assert re.search(rf"^    {directive}:", body, flags=re.MULTILINE), f"rule {name} has no {directive}"
        assert not re.search(r"^    retries:", body, flags=re.MULTILINE), f"rule {name}: retries belong to the profile"
        assert (ROOT / "scripts" / f"{name}.py").is_file()
    assert {path.stem for path in (ROOT / "scripts").glob("*.py")} == set(rules)
