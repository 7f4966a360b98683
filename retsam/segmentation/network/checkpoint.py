"""Weights of a network in one file: safetensors in half precision, with form, provenance and thresholds in its header.

A file of this kind holds numbers and text alone, so reading one runs no code of its author.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors import torch as tensors

from retsam.errors import UserError
from retsam.segmentation.network.config import NetworkConfig
from retsam.segmentation.network.model import RetSAM
from retsam.tables import write_bytes
from retsam.taxonomy import TARGETS, Evidence

FORMAT = 1
"""Version of the header's layout."""

_KEY = "retsam"
# One entry: several would be written in an order that differs from run to run.

_REPORTED = 3
"""Names of tensors that an error message lists of each kind."""


@dataclass(frozen=True)
class TargetRecord:
    """What is known of one target of a checkpoint.

    Attributes
    ----------
    evidence : str
        Value of :class:`retsam.taxonomy.Evidence`.
    threshold : float
        Probability above which a pixel can belong to the mask, 0-1.
    metrics : mapping of str to float
        How well the target did, by name of the measure.
    """

    evidence: str
    threshold: float
    metrics: Mapping[str, float]

    def __post_init__(self) -> None:
        Evidence(self.evidence)
        if not 0.0 <= self.threshold <= 1.0:
            raise ValueError(f"threshold is {self.threshold}, not between 0 and 1")


@dataclass(frozen=True)
class Metadata:
    """Where weights come from and what they are good for.

    Attributes
    ----------
    name : str
        Of the model.
    targets : mapping of str to TargetRecord
        Those that the weights provide; the network's other channels are untrained.
    data : tuple of mappings
        What it learnt from: set, split, licence, role (``train``, ``validation`` or ``test``: kept out of both) and n,
        the number of photographs; where they are held back from training, or a few of their set, also
        ``images``, their ids.
    stages : tuple of mappings
        Settings of each stage of the training.
    licence : str
        Of the weights.
    version : str
        Of the weights.
    judged : tuple of mappings
        How well it did on photographs that it never saw: set, part, target, measure, value, low and high (95 %
        interval, None where there is none) and n. Empty before anybody judged it.
    """

    name: str
    targets: Mapping[str, TargetRecord]
    data: tuple[Mapping[str, Any], ...]
    stages: tuple[Mapping[str, Any], ...]
    licence: str
    version: str
    judged: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.targets) - set(TARGETS)):
            raise ValueError(f"{unknown[0]!r} is no target")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Metadata":
        """Read the plain values that a file holds.

        Raises
        ------
        TypeError, ValueError
            For keys that are missing or unknown, and for values that make no sense.
        """
        plain = dict(values)
        targets = {name: TargetRecord(**record) for name, record in dict(plain.pop("targets")).items()}
        data, stages = tuple(plain.pop("data")), tuple(plain.pop("stages"))
        judged = tuple(plain.pop("judged", ()))
        return cls(targets=targets, data=data, stages=stages, judged=judged, **plain)


@dataclass(frozen=True)
class Checkpoint:
    """What :func:`load` found in a file.

    Attributes
    ----------
    config : NetworkConfig
    weights : dict of str to float32 tensor
        Every parameter and every running statistic of the network, on the CPU.
    metadata : Metadata
    sha256 : str
        Of the file.
    """

    config: NetworkConfig
    weights: dict[str, torch.Tensor]
    metadata: Metadata
    sha256: str

    def network(self) -> RetSAM:
        """Build the network with these weights, float32, on the CPU, in evaluation mode."""
        model = RetSAM(self.config)
        # Counters of batches, which only training uses, are not stored.
        model.load_state_dict(self.weights, strict=False)
        return model.eval()


def save(path: str | Path, config: NetworkConfig, weights: Mapping[str, torch.Tensor], metadata: Metadata) -> str:
    """Write a checkpoint, atomically; the same content gives the same bytes.

    Parameters
    ----------
    path : path-like
    config : NetworkConfig
    weights : mapping of str to tensor
        State dict of ``RetSAM(config)``; tensors that are not of a floating type are left out.
    metadata : Metadata

    Returns
    -------
    str
        SHA-256 of the file.

    Raises
    ------
    ValueError
        If the weights are not those of this network, or a value is not finite in half precision.
    """
    floats = {name: tensor for name, tensor in weights.items() if tensor.is_floating_point()}
    if report := mismatch(config, {name: tuple(tensor.shape) for name, tensor in floats.items()}):
        raise ValueError(f"the weights are not of this network: {report}")
    halves = {name: _half(name, floats[name]) for name in sorted(floats)}
    header = {"format": FORMAT, "config": config.as_dict(), "metadata": _plain(metadata)}
    text = json.dumps(header, sort_keys=True, ensure_ascii=False, allow_nan=False)
    content = tensors.save(halves, metadata={_KEY: text})
    write_bytes(content, path)
    return hashlib.sha256(content).hexdigest()


def load(path: str | Path) -> Checkpoint:
    """Read a checkpoint.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    Checkpoint

    Raises
    ------
    UserError
        If there is no such file, it is of another kind or damaged, or its tensors are not those of its network.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no file of weights at {path}; give a .safetensors file.")
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(_KEY)
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no dict)
        with path.open("rb") as handle:
            sha256 = hashlib.file_digest(handle, "sha256").hexdigest()
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise UserError(f"{path.name} is no whole safetensors file; download it or train it again.") from error
    config, metadata = _read_header(path.name, header)
    if report := mismatch(config, {name: tuple(tensor.shape) for name, tensor in found.items()}):
        raise UserError(f"{path.name} does not fit the network that it describes: {report}.")
    return Checkpoint(config, {name: tensor.float() for name, tensor in found.items()}, metadata, sha256)


def read_metadata(path: str | Path) -> Metadata:
    """Read only the description of a checkpoint, not its weights; raises as :func:`load`."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no file of weights at {path}; give a .safetensors file.")
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(_KEY)
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise UserError(f"{path.name} is no whole safetensors file; download it or train it again.") from error
    return _read_header(path.name, header)[1]


def _read_header(name: str, text: str | None) -> tuple[NetworkConfig, Metadata]:
    if text is None:
        raise UserError(f"{name} holds tensors but no description of a RetSAM network; give a file that RetSAM wrote.")
    try:
        header = json.loads(text)
        if header["format"] != FORMAT:
            raise UserError(f"{name} has format {header['format']}, this version of RetSAM reads {FORMAT}.")
        config = NetworkConfig.from_dict(header["config"])
        metadata = Metadata.from_dict(header["metadata"])
    except UserError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{name} describes no network that this version of RetSAM knows ({error}).") from error
    return config, metadata


def mismatch(config: NetworkConfig, found: Mapping[str, tuple[int, ...]]) -> str:
    """Say which tensors, given by shape, are missing, unexpected or misshapen for a network; empty where all fit."""
    try:
        with torch.device("meta"):  # shapes only, no memory
            state = RetSAM(config).state_dict()
    except Exception as error:  # a config that fits no network fails in many ways
        return f"no network can be built as described ({error})"
    wanted = {name: tuple(tensor.shape) for name, tensor in state.items() if tensor.is_floating_point()}
    kinds = {
        "missing": [name for name in wanted if name not in found],
        "unexpected": [name for name in found if name not in wanted],
        "misshapen": [
            f"{name} {found[name]} instead of {wanted[name]}"
            for name in wanted
            if name in found and found[name] != wanted[name]
        ],
    }
    return "; ".join(f"{len(names)} {kind} ({_listed(names)})" for kind, names in kinds.items() if names)


def _listed(names: list[str]) -> str:
    names = sorted(names)
    return ", ".join([*names[:_REPORTED], *(["..."] if len(names) > _REPORTED else [])])


def _half(name: str, tensor: torch.Tensor) -> torch.Tensor:
    half = tensor.detach().to("cpu", torch.float16).contiguous().clone()
    if not bool(torch.isfinite(half).all()):
        raise ValueError(f"{name} has values that are not finite in half precision")
    return half


def _plain(metadata: Metadata) -> dict[str, Any]:
    """Plain values for JSON, whatever kinds of mapping the caller chose."""
    plain = {name: getattr(metadata, name) for name in ("name", "licence", "version")}
    targets = {
        name: {"evidence": str(r.evidence), "threshold": float(r.threshold), "metrics": _finite(r.metrics)}
        for name, r in metadata.targets.items()
    }
    judged = {"judged": [dict(row) for row in metadata.judged]} if metadata.judged else {}
    return (
        plain
        | judged
        | {
            "targets": targets,
            "data": [dict(entry) for entry in metadata.data],
            "stages": [dict(entry) for entry in metadata.stages],
        }
    )


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    """Measures that have a value; JSON has no NaN."""
    return {name: float(value) for name, value in metrics.items() if math.isfinite(value)}
