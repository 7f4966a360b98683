"""The evaluation loop, on small data sets made in their official layouts."""

import math
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest

from retsam.errors import UserError
from retsam.evaluation import METRICS, evaluate, summarise, summary_text
from retsam.segmentation.engine import Prediction
from retsam.status import Status
from retsam.taxonomy import Evidence
from tests.annotated import (
    DISC,
    HEIGHT,
    WIDTH,
    circle,
    colour_map,
    make_drimdb,
    make_drive,
    make_hrf,
    make_idrid,
    make_idrid_localization,
    make_odir,
    make_refuge,
    make_rim_one,
    save,
    vessels,
)

COLUMNS = (
    "dataset split image_id target dice iou accuracy sensitivity specificity auc aupr cldice distance_dd n_positive_px"
)


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
            if len(rows):
                points[target] = (float(np.median(cols)), float(np.median(rows)))
        probability = {target: mask.astype(np.float32) for target, mask in masks.items()}
        probability["vessel"] = blue.astype(np.float32)
        return Prediction(dict.fromkeys(masks, Status.OK), masks, probability, points)


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


def test_crops_without_a_field_are_scored_whole(tmp_path):
    engine = ColourEngine(targets={"optic_disc": Evidence.ANNOTATED})
    table = evaluate("rim_one", make_rim_one(tmp_path), engine=engine, frame_size=1024)
    assert set(table["split"]) == {"test"}
    assert (table["dice"] > 0.95).all()
    assert (table["distance_dd"] < 0.05).all()


def test_foveas_are_in_diameters_of_their_own_disc(tmp_path):
    table = evaluate("refuge", make_refuge(tmp_path), split="train", engine=ColourEngine(), frame_size=256)
    fovea = table[table["target"] == "fovea"]
    assert fovea["image_id"].to_list() == ["g0001"]  # (0, 0) means that none is visible
    assert (fovea["distance_dd"] < 0.1).all()


def test_labels_alone_cannot_be_evaluated(tmp_path):
    with pytest.raises(UserError, match="odir has labels of whole photographs only"):
        evaluate("odir", make_odir(tmp_path), engine=ColourEngine(), frame_size=256)


@pytest.mark.data
def test_second_observer_of_drive_has_its_published_figures(data_root):
    """Accuracy 0.9473, sensitivity 0.776, specificity 0.9725 inside the FOV: quoted in most papers on DRIVE."""
    mean = evaluate("drive", data_root / "DRIVE", split="test", model="observer2")
    assert mean["accuracy"].mean() == pytest.approx(0.9473, abs=0.0005)
    assert mean["sensitivity"].mean() == pytest.approx(0.776, abs=0.001)
    assert mean["specificity"].mean() == pytest.approx(0.9725, abs=0.0005)
