"""Lesions of age-related macular degeneration. Each function takes a generator, the site and a severity (0-1)."""

import numpy as np

from retsam.phantom.finding import Finding, Layer
from retsam.phantom.lesion_table import burden, radii
from retsam.phantom.lesions import Lesions, Patches, shade, strength
from retsam.phantom.lesions_dr import DARK_BLOOD
from retsam.phantom.places import Site
from retsam.phantom.texture import Texture

Findings = tuple[Finding, ...]

YELLOW, CREAM = (1.00, 0.78, 0.42), (1.0, 0.90, 0.66)
CLUMP, BROWN = (0.22, 0.13, 0.10), (0.42, 0.22, 0.13)
BARE, BUFF = (1.00, 0.72, 0.44), (0.96, 0.82, 0.60)


def drusen(rng: np.random.Generator, site: Site, severity: float) -> Findings:
    """Pale-yellow dots under the vessels of the macula, within about 3000 um of the fovea and denser inwards.

    Hard ones are small with a clear border; soft ones (from a severity of 0.3 on) larger, with a soft border, in the
    inner ring. All keep apart, whatever their kind.
    """
    spread = rng.uniform(2.0, 4.5)
    small = radii(rng, "hard_drusen", burden(rng, "hard_drusen", severity))
    large = radii(rng, "soft_drusen", burden(rng, "soft_drusen", severity) if severity > 0.3 else 0)
    radius = np.concatenate([large, small])
    soft = np.arange(len(radius)) < len(large)
    lesions, chosen = Lesions.lobed(rng, radius, (1, 2), rough=0.10).placed(
        rng,
        lambda g, n: site.about(g, n, site.fovea, spread),
        lambda uv, reach: (site.from_disc(uv) > reach + 0.4) & (site.from_fovea(uv) < 10.5 - reach),
    )
    n = len(lesions)
    opacity = strength(rng, n, 0.3, 0.85)
    border = np.where(soft[chosen], rng.uniform(0.2, 0.4) * lesions.reach, rng.uniform(0.03, 0.06))
    return (Patches("drusen", Layer.DEEP, lesions, shade(rng, n, YELLOW, CREAM), opacity, border),)


def patchy_hemorrhages(rng: np.random.Generator, site: Site, severity: float) -> Findings:
    """One large pool of blood under the macula, lobed, dark, under the vessels."""
    radius = radii(rng, "patchy_hemorrhage", 1) * (0.8 + 0.4 * severity)
    lesions, _ = Lesions.lobed(rng, radius, (3, 7), rough=0.16).placed(
        rng,
        lambda g, n: site.about(g, n, site.fovea, 1.8),
        lambda uv, reach: site.from_disc(uv) > 0.6 * reach + 0.3,
    )
    n, mottle = len(lesions), Texture.draw(rng, 0.9)
    colour = shade(rng, n, DARK_BLOOD, (0.66, 0.80, 0.66))
    opacity, soft = strength(rng, n, 0.45, 0.95), np.full(n, rng.uniform(0.08, 0.3))
    return (
        Patches(
            "patchy_hemorrhage", Layer.DEEP, lesions, colour, opacity, soft, absorbs=True, mottle=mottle, unevenness=0.2
        ),
    )


def pigmentary_changes(rng: np.random.Generator, site: Site, severity: float) -> Findings:
    """Dark clumps of pigment and pale patches of thin epithelium side by side, within 5 degrees of the fovea."""
    dark = radii(rng, "pigment_clump", burden(rng, "pigment_clump", severity))
    pale = radii(rng, "pale_patch", burden(rng, "pale_patch", severity))
    radius, spread = np.concatenate([pale, dark]), rng.uniform(1.0, 2.2)
    lesions, chosen = Lesions.lobed(rng, radius, (1, 4), rough=0.20).placed(
        rng,
        lambda g, n: site.about(g, n, site.fovea, spread),
        lambda uv, reach: (site.from_disc(uv) > reach + 0.4) & (site.from_fovea(uv) < 6.0),
    )
    n, is_dark = len(lesions), (np.arange(len(radius)) >= len(pale))[chosen]
    colour = np.where(is_dark[:, None], shade(rng, n, CLUMP, BROWN), shade(rng, n, BARE, BUFF))
    opacity = strength(rng, n, 0.3, 0.85) * np.where(is_dark, 1.0, 0.6)
    soft = np.minimum(0.22 * lesions.reach, 0.12)
    return (
        Patches(
            "pigmentary_change",
            Layer.DEEP,
            lesions,
            colour,
            opacity,
            soft,
            mottle=Texture.draw(rng, 0.3),
            unevenness=0.3,
        ),
    )
