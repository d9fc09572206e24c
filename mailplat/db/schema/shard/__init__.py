"""The shard history: `versions/`, one file a revision."""
