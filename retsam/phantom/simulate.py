"""A folder that looks like a study: photographs and a manifest, and beside them the truth."""

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retsam import tables
from retsam.io.masks import encode
from retsam.phantom.anatomy import PHENOTYPES
from retsam.phantom.cohort import OUTCOMES, coefficient_table, sample_cohort
from retsam.phantom.compose import Phantom, render
from retsam.status import Status
from retsam.taxonomy import FOV, Evidence

JPEG_QUALITY = 92
MANIFEST_COLUMNS = ["image_id", "participant_id", "eye", "path", "age", "sex", "camera", *OUTCOMES]
DISEASES_WITH_LESIONS = ("dr", "amd")


def simulate(
    out: str | Path,
    participants: int,
    seed: int,
    frame_size: int = 512,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
    *,
    rho: float = 0.6,
) -> Path:
    """Write a simulated cohort.

    Parameters
    ----------
    out : path-like
        Folder; made if need be; files of the same names are replaced.
    participants : int
        At least 1; up to two photographs each.
    seed : int
        Non-negative; the same seed gives the same bytes, whatever the number of workers.
    frame_size : int
        Side of the canonical frame that the truth masks are drawn in, pixels, a multiple of 64. Fields of view in the
        photographs are 0.94 to 1.12 times as wide.
    workers : int
        Processes.
    progress : callable, optional
        Called with the number of participants done so far.
    rho : float
        Correlation between the eyes of a person; see :func:`retsam.phantom.cohort.sample_cohort`.

    Returns
    -------
    Path
        ``manifest.csv``. Beside it: ``images/*.jpg`` and ``truth/`` with ``masks.parquet`` (``tables.MASKS``),
        ``images.csv`` (the generator's own values, frame pixels) and ``coefficients.csv``.

    Raises
    ------
    ValueError
        For a frame size that is no positive multiple of 64, or numbers that ``sample_cohort`` refuses.
    """
    if frame_size < 64 or frame_size % 64:
        raise ValueError(f"frame_size is {frame_size}; give a positive multiple of 64")
    folder = Path(out)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    cohort = sample_cohort(participants, seed, rho=rho)
    jobs = [(str(folder), seed, frame_size, row) for row in cohort.to_dict("records")]
    masks: list[dict[str, Any]] = []
    images: list[dict[str, Any]] = []
    for (*_, person), (mask_rows, image_row) in zip(jobs, _run(jobs, workers), strict=True):
        masks += mask_rows
        images.append(image_row)
        if progress is not None:
            progress(person["participant_index"] + 1)
    tables.write_table(pd.DataFrame(masks), folder / "truth" / "masks.parquet", tables.MASKS)
    tables.write_table(pd.DataFrame(images), folder / "truth" / "images.csv")
    tables.write_table(coefficient_table(), folder / "truth" / "coefficients.csv")
    return _write_manifest(cohort, folder)


def _run(jobs: list[tuple], workers: int) -> Iterator[tuple[list[dict[str, Any]], dict[str, Any]]]:
    """Results in the order of the jobs."""
    if workers <= 1:
        yield from map(_photograph, jobs)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        yield from pool.map(_photograph, jobs, chunksize=4)


def _write_manifest(cohort: pd.DataFrame, folder: Path) -> Path:
    """Write what a user would know, in the order of the cohort; missing labels are empty."""
    manifest = cohort.assign(path="images/" + cohort["image_id"] + ".jpg")[MANIFEST_COLUMNS]
    manifest = manifest.astype(dict.fromkeys(OUTCOMES, "Int64"))
    tables.write_table(manifest, folder / "manifest.csv")
    return folder / "manifest.csv"


def _photograph(job: tuple[str, int, int, dict[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Render, save and describe one eye; its random numbers depend on seed, participant and eye alone."""
    folder, seed, frame_size, row = job
    phantom = render(
        np.random.default_rng([seed, row["participant_index"], row["eye_index"]]),
        frame_size,
        eye=row["eye"],
        camera=row["camera"],
        quality=row["quality"],
        diseases=[name for name in DISEASES_WITH_LESIONS if row[f"true_{name}"]],
        phenotypes={name: row[f"latent_{name}"] for name in PHENOTYPES},
        pigment=row["pigment"],
    )
    bgr = np.ascontiguousarray(phantom.image[..., ::-1])
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    tables.write_bytes(encoded.tobytes(), Path(folder) / "images" / f"{row['image_id']}.jpg")
    truth = phantom.truth(frame_size)
    return mask_rows(row["image_id"], phantom, frame_size, truth), _image_row(row, phantom, frame_size, truth)


def mask_rows(
    image_id: str, phantom: Phantom, frame_size: int, truth: dict[str, NDArray[np.bool_]] | None = None
) -> list[dict[str, Any]]:
    """Rows of ``tables.MASKS`` for a phantom.

    Parameters
    ----------
    image_id : str
    phantom : Phantom
    frame_size : int
        Pixels, a multiple of 64.
    truth : dict, optional
        ``phantom.truth(frame_size)`` if it is there already.

    Returns
    -------
    list of dict
        ``fov`` first. A lesion that is absent is an empty mask with status ok; anatomy wholly outside the field of view
        is ``not_visible``.
    """
    truth = phantom.truth(frame_size) if truth is None else truth
    frame = phantom.frame(frame_size)
    points = {"optic_disc": frame.to_frame(phantom.disc), "fovea": frame.to_frame(phantom.fovea)}
    common = {"image_id": image_id, "eye": phantom.eye, "um_per_px": None, **frame.as_row()}
    rows = []
    for target, mask in truth.items():
        lost = target in points and not mask.any()
        point = points.get(target, (None, None)) if not lost else (None, None)
        rows.append(
            {
                **common,
                "target": target,
                "status": Status.NOT_VISIBLE if lost else Status.OK,
                "evidence": None if target == FOV else Evidence.PHANTOM,
                "rle": None if lost else encode(mask),
                "area_px": None if lost else int(mask.sum()),
                "probability": 1.0 if mask.any() and target != FOV else None,
                "x": point[0],
                "y": point[1],
            }
        )
    return rows


def _image_row(
    row: dict[str, Any], phantom: Phantom, frame_size: int, truth: dict[str, NDArray[np.bool_]]
) -> dict[str, Any]:
    """Return the generator's own values for one photograph, lengths in frame pixels, numbers rounded to 6 digits."""
    frame = phantom.frame(frame_size)
    grid, anatomy = phantom.view.grid.in_frame(frame), phantom.anatomy
    disc, fovea = grid.to_px(anatomy.disc.centre), grid.to_px(anatomy.fovea)
    fov = truth[FOV]
    values = {
        "disc_x": disc[0],
        "disc_y": disc[1],
        "disc_diameter_px": anatomy.disc_diameter * grid.scale,
        "fovea_x": fovea[0],
        "fovea_y": fovea[1],
        "disc_fovea_px": float(np.hypot(*(fovea - disc))),
        "cup_disc_ratio_vertical": phantom.parameters.cup_ratio,
        "vessel_density": truth["vessel"].sum() / fov.sum(),
        "tortuosity_amplitude": phantom.parameters.tortuosity,
        "arc_chord_mean": mean_arc_chord(phantom),
        "calibre_factor": phantom.parameters.calibre,
        "px_per_degree": grid.scale,
        "quality": phantom.quality,
        **{f"latent_{name}": row[f"latent_{name}"] for name in PHENOTYPES},
    }
    keys = {name: row[name] for name in ("image_id", "participant_id", "eye", "camera")}
    lesions = {f"n_{item.target}": _count_inside(grid.to_px(item.centres), fov) for item in anatomy.lesions}
    truths = {f"true_{name}": row[f"true_{name}"] for name in OUTCOMES}
    rounded = {name: round(float(value), 6) for name, value in values.items()}
    return {**keys, **rounded, **lesions, "gradable": phantom.gradable, **truths}


def _count_inside(xy: NDArray[np.float64], mask: NDArray[np.bool_]) -> int:
    """Count the points (n, 2) whose nearest pixel belongs to a square mask."""
    place = np.rint(xy).astype(int)
    place = place[((place >= 0) & (place < len(mask))).all(axis=1)]
    return int(mask[place[:, 1], place[:, 0]].sum())


def mean_arc_chord(phantom: Phantom, shortest: float = 1.0) -> float:
    """Mean arc/chord ratio of the vessels between branchings that begin and end inside the field of view.

    Parameters
    ----------
    phantom : Phantom
    shortest : float
        Vessels with a chord below it, in degrees, are left out.
    """
    grid, field = phantom.view.grid, phantom.field
    ends: Iterable = (grid.to_px(s.points[[0, -1]]) - [field.x, field.y] for s in phantom.anatomy.vessels)
    seen = [bool((np.hypot(*end.T) <= field.radius).all()) for end in ends]
    kept = [s for s, inside in zip(phantom.anatomy.vessels, seen, strict=True) if inside and s.chord >= shortest]
    return float(np.mean([s.arc / s.chord for s in kept]))
