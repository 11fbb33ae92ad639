"""Stages, cameras and the simulated instrument. Imports nothing of the application but `firmware_app.model`."""
