"""Clients that others wrote."""

import asyncio
import shutil
import smtplib
import ssl
import subprocess

import pytest

from tests.ingress.house import House


async def test_smtplib_with_addresses_in_utf8(house: House) -> None:
    address = await house.listen()

    def talk() -> None:
        with smtplib.SMTP(*address) as client:
            client.ehlo("client.example")
            client.sendmail(
                "отправитель@пример.испытание",
                ["用户@例え.テスト"],
                "Subject: grüße\r\n\r\nкак дела\r\n".encode(),
                mail_options=["SMTPUTF8", "BODY=8BITMIME"],
            )

    await asyncio.to_thread(talk)
    [kept] = house.kept("用户")
    assert b" with UTF8SMTP\r\n" in kept
    assert "\tfor <用户@xn--r8jz45g.xn--zckzah>;".encode() in kept
    [envelope] = house.delivery.envelopes
    assert envelope.utf8
    assert envelope.body == "8BITMIME"
    assert str(envelope.reverse_path) == "отправитель@xn--e1afmkfd.xn--80akhbyknj4f"


async def test_smtplib_over_tls_with_refused_recipients(
    house: House, tls: ssl.SSLContext, trust: ssl.SSLContext
) -> None:
    host, port = await house.listen(tls=tls)

    def talk() -> dict[str, tuple[int, bytes]]:
        client = smtplib.SMTP()
        client.connect(host, port)
        client._host = "mx.example.org"  # the name in the certificate; there is no DNS here
        client.starttls(context=trust)
        names = ["anna@example.org", "nobody@example.org", "x@elsewhere.example"]
        refused = client.sendmail("a@remote.example", names, b"Subject: x\r\n\r\n.\r\n..\r\n")
        client.quit()
        return refused

    refused = await asyncio.to_thread(talk)
    assert {name: reply[0] for name, reply in refused.items()} == {
        "nobody@example.org": 550,
        "x@elsewhere.example": 550,
    }
    assert house.kept("anna")[0].endswith(b"\r\nSubject: x\r\n\r\n.\r\n..\r\n")


async def test_smtplib_lmtp(house: House) -> None:
    host, port = await house.listen(lmtp=True)

    def talk() -> None:
        with smtplib.LMTP(host, port) as client:
            client.sendmail("a@remote.example", ["anna@example.org"], b"Subject: x\r\n\r\n")

    await asyncio.to_thread(talk)
    assert len(house.kept("anna")) == 1


@pytest.mark.interop
async def test_swaks(house: House, tls: ssl.SSLContext) -> None:
    swaks = shutil.which("swaks")
    if swaks is None:
        pytest.skip("swaks is not installed")
    host, port = await house.listen(tls=tls)
    command = [swaks, "--server", f"{host}:{port}", "--pipeline", "--to", "anna@example.org"]
    command += ["--from", "a@remote.example", "--tls-optional", "--body", "hello from swaks"]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert b"hello from swaks" in house.kept("anna")[0]
