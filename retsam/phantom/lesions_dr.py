"""Lesions of diabetic retinopathy. Each function takes a generator, the site and a severity (0-1)."""

import math

import numpy as np
from numpy.typing import NDArray

from retsam.phantom.finding import Finding, Layer
from retsam.phantom.lesion_table import burden, draw, radii
from retsam.phantom.lesions import PIGMENT, Floats, Lesions, Patches, Rim, Streaks, shade, strength
from retsam.phantom.places import Points, Proposal, Site
from retsam.phantom.texture import Texture

Findings = tuple[Finding, ...]

BLOOD = (0.12, 0.60, 0.52)
DARK_BLOOD = (0.46, 0.82, 0.72)
"""Share of red, green and blue that thin and thick blood takes away, by eye."""
LIPID, WAXY = (1.02, 0.88, 0.22), (1.02, 0.96, 0.72)
WOOL, GREY_WOOL = (1.02, 0.95, 0.72), (0.86, 0.80, 0.68)
SCAR = (1.0, 0.88, 0.66)


def microaneurysms(rng: np.random.Generator, site: Site, severity: float) -> Findings:
    """Round red dots over the posterior pole, off the large vessels, the disc and the foveal centre."""
    radius = radii(rng, "microaneurysm", burden(rng, "microaneurysm", severity))
    lesions, _ = Lesions.single(rng, radius, rough=0.05, order=3).placed(
        rng, lambda g, n: _posterior(g, n, site), lambda uv, reach: _clear(uv, reach, site)
    )
    n = len(lesions)
    opacity, soft = strength(rng, n, 0.35, 1.0), rng.uniform(0.03, 0.06)
    colour = shade(rng, n, BLOOD, DARK_BLOOD)
    return (Patches("microaneurysm", Layer.DEEP, lesions, colour, opacity, np.full(n, soft), absorbs=True),)


def hemorrhages(rng: np.random.Generator, site: Site, severity: float) -> Findings:
    """Dot and blot hemorrhages, deep and round, and flames, superficial and along the nerve fibres.

    Blots lie anywhere in the posterior pole and mid-periphery; flames where the fibre layer is thick: within some 11
    degrees of the disc and along the arcades.
    """
    level = (0.3, 0.9)
    radius = radii(rng, "blot", burden(rng, "blot", severity))
    blots, _ = Lesions.lobed(rng, radius, (1, 4), rough=0.10).placed(
        rng, lambda g, n: _posterior(g, n, site), lambda uv, reach: _clear(uv, reach, site, vessels=False)
    )
    n, mottle = len(blots), Texture.draw(rng, 0.35)
    colour, opacity = shade(rng, n, BLOOD, DARK_BLOOD, 0.05), strength(rng, n, *level)
    soft = blots.reach * rng.uniform(0.10, 0.3)
    deep = Patches("hemorrhage", Layer.DEEP, blots, colour, opacity, soft, absorbs=True, mottle=mottle, unevenness=0.15)
    m = burden(rng, "flame", severity) if severity > 0.25 else 0
    bundles = Lesions.strands(rng, draw(rng, "flame_length", m), draw(rng, "flame_width", m), (3, 6))
    flames, _ = bundles.placed(
        rng,
        lambda g, k: _superficial(g, k, site, 1.2),
        lambda uv, reach: (site.from_disc(uv) > 0.6 * reach) & (site.from_disc(uv) < 13.0) & _outside_fovea(uv, site),
        turn=site.fibres,
        taken=(blots.origin, blots.reach),
    )
    if not len(flames):
        return (deep,)
    n, opacity = len(flames), strength(rng, len(flames), *level)
    streaks = Streaks(Texture.draw(rng, 0.2), 0.25, 6.0, _far_pole(flames, site))
    colour, soft = shade(rng, n, BLOOD, (0.28, 0.76, 0.68)), np.full(n, rng.uniform(0.04, 0.1))
    superficial = Patches("hemorrhage", Layer.SUPERFICIAL, flames, colour, opacity, soft, absorbs=True, streaks=streaks)
    return deep, superficial


def hard_exudates(rng: np.random.Generator, site: Site, severity: float) -> Findings:
    """Yellow-white lipid, sharp, under the vessels: loose clusters, circinate rings or spokes of a macular star.

    Clusters lie 1-9 degrees from the fovea; a ring is 1-2.5 degrees wide, as around a leaking microaneurysm. One in
    fourteen has run together into a plaque.
    """
    hubs = site.ring(rng, burden(rng, "exudate_cluster", severity), site.fovea, 1.0, 9.0)
    parts = []
    for hub in hubs:
        n = burden(rng, "hard_exudate", severity)
        parts.append(_exudate_places(rng, n, hub, site))
    goals = np.concatenate(parts)
    goals = goals[rng.permutation(len(goals))]
    radius = np.sort(radii(rng, "hard_exudate", len(goals)))[::-1]  # large ones first, small ones fill in
    plaques = len(goals) // 14
    small = Lesions.lobed(rng, radius[plaques:], (1, 3), rough=0.08)
    both = Lesions.lobed(rng, radius[:plaques] * rng.uniform(0.6, 1.3, plaques), (3, 10), rough=0.2).and_also(small)

    def propose(g: np.random.Generator, n: int) -> Points:
        attempt = np.arange(n) // len(goals)  # later attempts stray further from the wanted place
        return goals[np.arange(n) % len(goals)] + (0.12 * attempt)[:, None] * g.standard_normal((n, 2))

    lesions, _ = both.placed(
        rng, propose, lambda uv, reach: (site.from_disc(uv) > reach + 0.2) & (site.from_fovea(uv) > reach)
    )
    n = len(lesions)
    colour, opacity = shade(rng, n, LIPID, WAXY), strength(rng, n, 0.4, 1.0)
    soft = np.full(n, rng.uniform(0.025, 0.07))
    return (Patches("hard_exudate", Layer.DEEP, lesions, colour, opacity, soft),)


def cotton_wool_spots(rng: np.random.Generator, site: Site, severity: float) -> Findings:
    """Fluffy white clouds of the nerve-fibre layer, over the vessels, along the arcades near the disc."""
    radius = radii(rng, "cotton_wool_spot", burden(rng, "cotton_wool_spot", severity))
    lesions, _ = Lesions.lobed(rng, radius, (1, 4), rough=0.15, long=0.5).placed(
        rng,
        lambda g, n: _superficial(g, n, site, 0.7),
        lambda uv, reach: (
            (site.from_disc(uv) > reach + 0.3) & (site.from_disc(uv) < 14.0) & (site.from_fovea(uv) > 2.5 + reach)
        ),
        turn=site.fibres,
    )
    n = len(lesions)
    colour, opacity = shade(rng, n, WOOL, GREY_WOOL), strength(rng, n, 0.3, 0.9)
    soft = lesions.reach * rng.uniform(0.18, 0.4)
    streaks = Streaks(Texture.draw(rng, 0.25), 0.15, 3.0, _far_pole(lesions, site))
    return (Patches("cotton_wool_spot", Layer.SUPERFICIAL, lesions, colour, opacity, soft, streaks=streaks),)


def laser_spots(rng: np.random.Generator, site: Site, severity: float) -> Findings:
    """Scars of photocoagulation: pale with a pigmented ring, or pigmented throughout.

    Panretinal ones stand in rows outside the arcades and off the disc; focal or grid ones, smaller, 1.7-6 degrees from
    the fovea (500 um and more: ETDRS report 3, Int Ophthalmol Clin 1987;27:254). Now and then there are only these.
    """
    focal = rng.random() < 0.25
    radius, propose = _grid_laser(rng, site, severity) if focal else _panretinal(rng, site, severity)
    lesions, _ = Lesions.single(rng, radius, rough=0.10, aspect=rng.uniform(1.0, 1.3, len(radius))).placed(
        rng, propose, lambda uv, reach: _laser_zone(uv, reach, site, focal), turn=lambda uv: rng.uniform(0, 3, len(uv))
    )
    n = len(lesions)
    dark = rng.random(n) < rng.choice([0.05, 0.2, 0.5])
    colour = np.where(
        dark[:, None], shade(rng, n, PIGMENT, (0.30, 0.27, 0.24)), shade(rng, n, SCAR, (0.92, 0.68, 0.42))
    )
    rim = Rim(
        shade(rng, n, PIGMENT, (0.34, 0.24, 0.18)),
        np.clip(rng.uniform(0.0, 0.7) * np.exp(0.5 * rng.standard_normal(n)), 0.0, 0.8) * ~dark,
        0.12 * lesions.reach,
        0.16 * lesions.reach,
    )
    opacity, soft = strength(rng, n, 0.25, 0.8, 0.3), 0.2 * lesions.reach
    mottle = Texture.draw(rng, 0.3)
    return (Patches("laser_spot", Layer.DEEP, lesions, colour, opacity, soft, rim=rim, mottle=mottle),)


def _posterior(rng: np.random.Generator, n: int, site: Site) -> Points:
    """Two thirds about the fovea, the rest even over 18 degrees about the middle of fovea and disc."""
    near, wide = site.about(rng, n, site.fovea, 5.5), site.ring(rng, n, 0.5 * site.fovea, 0.0, 18.0)
    return np.where((rng.random(n) < 0.65)[:, None], near, wide)


def _superficial(rng: np.random.Generator, n: int, site: Site, spread: float) -> Points:
    """Along the large vessels, half of them near the disc."""
    near = site.ring(rng, n, (0.0, 0.0), site.disc_radius, 12.0)
    return np.where((rng.random(n) < 0.3)[:, None], near, site.along_vessels(rng, n, spread))


def _clear(uv: Points, reach: Floats, site: Site, vessels: bool = True) -> NDArray[np.bool_]:
    """Off the disc and the foveal centre and, where asked, off the large vessels."""
    free = (site.from_disc(uv) > reach + 0.3) & (site.from_fovea(uv) > reach + 0.5)
    return free & (site.from_vessels(uv) > reach + 0.25) if vessels else free


def _outside_fovea(uv: Points, site: Site) -> NDArray[np.bool_]:
    return site.from_fovea(uv) > 3.0


def _far_pole(lesions: Lesions, site: Site) -> Points:
    """Poles (n, 2) that make streaks run along the nerve fibres."""
    angle = site.fibres(lesions.origin)
    return lesions.origin - 30.0 * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _exudate_places(rng: np.random.Generator, n: int, hub: NDArray[np.float64], site: Site) -> Points:
    """Places (n, 2) of one cluster: six tenths loose, three tenths a ring, the rest spokes towards the fovea."""
    kind = rng.random()
    if kind < 0.6:
        stretch = np.exp(0.3 * rng.standard_normal(2)) * rng.uniform(0.4, 1.3)
        return hub + stretch * np.exp(0.5 * rng.standard_normal((n, 1))) * rng.standard_normal((n, 2))
    if kind < 0.9:
        size, angle = (
            rng.uniform(1.0, 2.5),
            rng.uniform(0.0, 2.0 * math.pi) + rng.uniform(0.0, rng.uniform(3.5, 6.3), n),
        )
        radius = size * (1.0 + 0.10 * rng.standard_normal(n))
        return hub + radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    middle = math.atan2(*(hub - site.fovea)[::-1])
    spoke = middle + rng.choice(np.linspace(-0.8, 0.8, 7), n) + 0.03 * rng.standard_normal(n)
    radius = rng.uniform(1.0, 4.5, n)
    return site.fovea + radius[:, None] * np.stack([np.cos(spoke), np.sin(spoke)], axis=1)


def _panretinal(rng: np.random.Generator, site: Site, severity: float) -> tuple[Floats, Proposal]:
    """Radii and places: a jittered lattice outside the arcades, all round or on one side only."""
    number = burden(rng, "laser_spot", severity)
    radius = radii(rng, "laser_spot", number)
    pitch, turn, jitter = rng.uniform(1.7, 2.8), rng.uniform(0.0, math.pi), rng.uniform(0.1, 0.3)
    k = np.arange(-16, 17)
    lattice = np.stack(np.meshgrid(k, k), axis=-1).reshape(-1, 2).astype(float)
    lattice[:, 0] += 0.5 * (lattice[:, 1] % 2)
    c, s = math.cos(turn), math.sin(turn)
    nodes = pitch * (lattice + jitter * rng.standard_normal(lattice.shape)) @ np.array([[c, s], [-s, c]])
    nodes = nodes[_laser_zone(nodes, np.zeros(len(nodes)), site, False)]
    side = rng.uniform(0.0, 2.0 * math.pi)
    facing = (nodes - 0.5 * site.fovea) @ np.array([math.cos(side), math.sin(side)])
    nodes = nodes[facing > (-30.0 if rng.random() < 0.6 else 2.0)]
    order = nodes[rng.permutation(len(nodes))]
    return radius, lambda g, n: order[np.arange(n) % len(order)] + 0.05 * g.standard_normal((n, 2))


def _grid_laser(rng: np.random.Generator, site: Site, severity: float) -> tuple[Floats, Proposal]:
    """Radii and places: a ring about the fovea, or a group on one side of it."""
    radius = radii(rng, "focal_laser", burden(rng, "focal_laser", severity))
    hub = site.ring(rng, 1, site.fovea, 2.0, 4.5)[0]
    if rng.random() < 0.5:
        return radius, lambda g, n: site.ring(g, n, site.fovea, 1.8, 6.0)
    return radius, lambda g, n: site.about(g, n, hub, 1.3)


def _laser_zone(uv: Points, reach: Floats, site: Site, focal: bool) -> NDArray[np.bool_]:
    free = (site.from_disc(uv) > reach + (0.5 if focal else 1.8)) & (site.from_vessels(uv) > reach + 0.15)
    if focal:
        return free & (site.from_fovea(uv) > 1.7 + reach)
    return free & (site.from_fovea(uv) > 0.95 * site.arcade + reach) & (np.hypot(*(uv - 0.6 * site.fovea).T) < 22.0)
