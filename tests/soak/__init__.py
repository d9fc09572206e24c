"""`make soak MINUTES=60`: a platform under constant load must end as quick and as small as it began.

    load.py      clients of every kind, at a steady pace; the drill's (tests/crash) and some of its own
    sample.py    what the platform is at one instant: milliseconds of each verb, memory, files, pages
    verdict.py   whether what was sampled is level, and within what
    picture.py   the curves as an SVG
    __main__.py  the run: load, samples, last inspection, verdict

All mail is in the ledger of tests/crash: at the end nothing may be lost, doubled or changed.
"""
