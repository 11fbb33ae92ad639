"""A virtual machine without KVM, with Debian's kernel and, in its memory, this Python and this project.

`kernel.py` takes Debian's kernel apart, `archive.py` writes an initramfs, `contents.py` says what goes in,
`machine.py` builds and boots it; `first_program.py` is what the first program of such a machine is made of.
"""
