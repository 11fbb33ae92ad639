"""The configuration file as frozen values: every key, its type, its default and what is allowed.

`Meta.description` is what an error message says is allowed, so a rule and its wording stand in one place.
Where a default comes from the SP-1P statement, clause 4.7.2, "None" there is the empty string here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from firmware_app.config.devices import CameraConfig, StageConfig
from firmware_app.config.fields import (
    _TEXT,
    AbsolutePath,
    Address,
    Addresses,
    AeTitle,
    AeTitles,
    BytesPerSecond,
    Fingerprints,
    HostName,
    InterfaceName,
    LongText,
    ModalityKey,
    OptionalAeTitle,
    Port,
    ProfileName,
    RetrySeconds,
    ShortText,
    WaitSeconds,
)
from firmware_app.config.light import LightConfig


class TlsFilesConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """PEM files. They are read at each connection: renewed ones need no restart."""

    certificate: AbsolutePath = "/etc/specular/tls/certificate.pem"
    key: AbsolutePath = "/etc/specular/tls/key.pem"
    trusted: AbsolutePath = "/etc/specular/tls/trusted.pem"


class NodeTlsConfig(TlsFilesConfig, frozen=True, forbid_unknown_fields=True):
    """TLS to a node; without the table plain TCP."""

    verify: Literal["hostname", "pinned"] = "hostname"
    server_name: HostName = ""  # empty: the node's address
    pinned_sha256: Fingerprints = ()


class ListenerTlsConfig(TlsFilesConfig, frozen=True, forbid_unknown_fields=True):
    """TLS on our own port; without the table plain TCP."""

    require_client_certificate: bool = True
    pinned_sha256: Fingerprints = ()  # of the peers that are vouched for only these; empty: all of them


class InstrumentConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Ourselves. Defaults: 4.7.2, "SP-1P"."""

    ip_address: Address = ""  # empty: the address of network.interface
    port: Port = 64001
    ae_title: AeTitle = "TP_AM_SP1P_001"
    institution_name: LongText = ""
    institutional_department_name: LongText = ""
    station_name: ShortText = ""
    device_serial_number: LongText = ""
    operator: LongText = ""
    accepted_ae_titles: AeTitles = ()  # who may call us; empty: everybody
    accepted_addresses: Addresses = ()
    tls: ListenerTlsConfig | None = None


class NetworkConfig(Struct, frozen=True, forbid_unknown_fields=True):
    interface: InterfaceName = "eth0"
    test_peers: Addresses = ()  # beside this machine, whom a simulated instrument may talk to


class TimeoutsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How long each single wait on the peer may last."""

    connect_s: WaitSeconds = 5.0
    association_s: WaitSeconds = 10.0
    write_s: WaitSeconds = 30.0
    response_s: WaitSeconds = 30.0
    release_s: WaitSeconds = 5.0


class NodeConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """One peer, by `ip_address` or by `host_name`; not configured while both are empty.

    Defaults: SP-1P statement 4.7.2, "SCP". A host name, as the KodakQC statement has it (8.1 to 8.4), is resolved to
    IPv4 at each connection.
    """

    ip_address: Address = ""
    host_name: HostName = ""
    port: Port = 0
    ae_title: OptionalAeTitle = ""
    timeouts: TimeoutsConfig = TimeoutsConfig()
    tls: NodeTlsConfig | None = None

    @property
    def host(self) -> str:
        return self.ip_address or self.host_name


class WorklistConfig(NodeConfig, frozen=True, forbid_unknown_fields=True):
    scheduled_station_ae_title: OptionalAeTitle = ""
    modality: ModalityKey = ""
    refresh_interval_s: Annotated[
        int, Meta(ge=0, le=86400, description="whole seconds from 0 (only on request) to 86400")
    ] = 300


class StoringConfig(NodeConfig, frozen=True, forbid_unknown_fields=True):
    """Of every node that instances are sent to."""

    retry_first_s: WaitSeconds = 2.0
    retry_max_s: RetrySeconds = 300.0
    max_bytes_per_s: BytesPerSecond = 0  # of a line that others use too


class StorageConfig(StoringConfig, frozen=True, forbid_unknown_fields=True):
    modality: Literal["SC", "OP", "XC", "OT", "CR"] = "SC"
    transfer_syntax: Literal[
        "implicit-vr-little-endian", "explicit-vr-little-endian", "jpeg-baseline", "rle-lossless", "jpeg-2000-lossless"
    ] = "implicit-vr-little-endian"
    automatic: bool = True  # send when an exam is finished; otherwise only when somebody says so


class SecondStorageConfig(StoringConfig, frozen=True, forbid_unknown_fields=True):
    """Another archive, for what is sent there too or instead: the same instances as at `storage`."""

    automatic: bool = False


class PatientQueryConfig(NodeConfig, frozen=True, forbid_unknown_fields=True):
    model: Literal["patient-root", "study-root"] = "patient-root"


class MppsConfig(NodeConfig, frozen=True, forbid_unknown_fields=True):
    """Modality Performed Procedure Step."""

    retry_first_s: WaitSeconds = 2.0
    retry_max_s: RetrySeconds = 300.0


class CommitmentConfig(NodeConfig, frozen=True, forbid_unknown_fields=True):
    """Storage commitment, asked of this node for what has been stored at `storage`."""

    report_timeout_s: Annotated[float, Meta(ge=1, le=604_800, description="seconds from 1 to 604800 (a week)")] = 3600.0
    same_association_wait_s: Annotated[float, Meta(ge=0, le=60, description="seconds from 0 to 60")] = 2.0
    retry_first_s: WaitSeconds = 2.0
    retry_max_s: RetrySeconds = 300.0


Density = Annotated[
    str,
    Meta(
        pattern=r"\A(?:|BLACK|WHITE|[0-9]|[1-9][0-9]|[1-3][0-9]{2}|400)\Z",
        description='"BLACK", "WHITE", a number from "0" to "400" (hundredths of OD), or ""',
    ),
]
NumericDensity = Annotated[
    str,
    Meta(
        pattern=r"\A(?:|[0-9]|[1-9][0-9]|[1-3][0-9]{2}|400)\Z",
        description='a number from "0" to "400" (hundredths of OD), or ""',
    ),
]


class PrintConfig(NodeConfig, frozen=True, forbid_unknown_fields=True):
    """Grayscale print: KodakQC statement clause 6. An empty value is not sent: the printer then has its own."""

    automatic: bool = False
    caption: bool = True
    copies: Annotated[int, Meta(ge=1, le=99, description="a number of copies from 1 to 99")] = 1
    priority: Literal["", "LOW", "MED", "HIGH"] = "MED"
    medium: Literal["", "PAPER", "CLEAR FILM", "BLUE FILM"] = ""
    destination: Literal["", "MAGAZINE", "PROCESSOR", "BIN_1", "BIN_2", "BIN_3", "BIN_4", "BIN_5"] = ""
    layout: Annotated[
        str, Meta(pattern=r"\A[1-9],[1-9]\Z", description='columns and rows of images on a film, such as "1,1"')
    ] = "1,1"
    orientation: Literal["", "PORTRAIT", "LANDSCAPE"] = "PORTRAIT"
    film_size: Literal["8INX10IN", "10INX12IN", "11INX14IN", "14INX14IN", "14INX17IN", "24CMX30CM"] = "8INX10IN"
    magnification: Literal["", "REPLICATE", "BILINEAR", "CUBIC", "NONE"] = ""
    smoothing: ShortText = ""
    border_density: Density = ""
    empty_image_density: Density = ""
    min_density: NumericDensity = ""
    max_density: NumericDensity = ""
    trim: Literal["", "YES", "NO"] = ""
    configuration_information: Annotated[
        str, Meta(max_length=1024, pattern=_TEXT, description="at most 1024 characters, no control characters")
    ] = ""
    polarity: Literal["", "NORMAL", "REVERSE"] = "NORMAL"
    requested_image_size_mm: Annotated[float, Meta(ge=0, le=1000, description="mm from 0 (not sent) to 1000")] = 0.0
    crop: Literal["", "CROP", "DECIMATE", "FAIL"] = ""
    retry_first_s: WaitSeconds = 2.0
    retry_max_s: RetrySeconds = 300.0


class SecondCommitmentConfig(CommitmentConfig, frozen=True, forbid_unknown_fields=True):
    """The same for what has been stored at `second_storage`."""


class RetentionConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """When exams that the archives have committed to are removed from this disk. Nothing else ever is."""

    keep_days: Annotated[int, Meta(ge=0, le=36_500, description="whole days from 0 (no limit) to 36500")] = 0
    min_free_percent: Annotated[float, Meta(ge=0, le=90, description="percent from 0 to 90")] = 10.0
    reserve_mb: Annotated[int, Meta(ge=1, le=1_000_000, description="whole MB from 1 to 1000000")] = 500
    without_commitment: Literal["keep", "remove-when-stored"] = "keep"
    unsent_captures: Literal["keep", "remove"] = "keep"


class CalibrationConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """When the calibration on record is no longer believed without a warning."""

    max_age_days: Annotated[int, Meta(ge=1, le=3650, description="whole days from 1 to 3650")] = 365
    max_drift_percent: Annotated[float, Meta(gt=0, le=50, description="percent above 0, at most 50")] = 1.0


class CaptureConfig(Struct, frozen=True, forbid_unknown_fields=True):
    # `services.eyepiece.REACH_UM` bounds what is moved without a hand; the finer passes go a little beyond the range.
    focus_range_um: Annotated[float, Meta(gt=0, le=1800, description="um above 0, at most 1800")] = 700.0
    burst: Annotated[int, Meta(ge=1, le=50, description="a number of frames from 1 to 50")] = 5


class ReflexConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How lamp, lens and camera are built: what `auto` needs to know (`endothelium.reflex_geometry`).

    Levels are shares of full scale at `camera.exposure_us`.
    """

    half_angle_deg: Annotated[float, Meta(ge=5, le=60, description="degrees from 5 to 60")] = 35.0
    slit_width_um: Annotated[float, Meta(gt=0, le=5000, description="um above 0, at most 5000")] = 360.0
    reflex_radius_um: Annotated[float, Meta(gt=0, le=5000, description="um above 0, at most 5000")] = 420.0
    halo_radius_um: Annotated[float, Meta(gt=0, le=20_000, description="um above 0, at most 20000")] = 1500.0
    halo_level: Annotated[float, Meta(gt=0, lt=1, description="a share between 0 and 1")] = 0.03
    black_level: Annotated[float, Meta(ge=0, lt=1, description="a share from 0, below 1")] = 0.02
    vignetting: Annotated[float, Meta(ge=0, lt=1, description="a share from 0, below 1")] = 0.15


class PathsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    state: AbsolutePath = "/var/lib/specular"
    runtime: AbsolutePath = "/run/specular"

    @property
    def console_socket(self) -> Path:
        return Path(self.runtime) / "console.sock"


class SyslogConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the audit trail is sent: syslog over TLS (PS3.15 A.6, RFC 5425). Not sent while `host_name` is empty."""

    host_name: HostName = ""
    port: Annotated[int, Meta(ge=1, le=65535, description="a port number from 1 to 65535")] = 6514
    timeouts: TimeoutsConfig = TimeoutsConfig()
    tls: NodeTlsConfig = NodeTlsConfig()
    retry_first_s: WaitSeconds = 2.0
    retry_max_s: RetrySeconds = 300.0


class AuditConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The audit trail that is kept in the state folder: PS3.15 A.5. When it is full its oldest part goes."""

    keep_mib: Annotated[int, Meta(ge=1, le=4096, description="whole MiB from 1 to 4096")] = 64
    syslog: SyslogConfig = SyslogConfig()


class LogConfig(Struct, frozen=True, forbid_unknown_fields=True):
    level: Literal["debug", "info", "warning", "error"] = "info"
    patient_data: bool = False
    keep_mib: Annotated[int, Meta(ge=1, le=1024, description="whole MiB from 1 to 1024")] = 8


# A table whose peer has the same service as another's; all others are named like the service.
SERVICE_OF_TABLE = {"second_storage": "storage", "second_commitment": "commitment"}


def service_of(table: str) -> str:
    """Of the peer in that table of the configuration."""
    return SERVICE_OF_TABLE.get(table, table)


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file. `stage` and `camera` are None where the instrument has none."""

    profile: ProfileName = "specular"
    instrument: InstrumentConfig = InstrumentConfig()
    network: NetworkConfig = NetworkConfig()
    worklist: WorklistConfig = WorklistConfig()
    storage: StorageConfig = StorageConfig()
    patient_query: PatientQueryConfig = PatientQueryConfig()
    mpps: MppsConfig = MppsConfig()
    commitment: CommitmentConfig = CommitmentConfig()
    print: PrintConfig = PrintConfig()
    second_storage: SecondStorageConfig = SecondStorageConfig()
    second_commitment: SecondCommitmentConfig = SecondCommitmentConfig()
    retention: RetentionConfig = RetentionConfig()
    stage: StageConfig | None = None
    camera: CameraConfig | None = None
    light: LightConfig = LightConfig()
    calibration: CalibrationConfig = CalibrationConfig()
    capture: CaptureConfig = CaptureConfig()
    reflex: ReflexConfig = ReflexConfig()
    paths: PathsConfig = PathsConfig()
    log: LogConfig = LogConfig()
    audit: AuditConfig = AuditConfig()

    def node_tables(self) -> dict[str, NodeConfig]:
        """Every table of a peer, by its name: `service_of` says of which service."""
        return {
            "worklist": self.worklist,
            "storage": self.storage,
            "patient_query": self.patient_query,
            "mpps": self.mpps,
            "commitment": self.commitment,
            "print": self.print,
            "second_storage": self.second_storage,
            "second_commitment": self.second_commitment,
        }

    def nodes(self) -> dict[str, NodeConfig]:
        """The configured peers by the name of their table."""
        return {name: node for name, node in self.node_tables().items() if node.host}
