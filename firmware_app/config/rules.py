"""What one key alone cannot say: rules between keys. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from firmware_app.config.devices import FolderCameraConfig, StageConfig
from firmware_app.config.schema import CommitmentConfig, Config, NodeConfig, NodeTlsConfig, PrintConfig

# Grbl 1.1: M3 S dims, M8 and M7 switch; M7 only where it was compiled in.
GRBL_SWITCHES = ("flood", "mist")
GRBL_OUTPUTS = ("spindle", *GRBL_SWITCHES)

MIN_BYTES_PER_S = 1000

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
    for name, node in config.node_tables().items():
        yield from _node(name, node)
        if node.tls is not None:
            yield from _node_tls(f"{name}.tls", node.tls)
    yield from _node_tls("audit.syslog.tls", config.audit.syslog.tls)
    yield from _listener_tls(config)
    yield from _simulated(config)
    yield from _syslog(config)
    yield from _own_address(config)
    yield from _retries(config)
    yield from _pace(config)
    yield from _commitment(config)
    yield from _print(config.print)
    if config.stage is not None:
        yield from _eyes(config.stage)
        yield from _retraction(config.stage)
        yield from _focus_range(config.stage, config.capture.focus_range_um)
    yield from _lamps(config)
    yield from _ports(config)
    yield from _paths(config)


def _node(name: str, node: NodeConfig) -> Iterator[Finding]:
    address_key = _address_key(node)
    values: dict[str, str | int] = {address_key: node.host, "port": node.port, "ae_title": node.ae_title}
    given = [key for key, value in values.items() if value]
    missing = [key for key, value in values.items() if not value]
    if given and missing:
        keys = tuple(f"{name}.{key}" for key in given)
        for key in missing:
            verb = "is" if len(keys) == 1 else "are"
            instead = f" ({name}.host_name would do as well)" if key == "ip_address" else ""
            yield Finding(f"{name}.{key}", f"is missing, and {' and '.join(keys)} {verb} given{instead}", keys)
    if node.ip_address and node.host_name:
        other = f"{name}.ip_address"
        yield Finding(f"{name}.host_name", f"is given, and {other} is given too: a node has one of them", (other,))
    if node.ip_address and not _is_host(node.ip_address):
        yield Finding(f"{name}.ip_address", f"{node.ip_address} is not the address of one host")
    if node.host_name.rpartition(".")[2].isdigit():  # RFC 1123 2.1: no top-level domain is a number
        yield Finding(f"{name}.host_name", f"{node.host_name} is no host name; an address is {name}.ip_address")


def _retries(config: Config) -> Iterator[Finding]:
    for name, first_s, max_s in (
        ("storage", config.storage.retry_first_s, config.storage.retry_max_s),
        ("mpps", config.mpps.retry_first_s, config.mpps.retry_max_s),
        ("commitment", config.commitment.retry_first_s, config.commitment.retry_max_s),
        ("print", config.print.retry_first_s, config.print.retry_max_s),
        ("second_storage", config.second_storage.retry_first_s, config.second_storage.retry_max_s),
        ("second_commitment", config.second_commitment.retry_first_s, config.second_commitment.retry_max_s),
        ("audit.syslog", config.audit.syslog.retry_first_s, config.audit.syslog.retry_max_s),
    ):
        first = f"{name}.retry_first_s"
        if max_s < first_s:
            yield Finding(f"{name}.retry_max_s", f"{max_s:g} is less than {first} = {first_s:g}", (first,))


def _pace(config: Config) -> Iterator[Finding]:
    for name, table in (("storage", config.storage), ("second_storage", config.second_storage)):
        rate = table.max_bytes_per_s
        if 0 < rate < MIN_BYTES_PER_S:
            words = f"{rate} is less than {MIN_BYTES_PER_S}: no image would be through before a peer gives up on us"
            yield Finding(f"{name}.max_bytes_per_s", words)


def _commitment(config: Config) -> Iterator[Finding]:
    yield from _commitment_to(config, "commitment", config.commitment, "storage", config.storage)
    yield from _commitment_to(
        config, "second_commitment", config.second_commitment, "second_storage", config.second_storage
    )


def _commitment_to(
    config: Config, name: str, table: CommitmentConfig, stored_at: str, storage: NodeConfig
) -> Iterator[Finding]:
    if not table.host:
        return
    key = f"{name}.{_address_key(table)}"
    if not storage.host:
        words = stored_at.replace("_", " ")
        yield Finding(key, f"is given, and no {words} node is: what is stored there would be committed", (stored_at,))
    if not config.instrument.port and not table.same_association_wait_s:
        keys = ("instrument.port", f"{name}.same_association_wait_s")
        yield Finding(key, f"is given, and {' and '.join(keys)} are 0: no report could reach us", keys)


def _print(table: PrintConfig) -> Iterator[Finding]:
    if table.smoothing and table.magnification != "CUBIC":
        also = "print.magnification"
        yield Finding("print.smoothing", f'is given, and {also} is not "CUBIC", which alone has a smoothing', (also,))
    if table.min_density and table.max_density and int(table.min_density) > int(table.max_density):
        also = "print.max_density"
        yield Finding("print.min_density", f"{table.min_density} is more than {also} = {table.max_density}", (also,))


def _address_key(node: NodeConfig) -> str:
    return "host_name" if node.host_name and not node.ip_address else "ip_address"


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
    address, port = config.instrument.ip_address, config.instrument.port
    if address and not _is_host(address):
        yield Finding("instrument.ip_address", f"{address} is not the address of one host")
    for name, node in config.nodes().items():
        if address and (node.ip_address, node.port) == (address, port):
            keys = ("instrument.ip_address", "instrument.port")
            yield Finding(f"{name}.port", f"{address}:{port} is our own port ({' and '.join(keys)})", keys)
    for accepted in config.instrument.accepted_addresses:
        if not _is_host(accepted):
            yield Finding("instrument.accepted_addresses", f"{accepted} is not the address of one host")


def _is_host(address: str) -> bool:
    parsed = IPv4Address(address)
    return not (parsed.is_unspecified or parsed.is_multicast or parsed == IPv4Address("255.255.255.255"))


def _simulated(config: Config) -> Iterator[Finding]:
    """A simulated instrument never sends to a clinical node: to this machine, and to a test hospital that is named."""
    if isinstance(config.camera, FolderCameraConfig) and not config.camera.simulated:
        text = "is false, and a folder of images is no camera: its pictures are no patient's"
        yield Finding("camera.simulated", text, ("camera.kind",))
    simulated = _simulated_devices(config)
    if not simulated:
        return
    for name, node in config.nodes().items():
        if not _is_loopback(node) and node.ip_address not in config.network.test_peers:
            yield Finding(
                f"{name}.{_address_key(node)}",
                f'{node.host} is not a loopback address (127.x.y.z) or "localhost", and {simulated[0]} is true: '
                "a simulated instrument never sends to a real node; a test hospital's is in network.test_peers",
                tuple(simulated),
            )


def _simulated_devices(config: Config) -> list[str]:
    """The keys that say so."""
    devices = (("stage", config.stage), ("camera", config.camera))
    return [f"{name}.simulated" for name, device in devices if device is not None and device.simulated]


def _syslog(config: Config) -> Iterator[Finding]:
    """A simulated instrument tells no clinic's audit repository of patients that there are not."""
    receiver = config.audit.syslog
    simulated = _simulated_devices(config)
    here = receiver.host_name.lower() == "localhost" or receiver.host_name.startswith("127.")
    here = here or receiver.host_name in config.network.test_peers
    if simulated and receiver.host_name and not here:
        text = f'{receiver.host_name} is not "localhost" or 127.x.y.z, and {simulated[0]} is true'
        yield Finding("audit.syslog.host_name", text, tuple(simulated))


def _is_loopback(node: NodeConfig) -> bool:
    """RFC 6761 6.3: the name localhost never leaves the machine; any other name is whatever a server says it is."""
    if node.ip_address:
        return IPv4Address(node.ip_address).is_loopback
    return node.host_name.lower() == "localhost"


def _eyes(stage: StageConfig) -> Iterator[Finding]:
    """Both in the stage's reach, and x runs towards the patient's left eye."""
    reach = stage.reach
    for key, eye in (("right_eye_um", stage.right_eye_um), ("left_eye_um", stage.left_eye_um)):
        for axis, coordinate_um, low_um, high_um in zip("xyz", eye, reach.low_um, reach.high_um, strict=True):
            if not low_um <= coordinate_um <= high_um:
                yield Finding(
                    f"stage.{key}",
                    f"{axis} = {coordinate_um:g} um is outside the travel, {low_um:g} to {high_um:g}",
                    reach.keys,
                )
    if stage.left_eye_um[0] <= stage.right_eye_um[0]:
        yield Finding(
            "stage.left_eye_um",
            f"x = {stage.left_eye_um[0]:g} um is not above the right eye's x = {stage.right_eye_um[0]:g}: "
            "x runs towards the patient's left eye",
            ("stage.right_eye_um",),
        )


def _retraction(stage: StageConfig) -> Iterator[Finding]:
    """There must be room behind both eyes to go past the nose."""
    for key, eye in (("right_eye_um", stage.right_eye_um), ("left_eye_um", stage.left_eye_um)):
        room_um = eye[2] - stage.reach.low_um[2]
        if 0 <= room_um < stage.retract_um:
            yield Finding(
                "stage.retract_um",
                f"{stage.retract_um:g} leaves the travel: z of stage.{key} has {room_um:g} um behind it",
                (f"stage.{key}", *stage.reach.keys),
            )


def _focus_range(stage: StageConfig, range_um: float) -> Iterator[Finding]:
    for key, eye in (("right_eye_um", stage.right_eye_um), ("left_eye_um", stage.left_eye_um)):
        reach = stage.reach
        room_um = min(eye[2] - reach.low_um[2], reach.high_um[2] - eye[2])
        if 0 <= room_um < range_um:
            yield Finding(
                "capture.focus_range_um",
                f"{range_um:g} leaves the travel: z of stage.{key} has {room_um:g} um to the nearer end",
                (f"stage.{key}", *reach.keys),
            )


def _ports(config: Config) -> Iterator[Finding]:
    if config.stage is not None and config.camera is not None and config.stage.port == config.camera.port:
        yield Finding("camera.port", f"{config.camera.port} is stage.port already", ("stage.port",))


def _lamps(config: Config) -> Iterator[Finding]:
    lamps = config.light.outputs()
    users: dict[str, str] = {}
    for lamp, output in lamps.items():
        key = f"light.{lamp}.output"
        if not output:
            yield Finding(key, "is missing: the stage's board switches its outputs by name")
        elif output in users:
            yield Finding(key, f'"{output}" is {users[output]} already', (users[output],))
        else:
            users[output] = key
    if lamps and config.stage is None:
        yield Finding("light", "is given, and no stage is: its board switches the lamps", ("stage",))
    elif config.stage is not None:
        yield from _outputs_of_kind(config.stage, lamps)
    fixation = config.light.fixation
    if fixation is not None and len(set(fixation.levels)) < len(fixation.levels):
        yield Finding("light.fixation.levels", "has a level twice: each chooses one lamp")


def _outputs_of_kind(stage: StageConfig, lamps: Mapping[str, str]) -> Iterator[Finding]:
    """What can be said before the board itself is asked for its outputs."""
    if stage.kind != "grbl":
        return
    for lamp, output in lamps.items():
        key = f"light.{lamp}.output"
        if output and output not in GRBL_OUTPUTS:
            words = ", ".join(f'"{name}"' for name in GRBL_OUTPUTS)
            yield Finding(key, f'"{output}" is no output of a Grbl board; one of {words}', ("stage.kind",))
        elif output in GRBL_SWITCHES and lamp == "fixation":
            yield Finding(key, f'"{output}" is only on or off, and nine lamps need levels: "spindle"', ("stage.kind",))


def _paths(config: Config) -> Iterator[Finding]:
    length = len(str(config.paths.console_socket).encode())
    if length > SUN_PATH_MAX_BYTES:
        yield Finding(
            "paths.runtime",
            f"is too long: its console.sock would have {length} bytes, and a socket's path has at most "
            f"{SUN_PATH_MAX_BYTES}",
        )
