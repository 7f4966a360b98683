"""A folder that looks like a study: photographs and a manifest, and beside them the truth.

Two passes. The first grows every eye and takes the true values that outcomes depend on, without drawing anything;
then outcomes are drawn; the second photographs the eyes, with the lesions of their diseases. Random numbers depend on
seed, participant, eye and shot alone, so that neither the number of workers nor the other participants change an eye.
(Who falls ill does depend on the others a little: true values are standardised over the cohort.)
"""

import difflib
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import pandas as pd

from retsam import tables
from retsam.errors import UserError
from retsam.io.masks import encode
from retsam.phantom.anatomy import PHENOTYPES
from retsam.phantom.camera import CAMERAS, View
from retsam.phantom.cohort import MODELS, OUTCOMES, OutcomeModel, draw_outcomes, photographs, sample_eyes
from retsam.phantom.compose import Phantom, Sitter, Streams, photograph, sit
from retsam.phantom.truth import values as true_values
from retsam.status import Status
from retsam.taxonomy import FOV

UM_PER_DEGREE = 290.0
"""Micrometres on the retina in one degree of visual angle, the same for every eye."""
MANIFEST_COLUMNS = [
    *("image_id", "participant_id", "eye", "path", "age", "sex", "site", "camera", "um_per_px"),
    *OUTCOMES,
]

A = TypeVar("A")
B = TypeVar("B")
Map = Callable[[Callable[[A], B], Iterable[A]], Iterator[B]]


@dataclass(frozen=True)
class _Job:
    """One eye or photograph of a study: a row of ``cohort.photographs`` and what all of them share."""

    folder: Path
    seed: int
    frame_size: int
    row: dict[str, Any]

    def sitter(self) -> Sitter:
        """Grow the eye and aim the camera."""
        row = self.row
        streams = Streams.of(
            np.random.default_rng([self.seed, row["participant_index"], row["eye_index"]]), row["shot"]
        )
        return sit(
            streams,
            self.frame_size,
            eye=row["eye"],
            camera=row["camera"],
            quality=row["quality"],
            phenotypes={name: row[f"latent_{name}"] for name in PHENOTYPES},
            pigment=row["pigment"],
        )


def simulate(
    out: str | Path,
    participants: int,
    seed: int,
    frame_size: int = 512,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
    *,
    rho: float = 0.6,
    models: Sequence[OutcomeModel] = MODELS,
) -> Path:
    """Write a simulated cohort.

    Parameters
    ----------
    out : path-like
        Folder; made if need be. A former cohort in it is replaced, photographs that are not part of the new one are
        removed; nothing else is touched.
    participants : int
        At least 1; up to two eyes each, a few of them photographed twice.
    seed : int
        Non-negative; the same seed gives the same bytes, whatever the number of workers.
    frame_size : int
        Side of the canonical frame that the truth masks are drawn in, pixels, a multiple of 64. Fields of view in the
        photographs are about as wide.
    workers : int
        Processes.
    progress : callable, optional
        Called with the number of participants photographed so far.
    rho : float
        Correlation between the eyes of a person; see :func:`retsam.phantom.cohort.sample_eyes`.
    models : sequence of OutcomeModel
        What the outcomes depend on; each outcome at most once.

    Returns
    -------
    Path
        ``manifest.csv``. Beside it: ``images/*.jpg`` and ``truth/`` with ``masks.parquet`` (``tables.MASKS``),
        ``biomarkers.parquet`` (``image_id`` and the generator's own values in the names and units of the catalogue),
        ``images.csv`` (landmarks in frame pixels, camera, latent phenotypes, diseases; one row per photograph) and
        ``coefficients.csv`` (see :func:`retsam.phantom.cohort.draw_outcomes`).

    Raises
    ------
    UserError
        For a frame size that is no positive multiple of 64, numbers that ``sample_eyes`` refuses, a term without a
        true value, or a folder with a manifest of another origin.
    """
    if frame_size < 64 or frame_size % 64:
        raise UserError(f"frame_size is {frame_size}; give a positive multiple of 64.")
    folder = Path(out)
    former = _former_photographs(folder)
    eyes = sample_eyes(participants, seed, rho=rho)
    with _pool(workers) as run:
        cohort, coefficients = draw_outcomes(eyes, models, _values_of(eyes, models, seed, frame_size, run))
        shots = photographs(cohort)
        (folder / "images").mkdir(parents=True, exist_ok=True)
        jobs = [_Job(folder, seed, frame_size, row) for row in _records(shots)]
        masks: list[dict[str, Any]] = []
        values: list[dict[str, Any]] = []
        images: list[dict[str, Any]] = []
        for job, (mask_part, value_row, image_row) in zip(jobs, run(_photograph, jobs), strict=True):
            masks += mask_part
            values.append(value_row)
            images.append(image_row)
            if progress is not None:
                progress(job.row["participant_index"] + 1)
    tables.write_table(pd.DataFrame(masks), folder / "truth" / "masks.parquet", tables.MASKS)
    tables.write_table(pd.DataFrame(values), folder / "truth" / "biomarkers.parquet")
    tables.write_table(pd.DataFrame(images), folder / "truth" / "images.csv")
    tables.write_table(coefficients, folder / "truth" / "coefficients.csv")
    manifest = _write_manifest(shots.assign(um_per_px=[row["um_per_px"] for row in images]), folder)
    for name in former - set(shots["image_id"]):
        _photograph_file(folder, name).unlink(missing_ok=True)
    return manifest


@contextmanager
def _pool(workers: int) -> Iterator[Map]:
    """Yield a ``map`` whose results come in the order of the jobs, whatever the number of processes."""
    if workers <= 1:
        yield map
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        yield lambda work, jobs: pool.map(work, jobs, chunksize=4)


def _former_photographs(folder: Path) -> set[str]:
    """Image ids of a cohort that was written here before, by its manifest and its truth.

    Raises
    ------
    UserError
        For a manifest that did not come with a truth: it is someone's study.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; give a folder.")
    manifest, truth = folder / "manifest.csv", folder / "truth" / "images.csv"
    if not manifest.exists():
        return set()
    if not truth.exists():
        raise UserError(f"{folder} holds a manifest.csv that no simulation wrote; give another folder.")
    listed = (set(pd.read_csv(path, usecols=["image_id"], dtype=str)["image_id"]) for path in (manifest, truth))
    return set.intersection(*listed)


def _photograph_file(folder: Path, image_id: str) -> Path:
    return folder / "images" / f"{image_id}.jpg"


def _values_of(
    eyes: pd.DataFrame, models: Sequence[OutcomeModel], seed: int, frame_size: int, run: Map
) -> pd.DataFrame | None:
    """True values of the biomarkers that outcomes depend on, one row per eye; None if there are none."""
    wanted = list(dict.fromkeys(term for model in models for term in model.terms if term not in PHENOTYPES))
    if not wanted:
        return None
    first = photographs(eyes.assign(again=False))
    jobs = [_Job(Path(), seed, frame_size, row) for row in _records(first)]
    _check_terms(wanted, _measure(jobs[0]))
    return pd.DataFrame(list(run(_measure, jobs)))[wanted]


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows with columns as names."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _check_terms(wanted: Iterable[str], known: Iterable[str]) -> None:
    names = [*PHENOTYPES, *known]
    for term in wanted:
        if term not in names:
            near = difflib.get_close_matches(term, names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"a term is a biomarker or one of {', '.join(PHENOTYPES)}."
            raise UserError(f"no true value {term!r} of an eye; {hint}")


def _measure(job: _Job) -> dict[str, float]:
    """First pass: true values of a healthy eye as the camera sees it."""
    sitter = job.sitter()
    return true_values(sitter.anatomy, sitter.view, um_per_px=um_per_px(sitter.view))


def _photograph(job: _Job) -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any]]:
    """Second pass: photograph and save an eye; its rows of the masks, the biomarkers and the images table."""
    row, frame_size = job.row, job.frame_size
    phantom = photograph(job.sitter(), _severities(row))
    bgr = np.ascontiguousarray(phantom.image[..., ::-1])
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, CAMERAS[phantom.camera].jpeg])
    tables.write_bytes(encoded.tobytes(), _photograph_file(job.folder, row["image_id"]))
    values = {
        "image_id": row["image_id"],
        **true_values(phantom.anatomy, phantom.view, um_per_px=um_per_px(phantom.view)),
    }
    return mask_rows(row["image_id"], phantom, frame_size), values, _image_row(row, phantom, frame_size)


def um_per_px(view: View) -> float:
    """Scale of the photograph, micrometres per pixel, to four digits as the manifest has it."""
    return round(UM_PER_DEGREE / view.grid.scale, 4)


def _write_manifest(shots: pd.DataFrame, folder: Path) -> Path:
    """Write what a user would know, in the order of the cohort; missing labels are empty."""
    shots = shots.assign(path="images/" + shots["image_id"] + ".jpg")
    manifest = shots[[name for name in MANIFEST_COLUMNS if name in shots]]
    manifest = manifest.astype({name: "Int64" for name in OUTCOMES if name in manifest})
    tables.write_table(manifest, folder / "manifest.csv")
    return folder / "manifest.csv"


def mask_rows(image_id: str, phantom: Phantom, frame_size: int) -> list[dict[str, Any]]:
    """Rows of ``tables.MASKS`` for a phantom.

    Parameters
    ----------
    image_id : str
    phantom : Phantom
    frame_size : int
        Pixels, a multiple of 64.

    Returns
    -------
    list of dict
        ``fov`` first. A lesion that is absent is an empty mask with status ok; anatomy wholly outside the field of view
        is ``not_visible``.
    """
    truth = phantom.truth(frame_size)
    frame = phantom.frame(frame_size)
    points = {"optic_disc": frame.to_frame(phantom.disc), "fovea": frame.to_frame(phantom.fovea)}
    common = {"image_id": image_id, "eye": phantom.eye, "um_per_px": um_per_px(phantom.view), **frame.as_row()}
    rows = []
    for target, mask in truth.items():
        lost = target in points and not mask.any()
        point = points.get(target, (None, None)) if not lost else (None, None)
        rows.append(
            {
                **common,
                "target": target,
                "status": Status.NOT_VISIBLE if lost else Status.OK,
                "evidence": None,  # levels are of models; this is no model's output
                "rle": None if lost else encode(mask),
                "area_px": None if lost else int(mask.sum()),
                "probability": 1.0 if mask.any() and target != FOV else None,
                "x": point[0],
                "y": point[1],
            }
        )
    return rows


def _image_row(row: dict[str, Any], phantom: Phantom, frame_size: int) -> dict[str, Any]:
    """Return what is known of one photograph besides its biomarkers, lengths in frame pixels, rounded to 6 digits."""
    grid = phantom.view.grid.in_frame(phantom.frame(frame_size))
    anatomy = phantom.anatomy
    disc, fovea = grid.to_px(anatomy.disc.centre), grid.to_px(anatomy.fovea)
    values = {
        "disc_x": disc[0],
        "disc_y": disc[1],
        "disc_diameter_px": anatomy.disc_diameter * grid.scale,
        "fovea_x": fovea[0],
        "fovea_y": fovea[1],
        "px_per_degree": grid.scale,
        "um_per_px": um_per_px(phantom.view),
        "quality": phantom.quality,
        "pigment": row["pigment"],
        **{f"latent_{name}": row[f"latent_{name}"] for name in PHENOTYPES},
    }
    keys = {name: row[name] for name in ("image_id", "participant_id", "eye", "shot", "site", "camera")}
    rounded = {name: round(float(value), 6) for name, value in values.items()}
    diseases = {f"true_{name}": row[f"true_{name}"] for name in OUTCOMES if f"true_{name}" in row}
    severities = {f"severity_{name}": round(severity, 6) for name, severity in _severities(row).items()}
    return {**keys, **rounded, "gradable": phantom.gradable, **diseases, **severities}


def _severities(row: dict[str, Any]) -> dict[str, float]:
    """Severity of every disease, 0 where the eye was spared."""
    return {name: row[f"severity_{name}"] if row.get(f"true_{name}") else 0.0 for name in OUTCOMES}
