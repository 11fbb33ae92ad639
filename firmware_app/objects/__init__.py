"""DICOM instances as pydicom data sets, built from the attribute tables of a profile."""
