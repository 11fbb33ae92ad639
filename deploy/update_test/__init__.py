"""Updates of the built image, watched in a virtual machine."""
