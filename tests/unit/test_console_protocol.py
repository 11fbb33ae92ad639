"""The console's lines: what is written is read again, any bytes in any pieces give a message or one known error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_app.console.protocol import (
    Answer,
    BadLine,
    Cancel,
    Failure,
    LineSplitter,
    LineTooLong,
    Missed,
    Progress,
    Reply,
    Run,
    Subscribe,
    decode_request,
    decode_service_message,
    encode_request,
    encode_service_message,
)
from firmware_app.model import Event

REQUESTS = [
    (Run(7, "capture R --burst 9"), b'{"id":7,"line":"capture R --burst 9"}\n'),
    (Cancel(7), b'{"id":7,"cancel":true}\n'),
    (Subscribe(), b'{"subscribe":true}\n'),
]

MESSAGES = [
    (Answer(7, Progress("focus 3 of 9")), b'{"id":7,"progress":"focus 3 of 9"}\n'),
    (Answer(7, Reply("done", {"z_um": 1.5})), b'{"id":7,"ok":true,"text":"done","data":{"z_um":1.5}}\n'),
    (Answer(7, Reply("山田\n太郎", {})), '{"id":7,"ok":true,"text":"山田\\n太郎","data":{}}\n'.encode()),
    (Answer(7, Failure("usage", "no")), b'{"id":7,"ok":false,"kind":"usage","error":"no"}\n'),
    (Answer(None, Failure("busy", "no")), b'{"id":null,"ok":false,"kind":"busy","error":"no"}\n'),
    (
        Event("stage.ready", "ready", {"n": 1}),
        b'{"event":{"kind":"stage.ready","text":"ready","data":{"n":1},"level":"info"}}\n',
    ),
    (Missed(12), b'{"missed":12}\n'),
]

NO_REQUESTS = [
    b"capture R",
    b"{",
    b"[]",
    b"7",
    b"{}",
    b'{"id":7}',
    b'{"line":"status"}',
    b'{"id":"7","line":"status"}',
    b'{"id":-1,"line":"status"}',
    b'{"id":1e300,"line":"status"}',
    b'{"id":7,"line":7}',
    b'{"id":7,"line":"status","cancel":true}',
    b'{"id":7,"line":"status","subscribe":true}',
    b'{"id":7,"line":"status","burst":1}',
    b'{"id":7,"line":"\xff"}',
    b"[" * 10_000,
]


@pytest.mark.parametrize(("request_", "line"), REQUESTS)
def test_requests_are_written_and_read(request_: Run | Cancel | Subscribe, line: bytes) -> None:
    assert encode_request(request_) == line
    assert decode_request(line) == request_


@pytest.mark.parametrize(("message", "line"), MESSAGES)
def test_messages_are_written_and_read(message: Answer | Event | Missed, line: bytes) -> None:
    assert encode_service_message(message) == line
    assert decode_service_message(line) == message


@pytest.mark.parametrize("line", NO_REQUESTS)
def test_what_is_no_request_is_a_bad_line(line: bytes) -> None:
    with pytest.raises(BadLine):
        decode_request(line)


def test_an_error_stays_one_line() -> None:
    line = encode_service_message(Answer(1, Failure("failed", "two\n  lines ")))
    assert decode_service_message(line) == Answer(1, Failure("failed", "two lines"))


@given(st.binary(max_size=200))
def test_any_line_is_a_message_or_a_bad_line(line: bytes) -> None:
    for decode in (decode_request, decode_service_message):
        try:
            decode(line)
        except BadLine as error:
            assert str(error)


@given(st.lists(st.binary(min_size=1, max_size=20).filter(lambda line: b"\n" not in line and line.strip())), st.data())
def test_lines_come_out_whole_however_they_are_cut(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    splitter = LineSplitter(limit_bytes=20)
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert [line for piece in pieces for line in splitter.feed(piece)] == lines


def test_empty_lines_are_skipped() -> None:
    assert list(LineSplitter(10).feed(b"\n\r\n a\n\n")) == [b" a"]


@pytest.mark.parametrize("chunks", [[b"12345678901"], [b"123456", b"78901"], [b"ok\n12345678901\nok\n"]])
def test_a_line_without_end_is_refused_at_the_limit(chunks: list[bytes]) -> None:
    splitter = LineSplitter(limit_bytes=10)
    with pytest.raises(LineTooLong, match="10 bytes"):
        for chunk in chunks:
            list(splitter.feed(chunk))


def test_a_line_of_exactly_the_limit_passes() -> None:
    assert list(LineSplitter(10).feed(b"1234567890\n")) == [b"1234567890"]
