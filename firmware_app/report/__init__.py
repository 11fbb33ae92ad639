"""Pictures and pages for people, and the same numbers as data."""
