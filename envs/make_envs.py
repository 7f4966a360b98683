"""Write envs/*.yaml, one conda environment per stage, with the versions of envs/lock.txt; a test fails if they drift.

The packages are taken by pip inside the environment, so that every stage runs on the very versions that are tested.
"""

import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parent

TABLES = ["numpy", "pandas", "pyarrow", "pydantic", "PyYAML", "scipy", "statsmodels", "scikit-learn", "firthmodels"]
IMAGES = [*TABLES, "opencv-python-headless", "pillow", "pycocotools", "scikit-image"]
STAGES = {
    "tables": (TABLES, "Planning, cohort tables, association models."),
    "images": (IMAGES, "Image quality and biomarkers."),
    "segmentation": (
        [*IMAGES, "torch", "torchvision", "segment-anything", "safetensors"],
        "Segmentation shards (GPU).",
    ),
    "report": ([*IMAGES, "Jinja2", "matplotlib", "tableone"], "Figures and the report."),
}


def pins() -> dict[str, str]:
    """Lower-case package name -> pinned version of envs/lock.txt."""
    found = re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;]+)", (FOLDER / "lock.txt").read_text(), flags=re.MULTILINE)
    return {name.lower().replace("_", "-"): version for name, version in found}


def environments() -> dict[str, str]:
    """File name -> text of each environment."""
    versions = pins()
    texts = {}
    for stage, (packages, purpose) in STAGES.items():
        lines = [f"      - {name}=={versions[name.lower()]}" for name in packages]
        head = f"# {purpose} Generated from envs/lock.txt by envs/make_envs.py.\nname: retsam-{stage}\n"
        head += "channels:\n  - conda-forge\n"
        texts[f"{stage}.yaml"] = head + "dependencies:\n  - python=3.11\n  - pip\n  - pip:\n" + "\n".join(lines) + "\n"
    return texts


if __name__ == "__main__":
    for name, text in environments().items():
        (FOLDER / name).write_text(text)
        print(f"wrote envs/{name}")
