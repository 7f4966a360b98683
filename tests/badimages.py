"""Files as they come in real cohorts: broken, hostile, odd but valid; and a simple drawn fundus to make them from."""

import gzip
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from retsam.status import Status


def fundus(
    width: int = 320,
    height: int = 256,
    x: float | None = None,
    y: float | None = None,
    radius: float | None = None,
    *,
    border: float = 2.0,
    light: float = 1.0,
    noise: float = 2.0,
    seed: int = 0,
) -> NDArray[np.uint8]:
    """Draw a retina with disc, macula and vessels in a circle on an even border; RGB, (height, width, 3) uint8.

    The circle's edge is soft over one pixel, with its half level at ``radius``.
    """
    x = (width - 1) / 2 if x is None else x
    y = (height - 1) / 2 if y is None else y
    radius = 0.45 * min(width, height) if radius is None else radius
    rows, cols = np.mgrid[:height, :width].astype(np.float32)
    u, v = (cols - x) / radius, (rows - y) / radius
    picture = np.array([170.0, 90.0, 45.0]) * (1 - 0.35 * (u**2 + v**2))[..., None]
    picture -= 60 * np.exp(-((u + 0.2) ** 2 + v**2) / 0.03)[..., None] * np.array([0.8, 0.6, 0.3])
    for bend, side in ((0.5, 1), (0.5, -1), (0.9, 1), (0.9, -1)):
        course = side * bend * np.sqrt(np.clip(0.6 - u, 0, None))
        vessel = np.exp(-((v - course) ** 2) / 0.0004) * (u < 0.6)
        picture -= vessel[..., None] * np.array([50.0, 45.0, 15.0])
    disc = 1 / (1 + np.exp(np.minimum((np.hypot(u - 0.55, v) - 0.16) * 60, 50)))
    picture += disc[..., None] * np.array([75.0, 100.0, 60.0])
    inside = np.clip(radius + 0.5 - np.hypot(cols - x, rows - y), 0, 1)[..., None]
    picture = inside * picture.clip(12, 250) * light + (1 - inside) * border
    picture += np.random.default_rng(seed).normal(0, noise, picture.shape)
    return picture.clip(0, 255).astype(np.uint8)


def sixteen_bit_png(values: NDArray[np.uint16]) -> bytes:
    """PNG bytes of RGB or grey uint16."""
    colour = values[..., ::-1] if values.ndim == 3 else values
    return cv2.imencode(".png", colour)[1].tobytes()


def huge_png(side: int = 60_000) -> bytes:
    """PNG that declares side x side pixels and holds none to speak of."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def make_bad_images(folder: Path, picture: NDArray[np.uint8] | None = None) -> dict[str, tuple[Path, Status]]:
    """Write one file of every kind.

    Parameters
    ----------
    folder : Path
        Made if needed.
    picture : (height, width, 3) uint8, optional
        Good RGB photograph that the valid files are made of; a drawn one by default.

    Returns
    -------
    dict
        Name of the case -> path, and the status that reading and finding the field must give.
    """
    folder.mkdir(parents=True, exist_ok=True)
    good = Image.fromarray(fundus() if picture is None else picture)
    return _unusable(folder, good) | _odd_but_valid(folder, good)


def _unusable(folder: Path, good: Image.Image) -> dict[str, tuple[Path, Status]]:
    cases = {}

    def add(name: str, file: str, content: bytes, status: Status) -> None:
        (folder / file).write_bytes(content)
        cases[name] = folder / file, status

    good.save(folder / "whole.jpg", quality=92)
    good.save(folder / "whole.png")
    jpeg, png = (folder / "whole.jpg").read_bytes(), (folder / "whole.png").read_bytes()
    add("empty", "empty.jpg", b"", Status.UNREADABLE)
    add("text", "text.jpg", b"this is not a photograph\n" * 40, Status.UNREADABLE)
    add("truncated jpeg", "truncated.jpg", jpeg[: len(jpeg) // 2], Status.UNREADABLE)
    add("zero-filled jpeg", "zeros.jpg", jpeg[: len(jpeg) // 2].ljust(len(jpeg), b"\0"), Status.UNREADABLE)
    add("patched jpeg", "patched.jpg", jpeg[: len(jpeg) // 2] + b"\xff\xd9", Status.UNREADABLE)
    add("truncated png", "truncated.png", png[: len(png) // 2], Status.UNREADABLE)
    ppm = gzip.compress(f"P6 {good.width} {good.height} 255\n".encode() + good.tobytes())
    add("truncated gz", "truncated.ppm.gz", ppm[: len(ppm) // 2], Status.UNREADABLE)
    add("huge png", "huge.png", huge_png(), Status.TOO_LARGE)
    (folder / "folder.jpg").mkdir(exist_ok=True)
    cases["directory"] = folder / "folder.jpg", Status.UNREADABLE
    cases["missing"] = folder / "missing.jpg", Status.MISSING_FILE
    for name, pixels, status in (
        ("1x1", np.full((1, 1, 3), 200, np.uint8), Status.TOO_SMALL),
        ("all black", np.zeros((240, 320, 3), np.uint8), Status.NO_FUNDUS),
        ("one colour", np.full((240, 320, 3), 180, np.uint8), Status.NO_FUNDUS),
        ("tiny field", fundus(400, 300, radius=27), Status.TOO_SMALL),
    ):
        path = folder / f"{name.replace(' ', '_')}.png"
        Image.fromarray(pixels).save(path)
        cases[name] = path, status
    return cases


def _odd_but_valid(folder: Path, good: Image.Image) -> dict[str, tuple[Path, Status]]:
    pixels = np.asarray(good)
    files = {
        "unicode and spaces": "œil gauche — 左眼 (1).jpg",
        "rgba": "rgba.png",
        "cmyk": "cmyk.jpg",
        "palette": "palette.gif",
        "grey": "grey.bmp",
        "16 bit": "sixteen.png",
        "12 bit grey": "twelve.png",
        "gzipped ppm": "photograph.ppm.gz",
        "wrong extension": "really_a_jpeg.png",
    }
    paths = {name: folder / file for name, file in files.items()}
    good.save(paths["unicode and spaces"], quality=92)
    good.convert("RGBA").save(paths["rgba"])
    good.convert("CMYK").save(paths["cmyk"], quality=92)
    good.quantize(255).save(paths["palette"])
    good.convert("L").save(paths["grey"])
    paths["16 bit"].write_bytes(sixteen_bit_png(pixels.astype(np.uint16) * 257))
    paths["12 bit grey"].write_bytes(sixteen_bit_png(pixels.max(axis=2).astype(np.uint16) * 16))
    header = f"P6 {good.width} {good.height} 255\n".encode()
    paths["gzipped ppm"].write_bytes(gzip.compress(header + pixels.tobytes()))
    good.save(paths["wrong extension"], format="JPEG", quality=92)
    return {name: (path, Status.OK) for name, path in paths.items()}
