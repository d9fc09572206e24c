"""Filtering: what we think of a message while we can still refuse it.

    pipeline    the stages in configured order, each under its own time limit and failure rule -> Verdict
    stages/     one file a check, named after it; the directory is the registry
    stage       what a stage is: phases, settings, rule for its own failure
    verdict     Transaction (what is judged) and Verdict (accept, defer, refuse; reply, fields, score, reasons)
    header      the header block as exact octets, split into fields
    dns, zone   every DNS question of the platform: one resolver with a cache, or a zone file in tests and rigs
    mailauth/   SPF, DKIM, DMARC and Authentication-Results

The way of a message: ingress makes a Transaction -> Pipeline.message -> each stage looks at envelope, header
block or body -> the first DEFER or REFUSE ends it -> ingress removes forged Authentication-Results (`strip`),
puts Verdict.headers on top and delivers.

Invariants
* A stage never alters the message; it can only add fields on top.
* A stage that raises, or takes too long, follows the rule it declares (skip, defer, refuse); never another.
* A look-up that failed (temperror) is never taken for "there is none" (nxdomain, nodata).
* Nothing here waits for DNS inside a thread: threads only compute.

What must never happen: a verdict of "pass" that rests on anything but a verified signature or an authorised
address; octets of the sender copied unquoted into a field that we write; work that grows faster than linearly
with what a stranger sends.
"""
