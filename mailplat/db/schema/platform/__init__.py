"""The platform history: `versions/`, one file a revision."""
