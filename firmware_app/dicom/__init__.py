"""DICOM as bytes and events: no socket, no clock, no log. PS3.5, PS3.7 and PS3.8 without I/O."""
