"""How the settings of a film are typed, on the command line and at the console."""

from __future__ import annotations

from typing import Final

# Option, name in FilmSettings, what its value looks like, and what it is.
FILM_OPTIONS: Final = (
    ("--layout", "layout", "C,R", "columns and rows of images on a film, such as 2,3"),
    ("--copies", "copies", "N", "number of copies"),
    ("--priority", "priority", "WORD", "LOW, MED or HIGH"),
    ("--medium", "medium", "WORD", "PAPER, CLEAR FILM or BLUE FILM"),
    ("--destination", "destination", "WORD", "MAGAZINE, PROCESSOR or BIN_1 to BIN_5"),
    ("--orientation", "orientation", "WORD", "PORTRAIT or LANDSCAPE"),
    ("--film-size", "film_size", "WORD", "8INX10IN, 10INX12IN, 11INX14IN, 14INX14IN, 14INX17IN or 24CMX30CM"),
    ("--magnification", "magnification", "WORD", "REPLICATE, BILINEAR, CUBIC or NONE"),
    ("--smoothing", "smoothing", "WORD", "the printer's own word, only with --magnification CUBIC"),
    ("--border-density", "border_density", "D", "BLACK, WHITE or hundredths of OD from 0 to 400"),
    ("--empty-image-density", "empty_image_density", "D", "BLACK, WHITE or hundredths of OD from 0 to 400"),
    ("--min-density", "min_density", "D", "hundredths of OD from 0 to 400"),
    ("--max-density", "max_density", "D", "hundredths of OD from 0 to 400"),
    ("--trim", "trim", "WORD", "a box around each image: YES or NO"),
    ("--configuration", "configuration_information", "TEXT", "the printer's own configuration words"),
    ("--polarity", "polarity", "WORD", "NORMAL or REVERSE"),
    ("--image-size-mm", "requested_image_size_mm", "MM", "the width of an image on the film, in mm"),
    ("--crop", "crop", "WORD", "what is done with too large an image: CROP, DECIMATE or FAIL"),
)
