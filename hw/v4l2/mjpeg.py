"""Pictures of cameras that send JPEG (UVC's MJPG): the luma of one, through Pillow. Without I/O.

Motion JPEG leaves out the Huffman tables where they are the standard's; libjpeg-turbo fills them in.
"""

from __future__ import annotations

import io
import struct

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

# What Pillow raises at damaged pictures.
DECODER_ERRORS = (OSError, ValueError, LookupError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError)


def decode_luma(data: bytes | memoryview, width: int, height: int) -> npt.NDArray[np.uint8]:
    """(rows, columns), read-only. ValueError for a damaged picture, and for one of another size than agreed upon."""
    try:
        with JpegImageFile(io.BytesIO(data)) as picture:
            if picture.size != (width, height):
                raise ValueError(f"a JPEG of {picture.width}x{picture.height} px: {width}x{height} were agreed upon")
            picture.draft("L", picture.size)  # libjpeg hands over the luma alone, without a way through RGB
            pixels = np.asarray(picture.convert("L"))
    except UnidentifiedImageError as error:
        raise ValueError("not a JPEG") from error
    except DECODER_ERRORS as error:
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error
    pixels.flags.writeable = False
    return pixels
