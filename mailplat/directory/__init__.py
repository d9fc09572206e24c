"""The directory: domains, accounts, aliases, credentials, backends, and where each account lives.

    directory    Directory: the door; every method is one transaction
    resolution   who gets mail for an address
    routes       the route rows and their compare-and-set
    watch        RouteWatch: each process learns of changed routes, acts, and acknowledges
    credentials  password hashes, verified off the loop.   schemes, crypt, cram: hashes of other platforms
    app_passwords  secrets of single programs.   scram_keys: what SCRAM checks a proof with
    bulk         accounts and aliases, many in one transaction
    quotas       of accounts and domains: in bulk, summed, and read again by long sessions
    shares       who shares mailboxes with whom
    records      rows as text and back: what a backup carries
    audit        Audit: what admins did
    tables       the tables; revisions are in db/schema/platform

Invariants
    * An account has exactly one route row, made in the account's own transaction.
    * A route changes only through `routes.advance`: one step of TRANSITIONS, the epoch one higher.
    * What cannot be found has no home: a look-up that fails raises, it never answers a default.
    * Domains are A-labels in lower case; addresses are looked up by Address.key.

What must never happen: two homes that may both write an account; an id of an account used again; a password or a
hash in a log.
"""

from mailplat.directory.directory import Directory
from mailplat.directory.types import Account, Alias, Backend, Domain, Login, Resolution, Target

__all__ = ["Account", "Alias", "Backend", "Directory", "Domain", "Login", "Resolution", "Target"]
