"""Files of weights: which are part of the package, what each is, whether it is whole."""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from retsam.errors import UserError
from retsam.segmentation import engine
from retsam.segmentation.engine import SUFFIX
from retsam.taxonomy import TARGETS, Evidence

if TYPE_CHECKING:
    from retsam.segmentation.network.checkpoint import Checkpoint, Metadata

SUMS = "SHA256SUMS"
"""File beside the shipped weights with the SHA-256 of each, as ``sha256sum`` writes it."""

_LONGEST_HEADER = 100_000_000
"""Bytes; safetensors itself takes no longer one."""


@dataclass(frozen=True)
class Summary:
    """What a file of weights is, in a few numbers.

    Attributes
    ----------
    name : str
        Of the model.
    file : str
    bytes : int
        Size of the file.
    parameters : int
        Numbers that training chose; running statistics do not count.
    sha256 : str
    evidence : mapping of str to int
        Number of targets by evidence level, the strongest level first.
    """

    name: str
    file: str
    bytes: int
    parameters: int
    sha256: str
    evidence: dict[str, int]

    def line(self) -> str:
        """One line for a terminal."""
        counts = ", ".join(f"{n} {level}" for level, n in self.evidence.items())
        size = f"{self.bytes / 1e6:.1f} MB, {self.parameters / 1e6:.2f} M parameters"
        return f"{self.name}: {size}, sha256 {self.sha256[:12]}, {sum(self.evidence.values())} targets ({counts})"


def shipped() -> list[Path]:
    """Files of weights that are part of the package."""
    return sorted(engine.WEIGHTS.glob(f"*{SUFFIX}"))


def find_weights(name: str) -> Path:
    """File of weights by name, where it is part of the package, or by path.

    Raises
    ------
    UserError
        If there is none.
    """
    path = Path(name) if name.endswith(SUFFIX) else engine.WEIGHTS / f"{name}{SUFFIX}"
    if path.is_file():
        return path
    if name.endswith(SUFFIX):
        raise UserError(f"no file of weights at {name}; give a {SUFFIX} file.")
    known = ", ".join(path.stem for path in shipped())
    raise UserError(f"no weights named {name!r}: {f'there are {known}' if known else 'none are shipped'}; give a file.")


def metadata_of(model: str) -> "Metadata | None":
    """Description of a model as ``load_engine`` takes it; None for one without weights."""
    if not model.endswith(SUFFIX) and not (engine.WEIGHTS / f"{model}{SUFFIX}").is_file():
        return None
    from retsam.segmentation.network.checkpoint import read_metadata

    return read_metadata(find_weights(model))


def evidence_of(model: str) -> dict[str, str]:
    """Evidence level of each target that a model provides, from the file's header alone: nothing is loaded, no torch.

    Parameters
    ----------
    model : str
        As ``load_engine`` takes it.

    Raises
    ------
    UserError
        If there is no such model, or its file has no header that RetSAM wrote.
    """
    if model in engine.ENGINES:
        return {name: str(level) for name, level in engine.load_engine(model, "cpu").targets.items()}
    path = find_weights(model)
    try:
        with path.open("rb") as handle:
            length = int.from_bytes(handle.read(8), "little")  # of the JSON that a safetensors file opens with
            header = json.loads(handle.read(min(length, _LONGEST_HEADER)))
        targets = json.loads(header["__metadata__"]["retsam"])["metadata"]["targets"]
        return {name: str(Evidence(targets[name]["evidence"])) for name in TARGETS if name in targets}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path.name} has no header that describes a RetSAM network; give another file.") from error


def parameters(checkpoint: "Checkpoint") -> int:
    """Number of trained numbers of a network; running statistics of normalisation do not count."""
    statistics = ("running_mean", "running_var")
    return sum(tensor.numel() for name, tensor in checkpoint.weights.items() if not name.endswith(statistics))


def summary(path: Path) -> Summary:
    """Describe a file of weights.

    Raises
    ------
    UserError
        If it cannot be read, or its tensors are not those of its network.
    """
    from retsam.segmentation.network.checkpoint import load

    found = load(path)
    levels = Counter(record.evidence for record in found.metadata.targets.values())
    evidence = {level.value: levels[level.value] for level in Evidence}
    return Summary(found.metadata.name, path.name, path.stat().st_size, parameters(found), found.sha256, evidence)


def verify(path: Path) -> Summary:
    """Check that a file of weights is whole: readable, of its own network, finite, and the one that was shipped.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Summary

    Raises
    ------
    UserError
        With the first thing that is wrong.
    """
    import torch

    from retsam.segmentation.network.checkpoint import load

    if path.parent.resolve() == engine.WEIGHTS.resolve():
        _check_sum(path)
    for name, tensor in load(path).weights.items():
        if not bool(torch.isfinite(tensor).all()):
            raise UserError(f"{path.name}: {name} has values that are not finite; train it again.")
    return summary(path)


def _check_sum(path: Path) -> None:
    """Hold a shipped file against the list of sums."""
    sums = path.parent / SUMS
    if not sums.is_file():
        raise UserError(f"{path.name} cannot be checked: {SUMS} is missing beside it; install the package again.")
    rows = [line.split() for line in sums.read_text(encoding="utf-8").splitlines() if line.strip()]
    listed = {row[-1].lstrip("*"): row[0] for row in rows}
    if path.name not in listed:
        raise UserError(f"{path.name} is not listed in {SUMS}; install the package again.")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != listed[path.name]:
        raise UserError(
            f"{path.name} is not the file that was shipped: its sha256 is {digest[:12]}, {SUMS} has "
            f"{listed[path.name][:12]}; install the package again."
        )
