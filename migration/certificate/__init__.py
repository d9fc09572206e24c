"""The proof of a move: what the source said, what a user reads now, whether that is the same, and who signed for it.

    tables      what is kept, `migration_digest` ... `migration_certificate`
    digests     SHA-256, date and size of every message, taken while it was copied, a row for each batch
    manifest    which messages with which flags the source had inside the fence, and the numbers of both sides then
    merkle      the tree over them; its leaves, octet by octet
    reader      the account over our own IMAP listener, as its user, by a pass of 30 s (directory/reading_passes.py)
    comparison  one mailbox: what was said against what was read
    completing  digests that were not taken then, from the source now
    resample    the source once more, where it still answers: octets against the digests, POP3's list
    evidence    one account: reads, compares, keeps what came of it
    events      throttling, mail that was held: what the ledger counts nowhere else
    downloads   what clients were sent after the move, beside the days before: was mail downloaded again?
    grades      Perfect, Good, Investigate, Poor; approvals; `may_close`
    document    the content of a domain's certificate;  signing: its canonical form and signature;  page: for people

docs/certificate.md is the format, for others who check one.

Crash table: what is true when the process dies right after a step, and what comes of it.

    step             true then                                            the next start
    cert.digests     digests are kept of messages that are not here yet   copies them; their digests are kept again,
                                                                          and must be the same
    cert.manifest    kept for a fence that did not commit                 the next fence replaces it
    (commit)         digests and manifest are those of the commit         nothing to do
    cert.evidence    evidence is kept, no certificate                     `report` composes it from what is kept
    cert.signed      a certificate is kept and was not shown              `report` makes another, of the same content

What must never happen: a grade that says more than was looked at; a certificate that changes after it was signed; a
Poor that is approved; a credential that outlives its use, or one that can change a mailbox.
"""
