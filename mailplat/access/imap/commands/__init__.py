"""One file a command, named after it; twins that differ only in UID share one. Each has COMMANDS, a tuple of
`Command`; nothing else registers it. Commands import from the room above them, never from each other."""
