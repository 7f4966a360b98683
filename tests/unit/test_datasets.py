"""Adapters of public data sets, on small copies made in their official layouts, and on the real folders."""

import re
from pathlib import Path

import numpy as np
import pytest

from retsam.datasets import DATASETS, Case, MaskFile, get_dataset
from retsam.datasets.files import natural
from retsam.errors import UserError
from retsam.io.images import read_image
from retsam.metrics import equivalent_diameter
from retsam.taxonomy import TARGETS
from tests.annotated import (
    DISC,
    FOVEA,
    HEIGHT,
    MAKERS,
    WIDTH,
    by_rank,
    circle,
    colour_map,
    crop,
    make_adam,
    make_ddr,
    make_drimdb,
    make_drive,
    make_e_ophtha,
    make_g1020,
    make_gamma,
    make_hei_med,
    make_hrf,
    make_idrid,
    make_idrid_localization,
    make_iostar,
    make_odir,
    make_origa,
    make_palm,
    make_refuge,
    make_rim_one,
    make_stare,
    photograph,
    save,
    vessels,
)
from tests.conftest import ROOT

LISTED_BY_PHOTOGRAPH = {"rim_one", "drimdb", "hei_med", "e_ophtha"}
"""Sets in which nothing but the photograph need say that there should be one: its absence makes the set smaller."""

ABSENT_MEANS_NONE = {"idrid", "hei_med", "palm", "adam"}
"""Sets in which no file of a lesion means that the photograph has none."""


def test_every_adapter_has_a_fixture():
    assert set(MAKERS) == set(DATASETS)


@pytest.mark.parametrize("name", MAKERS)
def test_adapter_describes_itself(name):
    adapter = get_dataset(name)
    assert adapter.name == name
    assert adapter.title
    assert set(adapter.size) == set(adapter.photographs)
    assert set(adapter.photographs) in ({"all"}, {"train"}, {"train", "test"}, {"train", "val", "test"})
    assert set(adapter.targets) <= set(TARGETS)
    assert adapter.licence


def annotations_of(case: Case) -> list[MaskFile]:
    observers = [mask for masks in case.observers.values() for mask in masks.values()]
    return [*case.masks.values(), *observers, *([case.fov] if case.fov else [])]


@pytest.mark.parametrize("name", MAKERS)
def test_every_file_of_a_case_can_be_read(name, tmp_path):
    adapter = get_dataset(name)
    cases = adapter.cases(MAKERS[name](tmp_path), "all")
    assert len({case.image_id for case in cases}) == len(cases) > 1
    for case in cases:
        shape = read_image(case.photograph).shape[:2]
        for mask in annotations_of(case):
            truth, counted = mask.read(shape)
            assert truth.shape == counted.shape == shape
            assert truth.any() == (mask.path is not None)
    assert {target for case in cases for target in (*case.masks, *case.points)} <= set(adapter.targets)


@pytest.mark.parametrize("name", MAKERS)
def test_a_missing_file_is_named(name, tmp_path):
    adapter = get_dataset(name)
    root = MAKERS[name](tmp_path)
    case = adapter.cases(root, "all")[-1]
    others = {mask.path for mask in annotations_of(case) if mask.path}
    for victim in sorted({case.photograph, *others}) if others else [case.photograph]:
        content = victim.read_bytes()
        victim.unlink()
        by_absence = victim == case.photograph and name in LISTED_BY_PHOTOGRAPH
        if not by_absence and not (name in ABSENT_MEANS_NONE and victim in others):
            stem = victim.name.split(".")[0]
            with pytest.raises(UserError, match=rf"^{name}: 1 file is missing under .*{re.escape(stem)}.*\.$"):
                adapter.cases(root, "all")
        victim.write_bytes(content)


@pytest.mark.parametrize("name", MAKERS)
def test_photographs_in_another_format(name, tmp_path):
    adapter = get_dataset(name)
    root = MAKERS[name](tmp_path)
    before = adapter.cases(root, "all")
    for path in {case.photograph for case in before}:
        if name != "odir":  # its manifest gives whole names
            save(path.with_name(f"{path.name.split('.')[0]}.PNG"), read_image(path))
            path.unlink()
    after = adapter.cases(root, "all")
    assert [case.image_id for case in after] == [case.image_id for case in before]
    assert name == "odir" or all(case.photograph.suffix == ".PNG" for case in after)


@pytest.mark.parametrize("name", MAKERS)
def test_the_folder_around_the_set_serves_too(name, tmp_path):
    adapter = get_dataset(name)
    root = MAKERS[name](tmp_path / "archive")
    (tmp_path / "unrelated").mkdir()
    assert adapter.cases(tmp_path, "all") == adapter.cases(root, "all")


def test_two_copies_in_one_folder_are_not_guessed_between(tmp_path):
    for name in ("one", "two"):
        make_drive(tmp_path / name)
    with pytest.raises(UserError, match="give the folder in its official layout"):
        get_dataset("drive").cases(tmp_path)


@pytest.mark.parametrize("name", MAKERS)
def test_an_empty_folder_is_refused_in_one_sentence(name, tmp_path):
    with pytest.raises(UserError, match=rf"^{name}: no .* in .*; give the folder in its official layout\.$"):
        get_dataset(name).cases(tmp_path)


def test_sets_with_folders_of_one_name_are_told_apart(tmp_path):
    made = ("adam", "refuge", "origa", "g1020", "les_av", "hei_med", "odir")
    roots = {name: MAKERS[name](tmp_path / name) for name in made}
    for name, other, text in (
        ("adam", "refuge", "no Training400 and Training400/Non-AMD in refuge"),
        ("origa", "g1020", "no Images in g1020"),
        ("g1020", "origa", "no Images in origa"),
        ("les_av", "odir", "no images and vessel-segmentations in odir"),
        ("hrf", "hei_med", "no images and manual1 in hei_med"),
    ):
        with pytest.raises(UserError, match=f"{text}; give the folder in its official layout"):
            get_dataset(name).cases(roots[other])
    for name in made:
        assert get_dataset(name).cases(roots[name], "all")


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
    with pytest.raises(UserError, match=r"did you mean 'drive'.*adam, chase_db1, .*, stare\.$"):
        get_dataset("Drvie")


def test_unofficial_number_of_photographs_is_a_warning(tmp_path, caplog):
    get_dataset("drive").cases(make_drive(tmp_path), "test")
    assert "3 photographs, officially 20" in caplog.text


def test_natural_order():
    assert sorted(["a (10)", "a (9)", "10", "9", "b"], key=natural) == ["9", "10", "a (9)", "a (10)", "b"]


def masks_of(name: str, root: Path, image_id: str, split: str = "all") -> dict[str, np.ndarray]:
    case = next(c for c in get_dataset(name).cases(root, split) if c.image_id == image_id)
    return {target: mask.read((HEIGHT, WIDTH))[0] for target, mask in case.masks.items()}


def test_stare_takes_the_labelled_photographs_and_two_observers(tmp_path):
    cases = get_dataset("stare").cases(make_stare(tmp_path))
    assert [case.image_id for case in cases] == ["im0001", "im0077"]
    truth = cases[0].masks["vessel"].read((HEIGHT, WIDTH))[0]
    second = cases[0].observers["observer2"]["vessel"].read((HEIGHT, WIDTH))[0]
    np.testing.assert_array_equal(np.roll(truth, 1, axis=0), second)


def test_iostar_disc_is_the_hole(tmp_path):
    masks = masks_of("iostar", make_iostar(tmp_path), "star01_OSC")
    np.testing.assert_array_equal(masks["optic_disc"], circle(*DISC, 12))
    assert set(masks) == {"vessel", "artery", "vein", "optic_disc"}


@pytest.mark.parametrize(
    ("name", "image_id"),
    [("refuge", "T0001"), ("drishti_gs", "drishtiGS_001"), ("origa", "001"), ("gamma", "0002"), ("papila", "RET002OD")],
)
def test_the_disc_holds_its_cup(name, image_id, tmp_path):
    masks = masks_of(name, MAKERS[name](tmp_path), image_id)
    assert masks["optic_disc"].sum() == pytest.approx(circle(*DISC, 12).sum(), rel=0.03)
    assert masks["optic_cup"].sum() == pytest.approx(circle(*DISC, 6).sum(), rel=0.06)
    assert not (masks["optic_cup"] & ~masks["optic_disc"]).any()


def test_refuge_parts_labels_and_foveas(tmp_path, caplog):
    refuge, root = get_dataset("refuge"), make_refuge(tmp_path)
    with caplog.at_level("INFO"):
        assert [c.image_id for c in refuge.cases(root)] == ["T0001"]
    assert "export Glaucoma_label_and_Fovea_location.xlsx to CSV" in caplog.text
    assert [c.image_id for c in refuge.cases(root, "val")] == ["V0001"]
    assert [c.split for c in refuge.cases(root, "all")] == ["train", "train", "val", "test"]
    glaucoma, normal = refuge.cases(root, "train")
    assert (glaucoma.labels, normal.labels) == ({"glaucoma": True}, {"glaucoma": False})
    assert (glaucoma.points, normal.points) == ({"fovea": FOVEA}, {})
    table = root / "Annotation-Training400/Fovea_location.csv"
    table.write_text(table.read_text().replace("Fovea_X", "X"))
    with pytest.raises(UserError, match=r"Fovea_location\.csv needs the columns ImgName, Fovea_X and Fovea_Y"):
        refuge.cases(root, "train")


def test_refuge_by_other_names_of_its_folders(tmp_path):
    root = make_refuge(tmp_path)
    (root / "Test400").rename(root / "REFUGE-Test400")
    (root / "Annotation-Training400").rename(root / "inner")
    (root / "Annotation-Training400").mkdir()
    (root / "inner").rename(root / "Annotation-Training400/Annotation-Training400")
    assert len(get_dataset("refuge").cases(root, "all")) == 4


def test_a_part_that_a_set_does_not_have(tmp_path):
    with pytest.raises(UserError, match=r"drive has no official validation part; present: train, test - use --split"):
        get_dataset("drive").cases(make_drive(tmp_path), "val")
    with pytest.raises(UserError, match=r"--split 'dev' is not one of train, val, test, all"):
        get_dataset("drive").cases(tmp_path, "dev")


def test_rim_one_labels_and_frame(tmp_path):
    rim_one = get_dataset("rim_one")
    cases = rim_one.cases(make_rim_one(tmp_path), "train")
    assert [(c.image_id, c.labels["glaucoma"]) for c in cases] == [("r1_Im001_tr", True), ("r3_N-1-L_tr", False)]
    pixels = crop()
    framed = rim_one.frame(pixels, 256, "x")
    assert framed.frame.crop_side == pytest.approx(4.66 * 108, abs=1)
    assert framed.fov.mean() == pytest.approx(1 / 4.66**2, rel=0.05)
    rows, cols = np.nonzero(framed.fov)
    assert framed.image[rows.min() - 2 : rows.max() + 3, cols.min() - 2 : cols.max() + 3].sum() == framed.image.sum()
    assert framed.frame.unwarp_mask(framed.fov).mean() > 0.95
    np.testing.assert_allclose(framed.frame.to_photo(framed.frame.to_frame([[3, 5]])), [[3, 5]])
    assert rim_one.frame(np.zeros((71, 64, 3), np.uint8), 256, "y").frame.crop_side % 2 == 0  # parity of the width


def test_origa_png_masks_stand_in(tmp_path):
    root = make_origa(tmp_path)
    expected = masks_of("origa", root, "001")
    for path in (root / "Semi-automatic-annotations").iterdir():
        path.unlink()
    (root / "Semi-automatic-annotations").rmdir()
    for name in ("001", "002"):
        save(root / f"Masks/{name}.png", by_rank())
    for target, mask in masks_of("origa", root, "001").items():
        np.testing.assert_array_equal(mask, expected[target])


def test_g1020_cup_is_unknown_without_a_polygon(tmp_path):
    root = make_g1020(tmp_path)
    first, second = get_dataset("g1020").cases(root)
    assert (set(first.masks), set(second.masks)) == ({"optic_disc", "optic_cup"}, {"optic_disc"})
    for name in ("image_0", "image_10"):
        (root / f"Images/{name}.json").unlink()
        save(root / f"Masks/{name}.png", by_rank())
    np.testing.assert_array_equal(masks_of("g1020", root, "image_10")["optic_cup"], circle(*DISC, 6))


def test_gamma_foveas_by_number(tmp_path):
    first, second = get_dataset("gamma").cases(make_gamma(tmp_path))
    assert (first.split, first.points, second.points) == ("train", {"fovea": FOVEA}, {})


def test_ddr_validation_labels_have_a_name_of_their_own(tmp_path):
    root = make_ddr(tmp_path)
    case = get_dataset("ddr").cases(root, "val")[0]
    assert "valid/segmentation label/HE" in case.masks["hemorrhage"].path.as_posix()
    inner = root / "DDR-dataset/lesion_segmentation"
    (inner / "valid/segmentation label").rename(inner / "valid/label")
    assert [c.split for c in get_dataset("ddr").cases(inner, "all")] == ["train"] * 2 + ["val"] * 2 + ["test"] * 2


def test_e_ophtha_counts_each_photograph_for_its_own_lesion(tmp_path):
    cases = {case.image_id: case for case in get_dataset("e_ophtha").cases(make_e_ophtha(tmp_path))}
    assert {key: (*case.masks, case.masks[next(iter(case.masks))].path is None) for key, case in cases.items()} == {
        "EX_E0019457_C0001273": ("hard_exudate", False),
        "EX_E0000404_C0000886": ("hard_exudate", True),
        "MA_E0000043_DS000DGS": ("microaneurysm", False),
        "MA_E0000404_C0000886": ("microaneurysm", True),
    }


def test_e_ophtha_names_what_is_missing_of_a_marked_photograph(tmp_path):
    root = make_e_ophtha(tmp_path)
    mask = root / "e_optha_EX/Annotation_EX/E0019457/C0001273_EX.png"
    photograph_ = root / "e_optha_EX/EX/E0019457/C0001273.jpg"
    for victim, text in ((mask, r"Annotation_EX/E0019457/C0001273_EX\.\*"), (photograph_, r"EX/E0019457/C0001273\.\*")):
        content = victim.read_bytes()
        victim.unlink()
        with pytest.raises(UserError, match=rf"1 file is missing .*{text}"):
            get_dataset("e_ophtha").cases(root)
        victim.write_bytes(content)


def test_hei_med_is_for_validation(tmp_path):
    hei_med = get_dataset("hei_med")
    cases = hei_med.cases(make_hei_med(tmp_path))
    assert hei_med.validation_only
    assert [(c.masks["hard_exudate"].path is None, c.labels["bright_lesion"]) for c in cases] == [
        (False, True),
        (True, True),
        (True, False),
    ]


def test_palm_and_adam_labels_and_empty_masks(tmp_path):
    palm, adam = get_dataset("palm"), get_dataset("adam")
    cases = palm.cases(make_palm(tmp_path / "palm"), "all")
    assert [(c.image_id, c.labels.get("myopia"), c.masks["patchy_atrophy"].path is None) for c in cases] == [
        ("H0001", False, True),
        ("N0001", False, True),
        ("P0001", True, False),
        ("V0001", None, False),
    ]
    assert cases[-1].points == {"fovea": FOVEA}
    save(tmp_path / "palm/PALM-Testing400-Images/T0001.jpg", photograph())  # without masks
    assert len(palm.cases(tmp_path / "palm")) == 4
    diseased, healthy = adam.cases(make_adam(tmp_path / "adam"))
    assert (diseased.labels["amd"], healthy.labels["amd"]) == (True, False)
    assert (diseased.points, healthy.points) == ({"fovea": FOVEA}, {})
    assert healthy.masks["drusen"].path is None
    np.testing.assert_array_equal(diseased.masks["drusen"].read((HEIGHT, WIDTH))[0], circle(60, 60, 9))


def test_odir_labels_leave_the_unknown_out(tmp_path):
    left, right = get_dataset("odir").cases(make_odir(tmp_path))
    assert left.labels == {"dr": True, "amd": False, "myopia": False}
    assert set(right.labels) == {"dr", "amd", "glaucoma", "myopia"}


def test_folders_in_another_case(tmp_path):
    root = make_stare(tmp_path)
    (root / "labels-ah").rename(root / "Labels-AH")
    assert len(get_dataset("stare").cases(root)) == 2


def test_the_table_in_the_docs_has_every_set():
    rows = (ROOT / "docs/datasets.md").read_text(encoding="utf-8").splitlines()
    table = {row.split("|")[1].strip(" `"): row for row in rows if row.startswith("| `")}
    assert set(table) == set(DATASETS)
    for name, row in table.items():
        for target in DATASETS[name].targets:
            assert f"{target}" in row, f"{name}: {target}"
        assert DATASETS[name].licence in row


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
        ("drishti_gs", "Drishti-GS1_files", "train", 50),
        ("rim_one", "RIM-ONE_DL", "train", 339),
        ("rim_one", "RIM-ONE_DL", "test", 146),
        ("hei_med", "HEI-MED", "all", 85),
        ("odir", "ODIR-5K", "all", 1787),
    ],
)
def test_real_folders_are_read_completely(name, folder, split, count, data_root):
    cases = get_dataset(name).cases(data_root / folder, split)
    assert len(cases) == count
    assert len({case.image_id for case in cases}) == count
    for case in cases[:: max(len(cases) // 5, 1)]:
        shape = read_image(case.photograph).shape[:2]
        for mask in annotations_of(case):
            truth, counted = mask.read(shape)
            assert truth.shape == counted.shape == shape
            assert truth.mean() < 0.95
            assert truth.any() == (mask.path is not None)
        for x, y in case.points.values():
            assert 0 < x < shape[1]
            assert 0 < y < shape[0]


@pytest.mark.data
def test_real_cups_lie_in_their_discs(data_root):
    for name, folder in (("drishti_gs", "Drishti-GS1_files"), ("rim_one", "RIM-ONE_DL")):
        for case in get_dataset(name).cases(data_root / folder, "train")[::20]:
            shape = read_image(case.photograph).shape[:2]
            disc, cup = (case.masks[target].read(shape)[0] for target in ("optic_disc", "optic_cup"))
            assert (cup & ~disc).sum() < 0.05 * cup.sum()
            assert 0.01 < cup.sum() / disc.sum() < 1


@pytest.mark.data
def test_field_of_rim_one_makes_discs_of_the_usual_size(data_root):
    adapter = get_dataset("rim_one")
    ratios = []
    for case in adapter.cases(data_root / "RIM-ONE_DL", "train")[::10]:
        disc = case.masks["optic_disc"].read(read_image(case.photograph).shape[:2])[0]
        ratios.append(equivalent_diameter(disc) / disc.shape[1] / adapter.field_diameter)
    assert np.mean(ratios) == pytest.approx(0.1232 / 0.797, rel=0.05)  # IDRiD: of the width, which holds 0.797 fields


@pytest.mark.data
def test_real_labels_of_odir(data_root):
    cases = get_dataset("odir").cases(data_root / "ODIR-5K")
    assert sum(case.labels.get("dr", False) for case in cases) > 100


@pytest.mark.data
def test_disc_diameter_of_idrid_is_the_measured_one(data_root):
    ratios = []
    for case in get_dataset("idrid").cases(data_root / "IDRiD", "train")[::6]:
        disc = read_image(case.masks["optic_disc"].path)[..., 0] > 0
        ratios.append(equivalent_diameter(disc) / disc.shape[1])
    assert np.mean(ratios) == pytest.approx(get_dataset("idrid_localization").disc_diameter, rel=0.05)
