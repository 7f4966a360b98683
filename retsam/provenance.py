"""Where a result comes from: versions and hashes, nothing of the machine or the moment."""

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from importlib import metadata
from typing import Any

from retsam import __version__
from retsam.config import Config

LIBRARIES = (
    "firthmodels", "matplotlib", "numpy", "opencv-python-headless", "pandas", "pillow", "pyarrow", "pycocotools",
    "scikit-image", "scikit-learn", "scipy", "segment-anything", "snakemake", "statsmodels", "tableone", "torch",
)  # fmt: skip


def config_hash(config: Config) -> str:
    """SHA-256 of the resolved configuration, independent of key order."""
    return hashlib.sha256(json.dumps(config.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


def provenance(config: Config, manifest_sha256: str, weights: dict[str, str]) -> dict[str, Any]:
    """Record of what made a result.

    Parameters
    ----------
    config : Config
    manifest_sha256 : str
    weights : dict
        Model name -> hash of its weights.

    Returns
    -------
    dict
        JSON-serialisable: retsam, python, libraries, config (resolved, files by their names only), hashes.
    """
    resolved = config.model_dump(mode="json")
    named = (
        (resolved, "manifest"),
        *((resolved["segmentation"], key) for key in ("model", "masks")),
        (resolved["report"], "truth"),
    )
    for block, key in named:
        block[key] = block[key] and block[key].replace("\\", "/").rsplit("/", 1)[-1]
    return {
        "retsam": __version__,
        "python": platform.python_version(),
        "libraries": {name: version for name in LIBRARIES if (version := _version(name))},
        "config": resolved,
        "config_sha256": config_hash(Config.model_validate(resolved)),
        "manifest_sha256": manifest_sha256,
        "weights_sha256": dict(sorted(weights.items())),
    }


def made_by(origins: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Join what the shards' tables of masks say of their making; where they differ, all values, sorted.

    Parameters
    ----------
    origins : iterable of mapping
        Metadata of the tables, as ``retsam.segmentation.origin`` makes it; empty where masks were made elsewhere.
    """
    said: dict[str, set[str]] = {}
    for origin in origins:
        for key, value in origin.items():
            said.setdefault(key, set()).add(value)
    return {key: ", ".join(sorted(values)) for key, values in sorted(said.items())}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
