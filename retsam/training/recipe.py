"""What a network is trained on and how: a recipe read from YAML. Needs no torch.

The blocks ``schedule``, ``loss`` and ``augmentation`` have the fields and defaults of ``trainer.Schedule``,
``losses.LossWeights`` and ``augment.Augmentation``; a test holds them together.
"""

import dataclasses
import difflib
import hashlib
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from retsam.datasets import DATASETS, Dataset, get_dataset
from retsam.errors import UserError
from retsam.segmentation.engine import SUFFIX, WEIGHTS
from retsam.segmentation.network.config import HEADS, PRESETS, Adapters, NetworkConfig
from retsam.taxonomy import TARGETS
from retsam.training.sources import PHANTOM

SMOKE = NetworkConfig(
    "smoke",
    detail_size=128,
    context_size=64,
    embed_dim=32,
    depth=2,
    num_heads=4,
    window_size=4,
    global_blocks=(1,),
    neck_channels=16,
    widths=(4, 8, 8, 8, 16),
)
"""A network of no use but to see that everything runs."""

NETWORKS: Mapping[str, NetworkConfig] = MappingProxyType({**PRESETS, SMOKE.preset: SMOKE})

RECIPES = Path(__file__).parent / "recipes"
"""Folder of the shipped recipes."""

RUNTIME = ("data", "device", "compile", "loaders")
"""Keys that say where and how a run is computed; they are no part of its result."""

STAGES = ("experts", "pseudo")
"""Keys of other stages than the one that trains by this recipe."""

LATER = ("initial", "frozen", "branches", "context_size", "sam", "sam_pixels", "file", "folder", "absent")
"""Keys that came after the first runs: at their default they are no part of the digest, so that those runs go on."""


class RecipeError(UserError):
    """The recipe cannot be used; the message lists every problem, one a line."""


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceRecipe(_Block):
    """One data set, phantoms, a user's own annotated photographs, or photographs with pseudo-labels."""

    name: str = Field(description="Name of a data set (docs/datasets.md), or phantom; free with file or folder.")
    file: str | None = Field(None, description="Packed frames that 'retsam train pseudo-label' made.")
    folder: str | None = Field(None, description="Own photographs: images/NAME.* and masks/TARGET/NAME.png in it.")
    share: float = Field(1.0, ge=0, description="Weight of the source among the samples of a batch.")
    role: Literal["train", "validation"] = Field("train", description="validation keeps all of it out of training.")
    validation: int = Field(0, ge=0, description="Photographs of a training source kept for validation.")
    test: int = Field(0, ge=0, description="Photographs kept out of training and validation, to judge the result by.")
    split: Literal["train", "val", "test", "all"] = Field("train", description="Official part.")
    targets: tuple[str, ...] | None = Field(None, description="Targets to use; null takes all that it annotates.")
    absent: bool = Field(False, description="Also learn what labels of whole photographs rule out.")
    exclude: tuple[str, ...] = Field((), description="Photographs to leave out, by their stem.")
    webp: bool = Field(False, description="Kept as WebP, a third of the size; for targets without fine detail.")
    count: int | None = Field(None, ge=1, description="Phantoms only: how many.")
    seed: int | None = Field(None, ge=0, description="Phantoms only: seed of the first; 0 by default.")
    size: int | None = Field(None, ge=32, description="Phantoms only: diameter in pixels; the frame's by default.")
    diseases: tuple[str, ...] | None = Field(None, description="Phantoms only: null draws them by prevalence.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        for target in self.targets or ():
            if target not in TARGETS:
                raise ValueError(f"{target!r} is no target; {_near(target, TARGETS)}")
        if self.file is not None or self.folder is not None:
            return self._check_own()
        if self.name == PHANTOM:
            if self.count is None:
                raise ValueError("phantoms need a count")
            if self.absent:
                raise ValueError("of phantoms everything is known; leave 'absent' away")
            return self
        if given := [k for k in ("count", "seed", "size", "diseases") if getattr(self, k) is not None]:
            raise ValueError(f"{given[0]} is for phantoms only, this is {self.name}")
        try:
            dataset = get_dataset(self.name)
        except UserError as error:
            raise ValueError(str(error)) from None
        if dataset.validation_only:
            raise ValueError(f"{self.name} may be used to judge a model only, never in a training recipe")
        self._check_labels(dataset)
        if "test" in dataset.photographs and self.split in ("test", "all"):
            raise ValueError(
                f"the official test part of {self.name} may be used to judge a model only; use split: train"
            )
        return self

    def _check_labels(self, dataset: Dataset) -> None:
        """Check what is asked of labels of whole photographs."""
        if not self.absent:
            if not dataset.targets:
                hint = "'absent: true' takes those" if dataset.rules_out else "take another set"
                raise ValueError(f"{self.name} has labels of whole photographs only; {hint}")
            return
        if not dataset.rules_out:
            raise ValueError(f"no label of {self.name} rules anything out; leave 'absent' away")
        if self.targets is not None and not dataset.rules_out & set(self.targets):
            names = ", ".join(t for t in TARGETS if t in dataset.rules_out)
            raise ValueError(f"{self.name}: 'targets' names nothing that its labels rule out; add some of {names}")

    def _check_own(self) -> Self:
        """Check a source that is a file or a folder."""
        if self.file is not None and self.folder is not None:
            raise ValueError("give a file of packed frames or a folder of annotated photographs, not both")
        if self.absent:
            raise ValueError(
                f"absent is for public sets with labels; a folder has empty masks for it, this is {self.name}"
            )
        if self.name == PHANTOM or self.name in DATASETS or not re.fullmatch(r"[A-Za-z0-9_.-]+", self.name):
            raise ValueError(
                f"{self.name!r} cannot name a file or folder of one's own; take letters, digits, - and _, "
                "and no name that a data set has"
            )
        if given := [k for k in ("count", "seed", "size", "diseases") if getattr(self, k) is not None]:
            raise ValueError(f"{given[0]} is for phantoms only, this is {self.name}")
        if self.file is not None and (self.role == "validation" or self.validation or self.test):
            raise ValueError(f"{self.name} has pseudo-labels, which can judge nothing; leave validation and test out")
        return self

    @property
    def annotates(self) -> frozenset[str]:
        """Targets of which the source can know something; of a file or folder only reading it would tell."""
        known = frozenset(TARGETS)
        if self.name in DATASETS:
            known = frozenset(DATASETS[self.name].targets)
            known |= {"vessel"} if {"artery", "vein"} <= known else set()
            known |= DATASETS[self.name].rules_out if self.absent else set()
        return known if self.targets is None else known & frozenset(self.targets)

    def content(self, frame_size: int) -> dict[str, Any]:
        """What the frames of this source depend on, for the name of their cache."""
        keys = ("webp", *(("count", "seed", "size", "diseases") if self.name == PHANTOM else ("split", "exclude")))
        values = {"name": self.name, "frame_size": frame_size, **self.model_dump(mode="json", include=set(keys))}
        values |= {"absent": True} if self.absent else {}
        return values if self.folder is None else {**values, "folder": folder_hash(self.folder)}

    def settings(self) -> dict[str, Any]:
        """Plain values of all that decides the result; a file or folder by the SHA-256 of what is in it."""
        values = self.model_dump(mode="json")
        values = {k: v for k, v in values.items() if k not in LATER or v != type(self).model_fields[k].default}
        if self.file is not None:
            values["file"] = file_hash(packed_file(self.file))
        if self.folder is not None:
            values["folder"] = folder_hash(self.folder)
        return values


class ExpertRecipe(_Block):
    """One network of the stage ``experts``; what it does not say is as in the recipe."""

    targets: tuple[str, ...] = Field(min_length=1, description="Targets that it learns.")
    sources: tuple[str, ...] | None = Field(None, description="Names of sources; null: those that annotate a target.")
    steps: int | None = Field(None, ge=1, description="Null: as many as the recipe's schedule says.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        for target in self.targets:
            if target not in TARGETS:
                raise ValueError(f"{target!r} is no target; {_near(target, TARGETS)}")
        return self


class PseudoRecipe(_Block):
    """Which labels of the stage ``pseudo-label`` are kept."""

    agreement: float = Field(0.85, ge=0, le=1, description="Least mean Dice between the views of a photograph.")
    votes: float = Field(0.75, gt=0.5, le=1, description="Share of the views that decides a pixel; others are ignored.")
    magnification: float = Field(1.25, gt=1, le=2, description="Of every second view.")
    targets: tuple[str, ...] | None = Field(None, description="Null: all that the experts know from photographs.")
    share: float = Field(1.0, gt=0, description="Share of the frames in a batch, where the workflow adds them.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        for target in self.targets or ():
            if target not in TARGETS:
                raise ValueError(f"{target!r} is no target; {_near(target, TARGETS)}")
        return self


class ScheduleRecipe(_Block):
    """See ``trainer.Schedule``."""

    steps: int = Field(ge=1)
    learning_rate: float = Field(2e-3, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    warmup: int = Field(200, ge=0)
    clip: float = Field(1.0, gt=0)
    ema: float = Field(0.999, ge=0, lt=1)
    validate_every: int = Field(500, ge=1)
    patience: int = Field(0, ge=0)
    mixed: bool = True
    keep: Literal["best", "last"] = "best"


class LossRecipe(_Block):
    """See ``losses.LossWeights``."""

    dice: float = Field(1.0, ge=0)
    cross_entropy: float = Field(1.0, ge=0)
    cldice: float = Field(0.2, ge=0)
    consistency: float = Field(0.1, ge=0)
    per_image: bool = True
    focal_gamma: float = Field(0.0, ge=0)
    minor: float = Field(0.2, ge=0)


class AugmentationRecipe(_Block):
    """See ``augment.Augmentation``."""

    magnification: tuple[float, float] = (0.7, 2.1)
    rotation: float = Field(180.0, ge=0)
    stretch: float = Field(0.08, ge=0)
    mirror: bool = True
    contrast: tuple[float, float] = (0.4, 1.4)
    gain: float = Field(0.12, ge=0)
    gamma: float = Field(0.2, ge=0)
    light: float = Field(0.2, ge=0)
    blur: float = Field(1.5, ge=0, le=2.5)
    noise: float = Field(0.03, ge=0)
    grey: float = Field(0.05, ge=0, le=1)
    coarse: float = Field(2.2, ge=1)
    quality: tuple[float, float] = (40.0, 95.0)
    stored: float = Field(0.0, ge=0, le=1)


class Recipe(_Block):
    """One training run."""

    preset: str = Field("retsam-tiny", description="Network.")
    detail: bool = Field(True, description="Detail branch; off for ablation.")
    fusion: bool = Field(True, description="Fusion block; off for ablation.")
    adapters: Adapters = Field("none", description="Adapters in the encoder.")
    branches: tuple[str, ...] = Field((), description="Heads with a detail branch of their own: [vessels].")
    context_size: int | None = Field(
        None, ge=64, multiple_of=32, description="Side of the frame as the encoder sees it; null: the preset's."
    )
    frame_size: int = Field(1024, ge=64, multiple_of=64, description="Side of the canonical frame, pixels.")
    data: str = Field("data", description="Folder around the data sets; RETSAM_DATA, where it is set, comes first.")
    sources: tuple[SourceRecipe, ...]
    focus: float = Field(0.5, ge=0, le=1, description="Share of the crops that are laid around something marked.")
    crop: int = Field(512, ge=16, multiple_of=16, description="Side of the crops that are trained on, pixels.")
    batch: int = Field(16, ge=1, description="Crops a step.")
    schedule: ScheduleRecipe
    loss: LossRecipe = LossRecipe()
    augmentation: AugmentationRecipe = AugmentationRecipe()
    experts: dict[str, ExpertRecipe] = Field({}, description="Networks of the stage experts, by name.")
    pseudo: PseudoRecipe = PseudoRecipe()
    initial: str | None = Field(None, description="Weights to start from: a file or a shipped name; null: random ones.")
    frozen: tuple[str, ...] = Field((), description="Parts of the network that stay as they are: [image_encoder].")
    sam: str | None = Field(None, description="Checkpoint of SAM, MedSAM or SAM-Med2D that the encoder starts from.")
    sam_pixels: Literal["sam", "medsam", "sam_med2d"] | None = Field(
        None, description="Pixels that its encoder knows; null: sam_med2d if it has adapters, otherwise sam."
    )
    seed: int = Field(1, ge=0)
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N; --device overrides it.")
    compile: bool = Field(False, description="torch.compile the network.")
    loaders: int = Field(1, ge=1, description="Threads that make batches.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.preset not in NETWORKS:
            raise ValueError(f"no network is named {self.preset!r}; {_near(self.preset, NETWORKS)}")
        if unknown := [name for name in self.branches if name not in {head.name for head in HEADS}]:
            raise ValueError(
                f"branches: no head is named {unknown[0]!r}; {_near(unknown[0], {h.name: h for h in HEADS})}"
            )
        if self.crop > self.frame_size:
            raise ValueError(f"crop {self.crop} is larger than the frame, {self.frame_size}")
        if self.sam and self.initial:
            raise ValueError("sam and initial both give the encoder's weights; give one of them")
        if self.sam_pixels and not self.sam:
            raise ValueError("sam_pixels says how the checkpoint of sam was trained; give that too")
        names = [source.name for source in self.sources]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{twice[0]} is listed twice")
        trained = [source for source in self.sources if source.role == "train"]
        if not any(source.share for source in trained):
            raise ValueError("no source with role: train has a share above 0")
        if not any(source.role == "validation" or source.validation for source in self.sources):
            raise ValueError("nothing is left for validation; give a source 'validation: N'")
        for name in self.experts:
            self._check_expert(name)
        return self

    def _check_expert(self, name: str) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
            raise ValueError(f"expert {name!r} names a folder; take letters, digits, - and _")
        known = {source.name: source for source in self.sources}
        for source in self.experts[name].sources or ():
            if source not in known:
                raise ValueError(f"expert {name}: no source is named {source!r}; {_near(source, known)}")
        try:
            self.expert(name)
        except ValidationError as error:
            raise ValueError(f"expert {name}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None

    def expert(self, name: str) -> "Recipe":
        """Recipe of one expert: its targets alone, from the sources that can know one of them."""
        wanted, sources = self.experts[name], []
        for source in self.sources:
            if wanted.sources is not None and source.name not in wanted.sources:
                continue
            if targets := [target for target in wanted.targets if target in source.annotates]:
                absent = source.absent and bool(DATASETS[source.name].rules_out & set(targets))
                sources.append({**source.model_dump(), "targets": targets, "absent": absent})
        values = self.model_dump(exclude={"experts"}) | {"sources": sources}
        return Recipe.model_validate(values).with_steps(wanted.steps)

    def with_pseudo_labels(self, file: str | Path) -> "Recipe":
        """Return the same recipe with a source ``pseudo`` of packed frames."""
        source = SourceRecipe(name="pseudo", file=str(file), share=self.pseudo.share)
        return Recipe.model_validate(self.model_dump() | {"sources": [*self.model_dump()["sources"], source]})

    @property
    def network(self) -> NetworkConfig:
        """Form of the network."""
        return dataclasses.replace(
            NETWORKS[self.preset],
            context_size=self.context_size or NETWORKS[self.preset].context_size,
            detail_size=self.frame_size,
            detail=self.detail,
            fusion=self.fusion,
            adapters=self.adapters,
            branches=self.branches,
        )

    def settings(self) -> dict[str, Any]:
        """Plain values of all that decides the result: without :data:`RUNTIME`, a file of weights by its SHA-256."""
        values = self.model_dump(mode="json", exclude={*RUNTIME, *STAGES})
        values = {k: v for k, v in values.items() if k not in LATER or getattr(self, k) != _default(k)}
        values["sources"] = [source.settings() for source in self.sources]
        if self.initial is not None:
            values["initial"] = file_hash(initial_file(self.initial))
        if self.sam is not None:
            values["sam"] = _sha256(self.sam)
        return values

    def digest(self) -> str:
        """SHA-256 of :meth:`settings`; how many steps there are and which weights are kept does not count."""
        values = self.settings()
        for name in ("steps", "keep"):
            values["schedule"].pop(name)
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

    def with_steps(self, steps: int | None) -> "Recipe":
        """Return the same recipe with another number of steps."""
        if steps is None:
            return self
        if steps < 1:
            raise UserError(f"--steps {steps}: at least one step is needed.")
        return self.model_copy(update={"schedule": self.schedule.model_copy(update={"steps": steps})})

    def with_initial(self, name: str | None) -> "Recipe":
        """Return the same recipe, started from weights: a file or a shipped name."""
        if name is None:
            return self
        if self.sam:
            raise UserError(f"--initial {name}: the recipe has sam, which gives the encoder's weights; leave one out.")
        return self.model_copy(update={"initial": name})


def _default(key: str) -> Any:
    return Recipe.model_fields[key].get_default()


@lru_cache
def _sha256(path: str) -> str:
    """Of a file that can be gigabytes large."""
    if not Path(path).is_file():
        raise UserError(f"sam: no checkpoint at {path}; give a .pth or .safetensors file of SAM, MedSAM or SAM-Med2D.")
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


@lru_cache(maxsize=8)
def folder_hash(folder: str) -> str:
    """SHA-256 of the names and contents of all files in a folder.

    Raises
    ------
    UserError
        If there is no such folder.
    """
    root = Path(folder)
    if not root.is_dir():
        raise UserError(f"no folder {folder}; lay the set out as images/NAME.* and masks/TARGET/NAME.png in it.")
    files = sorted(path for path in root.rglob("*") if path.is_file() and path.name[0] != ".")
    content = [(path.relative_to(root).as_posix(), file_hash(path)) for path in files]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def packed_file(name: str) -> Path:
    """File of packed frames.

    Raises
    ------
    UserError
        If there is none.
    """
    if not Path(name).is_file():
        raise UserError(f"no packed frames at {name}; make them with retsam train pseudo-label.")
    return Path(name)


def initial_file(name: str) -> Path:
    """File of weights to start from: a path, or the name of shipped weights.

    Raises
    ------
    UserError
        If there is none.
    """
    shipped = WEIGHTS / f"{name}{SUFFIX}"
    path = Path(name) if name.endswith(SUFFIX) or not shipped.is_file() else shipped
    if not path.is_file():
        names = ", ".join(sorted(p.stem for p in WEIGHTS.glob(f"*{SUFFIX}"))) or "none"
        raise UserError(f"no weights at {name} to start from; give a {SUFFIX} file or a shipped name ({names}).")
    return path


def read_recipe(path: str | Path) -> Recipe:
    """Read a recipe.

    Parameters
    ----------
    path : path-like
        A YAML file, or the name of a shipped recipe (``unify``, ``smoke``).

    Raises
    ------
    UserError
        If there is no such file, or with every problem in it, one a line.
    """
    file = recipe_file(path)
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is no YAML file: {' '.join(str(error).split())}.") from None
    if not isinstance(values, dict):
        raise RecipeError(f"{path} holds no keys; see docs/training.md.")
    return parse_recipe(values)


def recipe_file(path: str | Path) -> Path:
    """File of a recipe; see :func:`read_recipe`.

    Raises
    ------
    UserError
        If there is none.
    """
    shipped = RECIPES / f"{path}.yaml"
    if not Path(path).is_file() and not shipped.is_file():
        names = ", ".join(sorted(p.stem for p in RECIPES.glob("*.yaml")))
        raise UserError(f"no recipe at {path}; shipped ones are {names}.")
    return Path(path) if Path(path).is_file() else shipped


def run_folder(around: Path, stage: str, *hashes: str) -> Path:
    """Folder of a run that depends on the hashes of all that decides it: what has changed starts anew elsewhere."""
    return around / "runs" / f"{stage}-{hashlib.sha256(' '.join(hashes).encode()).hexdigest()[:12]}"


def parse_recipe(values: Mapping[str, Any]) -> Recipe:
    """Check a mapping as read from YAML; raises :class:`RecipeError` with every problem, one a line."""
    try:
        return Recipe.model_validate(dict(values))
    except ValidationError as error:
        raise RecipeError("\n".join(_explain(dict(e)) for e in error.errors())) from None


_BLOCKS: Mapping[str, type[_Block]] = MappingProxyType(
    {
        "sources": SourceRecipe,
        "schedule": ScheduleRecipe,
        "loss": LossRecipe,
        "augmentation": AugmentationRecipe,
        "experts": ExpertRecipe,
        "pseudo": PseudoRecipe,
    }
)


def _explain(error: dict[str, Any]) -> str:
    place = [str(part) for part in error["loc"]]
    where = ".".join(place)
    if error["type"] == "extra_forbidden":
        block: type[_Block] = _BLOCKS[place[0]] if len(place) > 1 else Recipe
        return f"recipe: unknown key {where!r}; {_near(place[-1], block.model_fields)}"
    message = error["msg"].removeprefix("Value error, ").rstrip(".")
    return f"recipe: {where + ': ' if where else ''}{message[0].lower() + message[1:]}."


def _near(name: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
