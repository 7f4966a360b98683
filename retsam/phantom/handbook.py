"""Every table that phantoms and cohorts are drawn from, as one Markdown page (``docs/phantom-tables.md``)."""

import sys
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from retsam.phantom.anatomy import EYE, LOADINGS
from retsam.phantom.camera import CAMERAS, GRADABLE_FROM, Camera
from retsam.phantom.cohort import AGE_ON_PHENOTYPE, COPULA, MODELS, PARTICIPANTS, RATES, SITES
from retsam.phantom.lesion_table import LESIONS
from retsam.phantom.paint import LOOK
from retsam.phantom.pathology import DISEASES, HEALTHY, PREVALENCES, RANDOM_DISEASE, RANDOM_FINDING
from retsam.phantom.population import AIM, ARTIFACTS, EXPOSURE, FAULTS, table_markdown

HEAD = """# Tables of the phantom

Generated from the code by `make config`; what they are for is in [phantom.md](phantom.md). Lengths are in degrees of
visual angle (0.29 mm on the retina) unless a unit is given. `uniform (a, b)`: from a to b. `normal (a, b)`: mean a,
standard deviation b. `lognormal (a, b)`: median a, standard deviation b of the logarithm. `logit-normal (a, b)`:
median a, standard deviation b of the logit.
"""


def tables_markdown() -> str:
    """Return the page."""
    parts = [
        HEAD,
        "## Eyes\n\nOne row per parameter of an eye.\n\n" + table_markdown(EYE),
        "### What phenotypes move\n\nA parameter's standard score is the sum of these loadings times the phenotypes' "
        "scores, and noise for the rest.\n\n"
        + _table(
            ("parameter", "phenotype", "loading"),
            [(f"`{name}`", score, f"{load:g}") for name, row in LOADINGS.items() for score, load in row.items()],
        ),
        "## The look of an eye\n\n" + table_markdown(LOOK),
        "## Diseases\n\nFindings that a disease brings, from which severity on, and how likely then.\n\n"
        + _table(
            ("disease", "target", "severity from", "chance"),
            [(d, f"`{s.target}`", f"{s.onset:g}", f"{s.chance:g}") for d, signs in DISEASES.items() for s in signs],
        ),
        "## Findings without a disease\n\nIncidental: in eyes whose diseases are given. Where none are given "
        f"(`render(seed)`), {HEALTHY:.0%} of the eyes are healthy; in the others each disease occurs with "
        + ", ".join(f"{name} {share:.0%}" for name, share in RANDOM_DISEASE.items())
        + f", and each target by itself with {RANDOM_FINDING:.0%} besides.\n\n"
        + _table(
            ("target", "incidental", "source"),
            [(f"`{row.target}`", f"{row.incidental:g}", row.source) for row in PREVALENCES],
        ),
        "## Lesions\n\n" + table_markdown(LESIONS),
        "## Cameras\n\nMade-up presets.\n\n" + _cameras(),
        "## Aim\n\n" + table_markdown(AIM),
        "## Exposure\n\n" + table_markdown(EXPOSURE),
        f"## Faults\n\nHow the quality dial spoils a photograph; gradable from {GRADABLE_FROM:g} on by definition.\n\n"
        + table_markdown(FAULTS),
        "## Artifacts\n\n" + table_markdown(ARTIFACTS),
        "## Cohorts\n\n" + table_markdown(PARTICIPANTS),
        _table(("rate", "probability", "meaning"), [(f"`{r.name}`", f"{r.value:g}", r.meaning) for r in RATES]),
        _table(
            ("site", "share", "cameras"),
            [(s, f"{share:g}", ", ".join(f"{n} {x:g}" for n, x in mix.items())) for s, (share, mix) in SITES.items()],
        ),
        "### True models of the default cohort\n\nLog odds ratios by eye, per standard deviation of age and of each "
        f"term; the fellow eyes' luck is correlated with {COPULA:g}. Correlation of phenotypes with age: "
        + ", ".join(f"{name} {value:g}" for name, value in AGE_ON_PHENOTYPE.items())
        + ".\n\n"
        + _table(
            ("outcome", "intercept", "age", "sex", "terms"),
            [
                (
                    m.outcome,
                    f"{m.intercept:g}",
                    f"{m.age:g}",
                    f"{m.sex:g}",
                    ", ".join(f"`{name}` {value:.3f}" for name, value in m.terms.items()) or "none",
                )
                for m in MODELS
            ],
        ),
    ]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = ["| " + " | ".join(row) + " |" for row in ([head, *rows])]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]]) + "\n"


def _cameras() -> str:
    """One row per attribute, one column per preset."""
    rows = [(f"`{f.name}`", *(_plain(getattr(camera, f.name)) for camera in CAMERAS.values())) for f in fields(Camera)]
    return _table(("", *CAMERAS), rows)


def _plain(value: Any) -> str:
    return ", ".join(f"{x:g}" for x in value) if isinstance(value, tuple) else f"{value:g}"


if __name__ == "__main__":
    sys.stdout.write(tables_markdown())
