"""The service onto an existing Debian machine, and off it again. Only the standard library: it runs before anything is
installed."""
