"""Plans: which domains move together, in which order, when, and within which limits. TOML files that people read,
edit and keep under version control, applied as often as they like.

    document   a plan as TOML says it, checked
    writing    and written, with a word on each key
    window     hours of weekdays in which accounts are cut over
    proposal   a plan from a census: alpha first, then low risk first, what is tied together in one wave
    applying   a plan against what is written down: only differences are changed, and each is named
    stored     a wave as it is written down
    states     the states of a wave, and which may follow which
    tables     `migration_wave`, `migration_wave_domain`

Invariants
    * A domain is in one wave at most, of all plans together.
    * Applying twice changes nothing the second time. A whole file is applied, or nothing of it.
    * A domain that has begun leaves its wave only by name (--take-out); its own move goes on as it is.
    * An approval is of the domains that were in the wave when it was given.

Applying is one transaction: whatever dies before its commit has changed nothing.
"""
