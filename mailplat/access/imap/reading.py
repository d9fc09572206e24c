"""What a session may do that came in by a reading pass (directory/reading_passes.py): nothing that changes anything,
and nothing that lasts. SELECT would take \\Recent from the user's own sessions (RFC 3501 6.3.1): EXAMINE only."""

READING = frozenset(
    {
        "CAPABILITY",
        "ENABLE",
        "EXAMINE",
        "FETCH",
        "GETACL",
        "ID",
        "LIST",
        "LOGOUT",
        "LSUB",
        "NAMESPACE",
        "NOOP",
        "SEARCH",
        "SORT",
        "STATUS",
        "THREAD",
        "UID FETCH",
        "UID SEARCH",
        "UID SORT",
        "UID THREAD",
        "UNSELECT",
    }
)
