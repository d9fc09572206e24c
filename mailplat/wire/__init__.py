"""Protocols without I/O: octets in, values out. Nothing here awaits, reads a clock or opens a file."""
