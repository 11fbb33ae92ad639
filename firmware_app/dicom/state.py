"""The state machine of the DICOM upper layer, PS3.8 section 9.2, as the tables that the standard prints.

`ACTIONS` is tables 9-6 to 9-9: what each action does and where it leads. `TRANSITIONS` is table 9-10: which action an
event triggers in a state. A blank cell is an event that cannot happen there: for a primitive of our own user that is a
LocalProtocolError, and a transport event there has nobody left to tell. The machine does no I/O; `association.py`
gives each action its hands.

Requestor: Sta1 -AE-1-> Sta4 -AE-2-> Sta5 -AE-3-> Sta6 -AR-1-> Sta7 -AR-3-> Sta1
Acceptor:  Sta1 -AE-5-> Sta2 -AE-6-> Sta3 -AE-7-> Sta6 -AR-2-> Sta8 -AR-4-> Sta13 -AR-5-> Sta1
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import NamedTuple


class State(IntEnum):
    """PS3.8 tables 9-1 to 9-5."""

    IDLE = 1
    AWAIT_REQUEST = 2  # transport open (acceptor): awaiting A-ASSOCIATE-RQ
    AWAIT_LOCAL_ANSWER = 3  # awaiting the local A-ASSOCIATE response primitive
    AWAIT_TRANSPORT = 4  # awaiting the transport connection (requestor)
    AWAIT_ANSWER = 5  # awaiting A-ASSOCIATE-AC or -RJ
    ESTABLISHED = 6
    AWAIT_RELEASE_REPLY = 7
    AWAIT_LOCAL_RELEASE = 8
    COLLISION_REQUESTOR_LOCAL = 9  # release collision, requestor: awaiting the local A-RELEASE response
    COLLISION_ACCEPTOR_REPLY = 10  # release collision, acceptor: awaiting A-RELEASE-RP
    COLLISION_REQUESTOR_REPLY = 11  # release collision, requestor: awaiting A-RELEASE-RP
    COLLISION_ACCEPTOR_LOCAL = 12  # release collision, acceptor: awaiting the local A-RELEASE response
    AWAIT_CLOSE = 13  # awaiting the close of the transport connection: the association no longer exists


class Event(IntEnum):
    """The rows of PS3.8 table 9-10."""

    ASSOCIATE_REQUEST = 1  # local primitive
    TRANSPORT_CONFIRM = 2
    ASSOCIATE_AC_PDU = 3
    ASSOCIATE_RJ_PDU = 4
    TRANSPORT_INDICATION = 5
    ASSOCIATE_RQ_PDU = 6
    ASSOCIATE_ACCEPT = 7  # local primitive
    ASSOCIATE_REJECT = 8  # local primitive
    DATA_REQUEST = 9  # local primitive
    DATA_PDU = 10
    RELEASE_REQUEST = 11  # local primitive
    RELEASE_RQ_PDU = 12
    RELEASE_RP_PDU = 13
    RELEASE_RESPONSE = 14  # local primitive
    ABORT_REQUEST = 15  # local primitive
    ABORT_PDU = 16
    TRANSPORT_CLOSED = 17
    ARTIM_EXPIRED = 18
    INVALID_PDU = 19  # unrecognized or invalid


class Action(Enum):
    """The rows of PS3.8 tables 9-6 to 9-9."""

    AE_1 = "AE-1"
    AE_2 = "AE-2"
    AE_3 = "AE-3"
    AE_4 = "AE-4"
    AE_5 = "AE-5"
    AE_6 = "AE-6"
    AE_7 = "AE-7"
    AE_8 = "AE-8"
    DT_1 = "DT-1"
    DT_2 = "DT-2"
    AR_1 = "AR-1"
    AR_2 = "AR-2"
    AR_3 = "AR-3"
    AR_4 = "AR-4"
    AR_5 = "AR-5"
    AR_6 = "AR-6"
    AR_7 = "AR-7"
    AR_8 = "AR-8"
    AR_9 = "AR-9"
    AR_10 = "AR-10"
    AA_1 = "AA-1"
    AA_2 = "AA-2"
    AA_3 = "AA-3"
    AA_4 = "AA-4"
    AA_5 = "AA-5"
    AA_6 = "AA-6"
    AA_7 = "AA-7"
    AA_8 = "AA-8"


class Effect(NamedTuple):
    does: str
    next_states: tuple[State, ...]  # two where the action itself decides: AE-6 by its check, AR-8 by the role


def _leads_to(*numbers: int) -> tuple[State, ...]:
    return tuple(State(number) for number in numbers)


ACTIONS: dict[Action, Effect] = {
    # Table 9-6, association establishment
    Action.AE_1: Effect("request the transport connection", _leads_to(4)),
    Action.AE_2: Effect("send A-ASSOCIATE-RQ", _leads_to(5)),
    Action.AE_3: Effect("confirm: accepted", _leads_to(6)),
    Action.AE_4: Effect("confirm: rejected; close the transport", _leads_to(1)),
    Action.AE_5: Effect("accept the transport connection; start ARTIM", _leads_to(2)),
    Action.AE_6: Effect("stop ARTIM; indicate the request, or send A-ASSOCIATE-RJ and start ARTIM", _leads_to(3, 13)),
    Action.AE_7: Effect("send A-ASSOCIATE-AC", _leads_to(6)),
    Action.AE_8: Effect("send A-ASSOCIATE-RJ; start ARTIM", _leads_to(13)),
    # Table 9-7, data transfer
    Action.DT_1: Effect("send P-DATA-TF", _leads_to(6)),
    Action.DT_2: Effect("indicate data", _leads_to(6)),
    # Table 9-8, association release
    Action.AR_1: Effect("send A-RELEASE-RQ", _leads_to(7)),
    Action.AR_2: Effect("indicate the release", _leads_to(8)),
    Action.AR_3: Effect("confirm the release; close the transport", _leads_to(1)),
    Action.AR_4: Effect("send A-RELEASE-RP; start ARTIM", _leads_to(13)),
    Action.AR_5: Effect("stop ARTIM", _leads_to(1)),
    Action.AR_6: Effect("indicate data", _leads_to(7)),
    Action.AR_7: Effect("send P-DATA-TF", _leads_to(8)),
    Action.AR_8: Effect("indicate the release collision", _leads_to(9, 10)),
    Action.AR_9: Effect("send A-RELEASE-RP", _leads_to(11)),
    Action.AR_10: Effect("confirm the release", _leads_to(12)),
    # Table 9-9, association abort
    Action.AA_1: Effect("send A-ABORT (service user); start ARTIM", _leads_to(13)),
    Action.AA_2: Effect("stop ARTIM; close the transport", _leads_to(1)),
    Action.AA_3: Effect("indicate the abort; close the transport", _leads_to(1)),
    Action.AA_4: Effect("indicate the provider's abort", _leads_to(1)),
    Action.AA_5: Effect("stop ARTIM", _leads_to(1)),
    Action.AA_6: Effect("ignore the PDU", _leads_to(13)),
    Action.AA_7: Effect("send A-ABORT", _leads_to(13)),
    Action.AA_8: Effect("send A-ABORT (service provider); indicate the provider's abort; start ARTIM", _leads_to(13)),
}

# PS3.8 table 9-10. Columns are Sta1 to Sta13, rows are Evt1 to Evt19.
_TABLE_9_10 = """
 1  AE-1  .     .     .     .     .     .     .     .     .     .     .     .
 2  .     .     .     AE-2  .     .     .     .     .     .     .     .     .
 3  .     AA-1  AA-8  .     AE-3  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
 4  .     AA-1  AA-8  .     AE-4  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
 5  AE-5  .     .     .     .     .     .     .     .     .     .     .     .
 6  .     AE-6  AA-8  .     AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-7
 7  .     .     AE-7  .     .     .     .     .     .     .     .     .     .
 8  .     .     AE-8  .     .     .     .     .     .     .     .     .     .
 9  .     .     .     .     .     DT-1  .     AR-7  .     .     .     .     .
10  .     AA-1  AA-8  .     AA-8  DT-2  AR-6  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
11  .     .     .     .     .     AR-1  .     .     .     .     .     .     .
12  .     AA-1  AA-8  .     AA-8  AR-2  AR-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
13  .     AA-1  AA-8  .     AA-8  AA-8  AR-3  AA-8  AA-8  AR-10 AR-3  AA-8  AA-6
14  .     .     .     .     .     .     .     AR-4  AR-9  .     .     AR-4  .
15  .     .     AA-1  AA-2  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  .
16  .     AA-2  AA-3  .     AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-2
17  .     AA-5  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AR-5
18  .     AA-2  .     .     .     .     .     .     .     .     .     .     AA-2
19  .     AA-1  AA-8  .     AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-7
"""


def _read_table(drawn: str) -> dict[tuple[Event, State], Action]:
    cells = {}
    for line in drawn.strip().splitlines():
        number, *row = line.split()
        for state, cell in zip(State, row, strict=True):
            if cell != ".":
                cells[Event(int(number)), state] = Action(cell)
    return cells


TRANSITIONS: dict[tuple[Event, State], Action] = _read_table(_TABLE_9_10)
