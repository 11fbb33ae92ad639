"""The audit trail: what a message says (PS3.15 A.5), its XML, its chain, and how syslog carries it. No I/O."""
