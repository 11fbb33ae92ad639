"""trio around `firmware_app.dicom`: one IPv4 interface, bounded waits, one module per service."""
