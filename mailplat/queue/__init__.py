"""Mail on its way: to another home, held behind a fence, to several homes, or back to its sender as a DSN.

    queue     Queue: put, lease, settle, renew; what admins ask for
    records   what goes in and comes out, as values
    rows      the two tables and every statement on them
    spool     the files
    schedule  when to try again, when to give up

On disk. Rows `queue_message` and `queue_recipient` in the platform's database; the octets (trace fields and
message, CRLF) as one file `FOLDER/ID` in the spool directory, 256 folders, `tmp/` beside them. A queue id begins
with its time, and its folder is that time in steps of four seconds: the puts of one group commit share a folder
and so one fsync of it. `identity` names the spool directory in its rows: several machines may share a database,
each works on the files that it has.

A recipient's row is waiting, held (its account is fenced) or leased; settled ones are deleted, with the message
after the last. `due` is when it may be leased next: for a leased one that is the lease's deadline, so that the
lease of a dead worker is taken over by the same query that finds work. Every lease has a number that grows;
whoever comes with an older one settles nothing (StaleLease).

What a crash (kill -9, power) leaves, by the last step done:

    step            on disk                            after the restart
    put.write       file in tmp/, unsynced, no row     swept; the client had no 250 and comes again
    put.fsync       file in tmp/, no row               swept
    put.rename      file in its folder, no row         swept when older than an hour
    put.dirsync     the same, durable                  the same
    put.commit      file and rows                      delivered; the client comes again if it saw no 250, as
                                                       with every SMTP server (RFC 1047)
    lease.commit    rows leased by a dead worker       taken over after the deadline
    attempt.outcome local: the store has the message   appended again with the same dedupe key: no second copy
                    remote: it said 250, row leased    sent again: THE one way to double a message
    settle.commit   settled rows gone, file left       swept; the DSN of failed ones is in the same transaction
    settle.unlink   nothing                            nothing to do

Invariants: a row's file exists, is whole and is synced (file first, row second; row away first, file second);
an id names one file for ever. Never: a 250 before put.commit; a file unlinked whose row may still be there; a
failed recipient without either its row or its DSN.
"""

from mailplat.queue.queue import HOLD_RETRY_S, LEASE_S, Queue
from mailplat.queue.records import (
    Entry,
    Filter,
    Leased,
    LeasedRecipient,
    Notice,
    QueuedMessage,
    QueueRecipient,
    StaleLease,
)
from mailplat.queue.schedule import RetrySchedule

__all__ = [
    "HOLD_RETRY_S",
    "LEASE_S",
    "Entry",
    "Filter",
    "Leased",
    "LeasedRecipient",
    "Notice",
    "Queue",
    "QueueRecipient",
    "QueuedMessage",
    "RetrySchedule",
    "StaleLease",
]
