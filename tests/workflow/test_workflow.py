"""The whole chain on a tiny cohort: nothing lost, nothing done twice, only what changed is done again."""

import itertools
import json
import re
import shutil

import pandas as pd
import pytest

from retsam.biomarkers import REGISTRY, exposures
from retsam.segmentation import load_engine
from retsam.status import Status
from tests.conftest import ROOT
from tests.workflow.conftest import Study, simulated

pytestmark = pytest.mark.workflow


def manifest(study):
    return pd.read_csv(study.manifest, dtype=str, keep_default_na=False)


def jobs(done):
    """Rule -> number of jobs of a dry run's table."""
    text = done.stdout + done.stderr
    return {rule: int(n) for rule, n in re.findall(r"^(\w+)\s+(\d+)$", text, flags=re.MULTILINE) if rule != "total"}


@pytest.mark.parametrize("stage", ["quality", "biomarkers"])
def test_every_image_has_one_row_in_every_per_image_table(finished, stage):
    table = finished.per_image(stage)
    wanted = pd.read_parquet(finished.results / "manifest" / "images.parquet")["image_id"].tolist()
    assert table["image_id"].tolist() == wanted
    assert len(wanted) == len(manifest(finished))


def test_every_image_is_in_the_masks_and_the_cohort(finished):
    wanted = pd.read_parquet(finished.results / "manifest" / "images.parquet")["image_id"].tolist()
    assert finished.per_image("masks")["image_id"].drop_duplicates().tolist() == wanted
    assert finished.table("cohort/images.parquet")["image_id"].tolist() == wanted


def test_bad_images_get_their_status_and_the_rest_goes_on(finished):
    images = finished.table("cohort/images.parquet")
    expected = manifest(finished)["expected"]
    for row in images.index[expected != ""]:
        if expected[row] != Status.OK:
            assert images.loc[row, "status"] == expected[row], images.loc[
                row, ["image_id", "status", "message"]
            ].tolist()
            assert not images.loc[row, "included"]
    good = images[(expected == "").to_numpy()]
    truth = pd.read_csv(finished.manifest.parent / "truth" / "images.csv")
    # Of a photograph at the dark end of the quality dial nothing may be left that looks like a fundus.
    dark = good["image_id"].isin(truth.loc[~truth["gradable"], "image_id"])
    assert set(good.loc[~dark, "status"]) <= {Status.OK, Status.UNGRADABLE}
    assert set(good.loc[dark, "status"]) <= {Status.UNGRADABLE, Status.NO_FUNDUS}
    assert (good["status"] == Status.OK).mean() > 0.8
    problems = pd.read_csv(finished.results / "manifest" / "problems.csv")["message"].str.cat(sep="\n")
    for said in ("already the id of row 1", "'third' is not known", "'maybe' is not 0 or 1", "'old' is not a number"):
        assert said in problems


def test_flow_accounts_for_every_image(finished):
    flow = json.loads((finished.results / "cohort" / "flow.json").read_text())
    stages = flow["stages"] if isinstance(flow, dict) else flow
    assert stages[0]["n_images"] == len(manifest(finished))
    for before, after in itertools.pairwise(stages):
        assert before["n_images"] - sum(after["removed"].values()) == after["n_images"]


def test_missing_values_have_a_reason(finished):
    table = finished.per_image("biomarkers")
    for name in REGISTRY:
        missing = table[name].isna()
        assert (table.loc[missing, f"{name}__status"] != Status.OK).all()
        assert (table.loc[~missing, f"{name}__status"] == Status.OK).all()


@pytest.mark.parametrize("outcome", ["dr", "amd", "glaucoma", "myopia"])
def test_association_tables(finished, outcome):
    table = finished.table(f"association/{outcome}.parquet")
    provided = set(load_engine("classical").targets)
    assert set(table["biomarker"]) == {b.name for b in exposures() if set(b.requires) <= provided}
    assert {"crude", "age_sex"} == set(table["model"])
    main = (table["analysis"] == "main") & (table["term"] == "per_sd")
    assert len(table[main]) == 2 * table["biomarker"].nunique() and "one_eye" in set(table["analysis"])
    assert not table.duplicated(["biomarker", "model", "analysis", "term"]).any()
    done = table[(table["status"] == Status.OK) & (table["term"] != "nonlinear")]  # a joint test has no odds ratio
    assert ((done["ci_low"] < done["or"]) & (done["or"] < done["ci_high"])).all()
    assert table.loc[table["status"] != Status.OK, ["or", "p", "q"]].isna().all(axis=None)


def test_report_and_figures(finished):
    html = (finished.results / "report" / "index.html").read_text(encoding="utf-8")
    assert str(finished.folder) not in html
    assert {p.suffix for p in (finished.results / "figures").glob("[!.]*")} == {".svg", ".png"}


def test_no_result_names_this_machine(finished):
    for path in finished.results.rglob("*"):
        if path.is_file():
            assert str(finished.folder).encode() not in path.read_bytes(), path


def test_running_again_does_nothing(finished):
    assert "Nothing to be done" in finished.snakemake().stderr


def copy_of(finished, tmp_path) -> Study:
    study = Study(tmp_path / "copy")
    shutil.copytree(finished.folder, study.folder, symlinks=True)
    study.configure()
    return study


def test_a_paper_is_drawn_from_tables_alone(finished, tmp_path):
    study = copy_of(finished, tmp_path)
    planned = jobs(study.snakemake("-n", "--", "paper"))
    assert planned["paper"] == 1 and not set(planned) & {"quality_shard", "segment_shard", "measure_shard", "report"}
    study.snakemake("--", "paper")
    made = {p.name for p in (study.results / "paper").iterdir() if p.stat().st_size}
    assert made == {"figure.svg", "figure.pdf", "table.csv", "table.tex"}


def test_appended_images_run_only_the_affected_shards(finished, tmp_path):
    study = copy_of(finished, tmp_path)
    table = manifest(study)
    more = pd.read_csv(simulated(study.manifest.parent / "more", 3), dtype=str, keep_default_na=False)
    more["image_id"] = "more " + more["image_id"]
    more["path"] = "more/" + more["path"]
    pd.concat([table, more]).fillna("").to_csv(study.manifest, index=False)
    n_after = -(-(len(table) + len(more)) // 16)
    unaffected = len(table) // 16
    study.snakemake("--until", "plan")
    planned = jobs(study.snakemake("-n"))
    assert planned["quality_shard"] == planned["segment_shard"] == planned["measure_shard"] == n_after - unaffected
    assert planned["cohort"] == 1
    assert planned["associate"] == 4


def test_changed_labels_run_no_image_work(finished, tmp_path):
    study = copy_of(finished, tmp_path)
    table = manifest(study)
    table["age"] = table["age"].replace("", "50").map(lambda a: "51" if a.replace(".", "").isdigit() else a)
    table.to_csv(study.manifest, index=False)
    done = study.snakemake()
    ran = set(re.findall(r"^(?:local)?(?:rule|checkpoint) (\w+):", done.stderr, flags=re.MULTILINE))
    assert {"plan", "cohort", "associate", "report"} <= ran
    assert not ran & {"quality_shard", "segment_shard", "measure_shard"}


def test_true_coefficients_change_the_report_alone(finished, tmp_path):
    study = copy_of(finished, tmp_path)
    study.configure(report={"truth": "cohort/truth/coefficients.csv"})  # relative to the configuration file
    done = study.snakemake()
    ran = set(re.findall(r"^(?:local)?(?:rule|checkpoint) (\w+):", done.stderr, flags=re.MULTILINE))
    assert ran - {"all", "plan"} == {"provenance", "report"}  # plan: the copy has its manifest elsewhere
    report = study.results / "report" / "index.html"
    assert "From the true values" in report.read_text(encoding="utf-8")
    assert 'id="truth"' not in (finished.results / "report" / "index.html").read_text(encoding="utf-8")
    assert (study.results / "figures" / "truth.svg").is_file()
    (study.folder / "cohort" / "truth" / "biomarkers.parquet").unlink()
    study.snakemake()
    assert 'id="truth"' in report.read_text(encoding="utf-8")
    assert "From the true values" not in report.read_text(encoding="utf-8")


def test_shard_size_and_cores_do_not_change_the_results(finished, tmp_path):
    other = Study(tmp_path)
    shutil.copytree(finished.manifest.parent, other.manifest.parent)
    other.configure(shard_size=1000)
    other.snakemake("--cores", "1")
    names = ["cohort/images.parquet", "cohort/eyes.parquet", "cohort/participants.parquet", "cohort/flow.json"]
    names += [f"association/{outcome}.parquet" for outcome in ("dr", "amd", "glaucoma", "myopia")]
    for name in names:
        assert (other.results / name).read_bytes() == (finished.results / name).read_bytes(), name


def test_a_bad_table_stops_before_any_job_with_one_sentence(tmp_path):
    study = Study(tmp_path)
    study.manifest.parent.mkdir(parents=True)
    study.manifest.write_text("id,file\n1,a.jpg\n")
    study.configure()
    done = study.snakemake(check=False)
    assert done.returncode == 1
    assert "no column 'path'; rename column 'file' to 'path'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_key_stops_with_a_hint(tmp_path):
    study = Study(tmp_path)
    study.configure(threads=3)
    done = study.snakemake(check=False)
    assert done.returncode == 1
    assert "unknown key 'threads'; runtime settings belong to a profile" in done.stderr


def test_slurm_profile_is_found_from_a_clone(finished):
    import subprocess
    import sys

    command = [sys.executable, "-m", "snakemake", "-n", "--cores", "all", "--profile", "slurm"]
    command += ["--directory", str(finished.folder), "--configfile", str(finished.folder / "my.yaml")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
