"""From a manifest to shards: small tables that image work depends on, rewritten only where their content changed."""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pandas as pd

from retsam import tables
from retsam.config import Config, ConfigError
from retsam.io.manifest import Manifest, ManifestError, header, read_manifest

DEFAULT_COVARIATES = ("age", "sex")
MEASURED_COVARIATES = ("gradability",)
"""Covariates that the workflow measures itself; all others are columns of the manifest."""


@dataclass(frozen=True)
class Plan:
    """What the steps after planning need to know, stored as ``manifest/plan.json``.

    Attributes
    ----------
    n_images, n_shards, shard_size : int
    outcomes : list of str
        Those with two values, then the ordinal, then the continuous ones.
    covariates : list of str
    models : dict of str to list of str
        Adjustment sets.
    manifest_sha256 : str
        Of the manifest file's bytes.
    n_problems : int
        Rows of ``manifest/problems.csv``.
    kinds : dict of str to str
        Outcome -> binary, ordinal or continuous.
    modifiers : list of str
        Columns that the study looks into for interactions, or within which it is analysed.
    """

    n_images: int
    n_shards: int
    shard_size: int
    outcomes: list[str]
    covariates: list[str]
    models: dict[str, list[str]]
    manifest_sha256: str
    n_problems: int
    kinds: dict[str, str] = field(default_factory=dict)
    modifiers: list[str] = field(default_factory=list)

    @property
    def shards(self) -> list[str]:
        """Names of the shards in manifest order, five digits."""
        return [f"{index:05d}" for index in range(self.n_shards)]


def read_plan(path: str | Path) -> Plan:
    """Read ``plan.json``."""
    return Plan(**json.loads(Path(path).read_text(encoding="utf-8")))


def adjustment_sets(config: Config, covariates: Iterable[str]) -> dict[str, list[str]]:
    """Adjustment sets of the study: those declared, else crude, age_sex and, with more covariates, full."""
    present = list(covariates)
    if config.association.models is not None:
        return {name: list(columns) for name, columns in config.association.models.items()}
    base = [name for name in DEFAULT_COVARIATES if name in present]
    models: dict[str, list[str]] = {"crude": []} | ({"age_sex": base} if base else {})
    return models | ({"full": present} if set(present) - set(base) else {})


def make_plan(config: Config, manifest_path: Path, out: Path) -> tuple[Plan, Manifest]:
    """Check the manifest and write everything that planning gives.

    Writes ``plan.json``, ``images.parquet``, ``problems.csv`` and ``shards/NNNNN.parquet`` under `out`. Shard tables
    are left untouched where their content is the same, so that only changed shards are computed again; those of a
    former, longer manifest are removed.

    Parameters
    ----------
    config : Config
    manifest_path : Path
    out : Path
        ``results/<cohort>/manifest``.

    Returns
    -------
    Plan, Manifest

    Raises
    ------
    ManifestError, ConfigError
    """
    names = header(manifest_path)
    covariates = (
        list(config.covariates) if config.covariates is not None else [n for n in DEFAULT_COVARIATES if n in names]
    )
    models = adjustment_sets(config, covariates)
    modifiers = list(dict.fromkeys([*config.association.interactions, *config.association.strata]))
    used = dict.fromkeys([*covariates, *(c for columns in models.values() for c in columns), *modifiers])
    extra = [name for name in used if name not in MEASURED_COVARIATES]
    kinds = _other_kinds(config)
    binary = config.outcomes and [name for name in config.outcomes if name not in kinds]
    manifest = read_manifest(manifest_path, outcomes=binary, numeric=[*extra, *kinds])
    kinds = dict.fromkeys((n for n in manifest.outcomes if n not in kinds), "binary") | kinds
    missing = [n for n in extra if n not in names]
    if missing:
        raise ManifestError(
            f"{manifest_path.name}: no column {missing[0]!r}, which the configuration names as a covariate; "
            "add it or leave it out."
        )
    both = sorted(set(kinds) & set(extra))
    if both:
        raise ConfigError(f"config: {both[0]!r} is both an outcome and a covariate; take it out of one.")
    n_images = len(manifest.images)
    plan = Plan(
        n_images=n_images,
        n_shards=-(-n_images // config.shard_size),
        shard_size=config.shard_size,
        outcomes=list(kinds),
        covariates=covariates,
        models=models,
        manifest_sha256=hashlib.sha256(manifest_path.read_bytes()).hexdigest(),
        n_problems=len(manifest.problems),
        kinds=kinds,
        modifiers=modifiers,
    )
    _write(plan, manifest, out)
    return plan, manifest


def _other_kinds(config: Config) -> dict[str, str]:
    """Kind of each outcome that does not have two values."""
    ordinal, continuous = config.association.ordinal, config.association.continuous
    both = sorted(set(ordinal) & set(continuous))
    if both:
        raise ConfigError(f"config: {both[0]!r} is both ordinal and continuous; take it out of one.")
    return dict.fromkeys(ordinal, "ordinal") | dict.fromkeys(continuous, "continuous")


def _write(plan: Plan, manifest: Manifest, out: Path) -> None:
    for index, name in enumerate(plan.shards):
        part = manifest.images.iloc[index * plan.shard_size : (index + 1) * plan.shard_size]
        tables.write_table(part, out / "shards" / f"{name}.parquet", tables.SHARD, only_if_changed=True)
    wanted = set(plan.shards)
    for old in (out / "shards").glob("*.parquet"):
        if old.stem not in wanted:
            old.unlink()
    problems = pd.DataFrame([asdict(p) for p in manifest.problems], columns=["row", "column", "message"])
    tables.write_table(problems, out / "problems.csv")
    tables.write_table(manifest.images.drop(columns=["path", "file_bytes"]), out / "images.parquet")
    tables.write_bytes(json.dumps(asdict(plan), indent=2) + "\n", out / "plan.json")


def report_problems(manifest: Manifest, echo: Callable[[str], None], limit: int = 20) -> None:
    """Say the first `limit` problems of a manifest, and how many more there are."""
    for problem in manifest.problems[:limit]:
        echo(f"manifest: {problem}")
    if len(manifest.problems) > limit:
        echo(f"manifest: and {len(manifest.problems) - limit} more problems")
