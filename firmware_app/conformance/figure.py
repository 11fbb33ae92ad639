"""An exchange of messages as an SVG figure: a lifeline for each party, an arrow for each message."""

from __future__ import annotations

from html import escape

from firmware_app.conformance.document import Exchange

WIDTH_PX = 960  # the text column beside the contents, so that the letters keep their size
LANE_MAX_PX = 260
LINE_PX = 14
ROW_PX = 28
HEAD_PX = 22
MARGIN_PX = 10
CHARACTER_PX, BOLD_PX = 6.8, 8.0  # of the wider typefaces that may stand in for Helvetica, at 12 px
INK, LINE, SOFT, FILL, ARROW = "#1c2430", "#9aa5b1", "#5b6675", "#f3f6f9", "#0b5c8a"


def draw_exchange(exchange: Exchange) -> str:
    lane = min(LANE_MAX_PX, (WIDTH_PX - 2 * MARGIN_PX) / len(exchange.parties))
    width = 2 * MARGIN_PX + lane * len(exchange.parties)
    heads = {party: _wrapped(party, 0.9 * lane, BOLD_PX) for party in exchange.parties}
    top = MARGIN_PX + HEAD_PX + LINE_PX * (max(map(len, heads.values())) - 1)
    centres = {party: MARGIN_PX + lane * (index + 0.5) for index, party in enumerate(exchange.parties)}
    y = float(top)
    arrows: list[str] = []
    for sender, receiver, what in exchange.messages:
        start, end = centres[sender], centres[receiver]
        words = _wrapped(what, max(abs(end - start), lane) - 24)
        y += ROW_PX + LINE_PX * (len(words) - 1)
        arrows += _arrow(start, end, y, words)
    bottom = y + MARGIN_PX
    lifelines = [
        f'<line x1="{x:g}" y1="{top:g}" x2="{x:g}" y2="{bottom:g}" stroke="{LINE}"/>' for x in centres.values()
    ]
    boxes = [part for party, x in centres.items() for part in _box(heads[party], x, 0.92 * lane, top - MARGIN_PX)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {bottom + MARGIN_PX:g}" width="{width:g}" '
        f'role="img" font-family="Liberation Sans, Helvetica, Arial, sans-serif" font-size="12" fill="{INK}">'
        f"<title>{escape(exchange.caption)}</title>{''.join([*lifelines, *boxes, *arrows])}</svg>"
    )


def _box(lines: list[str], x: float, width: float, height: float) -> list[str]:
    first = MARGIN_PX + (height - LINE_PX * len(lines)) / 2 + 11
    return [
        f'<rect x="{x - width / 2:g}" y="{MARGIN_PX}" width="{width:g}" height="{height:g}" fill="{FILL}" '
        f'stroke="{SOFT}"/>',
        *(
            f'<text x="{x:g}" y="{first + LINE_PX * index:g}" text-anchor="middle" font-weight="bold">'
            f"{escape(line)}</text>"
            for index, line in enumerate(lines)
        ),
    ]


def _arrow(start: float, end: float, y: float, words: list[str]) -> list[str]:
    """A line with its words on it; a dot beside them for what a party does by itself."""
    if start == end:
        x, anchor = start + 9, "start"
        shape = f'<circle cx="{start:g}" cy="{y - 4:g}" r="4" fill="{ARROW}"/>'
    else:
        x, anchor = (start + end) / 2, "middle"
        towards = 1 if end > start else -1
        shape = (
            f'<line x1="{start:g}" y1="{y:g}" x2="{end - 8 * towards:g}" y2="{y:g}" stroke="{ARROW}"/>'
            f'<path d="M{end - towards:g} {y:g} l{-9 * towards} -4 v8 z" fill="{ARROW}"/>'
        )
    lines = [
        # The white edge keeps a lifeline that passes behind from striking through the words.
        f'<text x="{x:g}" y="{y - 7 - LINE_PX * (len(words) - 1 - index):g}" text-anchor="{anchor}" '
        f'paint-order="stroke" stroke="#fff" stroke-width="4">{escape(line)}</text>'
        for index, line in enumerate(words)
    ]
    return [shape, *lines]


def _wrapped(text: str, width_px: float, character_px: float = CHARACTER_PX) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        if lines and (len(lines[-1]) + 1 + len(word)) * character_px <= width_px:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines or [""]
