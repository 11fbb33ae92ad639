"""The conformance statement (PS3.2), written from the profile and from the code that drives the wire. Pure."""
