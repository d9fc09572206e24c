"""How long a migration takes, and what it costs both sides, before it begins.

    costs       what one account, message, octet costs each side: measured, by tests/bench/costs.py
    population  the accounts that move, drawn from a distribution of mailbox sizes
    simulator   waves of accounts through connections, workers' cores and legacy hosts' cores

The model is one of shared resources. An account that has a connection advances by its own connection's time, as it
would alone; where the cores of the workers or of its legacy host, or the host's allowance of octets, are asked for
more than there is, all that share them slow down alike. What is not modelled: disks (the rate at which shards are
written is an output to compare with one's own), networks beyond the allowance, users' load on the workers.

Invariants
    * Nothing here reads a platform or a clock: numbers in, numbers out, the same for the same seed.
    * A constant without a measurement has no place in `costs`.
"""
