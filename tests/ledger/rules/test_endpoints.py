"""Endpoints: which URLs a pattern allows (contract.md, Endpoints)."""

import pytest

from ledger import Endpoint, Reason, RegisterAgent
from ledger.endpoints import allows

SITE = "https://svc.example"


def allowed(pattern, url, method="GET", wanted="GET"):
    return allows([Endpoint(wanted, pattern)], method, url)


@pytest.mark.parametrize(
    ("pattern", "url"),
    [
        ("/ask", "/ask"),
        ("/ask", "/ask?q=1"),
        ("/ask", "/ask?next=//evil.example/../x"),
        ("/ask/*", "/ask/7"),
        ("/ask/*/more", "/ask/7/more"),
        ("/v*/ask", "/v2/ask"),
        ("/*.json", "/data.json"),
        ("/a*b*c", "/aXbYc"),
        ("/users/:id", "/users/7"),
        ("/users/:id/posts/:post", "/users/7/posts/x-y"),
        ("/a b", "/a%20b"),
        ("/a%20b", "/a%20b"),
        ("/caf%C3%A9", "/café"),
        ("/a%252Fb", "/a%252Fb"),
        ("/", "/"),
        ("/", ""),
        ("/a.b", "/a.b"),
        ("/a...b", "/a...b"),
    ],
)
def test_a_path_that_a_pattern_allows(pattern, url):
    assert allowed(SITE + pattern, SITE + url)


@pytest.mark.parametrize(
    ("pattern", "url"),
    [
        ("/ask", "/asks"),
        ("/ask", "/ask/"),
        ("/ask", "/Ask"),
        ("/ask", "/"),
        ("/ask/*", "/ask/7/more"),
        ("/ask/*", "/ask"),
        ("/*", "/a/b"),
        ("/a*b", "/a/b"),
        ("/users/:id", "/users/"),
        ("/users/:id", "/users/7/posts"),
        ("/users/:id", "/users"),
        ("/x:id", "/x7"),
        ("/a.b", "/aXb"),
        ("/a+", "/aa"),
        ("/a|b", "/b"),
        ("/(a)", "/a"),
        ("/a%2520b", "/a%20b"),
        ("/a b", "/a%2520b"),
        ("/ask*", "/askme/y"),
    ],
)
def test_a_path_that_a_pattern_does_not_allow(pattern, url):
    assert not allowed(SITE + pattern, SITE + url)


@pytest.mark.parametrize(
    "path",
    [
        "/a/../b",
        "/a/%2e%2e/b",
        "/a/%2E./b",
        "/a/.%2e/b",
        "/..",
        "/a//b",
        "//a",
        "/a%2Fb",
        "/a%2fb",
        "/a%2F%2Fb",
        "/a%5Cb",
        "/a\\b",
        "/a%00b",
        "/a%FFb",
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(path):
    """Whatever the pattern says: `..`, `//`, an encoded slash."""
    for pattern in ("/*", "/*/*", "/*/*/*", "/:a", "/:a/:b", "/:a/:b/:c"):
        assert not allowed(SITE + pattern, SITE + path)


@pytest.mark.parametrize(
    "url",
    [
        "https://me@svc.example/ask",
        "https://me:secret@svc.example/ask",
        "https://@svc.example/ask",
        "https://svc.example@evil.example/ask",
        "https://evil.example\\@svc.example/ask",
    ],
)
def test_user_info_is_refused(url):
    assert not allowed(SITE + "/ask", url)
    assert not allowed("https://evil.example/ask", url)


@pytest.mark.parametrize(
    ("pattern", "url"),
    [
        ("https://svc.example/ask", "HTTPS://SVC.Example/ask"),
        ("HTTPS://Svc.Example/ask", "https://svc.example/ask"),
        ("https://svc.example/ask", "https://svc.example:443/ask"),
        ("https://svc.example:443/ask", "https://svc.example/ask"),
        ("http://svc.example/ask", "http://svc.example:80/ask"),
        ("https://svc.example:8443/ask", "https://svc.example:8443/ask"),
        ("http://[::1]:8402/ask", "http://[::1]:8402/ask"),
    ],
)
def test_scheme_and_host_are_case_folded_and_the_default_port_is_dropped(pattern, url):
    assert allowed(pattern, url)


@pytest.mark.parametrize(
    ("pattern", "url"),
    [
        ("https://svc.example/ask", "http://svc.example/ask"),
        ("https://svc.example/ask", "https://svc.example:80/ask"),
        ("https://svc.example/ask", "https://svc.example:8443/ask"),
        ("https://svc.example/ask", "https://svc.example.evil.example/ask"),
        ("https://svc.example/ask", "https://evil.example/svc.example/ask"),
        ("https://svc.example/ask", "https://sub.svc.example/ask"),
        ("https://svc.example/ask", "/ask"),
        ("https://svc.example/ask", ""),
        ("https://svc.example/ask", "https://svc.example:bad/ask"),
        ("https://svc.example/ask", "https://[svc.example/ask"),
    ],
)
def test_another_place_is_not_allowed(pattern, url):
    assert not allowed(pattern, url)


def test_the_method_must_be_the_patterns_or_any():
    assert allowed(SITE + "/ask", SITE + "/ask", "POST", "POST")
    assert allowed(SITE + "/ask", SITE + "/ask", "DELETE", "*")
    assert not allowed(SITE + "/ask", SITE + "/ask", "GET", "POST")
    assert not allowed(SITE + "/ask", SITE + "/ask", "", "POST")


@pytest.mark.parametrize("url", [f"{SITE}/ask", f"{SITE}/free/7"])
def test_an_agent_allows_its_endpoints_and_its_open_endpoints(shop, url):
    endpoints, open_endpoints = (Endpoint("*", f"{SITE}/ask"),), (Endpoint("*", f"{SITE}/free/*"),)
    bot = RegisterAgent(agent="bot", owner="acme", plans=("pro",), endpoints=endpoints, open_endpoints=open_endpoints)
    shop.given(shop.plan(), shop.buy(), bot)
    shop.when(shop.ask(1, agent="bot", method="GET", url=url))
    shop.refuses(shop.ask(1, agent="bot", method="GET", url=f"{SITE}/other"), Reason.endpoint_not_allowed)


def test_no_url_is_not_checked(shop):
    bot = RegisterAgent(agent="bot", owner="acme", plans=("pro",), endpoints=(Endpoint("*", f"{SITE}/ask"),))
    shop.given(shop.plan(), shop.buy(), bot)
    shop.when(shop.ask(1, agent="bot"))


def test_an_agent_without_endpoints_allows_any(shop):
    shop.given(shop.plan(), shop.buy(), RegisterAgent(agent="bot", owner="acme", plans=("pro",)))
    shop.when(shop.ask(1, agent="bot", method="GET", url=f"{SITE}/whatever"))
