"""A tiny simulated cohort with bad files among its photographs, and Snakemake as a user calls it."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import yaml

from retsam.phantom import simulate
from tests.badimages import make_bad_images
from tests.conftest import ROOT

FRAME = 256


@dataclass(frozen=True)
class Study:
    """A folder with a manifest, a configuration and, after a run, results."""

    folder: Path

    @property
    def manifest(self) -> Path:
        return self.folder / "cohort" / "manifest.csv"

    @property
    def results(self) -> Path:
        return self.folder / "results" / "tiny"

    def configure(self, **values: object) -> Path:
        path = self.folder / "my.yaml"
        base = {"cohort": "tiny", "manifest": str(self.manifest), "shard_size": 16, "frame_size": FRAME}
        base["segmentation"] = {"model": "classical"}  # fast, whatever the default is
        path.write_text(yaml.safe_dump(base | values), encoding="utf-8")
        return path

    def snakemake(self, *options: str, check: bool = True) -> subprocess.CompletedProcess:
        """Run from elsewhere: another working directory, the clone's Snakefile, a configuration of few keys."""
        command = [sys.executable, "-m", "snakemake", "--cores", "2", "--directory", str(self.folder)]
        command += ["-s", str(ROOT / "Snakefile"), "--configfile", str(self.folder / "my.yaml"), *options]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=900, env={**os.environ, "COLUMNS": "200"}
        )
        assert not check or done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
        return done

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_parquet(self.results / name)

    def per_image(self, stage: str) -> pd.DataFrame:
        return pd.concat(
            [pd.read_parquet(p) for p in sorted((self.results / stage).glob("*.parquet"))], ignore_index=True
        )


def simulated(folder: Path, participants: int) -> Path:
    return simulate(folder, participants=participants, seed=5, frame_size=FRAME)


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Study:
    """The whole run, once: about 40 good photographs and every kind of bad one."""
    study = Study(tmp_path_factory.mktemp("study"))
    manifest = pd.read_csv(simulated(study.manifest.parent, 24), dtype=str, keep_default_na=False)
    rows = []
    for name, (path, status) in make_bad_images(study.manifest.parent / "bad").items():
        rows.append(
            {
                "image_id": f"bad {name}",
                "path": str(path.relative_to(study.manifest.parent)),
                "eye": "OD",
                "expected": str(status),
            }
        )
    rows.append(
        {"image_id": manifest["image_id"].iloc[0], "path": manifest["path"].iloc[0], "expected": "duplicate_id"}
    )
    rows.append({"image_id": "no path", "path": "", "expected": "bad_row"})
    rows.append({"image_id": "odd eye", "path": manifest["path"].iloc[1], "eye": "third", "dr": "maybe", "age": "old"})
    table = pd.concat([manifest, pd.DataFrame(rows)], ignore_index=True).fillna("")
    table.to_csv(study.manifest, index=False)
    study.configure()
    study.snakemake()
    return study
