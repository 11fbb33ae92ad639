"""Specular: the instrument software of a corneal-endothelium specular microscope. Not for clinical use."""

from __future__ import annotations

__version__ = "0.1.0"
