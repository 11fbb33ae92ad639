"""The machine around the service: what of it follows from the configuration is rendered here, purely."""
