"""The platform as one thing: its settings, its wiring, its processes and its command line.

`settings` reads and checks mailplat.toml; `wiring` opens the rooms in the order of the floors (Platform);
`doors` puts listeners in front of them; `worker` is one process, `supervisor` the parent of several; `cli/` has
one file a verb. Nothing below this floor knows the configuration file.
"""
