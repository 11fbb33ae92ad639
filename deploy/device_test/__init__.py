"""The built image as a device on a bench: booted once, and each case goes on from there with new surroundings."""
