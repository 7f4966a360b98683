"""Command line: thin wrappers over the package.

Exit codes: 0 done, 1 something unexpected, 2 a user's error, said in one sentence without a traceback.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from retsam.errors import UserError
from retsam.weights import DEFAULT_MODEL

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Colour fundus photographs and a table of labels in, odds ratios that a paper can print out.",
)

Out = Annotated[Path, typer.Option("--out", "-o", help="File to write.")]
Workers = Annotated[int, typer.Option("--workers", min=1, help="Images read at a time.")]
FrameSize = Annotated[
    int, typer.Option("--frame-size", help="Side of the canonical frame in pixels, a multiple of 64.")
]
Model = Annotated[str, typer.Option("--model", help="Segmentation model: a name or a file of weights.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
Flips = Annotated[
    bool, typer.Option("--flips", help="Networks: mean of the four mirror images, at four times the cost.")
]


@contextmanager
def _progress(what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Progress as a bar on a terminal, as plain lines in a log; called with the number done so far."""
    if not sys.stderr.isatty():
        from retsam.logs import progress_lines

        yield progress_lines(total, what, stream=sys.stderr)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


def _check_frame_size(size: int) -> None:
    if size < 256 or size > 4096 or size % 64:
        raise UserError(f"--frame-size {size} is not a multiple of 64 between 256 and 4096; 1024 is the default.")


def _check_output(path: Path, suffixes: tuple[str, ...]) -> None:
    if path.suffix.lower() not in suffixes:
        raise UserError(f"--out {path} should end in {' or '.join(suffixes)}.")
    if path.is_dir():
        raise UserError(f"--out {path} is a folder; give a file name in it.")


def _read_manifest(path: Path) -> Any:
    from retsam.io.manifest import read_manifest
    from retsam.planning import report_problems

    manifest = read_manifest(path)
    report_problems(manifest, lambda text: typer.echo(text, err=True))
    return manifest


def _summary(what: str, statuses: Any, out: Path) -> None:
    counts = statuses.value_counts()
    parts = ", ".join(f"{n} {status}" for status, n in counts.items())
    typer.echo(f"{what}: {len(statuses)} images ({parts}) -> {out}")


@app.command(
    epilog="Example: retsam simulate demo --participants 60 --seed 1 --frame-size 512 --effect dr:crae_knudtson_um=1.6"
)
def simulate(
    out: Annotated[Path, typer.Argument(help="Folder to make.")],
    participants: Annotated[int, typer.Option("--participants", min=1, help="Number of people.")] = 120,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same bytes.")] = 1,
    frame_size: Annotated[int, typer.Option("--frame-size", help="Diameter of the field of view in pixels.")] = 1024,
    effect: Annotated[
        list[str] | None,
        typer.Option(
            "--effect",
            metavar="OUTCOME:TERM=OR",
            help="True odds ratio per SD of a biomarker or latent phenotype; replaces what the outcome depends on "
            "besides age and sex; repeatable.",
        ),
    ] = None,
    rho: Annotated[float, typer.Option("--rho", min=0, max=1, help="Correlation between the eyes of a person.")] = 0.6,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes.")] = 2,
) -> None:
    """Make phantom photographs, a manifest and the truth behind them."""
    from retsam.phantom import simulate as run
    from retsam.phantom import with_effects

    _check_frame_size(frame_size)
    models = with_effects(effect or [])
    with _progress("simulate", participants) as show:
        manifest = run(out, participants, seed, frame_size, workers, show, rho=rho, models=models)
    typer.echo(f"simulate: {participants} participants -> {manifest}")


@app.command(epilog="Example: retsam quality manifest.csv --out quality.parquet")
def quality(
    manifest: Annotated[Path, typer.Argument(help="Table of images (CSV, TSV or Parquet).")],
    out: Out,
    threshold: Annotated[float, typer.Option(min=0, max=1, help="Gradability below this is ungradable.")] = 0.5,
    workers: Workers = 1,
) -> None:
    """Score image quality: one row per image."""
    from retsam.quality import QUALITY, quality_table
    from retsam.tables import write_table

    _check_output(out, (".parquet", ".csv"))
    table = _read_manifest(manifest)
    with _progress("quality", len(table.images)) as show:
        scored = quality_table(table.images, table.root, threshold=threshold, workers=workers, progress=show)
    write_table(scored, out, QUALITY)
    _summary("quality", scored["status"], out)


@app.command(
    epilog="Example: retsam segment manifest.csv --out masks.parquet, or retsam segment a.jpg b.png --out masks.parquet"
)
def segment(
    inputs: Annotated[list[Path], typer.Argument(help="A manifest, or photographs.", metavar="MANIFEST|IMAGE...")],
    out: Out,
    model: Model = DEFAULT_MODEL,
    device: Device = "auto",
    targets: Annotated[
        list[str] | None, typer.Option("--targets", help="Targets to keep; repeat or separate by commas.")
    ] = None,
    frame_size: FrameSize = 1024,
    flips: Flips = False,
    workers: Workers = 1,
) -> None:
    """Segment photographs: masks as run lengths in one table."""
    from retsam.segmentation import load_engine, origin, segment_table
    from retsam.tables import MASKS, write_table

    _check_output(out, (".parquet",))
    _check_frame_size(frame_size)
    kept = _target_list(targets)
    images, root = _images_of(inputs)
    engine = load_engine(model, device=device, flips=flips)
    with _progress("segment", len(images)) as show:
        masks = segment_table(images, root, engine, frame_size=frame_size, targets=kept, workers=workers, progress=show)
    write_table(masks, out, MASKS, origin(engine))
    _summary("segment", masks.loc[masks["target"] == "fov", "status"], out)


def _target_list(targets: list[str] | None, extra: tuple[str, ...] = ()) -> list[str] | None:
    from retsam.taxonomy import TARGETS

    names = [name.strip() for text in targets or [] for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in (*TARGETS, *extra)]
    if unknown:
        raise UserError(f"--targets: {unknown[0]!r} is not a target; known are {', '.join(TARGETS)}.")
    return names or None


TABLE_SUFFIXES = {".csv", ".tsv", ".tab", ".txt", ".parquet", ".pq"}


def _images_of(inputs: list[Path]) -> tuple[Any, Path]:
    """Rows of ``tables.SHARD`` and their folder, from one manifest or from photographs."""
    import pandas as pd

    from retsam.status import Status

    if len(inputs) == 1 and inputs[0].suffix.lower() in TABLE_SUFFIXES:
        manifest = _read_manifest(inputs[0])
        return manifest.images, manifest.root
    tables = [path.name for path in inputs if path.suffix.lower() in TABLE_SUFFIXES]
    if tables:
        raise UserError(f"{tables[0]} is a table: give one manifest alone, or photographs.")
    stems = pd.Series([path.stem for path in inputs])
    names = stems.where(~stems.duplicated(keep=False), pd.Series([str(path) for path in inputs]))
    sizes = [path.stat().st_size if path.exists() else -1 for path in inputs]
    rows = {
        "image_id": names,
        "manifest_row": range(1, len(inputs) + 1),
        "path": [str(path) for path in inputs],
        "eye": None,
        "um_per_px": float("nan"),
        "file_bytes": sizes,
        "status": [Status.DUPLICATE_ID if again else Status.OK for again in names.duplicated()],
    }
    table = pd.DataFrame(rows)
    repeated = table["image_id"].groupby(table["image_id"]).cumcount()
    table["image_id"] = table["image_id"].where(repeated == 0, table["image_id"] + "~" + (repeated + 1).astype(str))
    return table, Path()


@app.command(
    epilog="Example: retsam measure masks.parquet --out biomarkers.csv, "
    "or retsam measure MASKS --fov PHOTOGRAPHS --um-per-px 8.5 --out biomarkers.csv"
)
def measure(
    masks: Annotated[
        Path,
        typer.Argument(
            help="Table made by retsam segment, or a folder of pictures TARGET/NAME.png.",
            metavar="MASKS.parquet|FOLDER",
        ),
    ],
    out: Out,
    quality: Annotated[
        Path | None, typer.Option("--quality", help="Table made by retsam quality, for its family.")
    ] = None,
    colours: Annotated[
        list[str] | None,
        typer.Option(
            "--colours",
            help="Of a folder: code of the pictures in artery_vein/ and disc_cup/ (rite, green-uncertain, refuge, "
            "refuge-inverted, labels); repeatable.",
        ),
    ] = None,
    fov: Annotated[
        Path | None,
        typer.Option("--fov", help="Of a folder: field-of-view masks or the photographs, of the same names."),
    ] = None,
    um_per_px: Annotated[
        float | None, typer.Option("--um-per-px", help="Of a folder: micrometres per pixel of its pictures.")
    ] = None,
    frame_size: Annotated[
        int | None, typer.Option("--frame-size", help="Of a folder: side of the canonical frame; 1024 by default.")
    ] = None,
) -> None:
    """Measure biomarkers: one row per image, each value with a status."""
    from retsam.biomarkers import biomarkers_schema, measure_table
    from retsam.tables import MASKS, write_table

    _check_output(out, (".parquet", ".csv"))
    if masks.is_dir():
        table = _read_folder(masks, colours or [], fov, um_per_px, frame_size or 1024)
    elif colours or fov or um_per_px is not None or frame_size is not None:
        raise UserError(f"--colours, --fov, --um-per-px and --frame-size are for a folder of masks, not {masks.name}.")
    else:
        table = _read_step(masks, MASKS.names, "retsam segment")
    scores = _read_step(quality, ["image_id", "gradability"], "retsam quality") if quality else None
    with _progress("measure", table["image_id"].nunique()) as show:
        measured = measure_table(table, scores, progress=show)
    write_table(measured, out, biomarkers_schema())
    _summary("measure", measured["status"], out)


def _read_folder(folder: Path, colours: list[str], fov: Path | None, um_per_px: float | None, frame_size: int) -> Any:
    """Table of the masks in a folder."""
    from retsam.segmentation.folder import FOV, folder_masks

    _check_scale(um_per_px)
    _check_frame_size(frame_size)
    if fov is None and not (folder / FOV).is_dir():
        typer.echo(
            "no --fov: the whole picture counts as field of view, black border too; densities and coverages are per "
            "picture. Give field-of-view masks, or the photographs.",
            err=True,
        )
    with _progress("read") as show:
        return folder_masks(folder, colours=colours, fov=fov, um_per_px=um_per_px, frame_size=frame_size, progress=show)


@app.command("import", epilog="Example: retsam import automorph Macular_Features.csv --out biomarkers.csv")
def import_(
    peer: Annotated[str, typer.Argument(help="retsam-json, automorph, automorphalyzer or vascx.", metavar="PEER")],
    file: Annotated[
        Path, typer.Argument(help="Its CSV, Parquet or JSON; for retsam-json also a folder of them.", metavar="FILE")
    ],
    out: Out,
    report: Annotated[
        Path | None, typer.Option("--report", help="Columns refused, with reasons; OUT.refused.csv by default.")
    ] = None,
    um_per_px: Annotated[
        float | None,
        typer.Option("--um-per-px", help="Scale of the peer's lengths; 1 where they are in micrometres already."),
    ] = None,
    id_column: Annotated[str | None, typer.Option("--id", help="Column that names the photograph.")] = None,
) -> None:
    """Take another program's numbers under our names, where they mean the same; list the rest with reasons."""
    from retsam.biomarkers.importer import import_table
    from retsam.tables import write_table

    _check_output(out, (".parquet", ".csv"))
    report = report or out.with_suffix(".refused.csv")
    _check_output(report, (".csv",))
    _check_scale(um_per_px)
    found = import_table(peer, file, um_per_px=um_per_px, id_column=id_column)
    write_table(found.table, out)
    write_table(found.refused, report)
    for entry in found.taken.itertuples():
        typer.echo(f"  {entry.column} -> {entry.ours}: {entry.conversion}".replace("`", ""))
    typer.echo(
        f"import: {len(found.table)} images, {len(found.taken)} columns taken -> {out}; "
        f"{len(found.refused)} refused -> {report}"
    )
    reasons = found.refused["reason"].value_counts()
    for reason, n in reasons.head(5).items():
        typer.echo(f"  {n} refused: {reason}")
    if len(reasons) > 5:
        typer.echo(f"  {reasons.iloc[5:].sum()} refused: other reasons, see {report}")


def _check_scale(um_per_px: float | None) -> None:
    if um_per_px is not None and not 0 < um_per_px < float("inf"):
        raise UserError(f"--um-per-px {um_per_px} is no scale; give micrometres per pixel, for example 8.5.")


def _read_step(path: Path, columns: list[str], maker: str) -> Any:
    """A table of an earlier step, or one sentence on what is wrong with it."""
    import pyarrow as pa

    from retsam.tables import read_table

    if not path.is_file():
        raise UserError(f"no table at {path}; make it with {maker}.")
    try:
        table = read_table(path)
    except (pa.ArrowInvalid, OSError, ValueError) as error:
        raise UserError(
            f"{path} is not a table that {maker} made ({str(error).splitlines()[0]}); make it again."
        ) from error
    missing = [name for name in columns if name not in table]
    if missing:
        raise UserError(f"{path} has no column {missing[0]!r}; give a table that {maker} made.")
    return table


@app.command(epilog="Example: retsam export masks.parquet --to overlay --out overlays --manifest manifest.csv")
def export(
    masks: Annotated[
        list[Path], typer.Argument(help="Tables made by retsam segment, or a folder of them.", metavar="MASKS.parquet")
    ],
    to: Annotated[Literal["png", "coco", "overlay"], typer.Option("--to", help="png, coco or overlay.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to make.")],
    manifest: Annotated[Path | None, typer.Option("--manifest", help="The photographs (needed for overlay).")] = None,
    targets: Annotated[
        list[str] | None, typer.Option("--targets", help="Targets to write; repeat or separate by commas.")
    ] = None,
) -> None:
    """Write masks in the photographs' own pixels: PNG, COCO JSON or overlays."""
    from retsam.export import export as run

    if to == "overlay" and manifest is None:
        raise UserError("--to overlay draws on the photographs; add --manifest MANIFEST.")
    missing = [path for path in masks if not path.exists()]
    if missing:
        raise UserError(f"no table at {missing[0]}; make it with retsam segment.")
    with _progress("export") as show:
        summary = run(
            masks, to=to, out=out, photographs=manifest, targets=_target_list(targets, extra=("fov",)), progress=show
        )
    typer.echo(f"export: {summary} -> {out}")


@app.command(epilog="Example: retsam evaluate drive DRIVE --split test --model classical --out metrics.csv")
def evaluate(
    dataset: Annotated[str, typer.Argument(help="Name of the data set, for example drive.")],
    root: Annotated[Path, typer.Argument(help="Its folder, in the official layout.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="CSV to write.", metavar="METRICS.csv")],
    split: Annotated[
        Literal["train", "val", "test", "all"] | None,
        typer.Option(
            "--split", help="train, val, test or all; default: the official test part if there is one, else all."
        ),
    ] = None,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Only photographs that the weights' training kept apart for a test.")
    ] = False,
    model: Model = DEFAULT_MODEL,
    device: Device = "auto",
    frame_size: FrameSize = 1024,
    flips: Flips = False,
) -> None:
    """Hold a model against a data set's annotations: one row per image and target, and a summary."""
    from retsam.evaluation import evaluate as run
    from retsam.evaluation import summary_text
    from retsam.tables import write_table

    _check_output(out, (".csv",))
    _check_frame_size(frame_size)
    with _progress("evaluate") as show:
        metrics = run(
            dataset,
            root,
            split=split,
            held_out=held_out,
            model=model,
            device=device,
            frame_size=frame_size,
            flips=flips,
            progress=show,
        )
    write_table(metrics, out)
    typer.echo(summary_text(metrics))
    typer.echo(f"evaluate: {len(metrics)} rows -> {out}")


train_app = typer.Typer(no_args_is_help=True, help="Train a network (docs/training.md).", rich_markup_mode=None)
app.add_typer(train_app, name="train")

RunFolder = Annotated[Path, typer.Option("--out", "-o", help="Folder of the run; the same one again goes on.")]
TrainDevice = Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
Cache = Annotated[Path | None, typer.Option("--cache", help="Folder of packed frames; default: OUT/cache.")]
Initial = Annotated[str | None, typer.Option("--initial", help="Weights to start from, in place of the recipe's.")]
Steps = Annotated[int | None, typer.Option("--steps", min=1, help="Steps, in place of the recipe's.")]
RecipeFile = Annotated[str, typer.Option("--config", help="Recipe: a YAML file, or unify or smoke, which are shipped.")]
Processes = Annotated[
    int | None, typer.Option("--workers", min=1, help="Processes that make frames; default: one per core.")
]


@train_app.command(epilog="Example: retsam train unify --config unify --out runs/first --cache frames")
def unify(
    config: RecipeFile,
    out: RunFolder,
    initial: Initial = None,
    device: TrainDevice = None,
    cache: Cache = None,
    steps: Steps = None,
    workers: Processes = None,
) -> None:
    """Train one network for every target; called again it goes on where it was stopped."""
    from retsam.training.recipe import read_recipe
    from retsam.training.stages import unify as run

    recipe = read_recipe(config).with_steps(steps).with_initial(initial)
    with _steps_shown(recipe.schedule.steps) as show:
        run(recipe, out, device=device, cache=cache, workers=workers, say=_say, show=show)


@train_app.command(epilog="Example: retsam train experts --config my.yaml --out runs/experts --cache frames")
def experts(
    config: RecipeFile,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder around the runs; the same one again goes on.")],
    device: TrainDevice = None,
    cache: Cache = None,
    workers: Processes = None,
) -> None:
    """Train one network per task group, as the recipe's block 'experts' names them."""
    from retsam.training.recipe import read_recipe
    from retsam.training.stages import train_experts

    files = train_experts(read_recipe(config), out, device=device, cache=cache, workers=workers, say=_say)
    typer.echo(f"experts: {len(files)} files of weights -> {out}")


@train_app.command(
    "pseudo-label",
    epilog="Example: retsam train pseudo-label --config my.yaml --experts runs/experts --images photographs "
    "--out pseudo.parquet",
)
def pseudo_label(
    config: RecipeFile,
    experts: Annotated[
        list[Path], typer.Option("--experts", help="Files of weights, or folders of finished runs; repeatable.")
    ],
    images: Annotated[Path, typer.Option("--images", help="Photographs without labels: a folder or a manifest.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Packed frames to write, for a source of a recipe.")],
    device: TrainDevice = None,
    workers: Workers = 1,
) -> None:
    """Label photographs by experts where these agree with themselves under augmentation."""
    from retsam.training.pseudo import pseudo_label as run
    from retsam.training.recipe import read_recipe

    _check_output(out, (".parquet",))
    recipe = read_recipe(config)
    with _progress("pseudo-label") as show:
        run(recipe, experts, images, out, device=device, workers=workers, say=_say, show=show)
    typer.echo(f"pseudo-label: {out.stat().st_size / 1e6:.1f} MB -> {out}")


@train_app.command(epilog="Example: retsam train adapt --config my.yaml --initial retsam-tiny --out runs/adapted")
def adapt(
    config: RecipeFile,
    initial: Annotated[str, typer.Option("--initial", help="Weights to start from: a file or a shipped name.")],
    out: RunFolder,
    device: TrainDevice = None,
    cache: Cache = None,
    steps: Steps = None,
    workers: Processes = None,
) -> None:
    """Go on from weights on one's own annotated photographs, the encoder frozen, in small steps."""
    from retsam.training.recipe import read_recipe
    from retsam.training.stages import adapt as run

    recipe = read_recipe(config).with_steps(steps)
    with _steps_shown(recipe.schedule.steps) as show:
        run(recipe, initial, out, device=device, cache=cache, workers=workers, say=_say, show=show)


@train_app.command(epilog="Example: retsam train pack --config unify --cache frames")
def pack(
    config: RecipeFile,
    cache: Annotated[Path, typer.Option("--cache", help="Folder for the packed frames.")],
    phantoms: Annotated[bool, typer.Option("--phantoms", help="Pack phantoms too, which need no data.")] = False,
    workers: Processes = None,
) -> None:
    """Only make the packed frames of a recipe, to carry them to another machine."""
    from retsam.training.data import pack_cache
    from retsam.training.recipe import read_recipe

    files = pack_cache(read_recipe(config), cache, workers, _say, phantoms=phantoms)
    typer.echo(f"pack: {len(files)} files, {sum(f.stat().st_size for f in files) / 1e6:.1f} MB -> {cache}")


def _first_process() -> bool:
    """Of several processes that torchrun started, the first one speaks."""
    return os.environ.get("RANK", "0") == "0"


def _say(text: str) -> None:
    if _first_process():
        typer.echo(text, err=True)


@contextmanager
def _steps_shown(total: int) -> Iterator[Callable[[int], None]]:
    """Bar on a terminal; nothing in a log, where training says its own lines."""
    if not sys.stderr.isatty() or not _first_process():
        yield lambda done: None
        return
    with _progress("train", total) as show:
        yield show


weights_app = typer.Typer(
    no_args_is_help=True,
    help="List, check, judge and describe files of weights (docs/weights.md).",
    rich_markup_mode=None,
)
app.add_typer(weights_app, name="weights")


@weights_app.command("list", epilog="Example: retsam weights list")
def list_weights() -> None:
    """List the weights that are part of the package: size, parameters, sha256, targets by evidence."""
    from retsam.segmentation.weights import shipped, summary

    files = shipped()
    for path in files:
        typer.echo(summary(path).line())
    if not files:
        typer.echo("no weights are part of the package")


@weights_app.command(epilog="Example: retsam weights verify runs/first/weights.safetensors")
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names or files; default: all shipped ones.", metavar="NAME|FILE...")
    ] = None,
) -> None:
    """Check that weights are whole, of their own network, and, where they are shipped, the file that was shipped."""
    from retsam.segmentation.weights import find_weights, shipped
    from retsam.segmentation.weights import verify as run

    files = [find_weights(name) for name in names or []] or shipped()
    if not files:
        raise UserError("no weights are part of the package; give a file.")
    for path in files:
        typer.echo(f"OK {run(path).line()}")


@weights_app.command(
    epilog="Example: retsam weights judge runs/first/weights.safetensors --data data --out judged.safetensors"
)
def judge(
    weights: Annotated[str, typer.Argument(help="Name or file of weights.", metavar="FILE")],
    data: Annotated[Path, typer.Option("--data", help="Folder around the public data sets.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write: the same weights, judged.")],
    scores: Annotated[
        Path | None, typer.Option("--scores", help="CSV that keeps the numbers of single photographs, to go on from.")
    ] = None,
    odir_limit: Annotated[
        int | None, typer.Option("--odir-limit", min=1, help="About so many eyes of ODIR-5K, for a quick run.")
    ] = None,
    device: Device = "auto",
    frame_size: Annotated[int | None, typer.Option("--frame-size", help="Pixels; default: the network's.")] = None,
) -> None:
    """Measure a network on every photograph at hand that it never saw, and write the figures into its header."""
    from retsam.evaluation.judge import judge as run
    from retsam.segmentation.weights import find_weights

    _check_output(out, (".safetensors",))
    if scores is not None:
        _check_output(scores, (".csv",))
    if frame_size is not None:
        _check_frame_size(frame_size)
    path = find_weights(weights)
    rows = run(
        path,
        data,
        out,
        device=device,
        frame_size=frame_size,
        odir_limit=odir_limit,
        scores=scores,
        say=typer.echo,
        show=_progress,
    )
    typer.echo(f"judge: {len(rows)} figures -> {out}")


@weights_app.command("card", epilog="Example: retsam weights card judged.safetensors > card.md")
def model_card(weights: Annotated[str, typer.Argument(help="Name or file of weights.", metavar="FILE")]) -> None:
    """Print the model card of a file of weights: Markdown, from its header alone."""
    from retsam.evaluation.card import card
    from retsam.segmentation.weights import find_weights

    typer.echo(card(find_weights(weights)), nl=False)


@app.command(epilog="Example: retsam catalogue --format csv > biomarkers.csv")
def catalogue(
    format: Annotated[Literal["md", "csv", "json"], typer.Option("--format", help="md, csv or json.")] = "md",
    peers: Annotated[
        bool,
        typer.Option("--peers", help="Instead: columns of other programs, taken or refused by retsam import (md)."),
    ] = False,
) -> None:
    """Print the data dictionary: every biomarker with unit, definition, reference and evidence."""
    from retsam.biomarkers import catalogue as run
    from retsam.biomarkers.peers import markdown

    if peers and format != "md":
        raise UserError(f"--peers is Markdown only, not {format}; the same as CSV is retsam/biomarkers/peers.csv.")
    typer.echo(markdown() if peers else run(format), nl=False)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        from retsam import __version__

        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Entry point of the ``retsam`` command."""
    try:
        app()
    except UserError as error:
        typer.echo(f"Error: {error}", err=True)
        raise SystemExit(2) from None
