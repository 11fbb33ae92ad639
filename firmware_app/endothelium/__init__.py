"""From the pixels of one frame to cells and numbers: numpy only, pure functions, no clock, no I/O.

The stages, each a module with one entry point, so that any of them can be replaced alone:
pose -> spacing (candidates from the spectrum) -> search, which looks at a scale with network_input -> network ->
division (watershed) -> cells (which to believe) until the scale is settled -> mosaic -> morphometry, and `measure`
which decides between numbers and a refusal. Beside them: `sharpness` for the autofocus, `usability` for bursts,
`panorama` for several captures of one eye, `methods` and `editing` for cells that a person sets or mends.
"""
