"""What one key alone cannot say: rules between keys. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from firmware_app.config.schema import Config, NodeConfig, NodeTlsConfig, StageConfig

# struct sockaddr_un: sun_path is 108 bytes with the final NUL (unix(7)).
SUN_PATH_MAX_BYTES = 107


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken rule: the key to mend first, the other keys that took part, and what is allowed."""

    key: str
    text: str
    also: tuple[str, ...] = ()


def findings(config: Config) -> Iterator[Finding]:
    """Every rule between keys that `config` breaks."""
    for name, node in (
        ("worklist", config.worklist),
        ("storage", config.storage),
        ("patient_query", config.patient_query),
    ):
        yield from _node(name, node)
        if node.tls is not None:
            yield from _node_tls(f"{name}.tls", node.tls)
    yield from _listener_tls(config)
    yield from _simulated(config)
    yield from _own_address(config)
    if config.storage.retry_max_s < config.storage.retry_first_s:
        yield Finding(
            "storage.retry_max_s",
            f"{config.storage.retry_max_s:g} is less than storage.retry_first_s = {config.storage.retry_first_s:g}",
            ("storage.retry_first_s",),
        )
    if config.stage is not None:
        yield from _eyes(config.stage)
        yield from _focus_range(config.stage, config.capture.focus_range_um)
    yield from _ports(config)
    yield from _paths(config)


def _node(name: str, node: NodeConfig) -> Iterator[Finding]:
    values: dict[str, str | int] = {"ip_address": node.ip_address, "port": node.port, "ae_title": node.ae_title}
    given = [key for key, value in values.items() if value]
    missing = [key for key, value in values.items() if not value]
    if given and missing:
        keys = tuple(f"{name}.{key}" for key in given)
        for key in missing:
            verb = "is" if len(keys) == 1 else "are"
            yield Finding(f"{name}.{key}", f"is missing, and {' and '.join(keys)} {verb} given", keys)
    if node.ip_address and not _is_host(node.ip_address):
        yield Finding(f"{name}.ip_address", f"{node.ip_address} is not the address of one host")


def _node_tls(name: str, tls: NodeTlsConfig) -> Iterator[Finding]:
    pins, verify = f"{name}.pinned_sha256", f"{name}.verify"
    if tls.verify == "pinned" and not tls.pinned_sha256:
        yield Finding(pins, f'is missing, and {verify} is "pinned"', (verify,))
    if tls.verify == "hostname" and tls.pinned_sha256:
        yield Finding(pins, f'is given, but {verify} is "hostname": nobody would look at it', (verify,))


def _listener_tls(config: Config) -> Iterator[Finding]:
    tls = config.instrument.tls
    if tls is not None and tls.pinned_sha256 and not tls.require_client_certificate:
        also = "instrument.tls.require_client_certificate"
        yield Finding("instrument.tls.pinned_sha256", f"is given, but {also} is false", (also,))


def _own_address(config: Config) -> Iterator[Finding]:
    address = config.instrument.ip_address
    if address and not _is_host(address):
        yield Finding("instrument.ip_address", f"{address} is not the address of one host")
    for accepted in config.instrument.accepted_addresses:
        if not _is_host(accepted):
            yield Finding("instrument.accepted_addresses", f"{accepted} is not the address of one host")


def _is_host(address: str) -> bool:
    parsed = IPv4Address(address)
    return not (parsed.is_unspecified or parsed.is_multicast or parsed == IPv4Address("255.255.255.255"))


def _simulated(config: Config) -> Iterator[Finding]:
    """A simulated instrument never sends to a clinical node."""
    simulated = [
        f"{name}.simulated"
        for name, device in (("stage", config.stage), ("camera", config.camera))
        if device is not None and device.simulated
    ]
    if not simulated:
        return
    for name, node in config.nodes().items():
        if not IPv4Address(node.ip_address).is_loopback:
            yield Finding(
                f"{name}.ip_address",
                f"{node.ip_address} is not a loopback address (127.x.y.z), and {simulated[0]} is true: "
                "a simulated instrument never sends to a real node",
                tuple(simulated),
            )


def _eyes(stage: StageConfig) -> Iterator[Finding]:
    """After homing the machine space is [-travel, 0] on each axis, and x runs towards the patient's left eye."""
    for key, eye in (("right_eye_um", stage.right_eye_um), ("left_eye_um", stage.left_eye_um)):
        for axis, coordinate_um, travel_mm in zip("xyz", eye, stage.travel_mm, strict=True):
            if not -1000 * travel_mm <= coordinate_um <= 0:
                yield Finding(
                    f"stage.{key}",
                    f"{axis} = {coordinate_um:g} um is outside the travel, {-1000 * travel_mm:g} to 0",
                    ("stage.travel_mm",),
                )
    if stage.left_eye_um[0] <= stage.right_eye_um[0]:
        yield Finding(
            "stage.left_eye_um",
            f"x = {stage.left_eye_um[0]:g} um is not above the right eye's x = {stage.right_eye_um[0]:g}: "
            "x runs towards the patient's left eye",
            ("stage.right_eye_um",),
        )


def _focus_range(stage: StageConfig, range_um: float) -> Iterator[Finding]:
    for key, eye in (("right_eye_um", stage.right_eye_um), ("left_eye_um", stage.left_eye_um)):
        room_um = min(eye[2] + 1000 * stage.travel_mm[2], -eye[2])
        if 0 <= room_um < range_um:
            yield Finding(
                "capture.focus_range_um",
                f"{range_um:g} leaves the travel: z of stage.{key} has {room_um:g} um to the nearer end",
                (f"stage.{key}", "stage.travel_mm"),
            )


def _ports(config: Config) -> Iterator[Finding]:
    if config.stage is not None and config.camera is not None and config.stage.port == config.camera.port:
        yield Finding("camera.port", f"{config.camera.port} is stage.port already", ("stage.port",))


def _paths(config: Config) -> Iterator[Finding]:
    length = len(f"{config.paths.runtime}/console.sock".encode())
    if length > SUN_PATH_MAX_BYTES:
        yield Finding(
            "paths.runtime",
            f"is too long: its console.sock would have {length} bytes, and a socket's path has at most "
            f"{SUN_PATH_MAX_BYTES}",
        )
