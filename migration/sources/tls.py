"""TLS towards a source: encrypted, not verified, as the proxy does it. The certificate of the platform that we
replace is often made for other names, or by nobody; the network between the two is the provider's own."""

import ssl


def context() -> ssl.SSLContext:
    made = ssl.create_default_context()
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made


def explain(error: Exception, option: str, tls: str) -> str:
    """Why a connection did not come about, and which value of `option` (of `migrate backend add`) would be right
    where the server seems to speak the other kind of TLS."""
    reason = str(error) or type(error).__name__
    if isinstance(error, TimeoutError) and tls != "implicit":
        return f"no greeting in time; a port that speaks TLS from the first octet needs {option} implicit"
    if isinstance(error, ssl.SSLError) and tls == "implicit":
        return f"{reason}; a port that begins in the clear needs {option} starttls or none"
    return reason
