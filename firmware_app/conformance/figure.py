"""An exchange of messages as an SVG figure: a lifeline for each party, an arrow for each message."""

from __future__ import annotations

from html import escape

from firmware_app.conformance.document import Exchange

LANE_PX = 250
ROW_PX = 42
HEAD_PX = 34
MARGIN_PX = 16
# Arial at 12 px is about 6 px a character: what is longer goes on in a second line.
LINE_CHARACTERS = 38


def draw_exchange(exchange: Exchange) -> str:
    width = 2 * MARGIN_PX + LANE_PX * len(exchange.parties)
    heights = [ROW_PX + 14 * (len(_wrapped(what)) - 1) for _, _, what in exchange.messages]
    bottom = MARGIN_PX + HEAD_PX + sum(heights) + 12
    centres = {party: MARGIN_PX + LANE_PX * (index + 0.5) for index, party in enumerate(exchange.parties)}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {bottom + MARGIN_PX}" width="{width}" '
        f'role="img" font-family="Liberation Sans, Helvetica, Arial, sans-serif" font-size="12">',
        f"<title>{escape(exchange.caption)}</title>",
    ]
    for party, x in centres.items():
        parts.append(f'<line x1="{x:g}" y1="{MARGIN_PX + HEAD_PX}" x2="{x:g}" y2="{bottom}" stroke="#9aa5b1"/>')
        parts.append(
            f'<rect x="{x - 0.46 * LANE_PX:g}" y="{MARGIN_PX}" width="{0.92 * LANE_PX:g}" height="{HEAD_PX}" '
            f'fill="#f3f6f9" stroke="#5b6675"/>'
        )
        parts.append(
            f'<text x="{x:g}" y="{MARGIN_PX + 21}" text-anchor="middle" font-weight="bold">{escape(party)}</text>'
        )
    y = float(MARGIN_PX + HEAD_PX)
    for (sender, receiver, what), height in zip(exchange.messages, heights, strict=True):
        y += height
        parts += _message(centres[sender], centres[receiver], y, what)
    return "".join([*parts, "</svg>"])


def _message(start: float, end: float, y: float, what: str) -> list[str]:
    words = _wrapped(what)
    if start == end:
        middle, arrow = start + 8, f'<circle cx="{start:g}" cy="{y - 4:g}" r="4" fill="#0b5c8a"/>'
        anchor = "start"
    else:
        towards = 1 if end > start else -1
        middle, anchor = (start + end) / 2, "middle"
        tip = end - towards
        arrow = (
            f'<line x1="{start:g}" y1="{y:g}" x2="{end - 7 * towards:g}" y2="{y:g}" stroke="#0b5c8a"/>'
            f'<path d="M{tip:g} {y:g} l{-9 * towards} -4 v8 z" fill="#0b5c8a"/>'
        )
    text = "".join(
        f'<text x="{middle:g}" y="{y - 6 - 14 * (len(words) - 1 - index):g}" text-anchor="{anchor}" '
        f'paint-order="stroke" stroke="#fff" stroke-width="4">{escape(line)}</text>'
        for index, line in enumerate(words)
    )
    return [arrow, text]


def _wrapped(text: str) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= LINE_CHARACTERS:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines or [""]
