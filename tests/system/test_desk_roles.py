"""Every route against every role: what the table does not allow is refused, by session and by token."""

import re

import pytest

ROLES = ["customer", "reporter", "analyst", "approver", "auditor", "partner", "operator"]


def concrete(path):
    """The path with something that exists nowhere in the place of its parameters."""
    return re.sub(r"\{[^}]*\}", "nothing-there", path)


@pytest.fixture
def serving(desk_sqlite):
    return desk_sqlite.start()


def ask(client, route):
    headers = {"Content-Type": route["body_type"].replace("*", "text/plain")} if route["body_max"] else None
    return client.ask(route["method"], concrete(route["path"]), body="{}" if route["body_max"] else None,
                      headers=headers, check=False)


def test_every_route_refuses_whoever_the_table_does_not_name(serving):
    for role in ROLES:
        # Ending its own session would end the test.
        client = serving.signed_in(role)
        for route in serving.routes():
            if route["own_credentials"] or route["method"] == "DELETE" and route["path"] in (
                    "/v1/sessions/current", "/v1/sessions"):
                continue
            reply = ask(client, route)
            allowed = role in route["roles"] or "public" in route["roles"]
            place = "%s %s as %s: %d" % (route["method"], route["path"], role, reply.status)
            if allowed:
                assert reply.status != 401 or route["path"] == "/v1/sessions", place
                assert b"/problems/role" not in reply.body, place
            else:
                assert reply.status == 403 and b"/problems/role" in reply.body, place


def test_every_route_that_is_not_public_asks_a_stranger_to_sign_in(serving):
    asked = 0
    for route in serving.routes():
        if "public" in route["roles"] or route["own_credentials"]:
            continue
        reply = ask(serving.client(), route)
        assert reply.status == 401, "%s %s" % (route["method"], route["path"])
        assert reply.header("www-authenticate") == "Bearer"
        asked += 1
    assert asked > 0


def test_every_route_is_described_and_nothing_else_is(serving):
    routes = {(route["method"], route["path"].replace("...}", "}")) for route in serving.routes()}
    document = serving.description().document
    described = {(method.upper(), path) for path, operations in document["paths"].items()
                 for method in operations if method != "parameters"}
    assert routes == described


def test_a_change_in_a_session_needs_its_csrf_token(serving):
    client = serving.signed_in("customer")
    right, client.csrf = client.csrf, "x" * 43
    reply = client.delete("/v1/sessions/current")
    assert reply.status == 403 and reply.json["type"] == "/problems/csrf"
    assert client.get("/v1/account").status == 200
    client.csrf = right
    assert client.delete("/v1/sessions/current").status == 204
    assert client.get("/v1/account").status == 401


def test_a_sign_in_never_takes_over_a_cookie_that_was_planted(serving):
    email = serving.add_account("customer")
    client = serving.client()
    client.cookie, client.csrf = "tamis=" + "A" * 43, "B" * 43
    planted = client.cookie
    client.sign_in(email)
    assert client.cookie != planted
    client.cookie = planted
    assert client.get("/v1/account").status == 401


def test_a_token_that_is_none_is_refused_and_never_taken_for_nobody(serving):
    client = serving.client()
    client.token = "tms_nothing"
    assert client.get("/v1/account").status == 401
    assert client.get("/healthz").status == 401
