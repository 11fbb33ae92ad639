"""The records: SQLite and the object files. The only writer of the state folder."""
