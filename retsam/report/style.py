"""The look of the figures, and bytes that do not change from run to run.

Text in SVG is stored as outlines (``svg.fonttype: path``), not as fonts: the figure then looks the same on every
machine, in print and in a browser without the font, and its bytes do not depend on what is installed. The price, text
that cannot be selected, is paid for by the tables, which hold every number and name of the figures.
"""

import io
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any, cast

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe & Ito, colour universal design (jfly.uni-koeln.de/color): tell apart with any colour vision.
BLUE, VERMILION, GREEN, ORANGE, PURPLE = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7"
INK, MUTED, PANEL = "#1b1f24", "#57606a", "#f3f5f7"

MODEL_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, VERMILION)
"""The most adjusted model first; models beyond the fifth start again."""

WIDTH = 7.2
"""Figure width in inches: two columns of a journal page (183 mm)."""

SCREEN = 5 / 3
"""CSS pixels per point of a figure on a page: a quarter larger than in print, so that 7.5 points read well."""

RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8.0,
    "text.color": INK,
    "text.parse_math": False,  # a $ in a cohort's name is a $
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.labelsize": 8.0,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
    "svg.hashsalt": "retsam",
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw and save inside this block to get the project's look, whatever the caller's settings are."""
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()
        mpl.rcParams.update(cast(Any, RC))  # matplotlib types its keys one by one
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # names in any script are allowed
        yield


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """Make a figure of a size in inches, outside pyplot's global state."""
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def message(text: str) -> Figure:
    """Figure that holds nothing but a sentence."""
    figure = new_figure(1.1)
    figure.text(0.5, 0.5, text, ha="center", va="center", color=MUTED, size=9, linespacing=1.6)
    return figure


def svg_text(figure: Figure) -> str:
    """SVG document of a figure; the same figure gives the same text."""
    buffer = io.BytesIO()
    with styled():
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue().decode("utf-8")
    return re.sub(r"[ \t]+\n", "\n", re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL))


def pdf_bytes(figure: Figure) -> bytes:
    """PDF of a figure, fonts embedded; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells of every table of a font
    with styled():
        figure.savefig(buffer, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
    return buffer.getvalue()


def png_bytes(figure: Figure, dpi: int = 300) -> bytes:
    """PNG of a figure; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    with styled():
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def inline_svg(figure: Figure, prefix: str, label: str) -> str:
    """SVG element for an HTML page.

    Parameters
    ----------
    figure : Figure
    prefix : str
        Put before every id, so that several figures can share a page.
    label : str
        Text for screen readers; escaped here.

    Returns
    -------
    str
        One ``<svg>`` element that scales with its container, without style sheet, metadata or comments.
    """
    svg = svg_text(figure)
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<defs>\s*<style[^>]*>.*?</style>\s*</defs>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", svg)
    svg = re.sub(r">\s+<", "><", svg)
    box = re.search(r'viewBox="([^"]+)"', svg)
    if box is None:
        raise ValueError("matplotlib wrote an SVG without a viewBox")
    width = round(float(box[1].split()[2]) * SCREEN)
    root = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{box[1]}" '
        f'role="img" aria-label="{escape(label, quote=True)}" '
        f'style="width:100%;max-width:{width}px;stroke-linejoin:round;stroke-linecap:butt">'
    )
    return root + svg[svg.index(">") + 1 :].strip()
