#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""TLS, logins, XCLIENT, limits and networks in one configuration: they count, reload and are
explained together."""
import json
import re
import subprocess

import harness
from auth_test import GOOD, plain
from harness import Client, Relayd, wait_until
from tls_test import Authority, TlsClient, anybody, section

FRONT = "127.0.0.5"
USERS = ("billing", "shop")
CONFIG = """
hostname  = "relay.example.com"
state-dir = "{state}"
workers   = 2
{user}
sasl {{ users-file = "{state}/../users"  realm = "example.com" }}
accepted-domain "example.com" {{ }}
{tls}
connector "apps" {{
    bindings         = {{ "127.0.0.1:{port}" }}
    remote-ip-ranges = {{ "127.0.0.0/8", "10.0.0.0/8" }}
    tls              = "offered"
    auth-mechanisms  = {{ "PLAIN", "SCRAM-SHA-256" }}
    xclient          = {{ "127.0.0.5" }}
    tarpit-interval  = "0s"
    max-connections-per-source = unlimited
    max-protocol-errors = 0
}}
grant "people" {{
    owner       = "it@example.com"
    users       = {{ "*@example.com" }}
    require-tls = {require_tls}
    senders     = {{ "@example.com" }}
    recipients  = {{ "*" }}
    limits      = {{ "{limit} messages/hour per login" }}
}}
grant "machines" {{
    networks    = {{ "10.20.1.0/24" }}
    senders     = {{ "scan@example.com" }}
    recipients  = {{ "accepted-domains" }}
}}
connector "none-of-these" {{
    bindings         = {{ "127.0.0.1:{port}" }}
    remote-ip-ranges = {{ "192.0.2.0/24" }}
}}
grant "elsewhere" {{
    connectors  = {{ "none-of-these" }}
    networks    = {{ "192.0.2.1" }}
    senders     = {{ "@example.com" }}
    recipients  = {{ "*" }}
}}
route "drop" {{ recipients = {{ "*" }}  maildir = "{state}/maildir" }}
"""


class Site:
    def __init__(self, workspace, **values):
        pair = Authority(workspace).issue("relay", "DNS:relay.example.com")
        self.relayd = Relayd(workspace, config="")
        self.values = dict(tls=section("default", [pair]), require_tls="true", limit=3)
        self.write(**values)
        for user in USERS:
            done = subprocess.run(
                [harness.BUILD / "bin" / "relayctl", "-c", self.relayd.config_path, "user", "add",
                 user], input=GOOD, capture_output=True, text=True, timeout=harness.PATIENCE_S)
            assert done.returncode == 0, done
        self.relayd.start()

    def write(self, **changes):
        self.values.update(changes)
        self.relayd.write_config(CONFIG, **self.values)

    def login(self, user):
        client = TlsClient(self.relayd.port, anybody())
        client.expect("EHLO app.example", "250")
        client.expect(plain(user, GOOD), "235")
        return client

    def front(self, what):
        client = Client(self.relayd.port, source=FRONT)
        client.expect("EHLO front.example", "250")
        client.expect(f"XCLIENT {what}", "220")
        client.expect("EHLO app.example", "250")
        return client

    def explain(self, *options):
        done = self.relayd.ctl("explain", "--json", "--from", "a@example.com", "--to",
                               "b@partner.example", *options, check=False)
        return done.returncode, json.loads(done.stdout)


def send(client, sender="a@example.com"):
    client.expect(f"MAIL FROM:<{sender}>", "250")
    reply = client.command("RCPT TO:<b@partner.example>")
    if not reply.startswith("250"):
        client.expect("RSET", "250")
        return reply
    client.expect("DATA", "354")
    client.send(f"From: {sender}\r\n\r\nhello\r\n")
    return client.command(".")


def limits_per_login_follow_the_login(workspace):
    """Over sessions, addresses, spellings and ways to log in; one login's use is no other's."""
    site = Site(workspace, require_tls="false")
    with site.login("billing") as one, site.login("billing@example.com") as two:
        assert send(one).startswith("250")
        assert send(two).startswith("250")
    with site.front("ADDR=10.20.9.9 LOGIN=billing") as front:  # the same login, told by the front
        assert send(front).startswith("250")
        reply = send(front)
        assert reply.startswith("451 4.7.1 Too many messages"), reply
    record = site.relayd.attempts(reason="quota.messages")[-1]
    assert record["auth"]["mechanism"] == "XCLIENT", record
    assert record["detail"].startswith("3 messages/hour per login of grant people used up by "
                                       "billing"), record
    with site.login("billing") as client:
        assert send(client).startswith("451 4.7.1 ")
    assert site.relayd.attempts(reason="quota.messages")[-1]["auth"]["mechanism"] == "PLAIN"
    with site.login("shop") as client:
        assert [send(client)[:3] for _ in range(4)] == ["250"] * 3 + ["451"]
    with site.front("ADDR=10.20.9.9 LOGIN=else") as front:
        assert [send(front)[:3] for _ in range(4)] == ["250"] * 3 + ["451"]
    site.relayd.stop()


def new_sessions_get_the_new_policy_and_old_ones_keep_theirs(workspace):
    site = Site(workspace)
    old = site.login("billing")
    assert send(old).startswith("250")
    site.write(limit=1, require_tls="false")  # used up by now, and in clear, too
    site.relayd.reload()
    assert send(old).startswith("250"), "three a session that began before, still"
    with site.login("billing") as new:
        reply = send(new)
        assert reply.startswith("451 4.7.1 "), reply
    with Client(site.relayd.port) as clear:
        clear.expect("EHLO app.example", "250")
        clear.expect(plain("shop", GOOD), "235")
        assert send(clear).startswith("250")
    policies = {r["policy"] for r in site.relayd.attempts()}
    assert len(policies) == 2, policies
    # a broken file: the old one stays, and both relayctl and the log say where it is broken
    before = site.relayd.status()["policy"]
    for change, what in ((dict(limit="no"), "'no messages/hour per login'"),
                         (dict(limit=9, tls='tls "default" { certificate = "/nowhere.pem" '
                               'key = "/nowhere.key" }'), "/nowhere.pem")):
        site.write(**change)
        done = site.relayd.ctl("reload", check=False)
        assert done.returncode == 3 and what in done.stderr, done
        assert "goes on with the configuration it had" in done.stderr, done
        assert what in site.relayd.log() and "stays in force" in site.relayd.log()
        assert site.relayd.status()["policy"] == before
        with site.login("billing") as client:
            assert send(client).startswith("451 4.7.1 "), "the limit of before"
    assert send(old).startswith("250"), "its third"
    assert send(old).startswith("451 4.7.1 "), "its limit"
    old.close()
    wait_until(lambda: {w["generation"] for w in site.relayd.status()["workers"]} == {2},
               "the first policy's workers to end")
    site.relayd.stop()


def explain_rights_and_why_say_the_same(workspace):
    site = Site(workspace)
    code, told = site.explain("--client", "10.20.1.7", "--user", "billing", "--tls")
    assert code == 0 and told["verdict"] == "relayed" and told["grant"] == "people", told
    code, told = site.explain("--client", "10.20.9.9", "--user", "billing")
    assert code == 1 and told["reason"] == "tls.required", told
    stops = [(g["grant"], g["stage"]) for g in told["grants"]]
    assert stops == [("people", "tls"), ("machines", "who"), ("elsewhere", "who")], stops
    code, told = site.explain("--client", "10.20.1.7")
    stops = [(g["grant"], g["stage"]) for g in told["grants"]]
    assert stops == [("machines", "sender"), ("people", "who"), ("elsewhere", "who")], stops
    with site.front("ADDR=10.20.1.7") as front:
        reply = send(front)
    assert reply.startswith(told["reply"] + " ["), (reply, told)
    record = site.relayd.attempts()[-1]
    assert (record["reason"], record["stage"], record["grant"]) == (
        told["reason"], told["stage"], "machines"), (record, told)
    story = site.relayd.ctl("why", record["id"]).stdout
    assert "machines" in story and "sender.not-authorized" in story, story
    for options, holds, lacks, any_recipient in (
            (("--client", "10.20.1.7"), ["machines"], ["people"], "none"),
            (("--client", "10.20.1.7", "--user", "billing", "--tls"), ["people", "machines"],
             ["elsewhere"], "all"),
            (("--client", "10.20.9.9"), [], ["people", "machines"], "none")):
        told = site.relayd.ctl("rights", *options, check=False).stdout
        may, _, may_not = told.partition("NOT BY")
        assert all(f"\n{grant} " in may for grant in holds), told
        assert all(f"\n{grant} " in may_not for grant in lacks), told
        held = re.search(r"Ms-Exch-SMTP-Accept-Any-Recipient +(\w+)", told)
        assert (held.group(1) if held else "none") == any_recipient, told
    anyone = site.relayd.ctl("rights", "--connector", "apps", check=False).stdout
    assert re.search(r"elsewhere .* holds on connectors none-of-these", anyone), anyone
    done = site.relayd.ctl("rights", "--open-relay", check=False)
    assert done.returncode == 0, done
    site.relayd.stop()


if __name__ == "__main__":
    harness.run(limits_per_login_follow_the_login,
                new_sessions_get_the_new_policy_and_old_ones_keep_theirs,
                explain_rights_and_why_say_the_same)
