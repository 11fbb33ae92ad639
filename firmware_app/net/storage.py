"""Storage (PS3.4 annex B) as SCU: each instance gets exactly one result, whatever happens to the peer.

What is proposed is given: the contexts of a profile in their order, only those of the classes that are sent; or, by
hand, also what no profile declares. An instance goes as it is where its own syntax is accepted, and otherwise in an
uncompressed one. One C-STORE is outstanding at a time.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, zip_longest
from pathlib import Path

import trio

from firmware_app.dicom.command import DATA_SET_PRESENT, Command, CommandField, Priority
from firmware_app.dicom.negotiation import AcceptedContext, describe_rejected
from firmware_app.dicom.pdu import MAX_CONTEXTS
from firmware_app.dicom.statuses import SUCCESS, StoreCategory, describe_status, store_category
from firmware_app.dicom.uids import DECOMPRESSIBLE, UNCOMPRESSED, uid_name
from firmware_app.net.association import Association, ContextPair, associate
from firmware_app.net.data_source import DataSource, OctetSource, block_length
from firmware_app.net.errors import NetworkError, NoUsableContext, because_of, is_worth_retrying
from firmware_app.net.instance_file import (
    FileSource,
    InstanceFile,
    InstanceUnreadable,
    data_set_of,
    transcode_uncompressed,
)
from firmware_app.net.node import LocalApplicationEntity, Node

# A compressed file as a file in an uncompressed transfer syntax. Called in a thread; ValueError says why it cannot be.
Decompress = Callable[[Path, str], bytes]


@dataclass(frozen=True, slots=True)
class StoreResult:
    """What became of one instance. `status` is None when the peer never answered for it.

    `stored` and `warning`: the peer has it. `retry`: it may have it later. `permanent`: only a person can help.
    """

    sop_instance_uid: str
    status: int | None
    category: StoreCategory
    reason: str


def contexts_by_hand(files: Iterable[InstanceFile], declared: Sequence[ContextPair] = ()) -> tuple[ContextPair, ...]:
    """What is declared, and behind it what these files need beyond: a person may send any class in any syntax.

    Each syntax has a context of its own, so that the peer cannot choose one that the file is not in; a class that is
    not declared is offered in the file's own syntax first, then in both uncompressed ones.
    """
    pairs: dict[ContextPair, None] = dict.fromkeys(declared)
    declared_classes = {abstract_syntax for abstract_syntax, _ in declared}
    declared_syntaxes = {(abstract_syntax, one) for abstract_syntax, syntaxes in declared for one in syntaxes}
    for file in files:
        if (file.sop_class_uid, file.transfer_syntax_uid) not in declared_syntaxes:
            pairs.setdefault((file.sop_class_uid, (file.transfer_syntax_uid,)))
        if file.sop_class_uid not in declared_classes:
            pairs.update(dict.fromkeys((file.sop_class_uid, (syntax,)) for syntax in UNCOMPRESSED))
    return tuple(pairs)


def proposal(files: Iterable[InstanceFile], contexts: Sequence[ContextPair]) -> tuple[int, tuple[ContextPair, ...]]:
    """How many of the files, from the first, go over one association, and what of `contexts` is proposed for them.

    Nothing is where none of their classes is among them. An association has at most 128 contexts (PS3.8 9.3.2.2).
    """
    classes: set[str] = set()
    proposed: tuple[ContextPair, ...] = ()
    count = 0
    for file in files:
        if file.sop_class_uid not in classes:
            classes.add(file.sop_class_uid)
            more = tuple(pair for pair in contexts if pair[0] in classes)
            if len(more) > MAX_CONTEXTS and count:
                break
            proposed = more[:MAX_CONTEXTS]
        count += 1
    return count, proposed


async def store(
    node: Node,
    local: LocalApplicationEntity,
    files: Sequence[InstanceFile],
    contexts: Sequence[ContextPair] | None = None,
    decompress: Decompress | None = None,
) -> AsyncGenerator[StoreResult, None]:
    """Send the files in order on one association; a result each, as it is known. Raises no NetworkError.

    `contexts` are all that may be proposed; None: whatever the files need. When the association cannot be had or is
    lost, the rest is `retry`, or `permanent` where the peer says so. A file that turns unreadable while it is sent
    costs the association; the rest then goes over a new one.
    """
    if contexts is None:
        contexts = contexts_by_hand(files)
    rest = deque(files)
    while rest:
        count, proposed = proposal(rest, contexts)
        going = list(islice(rest, count))
        if not proposed:
            for file in going:
                yield StoreResult(rest.popleft().sop_instance_uid, None, "permanent", not_proposed(file))
            continue
        try:
            async with (
                associate(node, local, proposed) as association,
                contextlib.aclosing(store_in_order(association, going, decompress)) as results,
            ):
                async for result in results:
                    rest.popleft()
                    yield result
        except NoUsableContext as error:
            for _ in going:
                yield StoreResult(rest.popleft().sop_instance_uid, None, "permanent", str(error))
        except NetworkError as error:
            category: StoreCategory = "retry" if is_worth_retrying(error) else "permanent"
            for file in rest:
                yield StoreResult(file.sop_instance_uid, None, category, str(error))
            return
        except InstanceUnreadable as error:
            yield StoreResult(rest.popleft().sop_instance_uid, None, "permanent", str(error))


async def store_in_order(
    association: Association, files: Sequence[InstanceFile], decompress: Decompress | None = None
) -> AsyncGenerator[StoreResult, None]:
    """The files on an association that proposed their `proposal`; ends early where the association does.

    Raises NetworkError, or InstanceUnreadable of the next file without a result.
    """
    with contextlib.closing(FilesAhead(association)) as ahead:
        for file, following in zip_longest(files, files[1:]):
            if not association.usable:
                return
            yield await store_one(association, file, ahead, following, decompress)


class FilesAhead:
    """The files of one association, each opened and begun while the one before it is on its way.

    200 images of 922 kB to storescp take 0.11 s so, 0.14 s without. A slow card gains what the peer takes.
    """

    def __init__(self, association: Association) -> None:
        self._association = association
        self._block_length = block_length(association.fragment_length)
        self._begun: tuple[InstanceFile, FileSource] | None = None

    def take(self, file: InstanceFile, following: InstanceFile | None = None) -> FileSource:
        """The source of `file`, to be closed by the caller; when its last block is taken, `following` is begun."""
        if self._begun is not None and self._begun[0] is file:
            source, self._begun = self._begun[1], None
        else:
            source = FileSource(file, self._block_length)
        if following is not None and is_sent_as_it_is(self._association, following):
            source.then = partial(self._begin, following)
        return source

    def _begin(self, file: InstanceFile) -> None:
        self.close()
        self._begun = file, FileSource(file, self._block_length)

    def close(self) -> None:
        if self._begun is not None:
            self._begun[1].close()
            self._begun = None


async def store_one(
    association: Association,
    file: InstanceFile,
    ahead: FilesAhead,
    following: InstanceFile | None = None,
    decompress: Decompress | None = None,
) -> StoreResult:
    """One C-STORE. NetworkError, or InstanceUnreadable midway."""
    context = choose_context(association, file, can_decompress=decompress is not None)
    if context is None:
        return StoreResult(file.sop_instance_uid, None, "permanent", refused_syntax(association, file))
    if context.transfer_syntax != file.transfer_syntax_uid:
        try:
            octets = await trio.to_thread.run_sync(_transcode, file, context.transfer_syntax, decompress)
        except InstanceUnreadable as error:
            return StoreResult(file.sop_instance_uid, None, "permanent", str(error))
        return await store_source(association, context, file, OctetSource(octets))
    with contextlib.closing(ahead.take(file, following)) as source:
        try:
            await source.ready()
        except InstanceUnreadable as error:
            return StoreResult(file.sop_instance_uid, None, "permanent", str(error))
        return await store_source(association, context, file, source)


def _transcode(file: InstanceFile, transfer_syntax_uid: str, decompress: Decompress | None) -> bytes:
    if file.transfer_syntax_uid in UNCOMPRESSED or decompress is None:
        return transcode_uncompressed(file, transfer_syntax_uid)
    try:
        return data_set_of(decompress(file.path, transfer_syntax_uid))
    except ValueError as error:
        raise InstanceUnreadable(str(error)) from error


async def store_source(
    association: Association, context: AcceptedContext, file: InstanceFile, source: DataSource
) -> StoreResult:
    command = Command(
        command_field=CommandField.C_STORE_RQ,
        message_id=association.next_message_id(),
        affected_sop_class_uid=file.sop_class_uid,
        affected_sop_instance_uid=file.sop_instance_uid,
        priority=Priority.MEDIUM,
        data_set_type=DATA_SET_PRESENT,
    )
    answer = (await association.request(context, command, source)).command
    assert answer.status is not None
    remark = f" ({answer.error_comment!r})" if answer.error_comment else ""
    remark += because_of(answer.offending_elements or ())
    reason = f"{association.node.label}: {describe_status(answer.status)}{remark}" if answer.status != SUCCESS else ""
    return StoreResult(file.sop_instance_uid, answer.status, store_category(answer.status), reason)


def is_sent_as_it_is(association: Association, file: InstanceFile) -> bool:
    context = choose_context(association, file)
    return context is not None and context.transfer_syntax == file.transfer_syntax_uid


def choose_context(
    association: Association, file: InstanceFile, *, can_decompress: bool = False
) -> AcceptedContext | None:
    """For the file as it is; or else in an uncompressed syntax, where it is in one or can be decompressed."""
    wanted = [file.transfer_syntax_uid]
    if file.transfer_syntax_uid in UNCOMPRESSED or (can_decompress and file.transfer_syntax_uid in DECOMPRESSIBLE):
        wanted += UNCOMPRESSED
    try:
        return association.context(file.sop_class_uid, wanted)
    except NoUsableContext:
        return None


def not_proposed(file: InstanceFile) -> str:
    return f"{uid_name(file.sop_class_uid)} is not declared: no presentation context is proposed for it"


def refused_syntax(association: Association, file: InstanceFile) -> str:
    label, name = association.node.label, uid_name(file.sop_class_uid)
    accepted = [one.transfer_syntax for one in association.accepted if one.abstract_syntax == file.sop_class_uid]
    rejected = [one for one in association.rejected if one.proposed.abstract_syntax == file.sop_class_uid]
    if accepted:
        syntaxes = ", ".join(uid_name(uid) for uid in dict.fromkeys(accepted))
        return f"{label}: accepts {name} only as {syntaxes}; the file is {uid_name(file.transfer_syntax_uid)}"
    return f"{label}: does not accept {name}: {describe_rejected(rejected)}" if rejected else not_proposed(file)
