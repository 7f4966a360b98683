"""DICOM photographs, through the optional pydicom."""

from collections.abc import Callable
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray


def decode(stream: IO[bytes], accept: Callable[[int, int], None]) -> tuple[NDArray[Any], int | None]:
    """Decode the first frame of a DICOM file.

    YBR and palette colours become RGB; MONOCHROME1 (zero is white) is inverted. Windows and rescaling are display
    settings and are not applied.

    Parameters
    ----------
    stream : binary file
        Open at its start, with the DICM preamble.
    accept : callable
        Called with width and height before pixels are decoded; raises to refuse them.

    Returns
    -------
    values : (height, width) or (height, width, 3) unsigned integer
        Grey or RGB.
    white : int or None
        Declared level of white; None where 16 bits are declared, which is often more than the camera has.

    Raises
    ------
    ModuleNotFoundError
        If pydicom is not installed.
    """
    import pydicom
    from pydicom.pixels import apply_color_lut, pixel_array

    data = pydicom.dcmread(stream)
    accept(int(data.Columns), int(data.Rows))
    values = pixel_array(data, index=0)  # also converts YBR to RGB
    bits = int(data.BitsStored)
    photometric = str(data.PhotometricInterpretation)
    if photometric == "PALETTE COLOR":
        values = apply_color_lut(values, data)
        bits = values.dtype.itemsize * 8
    values = values.clip(0, 2**bits - 1).astype(np.uint8 if bits <= 8 else np.uint16)
    if photometric == "MONOCHROME1":
        values = (2**bits - 1) - values
    return values, None if bits == 16 else 2**bits - 1
