"""Every rule of the configuration: what it refuses, with the key it names and what it says is allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from msgspec.structs import replace

from firmware_app.config import Config, ConfigError, SerialCameraConfig, StorageConfig, check_config, load_config
from firmware_app.config.declared_services import declared_findings
from firmware_app.dicom.uids import RLE_LOSSLESS
from firmware_app.profiles import load_profile

CAMERA_AND_STAGE = "[stage]\n[camera]\n"
NODE = 'ip_address = "10.0.0.9"\nport = 104\nae_title = "ARCHIVE"\n'
NAMED = 'host_name = "pacs.clinic.example"\nport = 104\nae_title = "ARCHIVE"\n'

# (what stands in the file, key path, part of the explanation)
REFUSED = [
    # unknown keys and tables, with the nearest known one
    ("[stage]\nbuad = 9600", "stage.buad", 'unknown key; did you mean "baud"?'),
    ("[storage.timeouts]\nconect_s = 5", "storage.timeouts.conect_s", 'did you mean "connect_s"?'),
    ("[worklst]", "worklst", 'unknown table; did you mean "worklist"?'),
    ("[xyzzy]", "xyzzy", "unknown table; known here: profile, instrument"),
    ("prophile = 'specular'", "prophile", 'did you mean "profile"?'),
    ('"a\\nb" = 1', '"a\\nb"', "unknown key"),
    # keys that another kind of device has
    (
        "[stage]\nkind = 'asi'\nsteps_per_mm = [1, 1, 1]",
        "stage.steps_per_mm",
        'is no key of the kind "asi", but of "grbl"',
    ),
    ("[stage]\num_per_step = [1, 1, 1]", "stage.um_per_step", 'is no key of the kind "grbl", but of "sangaboard"'),
    (
        "[stage]\nkind = 'sangaboard'\ntravel_mm = [1, 1, 1]",
        "stage.travel_mm",
        'is no key of the kind "sangaboard", but of "grbl" and "asi"',
    ),
    ("[camera]\nkind = 'folder'\nexposure_us = 9", "camera.exposure_us", 'of the kind "folder", but of "serial"'),
    ("[camera]\nkind = 'v4l2'\nframes = 9", "camera.frames", 'unknown key; did you mean "frames_per_s"?'),
    # the audit trail and the log
    ("[audit]\nkeep_mib = 0", "audit.keep_mib", "whole MiB from 1 to 4096"),
    ("[log]\nkeep_mib = 5000", "log.keep_mib", "whole MiB from 1 to 1024"),
    ("[audit.syslog]\nport = 0", "audit.syslog.port", "a port number from 1 to 65535"),
    ("[audit.syslog]\nhost_name = 'a b'", "audit.syslog.host_name", "a host name or an IPv4 address"),
    ("[audit.syslog]\nretry_first_s = 9\nretry_max_s = 3", "audit.syslog.retry_max_s", "3 is less than"),
    ("[audit.syslog.tls]\nverify = 'pinned'", "audit.syslog.tls.pinned_sha256", "is missing"),
    (
        "[stage]\nsimulated = true\n[audit.syslog]\nhost_name = 'audit.clinic.example'",
        "audit.syslog.host_name",
        'is not "localhost" or 127.x.y.z, and stage.simulated is true',
    ),
    # ports
    ("[stage]\nport = 'usb:2341:43'", "stage.port", 'a USB identity: "usb:2341:0043"'),
    ("[stage]\nport = 'ttyACM0'", "stage.port", "an absolute path"),
    # where the eyes are depends on how the kind of stage counts
    ("[stage]\nkind = 'sangaboard'\nright_eye_um = [-40001, 0, 0]", "stage.right_eye_um", "-40000 to 40000"),
    (
        "[stage]\nkind = 'sangaboard'\nbacklash_um = [9000, 0, 0]\nright_eye_um = [-32000, 0, 0]",
        "stage.right_eye_um",
        "x = -32000 um is outside the travel, -31000 to 40000",
    ),
    (
        "[stage]\nkind = 'asi'\nhome_ends = ['low', 'high', 'high']\nright_eye_um = [500, -20000, -20000]\n"
        "left_eye_um = [64000, -20000, -20000]",
        "stage.right_eye_um",
        "x = 500 um is outside the travel, 1000 to 100000",
    ),
    ("[camera]\nkind = 'folder'\nsimulated = false", "camera.simulated", "a folder of images is no camera"),
    (
        "[camera]\nkind = 'folder'\n[storage]\nip_address = '10.0.0.1'\nport = 104\nae_title = 'PACS'",
        "storage.ip_address",
        "camera.simulated is true: a simulated instrument never sends to a real node",
    ),
    # lamps
    ("[light.flash]\noutput = 'mist'", "light", "is given, and no stage is"),
    ("[stage]\n[light.flash]\nlevel = 0.5", "light.flash.output", "is missing"),
    (
        "[stage]\n[light.flash]\noutput = 'mist'\n[light.illumination]\noutput = 'mist'",
        "light.flash.output",
        '"mist" is light.illumination.output already',
    ),
    ("[stage]\n[light.flash]\noutput = 'pwm0'", "light.flash.output", '"pwm0" is no output of a Grbl board'),
    ("[stage]\n[light.fixation]\noutput = 'flood'", "light.fixation.output", '"flood" is only on or off'),
    ("[stage]\n[light.fixation]\nlevels = [0.1, 0.2]", "light.fixation.levels", "nine levels above 0"),
    (
        "[stage]\n[light.fixation]\noutput = 'spindle'\nlevels = [0.1, 0.1, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]",
        "light.fixation.levels",
        "has a level twice",
    ),
    ("[light]\neccentricity_deg = 50", "light.eccentricity_deg", "at most 45"),
    ("[light.lamp]\noutput = 'x'", "light.lamp", "unknown table"),
    # wrong types
    ("[instrument]\nport = '64001'", "instrument.port", '"64001" is not allowed; allowed: a port number'),
    ("[instrument]\nport = 64001.0", "instrument.port", "64001.0 is not allowed"),
    ("[instrument]\nport = true", "instrument.port", "true is not allowed"),
    ("[instrument]\nae_title = 5", "instrument.ae_title", "5 is not allowed; allowed: 1 to 16 printable ASCII"),
    ("[stage]\nsimulated = 1", "stage.simulated", "1 is not allowed; allowed: true or false"),
    ("stage = 'grbl'", "stage", '"grbl" is not allowed; allowed: a table, [stage]'),
    ("worklist = []", "worklist", "allowed: a table, [worklist]"),
    ("[network]\ninterface = 2024-01-01", "network.interface", "is not allowed"),
    ("[network.interface]", "network.interface", "a table is not allowed"),
    # ports
    ("[instrument]\nport = -1", "instrument.port", "from 0 to 65535"),
    ("[instrument]\nport = 65536", "instrument.port", "from 0 to 65535"),
    ("[instrument]\nport = 99999999999999999999999999", "instrument.port", "from 0 to 65535"),
    ("[instrument]\nport = 0x" + "f" * 4000, "instrument.port", "digits is not allowed; allowed: a port number"),
    ("[stage]\ntravel_mm = [0x" + "f" * 4000 + "]", "stage.travel_mm", "digits is not allowed; allowed: three numbers"),
    # AE titles
    ("[instrument]\nae_title = ''", "instrument.ae_title", "1 to 16 printable"),
    ("[instrument]\nae_title = '   '", "instrument.ae_title", "not only spaces"),
    ("[instrument]\nae_title = '12345678901234567'", "instrument.ae_title", "1 to 16"),
    ("[instrument]\nae_title = 'A\\B'", "instrument.ae_title", "no backslash"),
    ('[instrument]\nae_title = "AB\\n"', "instrument.ae_title", "printable"),
    ("[instrument]\nae_title = '眼科'", "instrument.ae_title", "ASCII"),
    ("[worklist]\nscheduled_station_ae_title = 'A\\B'", "worklist.scheduled_station_ae_title", "no backslash"),
    # who may call our port
    ("[instrument]\naccepted_ae_titles = 'PACS'", "instrument.accepted_ae_titles", "a list of AE titles"),
    ("[instrument]\naccepted_ae_titles = ['PACS', '']", "instrument.accepted_ae_titles", "1 to 16 printable"),
    ("[instrument]\naccepted_ae_titles = ['A\\B']", "instrument.accepted_ae_titles", "no backslash"),
    ("[instrument]\naccepted_addresses = ['pacs']", "instrument.accepted_addresses", "a list of IPv4 addresses"),
    ("[instrument]\naccepted_addresses = ['10.0.0.1', '']", "instrument.accepted_addresses", "IPv4 addresses"),
    ("[instrument]\naccepted_addresses = ['10.0.0.0/8']", "instrument.accepted_addresses", "IPv4 addresses"),
    ("[instrument]\naccepted_addresses = ['0.0.0.0']", "instrument.accepted_addresses", "address of one host"),
    # addresses
    ("[storage]\nip_address = '10.0.0'", "storage.ip_address", "an IPv4 address"),
    ("[storage]\nip_address = '10.0.0.256'", "storage.ip_address", "an IPv4 address"),
    ("[storage]\nip_address = '010.0.0.1'", "storage.ip_address", "an IPv4 address"),
    ("[storage]\nip_address = '::1'", "storage.ip_address", "an IPv4 address"),
    ("[storage]\nip_address = 'pacs'", "storage.ip_address", "an IPv4 address"),
    ('[storage]\nip_address = "10.0.0.1\\n"', "storage.ip_address", "an IPv4 address"),
    (f"[storage]\n{NODE}".replace("10.0.0.9", "0.0.0.0"), "storage.ip_address", "not the address of one host"),
    (f"[storage]\n{NODE}".replace("10.0.0.9", "224.0.0.1"), "storage.ip_address", "not the address of one host"),
    (f"[storage]\n{NODE}".replace("10.0.0.9", "255.255.255.255"), "storage.ip_address", "not the address of one host"),
    ("[instrument]\nip_address = '0.0.0.0'", "instrument.ip_address", "not the address of one host"),
    # half a node
    ("[storage]\nport = 104", "storage.ip_address", "is missing, and storage.port is given"),
    ("[storage]\nport = 104", "storage.ae_title", "is missing"),
    ("[worklist]\nae_title = 'RIS'", "worklist.port", "is missing, and worklist.ae_title is given"),
    (
        "[patient_query]\nip_address = '10.0.0.1'\nae_title = 'PIX'",
        "patient_query.port",
        "is missing, and patient_query.ip_address and patient_query.ae_title are given",
    ),
    # timeouts and intervals
    ("[storage.timeouts]\nwrite_s = 0", "storage.timeouts.write_s", "seconds above 0, at most 3600"),
    ("[storage.timeouts]\nwrite_s = nan", "storage.timeouts.write_s", "seconds above 0"),
    ("[storage.timeouts]\nwrite_s = inf", "storage.timeouts.write_s", "seconds above 0"),
    ("[worklist]\nrefresh_interval_s = -1", "worklist.refresh_interval_s", "whole seconds from 0"),
    ("[worklist]\nrefresh_interval_s = 0.5", "worklist.refresh_interval_s", "whole seconds"),
    ("[storage]\nretry_first_s = 60\nretry_max_s = 30", "storage.retry_max_s", "30 is less than storage.retry_first_s"),
    # closed sets
    ("[storage]\nmodality = 'CT'", "storage.modality", '"CT" is not allowed; allowed: one of "SC", "OP", "XC", "OT"'),
    ("[storage]\ntransfer_syntax = 'jpeg'", "storage.transfer_syntax", '"jpeg-baseline"'),
    ("[worklist]\nmodality = 'op'", "worklist.modality", "A-Z"),
    ("[stage]\nkind = 'marlin'", "stage.kind", 'one of "grbl", "sangaboard", "asi"'),
    ("[camera]\nkind = 'csi'", "camera.kind", 'one of "serial", "v4l2", "folder"'),
    ("[camera]\nbits_stored = 10", "camera.bits_stored", "one of 8, 12"),
    ("[log]\nlevel = 'loud'", "log.level", '"debug"'),
    ("profile = 'nowhere'", "profile", 'there is no profile "nowhere"; one of '),
    ("profile = '../specular'", "profile", "the name of a profile"),
    # texts
    ("[instrument]\ninstitution_name = 'A\\B'", "instrument.institution_name", "no backslash"),
    (f"[instrument]\noperator = '{'x' * 65}'", "instrument.operator", "at most 64 characters"),
    (f"[instrument]\nstation_name = '{'x' * 17}'", "instrument.station_name", "at most 16 characters"),
    ("[network]\ninterface = ''", "network.interface", "an interface name"),
    ("[network]\ninterface = 'abcdefghijklmnop'", "network.interface", "an interface name"),
    ("[network]\ninterface = 'e\"accept;#'", "network.interface", "an interface name"),
    ("[network]\ninterface = 'e*'", "network.interface", "an interface name"),
    ("[network]\ninterface = '%H'", "network.interface", "an interface name"),
    (
        "[instrument]\naccepted_addresses = ['192.0.2.\u0661']",
        "instrument.accepted_addresses",
        "a list of IPv4 addresses",
    ),
    # hardware
    ("[stage]\nport = 'ttyACM0'", "stage.port", "an absolute path"),
    ("[stage]\nbaud = 50", "stage.baud", "1200 to 4000000"),
    ("[stage]\nsteps_per_mm = [800, 800]", "stage.steps_per_mm", "three numbers above 0"),
    ("[stage]\ntravel_mm = [100, 40, 0]", "stage.travel_mm", "three numbers above 0"),
    ("[stage]\ntravel_mm = [100, 40, nan]", "stage.travel_mm", "three numbers above 0"),
    ("[stage]\nright_eye_um = [nan, -2e4, -2e4]", "stage.right_eye_um", "three numbers, um"),
    ("[stage]\ntolerance_um = 0", "stage.tolerance_um", "um above 0"),
    ("[stage]\nright_eye_um = [-82000, -40001, -20000]", "stage.right_eye_um", "y = -40001 um is outside the travel"),
    ("[stage]\nleft_eye_um = [-18000, -20000, 1]", "stage.left_eye_um", "z = 1 um is outside the travel, -40000 to 0"),
    ("[stage]\ntravel_mm = [80, 40, 40]", "stage.right_eye_um", "outside the travel, -80000 to 0"),
    ("[stage]\nleft_eye_um = [-90000, -2e4, -2e4]", "stage.left_eye_um", "not above the right eye's x = -82000"),
    ("[stage]\nleft_eye_um = [-82000, -2e4, -2e4]", "stage.left_eye_um", "not above the right eye's x"),
    ("[stage]\nright_eye_um = [-82000, -2e4, -600]", "capture.focus_range_um", "stage.right_eye_um has 600 um"),
    ("[stage]\nleft_eye_um = [-18000, -2e4, -35000]", "stage.retract_um", "stage.left_eye_um has 5000 um behind it"),
    ("[camera]\nexposure_us = 0", "camera.exposure_us", "from 1 to"),
    ("[camera]\num_per_px = -0.1", "camera.um_per_px", "0 (not calibrated)"),
    ("[stage]\nport='/dev/x'\n[camera]\nport='/dev/x'", "camera.port", "/dev/x is stage.port already"),
    ("[capture]\nburst = 0", "capture.burst", "from 1 to 50"),
    ("[paths]\nstate = 'data'", "paths.state", "an absolute path"),
    (f"[paths]\nruntime = '/{'r' * 100}'", "paths.runtime", "is too long"),
    # a simulated instrument never sends to a clinical node
    (f"[stage]\nsimulated = true\n[storage]\n{NODE}", "storage.ip_address", "10.0.0.9 is not a loopback address"),
    (f"[camera]\nsimulated = true\n[worklist]\n{NODE}", "worklist.ip_address", "camera.simulated is true"),
    (f"[camera]\nsimulated = true\n[patient_query]\n{NODE}", "patient_query.ip_address", "simulated"),
    (
        f"[network]\ntest_peers = ['10.0.0.8']\n[stage]\nsimulated = true\n[storage]\n{NODE}",
        "storage.ip_address",
        "a test hospital's is in network.test_peers",
    ),
    (f"[camera]\nsimulated = true\n[mpps]\n{NAMED}", "mpps.host_name", "pacs.clinic.example is not a loopback address"),
    (f"[camera]\nsimulated = true\n[print]\n{NODE}", "print.ip_address", '(127.x.y.z) or "localhost"'),
    # an address or a name
    (f"[storage]\n{NODE}host_name = 'pacs'", "storage.host_name", "storage.ip_address is given too: a node has one"),
    ("[mpps]\nhost_name = 'ris'\nae_title = 'RIS'", "mpps.port", "missing, and mpps.host_name and mpps.ae_title are"),
    ("[mpps]\nport = 104\nae_title = 'RIS'", "mpps.ip_address", "(mpps.host_name would do as well)"),
    ("[print]\nhost_name = '10.0.0.9'", "print.host_name", "10.0.0.9 is no host name; an address is print.ip_address"),
    ("[print]\nhost_name = '10.0.0.256'", "print.host_name", "is no host name"),
    ("[print]\nhost_name = 'a..b'", "print.host_name", 'a host name or an IPv4 address such as "pacs.clinic.example"'),
    ("[print]\nhost_name = 'a b'", "print.host_name", "a host name"),
    (
        f"[instrument]\nip_address = '10.0.0.9'\nport = 104\n[storage]\n{NODE}",
        "storage.port",
        "10.0.0.9:104 is our own port (instrument.ip_address and instrument.port)",
    ),
    # queues
    ("[mpps]\nretry_first_s = 60\nretry_max_s = 30", "mpps.retry_max_s", "30 is less than mpps.retry_first_s = 60"),
    ("[commitment]\nretry_first_s = 301", "commitment.retry_max_s", "300 is less than commitment.retry_first_s = 301"),
    ("[print]\nretry_max_s = 1", "print.retry_max_s", "1 is less than print.retry_first_s = 2"),
    ("[storage]\nmax_bytes_per_s = 999", "storage.max_bytes_per_s", "999 is less than 1000: no image would be through"),
    ("[storage]\nmax_bytes_per_s = -1", "storage.max_bytes_per_s", "bytes per second from 1000 to 1000000000, or 0"),
    ("[mpps]\nretry_max_s = 86401", "mpps.retry_max_s", "at most 86400"),
    # commitment
    (f"[commitment]\n{NODE}", "commitment.ip_address", "no storage node is: what is stored there would be committed"),
    (
        f"[instrument]\nport = 0\n[storage]\n{NODE}[commitment]\n{NAMED}same_association_wait_s = 0",
        "commitment.host_name",
        "instrument.port and commitment.same_association_wait_s are 0: no report could reach us",
    ),
    ("[commitment]\nreport_timeout_s = 0", "commitment.report_timeout_s", "seconds from 1 to 604800"),
    # print
    ("[print]\nsmoothing = 'SHARP'", "print.smoothing", 'print.magnification is not "CUBIC"'),
    ("[print]\nsmoothing = 'SHARP'\nmagnification = 'NONE'", "print.smoothing", 'print.magnification is not "CUBIC"'),
    (
        "[print]\nmin_density = '300'\nmax_density = '20'",
        "print.min_density",
        "300 is more than print.max_density = 20",
    ),
    ("[print]\nborder_density = '401'", "print.border_density", 'a number from "0" to "400"'),
    ("[print]\nmin_density = 'BLACK'", "print.min_density", 'a number from "0" to "400"'),
    ("[print]\nlayout = '0,1'", "print.layout", "columns and rows"),
    ("[print]\nfilm_size = 'A4'", "print.film_size", '"8INX10IN"'),
    ("[print]\ndestination = 'BIN_6'", "print.destination", '"BIN_5"'),
    ("[print]\ncopies = 0", "print.copies", "from 1 to 99"),
    # what the profile does not declare
    ("profile = 'sp-1p'\n[mpps]", "mpps", "the profile sp-1p declares no service mpps"),
    ("profile = 'sp-1p'\n[print]\ncopies = 2", "print", "the profile sp-1p declares no service print"),
    (f"profile = 'sp-1p'\n[storage]\n{NODE}[commitment]\n{NODE}", "commitment", "sp-1p declares no service commitment"),
    ("profile = 'kodakqc'\n[patient_query]", "patient_query", "the profile kodakqc declares no service patient query"),
    (
        "profile = 'sp-1p'\n[storage]\nmodality = 'CR'",
        "storage.modality",
        '"CR" is not what the profile sp-1p declares; one of "SC", "OP", "XC", "OT"',
    ),
    ("profile = 'kodakqc'\n[storage]\nmodality = 'SC'", "storage.modality", 'one of "CR"'),
    (
        "profile = 'sp-1p'\n[storage]\ntransfer_syntax = 'rle-lossless'",
        "storage.transfer_syntax",
        'sp-1p declares for Secondary Capture Image; one of "implicit-vr-little-endian", "explicit-vr-little-endian", '
        '"jpeg-baseline"',
    ),
    (
        "profile = 'kodakqc'\n[storage]\ntransfer_syntax = 'explicit-vr-little-endian'",
        "storage.transfer_syntax",
        'kodakqc declares for Computed Radiography Image; one of "implicit-vr-little-endian"',
    ),
    (
        "[storage]\nmodality = 'CR'\ntransfer_syntax = 'jpeg-baseline'",
        "storage.transfer_syntax",
        "specular declares for Computed Radiography Image",
    ),
    (
        "profile = 'sp-1p'\n[patient_query]\nmodel = 'study-root'",
        "patient_query.model",
        '"study-root" is not what the profile sp-1p declares; one of "patient-root"',
    ),
    ("profile = 'kodakqc'\n[print]\npriority = 'HIGH'", "print.priority", 'profile kodakqc declares; one of "MED"'),
    ("profile = 'kodakqc'\n[print]\ncopies = 2", "print.copies", '"2" is not what the profile kodakqc declares'),
    ("profile = 'kodakqc'\n[print]\npolarity = 'REVERSE'", "print.polarity", 'one of "NORMAL"'),
    ("profile = 'kodakqc'\n[instrument.tls]", "instrument.tls", "the profile kodakqc declares no TLS"),
    (f"profile = 'sp-1p'\n[storage]\n{NODE}[storage.tls]", "storage.tls", "the profile sp-1p declares no TLS"),
]

ACCEPTED = [
    "",
    CAMERA_AND_STAGE,
    "[worklist]\nrefresh_interval_s = 0",
    "[instrument]\nae_title = 'A B.C@D:1'\nport = 0",
    "[instrument]\ninstitution_name = '眼科 病院'",
    f"[storage]\n{NODE}retry_first_s = 30\nretry_max_s = 30\n[storage.timeouts]\nconnect_s = 5",
    f"[stage]\nsimulated = true\n[storage]\n{NODE}".replace("10.0.0.9", "127.0.0.5"),
    f"[network]\ntest_peers = ['10.0.0.9']\n[stage]\nsimulated = true\n[storage]\n{NODE}",
    "[stage]\nsteps_per_mm = [250, 250, 1000]\nsettle_s = 0",
    "[stage]\nright_eye_um = [-100000, -40000, -39300]\nretract_um = 700",
    "[camera]\nbits_stored = 12\num_per_px = 0.85",
    "".join(f"[{name}]\n{NAMED}" for name in ("worklist", "storage", "patient_query", "mpps", "commitment", "print")),
    f"[stage]\nsimulated = true\n[storage]\n{NAMED}".replace("pacs.clinic.example", "LocalHost"),
    "[storage]\nhost_name = 'pacs2'\nport = 104\nae_title = 'PACS'",
    f"[instrument]\nport = 0\n[storage]\n{NODE}[commitment]\n{NODE}",
    f"[instrument]\nip_address = '10.0.0.9'\nport = 105\n[storage]\n{NODE}",
    "[print]\nmagnification = 'CUBIC'\nsmoothing = 'SHARP'\nmin_density = '20'\nmax_density = '20'",
    f"[storage]\n{NODE}[commitment]\n{NODE}same_association_wait_s = 0",
    "[print]\nmin_density = '90'\nmax_density = '200'",
    "[print]\nborder_density = 'WHITE'\nempty_image_density = '400'\nrequested_image_size_mm = 120.5",
    # every object in every syntax that it has
    "[storage]\nmodality = 'CR'\ntransfer_syntax = 'rle-lossless'",
    "[storage]\nmodality = 'OP'\ntransfer_syntax = 'jpeg-2000-lossless'\n[camera]\nbits_stored = 12",
    "[storage]\nmodality = 'OP'\ntransfer_syntax = 'jpeg-baseline'\n[camera]\nbits_stored = 12",
    "[patient_query]\nmodel = 'study-root'",
    # other profiles
    f"profile = 'sp-1p'\n[worklist]\n{NODE}[storage]\n{NODE}[patient_query]\n{NODE}",
    f"profile = 'kodakqc'\n[worklist]\n{NAMED}[storage]\n{NAMED}[commitment]\n{NAMED}[print]\n{NAMED}",
    "profile = 'kodakqc'\n[instrument]\nport = 11104\nae_title = 'CR1'",
    "profile = 'kodakqc'\n[camera]\nbits_stored = 8",
]


def write(folder: Path, text: str) -> Path:
    path = folder / "specular.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(("text", "key_path", "explanation"), REFUSED)
def test_a_bad_value_names_file_key_and_what_is_allowed(
    tmp_path: Path, text: str, key_path: str, explanation: str
) -> None:
    path = write(tmp_path, text)
    found = [problem for problem in check_config(path) if problem.startswith(f"{path}: {key_path}: ")]
    assert len(found) == 1, check_config(path)
    assert explanation in found[0]
    assert "\n" not in found[0]
    with pytest.raises(ConfigError, match=str(path)):
        load_config(path)


@pytest.mark.parametrize("text", ACCEPTED)
def test_a_good_file_has_no_problems(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text)
    assert check_config(path) == []
    assert isinstance(load_config(path), Config)


@pytest.mark.parametrize(
    ("withdrawn", "bits_stored", "complaints"),
    [
        ("1.2.840.10008.5.1.4.1.1.77.1.5.1", 8, ["Ophthalmic Photography 8 Bit Image"]),
        ("1.2.840.10008.5.1.4.1.1.77.1.5.1", 12, []),
        ("1.2.840.10008.5.1.4.1.1.77.1.5.2", 8, []),
        ("1.2.840.10008.5.1.4.1.1.77.1.5.2", 12, ["Ophthalmic Photography 16 Bit Image"]),
        ("1.2.840.10008.5.1.4.1.1.7", 12, ["Secondary Capture Image"]),  # the report
        ("1.2.840.10008.5.1.4.1.1.1", 12, []),
    ],
)
def test_a_transfer_syntax_is_judged_for_what_frames_and_reports_become(
    withdrawn: str, bits_stored: Literal[8, 12], complaints: list[str]
) -> None:
    profile = load_profile()
    storage = profile.application_entity["storage"]
    contexts = tuple(
        context
        for context in storage.contexts
        if (context.abstract_syntax, context.transfer_syntaxes) != (withdrawn, (RLE_LOSSLESS,))
    )
    entities = {**profile.application_entity, "storage": replace(storage, contexts=contexts)}
    config = Config(
        storage=StorageConfig(modality="OP", transfer_syntax="rle-lossless"),
        camera=SerialCameraConfig(bits_stored=bits_stored),
    )
    found = list(declared_findings(config, replace(profile, application_entity=entities), ()))
    assert [finding.key for finding in found] == ["storage.transfer_syntax"] * len(complaints)
    assert [finding.text.partition(" for ")[2].partition(";")[0] for finding in found] == complaints


def test_only_the_bad_key_is_named(tmp_path: Path) -> None:
    """One mistake is one problem: rules about the same key do not judge the default that stands in for it."""
    for text in (
        "[stage]\ntravel_mm = 'x'\nright_eye_um = [-95000, -2e4, -2e4]",
        "[storage]\nretry_first_s = 'x'\nretry_max_s = 1",
        "capture = 700\n[stage]\nright_eye_um = [-82000, -2e4, -600]",
        "profile = 'sp-1p'\n[storage]\nmodality = 'CT'",
        "profile = 'sp-1p'\n[storage]\nmodality = 'CR'\ntransfer_syntax = 'rle-lossless'",
        "profile = 'nowhere'\n[storage]\nmodality = 'CR'",
        "profile = 5\n[storage]\nmodality = 'CR'",
    ):
        assert len(check_config(write(tmp_path, text))) == 1


def test_all_problems_are_found_at_once_in_file_order(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "profile = 'nowhere'\n[instrument]\nportt = 1\n[stage]\nbaud = 'fast'\nsimulated = true\n"
        "[storage]\nmodality = 'CT'\nip_address = '10.0.0.1'\nport = 104\nae_title = 'A'\n"
        "[storage.timeouts]\nwrite_s = 0\n",
    )
    keys = [problem.removeprefix(f"{path}: ").split(": ")[0] for problem in check_config(path)]
    assert keys == [
        "instrument.portt",
        "stage.baud",
        "storage.modality",
        "storage.timeouts.write_s",
        "storage.ip_address",
        "profile",
    ]
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert "instrument.portt" in str(caught.value)
    assert "5 more: specular check-config" in str(caught.value)
    assert caught.value.problems == check_config(path)


@pytest.mark.parametrize(
    ("content", "explanation"),
    [
        (b"[stage\n", "line 1"),
        (b"a = 1\n\nb = = 2\n", "line 3, column 5: not TOML"),
        (b"port = 1\nport = 2\n", "line 2"),
        (b"a = 1\nname = '\xff'\n", "line 2: not UTF-8"),
        (b"\xef\xbb\xbfa = 1", "not TOML"),
        (b"a = " + b"9" * 5000, "holds a number of more than 4300 digits"),
        (b"#" * (1 << 20) + b"\n", "longer than"),
        (b"a = " + b"[" * 100_000, "not"),
        (b"\x00" * 10, "not TOML"),
    ],
)
def test_a_file_that_is_no_configuration(tmp_path: Path, content: bytes, explanation: str) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    (problem,) = check_config(path)
    assert problem.startswith(f"{path}: ")
    assert explanation in problem
    assert "\n" not in problem


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert check_config(tmp_path / "absent.toml") == [
        f"{tmp_path}/absent.toml: cannot be read: No such file or directory"
    ]
    assert check_config(tmp_path) == [f"{tmp_path}: cannot be read: Is a directory"]


def test_any_toml_value_gives_a_problem_not_an_exception(tmp_path: Path) -> None:
    values = ["1", "-1", "1.5", "nan", "inf", "true", "'x'", "[]", "[1,2,3]", "{}", "{a=1}", "1979-05-27", "07:32:00"]
    values += ["1979-05-27T07:32:00Z", "1" * 400, "[[1],[2]]", "'" + "x" * 70_000 + "'"]
    keys = {
        "": ("profile", "stage", "log"),
        "[stage]": ("kind", "port", "baud", "travel_mm", "left_eye_um", "tolerance_um", "simulated"),
        "[camera]": ("bits_stored", "um_per_px"),
        "[worklist]": ("ip_address", "port", "timeouts", "refresh_interval_s"),
    }
    for table, names in keys.items():
        for name in names:
            for value in values:
                for problem in check_config(write(tmp_path, f"{table}\n{name} = {value}\n")):
                    assert len(problem) < 400
