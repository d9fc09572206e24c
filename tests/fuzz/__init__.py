"""Hostile octets for everything that reads octets from outside without doing I/O.

    targets/   one file a target: what is run, what must hold, words of its language, inputs to begin with
    engine.py  inputs changed at random; those that reach new lines are kept and changed further
    corpus/    what was kept, small and without repetition; the test suite replays it (test_corpus.py)

    make fuzz MINUTES=5                     all targets, in turns
    make fuzz MINUTES=5 TARGETS="mime pop3"

An input is a finding where a target raises what it must not, says another thing of the same octets in other pieces,
takes more steps than its length allows, or takes too much memory. It is written to .fuzz/, with what to call. A
finding becomes a test beside its parser, and is mended then.
"""
