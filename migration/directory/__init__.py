"""Taking over a legacy platform's directory: domains, accounts with their password hashes and quotas, aliases,
forwards and catch-alls, all at once, and again and again while its domains are moved.

    description  the TOML file: a backend and its sources.   options: of each source
    formats/     one file a format of a source.   entries: what they all say
    lines, postmap, addresses, cells, sizes   what formats have in common
    staging      what all sources say, before any of it is taken
    takeover     from there to our directory, in batches
    accounts, aliases   one batch compared with ours;  origins: with what was taken the last time
    gone         who has vanished there
    report       what is found, row by row
    register     which descriptions are taken over again and again;  drift: by whom;  tables: `migration_directory*`

Invariants
    * Nothing is changed before every source has been read to its end.
    * The legacy directory is believed of an account that lives on its backend, and of no other.
    * Of what it says only that is taken which has changed there since the last time: a captured password, a quota or
      an alias that was changed here stays.
    * An alias is changed or removed only while it is what came from there.
    * A batch, what is remembered of it and its lines of the audit log are one transaction.

Crash table: what is true when a takeover dies right after a step. The next one does what is left; nothing tells it
that there was another, it compares again.

    step                 true then                                          left behind
    directory.staged     nothing has changed                                staging.db, which the next one removes
    directory.domains    a batch of domains is ours, no account of it       the same
    directory.accounts   batches up to here are ours, each whole            the same
    directory.aliases    all accounts, aliases up to here                   the same
    directory.marked     accounts up to here are marked as gone,            the same
                         their moves halted
    directory.removed    a batch of what is gone is removed, with what      the same
                         is remembered of it: not made again

What must never happen: an account removed because a source did not answer; a hash in a report, a log or the audit
log; an account that has moved changed or removed by what the legacy platform says.
"""
