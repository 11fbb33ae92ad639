"""The drivers against a real kernel: its V4L2 test device and a USB serial gadget, in a virtual machine without KVM.

`kernel.py` takes Debian's kernel apart, `archive.py` writes an initramfs, `contents.py` says what goes in, `guest.py`
is the first and only program of the machine, `__main__.py` runs it.
"""
