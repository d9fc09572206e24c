"""One file a check. A new file here is a new stage of that name: `Settings` (a frozen dataclass) and `Check`."""
