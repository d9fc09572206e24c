"""mailplat: mail for tens of thousands of domains, and a way to move a whole legacy platform onto it.

One idea: every account has a *home*, and every door (SMTP, IMAP, POP3) reads the account's route before it
does anything. `ls mailplat` reads as the way a message travels; a room imports only from lower floors, see
`docs/architecture.md` and the test that holds it (`tests/architecture`).
"""

__version__ = "0.1.0"
