"""Lesions that belong to no one disease. Each function takes a generator, the site and a severity (0-1)."""

import math

import numpy as np
from numpy.typing import NDArray

from retsam.phantom.finding import Finding, Layer
from retsam.phantom.lesion_table import burden, draw, radii
from retsam.phantom.lesions import PIGMENT, Floats, Lesions, Patches, Rim, Streaks, shade, strength
from retsam.phantom.lesions_dr import SCAR
from retsam.phantom.places import Points, Site
from retsam.phantom.shapes import Blobs
from retsam.phantom.texture import Texture

Findings = tuple[Finding, ...]

SHEEN, GREY_SHEEN = (0.98, 0.88, 0.66), (0.80, 0.74, 0.60)
HOLE = (0.22, 0.50, 0.40)
VEIL, GREY = (0.86, 0.68, 0.44), (0.74, 0.62, 0.46)
FIBROUS, OLD = (1.00, 0.92, 0.74), (0.78, 0.74, 0.62)
CREAM, GOLD = (1.05, 1.00, 0.80), (1.05, 0.88, 0.46)
FLOATER = (0.30, 0.24, 0.22)
MYELIN = (1.06, 1.02, 0.88)


def epiretinal_membranes(rng: np.random.Generator, site: Site, severity: float) -> Findings:
    """A glinting sheen over the macula and its vessels, with striae that converge on a point where it contracts."""
    radius = radii(rng, "epiretinal_membrane", 1) * (0.85 + 0.3 * severity)
    shape = Lesions.single(rng, radius, rough=0.22, aspect=rng.uniform(1.0, 1.8, 1), angle=rng.uniform(0, math.pi, 1))
    centre = site.about(rng, 1, site.fovea, 1.3)
    away = np.maximum(1.0, (shape.reach + site.disc_radius + 0.4) / np.hypot(*centre.T))  # not on the disc
    lesions = shape.put(centre * away[:, None])
    turn = rng.uniform(0.0, 2.0 * math.pi)
    pole = lesions.blobs.centres + rng.uniform(0.8, 2.0) * radius * np.array([[math.cos(turn), math.sin(turn)]])
    streaks = Streaks(Texture.draw(rng, rng.uniform(0.18, 0.35)), rng.uniform(0.25, 0.6), rng.uniform(5, 12), pole)
    colour, opacity = shade(rng, 1, SHEEN, GREY_SHEEN), strength(rng, 1, 0.18, 0.55)
    soft = rng.uniform(0.15, 0.4) * radius
    mottle = Texture.draw(rng, 0.9)
    return (
        Patches(
            "epiretinal_membrane",
            Layer.PRERETINAL,
            lesions,
            colour,
            opacity,
            soft,
            mottle=mottle,
            unevenness=0.25,
            streaks=streaks,
        ),
    )


def macular_holes(rng: np.random.Generator, site: Site, severity: float) -> Findings:
    """A round reddish disc at the fovea with a grey cuff of fluid around; the hole alone is the lesion."""
    radius = radii(rng, "macular_hole", 1) * (0.8 + 0.4 * severity)
    lesions = Lesions.single(rng, radius, rough=0.03, order=3).put(site.about(rng, 1, site.fovea, 0.15))
    rim = Rim(
        shade(rng, 1, VEIL, GREY),
        np.array([rng.uniform(0.15, 0.5)]),
        -rng.uniform(0.3, 0.5) * radius,
        rng.uniform(0.2, 0.4) * radius,
    )
    soft = np.array([rng.uniform(0.05, 0.12)])
    colour, opacity = shade(rng, 1, HOLE, (0.30, 0.62, 0.52)), strength(rng, 1, 0.5, 0.95)
    return (Patches("macular_hole", Layer.DEEP, lesions, colour, opacity, soft, absorbs=True, rim=rim),)


def retinal_scars(rng: np.random.Generator, site: Site, severity: float) -> Findings:
    """Pale, sharp chorioretinal scars with pigment along the border, anywhere but on the disc."""
    radius = radii(rng, "retinal_scar", burden(rng, "retinal_scar", severity))
    lesions, _ = Lesions.lobed(rng, radius, (1, 4), rough=0.18).placed(
        rng,
        lambda g, n: site.ring(g, n, 0.6 * site.fovea, 0.0, 17.0),
        lambda uv, reach: site.from_disc(uv) > reach + 0.4,
    )
    n = len(lesions)
    rim = Rim(
        shade(rng, n, PIGMENT, (0.40, 0.28, 0.20)),
        rng.uniform(0.2, 0.8, n),
        rng.uniform(0.05, 0.2, n) * lesions.reach,
        0.10 * lesions.reach,
    )
    colour, opacity = shade(rng, n, SCAR, (1.02, 0.98, 0.84)), strength(rng, n, 0.45, 0.95)
    return (
        Patches(
            "retinal_scar",
            Layer.DEEP,
            lesions,
            colour,
            opacity,
            np.full(n, rng.uniform(0.04, 0.12)),
            rim=rim,
            mottle=Texture.draw(rng, 0.6),
            unevenness=0.15,
            clumps=Texture.draw(rng, 0.5),
            threshold=float(rng.uniform(0.8, 1.6)),
        ),
    )


def edemas(rng: np.random.Generator, site: Site, severity: float) -> Findings:
    """Greyish swelling with no sharp border, at the macula, under the vessels; now and then a second place."""
    radius = radii(rng, "edema", 1 if rng.random() < 0.8 else 2) * (0.7 + 0.6 * severity)
    lesions, _ = Lesions.lobed(rng, radius, (1, 3), rough=0.10).placed(
        rng,
        lambda g, n: site.about(g, n, site.fovea, 2.0),
        lambda uv, reach: site.from_disc(uv) > 0.8 * reach + 0.3,
    )
    n = len(lesions)
    return (
        Patches(
            "edema",
            Layer.DEEP,
            lesions,
            shade(rng, n, VEIL, GREY),
            strength(rng, n, 0.25, 0.65),
            rng.uniform(0.2, 0.4) * lesions.reach,
            mottle=Texture.draw(rng, 0.9),
            unevenness=0.15,
        ),
    )


def fibrous_proliferations(rng: np.random.Generator, site: Site, severity: float) -> Findings:
    """Whitish bands and sheets before the vessels, from the disc and along the arcades."""
    bodies = []
    for _ in range(burden(rng, "fibrous_band", severity)):
        length, width = float(draw(rng, "fibrous_length", 1)[0]), float(draw(rng, "fibrous_width", 1)[0])
        start = _near_disc(rng, site, 7.0)
        path = _follow(start, site, length, 0.3 * width, 0.12 * rng.standard_normal())
        thick = 0.5 * width * np.exp(0.4 * _wander(rng, len(path))) * (1.0 - np.linspace(-0.9, 0.9, len(path)) ** 4)
        bodies.append(
            Blobs.draw(rng, path, np.maximum(thick, 0.12), aspect=rng.uniform(1.0, 1.3, len(path)), rough=0.1)
        )
    lesions = Lesions.joined(bodies)
    n = len(lesions)
    return (
        Patches(
            "fibrous_proliferation",
            Layer.PRERETINAL,
            lesions,
            shade(rng, n, FIBROUS, OLD),
            strength(rng, n, 0.35, 0.9),
            rng.uniform(0.05, 0.18, n),
            mottle=Texture.draw(rng, 0.8),
            unevenness=0.3,
            compact=False,
        ),
    )


def vitreous_degenerations(rng: np.random.Generator, site: Site, severity: float) -> Findings:
    """Asteroid bodies, bright creamy dots before everything; in a quarter of eyes a Weiss ring near the disc."""
    if rng.random() < 0.25:
        return (_weiss_ring(rng, site),)
    radius = radii(rng, "asteroid_body", burden(rng, "asteroid_body", severity))
    hub, spread = site.about(rng, 1, 0.5 * site.fovea, 5.0)[0], rng.uniform(4.0, 9.0)
    lesions, _ = Lesions.single(rng, radius, rough=0.08).placed(
        rng, lambda g, n: site.about(g, n, hub, spread), lambda uv, reach: np.ones(len(uv), bool)
    )
    n = len(lesions)
    blur = rng.uniform(0.1, 0.5, n)  # how far each is out of focus
    opacity = strength(rng, n, 0.45, 0.95) * (1.1 - blur)
    colour, soft = shade(rng, n, CREAM, GOLD), blur * lesions.reach
    return (Patches("vitreous_degeneration", Layer.PRERETINAL, lesions, colour, opacity, soft),)


def _weiss_ring(rng: np.random.Generator, site: Site) -> Patches:
    """Shadow of the torn-off ring of glia: a grey ring, oval and often open, about as large as the disc."""
    size = 0.5 * float(draw(rng, "weiss_ring", 1)[0])
    opening = rng.uniform(0.0, 2.0) if rng.random() < 0.5 else 0.0
    turn, flat = rng.uniform(0.0, 2.0 * math.pi), rng.uniform(0.5, 1.0)
    theta = np.linspace(0.0, 2.0 * math.pi - opening, 48)
    ring = size * np.stack([np.cos(theta), flat * np.sin(theta)], axis=1)
    thick = rng.uniform(0.2, 0.4) * np.exp(0.25 * _wander(rng, len(theta)))
    c, s = math.cos(turn), math.sin(turn)
    centre = site.ring(rng, 1, (0.0, 0.0), 0.0, 7.0)
    lesions = Lesions.joined([Blobs.draw(rng, ring @ np.array([[c, s], [-s, c]]) + centre, thick, rough=0.1)])
    colour, opacity = shade(rng, 1, FLOATER, (0.42, 0.38, 0.36)), strength(rng, 1, 0.35, 0.75)
    soft = np.array([rng.uniform(0.08, 0.22)])
    return Patches("vitreous_degeneration", Layer.PRERETINAL, lesions, colour, opacity, soft, compact=False)


def myelinated_nerve_fibers(rng: np.random.Generator, site: Site, severity: float) -> Findings:
    """Feathery white fans along the nerve fibres that hide the vessels, at the disc's margin or (a fifth) off it."""
    bodies, first = [], rng.choice([-1.0, 1.0]) * rng.uniform(0.6, 2.8)  # above or below more often than temporal
    for place in range(1 if rng.random() < 0.75 else 2):
        sector = math.radians(float(draw(rng, "myelinated_sector", 1)[0]))
        length = float(draw(rng, "myelinated_length", 1)[0]) * (0.7 + 0.6 * severity)
        start = site.disc_radius * (rng.uniform(1.6, 3.5) if rng.random() < 0.2 else 0.96)
        number = max(5, round(start * sector / 0.12))
        angles = first + math.pi * place + sector * (np.linspace(-0.5, 0.5, number))
        bodies.append(_fan(rng, site, angles, start, length, start * sector / number))
    lesions = Lesions.joined(bodies)
    n = len(lesions)
    streaks = Streaks(Texture.draw(rng, 0.22), rng.uniform(0.1, 0.35), 7.0, np.zeros((n, 2)))
    colour, opacity = shade(rng, n, MYELIN, (0.98, 0.90, 0.70)), strength(rng, n, 0.5, 1.0)
    soft = np.full(n, rng.uniform(0.05, 0.16))
    return (
        Patches(
            "myelinated_nerve_fiber",
            Layer.SUPERFICIAL,
            lesions,
            colour,
            opacity,
            soft,
            streaks=streaks,
            compact=False,
        ),
    )


def _fan(
    rng: np.random.Generator, site: Site, angles: NDArray[np.float64], start: float, length: float, spacing: float
) -> Blobs:
    """Strands that begin side by side at a radius about the disc and end unevenly, longest in the middle."""
    number = len(angles)
    ends = (
        length
        * (1.0 - 0.6 * np.linspace(-1, 1, number) ** 2)
        * np.exp(0.2 * _wander(rng, number) + 0.15 * rng.standard_normal(number) - 0.1)
    )
    pieces = []
    for angle, end in zip(angles, ends, strict=True):
        origin = (start + 0.1 * rng.standard_normal()) * np.array([math.cos(angle), math.sin(angle)])
        path = _follow(origin, site, max(float(end), 0.5), 0.6, 0.0)
        pieces.append((path, np.linspace(0.7 * spacing + 0.05, 0.10, len(path)) * rng.uniform(0.9, 1.2)))
    centres, thick = np.concatenate([p for p, _ in pieces]), np.concatenate([t for _, t in pieces])
    half = 0.55
    return Blobs.draw(
        rng,
        centres,
        np.sqrt(half * thick),
        aspect=np.maximum(half / thick, 1.0),
        angle=site.fibres(centres),
        rough=0.0,
    )


def unknown_abnormalities(rng: np.random.Generator, site: Site, severity: float) -> Findings:
    """One blotch of any colour, size, depth and border anywhere: something that no other target describes."""
    radius = radii(rng, "unknown_abnormality", 1)
    lesions, _ = Lesions.lobed(rng, radius, (1, 5), rough=rng.uniform(0.05, 0.3)).placed(
        rng, lambda g, n: site.ring(g, n, 0.6 * site.fovea, 0.0, 16.0), lambda uv, reach: np.ones(len(uv), bool)
    )
    n = len(lesions)
    layer = Layer(int(rng.choice([Layer.CHOROID, Layer.DEEP, Layer.SUPERFICIAL, Layer.PRERETINAL])))
    rim = Rim(rng.uniform(0.1, 1.0, (n, 3)), rng.uniform(0.0, 0.5, n), 0.0 * lesions.reach, 0.1 * lesions.reach)
    return (
        Patches(
            "unknown_abnormality",
            layer,
            lesions,
            rng.uniform(0.15, 1.0, (n, 1)) * rng.uniform([0.9, 0.6, 0.4], [1.1, 1.1, 1.1], (n, 3)),
            strength(rng, n, 0.35, 0.95),
            rng.uniform(0.03, 0.35, n) * lesions.reach,
            rim=rim if rng.random() < 0.4 else None,
            mottle=Texture.draw(rng, rng.uniform(0.3, 1.2)),
            unevenness=float(rng.uniform(0.1, 0.4)),
        ),
    )


def _near_disc(rng: np.random.Generator, site: Site, reach: float) -> NDArray[np.float64]:
    """Place (2,) by a large vessel within ``reach`` degrees of the disc."""
    places = site.along_vessels(rng, 64, 0.3)
    near = places[(site.from_disc(places) < reach) & (site.from_fovea(places) > 4.0)]
    return near[0] if len(near) else np.array([0.0, -site.disc_radius])


def _follow(start: NDArray[np.float64], site: Site, length: float, step: float, bend: float) -> Points:
    """Path (n, 2) along the nerve fibres away from the disc, bent by ``bend`` radians per degree."""
    path, turn = [start], 0.0
    for _ in range(max(1, int(length / step))):
        heading = float(site.fibres(path[-1][None])[0]) + turn
        path.append(path[-1] + step * np.array([math.cos(heading), math.sin(heading)]))
        turn += bend * step
    return np.array(path)


def _wander(rng: np.random.Generator, n: int) -> Floats:
    """Smooth noise (n,) of about unit variance along a path."""
    noise = np.convolve(rng.standard_normal(n + 4), np.full(5, 1.0 / math.sqrt(5.0)), mode="valid")
    return np.asarray(noise, float)
