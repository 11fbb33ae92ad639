"""`deploy/install` on a fresh Debian, in a container that boots a systemd of its own and has only loopback."""
