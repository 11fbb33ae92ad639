"""What the printed statements say, typed from them: the figures that the profiles are held against.

A row of a module table is its depth in `>`, the tag and the type as printed, and the assignment: `=X` the fixed value
X, `-` "Not set", `0` "Length=0", `mwl` a value that may come from the worklist, `.` any other value.
"""

from __future__ import annotations

from dataclasses import dataclass

IMPLICIT, EXPLICIT, JPEG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.50"


@dataclass(frozen=True, slots=True)
class PrintedEntity:
    implementation_class_uid: str
    implementation_version_name: str
    proposed: frozenset[tuple[str, str, str]]  # abstract syntax, transfer syntax, our role


@dataclass(frozen=True, slots=True)
class PrintedRow:
    depth: int
    tag: str
    type: str
    assignment: str


def entity(class_uid: str, version_name: str, *proposed: tuple[str, str, str]) -> PrintedEntity:
    return PrintedEntity(class_uid, version_name, frozenset(proposed))


def rows_of(table: str) -> list[PrintedRow]:
    found = []
    for line in table.strip().splitlines():
        depth_and_tag, kind, assignment = line.split(None, 2)
        tag = depth_and_tag.lstrip(">")
        found.append(PrintedRow(len(depth_and_tag) - len(tag), tag, kind, assignment))
    return found


# ------------------------------------------------------------------------------------------------ SP-1P

SP_1P_ENTITIES = {
    "verification": entity(
        "1.2.392.200106.1641.1.5",
        "TOPCON_SP1P_360",
        ("1.2.840.10008.1.1", IMPLICIT, "SCU"),
        ("1.2.840.10008.1.1", EXPLICIT, "SCU"),
    ),
    "worklist": entity(
        "1.2.392.200106.1641.1.1",
        "TOPCON_SP1P_360",
        ("1.2.840.10008.5.1.4.31", IMPLICIT, "SCU"),
        ("1.2.840.10008.5.1.4.31", EXPLICIT, "SCU"),
    ),
    "patient_query": entity(
        "1.2.392.200106.1641.1.6",
        "TOPCON_SP1P_360",
        ("1.2.840.10008.5.1.4.1.2.2.1", IMPLICIT, "SCU"),
        ("1.2.840.10008.5.1.4.1.2.2.1", EXPLICIT, "SCU"),
    ),
    "storage": entity(
        "1.2.392.200106.1641.1.2",
        "TOPCON_SP1P_360",
        ("1.2.840.10008.5.1.4.1.1.7", IMPLICIT, "SCU"),
        ("1.2.840.10008.5.1.4.1.1.7", EXPLICIT, "SCU"),
        ("1.2.840.10008.5.1.4.1.1.7", JPEG, "SCU"),
    ),
}
# 4.2.2.2.5.3: depth and tag, matching, display.
SP_1P_WORKLIST_KEYS = [
    (0, "0040,0100", "", False),
    (1, "0040,0001", "S+", False),
    (1, "0040,0002", "S", True),
    (1, "0040,0003", "", False),
    (1, "0008,0060", "S+", False),
    (1, "0040,0006", "", False),
    (1, "0040,0007", "", False),
    (1, "0040,0011", "", False),
    (1, "0040,0008", "", False),
    (2, "0008,0100", "", False),
    (2, "0008,0102", "", False),
    (2, "0008,0104", "", False),
    (1, "0040,0009", "", False),
    (0, "0040,1001", "", False),
    (0, "0032,1060", "", False),  # printed one deeper, as the next one, under a row that is no sequence
    (0, "0032,1064", "", False),
    (1, "0008,0100", "", False),
    (1, "0008,0102", "", False),
    (1, "0008,0104", "", False),
    (0, "0020,000D", "", False),
    (0, "0008,1110", "", False),
    (0, "0008,0050", "", True),
    (0, "0032,1032", "", False),
    (0, "0008,0090", "", False),
    (0, "0038,0300", "", False),
    (0, "0010,0010", "*", True),
    (0, "0010,0020", "*", True),
    (0, "0010,0030", "", False),
    (0, "0010,0040", "", False),
    (0, "0010,1030", "", False),
]
# 4.2.3.2.5.3
SP_1P_PATIENT_KEYS = [
    (0, "0010,0010", "*", True),
    (0, "0010,0020", "*", True),
    (0, "0010,0030", "", False),
    (0, "0010,0040", "", False),
    (0, "0010,2160", "", False),
]
# 8.1.1
SP_1P_IOD = [
    ("Patient", "patient", "M"),
    ("Study", "general_study", "M"),
    ("Series", "general_series", "M"),
    ("Equipment", "general_equipment", "U"),
    ("Equipment", "sc_equipment", "M"),
    ("Image", "general_image", "M"),
    ("Image", "image_pixel", "M"),
    ("Image", "sc_image", "M"),
    ("Image", "sop_common", "M"),
]
# 8.2.1 to 8.2.9, in their order
SP_1P_MODULES = {
    "patient": """
        0010,0010 2 mwl
        0010,0020 2 mwl
        0010,0030 2 mwl
        0010,0040 2 mwl
    """,
    "general_study": """
        0020,000D 1 mwl
        0008,0020 2 .
        0008,0030 2 .
        0008,0090 2 mwl
        0020,0010 2 mwl
        0008,0050 2 mwl
        0008,1030 3 .
        0008,1110 3 .
        >0008,1150 1 .
        >0008,1155 1 .
        0008,1032 3 .
        >0008,0100 2 .
        >0008,0102 2 .
        >0008,0104 2 .
    """,
    "general_series": """
        0008,0060 1 .
        0020,000E 1 .
        0020,0011 2 .
        0020,0060 2C .
        0008,103E 3 =color
        0008,0021 3 .
        0008,0031 3 .
        0008,1111 3 .
        >0008,1150 1 .
        >0008,1155 1 .
        0040,0275 3 .
        >0040,1001 1C mwl
        >0040,0009 1C mwl
        >0040,0007 3 mwl
        >0040,0008 3 mwl
        >>0008,0100 2 mwl
        >>0008,0102 2 mwl
        >>0008,0104 2 mwl
    """,
    "general_equipment": """
        0008,0070 2 .
        0008,1090 3 .
        0008,1090 3 .
        0018,1020 3 .
    """,
    "general_image": """
        0020,0013 2 .
        0020,0020 2C =L\\F
        0008,0023 2C .
        0008,0033 2C .
        0008,0008 3 =ORIGINAL\\PRIMARY
        0020,0012 3 .
        0008,0022 3 .
        0008,0032 3 .
        0008,002A 3 .
        0028,0301 3 =NO
        0028,2110 3 .
    """,
    "image_pixel": """
        0028,0002 1 .
        0028,0004 1 .
        0028,0010 1 .
        0028,0011 1 .
        0028,0100 1 .
        0028,0101 1 .
        0028,0102 1 .
        0028,0103 1 .
        7FE0,0010 1C .
        0028,0006 1C .
    """,
    "sop_common": """
        0008,0016 1 .
        0008,0018 1 .
        0008,0005 1C .
        0008,0012 3 .
        0008,0013 3 .
    """,
    "sc_equipment": """
        0008,0064 1 =DF
    """,
    "sc_image": """
        0028,0030 1C .
    """,
}
# 4.7.2; None and 0 there are the empty values here.
SP_1P_PARAMETERS = {
    ("instrument", "ip_address"): "",
    ("instrument", "port"): 64001,
    ("instrument", "ae_title"): "TP_AM_SP1P_001",
    ("worklist", "ip_address"): "",
    ("worklist", "port"): 0,
    ("worklist", "ae_title"): "",
    ("storage", "ip_address"): "",
    ("storage", "port"): 0,
    ("storage", "ae_title"): "",
    ("storage", "modality"): "SC",
    ("storage", "transfer_syntax"): "implicit-vr-little-endian",
    ("patient_query", "ip_address"): "",
    ("patient_query", "port"): 0,
    ("patient_query", "ae_title"): "",
}

# ------------------------------------------------------------------------------------------------ KodakQC

KODAKQC_ENTITIES = {
    "storage": entity("1.2.3", "ver 1", ("1.2.840.10008.5.1.4.1.1.1", IMPLICIT, "SCU")),
    "commitment": entity("1.2.3", "ver 1", ("1.2.840.10008.1.20.1", IMPLICIT, "SCU")),
    # 4.3 names the services and roles on our port; for the syntax the table of 4.2.1.2 is the only one.
    "listener": entity(
        "1.2.3", "ver 1", ("1.2.840.10008.1.20.1", IMPLICIT, "SCU"), ("1.2.840.10008.1.1", IMPLICIT, "SCP")
    ),
    "worklist": entity("1.2.840.113564.3.2", "", ("1.2.840.10008.5.1.4.31", IMPLICIT, "SCU")),
    "print": entity("1.2.3", "ver 1", ("1.2.840.10008.5.1.1.9", IMPLICIT, "SCU")),
}
# 6.2.1.3 to 6.2.1.5: depth and tag, usage ("" where the column is blank), values, numbers.
KODAKQC_FILM_SESSION = [
    (0, "2000,0010", "U", ["1"], None),
    (0, "2000,0020", "U", ["MED"], None),
    (0, "2000,0030", "U", ["PAPER", "CLEAR FILM", "BLUE FILM"], None),
    (0, "2000,0040", "U", ["MAGAZINE", "PROCESSOR", "BIN_1", "BIN_2", "BIN_3", "BIN_4", "BIN_5"], None),
]
KODAKQC_FILM_BOX = [
    (0, "2010,0010", "M", [], None),
    (0, "2010,0500", "M", [], None),
    (1, "0008,1150", "M", ["1.2.840.10008.5.1.1.1"], None),
    (1, "0008,1155", "M", [], None),
    (0, "2010,0040", "U", ["PORTRAIT", "LANDSCAPE"], None),
    (0, "2010,0050", "M", ["8INX10IN", "10INX12IN", "11INX14IN", "14INX14IN", "14INX17IN", "24CMX30CM"], None),
    (0, "2010,0060", "U", ["REPLICATE", "BILINEAR", "CUBIC", "NONE"], None),
    (0, "2010,0100", "U", ["BLACK", "WHITE"], (0, 400)),
    (0, "2010,0110", "U", ["BLACK", "WHITE"], (0, 400)),
    (0, "2010,0120", "U", [], (0, 400)),
    (0, "2010,0130", "U", [], (0, 400)),
    (0, "2010,0140", "U", ["YES", "NO"], None),
    (0, "2010,0150", "U", [], None),
    (0, "2010,0080", "U", [], None),
]
KODAKQC_IMAGE_BOX = [
    (0, "2020,0010", "M", [], None),
    (0, "2020,0110", "M", [], None),
    (1, "0028,0002", "M", ["1"], None),
    (1, "0028,0004", "M", ["MONOCHROME2"], None),
    (1, "0028,0010", "M", [], None),
    (1, "0028,0011", "M", [], None),
    (1, "0028,0034", "MC", ["1\\1"], None),
    (1, "0028,0100", "M", ["16"], None),
    (1, "0028,0101", "M", ["12"], None),
    (1, "0028,0102", "M", ["11"], None),
    (1, "0028,0103", "M", ["0"], None),
    (1, "7FE0,0010", "M", [], None),
    (0, "2020,0020", "", ["NORMAL"], None),
    (0, "2020,0030", "U", [], None),
    (0, "2020,0040", "", ["CROP"], None),
]
# Clause 9
KODAKQC_CHARACTER_SETS = {
    ("ISO_IR 100",),
    ("GB18030",),
    ("", "ISO 2022 IR 87"),
    ("ISO 2022 IR 13", "ISO 2022 IR 87"),
    ("ISO_IR 144",),
    ("ISO_IR 148",),
}
# 10.1.1.1 to 10.1.1.12
KODAKQC_MODULES = {
    "patient": """
        0010,0010 2 mwl
        0010,0020 2 mwl
        0010,0030 2 mwl
        0010,0040 2 mwl
        0008,1120 3 -
        >0008,1150 1C -
        >0008,1155 1C -
    """,
    "general_study": """
        0020,000D 1 mwl
        0008,0020 2 .
        0008,0030 2 .
        0008,0090 2 mwl
        0020,0010 2 0
        0008,0050 2 mwl
        0008,1030 3 mwl
        0008,1048 3 -
        0008,1060 3 -
        0008,1110 3 -
        >0008,1150 1C -
        >0008,1155 1C -
        0008,1032 3 -
        >0008,0100 1C -
        >0008,0102 1C -
        >0008,0103 1C -
        >0008,0104 1C -
    """,
    "patient_study": """
        0008,1080 3 -
        0010,1010 3 -
        0010,1020 3 -
        0010,1030 3 -
        0010,2180 3 -
        0010,21B0 3 -
    """,
    "general_series": """
        0008,0060 1 .
        0020,000E 1 .
        0020,0011 2 .
        0020,0060 2C 0
        0008,0021 3 -
        0008,0031 3 -
        0008,1050 3 -
        0018,1030 3 -
        0018,103E 3 -
        0008,1070 3 -
        0008,1111 3 -
        >0008,1150 1C -
        >0008,1155 1C -
        0018,0015 2 .
        0018,5100 2 0
        0028,0108 3 -
        0028,0109 3 -
        0040,0275 3 -
        >0040,1001 1C -
        >0040,0009 1C -
        >0040,0007 1C -
        >0040,0008 3 -
        >>0008,0100 1C -
        >>0008,0102 1C -
        >>0008,0103 1C -
        >>0008,0104 1C -
        0040,0253 3 -
        0040,0244 3 -
        0040,0245 3 -
        0040,0254 3 -
        0040,0260 3 -
        >0008,0100 1C -
        >0008,0102 1C -
        >0008,0103 1C -
        >0008,0104 1C -
    """,
    "cr_series": """
        0018,0015 2 .
        0018,5101 2 .
        0018,1160 3 -
        0018,1180 3 -
        0018,1190 3 -
        0018,1260 3 -
        0018,1261 3 -
    """,
    "general_equipment": """
        0008,0070 2 .
        0008,0080 3 .
        0008,0080 3 -
        0008,1010 3 -
        0008,1040 3 .
        0008,1090 3 .
        0018,1000 3 -
        0018,1020 3 -
    """,
    "general_image": """
        0020,0013 2 .
        0020,0020 2C 0
        0008,0023 2C -
        0008,0033 2C -
        0008,0008 3 -
        0020,4000 3 -
        0008,2111 3 -
        0028,0030 3 .
        0028,2110 3 -
    """,
    "image_pixel": """
        0028,0002 1 =1
        0028,0004 1 =MONOCHROME2
        0028,0010 1 .
        0028,0011 1 .
        0028,0100 1 =16
        0028,0101 1 =12
        0028,0102 1 =11
        0028,0103 1 =0
        7FE0,0010 1 .
        0028,0006 1C -
        0028,0034 1C =1\\1
        0028,0106 3 .
        0028,0107 3 .
    """,
    "cr_image": """
        0018,0060 3 .
        0018,1004 3 .
        0018,1110 3 .
        0018,1151 3 -
        0018,1150 3 -
        0018,1152 3 -
        0018,1153 3 .
        0018,115E 3 .
        0018,1190 3 -
        0018,1405 3 .
    """,
    "modality_lut": """
        0028,3000 1C -
        >0028,3002 1C -
        >0028,3003 3 -
        >0028,3004 1C -
        >0028,3006 1C -
        0028,1052 1C =0
        0028,1053 1C =1
        0028,1054 1C =US
    """,
    "voi_lut": """
        0028,3010 3 -
        >0028,3002 1C -
        >0028,3003 1C -
        >0028,3006 1C -
        0028,1050 1C .
        0028,1051 1C .
    """,
    "sop_common": """
        0008,0016 1 .
        0008,0018 1 .
        0008,0005 1C .
    """,
}
