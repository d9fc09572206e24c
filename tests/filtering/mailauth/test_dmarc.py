import dmarc as package
import pytest

from mailplat.filtering.mailauth.author import Author
from mailplat.filtering.mailauth.dkim import DkimResult
from mailplat.filtering.mailauth.dmarc import DmarcResult, evaluate
from mailplat.filtering.mailauth.policy import Disposition, parse_policy
from mailplat.filtering.mailauth.spf import SpfResult
from mailplat.filtering.zone import Zone

NONE, QUARANTINE, REJECT = Disposition.NONE, Disposition.QUARANTINE, Disposition.REJECT


def spf(domain: str, result: str = "pass") -> SpfResult:
    return SpfResult(result, domain, "mailfrom", f"a@{domain}")  # type: ignore[arg-type]


def dkim(domain: str, result: str = "pass") -> DkimResult:
    return DkimResult(result, domain, "s1", "rsa-sha256")


async def ask(
    zone: str, *identifiers: SpfResult | DkimResult, author: str = "example.org", **more: object
) -> DmarcResult:
    records = "".join(
        f"_dmarc.{name}. 60 IN TXT {quoted}\n"
        for name, quoted in (line.split(None, 1) for line in zone.splitlines())
    )
    known = "".join(f"{name}. 60 IN A 192.0.2.1\n" for name in (author,) if not more.get("nonexistent"))
    spf_result = next((one for one in identifiers if isinstance(one, SpfResult)), None)
    dkim_results = [one for one in identifiers if isinstance(one, DkimResult)]
    dns = Zone("$TTL 60\n" + records + known + str(more.get("extra", "")), deadline=0.01)
    return await evaluate(Author((author,), True), spf_result, dkim_results, dns)


STRICT = 'example.org "v=DMARC1; p=reject; adkim=s; aspf=s"'
RELAXED = 'example.org "v=DMARC1; p=reject"'


@pytest.mark.parametrize(
    ("zone", "author", "identifier", "result"),
    [
        (RELAXED, "example.org", spf("example.org"), "pass"),
        (RELAXED, "example.org", dkim("example.org"), "pass"),
        (RELAXED, "example.org", dkim("news.example.org"), "pass"),
        (RELAXED, "news.example.org", dkim("example.org"), "pass"),
        (RELAXED, "a.example.org", dkim("b.example.org"), "pass"),
        (RELAXED, "example.org", dkim("EXAMPLE.org"), "pass"),
        (RELAXED, "example.org", dkim("notexample.org"), "fail"),
        (RELAXED, "example.org", dkim("example.org.evil.example"), "fail"),
        (RELAXED, "example.org", dkim("org"), "fail"),
        (RELAXED, "example.org", dkim(""), "fail"),
        (RELAXED, "example.org", dkim("example.org", "fail"), "fail"),
        (RELAXED, "example.org", spf("example.org", "softfail"), "fail"),
        (RELAXED, "example.org", spf("example.org", "neutral"), "fail"),
        (STRICT, "example.org", dkim("example.org"), "pass"),
        (STRICT, "example.org", dkim("news.example.org"), "fail"),
        (STRICT, "example.org", spf("news.example.org"), "fail"),
        ("", "example.org", dkim("evil.example"), "none"),
        (
            'example.org "v=DMARC1; p=reject"\nexample.org "v=DMARC1; p=none"',
            "example.org",
            dkim("evil.example"),
            "none",
        ),
        ('example.org "other"\n' + RELAXED, "example.org", dkim("evil.example"), "fail"),
        ('example.org "v=DMARC2; p=reject"', "example.org", dkim("evil.example"), "none"),
    ],
)
async def test_alignment(zone: str, author: str, identifier: SpfResult | DkimResult, result: str) -> None:
    got = await ask(zone, identifier, author=author)
    assert got.result == result
    assert got.disposition == (REJECT if result == "fail" else NONE)


@pytest.mark.parametrize(
    ("record", "author", "disposition"),
    [
        ("v=DMARC1; p=none", "example.org", NONE),
        ("v=DMARC1; p=quarantine", "example.org", QUARANTINE),
        ("v=DMARC1;p=reject", "example.org", REJECT),
        ("v=DMARC1 ; P = Reject ;", "example.org", REJECT),
        ("v=DMARC1; p=reject; t=y", "example.org", QUARANTINE),
        ("v=DMARC1; p=quarantine; t=y", "example.org", NONE),
        ("v=DMARC1; p=reject; t=n", "example.org", REJECT),
        ("v=DMARC1; p=reject; pct=0", "example.org", QUARANTINE),
        ("v=DMARC1; p=reject; pct=20", "example.org", REJECT),
        ("v=DMARC1; p=reject; sp=none", "sub.example.org", NONE),
        ("v=DMARC1; p=none; sp=reject", "sub.example.org", REJECT),
        ("v=DMARC1; p=reject", "sub.example.org", REJECT),
        ("v=DMARC1; p=none; np=reject", "sub.example.org", NONE),
        ("v=DMARC1; rua=mailto:a@example.org", "example.org", NONE),
        ("v=DMARC1; p=odd", "example.org", None),
        ("v=DMARC1; p=reject; unknown=x; junk", "example.org", None),
        ("v=DMARC1; p=reject; adkim=odd", "example.org", REJECT),
    ],
)
async def test_the_wish_of_the_domain_owner(
    record: str, author: str, disposition: Disposition | None
) -> None:
    got = await ask(f'example.org "{record}"', dkim("evil.example"), author=author)
    if disposition is None:  # a record that cannot be read counts for none
        assert (got.result, got.disposition) == ("none", NONE)
    else:
        assert (got.result, got.disposition) == ("fail", disposition)


async def test_a_name_that_does_not_exist_has_a_policy_of_its_own() -> None:
    zone = 'example.org "v=DMARC1; p=none; sp=none; np=reject"'
    assert (await ask(zone, author="made-up.example.org", nonexistent=True)).disposition is REJECT
    assert (await ask(zone, author="real.example.org")).disposition is NONE


def test_the_package_alone_ignores_t_y() -> None:
    """Why `asks` exists: the day the package does it by default, this fails and the downgrade must not be doubled."""
    policy = package.DMARCPolicy("v=DMARC1; p=reject; t=y", "example.org")
    with pytest.raises(package.PolicyRejectError):
        policy.verify()
    ours = parse_policy(b"v=DMARC1; p=reject; t=y")
    assert ours is not None
    assert ours.asks(REJECT) is QUARANTINE


def test_the_package_alone_aligns_with_any_parent() -> None:
    """Why alignment is ours."""
    assert package.DMARC().check_alignment("example.org", "org", package.DMARCAlignment.RELAXED)


@pytest.mark.parametrize(
    ("zone", "author", "identifier", "result"),
    [
        # psd=n: this is an organisation of its own
        (
            'example.org "v=DMARC1; p=reject"\nuni.example.org "v=DMARC1; p=reject; psd=n"',
            "uni.example.org",
            "example.org",
            "fail",
        ),
        (
            'example.org "v=DMARC1; p=reject"\nuni.example.org "v=DMARC1; p=reject; psd=n"',
            "a.uni.example.org",
            "uni.example.org",
            "pass",
        ),
        # psd=y: the organisation is one label below
        ('bank "v=DMARC1; p=reject; psd=y"', "one.bank", "two.bank", "fail"),
        ('bank "v=DMARC1; p=reject; psd=y"', "a.one.bank", "b.one.bank", "pass"),
        # without psd the record with the fewest labels
        (
            'example.org "v=DMARC1; p=reject"\na.example.org "v=DMARC1; p=reject"',
            "a.example.org",
            "b.example.org",
            "pass",
        ),
        # a public suffix that forgot psd=y aligns nobody
        ('co.uk "v=DMARC1; p=reject"', "one.co.uk", "two.co.uk", "fail"),
        (
            'github.io "v=DMARC1; p=reject"\none.github.io "v=DMARC1; p=reject"',
            "one.github.io",
            "two.github.io",
            "fail",
        ),
        # no record at the organisation: only the name itself
        ('a.example.org "v=DMARC1; p=reject"', "a.example.org", "b.example.org", "fail"),
        # more than eight labels: the walk jumps to seven
        (
            'c.d.e.f.g.h.example "v=DMARC1; p=reject"',
            "0.1.2.a.b.c.d.e.f.g.h.example",
            "x.c.d.e.f.g.h.example",
            "pass",
        ),
        ('b.c.d.e.f.g.h.example "v=DMARC1; p=reject"', "0.1.2.a.b.c.d.e.f.g.h.example", "x.example", "none"),
    ],
)
async def test_the_tree_walk(zone: str, author: str, identifier: str, result: str) -> None:
    assert (await ask(zone, dkim(identifier), author=author)).result == result


async def test_the_tree_walk_asks_eight_questions_at_most() -> None:
    class Counting(Zone):
        asked: list[str] = []  # noqa: RUF012

        async def query(self, name: str, type: str) -> object:  # type: ignore[override]
            self.asked.append(name)
            return await super().query(name, type)

    dns = Counting("")
    await evaluate(Author((".".join("abcdefghijklmnop") + ".example",), True), None, [], dns)
    assert len(dns.asked) == 8
    assert dns.asked[1] == "_dmarc.k.l.m.n.o.p.example"


async def test_temperror_stays_temperror() -> None:
    got = await ask("", extra=";!servfail _dmarc.example.org TXT\n")
    assert (got.result, got.disposition) == ("temperror", NONE)
    # a failure on the way up leaves the record below in force
    got = await ask(RELAXED, extra=";!servfail _dmarc.org TXT\n")
    assert (got.result, got.disposition) == ("fail", REJECT)


async def test_a_failure_that_a_lookup_might_have_prevented_is_undecided() -> None:
    assert (await ask(RELAXED, dkim("example.org", "temperror"))).undecided
    assert (await ask(RELAXED, spf("example.org", "temperror"))).undecided
    assert not (await ask(RELAXED, dkim("evil.example", "temperror"))).undecided, (
        "nobody aligned is waited for"
    )
    assert not (await ask(RELAXED, dkim("example.org", "temperror"), spf("example.org"))).undecided


@pytest.mark.parametrize(
    ("domains", "result", "disposition"),
    [
        (("evil.example", "example.org"), "permerror", REJECT),
        (("evil.example",), "permerror", NONE),
        (("example.net", "example.org"), "permerror", REJECT),
        ((), "permerror", NONE),
    ],
)
async def test_a_doubtful_author_never_passes(
    domains: tuple[str, ...], result: str, disposition: Disposition
) -> None:
    dns = Zone(
        '_dmarc.example.org. 60 IN TXT "v=DMARC1; p=reject"\n_dmarc.example.net. 60 IN TXT "v=DMARC1; p=none"\n'
        '_dmarc.evil.example. 60 IN TXT "v=DMARC1; p=reject"\n'
    )
    got = await evaluate(Author(domains, False, "why"), spf("evil.example"), [dkim("evil.example")], dns)
    assert (got.result, got.disposition, got.reason) == (result, disposition, "why")
