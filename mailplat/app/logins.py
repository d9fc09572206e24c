"""What the login service of the doors needs of the settings."""

import ssl

from mailplat.access.capture import Capture
from mailplat.access.forwarding import ForwardedSessions
from mailplat.access.imap import Sharing
from mailplat.access.introspection import Introspection, OAuthSettings
from mailplat.access.login import LoginService, Master
from mailplat.access.throttle import ThrottleLimits
from mailplat.app.sections import AuthSection, OauthSection
from mailplat.app.wiring import Platform
from mailplat.core.clock import Clock
from mailplat.core.errors import InvalidInput


async def open_logins(platform: Platform, forwarded: ForwardedSessions, capture: Capture) -> LoginService:
    """Raises InvalidInput for settings that cannot work, Unavailable when the database cannot answer."""
    auth = platform.settings.auth
    service = LoginService(
        platform.directory,
        platform.verifier,
        platform.store,
        forwarded,
        capture,
        platform.bus,
        platform.executors,
        platform.clock,
        master=Master(auth.master_user, auth.master_password) if auth.master_user else None,
        throttle=_limits(auth),
        tokens=open_tokens(platform.settings.oauth, platform.clock),
        rehash=auth.rehash,
        meter=platform.meter,
    )
    await service.enrolment.look()  # the first client sees what is offered
    return service


def _limits(auth: AuthSection) -> ThrottleLimits:
    return ThrottleLimits(
        address_failures=auth.address_failures,
        network_failures=auth.network_failures,
        waiting=auth.unauthenticated_per_network,
        trusted=tuple(auth.trusted_networks),
    )


def open_tokens(oauth: OauthSection, clock: Clock) -> Introspection | None:
    """Asks nobody yet. Raises InvalidInput for an URL or a file of authorities that cannot be used."""
    if not oauth.introspection_url:
        return None
    tls = None
    if oauth.ca:
        try:
            tls = ssl.create_default_context(cafile=oauth.ca)
        except (OSError, ssl.SSLError) as error:
            raise InvalidInput(f"oauth.ca: {oauth.ca}: {error}") from error
    return Introspection(
        OAuthSettings(
            url=oauth.introspection_url,
            client_id=oauth.client_id,
            client_secret=oauth.client_secret,
            scope=oauth.scope,
            audience=oauth.audience,
            claim=oauth.claim,
            timeout=oauth.timeout,
            cache=oauth.cache,
            tls=tls,
        ),
        clock,
    )


def open_sharing(platform: Platform) -> Sharing | None:
    """None where the settings say that nothing is shared."""
    settings = platform.settings.imap
    if not settings.shared_prefix:
        return None
    return Sharing(
        platform.directory,
        platform.store,
        platform.executors,
        platform.clock,
        prefix=settings.shared_prefix,
        across=settings.share_across_domains,
        owners=settings.shared_owners,
    )
