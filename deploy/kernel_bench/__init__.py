"""The drivers against a real kernel: its V4L2 test device and a USB serial gadget, in a virtual machine without KVM.

`guest.py` is the first program of the machine, `__main__.py` builds and runs it with `deploy/virtual_machine`.
"""
