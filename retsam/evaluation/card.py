"""The model card: what the header of a file of weights says, as Markdown.

No figure of a model is written here or in the template: every one comes from the header, so that a card cannot say what
nobody measured.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from retsam.datasets import DATASETS
from retsam.taxonomy import TARGETS, Evidence

if TYPE_CHECKING:
    from retsam.segmentation.network.checkpoint import Checkpoint, Metadata

Row = Mapping[str, Any]

PHANTOM = "phantom"

PEERS: Mapping[tuple[str, str, str], str] = {
    ("drive", "vessel", "dice"): "lwnet 0.828",
    ("drive", "vessel", "auc"): "lwnet 0.982",
    ("drive", "vessel", "accuracy"): "lwnet 0.955",
    ("drive", "vessel", "sensitivity"): "lwnet 0.849",
    ("drive", "vessel", "specificity"): "lwnet 0.971",
    ("drive", "artery", "dice"): "lwnet 0.729",
    ("drive", "vein", "dice"): "lwnet 0.794",
    ("drishti_gs", "optic_disc", "dice"): "AutoMorph 0.96-0.97",
    ("drishti_gs", "optic_cup", "dice"): "AutoMorph 0.78-0.79",
    ("idrid", "optic_disc", "dice"): "AutoMorph 0.968",
}
"""Figures of other open models, by set, target and measure; the template says where they are from."""

MEASURES = {
    "dice": "Dice",
    "auc": "AUC",
    "aupr": "AUPR",
    "cldice": "clDice",
    "distance_dd": "distance, disc diameters",
    "within_0.5_dd": "share within 0.5 disc diameters",
}

LABELS = {
    "bright_lesion": "a marked bright lesion",
    "dr": "diabetic retinopathy",
    "amd": "macular degeneration",
    "myopia": "pathologic myopia",
}

KINDS = {"probability": "mean probability", "cdr": "vertical cup-disc ratio"}

ROLES = {
    "train": "training",
    "validation": "validation: weights and thresholds were chosen by it",
    "test": "kept apart, to judge by",
}


def card(path: Path) -> str:
    """Describe a file of weights.

    Parameters
    ----------
    path : Path
        Checkpoint.

    Returns
    -------
    str
        Markdown; the same file gives the same text.

    Raises
    ------
    UserError
        If the file holds no network.
    """
    import jinja2

    from retsam.segmentation.network.checkpoint import load

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("retsam.evaluation"),
        autoescape=False,  # Markdown
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters |= {"line": _line, "names": _names}
    found = load(path)
    about = found.metadata
    content = {**_data(about), **_judged(about), **_evidence(about)}
    return environment.get_template("card.md").render(
        about=about,
        file=_file(path, found),
        frame=found.config.detail_size,
        stages=[_stage(stage) for stage in about.stages],
        recipes=[_recipe(stage) for stage in about.stages],
        **content,
    )


def _file(path: Path, found: "Checkpoint") -> list[tuple[str, str]]:
    from retsam.segmentation.weights import parameters

    form = found.config
    parts = [name for name, there in (("detail branch", form.detail), ("fusion block", form.fusion)) if there]
    parts += [f"{form.adapters} adapters"] if form.adapters != "none" else []
    return [
        ("name, version", f"{found.metadata.name}, {found.metadata.version}"),
        ("licence", found.metadata.licence),
        ("size", f"{path.stat().st_size / 1e6:.1f} MB, {parameters(found) / 1e6:.2f} M parameters"),
        ("form", "safetensors, half precision"),
        ("sha256", f"`{found.sha256}`"),
        ("frame", f"{form.detail_size} px; the encoder sees it at {form.context_size} px"),
        ("encoder", f"SAM's image encoder, {form.depth} blocks of {form.embed_dim} channels"),
        ("beside it", _names(parts)),
    ]


def _data(about: "Metadata") -> Row:
    names = list(dict.fromkeys(row["set"] for row in about.data))
    real = [row for row in about.data if row["set"] != PHANTOM and row["role"] == "train"]
    return {
        "data": [
            (row["set"], row["split"], ROLES.get(row["role"], row["role"]), row["n"], row["licence"])
            for row in about.data
        ],
        "titles": [(name, DATASETS[name].title) for name in names if name in DATASETS],
        "photographs": sum(row["n"] for row in real),
        "cameras": list(dict.fromkeys(row["set"] for row in real)),
    }


def _stage(stage: Row) -> tuple[Any, ...]:
    schedule, sources = stage.get("schedule", {}), stage.get("sources", ())
    shares = [f"{s['name']} {s['share']:g}" for s in sources if s.get("role", "train") == "train"]
    plain = (stage.get(key, "") for key in ("batch", "crop", "frame_size", "seed"))
    steps = (schedule.get(key, "") for key in ("steps", "learning_rate"))
    return (_stage_name(stage), *steps, *plain, ", ".join(shares), stage.get("score", ""))


def _stage_name(stage: Row) -> str:
    return " ".join(str(stage[key]) for key in ("stage", "expert") if key in stage)


def _recipe(stage: Row) -> Row:
    """Command and settings of one stage; an expert is trained as one network by ``unify``."""
    settings = {k: _plain(v) for k, v in stage.items() if k not in ("stage", "expert", "score") and v is not None}
    text = yaml.safe_dump(settings, sort_keys=True, default_flow_style=None, width=110, allow_unicode=True)
    adapt = stage.get("stage") == "adapt"
    command = "adapt --config recipe.yaml --initial WEIGHTS" if adapt else "unify --config recipe.yaml"
    return {"name": _stage_name(stage), "command": command, "settings": text}


def _plain(value: Any) -> Any:
    """Settings without what is not set."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if item is not None and item != []}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _judged(about: "Metadata") -> Row:
    trained = {row["set"] for row in about.data}
    names = list(dict.fromkeys(row["set"] for row in about.judged))
    rows = [
        (
            row["set"],
            row["part"],
            row["target"].replace("+", " + "),
            _measure(row["measure"]),
            _value(row),
            row["n"],
            PEERS.get((row["set"], row["target"], row["measure"]), ""),
        )
        for row in about.judged
    ]
    known, new = [name for name in names if name in trained], [name for name in names if name not in trained]
    return {"judged": rows, "known": known, "new": new}


def _measure(name: str) -> str:
    """A measure in words; ``auc_LABEL_KIND`` is about whole photographs."""
    if not name.startswith("auc_"):
        return MEASURES.get(name, name)
    label, _, kind = name.removeprefix("auc_").rpartition("_")
    return f"AUC of its {KINDS.get(kind, kind)} for {LABELS.get(label, label)}"


def _value(row: Row) -> str:
    interval = "" if row["low"] is None else f" ({row['low']:.3f} to {row['high']:.3f})"
    return f"{row['value']:.3f}{interval}"


def _evidence(about: "Metadata") -> Row:
    provided = [name for name in TARGETS if name in about.targets]
    records = [(name, about.targets[name]) for name in provided]
    return {
        "evidence": [(name, TARGETS[name].group, r.evidence, f"{r.threshold:g}") for name, r in records],
        "missing": [name for name in TARGETS if name not in about.targets],
        **{
            level.value: [name for name, record in records if record.evidence == level]
            for level in (Evidence.LABEL_VALIDATED, Evidence.PHANTOM)
        },
    }


def _line(values: Sequence[Any]) -> str:
    """One row of a table."""
    cells = (" ".join(str(value).split()).replace("|", "\\|") for value in values)
    return f"| {' | '.join(cells)} |"


def _names(names: Sequence[str]) -> str:
    return ", ".join(names) if names else "none"
