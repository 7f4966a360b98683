"""Manifest: a bad table is refused with all its problems, a bad row keeps its place."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retsam.io.manifest import ManifestError, read_manifest
from retsam.status import Status


def write(folder, text, name="manifest.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path):
    for name in ("a.jpg", "b c.png", "ü.tif"):
        (tmp_path / name).write_bytes(b"12345")
    return tmp_path


def test_normal_form(folder):
    text = "image_id,path,participant_id,eye,age,sex,dr,bmi,note\n"
    text += "1,a.jpg,P1,left,61.5,Female,1,22.5,x\n2,b c.png,P1,OD,,M,,,\n"
    manifest = read_manifest(write(folder, text))
    images = manifest.images
    assert manifest.outcomes == ("dr",)
    assert not manifest.problems
    assert images["eye"].tolist() == ["OS", "OD"]
    assert images["sex"].tolist() == ["f", "m"]
    assert images["file_bytes"].tolist() == [5, 5]
    assert images["dr"].tolist()[0] == 1.0
    assert images[["dr", "age", "bmi"]].loc[1].isna().all()
    assert images["status"].tolist() == [Status.OK, Status.OK]


def test_participant_defaults_to_the_image(folder):
    images = read_manifest(write(folder, "image_id,path\nq,a.jpg\n")).images
    assert images["participant_id"].tolist() == ["q"]
    assert images["eye"].tolist() == [None]


@pytest.mark.parametrize(("suffix", "separator"), [("csv", ";"), ("tsv", "\t"), ("csv", ",")])
def test_separators_and_byte_order_mark(folder, suffix, separator):
    text = "\ufeffimage_id,path,age\na,a.jpg,50\n".replace(",", separator)
    images = read_manifest(write(folder, text, f"m.{suffix}")).images
    assert images.loc[0, ["image_id", "path", "age"]].tolist() == ["a", "a.jpg", 50.0]


def test_parquet_equals_csv(folder):
    table = pd.DataFrame({"image_id": ["a", "b"], "path": ["a.jpg", "ü.tif"], "age": [50.0, None], "dr": [1.0, None]})
    table.to_csv(folder / "m.csv", index=False)
    table.to_parquet(folder / "m.parquet")
    left, right = read_manifest(folder / "m.csv").images, read_manifest(folder / "m.parquet").images
    pd.testing.assert_frame_equal(left, right, check_dtype=False)


def test_every_bad_row_is_named_and_kept(folder):
    text = (
        "image_id,path,eye,age,sex,dr\n"
        "a,a.jpg,OD,50,f,1\n"
        "a,b c.png,OD,50,f,0\n"
        ",a.jpg,OD,50,f,0\n"
        "d,,OD,50,f,0\n"
        "e,gone.jpg,OD,50,f,0\n"
        "f,a.jpg,third,fifty,x,maybe\n"
        "g,ü.tif,OS,500,m,2\n"
    )
    manifest = read_manifest(write(folder, text))
    assert manifest.images["status"].tolist() == ["ok", "duplicate_id", "bad_row", "bad_row", "ok", "ok", "ok"]
    assert manifest.images["image_id"].tolist() == ["a", "a~2", "row_3", "d", "e", "f", "g"]
    said = [str(p) for p in manifest.problems]
    assert [p.row for p in manifest.problems] == [2, 3, 4, 5, 6, 6, 6, 6, 7, 7]
    assert any("'a' is already the id of row 1" in text for text in said)
    assert any("row 5, column path: no file 'gone.jpg'" in text for text in said)
    assert any("'third' is not known; use OD, OS" in text for text in said)
    assert any("'maybe' is not 0 or 1" in text for text in said)
    assert manifest.images.loc[6, ["age", "dr"]].isna().all()


def test_missing_outcome_is_unknown_never_zero(folder):
    images = read_manifest(write(folder, "image_id,path,dr\na,a.jpg,\nb,a.jpg,0\nc,a.jpg,NA\n")).images
    assert images["dr"].isna().tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("image_id,path\n", "no rows"),
        ("id,filename\n1,a.jpg\n", "rename column 'filename' to 'path'"),
        ("image_id,Path\n1,a.jpg\n", "rename column 'Path' to 'path'"),
        ("x,y\n1,2\n", "no column 'image_id'; add a column"),
        ("image_id,path,path\n1,a.jpg,b\n", "appears 2 times"),
    ],
)
def test_a_bad_table_is_refused(folder, text, said):
    with pytest.raises(ManifestError) as refused:
        read_manifest(write(folder, text))
    assert said in str(refused.value)


def test_all_table_problems_at_once(folder):
    with pytest.raises(ManifestError) as refused:
        read_manifest(write(folder, "id,file,diabetic\n1,a.jpg,0\n"), outcomes=["dr"])
    assert len(str(refused.value).splitlines()) == 3


def test_folder_and_missing_file(tmp_path):
    with pytest.raises(ManifestError, match="is a folder"):
        read_manifest(tmp_path)
    with pytest.raises(ManifestError, match="no manifest at"):
        read_manifest(tmp_path / "none.csv")


def test_absolute_paths_become_relative(folder):
    sub = folder / "tables"
    sub.mkdir()
    images = read_manifest(write(sub, f"image_id,path\n1,{folder / 'a.jpg'}\n")).images
    assert images.loc[0, "path"] == "../a.jpg"
    assert images.loc[0, "file_bytes"] == 5


cell = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x00", exclude_categories=["Cs"]), max_size=8)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(rows=st.lists(st.tuples(cell, cell, cell, cell), min_size=1, max_size=8))
def test_any_cells_give_one_row_each_with_unique_ids(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("any") / "m.parquet"
    pd.DataFrame(rows, columns=["image_id", "path", "eye", "dr"]).to_parquet(path)
    images = read_manifest(path).images
    assert len(images) == len(rows)
    assert images["image_id"].is_unique
    assert images["image_id"].notna().all()
    assert set(images["dr"].dropna()) <= {0.0, 1.0}
