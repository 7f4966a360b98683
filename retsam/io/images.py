"""Photographs of any usual kind, read as upright 8-bit RGB.

The content decides the format, never the extension. Declared sizes are checked before any pixel is decoded, and
whatever is wrong with a file becomes an :class:`ImageError` with a status and one sentence for the user.
"""

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageOps,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from retsam.io import dicom
from retsam.status import Status

MIN_SIDE = 64
"""Shortest side that is read, in pixels: less cannot hold a measurable fundus."""

MAX_PIXELS = 80_000_000
"""Default limit on declared pixels: above every fundus camera on sale, 240 MB when decoded."""

ORIENTATION = 0x0112
"""EXIF and TIFF tag of the orientation."""

# Pillow's readers by the first bytes of the file. They are called directly because ``Image.open`` warns or raises about
# decompression bombs by a limit of its own, global to the process.
_READERS: tuple[tuple[bytes, Callable[..., Image.Image]], ...] = (
    (b"\xff\xd8\xff", JpegImagePlugin.jpeg_factory),
    (b"\x89PNG\r\n\x1a\n", PngImagePlugin.PngImageFile),
    (b"II*\0", TiffImagePlugin.TiffImageFile),
    (b"MM\0*", TiffImagePlugin.TiffImageFile),
    (b"II+\0", TiffImagePlugin.TiffImageFile),
    (b"MM\0+", TiffImagePlugin.TiffImageFile),
    (b"BM", BmpImagePlugin.BmpImageFile),
    (b"GIF87a", GifImagePlugin.GifImageFile),
    (b"GIF89a", GifImagePlugin.GifImageFile),
    *((b"P%d" % kind, PpmImagePlugin.PpmImageFile) for kind in range(1, 7)),
    (b"RIFF", WebPImagePlugin.WebPImageFile),
)


class ImageError(Exception):
    """A photograph that cannot be used.

    Parameters
    ----------
    status : Status
        Reason code.
    message : str
        One sentence for the user: the file's name (never its folder) and the fix.
    """

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status


def read_image(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Read a photograph as upright 8-bit RGB.

    JPEG, PNG, TIFF (first page), BMP, PPM/PGM/PBM, GIF and WebP (first frame), each also gzipped, and DICOM (first
    frame; needs the ``dicom`` extra). EXIF orientation is applied; grey is repeated in three channels; transparency is
    laid on black; CMYK is converted without a colour profile, and colour profiles of RGB files are not applied.

    More than 8 bits are scaled linearly: white is ``2**b - 1`` with the smallest ``b`` of 8, 10, 12, 14, 16 that holds
    the brightest value, since cameras store 10 to 14 bits in 16. PPM and DICOM declare their white, which is then used.

    Parameters
    ----------
    path : path-like
    max_pixels : int
        Limit on the declared number of pixels.

    Returns
    -------
    (height, width, 3) uint8
        RGB, C-contiguous.

    Raises
    ------
    ImageError
        With status ``missing_file``, ``unreadable``, ``too_large`` or ``too_small``.
    """
    path = Path(path)
    name = _printable(path.name or str(path))
    with _open(path, name) as stream:
        try:
            return np.require(_decode(stream, name, max_pixels), requirements=["C", "W"])
        except (ImageError, MemoryError):
            raise
        except ModuleNotFoundError as error:
            hint = 'install the reader with: pip install "retsam[dicom]"'
            raise ImageError(Status.UNREADABLE, f"{name} is a DICOM file; {hint}") from error
        except Exception as error:  # the decoders raise nearly every built-in exception on damaged files
            raise _unreadable(name, "is damaged or cut off") from error


def _open(path: Path, name: str) -> IO[bytes]:
    """Open a regular file; folders, pipes and the like are refused before they can block."""
    try:
        if path.is_file():
            return path.open("rb")
        exists = path.exists()
    except PermissionError as error:
        hint = "give this user permission to read it"
        raise ImageError(Status.UNREADABLE, f"{name} cannot be opened: permission denied; {hint}") from error
    except (OSError, ValueError) as error:
        raise ImageError(Status.UNREADABLE, f"{name} cannot be opened; check its path in the manifest") from error
    if exists:
        kind = "a folder" if path.is_dir() else "not a regular file"
        raise ImageError(Status.UNREADABLE, f"{name} is {kind}; give the path of one image file")
    raise ImageError(Status.MISSING_FILE, f"{name} does not exist; check its path in the manifest")


def _decode(stream: IO[bytes], name: str, max_pixels: int) -> NDArray[np.uint8]:
    """Decode an open file by its first bytes."""

    def accept(width: int, height: int) -> None:
        _check_size(name, width, height, max_pixels)

    start = stream.read(132)
    if start[:2] == b"\x1f\x8b":
        stream.seek(0)
        stream = cast(
            IO[bytes], gzip.GzipFile(fileobj=stream)
        )  # decompresses as it is read, so a bomb stops at the declared size
        start = stream.read(132)
    stream.seek(0)
    if not start:
        raise _unreadable(name, "is empty (0 bytes)")
    if start[128:132] == b"DICM":
        values, white = dicom.decode(stream, accept)
        return _as_rgb(_scaled(values, white or _white(values)))
    for magic, reader in _READERS:
        if start.startswith(magic):
            with reader(stream) as picture:
                accept(*picture.size)
                return _pixels(picture, stream, name)
    raise _unreadable(name, "is not an image (JPEG, PNG, TIFF, BMP, PPM, GIF, WebP or DICOM)")


def _check_size(name: str, width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        fix = "make it smaller or raise the limit"
        raise ImageError(
            Status.TOO_LARGE, f"{name} declares {width} x {height} pixels, more than the limit of {max_pixels}; {fix}"
        )
    if min(width, height) < MIN_SIDE:
        fix = "use the original photograph"
        raise ImageError(
            Status.TOO_SMALL, f"{name} is {width} x {height} pixels, less than {MIN_SIDE} on a side; {fix}"
        )


def _pixels(picture: Image.Image, stream: IO[bytes], name: str) -> NDArray[np.uint8]:
    """Load a checked picture, turn it upright and bring it to 8-bit RGB."""
    orientation = picture.getexif().get(ORIENTATION, 1)
    deep = _has_deep_colour(picture, stream)
    inverted = picture.mode.startswith("I;16") and _tag(picture, 262) == 0  # TIFF grey where zero is white
    picture.load()
    if picture.format in ("JPEG", "MPO") and not _jpeg_is_whole(picture, stream):
        raise _unreadable(name, "is cut off: the end of the JPEG is missing")
    if picture.getexif().get(ORIENTATION, 1) != 1:  # loading a TIFF has turned it already
        picture = ImageOps.exif_transpose(picture)
    if picture.mode == "F":
        raise _unreadable(name, "has floating-point pixels", "save it with 8 or 16 bits")
    if picture.mode.startswith("I"):
        grey = np.asarray(picture).clip(0, 65535).astype(np.uint16)
        grey = 65535 - grey if inverted else grey
        return _as_rgb(_scaled(grey, 65535 if picture.format == "PPM" else _white(grey)))
    if not deep:
        return np.asarray(_on_black(picture))
    colour = _sixteen_bit(picture, stream, orientation)
    if colour is None:
        raise _unreadable(name, "has 16-bit colour in a layout that is not read", "save it with 8 bits")
    return colour


def _has_deep_colour(picture: Image.Image, stream: IO[bytes]) -> bool:
    """Whether a PNG or TIFF holds 16 bits in several channels, of which Pillow keeps the upper 8."""
    if picture.format == "PNG":
        position = stream.tell()
        stream.seek(24)  # bit depth and colour type in the header, which is always the first chunk
        depth, kind = stream.read(2)
        stream.seek(position)
        return depth == 16 and kind != 0
    bits = _tag(picture, 258)
    return isinstance(bits, tuple) and len(bits) > 1 and max(bits) == 16


def _tag(picture: Image.Image, number: int) -> Any:
    """Value of a TIFF tag, None where there is none."""
    return picture.tag_v2.get(number) if isinstance(picture, TiffImagePlugin.TiffImageFile) else None


def _sixteen_bit(upright: Image.Image, stream: IO[bytes], orientation: int) -> NDArray[np.uint8] | None:
    """Decode 16-bit colour with OpenCV and scale it to 8 bits; None if OpenCV does not agree with Pillow.

    Whether OpenCV applies the orientation depends on its version and the format, so the arrangement is kept whose upper
    bytes are Pillow's picture. Both misread some layouts (planar TIFF), but not alike.
    """
    decoded = cv2.imdecode(np.frombuffer(_content(upright, stream), np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.dtype != np.uint16 or decoded.ndim != 3:
        return None
    colour = decoded[..., 2::-1]
    upper = np.asarray(upright.convert("RGBA"))[..., :3]
    for turn in (_TURNS[1], _TURNS.get(orientation, _TURNS[1])):
        turned = turn(colour)
        if turned.shape == upper.shape and np.array_equal(turned >> 8, upper):
            values = _scaled(turned, _white(turned))
            if decoded.shape[2] == 4:
                alpha = turn(decoded[..., 3])[..., None].astype(np.float32) / 65535
                values = np.rint(values * alpha).astype(np.uint8)
            return values
    return None


_TURNS: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}
"""What makes a stored array upright, by EXIF orientation (TIFF 6.0, tag 274)."""


def _jpeg_is_whole(picture: Image.Image, stream: IO[bytes]) -> bool:
    """Whether a decoded JPEG has its end: libjpeg fills what is missing with grey and only warns."""
    data = _content(picture, stream)
    start = data.find(b"\xff\xda", _headers_end(data))
    if start < 0 or data.find(b"\xff\xd9", start) < 0:
        return False
    # An end mark can be glued to a cut-off file: then the last block is exactly mid-grey, though the first is not.
    width, height = picture.size
    last = picture.crop(((width - 1) // 8 * 8, (height - 1) // 8 * 8, width, height))
    return _is_mid_grey(picture.crop((0, 0, 8, 8))) or not _is_mid_grey(last)


def _content(picture: Image.Image, stream: IO[bytes]) -> bytes:
    """Bytes of the file, as many as its pixels can account for: a gzipped file may go on for ever."""
    stream.seek(0)
    return stream.read(16 * picture.width * picture.height + 2**26)


def _headers_end(data: bytes) -> int:
    """Position of the first scan; segments before it may embed a thumbnail with an end mark of its own."""
    position = 2
    while data[position : position + 1] == b"\xff" and data[position + 1 : position + 2] != b"\xda":
        if data[position + 1] == 0xFF:  # a fill byte
            position += 1
            continue
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return position


def _is_mid_grey(block: Image.Image) -> bool:
    return bool((np.asarray(block) == 128).all())


def _on_black(picture: Image.Image) -> Image.Image:
    """Lay transparency on black and convert to RGB."""
    if not picture.has_transparency_data:
        return picture if picture.mode == "RGB" else picture.convert("RGB")
    picture = picture.convert("RGBA")
    black = Image.new("RGB", picture.size)
    black.paste(picture, mask=picture.getchannel("A"))
    return black


def _white(values: NDArray[np.uint16]) -> int:
    """Level of white: the bit depth that the brightest value needs."""
    brightest = int(values.max())
    return next(2**bits - 1 for bits in (8, 10, 12, 14, 16) if brightest < 2**bits)


def _scaled(values: NDArray[Any], white: int) -> NDArray[np.uint8]:
    """Scale 0..white linearly to 0..255, rounded to the nearest."""
    if values.dtype == np.uint8 and white == 255:
        return values
    table = np.rint(np.arange(white + 1) * (255 / white)).astype(np.uint8)
    return table[np.minimum(values, white)]


def _as_rgb(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(values[..., None], 3, axis=2) if values.ndim == 2 else values


def _unreadable(name: str, what: str, fix: str = "export or copy it again from its source") -> ImageError:
    return ImageError(Status.UNREADABLE, f"{name} {what}; {fix}")


def _printable(name: str) -> str:
    """File name as valid text, whatever bytes the file system holds."""
    return os.fsencode(name).decode("utf-8", "replace")
