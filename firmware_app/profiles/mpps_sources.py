"""The sources that only Modality Performed Procedure Step messages draw on, in the words of a conformance statement."""

from __future__ import annotations

MPPS_SOURCES = {
    "step.character_set": "that of the MWL item where it can hold every value, otherwise the profile's fallback",
    "step.status": "IN PROGRESS, then COMPLETED or DISCONTINUED",
    "step.station_ae_title": "configured: our AE title",
    "step.station_name": "configured",
    "step.end_date": "generated: end of the exam",
    "step.end_time": "generated: end of the exam",
}
PERFORMED_SERIES_SOURCES = {
    "performed.series_instance_uid": "generated: that of the instances",
    "performed.series_description": "generated: that of the instances",
    "performed.protocol_name": "the scheduled protocol acquired from MWL, or preset",
    "performed.performing_physician": "the Scheduled Performing Physician's Name acquired from MWL, or empty",
    "performed.operator": "entered or configured",
    "performed.retrieve_ae_title": "configured: the AE title of the storage node",
}
