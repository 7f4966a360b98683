"""Reading photographs: formats, orientation, bit depth, and what is refused."""

import gzip
import io
import os
import struct
import sys
import warnings
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from retsam.io.images import MIN_SIDE, ImageError, read_image
from retsam.status import Status
from tests.badimages import fundus, huge_png, make_bad_images, sixteen_bit_png

COLOUR = np.random.default_rng(1).integers(0, 256, (70, 90, 3)).astype(np.uint8)
DEEP = np.random.default_rng(2).integers(0, 65536, (70, 90, 3)).astype(np.uint16)
SMOOTH = fundus(96, 80)
UPRIGHT = {  # EXIF orientation -> what a viewer does with the stored rows and columns
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: np.fliplr(np.rot90(a, -1)),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.fliplr(np.rot90(a, 1)),
    8: lambda a: np.rot90(a, 1),
}


def scaled(values: np.ndarray, white: int) -> np.ndarray:
    return np.rint(values.astype(float) * 255 / white).astype(np.uint8)


def refused(path: Path, **options: int) -> ImageError:
    with pytest.raises(ImageError) as caught:
        read_image(path, **options)
    return caught.value


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "ppm", "webp"])
def test_lossless_formats_keep_every_value(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(COLOUR).save(path, **({"lossless": True} if suffix == "webp" else {}))
    pixels = read_image(path)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable
    np.testing.assert_array_equal(pixels, COLOUR)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_compressed_tiff(tmp_path, compression):
    path = tmp_path / "a.tiff"
    Image.fromarray(COLOUR).save(path, compression=compression)
    np.testing.assert_array_equal(read_image(path), COLOUR)


def test_first_frame_of_gif_and_first_page_of_tiff(tmp_path):
    first, second = Image.fromarray(SMOOTH).quantize(200), Image.fromarray(SMOOTH[::-1]).quantize(200)
    for name in ("a.gif", "a.tif"):
        first.save(tmp_path / name, save_all=True, append_images=[second])
        np.testing.assert_array_equal(read_image(tmp_path / name), np.asarray(first.convert("RGB")))


def test_jpeg_is_close_to_what_was_saved(tmp_path):
    Image.fromarray(SMOOTH).save(tmp_path / "a.jpg", quality=95)
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - SMOOTH).mean() < 3


def test_grey_is_repeated_in_three_channels(tmp_path):
    for mode, name in (("L", "a.png"), ("L", "a.pgm"), ("L", "a.jpg"), ("1", "b.png")):
        Image.fromarray(SMOOTH).convert(mode).save(tmp_path / name)
        pixels = read_image(tmp_path / name)
        assert pixels.shape == SMOOTH.shape
        assert (pixels == pixels[..., :1]).all()


def test_transparency_is_laid_on_black(tmp_path):
    alpha = np.zeros(COLOUR.shape[:2], np.uint8)
    alpha[:, 40:] = 255
    Image.fromarray(np.dstack([COLOUR, alpha])).save(tmp_path / "a.png")
    expected = COLOUR * (alpha[..., None] > 0)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), expected)


def test_transparent_palette_colour_is_black(tmp_path):
    indexed = Image.fromarray(np.repeat(np.arange(90, dtype=np.uint8)[None], 70, axis=0), mode="P")
    indexed.putpalette([value for index in range(256) for value in (index, 255 - index, 128)])
    indexed.save(tmp_path / "a.png", transparency=7)
    pixels = read_image(tmp_path / "a.png")
    assert (pixels[:, 7] == 0).all()
    assert tuple(pixels[0, 8]) == (8, 247, 128)


def test_cmyk_has_the_colours_of_the_photograph(tmp_path):
    Image.fromarray(SMOOTH).convert("CMYK").save(tmp_path / "a.jpg", quality=98)
    Image.fromarray(SMOOTH).convert("CMYK").save(tmp_path / "a.tif")
    for name in ("a.jpg", "a.tif"):
        assert np.abs(read_image(tmp_path / name).astype(int) - SMOOTH).mean() < 3


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_orientation_is_honoured_in_every_format_and_depth(tmp_path, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    tag = [(274, "H", 1, orientation, True)]
    upright = UPRIGHT[orientation]
    Image.fromarray(COLOUR).save(tmp_path / "a.png", exif=exif)
    tifffile.imwrite(tmp_path / "a.tif", COLOUR, photometric="rgb", extratags=tag)
    for name in ("a.png", "a.tif"):
        np.testing.assert_array_equal(read_image(tmp_path / name), upright(COLOUR))
    tifffile.imwrite(tmp_path / "deep.tif", DEEP, photometric="rgb", extratags=tag)
    np.testing.assert_array_equal(read_image(tmp_path / "deep.tif"), scaled(upright(DEEP), 65535))
    tifffile.imwrite(tmp_path / "grey.tif", DEEP[..., 0], extratags=tag)
    np.testing.assert_array_equal(read_image(tmp_path / "grey.tif")[..., 1], scaled(upright(DEEP[..., 0]), 65535))
    Image.fromarray(SMOOTH).save(tmp_path / "a.jpg", quality=95)
    Image.fromarray(SMOOTH).save(tmp_path / "b.jpg", quality=95, exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "b.jpg"), upright(read_image(tmp_path / "a.jpg")))


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("channels", [1, 3])
def test_deep_files_are_scaled_by_the_bits_they_use(tmp_path, bits, channels):
    values = DEEP >> (16 - bits)
    values[0, 0] = 2**bits - 1
    values = values[..., 0] if channels == 1 else values
    (tmp_path / "a.png").write_bytes(sixteen_bit_png(values))
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb" if channels == 3 else "minisblack")
    expected = scaled(values if channels == 3 else np.dstack([values] * 3), 2**bits - 1)
    for name in ("a.png", "a.tif"):
        np.testing.assert_array_equal(read_image(tmp_path / name), expected)


def test_sixteen_bit_alpha_and_white_is_zero(tmp_path):
    alpha = np.full(DEEP.shape[:2], 65535, np.uint16)
    alpha[:, :30] = 0
    blue_first = np.dstack([DEEP[..., ::-1], alpha])
    (tmp_path / "a.png").write_bytes(cv2.imencode(".png", blue_first)[1].tobytes())
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), scaled(DEEP, 65535) * (alpha[..., None] > 0))
    tifffile.imwrite(tmp_path / "a.tif", DEEP[..., 0], photometric="miniswhite")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[..., 2], scaled(65535 - DEEP[..., 0], 65535))


def test_sixteen_bit_grey_with_alpha(tmp_path):
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    alpha = np.full(DEEP.shape[:2], 65535)
    alpha[:, :30] = 0
    rows = np.dstack([DEEP[..., 0], alpha]).astype(">u2")
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", 90, 70, 16, 4, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[..., 0], scaled(DEEP[..., 0], 65535) * (alpha > 0))


def test_planar_tiff_is_read_or_refused_but_never_misread(tmp_path):
    planar = {"photometric": "rgb", "planarconfig": "separate"}
    tifffile.imwrite(tmp_path / "a.tif", np.moveaxis(COLOUR, 2, 0), **planar)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), COLOUR)
    tifffile.imwrite(tmp_path / "b.tif", np.moveaxis(DEEP, 2, 0), **planar)
    assert "save it with 8 bits" in str(refused(tmp_path / "b.tif"))


def test_ppm_declares_its_white(tmp_path):
    values = (DEEP >> 6).clip(0, 1000)
    (tmp_path / "a.ppm").write_bytes(b"P6 90 70 1000\n" + values.astype(">u2").tobytes())
    (tmp_path / "a.pgm").write_bytes(b"P5 90 70 1000\n" + values[..., 0].astype(">u2").tobytes())
    assert np.abs(read_image(tmp_path / "a.ppm").astype(int) - scaled(values, 1000)).max() <= 1
    assert np.abs(read_image(tmp_path / "a.pgm")[..., 0].astype(int) - scaled(values[..., 0], 1000)).max() <= 1


def test_gzipped_files(tmp_path):
    plain = b"P6 90 70 255\n" + COLOUR.tobytes()
    (tmp_path / "a.ppm.gz").write_bytes(gzip.compress(plain))
    np.testing.assert_array_equal(read_image(tmp_path / "a.ppm.gz"), COLOUR)
    (tmp_path / "b.png.gz").write_bytes(gzip.compress(sixteen_bit_png(DEEP)))
    np.testing.assert_array_equal(read_image(tmp_path / "b.png.gz"), scaled(DEEP, 65535))


def test_floating_point_is_refused_with_a_fix(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", COLOUR[..., 0].astype(np.float32))
    error = refused(tmp_path / "a.tif")
    assert error.status is Status.UNREADABLE
    assert "8 or 16 bits" in str(error)


def test_every_bad_file_has_its_status_and_one_sentence(tmp_path):
    folder = tmp_path / "ordner mit umläuten"
    kinds = make_bad_images(folder)
    assert {status for _, status in kinds.values()} >= {
        Status.OK,
        Status.MISSING_FILE,
        Status.UNREADABLE,
        Status.TOO_LARGE,
        Status.TOO_SMALL,
    }
    for name, (path, status) in kinds.items():
        if status is Status.OK or status is Status.NO_FUNDUS or name == "tiny field":
            assert min(read_image(path).shape[:2]) >= MIN_SIDE, name
            continue
        error = refused(path)
        assert error.status is status, name
        assert path.name in str(error), name
        assert str(folder) not in str(error), name
        assert "\n" not in str(error), name


def test_a_decompression_bomb_stops_at_its_header_without_a_warning(tmp_path):
    bombs = {
        "a.png": huge_png(),
        "b.png": huge_png(12_000),
        "a.ppm": b"P6 60000 60000 255\n",
        "a.ppm.gz": gzip.compress(b"P6 60000 60000 255\n" + bytes(10_000_000)),
        "a.bmp": b"BM"
        + bytes(12)
        + (40).to_bytes(4, "little")
        + (60000).to_bytes(4, "little") * 2
        + b"\x01\x00\x18\x00"
        + bytes(24),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, content in bombs.items():
            (tmp_path / name).write_bytes(content)
            assert refused(tmp_path / name).status is Status.TOO_LARGE, name


def test_the_limit_on_pixels_can_be_set(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", max_pixels=90 * 70).shape == (70, 90, 3)
    assert refused(tmp_path / "a.png", max_pixels=90 * 70 - 1).status is Status.TOO_LARGE


@pytest.mark.parametrize(("width", "height", "good"), [(64, 64, True), (63, 200, False), (200, 63, False)])
def test_the_shortest_side(tmp_path, width, height, good):
    Image.new("RGB", (width, height)).save(tmp_path / "a.png")
    if good:
        assert read_image(tmp_path / "a.png").shape == (height, width, 3)
    else:
        assert refused(tmp_path / "a.png").status is Status.TOO_SMALL


def test_every_cut_of_a_jpeg_is_refused(tmp_path):
    """Never a half-grey picture: at whatever byte a baseline JPEG ends, with or without an end mark glued on."""
    buffer = io.BytesIO()
    Image.fromarray(fundus(128, 96)).save(buffer, "JPEG", quality=90)
    whole, path = buffer.getvalue(), tmp_path / "cut.jpg"
    scan = whole.rfind(b"\xff\xda")
    for end in np.linspace(10, len(whole) - 1, 60).astype(int):
        for tail in (b"", bytes(len(whole) - end)):
            path.write_bytes(whole[:end] + tail)
            assert refused(path).status is Status.UNREADABLE, (end, len(tail))
    for end in np.linspace(scan + 20, len(whole) * 0.9, 20).astype(int):
        path.write_bytes(whole[:end] + b"\xff\xd9")
        assert refused(path).status is Status.UNREADABLE, end
    path.write_bytes(whole)
    assert read_image(path).shape == (96, 128, 3)


def test_a_mid_grey_border_is_no_cut_jpeg(tmp_path):
    Image.fromarray(fundus(128, 96, border=128, noise=0)).save(tmp_path / "a.jpg", quality=95)
    assert read_image(tmp_path / "a.jpg").shape == (96, 128, 3)


def test_a_thumbnail_with_an_end_mark_of_its_own(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(fundus(96, 80)).save(buffer, "JPEG", exif=b"Exif\0\0" + b"\xff\xd8\xff\xda\xff\xd9" * 9)
    whole = buffer.getvalue()
    (tmp_path / "a.jpg").write_bytes(whole)
    assert read_image(tmp_path / "a.jpg").shape == (80, 96, 3)
    (tmp_path / "a.jpg").write_bytes(whole[: len(whole) // 2].ljust(len(whole), b"\0"))
    assert refused(tmp_path / "a.jpg").status is Status.UNREADABLE


def test_permission_and_pipes(tmp_path, monkeypatch):
    Image.fromarray(COLOUR).save(tmp_path / "a.png")

    def deny(*_: object, **__: object) -> None:
        raise PermissionError

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", deny)
        assert "permission" in str(refused(tmp_path / "a.png"))
    os.mkfifo(tmp_path / "pipe.png")
    assert "not a regular file" in str(refused(tmp_path / "pipe.png"))
    assert refused(Path("x" * 5000 + ".png")).status in (Status.UNREADABLE, Status.MISSING_FILE)
    assert refused(Path("nul\0byte.png")).status in (Status.UNREADABLE, Status.MISSING_FILE)


SEEDS = {}


def seed_files() -> dict[str, bytes]:
    if not SEEDS:
        for kind in ("JPEG", "PNG", "TIFF", "BMP", "PPM", "GIF", "WEBP"):
            buffer = io.BytesIO()
            Image.fromarray(SMOOTH).save(buffer, kind)
            SEEDS[kind] = buffer.getvalue()
        SEEDS["PNG16"] = sixteen_bit_png(DEEP)
        SEEDS["GZ"] = gzip.compress(SEEDS["PPM"])
    return SEEDS


@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.data())
def test_damage_gives_a_picture_or_an_image_error(tmp_path_factory, data):
    """Whatever bytes are flipped or cut away, nothing but ImageError comes out."""
    kind = data.draw(st.sampled_from(sorted(seed_files())))
    content = bytearray(seed_files()[kind])
    for _ in range(data.draw(st.integers(0, 6))):
        content[data.draw(st.integers(0, min(len(content), 400) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.img"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own remarks on damaged metadata
        try:
            pixels = read_image(path, max_pixels=4_000_000)
        except ImageError as error:
            assert "damaged.img" in str(error)
        else:
            assert pixels.ndim == 3
            assert pixels.shape[2] == 3
            assert pixels.dtype == np.uint8


def dicom_file(path: Path, values: np.ndarray, photometric: str, bits: int, frames: int = 1, planar: int = 0) -> Path:
    pydicom = pytest.importorskip("pydicom")
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, OphthalmicPhotography8BitImageStorage

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = OphthalmicPhotography8BitImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    data = pydicom.Dataset()
    data.file_meta = meta
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, "1.2.3"
    data.Rows, data.Columns = values.shape[:2]
    data.SamplesPerPixel = 1 if values.ndim == 2 else 3
    data.PhotometricInterpretation = photometric
    data.BitsAllocated = values.dtype.itemsize * 8
    data.BitsStored, data.HighBit, data.PixelRepresentation = bits, bits - 1, 0
    if values.ndim == 3:
        data.PlanarConfiguration = planar
    if frames > 1:
        data.NumberOfFrames = frames
    stored = np.moveaxis(values, 2, 0) if planar else values
    data.PixelData = b"".join([stored.tobytes()] + [stored[::-1].tobytes()] * (frames - 1))
    data.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize("planar", [0, 1])
def test_dicom_colour_first_frame(tmp_path, planar):
    path = dicom_file(tmp_path / "a.dcm", COLOUR, "RGB", 8, frames=2, planar=planar)
    np.testing.assert_array_equal(read_image(path), COLOUR)


def test_dicom_ybr(tmp_path):
    stored = np.asarray(Image.fromarray(SMOOTH).convert("YCbCr"))
    pixels = read_image(dicom_file(tmp_path / "a.dcm", stored, "YBR_FULL", 8))
    assert np.abs(pixels.astype(int) - SMOOTH).max() <= 3


def test_dicom_grey_depths_and_inversion(tmp_path):
    eight, twelve = COLOUR[..., 0], DEEP[..., 0] >> 4
    plain = read_image(dicom_file(tmp_path / "a.dcm", eight, "MONOCHROME2", 8))
    inverted = read_image(dicom_file(tmp_path / "b.dcm", eight, "MONOCHROME1", 8))
    np.testing.assert_array_equal(plain[..., 0], eight)
    np.testing.assert_array_equal(inverted, 255 - plain)
    declared = (twelve // 4).astype(np.uint16)  # darker than 12 bits can be, and must stay so
    deep = read_image(dicom_file(tmp_path / "c.dcm", declared, "MONOCHROME2", 12))
    np.testing.assert_array_equal(deep[..., 1], scaled(declared, 4095))


def test_dicom_limits_come_before_pixels(tmp_path):
    path = dicom_file(tmp_path / "a.dcm", COLOUR, "RGB", 8)
    assert refused(path, max_pixels=100).status is Status.TOO_LARGE
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert refused(path).status is Status.UNREADABLE


def test_dicom_without_the_extra_names_the_extra(tmp_path, monkeypatch):
    path = dicom_file(tmp_path / "a.dcm", COLOUR, "RGB", 8)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    error = refused(path)
    assert error.status is Status.UNREADABLE
    assert 'pip install "retsam[dicom]"' in str(error)
