"""Storage (PS3.4 annex B) as SCU: each instance gets exactly one result, whatever happens to the peer.

Each transfer syntax is proposed in a context of its own, so that the peer cannot choose one that would force us to
convert; both uncompressed syntaxes are always proposed beside the file's own. One C-STORE is outstanding at a time.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import trio

from firmware_app.dicom.command import DATA_SET_PRESENT, Command, CommandField, Priority
from firmware_app.dicom.negotiation import AcceptedContext
from firmware_app.dicom.statuses import SUCCESS, StoreCategory, describe_status, store_category
from firmware_app.dicom.uids import UNCOMPRESSED, uid_name
from firmware_app.net.association import Association, ContextPair, associate
from firmware_app.net.data_source import DataSource, OctetSource, block_length
from firmware_app.net.errors import NetworkError, NoUsableContext, is_worth_retrying
from firmware_app.net.instance_file import FileSource, InstanceFile, InstanceUnreadable, transcode_uncompressed
from firmware_app.net.node import LocalApplicationEntity, Node


@dataclass(frozen=True, slots=True)
class StoreResult:
    """What became of one instance. `status` is None when the peer never answered for it.

    `stored` and `warning`: the peer has it. `retry`: it may have it later. `permanent`: only a person can help.
    """

    sop_instance_uid: str
    status: int | None
    category: StoreCategory
    reason: str


def storage_contexts(files: Iterable[InstanceFile]) -> tuple[ContextPair, ...]:
    """One context a class and transfer syntax: the file's own first, then both uncompressed ones."""
    pairs: dict[ContextPair, None] = {}
    for file in files:
        for transfer_syntax in (file.transfer_syntax_uid, *UNCOMPRESSED):
            pairs.setdefault((file.sop_class_uid, (transfer_syntax,)))
    return tuple(pairs)


async def store(
    node: Node, local: LocalApplicationEntity, files: Sequence[InstanceFile]
) -> AsyncGenerator[StoreResult, None]:
    """Send the files in order on one association; a result each, as it is known. Raises no NetworkError.

    When the association cannot be had or is lost, the rest is `retry`, or `permanent` where the peer says so. A file
    that turns unreadable while it is sent costs the association; the rest then goes over a new one.
    """
    rest = deque(files)
    while rest:
        try:
            async with associate(node, local, storage_contexts(rest)) as association:
                with contextlib.closing(FilesAhead(association)) as ahead:
                    while rest and association.usable:
                        following = rest[1] if len(rest) > 1 else None
                        result = await store_one(association, rest[0], ahead, following)
                        rest.popleft()
                        yield result
        except NetworkError as error:
            category: StoreCategory = "retry" if is_worth_retrying(error) else "permanent"
            for file in rest:
                yield StoreResult(file.sop_instance_uid, None, category, str(error))
            return
        except InstanceUnreadable as error:
            yield StoreResult(rest.popleft().sop_instance_uid, None, "permanent", str(error))


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
    ahead: FilesAhead | None = None,
    following: InstanceFile | None = None,
) -> StoreResult:
    """One C-STORE on an association that proposed `storage_contexts`. NetworkError, or InstanceUnreadable midway."""
    context = choose_context(association, file)
    if context is None:
        return StoreResult(file.sop_instance_uid, None, "permanent", refused_syntax(association, file))
    if context.transfer_syntax != file.transfer_syntax_uid:
        try:
            octets = await trio.to_thread.run_sync(transcode_uncompressed, file, context.transfer_syntax)
        except InstanceUnreadable as error:
            return StoreResult(file.sop_instance_uid, None, "permanent", str(error))
        return await store_source(association, context, file, OctetSource(octets))
    with contextlib.closing((ahead or FilesAhead(association)).take(file, following)) as source:
        try:
            await source.ready()
        except InstanceUnreadable as error:
            return StoreResult(file.sop_instance_uid, None, "permanent", str(error))
        return await store_source(association, context, file, source)


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
    reason = f"{association.node.label}: {describe_status(answer.status)}{remark}" if answer.status != SUCCESS else ""
    return StoreResult(file.sop_instance_uid, answer.status, store_category(answer.status), reason)


def is_sent_as_it_is(association: Association, file: InstanceFile) -> bool:
    context = choose_context(association, file)
    return context is not None and context.transfer_syntax == file.transfer_syntax_uid


def choose_context(association: Association, file: InstanceFile) -> AcceptedContext | None:
    """The file as it is, or, where it is uncompressed, as the other uncompressed syntax."""
    wanted = [file.transfer_syntax_uid]
    if file.transfer_syntax_uid in UNCOMPRESSED:
        wanted += UNCOMPRESSED
    try:
        return association.context(file.sop_class_uid, wanted)
    except NoUsableContext:
        return None


def refused_syntax(association: Association, file: InstanceFile) -> str:
    label, name = association.node.label, uid_name(file.sop_class_uid)
    accepted = [one.transfer_syntax for one in association.accepted if one.abstract_syntax == file.sop_class_uid]
    if not accepted:
        answers = "; ".join(
            one.words for one in association.rejected if one.proposed.abstract_syntax == file.sop_class_uid
        )
        return f"{label}: does not accept {name}: {answers}"
    syntaxes = ", ".join(uid_name(uid) for uid in accepted)
    return f"{label}: accepts {name} only as {syntaxes}; the file is {uid_name(file.transfer_syntax_uid)}"
