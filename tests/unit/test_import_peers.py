"""Tables of other programs: what is taken, what is refused, and the one table that says so."""

import json

import numpy as np
import pandas as pd
import pytest

from retsam.biomarkers import REGISTRY
from retsam.biomarkers.importer import import_table
from retsam.biomarkers.peers import COLUMNS, CONVERSIONS, PEERS, TABLE, find, markdown, same_as
from retsam.errors import UserError
from tests.conftest import ROOT


def lesion(coverage):
    return {"count": 3, "area_px": 99, "coverage_ratio": coverage, "severity": None, "shape": {"circularity": 0.5}}


def analysis(image_id, *, cd_list=(30.0, 42.0, 80.0, 120.0), areas=(900, 8000), coverage=0.02):
    """A file in the layout of schema 2.1.0, with made-up numbers."""
    return {
        "meta": {"image_id": image_id, "width": 2400, "height": 3000, "schema_version": "2.1.0"},
        "measurements": {
            "vessels": {
                "av_ratio": 0.8, "CRAE": [180.0, 110.0, 145.0], "CRVE": [200.0, 110.0, 165.0],
                "fractal_dimension": {"artery": 1.6, "vein": 1.6}, "tortuosity": {"artery": 0.1, "vein": 0.2},
                "pixel_length": 18.5, "qc_flag": True, "fg_rate": 0.02,
            },
            "optic_disc_cup": {
                "cup_disc_ratio": {"value": 0.28}, "vertical_cd_ratio": {"value": 0.62}, "eye_side": "left",
                "isnt": {"inferior": 32.0, "superior": 54.0}, "cd_list": list(cd_list),
                "cup_area_px": areas[0], "disc_area_px": areas[1],
            },
            "lesions": {
                "lesion_dr": {"summary": {"total_area_px": 9}, "categories": {"exudate": lesion(coverage)}},
                "lesion_amd": {"categories": {"patch_hemorrhage": lesion(0.0)}},
                "possible_lesions": {"categories": {"other_lesions": lesion(0.1)}},
            },
            "tessellation": {"overall": {"total_area_px": 20000, "coverage_ratio": coverage}},
            "myopia": {"overall": {"count": 1}, "categories": {"arc_lesion": {"coverage_ratio": 0.01 * coverage}}},
        },
    }  # fmt: skip


def written(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content) if isinstance(content, dict) else content, encoding="utf-8")
    return path


def why(found, column):
    return found.refused.set_index("column").loc[column, "reason"]


# The table of columns


def test_every_entry_of_the_table_holds_together():
    for entry in COLUMNS:
        assert entry.peer in PEERS and entry.note, entry
        assert not set("{}") & set(entry.column + (entry.ours or "") + entry.over), entry
        if entry.ours is None:
            assert entry.how == entry.conversion == entry.over == "", entry
        else:
            assert entry.ours in REGISTRY, entry
            assert entry.conversion in CONVERSIONS, entry
            assert (entry.conversion == "over") == bool(entry.over), entry
            unit = "um" if entry.conversion == "length" else REGISTRY[entry.ours].unit
            assert REGISTRY[entry.ours].unit == unit, entry
    assert len(TABLE.read_text(encoding="utf-8").splitlines()) > 60


def test_an_entry_is_the_first_that_matches_its_own_name():
    for entry in COLUMNS:
        if entry.ours:
            assert find(entry.peer, entry.column.replace("*", "lesion_dr")) == entry


def test_the_page_is_up_to_date():
    assert (ROOT / "docs" / "peers.md").read_text(encoding="utf-8") == markdown(), "run make config"


def test_the_catalogue_names_the_peers():
    assert same_as("avr_knudtson") == ["automorph:AVR_Knudtson_zone_b", "automorphalyzer:AVR_B"]
    stem = "retsam-json:measurements.optic_disc_cup.cd_list.1/measurements.optic_disc_cup.cd_list.3"
    assert stem in same_as("cup_disc_ratio_vertical")
    assert same_as("artery_lacunarity") == []


# RetSAM


def test_retsam_json_recomputes_ratios_and_refuses_the_mislabelled(tmp_path):
    found = import_table("retsam-json", written(tmp_path, "quantitative_analysis.json", analysis("100.jpg")))
    row = found.table.iloc[0]
    assert (row["image_id"], row["status"]) == ("100", "ok")
    assert row["cup_disc_ratio_vertical"] == pytest.approx(42 / 120)
    assert row["cup_disc_ratio_horizontal"] == pytest.approx(30 / 80)
    assert row["cup_disc_ratio_area"] == pytest.approx(900 / 8000)
    assert row["hard_exudate_coverage"] == 0.02
    assert (row["patchy_hemorrhage_coverage"], row["patchy_hemorrhage_coverage__status"]) == (0, "ok")
    assert row["peripapillary_atrophy_coverage"] == pytest.approx(2e-4)
    values = [name for name in found.table if name in REGISTRY]
    assert values == [name for name in REGISTRY if name in values] and len(values) == 7
    assert "ovality" in why(found, "measurements.optic_disc_cup.vertical_cd_ratio.value")
    assert "no central equivalent" in why(found, "measurements.vessels.CRAE.0")
    assert "15 pixels" in why(found, "measurements.lesions.lesion_dr.categories.exudate.count")
    assert "one class" in why(found, "measurements.lesions.possible_lesions.categories.other_lesions.coverage_ratio")
    assert "not known to this version" not in set(found.refused["reason"])


def test_retsam_zeros_are_missing_where_nothing_can_be_zero(tmp_path):
    written(tmp_path, "a/quantitative_analysis.json", analysis("a.png", cd_list=(0, 0, 0, 0), areas=(0, 0)))
    written(tmp_path, "b/quantitative_analysis.json", analysis("b.png", cd_list=(0, 0, 0, 0), areas=(0, 0), coverage=0))
    table = import_table("retsam-json", tmp_path).table.set_index("image_id")
    assert table["cup_disc_ratio_vertical__status"].tolist() == ["not_assessed"] * 2
    assert table["patchy_hemorrhage_coverage"].tolist()[0] == 0
    assert table.loc["b", "status"] == "not_assessed"
    assert np.isnan(table.loc["b", "patchy_hemorrhage_coverage"])


def test_of_many_files_a_broken_one_is_a_row_without_numbers(tmp_path, caplog):
    written(tmp_path, "a/quantitative_analysis.json", analysis("a.png"))
    written(tmp_path, "b/quantitative_analysis.json", "{")
    table = import_table("retsam-json", tmp_path).table
    assert table[["image_id", "status"]].to_numpy().tolist() == [["a", "ok"], ["b", "not_assessed"]]
    assert "b/quantitative_analysis.json cannot be read as JSON" in caplog.text


# AutoMorph and AutoMorphalyzer

AUTOMORPH = (
    "Name,Disc_height,CDR_vertical,CDR_horizontal,Fractal_dimension,Vessel_density,Artery_Squared_curvature_tortuosity,"
    "CRAE_Knudtson_zone_b,CRVE_Knudtson_zone_b,CRAE_Hubbard_zone_b,AVR_Hubbard_zone_b,AVR_Knudtson_zone_b,"
    "CRAE_Knudtson_zone_c,Mine\n"
    "001.png,120,0.4,0.5,1.5,0.08,0.001,14,20,15,0.7,0.7,13,1\n"
    "002.png,121,-1,,1.5,0.08,0.001,-1,21,-1,,-1,13,1\n"
)


def test_automorph_lengths_need_a_scale(tmp_path):
    path = written(tmp_path, "Macular_Features.csv", AUTOMORPH)
    found = import_table("automorph", path)
    assert found.taken["ours"].tolist() == ["cup_disc_ratio_vertical", "cup_disc_ratio_horizontal", "avr_knudtson"]
    assert "without a scale" in why(found, "CRAE_Knudtson_zone_b")
    assert "no meaning in pixels" in why(found, "AVR_Hubbard_zone_b")
    assert "no square" in why(found, "Artery_Squared_curvature_tortuosity")
    assert "whole canvas" in why(found, "Vessel_density")
    assert why(found, "Mine") == "not known to this version"
    table = found.table.set_index("image_id")
    assert table.index.tolist() == ["001", "002"]
    assert table.loc["001", "avr_knudtson"] == 0.7
    assert table.loc["002"].drop("status").dropna().unique().tolist() == ["not_assessed"]
    assert table["status"].tolist() == ["ok", "not_assessed"]


def test_automorph_with_a_scale_and_in_micrometres(tmp_path):
    path = written(tmp_path, "Macular_Features.csv", AUTOMORPH)
    scaled = import_table("automorph", path, um_per_px=8.0).table
    assert scaled["crae_knudtson_um"].tolist()[0] == 14 * 8
    assert scaled["crve_knudtson_um"].tolist() == [20 * 8, 21 * 8]
    assert "crae_hubbard_um" not in scaled
    um = import_table("automorph", path, um_per_px=1).table
    assert um.loc[0, ["crae_knudtson_um", "crae_hubbard_um", "avr_hubbard"]].tolist() == [14, 15, 0.7]


def test_automorphalyzer(tmp_path):
    path = written(
        tmp_path,
        "feature_measurements.csv",
        "Filename,laterality,CDR_vertical,vessel_density_artery_whole,tortuosity_density_vein_B,"
        "CRAE_Knudtson_artery_B,AVR_B,AVR_C\nx/a.jpeg,Right,0.3,0.1,0.01,15,-1,0.6\n",
    )
    found = import_table("automorphalyzer", path, um_per_px=10)
    row = found.table.iloc[0]
    assert (row["image_id"], row["crae_knudtson_um"], row["cup_disc_ratio_vertical"]) == ("a", 150, 0.3)
    assert row["avr_knudtson__status"] == "not_assessed"
    assert found.refused["column"].tolist() == [
        "laterality", "vessel_density_artery_whole", "tortuosity_density_vein_B", "AVR_C"
    ]  # fmt: skip


# VascX


def test_vascx_parquet_with_ids_in_the_index(tmp_path):
    table = pd.DataFrame(
        {
            "md_tort_dist_arteries": [1.1, np.nan], "lw_tort_dist_vessels": [1.2, 1.3], "full_cre_veins": [20.0, 21.0],
            "mn_bifangle_veins": [80.0, 90.0], "lw_tort_curv_arteries": [0.1, 0.1], "vd_elps_full_veins": [0.1, 0.1],
            "md_tort_dist_max_segment_len_0p2_arteries": [1.0, 1.0], "md_diam_hf_superior_veins": [7.0, 7.0],
        },
        index=["a", "b"],
    )  # fmt: skip
    table.to_parquet(tmp_path / "features.parquet")
    table.to_csv(tmp_path / "features.csv")
    found = import_table("vascx", tmp_path / "features.parquet", um_per_px=5)
    pd.testing.assert_frame_equal(found.table, import_table("vascx", tmp_path / "features.csv", um_per_px=5).table)
    assert found.taken["ours"].tolist() == [
        "artery_tortuosity_arc_chord_median", "vessel_tortuosity_arc_chord_length_weighted", "crve_knudtson_um",
        "vein_branching_angle_mean",
    ]  # fmt: skip
    assert found.table["crve_knudtson_um"].tolist() == [100, 105]
    assert found.table["artery_tortuosity_arc_chord_median__status"].tolist() == ["ok", "not_assessed"]
    assert "fovea" in why(found, "lw_tort_curv_arteries")
    assert "one length" in why(found, "md_tort_dist_max_segment_len_0p2_arteries")


# Wrong files


@pytest.mark.parametrize(
    ("peer", "name", "content", "said"),
    [
        ("automorf", "a.csv", "Name\n1\n", "no peer 'automorf'"),
        ("automorph", None, "", "no file"),
        ("automorph", "a.csv", "file,CDR_vertical\n1,2\n", "has no column 'Name'"),
        ("automorph", "a.csv", "Name,cdr\n1,2\n", "has no column of automorph"),
        ("automorph", "a.csv", "Name,CDR_vertical\na.png,1\na.jpg,1\n", "has photograph 'a' twice"),
        ("automorph", "a.csv", "Name,CDR_vertical\n,1\n", "row 1 names no photograph"),
        ("automorph", "a.csv", "", "is no table"),
        ("vascx", "a.parquet", "no parquet", "is no table"),
        ("retsam-json", "quantitative_analysis.json", "{", "cannot be read as JSON"),
        ("retsam-json", "quantitative_analysis.json", {"meta": {}}, "has no 'measurements'"),
    ],
)
def test_wrong_files_are_one_sentence(tmp_path, peer, name, content, said):
    path = written(tmp_path, name, content) if name else tmp_path / "none.csv"
    with pytest.raises(UserError, match=said):
        import_table(peer, path)


def test_a_column_of_text_and_a_missing_divisor_are_refused(tmp_path):
    path = written(tmp_path, "a.csv", "Name,CDR_vertical,CDR_horizontal\n1,high,0.5\n")
    assert why(import_table("automorph", path), "CDR_vertical") == "holds no numbers"
    content = analysis("a")
    del content["measurements"]["optic_disc_cup"]["disc_area_px"]
    found = import_table("retsam-json", written(tmp_path, "q.json", content))
    assert "needs measurements" in why(found, "measurements.optic_disc_cup.cup_area_px")


def test_another_column_can_name_the_photograph(tmp_path):
    path = written(tmp_path, "a.csv", "photo,CDR_vertical\n007.png,0.5\n")
    assert import_table("automorph", path, id_column="photo").table["image_id"].tolist() == ["007"]
