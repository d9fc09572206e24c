"""`make fuzz MINUTES=5`: all targets in turns, what they found, and the corpus they leave."""

import argparse
import random
import resource
import sys
import time
import traceback
from pathlib import Path

from tests.fuzz import targets
from tests.fuzz.engine import Finding, Fuzzer, read_corpus, watch_the_clock, write_corpus

# Seconds that a target works before the next one does.
TURN = 10.0
# Of address space: a parser that takes more has a bug, and the machine is others' too.
MEMORY = 2 * 1024**3
FOUND = Path(".fuzz")


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", help="names; all where none is given")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument(
        "--seed",
        type=int,
        default=None,
        help="of the random changes; the same seed is not the same run: turns are timed",
    )
    parser.add_argument(
        "--keep", action="store_true", help="write what reached something new into tests/fuzz/corpus/"
    )
    args = parser.parse_args()
    unknown = set(args.targets) - set(targets.names())
    if unknown:
        parser.error(f"no such target: {' '.join(sorted(unknown))}; there are {' '.join(targets.names())}")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.RLIM_INFINITY))
    watch_the_clock()
    seed = args.seed if args.seed is not None else time.time_ns()
    print(f"seed {seed}")
    names = args.targets or targets.names()
    fuzzers = {
        name: Fuzzer(targets.target(name), read_corpus(name), random.Random(f"{seed} {name}"))
        for name in names
    }
    reached = {name: len(fuzzer.seen) for name, fuzzer in fuzzers.items()}
    end = time.monotonic() + args.minutes * 60
    while (left := end - time.monotonic()) > 0:
        for fuzzer in fuzzers.values():
            fuzzer.work(min(TURN, left / len(fuzzers)))
    for name, fuzzer in fuzzers.items():
        new = len(fuzzer.seen) - reached[name]
        seen = f"{len(fuzzer.seen):6} pairs of lines ({new} new)"
        print(f"{name:10} {fuzzer.runs:8} runs {seen} {len(fuzzer.findings)} findings")
        if args.keep:
            write_corpus(name, fuzzer.smallest())
        for finding in fuzzer.findings:
            _report(name, finding)
    return 1 if any(fuzzer.findings for fuzzer in fuzzers.values()) else 0


def _report(name: str, finding: Finding) -> None:
    FOUND.mkdir(exist_ok=True)
    path = FOUND / f"{name}-{abs(hash(finding.octets)):x}"
    path.write_bytes(finding.octets)
    print(f"\n{name}: {finding.error!r}\n  {path}: {finding.octets[:200]!r}")
    print("".join(traceback.format_exception(finding.error)[-6:]))


if __name__ == "__main__":
    sys.exit(main())
