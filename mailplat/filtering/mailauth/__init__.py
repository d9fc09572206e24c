"""Who really sent this message: SPF (RFC 7208), DKIM (RFC 6376, 8301, 8463), DMARC (RFC 9989) and the field that
tells it to readers, Authentication-Results (RFC 8601).

    domain            names of domains as they are compared: A-labels, lower case
    canonicalization  DKIM's body forms in linear time and constant memory; mends dkimpy
    keys              DKIM key records
    signature         one DKIM-Signature field, read and judged before any key is fetched
    dkim, spf         verification
    author            the domains that the From field could be read as
    policy            a DMARC record
    organization      the DNS tree walk: whose record holds, which domain is the organisation's
    dmarc             alignment, policy, disposition
    results           writes our Authentication-Results, removes forged ones

Library doors: dkimpy in canonicalization, keys and signature; pyspf in spf; `dmarc` in policy; publicsuffixlist in
organization; authres in results.

Invariants
* DNS is asked on the event loop; threads only compute, so a slow name server holds no thread.
* temperror is never turned into another result.
* What we write into a field is either ours or has passed a pattern of harmless octets.
"""
