"""Addresses that are the public's, and those that are not."""

from ipaddress import ip_address

import pytest

from uploadstream.core.addresses import is_among, is_public, is_web_port


@pytest.mark.parametrize(
    "text",
    [
        *("1.1.1.1", "93.184.216.34", "172.15.255.255", "172.32.0.0", "223.255.255.255"),
        *("2606:4700::1111", "2a00:1450::5", "64:ff9b::1.1.1.1"),
    ],
)
def test_f11_an_address_of_the_internet_is_public(text: str) -> None:
    assert is_public(ip_address(text))


@pytest.mark.parametrize(
    "text",
    [
        # this machine, and nobody
        *("127.0.0.1", "127.1.2.3", "0.0.0.0", "0.1.2.3", "::1", "::"),
        # the network around it
        *("10.0.0.1", "100.64.0.1", "100.127.255.255", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
        "169.254.169.254",
        *("fe80::1", "fe80::1%2", "fec0::1", "fc00::1", "fd12:3456::1", "fd00:ec2::254"),
        # many, or all
        *("224.0.0.1", "239.255.255.250", "255.255.255.255", "ff02::1", "ff0e::1"),
        # nobody's yet, or only on paper
        *("240.0.0.1", "192.0.0.170", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "192.88.99.1"),
        *("2001:db8::1", "3fff::1", "5f00::1", "100::1", "4000::1"),
        # one of version 4 inside one of version 6: mapped, compatible, 6to4, Teredo, translated
        *("::ffff:127.0.0.1", "::ffff:1.1.1.1", "::ffff:a00:1", "::127.0.0.1", "::1.1.1.1"),
        *("2002:7f00:1::", "2002:101:101::1", "2001:0:7f00:1::1"),
        *("64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::101:101", "64:ff9b::1.1.1.1%2", "2606:4700::1%2"),
    ],
)
def test_f11_any_other_address_is_not(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("port", [80, 443, 1024, 8080, 65535])
def test_f11_a_web_server_may_be_at_its_own_ports_and_at_free_ones(port: int) -> None:
    assert is_web_port(port)


@pytest.mark.parametrize("port", [0, 22, 25, 81, 1023, 65536])
def test_f11_other_services_ports_are_left_alone(port: int) -> None:
    assert not is_web_port(port)


@pytest.mark.parametrize(
    ("host", "patterns", "expected"),
    [
        ("a.example", ["*"], True),
        ("a.example", ["b.example", "a.example"], True),
        ("A.Example.", ["a.example"], True),
        ("b.a.example", ["a.example"], False),
        ("b.a.example", ["*.a.example"], True),
        ("c.b.a.example", ["*.a.example"], True),
        ("a.example", ["*.a.example"], False),
        ("xa.example", ["*.a.example", "a.example"], False),
        ("a.example", [], False),
    ],
)
def test_f11_a_host_is_among_those_that_are_named(host: str, patterns: list[str], expected: bool) -> None:
    assert is_among(host, patterns) is expected
