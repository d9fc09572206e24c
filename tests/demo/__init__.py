"""`make demo`: the main job in under a minute, on embedded defaults, with a table of what was proven.

Starts a platform and, as the legacy, a second one on loopback; sends letters in; reads them back over IMAP and
POP3, byte for byte; then moves a live domain under traffic that never stops. Exit status 0 only when nothing
was lost, doubled or changed.
"""
