"""The delivery queue for people and scripts: every instance with its standing, and how many stand how. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from firmware_app.console.protocol import Reply
from firmware_app.console.text import format_table
from firmware_app.model import Delivery
from firmware_app.records.steering import Decided, Tally
from firmware_app.services.standing import Standing, shown, shown_moment, standing_of


def queue(deliveries: Sequence[Delivery], remarks: Sequence[str] = ()) -> Reply:
    rows = [
        (
            str(standing_of(each)),
            each.node,
            each.kind,
            each.exam_id,
            f"{each.status:04X}" if each.status is not None else "",
            shown_moment(each.changed_at),
            each.sop_instance_uid,
            shown(each).removeprefix(standing_of(each)).lstrip(",:; "),
        )
        for each in deliveries
    ]
    head = ("state", "node", "kind", "exam", "status", "since", "SOP Instance UID", "why and when next")
    text = format_table(head, rows) if rows else "nothing like that is here"
    lines = [text, *remarks]
    return Reply("\n".join(lines), {"deliveries": [delivery_data(each) for each in deliveries]})


def delivery_data(delivery: Delivery) -> dict[str, Any]:
    return {**asdict(delivery), "standing": str(standing_of(delivery)), "words": shown(delivery)}


def counts(tallies: Sequence[Tally], remarks: Sequence[str] = ()) -> Reply:
    """A row for each node; what is zero everywhere has no column."""
    counted: dict[str, Counter[Standing]] = {}
    for tally in tallies:
        counted.setdefault(tally.node, Counter())[standing_of(tally)] += tally.count
    used = [word for word in Standing if any(counter[word] for counter in counted.values())]
    rows = [(node or "(no node)", *(str(counter[word]) for word in used)) for node, counter in sorted(counted.items())]
    text = format_table(("node", *used), rows) if rows else "nothing was captured yet"
    data = [
        {"node": node, "counts": {str(word): counter[word] for word in Standing}}
        for node, counter in sorted(counted.items())
    ]
    return Reply("\n".join((text, *remarks)), {"nodes": data})


def remarks(held_nodes: Mapping[str, str], tallies: Sequence[Tally], configured: Collection[str]) -> list[str]:
    """What holds up a whole node: that it is held, or that nobody can send there any more."""
    told = [
        f"{node} is held since {shown_moment(since)}: nothing is sent there (queue release {node})"
        for node, since in held_nodes.items()
    ]
    waiting: Counter[str] = Counter()
    for tally in tallies:
        if standing_of(tally) in (Standing.QUEUED, Standing.HELD, Standing.FAILED) and tally.node not in configured:
            waiting[tally.node] += tally.count
    return told + [
        f"{count} instances are for {node}, which is not configured: send them elsewhere (queue redirect {node} NODE)"
        for node, count in sorted(waiting.items())
    ]


def decided(what: str, done: Decided, *, node_wide: str = "") -> Reply:
    """What a decision changed; `node_wide`: what it said of a node as a whole."""
    left = f"; {done.being_sent} are being sent right now and were left" if done.being_sent else ""
    count = len(done.deliveries)
    text = f"{count} {'instance' if count == 1 else 'instances'} {what}{left}"
    return Reply(
        f"{node_wide}; {text}" if node_wide else text,
        {
            "changed": count,
            "being_sent": done.being_sent,
            "deliveries": [delivery_data(each) for each in done.deliveries],
        },
    )
