"""Which addresses a scheduler may have, who may reach it, and what a task's resource is called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_lab.cluster.connection import Address, check_exposure, own_host, parse_address
from device_lab.cluster.tasks import phone_of, phone_resource
from ortlab.errors import UsageError


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("lab.example", "tcp://lab.example:8786"),
        ("127.0.0.1:0", "tcp://127.0.0.1:0"),
        ("tls://10.0.0.1", "tls://10.0.0.1:8786"),
        (" tcp://[::1]:9000 ", "tcp://[::1]:9000"),
    ],
)
def test_what_is_left_out_is_filled_in(text: str, shown: str) -> None:
    assert str(parse_address(text, role="scheduler")) == shown


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_is_refused(text: str) -> None:
    try:
        address = parse_address(text, role="worker")
    except UsageError:
        return
    assert address.protocol in ("tcp", "tls")
    assert 0 <= address.port <= 65535
    assert parse_address(str(address), role="worker") == address


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("[::]", False),
        ("192.168.1.5", False),
        ("localhost.example", False),
    ],
)
def test_beyond_loopback_it_takes_tls_or_a_person_who_insists(host: str, *, loopback: bool) -> None:
    plain = Address(protocol="tcp", host=host, port=8786)
    assert plain.is_loopback == loopback
    check_exposure(plain, without_tls=True)
    check_exposure(Address(protocol="tls", host=host, port=8786), without_tls=False)
    if loopback:
        check_exposure(plain, without_tls=False)
    else:
        with pytest.raises(UsageError, match="without TLS") as caught:
            check_exposure(plain, without_tls=False)
        assert "--without-tls" in (caught.value.next_step or "")


@pytest.mark.parametrize(("host", "ours"), [("localhost", "127.0.0.1"), ("[::1]", "[::1]")])
def test_a_worker_of_a_scheduler_on_loopback_stays_there(host: str, ours: str) -> None:
    assert own_host(Address(protocol="tcp", host=host, port=8786)) == ours


@given(st.text(max_size=40))
def test_a_resource_names_its_phone(phone_id: str) -> None:
    assert phone_of(phone_resource(phone_id)) == phone_id


def test_other_resources_are_no_phones() -> None:
    assert phone_of("GPU") is None
