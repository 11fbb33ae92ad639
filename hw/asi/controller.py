"""Who answers on an ASI port, how it is set up, and which lamps it has. Asks only; nothing is changed here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hw.asi import codec
from hw.asi.codec import Axis, Build
from hw.asi.link import LISTING_S, AsiLink
from hw.asi.settings import AsiSettings, expected_settings, require_settings
from hw.errors import Deadline, DeviceFault, ProtocolError, Refused
from hw.opening import Step, opening_step
from hw.stage_checks import require_as_configured

MS2000_ORDER: Final = "XYZF"  # how it sorts its axes where it does not list them
# x: stage, z: focus, l: linear, p and a: piezo. The others (filter wheels, lasers, logic) are nowhere in mm.
TIGER_STAGE_KINDS: Final = frozenset("xzlpa")
PWM_MODE: Final = 9  # of TTL Y: the LED command drives the TTL output
LED_CHANNELS: Final = "XYZFTR"


@dataclass(frozen=True, slots=True)
class Lamp:
    """One LED output: `LED letter=percent`, to `card` where it is one of a Tiger's."""

    name: str
    letter: str
    card: int


@dataclass(frozen=True, slots=True)
class Controller:
    firmware: str
    tiger: bool
    letters: str  # of our three axes, in the controller's order
    lamps: tuple[Lamp, ...]


async def identify(link: AsiLink, port: str, settings: AsiSettings, simulated: bool) -> Controller:
    """`Refused` for the wrong sort of controller or one that is set up otherwise; says the baud when none answers."""
    opening_step(Step.IDENTIFYING)
    try:
        build_name = (await link.text(codec.BUILD))[0]
    except (Deadline, ProtocolError) as error:
        raise type(error)(f"{error}; asked for its build at {settings.baud} baud") from error
    tiger = build_name.startswith("TIGER_COMM")
    link.bare_replies = tiger
    version = (await link.text(codec.TIGER_VERSION if tiger else codec.VERSION))[0]
    require_as_configured(version, port, simulated=simulated)
    build = codec.decode_build(await link.text(codec.BUILD_DETAILS, LISTING_S))
    if build is None:
        raise ProtocolError(f"{port}: the reply to 'BU X' contradicts itself")
    letters = _letters(build, settings, link.label)
    if not tiger:
        await _require_quiet(link)
    opening_step(Step.APPLYING)
    await require_set_up(link, settings)
    lamps = await (_tiger_lamps if tiger else _ms2000_lamps)(link, build, letters)
    kind = "Tiger" if tiger else "MS-2000"
    return Controller(f"{kind} {version.removeprefix('Version: ')} {build_name}", tiger, letters, lamps)


async def require_set_up(link: AsiLink, settings: AsiSettings) -> None:
    """`Refused` with every difference. Axis by axis, for the axes of a Tiger may be on several cards."""
    device = {(command, letter): await link.setting(command, letter) for command, letter in expected_settings(settings)}
    require_settings(device | await firmware_limits_mm(link, settings), settings, link.label)


async def firmware_limits_mm(link: AsiLink, settings: AsiSettings) -> dict[tuple[str, str], float]:
    """SL and SU in the controller's present coordinates, which they follow: only homing gives them a meaning."""
    return {
        (command, letter): await link.setting(command, letter) for command in ("SL", "SU") for letter in settings.axes
    }


def _letters(build: Build, settings: AsiSettings, label: str) -> str:
    known = [axis for axis in build.axes if not axis.kind or axis.kind in TIGER_STAGE_KINDS or not build.tiger]
    order = "".join(axis.letter for axis in known) or MS2000_ORDER
    missing = [letter for letter in settings.axes if letter not in order]
    if missing:
        raise Refused(f"{label} has no stage axis {', '.join(missing)}; it has {', '.join(order)}")
    return "".join(sorted(settings.axes, key=order.index))


async def _require_quiet(link: AsiLink) -> None:
    """What VB lets an MS-2000 say unasked would be taken for the reply to something."""
    try:
        modes = await link.setting("VB", "X")
    except DeviceFault:
        return  # before firmware 8.5 there are none
    if modes:
        raise Refused(f"{link.label} is not set up as configured: VB X={modes:g} (verbose modes), expected 0")


# ------------------------------------------------------------------------------------------------- lamps


async def _ms2000_lamps(link: AsiLink, build: Build, _letters: str) -> tuple[Lamp, ...]:
    if any(module.startswith("DLED") for module in build.modules):
        return (Lamp("led", "X", 0),)
    return (Lamp("led", "X", 0),) if await _drives_ttl(link, 0) else ()


async def _tiger_lamps(link: AsiLink, build: Build, letters: str) -> tuple[Lamp, ...]:
    lamps: list[Lamp] = []
    seen: set[int] = set()
    for axis in build.axes:
        if axis.card in seen:
            continue
        if axis.kind == codec.LED_CARD:
            seen.add(axis.card)
            lamps += await _led_card_lamps(link, axis)
        elif axis.properties & codec.LED_PROPERTY and axis.letter in letters and await _drives_ttl(link, axis.card):
            seen.add(axis.card)
            lamps.append(Lamp("led" if not lamps else f"led@{axis.letter}", "X", axis.card))
    return tuple(lamps)


async def _led_card_lamps(link: AsiLink, axis: Axis) -> list[Lamp]:
    """The build of a TGLED card ends in its number of channels: `TGLED_4`."""
    name = (await link.text(codec.encode_command("BU", card=axis.card)))[0]
    _, _, digits = name.rpartition("_")
    channels = int(digits) if digits in ("1", "2", "3", "4", "5", "6") else 4
    return [Lamp(f"led{i + 1}@{axis.letter}", LED_CHANNELS[i], axis.card) for i in range(channels)]


async def _drives_ttl(link: AsiLink, card: int) -> bool:
    """Whether the firmware has the LED command and the TTL output is set to obey it."""
    try:
        await link.setting("LED", "X", card=card)
        return await link.setting("TTL", "Y", card=card) == PWM_MODE
    except DeviceFault:
        return False
