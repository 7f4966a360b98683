"""Benchmark adapters and the evaluation loop, on small data sets made in their official layouts."""

import gzip
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from retsam.datasets import DATASETS, MaskFile, get_dataset
from retsam.datasets.files import natural
from retsam.errors import UserError
from retsam.evaluation import METRICS, evaluate, summarise, summary_text
from retsam.io.images import read_image
from retsam.segmentation.engine import Prediction
from retsam.status import Status
from retsam.taxonomy import Evidence

HEIGHT, WIDTH = 150, 180
DISC, FOVEA = (120.0, 70.0), (70.0, 76.0)
COLUMNS = (
    "dataset split image_id target dice iou accuracy sensitivity specificity auc aupr cldice distance_dd n_positive_px"
)


# --- small data sets --------------------------------------------------------------------------------------------------


def circle(x: float, y: float, radius: float) -> np.ndarray:
    rows, cols = np.mgrid[:HEIGHT, :WIDTH]
    return np.hypot(cols - x, rows - y) <= radius


def vessels() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[40:46, 50:130] = mask[100:106, 50:130] = mask[40:106, 90:96] = True
    return mask


def photograph() -> np.ndarray:
    """Orange field of view, white disc, pure blue vessels, dark fovea: a colour threshold segments it perfectly."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[circle(90, 75, 68)] = (190, 90, 30)
    pixels[circle(*DISC, 12)] = (250, 240, 200)
    pixels[vessels()] = (20, 20, 255)
    pixels[circle(*FOVEA, 4)] = (60, 10, 0)
    return pixels


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels.astype(np.uint8) * 255 if pixels.dtype == bool else pixels)
    if path.suffix.lower() == ".gz":
        with gzip.open(path, "wb") as stream:
            image.save(stream, "ppm")
    else:
        image.save(path, **({"quality": 95, "subsampling": 0} if path.suffix.lower() == ".jpg" else {}))
    return path


def make_drive(root: Path) -> Path:
    for number in (21, 22):
        save(root / f"training/images/{number}_training.tif", photograph())
        save(root / f"training/1st_manual/{number}_manual1.gif", vessels())
        save(root / f"training/mask/{number}_training_mask.gif", circle(90, 75, 68))
    for number in ("01", "02", "03"):
        save(root / f"test/images/{number}_test.tif", photograph())
        save(root / f"test/1st_manual/{number}_manual1.gif", vessels())
        save(root / f"test/2nd_manual/{number}_manual2.gif", np.roll(vessels(), 1, axis=0))
        save(root / f"test/mask/{number}_test_mask.gif", circle(90, 75, 68))
    return root


def colour_map() -> np.ndarray:
    """Upper bar artery, lower bar vein, the bar between them a crossing, one white (uncertain) end."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[40:46, 50:130] = (255, 0, 0)
    pixels[100:106, 50:130] = (0, 0, 255)
    pixels[46:100, 90:96] = (0, 255, 0)
    pixels[40:46, 120:130] = (255, 255, 255)
    return pixels


def make_hrf(root: Path) -> Path:
    for stem in ("01_dr", "02_dr", "10_h"):
        save(root / f"images/{stem}.JPG", photograph())
        save(root / f"manual1/{stem}.tif", vessels())
        save(root / f"mask/{stem}_mask.tif", np.repeat(circle(90, 75, 68)[..., None], 3, axis=2))
    return root


def make_idrid(root: Path) -> Path:
    base = root / "A. Segmentation"
    truth = base / "2. All Segmentation Groundtruths/a. Training Set"
    for stem in ("IDRiD_01", "IDRiD_02"):
        save(base / f"1. Original Images/a. Training Set/{stem}.jpg", photograph())
        save(truth / f"5. Optic Disc/{stem}_OD.tif", circle(*DISC, 12))
        for folder, code in (("1. Microaneurysms", "MA"), ("2. Haemorrhages", "HE"), ("3. Hard Exudates", "EX")):
            save(truth / folder / f"{stem}_{code}.tif", circle(60, 60, 3))
    save(truth / "4. Soft Exudates/IDRiD_02_SE.tif", circle(60, 60, 3))
    return root


def make_idrid_localization(root: Path, header: str = "Image No,X- Coordinate,Y - Coordinate") -> Path:
    truth = root / "C. Localization/2. Groundtruths"
    for folder, name, (x, y) in (
        ("1. Optic Disc Center Location", "a. IDRiD_OD_Center_Training Set_Markups.csv", DISC),
        ("2. Fovea Center Location", "IDRiD_Fovea_Center_Training Set_Markups.csv", FOVEA),
    ):
        (truth / folder).mkdir(parents=True)
        rows = "".join(f"IDRiD_00{i},{x},{y},,\n" for i in (1, 2))
        (truth / folder / name).write_text(f"{header},,\n{rows},,,,\n,,,,\n")
    for i in (1, 2):
        save(root / f"B. Disease Grading/1. Original Images/a. Training Set/IDRiD_00{i}.jpg", photograph())
    return root


def make_drimdb(root: Path) -> Path:
    for i in (1, 10, 2):
        save(root / f"Good/drimdb_good ({i}).jpg", photograph())
    save(root / "Bad/drimdb_bad (1).jpg", photograph() // 2)
    save(root / "Outlier/drimdb_outlier (1).jpg", np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    return root


@dataclass
class ColourEngine:
    """Segments the photographs above by colour; ``blind`` finds nothing."""

    blind: bool = False
    name: str = "colour"
    weights_hash: str = ""
    device: str = "cpu"
    targets: dict = field(default_factory=lambda: dict.fromkeys(("vessel", "optic_disc", "fovea"), Evidence.ANNOTATED))

    def predict(self, images: np.ndarray, fov: np.ndarray) -> list[Prediction]:
        return [self._one(image.astype(int), field) for image, field in zip(images, fov, strict=True)]

    def _one(self, image: np.ndarray, fov: np.ndarray) -> Prediction:
        if self.blind:
            return Prediction(dict.fromkeys(self.targets, Status.NOT_VISIBLE))
        blue = (image[..., 2] - image[..., 0]).clip(0, 235) / 235
        masks = {
            "vessel": (blue > 0.5) & fov,
            "optic_disc": image[..., 1] > 170,
            "fovea": (image.max(axis=2) < 110) & (np.hypot(*np.gradient(fov.astype(float))) == 0) & fov,
        }
        points = {}
        for target in ("optic_disc", "fovea"):
            rows, cols = np.nonzero(masks[target])
            points[target] = (float(np.median(cols)), float(np.median(rows)))
        probability = {target: mask.astype(np.float32) for target, mask in masks.items()}
        probability["vessel"] = blue.astype(np.float32)
        return Prediction(dict.fromkeys(masks, Status.OK), masks, probability, points)


MAKERS = {
    "drive": make_drive,
    "hrf": make_hrf,
    "idrid": make_idrid,
    "idrid_localization": make_idrid_localization,
    "drimdb": make_drimdb,
}


# --- adapters ---------------------------------------------------------------------------------------------------------


def test_every_adapter_has_a_fixture():
    assert set(MAKERS) == set(DATASETS)


@pytest.mark.parametrize("name", MAKERS)
def test_adapter_describes_itself(name):
    adapter = get_dataset(name)
    assert adapter.name == name
    assert adapter.title
    assert set(adapter.size) == set(adapter.photographs)


@pytest.mark.parametrize("name", MAKERS)
def test_every_file_of_a_case_exists(name, tmp_path):
    cases = get_dataset(name).cases(MAKERS[name](tmp_path), "all")
    for case in cases:
        files = [
            case.photograph,
            *(m.path for m in case.masks.values() if m.path),
            *([case.fov.path] if case.fov else []),
        ]
        assert all(path.is_file() for path in files)
    assert len({case.image_id for case in cases}) == len(cases) > 1


def test_drive_parts(tmp_path):
    drive, root = get_dataset("drive"), make_drive(tmp_path)
    ids = {split: [c.image_id for c in drive.cases(root, split)] for split in (None, "train", "test", "all")}
    assert ids["train"] == ["21_training", "22_training"]
    assert ids["test"] == ids[None] == ["01_test", "02_test", "03_test"]
    assert ids["all"] == ids["train"] + ids["test"]
    assert {c.split for c in drive.cases(root, "all")} == {"train", "test"}


def test_hrf_has_no_parts_and_sorts_naturally(tmp_path):
    hrf, root = get_dataset("hrf"), make_hrf(tmp_path)
    for split in (None, "test", "all"):
        assert [(c.image_id, c.split) for c in hrf.cases(root, split)] == [
            ("01_dr", "all"),
            ("02_dr", "all"),
            ("10_h", "all"),
        ]
    with pytest.raises(UserError, match="no official training part"):
        hrf.cases(root, "train")


def test_a_part_that_is_not_there_is_named_with_the_fix(tmp_path):
    idrid, root = get_dataset("idrid"), make_idrid(tmp_path)
    with pytest.raises(UserError, match=r"b\. Testing Set.*present: train - use --split train"):
        idrid.cases(root, "test")
    assert len(idrid.cases(root)) == len(idrid.cases(root, "train")) == 2


def test_idrid_lesion_without_file_is_absent(tmp_path):
    first, second = get_dataset("idrid").cases(make_idrid(tmp_path))
    assert first.masks["cotton_wool_spot"].path is None
    assert not first.masks["cotton_wool_spot"].read((HEIGHT, WIDTH))[0].any()
    assert second.masks["cotton_wool_spot"].read((HEIGHT, WIDTH))[0].sum() == circle(60, 60, 3).sum()


def test_idrid_localization_prefers_its_own_photographs(tmp_path):
    root = make_idrid_localization(tmp_path)
    adapter = get_dataset("idrid_localization")
    assert "B. Disease Grading" in str(adapter.cases(root)[0].photograph)
    own = root / "C. Localization/1. Original Images/a. Training Set"
    for i in (1, 2):
        save(own / f"IDRiD_00{i}.png", photograph())
    case = adapter.cases(root)[0]
    assert case.photograph.parent == own
    assert case.points == {"optic_disc": DISC, "fovea": FOVEA}


def test_idrid_localization_bad_coordinate(tmp_path):
    root = make_idrid_localization(tmp_path)
    table = next((root / "C. Localization/2. Groundtruths/2. Fovea Center Location").iterdir())
    table.write_text(table.read_text().replace(f"IDRiD_002,{FOVEA[0]}", "IDRiD_002,left"))
    with pytest.raises(UserError, match=r"row 3: the coordinates of 'IDRiD_002' are not numbers"):
        get_dataset("idrid_localization").cases(root)


def test_drimdb_labels_and_stamp(tmp_path):
    drimdb = get_dataset("drimdb")
    cases = drimdb.cases(make_drimdb(tmp_path))
    assert [c.image_id for c in cases[:3]] == ["drimdb_good (1)", "drimdb_good (2)", "drimdb_good (10)"]
    assert [c.gradable for c in cases] == [True, True, True, False, False]
    stamped = np.full((570, 760, 3), (90, 40, 20), np.uint8)
    clean = stamped.copy()
    stamped[9:23, 574:673] = (0, 255, 0)
    np.testing.assert_array_equal(drimdb.prepare(stamped), drimdb.prepare(clean))


def test_any_raster_format_and_case(tmp_path):
    root = make_drive(tmp_path)
    for folder, stem in (("images", "01_test"), ("1st_manual", "01_manual1"), ("mask", "01_test_mask")):
        old = next((root / "test" / folder).glob(f"{stem}.*"))
        pixels = read_image(old)
        old.unlink()
        save(old.with_name(f"{stem.upper()}.PPM.gz" if folder == "images" else f"{stem}.PNG"), pixels)
    (root / "test/images/._01_test.tif").write_bytes(b"resource fork")
    (root / "test/images/Thumbs.db").write_bytes(b"")
    cases = get_dataset("drive").cases(root, "test")
    assert len(cases) == 3
    assert cases[0].photograph.name == "01_TEST.PPM.gz"
    np.testing.assert_array_equal(cases[0].masks["vessel"].read((HEIGHT, WIDTH))[0], vessels())


def test_a_lossless_file_wins_over_a_copy(tmp_path):
    root = make_drive(tmp_path)
    save(root / "test/1st_manual/01_manual1.jpg", np.zeros((HEIGHT, WIDTH), bool))
    assert get_dataset("drive").cases(root, "test")[0].masks["vessel"].path.suffix == ".gif"


def test_missing_files_are_all_named_at_once(tmp_path):
    root = make_drive(tmp_path)
    for path in ("test/1st_manual/02_manual1.gif", "test/mask/03_test_mask.gif", "test/images/01_test.tif"):
        (root / path).unlink()
    with pytest.raises(UserError) as error:
        get_dataset("drive").cases(root, "test")
    text = str(error.value)
    assert "3 files are missing" in text
    for name in ("test/1st_manual/02_manual1.*", "test/mask/03_test_mask.*", "test/images/01_test.*"):
        assert name in text
    assert str(tmp_path.parent) not in text


def test_at_most_ten_missing_files_are_listed(tmp_path):
    for number in range(1, 15):
        save(tmp_path / f"test/images/{number:02d}_test.tif", photograph())
    with pytest.raises(UserError, match=r"and \d+ more\.$") as error:
        get_dataset("drive").cases(tmp_path, "test")
    assert str(error.value).count(".*") + str(error.value).count("/,") == 10


def test_optional_folder_has_to_be_complete(tmp_path):
    root = make_drive(tmp_path)
    save(root / "test/av/01_test.png", colour_map())
    with pytest.raises(UserError, match=r"test/av/02_test\.\*, test/av/03_test\.\*"):
        get_dataset("drive").cases(root, "test")


def test_wrong_root(tmp_path):
    with pytest.raises(UserError, match=r"no training/images or test/images"):
        get_dataset("drive").cases(make_hrf(tmp_path))
    with pytest.raises(UserError, match="no folder"):
        get_dataset("drive").cases(tmp_path / "nothing")


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(UserError, match=r"did you mean 'drive'.*drimdb, drive, hrf, idrid, idrid_localization"):
        get_dataset("Drvie")


def test_unofficial_number_of_photographs_is_a_warning(tmp_path, caplog):
    get_dataset("drive").cases(make_drive(tmp_path), "test")
    assert "3 photographs, officially 20" in caplog.text


def test_natural_order():
    assert sorted(["a (10)", "a (9)", "10", "9", "b"], key=natural) == ["9", "10", "a (9)", "a (10)", "b"]


# --- annotations ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("high", [1, 76, 255])
def test_masks_of_any_brightness(high, tmp_path):
    path = save(tmp_path / "m.png", (vessels() * high).astype(np.uint8))
    np.testing.assert_array_equal(MaskFile(path).read((HEIGHT, WIDTH))[0], vessels())


def test_empty_and_red_masks(tmp_path):
    empty = save(tmp_path / "e.png", np.zeros((HEIGHT, WIDTH), np.uint8))
    assert not MaskFile(empty).read((HEIGHT, WIDTH))[0].any()
    red = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    red[vessels()] = (255, 0, 0)
    np.testing.assert_array_equal(MaskFile(save(tmp_path / "r.tif", red)).read((HEIGHT, WIDTH))[0], vessels())


def test_artery_vein_colours(tmp_path):
    path = save(tmp_path / "av.png", colour_map())
    artery, counted = MaskFile(path, "red").read((HEIGHT, WIDTH))
    vein, _ = MaskFile(path, "blue").read((HEIGHT, WIDTH))
    assert artery.sum() == 6 * 70
    assert vein.sum() == 6 * 80
    assert (~counted).sum() == 54 * 6 + 6 * 10  # the crossing and the uncertain end
    assert not (artery & vein).any()


def test_annotation_of_another_size_or_damaged(tmp_path):
    path = save(tmp_path / "m.png", vessels())
    with pytest.raises(UserError, match=r"m\.png is 180x150, its photograph 100x100"):
        MaskFile(path).read((100, 100))
    path.write_bytes(b"nonsense")
    with pytest.raises(UserError, match=r"annotation m\.png is not an image"):
        MaskFile(path).read((HEIGHT, WIDTH))


# --- evaluation -------------------------------------------------------------------------------------------------------


def test_metrics_columns():
    assert METRICS.names == COLUMNS.split()


def test_drive_with_a_perfect_engine(tmp_path):
    done = []
    table = evaluate("drive", make_drive(tmp_path), engine=ColourEngine(), frame_size=256, progress=done.append)
    assert list(table.columns) == METRICS.names
    assert done == [1, 2, 3]
    assert list(table["image_id"]) == ["01_test", "02_test", "03_test"]
    assert set(table["split"]) == {"test"}
    assert (table["n_positive_px"] == vessels().sum()).all()
    assert (table[["dice", "auc", "aupr", "cldice", "accuracy"]] > 0.99).all(axis=None)
    assert table["distance_dd"].isna().all()
    text = summary_text(table)
    assert text.startswith("drive test, vessel\n")
    assert "  dice              3   " in text


def test_observer_in_place_of_a_model(tmp_path):
    table = evaluate("drive", make_drive(tmp_path), model="observer2")
    shifted, truth, fov = np.roll(vessels(), 1, axis=0), vessels(), circle(90, 75, 68)
    expected = 2 * (shifted & truth & fov).sum() / ((shifted & fov).sum() + (truth & fov).sum())
    assert table["dice"].to_list() == pytest.approx([expected] * 3)
    assert table["auc"].isna().all()


def test_artery_and_vein_leave_the_uncertain_out(tmp_path):
    root = make_hrf(tmp_path)
    for stem in ("01_dr", "02_dr", "10_h"):
        save(root / f"av/{stem}_AVmanual.png", colour_map())

    class Veins(ColourEngine):
        """Calls every vessel a vein."""

        def _one(self, image: np.ndarray, fov: np.ndarray) -> Prediction:
            mask = super()._one(image, fov).masks["vessel"]
            return Prediction({"vein": Status.OK}, {"vein": mask}, {"vein": mask.astype(np.float32)})

    table = evaluate("hrf", root, engine=Veins(targets={"vein": Evidence.PHANTOM}), frame_size=256)
    assert set(table["target"]) == {"vein"}
    assert (table["n_positive_px"] == 480).all()
    # all 480 vein pixels found, the 420 artery pixels are false, crossing and uncertain pixels count neither way
    assert table["dice"].to_list() == pytest.approx([2 * 480 / (2 * 480 + 420)] * 3, abs=0.03)


def test_idrid_scores_disc_centre_and_absent_lesions(tmp_path):
    engine = ColourEngine(targets=dict.fromkeys(("optic_disc", "cotton_wool_spot"), Evidence.ANNOTATED))
    table = evaluate("idrid", make_idrid(tmp_path), engine=engine, frame_size=256)
    disc = table[table["target"] == "optic_disc"]
    assert (disc["dice"] > 0.9).all()
    assert (disc["distance_dd"] < 0.05).all()
    assert disc["cldice"].isna().all()
    lesion = table[table["target"] == "cotton_wool_spot"].set_index("image_id")
    assert math.isnan(lesion.loc["IDRiD_01", "dice"])
    assert lesion.loc["IDRiD_01", "specificity"] == 1.0
    assert lesion.loc["IDRiD_01", "n_positive_px"] == 0
    assert lesion.loc["IDRiD_02", "dice"] == 0.0
    assert lesion.loc["IDRiD_02", "auc"] == 0.5


def test_localization_in_disc_diameters(tmp_path):
    root = make_idrid_localization(tmp_path)
    table = evaluate("idrid_localization", root, engine=ColourEngine(), frame_size=256)
    assert len(table) == 4
    assert (table["distance_dd"] < 0.1).all()
    assert table["n_positive_px"].isna().all()
    moved = root / "C. Localization/2. Groundtruths/1. Optic Disc Center Location"
    for path in moved.iterdir():
        path.write_text(path.read_text().replace(f",{DISC[0]},", f",{DISC[0] - 0.7 * 0.1232 * WIDTH},"))
    table = evaluate("idrid_localization", root, engine=ColourEngine(), frame_size=256)
    disc = table[table["target"] == "optic_disc"]
    assert disc["distance_dd"].to_list() == pytest.approx([0.7] * 2, abs=0.05)
    shares = summarise(table).set_index(["target", "metric"])["mean"]
    assert shares["optic_disc", "within_0.5_dd"] == 0.0
    assert shares["optic_disc", "within_1_dd"] == shares["fovea", "within_0.5_dd"] == 1.0


def test_not_found_is_a_miss_and_an_empty_mask(tmp_path):
    table = evaluate("idrid_localization", make_idrid_localization(tmp_path / "c"), engine=ColourEngine(blind=True))
    assert table["distance_dd"].isna().all()
    summary = summarise(table).set_index(["target", "metric"])
    assert summary.loc[("fovea", "within_1_dd"), ["n", "mean"]].to_list() == [2, 0.0]
    assert ("fovea", "distance_dd") not in summary.index
    table = evaluate("drive", make_drive(tmp_path / "d"), engine=ColourEngine(blind=True), frame_size=256)
    assert (table["dice"] == 0).all()
    assert (table["auc"] == 0.5).all()


def test_a_photograph_without_fundus_is_scored_not_skipped(tmp_path, caplog):
    root = make_drive(tmp_path)
    save(root / "test/images/02_test.tif", np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    table = evaluate("drive", root, engine=ColourEngine(), frame_size=256).set_index("image_id")
    assert table.loc["02_test", "dice"] == 0.0
    assert table.loc["01_test", "dice"] > 0.9
    assert "02_test" in caplog.text


def test_a_damaged_photograph_stops_a_benchmark(tmp_path):
    root = make_drive(tmp_path)
    (root / "test/images/02_test.tif").write_bytes(b"II*\0 cut off")
    with pytest.raises(UserError, match=r"drive: photograph 02_test\.tif"):
        evaluate("drive", root, engine=ColourEngine(), frame_size=256)


def test_a_model_without_the_targets_is_an_error(tmp_path):
    engine = ColourEngine(targets={"drusen": Evidence.PHANTOM})
    with pytest.raises(UserError, match="'colour' has none of the targets of drive: vessel"):
        evaluate("drive", make_drive(tmp_path), engine=engine)


def test_drimdb_rows_and_the_row_over_all(tmp_path, monkeypatch):
    gradability = {"drimdb_good (1)": 0.9, "drimdb_good (2)": 0.8, "drimdb_good (10)": 0.2, "drimdb_bad (1)": 0.3}
    monkeypatch.setattr("retsam.evaluation.run.score", lambda framed: {"gradability": gradability[framed.image_id]})
    table = evaluate("drimdb", make_drimdb(tmp_path), frame_size=256)
    assert len(table) == 6
    assert set(table["target"]) == {"gradability"}
    rows = table.set_index("image_id")
    assert rows["sensitivity"].dropna().to_list() == pytest.approx([1, 1, 0, 2 / 3])
    assert rows["specificity"].dropna().to_list() == [1, 1, 1]
    assert rows.loc["__all__", "auc"] == pytest.approx(5 / 6)  # only 0.2 against 0.3 is out of order; no fundus is 0
    summary = summarise(table).set_index("metric")
    assert summary.loc["auc", ["n", "mean"]].to_list() == [5, pytest.approx(5 / 6)]
    assert summary.loc["accuracy", "mean"] == pytest.approx(4 / 5)


def test_summary_from_csv_in_any_order(tmp_path):
    table = evaluate("drive", make_drive(tmp_path), split="all", engine=ColourEngine(), frame_size=256)
    table.loc[0, ["dice", "auc"]] = [0.5, 0.6]
    expected = summarise(table)
    path = tmp_path / "metrics.csv"
    table.to_csv(path, index=False)
    again = summarise(pd.read_csv(path).iloc[::-1])
    pd.testing.assert_frame_equal(
        again.sort_values(["split", "metric"], ignore_index=True),
        expected.sort_values(["split", "metric"], ignore_index=True),
    )


def test_bootstrap_interval_has_the_width_of_the_standard_error():
    rng = np.random.default_rng(1)
    dice = rng.normal(0.8, 0.05, 400)
    table = pd.DataFrame({name: np.nan for name in METRICS.names}, index=range(400)).astype({"n_positive_px": "Int64"})
    table[["dataset", "split", "target"]] = ["x", "test", "vessel"]
    table["image_id"] = [f"{i:03d}" for i in range(400)]
    table["dice"] = dice
    row = summarise(table).iloc[0]
    assert row["metric"] == "dice"
    assert row["mean"] == pytest.approx(dice.mean())
    assert row["median"] == pytest.approx(np.median(dice))
    assert row["ci_high"] - row["ci_low"] == pytest.approx(2 * 1.96 * dice.std() / 20, rel=0.1)
    assert row["ci_low"] < row["mean"] < row["ci_high"]


# --- the real folders -------------------------------------------------------------------------------------------------


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "folder", "split", "count"),
    [
        ("drive", "DRIVE", "train", 20),
        ("drive", "DRIVE", "test", 20),
        ("hrf", "HRF", "all", 30),
        ("idrid", "IDRiD", "train", 54),
        ("idrid_localization", "IDRiD", "train", 391),
        ("drimdb", "DRIMDB", "all", 109),
    ],
)
def test_real_folders_are_read_completely(name, folder, split, count, data_root):
    cases = get_dataset(name).cases(data_root / folder, split)
    assert len(cases) == count
    assert len({case.image_id for case in cases}) == count
    case = cases[-1]
    shape = read_image(case.photograph).shape[:2]
    for mask in (*case.masks.values(), *([case.fov] if case.fov else [])):
        truth, counted = mask.read(shape)
        assert truth.shape == counted.shape == shape
        assert truth.mean() < 0.95
    for x, y in case.points.values():
        assert 0 < x < shape[1]
        assert 0 < y < shape[0]


@pytest.mark.data
def test_second_observer_of_drive_has_its_published_figures(data_root):
    """Accuracy 0.9473, sensitivity 0.776, specificity 0.9725 inside the FOV: quoted in most papers on DRIVE."""
    mean = evaluate("drive", data_root / "DRIVE", split="test", model="observer2")
    assert mean["accuracy"].mean() == pytest.approx(0.9473, abs=0.0005)
    assert mean["sensitivity"].mean() == pytest.approx(0.776, abs=0.001)
    assert mean["specificity"].mean() == pytest.approx(0.9725, abs=0.0005)


@pytest.mark.data
def test_disc_diameter_of_idrid_is_the_measured_one(data_root):
    from retsam.evaluation.metrics import equivalent_diameter

    ratios = []
    for case in get_dataset("idrid").cases(data_root / "IDRiD", "train")[::6]:
        disc = read_image(case.masks["optic_disc"].path)[..., 0] > 0
        ratios.append(equivalent_diameter(disc) / disc.shape[1])
    assert np.mean(ratios) == pytest.approx(get_dataset("idrid_localization").disc_diameter, rel=0.05)
