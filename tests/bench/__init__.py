"""`make bench`: our figures beside those of the peers that are installed, measured in one run on one machine.

Only the ratios mean anything: machines are shared, and the cost of an fsync varies. The load generators and the
scripts that start Dovecot and Postfix are part of the shared data (`tests/shared.py`); without them there is no
benchmark. Results also go to bench-results/bench.json.

`--only access` measures what readers wait for (access.py), and says of each row whether its target was reached.
"""
