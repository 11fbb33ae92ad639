"""The device's disk image: built from Debian's packages and the locked wheels, booted in a virtual machine."""
