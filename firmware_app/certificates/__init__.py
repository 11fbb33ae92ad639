"""X.509 certificates: what they say of themselves, and the files that hold ours and those we trust."""
