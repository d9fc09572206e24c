# Two commands to begin with: `make demo` and `make test`. Both install what they need into .venv/
# from requirements-dev.lock (hashes pinned, no addresses inside) and touch nothing outside this folder.

PYTHON ?= python3
BIN    := .venv/bin
STAMP  := .venv/.installed

export UV_SYSTEM_CERTS ?= true
# Compiled modules lie in .tools/ and not between the sources; without them each start of the command takes 2.4 s and
# not 0.9, and the tests start it often.
export PYTHONPYCACHEPREFIX := $(CURDIR)/.tools/pycache
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test check bench crash-drill power-drill fault-drill backup-drill repair-bench growth soak lock
.PHONY: fuzz clean migration-drill cutover-drill legacy-drill

help:
	@echo 'make demo    the main job on embedded defaults, under a minute; KEEP=1 leaves it running'
	@echo 'make test    the whole test suite'
	@echo 'make check   ruff, mypy --strict, architecture test'
	@echo 'make bench   figures beside the peers that are installed (Dovecot, Postfix, mbsync)'
	@echo 'make crash-drill KILLS=100   workers killed under load, and what is left compared with a ledger'
	@echo 'make power-drill CUTS=20     the power cut under load, as root; package xfsprogs, and eatmydata as the control'
	@echo 'make fault-drill    each fsync, rename and write of a worker fails or is its last; full and read-only disks'
	@echo 'make backup-drill ROUNDS=10  points taken under load, restored into an empty platform, compared with a ledger'
	@echo 'make migration-drill   200 accounts move from a real Dovecot, wave by wave, under load; SEED=, DRILL_ARGS=--accounts=20'
	@echo 'make cutover-drill N=1000   cutovers with a fault at each transition; SEED=, DRILL_ARGS=--postgres'
	@echo 'make legacy-drill    Courier and Cyrus, as root, package debootstrap: there, here, back; DRILL_ARGS=--server=cyrus'
	@echo 'make growth  what a login, an append and a FETCH cost as mailboxes and the number of accounts grow (half an hour)'
	@echo 'make repair-bench  how long verify and rebuild of 100,000 messages take'
	@echo 'make soak MINUTES=60   constant load, and whether times, memory and files are level at the end as at the start'
	@echo 'make fuzz MINUTES=5    hostile octets for all parsers; KEEP=1 keeps inputs that reach something new'
	@echo 'make lock    resolve requirements-dev.lock anew'

setup: $(STAMP)

$(STAMP): requirements-dev.lock pyproject.toml tools/bootstrap.sh
	@PYTHON=$(PYTHON) sh tools/bootstrap.sh
	@touch $@

demo: $(STAMP)
	@$(BIN)/python -m tests.demo $(if $(KEEP),--keep) $(DEMO_ARGS)

test: $(STAMP)
	@$(BIN)/python -m pytest $(if $(TESTS),$(TESTS),-n 3 --dist worksteal) $(PYTEST_ARGS)

check: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q tests/architecture

bench: $(STAMP)
	@$(BIN)/python -m tests.bench $(BENCH_ARGS)

crash-drill: $(STAMP)
	@$(BIN)/python -m tests.crash.drill --kills $(or $(KILLS),100) $(DRILL_ARGS)

power-drill: $(STAMP)
	@$(BIN)/python -m tests.crash.power --cuts $(or $(CUTS),20) $(DRILL_ARGS)

fault-drill: $(STAMP)
	@$(BIN)/python -m tests.crash.faults --disks --every $(or $(EVERY),1) $(DRILL_ARGS)

repair-bench: $(STAMP)
	@$(BIN)/python -m tests.bench.repair $(BENCH_ARGS)

backup-drill: $(STAMP)
	@$(BIN)/python -m tests.crash.backup --rounds $(or $(ROUNDS),10) $(DRILL_ARGS)

migration-drill: $(STAMP)
	@$(BIN)/python -m tests.drill.migration $(if $(SEED),--seed $(SEED)) $(DRILL_ARGS)

cutover-drill: $(STAMP)
	@$(BIN)/python -m tests.drill.cutovers --cutovers $(or $(N),1000) $(if $(SEED),--seed $(SEED)) $(DRILL_ARGS)

legacy-drill: $(STAMP)
	@$(BIN)/python -m tests.drill.legacy $(DRILL_ARGS)

growth: $(STAMP)
	@$(BIN)/python -m tests.bench.growth $(GROWTH_ARGS)

soak: $(STAMP)
	@$(BIN)/python -m tests.soak --minutes $(or $(MINUTES),60) $(SOAK_ARGS)

fuzz: $(STAMP)
	@$(BIN)/python -m tests.fuzz $(TARGETS) --minutes $(or $(MINUTES),5) $(if $(KEEP),--keep) $(FUZZ_ARGS)

lock:
	@PYTHON=$(PYTHON) sh tools/bootstrap.sh lock

clean:
	rm -rf .venv .tools .mypy_cache .ruff_cache .hypothesis bench-results
