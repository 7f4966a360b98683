"""What a manuscript takes over: one figure of several panels, and one table as CSV and as LaTeX."""

import re
from pathlib import Path

import pandas as pd

from retsam.report import style
from retsam.report.figures.effects import effect_text, last_rows, placed
from retsam.report.figures.heat_map import cells_of
from retsam.report.figures.multipanel import FOREST_ROWS, multi_panel, paper_biomarkers
from retsam.report.inputs import ReportInputs, model_label
from retsam.report.tables import DAGGER, DASH, q_value
from retsam.tables import write_bytes, write_table

NUMBERS = ("n", "n_events", "n_participants", "or", "ci_low", "ci_high", "beta", "beta_low", "beta_high", "p", "q")

SPECIAL = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "–": "--", "†": r"\dag{}", **{c: f"\\{c}" for c in "&%$#_{}"},
}  # fmt: skip
"""Characters that mean something to LaTeX, and what prints them."""


def paper_table(inputs: ReportInputs) -> pd.DataFrame:
    """Effects of every biomarker on every outcome, of the most adjusted model that has an estimate.

    Returns
    -------
    DataFrame
        outcome, biomarker, label, family, model, n, n_events, n_participants, or, ci_low, ci_high, beta, beta_low,
        beta_high (per SD; those that the kind of the outcome has), p, q, definitional, evidence; in the order of the
        association tables.
    """
    parts = []
    for outcome, table in inputs.associations.items():
        rows = last_rows(placed(table), inputs.model_names(table)).sort_index()
        labels = [inputs.biomarker_label(str(name)) for name in rows["biomarker"]]
        columns = [
            "biomarker",
            "label",
            "family",
            "model",
            *(c for c in NUMBERS if c in rows),
            "definitional",
            "evidence",
        ]
        parts.append(rows.assign(label=labels)[columns].assign(outcome=inputs.outcome_label(outcome)))
    if not parts:
        return pd.DataFrame(columns=["outcome", "biomarker"])
    whole = pd.concat(parts, ignore_index=True)
    return whole[["outcome", *(c for c in whole if c != "outcome")]]


def latex_table(inputs: ReportInputs, most: int = FOREST_ROWS) -> str:
    """The biomarkers of the figure's forest plots as a LaTeX table (package booktabs), a column an outcome.

    Parameters
    ----------
    inputs : ReportInputs
    most : int
        Biomarkers, those of the figure.

    Returns
    -------
    str
        A ``table`` environment; every name is escaped.
    """
    cells = cells_of(inputs)
    names, outcomes = paper_biomarkers(cells, most), list(inputs.associations)
    known = {(str(r["biomarker"]), r["outcome"]): r for r in cells.to_dict("records")}
    models = {
        model_label(m).lower() for t in inputs.associations.values() if (m := inputs.primary_model(t)) is not None
    }
    lines = []
    for name in names:
        row = [escaped(inputs.biomarker_label(name))]
        for outcome in outcomes:
            r = known.get((name, outcome))
            if r is None:
                row += [DASH, DASH]
                continue
            mark = f" {DAGGER}" * bool(r["definitional"])
            row += [effect_text(r["at"], r["low"], r["high"], bool(r["slope"])) + mark, q_value(float(r["q"]))]
        lines.append(" & ".join([row[0], *(escaped(c) for c in row[1:])]) + r" \\")
    head = " & ".join(
        [r"Biomarker", *(rf"\multicolumn{{2}}{{c}}{{{escaped(inputs.outcome_label(o))}}}" for o in outcomes)]
    )
    second = " & ".join(["", *("Effect (95\\% CI) & $q$" for _ in outcomes)])
    caption = (
        f"Effect per standard deviation, model {escaped(' / '.join(sorted(models)))}: odds ratio, or difference of "
        r"means for continuous outcomes. $q$: Benjamini--Hochberg within outcome and family. "
        r"\dag{}: definitional pair, no risk."
    )
    return "\n".join([
        r"\begin{table}", r"\centering", rf"\caption{{{caption}}}", rf"\begin{{tabular}}{{l{'rr' * len(outcomes)}}}",
        r"\toprule", head + r" \\", second + r" \\", r"\midrule", *lines, r"\bottomrule", r"\end{tabular}",
        r"\end{table}", "",
    ])  # fmt: skip


def escaped(text: str) -> str:
    """Text that LaTeX prints as it is."""
    pattern = "|".join(map(re.escape, SPECIAL))
    return re.sub(pattern, lambda found: SPECIAL[found[0]], re.sub(r"\s+", " ", text))


def write_paper(inputs: ReportInputs, folder: str | Path) -> list[Path]:
    """Write the figure as SVG and PDF, the table as CSV (all biomarkers) and as LaTeX (those of the figure).

    Parameters
    ----------
    inputs : ReportInputs
        Tables only, see :func:`retsam.report.stored.read_stored`.
    folder : path-like
        Made where it does not exist.

    Returns
    -------
    list of Path
        ``figure.svg``, ``figure.pdf``, ``table.csv``, ``table.tex``.
    """
    folder = Path(folder)
    with style.styled():
        figure = multi_panel(inputs) or style.message("Nothing could be estimated.")
    made: dict[str, str | bytes] = {
        "figure.svg": style.svg_text(figure),
        "figure.pdf": style.pdf_bytes(figure),
        "table.tex": latex_table(inputs),
    }
    for name, content in made.items():
        write_bytes(content, folder / name)
    table = paper_table(inputs)
    harmless = {c: table[c].map(_no_formula) for c in ("outcome", "label") if c in table}
    write_table(table.assign(**harmless), folder / "table.csv")
    return [folder / name for name in ("figure.svg", "figure.pdf", "table.csv", "table.tex")]


def _no_formula(text: str) -> str:
    """Text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text[:1] in "=+-@\t\r" and text else text
