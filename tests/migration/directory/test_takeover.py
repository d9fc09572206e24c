"""From a description's sources to our directory, and again."""

from pathlib import Path

import pytest

from mailplat.core.address import Address
from mailplat.core.errors import AlreadyExists, InvalidInput, NotFound, Unavailable
from mailplat.core.route import BackendHome, RouteState, ShardHome
from mailplat.directory import audit as audit_log
from mailplat.directory import routes
from mailplat.directory.tables import domain
from migration.directory.description import load as describe
from migration.directory.drift import folder_of
from migration.directory.gone import Removal
from migration.directory.report import ADDED, CHANGED, LEFT, NOTED, REFUSED, REMOVED
from migration.directory.staging import staging
from migration.directory.takeover import Takeover
from migration.ledger import CLOSED, PLANNED, Ledger
from tests.migration.directory.house import DOMAIN, OTHER, SECRET, House, address

PASSWD = 'format = "dovecot-passwd-file"\nfile = "users"'
VIRTUAL = 'format = "postfix-virtual"\nfile = "hash:virtual"'

USERS = f"""# users of the old platform
ada@{DOMAIN}:{SECRET}:1000:1000::/home/ada::userdb_quota_rule=*:storage=1G
Bob@{DOMAIN}:{SECRET}:1000:1000::/home/bob::
"""
LISTS = f"""team@{DOMAIN}   ada@{DOMAIN}, bob@{DOMAIN}
@{DOMAIN}   ada@{DOMAIN}
ada@{DOMAIN} ada@{DOMAIN}
"""


@pytest.fixture
def description(here: House) -> Path:
    here.write("users", USERS)
    here.write("virtual", LISTS)
    return here.describe(PASSWD, VIRTUAL)


def test_a_second_time_there_is_nothing_to_change(here: House, description: Path) -> None:
    dry = here.take_over(description, write=False)
    assert here.content() == (set(), set())
    assert (here.told(ADDED), dry.writes) == (
        [f"ada@{DOMAIN}", f"Bob@{DOMAIN}", f"@{DOMAIN}", f"team@{DOMAIN}"],
        4,
    )
    done = here.take_over(description)
    assert (done.figures, done.refusals) == (dry.figures, 0)
    ada, bob = here.account(f"ada@{DOMAIN}"), here.account(f"bob@{DOMAIN}")
    assert (ada.password_hash, ada.quota, bob.quota, str(bob.address)) == (
        SECRET,
        1 << 30,
        0,
        f"Bob@{DOMAIN}",
    )
    route = here.directory.route(ada.id)
    assert (route.home, route.state, route.epoch) == (BackendHome("old"), RouteState.LEGACY, 1)
    assert here.leads_to(f"team@{DOMAIN}") == {f"ada@{DOMAIN}", f"Bob@{DOMAIN}"}
    assert here.leads_to(f"anything@{DOMAIN}") == {f"ada@{DOMAIN}"}
    before = here.content()
    assert "@moving.test is a catch-all, and 1 accounts of that domain have no entry" in here.details(NOTED)
    again = here.take_over(description)
    assert (again.writes, here.rows) == (0, [])
    assert again.figures["account as there"] == 2
    assert here.content() == before


def test_no_process_is_told_of_accounts_that_are_new(here: House, description: Path) -> None:
    """Thousands at once would keep every fence waiting."""
    with here.platform.database.read() as connection:
        before = routes.last_change(connection)
    here.take_over(description)
    with here.platform.database.read() as connection:
        assert routes.last_change(connection) == before
        assert routes.changed_since(connection, before) == []
    here.settle(f"ada@{DOMAIN}")
    with here.platform.database.read() as connection:
        [route] = routes.changed_since(connection, before)
    assert route.home == ShardHome("s1")


def test_what_changed_there_is_taken_and_what_changed_here_stays(here: House, description: Path) -> None:
    here.take_over(description)
    ada = here.account(f"ada@{DOMAIN}")
    # Her password came in by a login, and an admin gave her more.
    assert here.directory.capture_password(ada, "{PLAIN}captured")
    here.directory.set_account(ada.id, quota=2 << 30)
    assert here.take_over(description).writes == 0
    assert here.account(f"ada@{DOMAIN}").password_hash == "{PLAIN}captured"
    here.write("users", USERS.replace(SECRET, OTHER, 1))
    assert here.take_over(description).figures["account changed"] == 1
    assert here.told(CHANGED) == [f"ada@{DOMAIN}"]
    ada = here.account(f"ada@{DOMAIN}")
    assert (ada.password_hash, ada.quota) == (OTHER, 2 << 30)
    here.write("users", USERS.replace(SECRET, OTHER, 1).replace("1G", "3G"))
    here.take_over(description)
    assert here.account(f"ada@{DOMAIN}").quota == 3 << 30
    here.write("users", USERS.replace(SECRET, OTHER, 1).replace("userdb_quota_rule=*:storage=1G", "nologin"))
    here.take_over(description)
    assert here.account(f"ada@{DOMAIN}").password_hash == "", "nobody logs in there"
    assert here.take_over(description).writes == 0


def test_an_account_that_was_here_gets_the_password_of_its_backend(here: House, description: Path) -> None:
    """While it lives there that is the only judge."""
    here.directory.add_account(address("ada"), home=BackendHome("old"), password_hash="{PLAIN}old")
    here.directory.add_account(address("bob"), home=ShardHome("s1"), password_hash="{PLAIN}ours")
    report = here.take_over(description)
    assert here.account(f"ada@{DOMAIN}").password_hash == SECRET
    bob = here.account(f"bob@{DOMAIN}")
    assert (bob.password_hash, here.directory.route(bob.id).home) == ("{PLAIN}ours", ShardHome("s1"))
    assert report.figures["account elsewhere"] == 1


def test_an_account_that_has_moved_is_ours(here: House, description: Path) -> None:
    here.take_over(description)
    here.settle(f"ada@{DOMAIN}")
    here.write("users", USERS.replace(SECRET, OTHER).replace("1G", "7G"))
    report = here.take_over(description)
    ada = here.account(f"ada@{DOMAIN}")
    assert (ada.password_hash, ada.quota) == (SECRET, 1 << 30)
    assert (here.told(CHANGED), report.figures["account elsewhere"]) == ([f"Bob@{DOMAIN}"], 1)


def test_a_file_diverts_no_mail_of_an_account_that_has_moved(here: House, description: Path) -> None:
    """Neither by a new alias, nor by another target, nor by taking one away."""
    here.write("virtual", f"{LISTS}bob@{DOMAIN} bob@{DOMAIN}, ada@{DOMAIN}\n")
    here.take_over(description)
    for name in ("ada", "bob"):
        here.settle(f"{name}@{DOMAIN}")
    before = here.content()
    here.write("virtual", LISTS.replace(f"ada@{DOMAIN} ada@{DOMAIN}", f"ada@{DOMAIN} bob@{DOMAIN}"))
    report = here.take_over(description)
    assert (report.writes, here.told(LEFT)) == (0, [f"ada@{DOMAIN}"])
    here.write("virtual", f"{LISTS}bob@{DOMAIN} ada@{DOMAIN}\n")
    here.take_over(description)
    assert here.told(LEFT) == [f"bob@{DOMAIN}"]
    here.write("virtual", LISTS)
    here.take_over(description, removal=Removal(wanted=True, number=10))
    assert here.content() == before


def test_what_was_removed_here_is_not_made_again(here: House, description: Path) -> None:
    """Its mail may have moved here before; the legacy platform still knows it."""
    here.take_over(description)
    here.directory.remove_account(address("ada"))
    here.directory.remove_alias(f"team@{DOMAIN}")
    assert here.take_over(description).writes == 0
    assert here.told(LEFT) == [f"ada@{DOMAIN}", f"team@{DOMAIN}"]
    with pytest.raises(NotFound):
        here.account(f"ada@{DOMAIN}")
    here.directory.add_account(address("ada"), home=BackendHome("old"))
    here.take_over(description)
    assert here.told(LEFT) == [f"team@{DOMAIN}"]


def test_aliases_follow_while_they_are_what_came_from_there(here: House, description: Path) -> None:
    here.take_over(description)
    here.directory.add_alias(f"mine@{DOMAIN}", [address("ada")])
    here.write("virtual", LISTS + f"mine@{DOMAIN} bob@{DOMAIN}\nsame@{DOMAIN} ada@{DOMAIN}\n")
    here.take_over(description)
    assert here.told(LEFT) == [f"mine@{DOMAIN}"]
    # Changed there, changed here, changed on both sides, ended there.
    here.directory.remove_alias(f"same@{DOMAIN}")
    here.directory.add_alias(f"same@{DOMAIN}", [address("bob")])
    changed = (
        LISTS.replace(f"team@{DOMAIN}   ada@{DOMAIN}, ", f"team@{DOMAIN}   ")
        + f"same@{DOMAIN} ada@{DOMAIN}\n"
    )
    here.write("virtual", changed)
    here.take_over(description)
    assert here.told(CHANGED) == [f"team@{DOMAIN}"]
    assert here.alias(f"team@{DOMAIN}") == [f"bob@{DOMAIN}"]
    assert here.alias(f"same@{DOMAIN}") == [f"bob@{DOMAIN}"]
    here.write("virtual", changed.replace(f"same@{DOMAIN} ada", f"same@{DOMAIN} ada@{DOMAIN}, bob"))
    assert here.take_over(description).writes == 0
    assert here.told(LEFT) == [f"same@{DOMAIN}"]
    assert here.alias(f"same@{DOMAIN}") == [f"bob@{DOMAIN}"]


def test_a_forward_that_ends_there_ends_here(here: House, description: Path) -> None:
    """As PostfixAdmin writes it, with a row for each mailbox: `ada ada` is no alias."""
    here.write("virtual", f"ada@{DOMAIN} bob@{DOMAIN}\n")
    here.take_over(description)
    assert here.leads_to(f"ada@{DOMAIN}") == {f"Bob@{DOMAIN}"}
    assert "its mail goes to the alias's targets" in here.details(NOTED)
    here.write("virtual", f"ada@{DOMAIN} ada@{DOMAIN}\n")
    here.take_over(description)
    assert here.told(REMOVED) == [f"ada@{DOMAIN}"]
    assert here.leads_to(f"ada@{DOMAIN}") == {f"ada@{DOMAIN}"}
    assert here.take_over(description).writes == 0
    here.write("virtual", f"ada@{DOMAIN} ada@{DOMAIN}, bob@{DOMAIN}\n")
    here.take_over(description)
    assert here.leads_to(f"ada@{DOMAIN}") == {f"ada@{DOMAIN}", f"Bob@{DOMAIN}"}


def test_domains_that_were_closed_keep_their_aliases(here: House, description: Path) -> None:
    here.take_over(description)
    ledger = Ledger(here.platform.database, here.platform.clock)
    ledger.plan(DOMAIN, ["s1"])
    ledger.set_plan(DOMAIN, CLOSED, expected={PLANNED})
    here.write("virtual", LISTS.replace("team", "gang"))
    here.write("users", USERS + f"late@{DOMAIN}:{SECRET}\n")
    report = here.take_over(description)
    figures = report.figures
    assert (figures["alias of a closed domain"], figures["account of a closed domain"]) == (3, 3)
    assert (report.writes, here.rows) == (0, [])


def test_collisions_are_told_with_both_places(here: House) -> None:
    here.write("users", USERS + f"ADA@{DOMAIN}:{OTHER}::::::\n")
    here.write("virtual", f"{LISTS}Team@{DOMAIN} bob@{DOMAIN}\n")
    report = here.take_over(here.describe(PASSWD, VIRTUAL))
    assert report.refusals == 2
    assert f"users:4: ADA@{DOMAIN} is the account of {here.root}/users:2 once more" in here.details(REFUSED)
    assert f"virtual:4: alias team@{DOMAIN} is that of {here.root}/virtual:1" in here.details(REFUSED)
    assert here.account(f"ada@{DOMAIN}").password_hash == SECRET


def test_sources_complete_each_other_and_the_first_holds(here: House) -> None:
    here.write("boxes", f"ada@{DOMAIN} {DOMAIN}/ada/\ncarl@{DOMAIN} {DOMAIN}/carl/\n")
    here.write("users", USERS)
    here.write(
        "more.csv", f"address,password,quota,active\nada@{DOMAIN},{OTHER},5G,no\nbob@{DOMAIN},,5G,yes\n"
    )
    boxes = 'format = "postfix-mailboxes"\nfile = "boxes"'
    report = here.take_over(here.describe(boxes, PASSWD, 'format = "csv"\nfile = "more.csv"'))
    assert report.refusals == 0
    ada, bob = here.account(f"ada@{DOMAIN}"), here.account(f"bob@{DOMAIN}")
    assert (ada.password_hash, ada.quota, ada.active) == (SECRET, 1 << 30, False)
    assert (bob.password_hash, bob.quota) == (SECRET, 5 << 30)
    assert here.account(f"carl@{DOMAIN}").password_hash == ""


def test_domains_are_made_where_a_source_lists_them(here: House) -> None:
    here.write(
        "users", f"a@bücher.example:{SECRET}\nb@xn--bcher-kva.example:{SECRET}\nc@other.example:{SECRET}\n"
    )
    here.write("domains", "Bücher.Example OK\n")
    listed = 'format = "postfix-domains"\nfile = "domains"'
    report = here.take_over(here.describe(listed, PASSWD))
    assert report.refusals == 1
    assert "users:3: c@other.example: other.example is not ours; list it" in here.details(REFUSED)
    assert {str(each.address) for each in here.directory.accounts()} == {
        "a@xn--bcher-kva.example",
        "b@xn--bcher-kva.example",
    }
    dry = here.take_over(here.describe(PASSWD, head="add_domains = true"), write=False)
    assert (dry.refusals, here.told(ADDED)) == (0, ["other.example", "c@other.example"])
    assert here.take_over(here.describe(PASSWD, head="add_domains = true")).refusals == 0
    assert here.account("c@other.example").password_hash == SECRET


def test_some_domains_alone(here: House) -> None:
    here.write("users", USERS + f"c@other.example:{SECRET}\n")
    here.write("virtual", LISTS + f"x@other.example ada@{DOMAIN}\n")
    head = f'add_domains = true\ndomains = ["{DOMAIN.upper()}"]'
    report = here.take_over(here.describe(PASSWD, VIRTUAL, head=head))
    assert (report.refusals, report.figures["account added"], report.figures["alias added"]) == (0, 2, 2)


def test_targets_elsewhere_are_refused_one_by_one(here: House) -> None:
    here.write("users", USERS)
    here.write(
        "virtual", f"team@{DOMAIN} ada@{DOMAIN}, x@elsewhere.example\nout@{DOMAIN} y@elsewhere.example\n"
    )
    report = here.take_over(here.describe(PASSWD, VIRTUAL))
    assert report.refusals == 2
    assert "virtual:1: alias team" in here.details(REFUSED)
    assert here.alias(f"team@{DOMAIN}") == [f"ada@{DOMAIN}"]
    assert here.alias(f"out@{DOMAIN}") == []
    assert here.take_over(here.describe(PASSWD, VIRTUAL)).writes == 0
    here.directory.add_domain("elsewhere.example")
    here.take_over(here.describe(PASSWD, VIRTUAL))
    assert here.alias(f"team@{DOMAIN}") == [f"ada@{DOMAIN}", "x@elsewhere.example"]


def test_a_domain_that_is_anothers_twin(here: House) -> None:
    here.write("users", USERS + f"own@twin.test:{SECRET}\n")
    here.write(
        "virtual",
        f"{LISTS}@twin.test @{DOMAIN}\nspecial@twin.test own@twin.test\nown@{DOMAIN} ada@{DOMAIN}\n",
    )
    report = here.take_over(here.describe(PASSWD, VIRTUAL))
    assert report.refusals == 0
    assert here.leads_to("ADA@twin.test") == {f"ada@{DOMAIN}"}
    assert here.leads_to("team@twin.test") == {f"ada@{DOMAIN}", f"Bob@{DOMAIN}"}
    assert here.leads_to("whoever@twin.test") == {f"ada@{DOMAIN}"}
    assert here.leads_to("special@twin.test") == {"own@twin.test"}
    assert here.leads_to("own@twin.test") == {"own@twin.test"}, "an account of its own"
    assert here.take_over(here.describe(PASSWD, VIRTUAL)).writes == 0


def test_a_source_that_cannot_be_read_changes_nothing(here: House, description: Path) -> None:
    (here.root / "virtual").unlink()
    with pytest.raises(InvalidInput, match=r"virtual: No such file"):
        here.take_over(description)
    assert here.content() == (set(), set())


def test_no_secret_is_told_or_logged(
    here: House, description: Path, caplog: pytest.LogCaptureFixture
) -> None:
    users = USERS + f"{SECRET}:zoe@{DOMAIN}\nzoe@{DOMAIN}:{{NOPE}}hush-hush\n"
    here.write("users", users)
    here.take_over(description)
    here.write("users", users.replace(SECRET, OTHER))
    here.take_over(description)
    told = repr(here.rows) + caplog.text + repr(audit_log.Audit(here.platform.database).entries())
    assert "{PLAIN}" in told
    for secret in ("hush", "mum-is"):
        assert secret not in told
    assert "{NOPE} is no scheme" in here.details(REFUSED)
    assert here.account(f"zoe@{DOMAIN}").password_hash == ""


def test_the_audit_log_says_who_was_changed(here: House, description: Path) -> None:
    here.take_over(description, who="someone")
    entries = here.platform.audit.entries(action="directory")
    assert {(each.action, each.subject, each.who) for each in entries} == {
        ("directory.add", f"ada@{DOMAIN}", "someone"),
        ("directory.add", f"Bob@{DOMAIN}", "someone"),
        ("directory.alias.add", f"team@{DOMAIN}", "someone"),
        ("directory.alias.add", f"@{DOMAIN}", "someone"),
    }


def test_an_unknown_backend(here: House, description: Path) -> None:
    description.write_text(description.read_text().replace('"old"', '"new"'))
    with pytest.raises(NotFound, match="no backend new"):
        here.take_over(description)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('backend = "old"', "source: Field required"),
        ('backend = "old"\nsource = []', "no [[source]]"),
        ('backend = "old"\nbakend = 1\n[[source]]\nformat = "csv"\nfile = "x"', "bakend: Extra inputs"),
        ('backend = "old"\n[[source]]\nfile = "x"', "source 1: format is missing; known: aliases, courier"),
        ('backend = "old"\n[[source]]\nformat = "csv"\nfiles = "hush"', "source 1: file: Field required"),
        ('backend = "old"\n[[source]]\nformat = "xml"', "'xml' is no format"),
    ],
)
def test_descriptions_that_cannot_be_right(here: House, text: str, said: str) -> None:
    path = here.write("old.toml", text)
    with pytest.raises(InvalidInput) as refused:
        here.take_over(path)
    assert said in str(refused.value)
    assert "hush" not in str(refused.value)


def test_addresses_as_the_directory_has_them(here: House) -> None:
    """A quoted local part, capitals, a domain in its own script."""
    here.write("users", f'"John Doe"@{DOMAIN.upper()}:{SECRET}\n')
    here.take_over(here.describe(PASSWD))
    assert here.directory.account(Address("John Doe", DOMAIN)).password_hash == SECRET


def test_one_at_a_time(here: House, description: Path) -> None:
    with staging(folder_of(here.platform), describe(description), lambda remark: None) as staged:
        staged.fill(lambda: None)
        folder = folder_of(here.platform)
        assert (folder.stat().st_mode & 0o777, (folder / "staging.db").exists()) == (0o700, True)
        with pytest.raises(Unavailable, match="by another process"):
            here.take_over(description)
    assert here.take_over(description).writes == 4


def test_what_another_process_made_meanwhile_is_said(here: House) -> None:
    takeover = Takeover(here.platform.database, here.platform.clock, here.root, who="tester")
    with pytest.raises(AlreadyExists, match="run it again"), takeover._writing() as connection:
        connection.execute(domain.insert().values(name=DOMAIN, quota=0))


VICTIM = "victim.test"
FOREIGN = f"""ada@{DOMAIN}:{SECRET}:1000:1000::/home/ada::
ceo@{VICTIM}:{SECRET}:1000:1000::/home/ceo::
"""


@pytest.mark.parametrize("has", ["an account", "an alias"])
def test_nobody_gets_anything_in_another_customers_domain(here: House, has: str) -> None:
    """The old platform of one customer may be in the hands of somebody else."""
    here.directory.add_domain(VICTIM)
    if has == "an account":
        here.directory.add_account(Address("boss", VICTIM), home=ShardHome("s1"), password_hash=SECRET)
    else:
        here.directory.add_domain("elsewhere.test")
        here.directory.add_alias(f"info@{VICTIM}", [Address("info", "elsewhere.test")])
    here.write("users", FOREIGN)
    here.write(
        "virtual", f"sales@{VICTIM} ada@{DOMAIN}\n@{VICTIM} ada@{DOMAIN}\nteam@{DOMAIN} ada@{DOMAIN}\n"
    )
    description = here.describe(PASSWD, VIRTUAL)
    done = here.take_over(description)
    assert done.refusals == 3
    assert f"{VICTIM} has accounts or aliases here, and none of them is of backend old" in here.details(
        REFUSED
    )
    assert here.told(ADDED) == [f"ada@{DOMAIN}", f"team@{DOMAIN}"]
    with pytest.raises(NotFound):
        here.account(f"ceo@{VICTIM}")
    assert here.leads_to(f"sales@{VICTIM}") == set()
    named = here.describe(PASSWD, VIRTUAL, head=f'domains = ["{DOMAIN}", "{VICTIM}"]')
    here.take_over(named)
    assert here.account(f"ceo@{VICTIM}")
    assert here.leads_to(f"sales@{VICTIM}") == {f"ada@{DOMAIN}"}
    here.write("users", FOREIGN + f"cfo@{VICTIM}:{SECRET}:1000:1000::/home/cfo::\n")
    assert here.take_over(description).refusals == 0, "some of it is of the backend now"
    assert here.account(f"cfo@{VICTIM}")
