#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Every reason, provoked as clients provoke it, in each of the three styles.

What is said on the wire, what `relayctl reason` documents, what the audit record holds and what
`relayctl why` tells of it have to be one and the same.
"""
import contextlib
import json
import os
import re
import signal
import subprocess

import harness
from auth_test import BAD, GOOD, plain
from harness import Client, Relayd, Skip, free_port, wait_until
from tls_test import Authority, section

STYLES = ("relayd", "standard", "exchange")

NOT_HERE = {
    # what nobody can provoke in this release, and why
    "evidence.spf": "require is an option of a later release",
    "evidence.dkim": "require is an option of a later release",
    "evidence.dmarc": "require is an option of a later release",
    "evidence.dnsbl": "dnsbl is an option of a later release",
    "evidence.ptr": "require is an option of a later release",
    "evidence.unknown": "require is an option of a later release",
    "policy.trouble": "it is the temporary answer of evidence that cannot be looked up",
}

ELSEWHERE = {"next-hop.refused": "the words are the next hop's: cut_through_test"}

SENDER, TO = "app@billing.example.com", "user@partner.example"
BODY = f"From: {SENDER}\r\nSubject: t\r\n\r\nhello\r\n"

CONFIG = """
hostname  = "relay.example.com"
state-dir = "{state}"
workers   = 1
{user}
reply-style = "{style}"
sasl {{ {sasl} realm = "example.com" }}
auth-ban {{ failures = 2 }}
accepted-domain "example.com" {{ }}
{shared}
{tls}

connector "apps" {{
    bindings         = {{ "127.0.0.1:{port}" }}
    remote-ip-ranges = {{ "127.0.0.0/24", "10.9.0.0/16" }}
    xclient          = {{ "127.0.0.5" }}
    proxy-protocol   = {{ "127.0.0.6" }}
    tarpit-interval  = "0s"
    max-protocol-errors = 0
    max-connections-per-source = 100
    max-message-size = "64KB"
    max-header-size  = "16KB"
    max-recipients-per-message = 3
    auth-mechanisms  = {{ "PLAIN" }}
}}
connector "quick" {{
    bindings         = {{ "127.0.0.1:{port}" }}
    remote-ip-ranges = {{ "127.0.1.1" }}
    tarpit-interval  = "0s"
    max-protocol-errors = 1
    max-connections-per-source = 1
    inactivity-timeout = "300ms"
}}
connector "slow" {{
    bindings         = {{ "127.0.0.1:{port}" }}
    remote-ip-ranges = {{ "127.0.1.2" }}
    tarpit-interval  = "0s"
    max-connections  = 1
    message-rate-limit = 1
}}
connector "own" {{ # the hosts in front may not speak for these
    bindings         = {{ "127.0.0.1:{port}" }}
    remote-ip-ranges = {{ "10.8.0.0/16" }}
}}
connector "login" {{ # every grant here wants a login
    bindings         = {{ "127.0.0.1:{login_port}" }}
    tarpit-interval  = "0s"
    auth-mechanisms  = {{ "PLAIN" }}
}}
{tls_connector}

grant "main" {{
    connectors = {{ "apps", "quick", "slow" }}
    networks   = {{ "127.0.0.1", "127.0.1.0/24" }}
    senders    = {{ "@billing.example.com" }}
    recipients = {{ "*" }}
}}
grant "elsewhere" {{
    connectors = {{ "login" }}  users = {{ "billing" }}  networks = {{ "192.0.2.0/24" }}
    senders = {{ "@billing.example.com" }}  recipients = {{ "*" }}
}}
grant "over" {{
    connectors = {{ "apps" }}  networks = {{ "127.0.0.10" }}  expires = "2020-01-01"
    senders = {{ "@billing.example.com" }}  recipients = {{ "*" }}
}}
{secret}
grant "own-domain" {{
    connectors = {{ "apps" }}  networks = {{ "127.0.0.12" }}
    senders = {{ "@billing.example.com" }}  recipients = {{ "@example.com" }}
}}
grant "honest" {{
    connectors = {{ "apps" }}  networks = {{ "127.0.0.13" }}  header-from = "authorized"
    senders = {{ "@billing.example.com" }}  recipients = {{ "*" }}
}}
grant "messages" {{
    connectors = {{ "apps" }}  networks = {{ "127.0.0.14" }}  limits = {{ "1 messages/hour" }}
    senders = {{ "@billing.example.com" }}  recipients = {{ "*" }}
}}
grant "recipients" {{
    connectors = {{ "apps" }}  networks = {{ "127.0.0.15" }}  limits = {{ "1 recipients/hour" }}
    senders = {{ "@billing.example.com" }}  recipients = {{ "*" }}
}}
grant "octets" {{
    connectors = {{ "apps" }}  networks = {{ "127.0.0.16" }}  limits = {{ "1KB bytes/hour" }}
    senders = {{ "@billing.example.com" }}  recipients = {{ "*" }}
}}
grant "sessions" {{
    connectors = {{ "apps" }}  networks = {{ "127.0.0.17" }}  limits = {{ "1 sessions" }}
    senders = {{ "@billing.example.com" }}  recipients = {{ "*" }}
}}
route "drop" {{ recipients = {{ "*" }}  maildir = "{state}/maildir" }}
"""
SECRET = """
grant "secret" {
    connectors = { "apps" }  networks = { "127.0.0.11" }  require-tls = true
    senders = { "@billing.example.com" }  recipients = { "*" }
}
"""


def documented_by(config_path=os.devnull):
    done = subprocess.run([harness.BUILD / "bin" / "relayctl", "-c", config_path, "reason",
                                   "--json"], capture_output=True, text=True,
                                  timeout=harness.PATIENCE_S)
    assert done.returncode == 0, done
    return {r["reason"]: r for r in json.loads(done.stdout) if "reason" in r}


class Site:
    """A relayd in one style, with which every reason of a service in order can be had."""

    def __init__(self, folder, style, *, sasl=None, shared="", has_tls=False, environment=None):
        folder.mkdir()
        folder.chmod(0o755)
        self.workspace = harness.Workspace.__new__(harness.Workspace)
        self.workspace.path, self.workspace.closers = folder, []
        self.style = style
        self.login_port, self.tls_port = free_port(), free_port()
        self.relayd = Relayd(self.workspace, config="", environment=environment)
        tls = tls_connector = secret = ""
        if has_tls:
            pair = Authority(self.workspace).issue("relay", "DNS:relay.example.com")
            tls = section("default", [pair])
            secret = SECRET
            tls_connector = (f'connector "implicit" {{ bindings = {{ "127.0.0.1:{self.tls_port}" }}'
                             ' tls = "implicit" }')
        users = folder / "users"
        self.relayd.write_config(CONFIG, style=style, shared=shared, tls=tls, secret=secret,
                                 login_port=self.login_port, tls_connector=tls_connector,
                                 sasl=sasl or f'users-file = "{users}"')
        if sasl is None:
            done = subprocess.run(
                [harness.BUILD / "bin" / "relayctl", "-c", self.relayd.config_path, "user", "add",
                 "billing"], input=GOOD, capture_output=True, text=True, timeout=harness.PATIENCE_S)
            assert done.returncode == 0, done
        self.relayd.start()
        self.documented = documented_by(self.relayd.config_path)
        self.seen = set()

    def stop(self):
        self.relayd.stop()

    def client(self, source="127.0.0.1", hello=True, port=None, **more):
        client = Client(port or self.relayd.port, source=source, **more)
        if hello:
            client.expect("EHLO app.example", "250")
        return client

    def rcpt(self, source, sender=SENDER, to=TO, **more):
        """The reply to RCPT of a client that comes from there."""
        with self.client(source, **more) as client:
            client.expect(f"MAIL FROM:<{sender}>", "250")
            return client.command(f"RCPT TO:<{to}>")

    def said(self, token):
        """What `relayctl reason` says that is answered in this style."""
        return self.documented[token]["replies"][self.style]

    def record(self, token, event, reply=None):
        """The newest record of it."""
        def find():
            found = [r for r in self.relayd.audit(event) if r.get("reason") == token and
                     (reply is None or r.get("reply") == reply)]
            return found and found[-1]
        return wait_until(find, f"a record of {token} ({event})")

    def check(self, token, reply, *, stage=None, grant=None, event="attempt", has_id=True):
        """reply: as it came over the wire; None when the connection ends without a word."""
        if reply is not None and has_id:
            found = re.fullmatch(re.escape(self.said(token)) + r" \[([0-9A-Z.]+)\]", reply)
            assert found, f"{self.style} {token}: said {reply!r}, documented {self.said(token)!r}"
        elif reply is not None:
            assert reply == self.said(token), (self.style, token, reply, self.said(token))
        record = self.record(token, event, reply if event != "auth" else None)
        asked = record.get("id", record["session"])
        if reply is not None and has_id:
            assert found.group(1) == asked, (reply, record)
        if event != "auth":
            assert record.get("reply") == reply, (reply, record)
        if event == "attempt":
            assert record.get("stage") == stage, (token, stage, record)
            assert record.get("grant") == grant, (token, grant, record)
            verdict = "deferred" if reply is None or reply.startswith("4") else "refused"
            assert record["verdict"] == verdict, record
        self.check_story(token, asked, reply, grant, event)
        self.seen.add(token)

    def check_story(self, token, asked, reply, grant, event):
        told = json.loads(self.relayd.ctl("why", asked, "--json").stdout)
        text = self.relayd.ctl("why", asked).stdout
        assert token in json.dumps(told), (token, told)
        assert token in text, (token, text)
        flat = " ".join(text.split())
        assert " ".join(self.documented[token]["meaning"].split()) in flat, (token, text)
        if reply is not None and event != "auth":
            assert " ".join(reply.split()) in flat, (reply, text)
        if grant is not None:
            assert grant in text, (grant, text)


# ---- the policy's ----

def policy_reasons(site):
    with site.client(port=site.login_port) as client:
        reply = client.command(f"MAIL FROM:<{SENDER}>")
        site.check("auth.required", reply, stage="who", grant=None)
        client.expect(plain("billing", GOOD), "235")
        client.expect(f"MAIL FROM:<{SENDER}>", "250")
        reply = client.command(f"RCPT TO:<{TO}>")
        site.check("relay.network", reply, stage="who", grant="elsewhere")
    site.check("relay.no-grant", site.rcpt("127.0.0.9"), stage="who")
    site.check("relay.expired", site.rcpt("127.0.0.10"), stage="validity", grant="over")
    with site.client("127.0.0.11") as client:
        site.check("tls.required", client.command(f"MAIL FROM:<{SENDER}>"), stage="tls",
                   grant="secret")
    site.check("sender.not-authorized", site.rcpt("127.0.0.1", sender="ceo@example.com"),
               stage="sender", grant="main")
    site.check("relay.recipient", site.rcpt("127.0.0.12"), stage="recipient", grant="own-domain")
    with site.client("127.0.0.13") as client:
        reply = client.mail(body="From: ceo@example.com\r\n\r\nx\r\n")
        site.check("sender.header-from", reply, stage="header-from", grant="honest")


def limits_of_grants(site):
    with site.client("127.0.0.14") as client:
        client.mail(body=BODY)
        client.expect(f"MAIL FROM:<{SENDER}>", "250")
        site.check("quota.messages", client.command(f"RCPT TO:<{TO}>"), stage="quota",
                   grant="messages")
    with site.client("127.0.0.15") as client:
        client.expect(f"MAIL FROM:<{SENDER}>", "250")
        client.expect(f"RCPT TO:<{TO}>", "250")
        site.check("quota.recipients", client.command(f"RCPT TO:<b{TO}>"), stage="quota",
                   grant="recipients")
    with site.client("127.0.0.16") as client:
        reply = client.mail(body=BODY + ("x" * 70 + "\r\n") * 30)
        site.check("quota.octets", reply, stage="quota", grant="octets")
    with site.client("127.0.0.17") as first, site.client("127.0.0.17") as second:
        first.mail(body=BODY)
        second.expect(f"MAIL FROM:<{SENDER}>", "250")
        site.check("quota.sessions", second.command(f"RCPT TO:<{TO}>"), stage="quota",
                   grant="sessions")


# ---- logins ----

@contextlib.contextmanager
def in_the_name_of(site, address):
    """A client from elsewhere, where a clear-text password is not let through."""
    with site.client("127.0.0.5") as client:
        client.expect(f"XCLIENT ADDR={address}", "220")
        client.expect("EHLO app.example", "250")
        yield client


def logins(site):
    with site.client() as client:
        site.check("auth.failed", client.command(plain("billing", BAD)), event="auth")
        site.check("auth.mechanism", client.command("AUTH CRAM-MD5"), event="auth")
        client.expect(plain("billing", GOOD), "235")  # and so 127.0.0.1 is forgiven
    with in_the_name_of(site, "10.9.1.1") as client:
        site.check("auth.tls-required", client.command(plain("billing", GOOD)), event="auth")
    with site.client("127.0.0.20") as client, site.client("127.0.0.20") as other:
        client.expect(plain("billing", BAD), "535")
        client.expect(plain("billing", BAD), "535")
        site.check("auth.banned", client.reply(), event="connect")
        assert client.is_closed()
        reply = other.command(plain("billing", GOOD))
        site.check("auth.banned", reply, event="connect")
    with site.client("127.0.0.20", hello=False) as client:
        site.check("auth.banned", client.banner, event="connect")


def handshakes(site):
    with Client(site.tls_port, greet=False) as client:
        client.send("EHLO app.example\r\n")
        assert client.is_closed()
    site.check("tls.handshake", None, event="connect")


# ---- connections and sessions ----

def connections(site):
    with site.client("127.0.9.9", hello=False) as client:
        site.check("connection.no-connector", client.banner, event="connect")
    with site.client("127.0.1.1"), site.client("127.0.1.1", hello=False) as client:
        site.check("connection.source-limit", client.banner, event="connect")
    with site.client("127.0.1.2"), site.client("127.0.1.2", hello=False) as client:
        site.check("connection.limit", client.banner, event="connect")
    with site.client("127.0.0.6", hello=False, greet=False) as client:
        client.send("EHLO app.example\r\n")
        assert client.is_closed()
    site.check("connection.proxy-header", None, event="connect")
    with site.client("127.0.0.6", hello=False, greet=False) as client:
        client.send("PROXY TCP4 10.8.1.1 127.0.0.1 4000 25\r\n")
        site.check("connection.go-between", client.reply(), event="connect")


def early_talker(site):
    with site.client() as client:
        client.send("DATA\r\nNOOP\r\n")  # says more before it knows the answer to DATA
        site.check("session.early-talker", client.reply(), event="connect")
        assert client.is_closed()


def session_limits(site):
    def rate(client):
        client.expect(f"MAIL FROM:<{SENDER}>", "250")
        client.expect("RSET", "250")
        return client.command(f"MAIL FROM:<{SENDER}>")

    def alone(source):  # when the one before it is gone
        def come():
            client = Client(site.relayd.port, source=source)
            if client.banner.startswith("220"):
                client.expect("EHLO app.example", "250")
                return client
            client.close()
            return None
        return wait_until(come, "room for a session")

    with alone("127.0.1.2") as client:
        site.check("session.message-rate", rate(client), stage="connection")
    with alone("127.0.1.1") as client:
        client.expect("BOGUS", "500")
        site.check("session.errors", client.command("BOGUS"), event="connect")
        assert client.is_closed()
    with alone("127.0.1.1") as client:
        client.expect(f"MAIL FROM:<{SENDER}>", "250")
        client.expect(f"RCPT TO:<{TO}>", "250")
        site.check("session.timeout", client.reply(), grant="main")
        assert client.is_closed()
    with site.client() as client:
        client.expect(f"MAIL FROM:<{SENDER}>", "250")
        client.expect(f"RCPT TO:<{TO}>", "250")
        local = client.socket.getsockname()[1]
    record = wait_until(lambda: next((r for r in site.relayd.attempts(reason="session.abandoned")
                                      if r["client"]["port"] == local), None), "the record")
    assert "reply" not in record and record["grant"] == "main", record
    assert record["verdict"] == "deferred", record
    site.check_story("session.abandoned", record["id"], None, "main", "attempt")
    site.seen.add("session.abandoned")


# ---- messages ----

MESSAGES = [
    ("message.bare-crlf", b"Subject: t\r\n\r\nbare\nline\r\n"),
    ("message.nul", b"Subject: t\r\n\r\nnul \0 byte\r\n"),
    ("message.loop", b"Received: from a by b; Sat, 21 Nov 2026 00:00:00 +0000\r\n" * 61 +
     b"Subject: t\r\n\r\nx\r\n"),
    ("message.header", b"Subject: t\r\n" + b"X-Long: y\r\n" * 2000 + b"\r\nx\r\n"),
    ("message.line-too-long", b"Subject: t\r\n\r\n" + b"x" * 1500 + b"\r\n"),
    ("message.size", b"Subject: t\r\n\r\n" + (b"x" * 70 + b"\r\n") * 1000),
]


def messages(site):
    for token, body in MESSAGES:
        with site.client() as client:
            site.check(token, client.mail(body=body), grant="main")
    with site.client() as client:
        site.check("message.size", client.command(f"MAIL FROM:<{SENDER}> SIZE=999999"),
                   stage="connection")
        client.expect(f"MAIL FROM:<{SENDER}>", "250")
        for i in range(3):
            client.expect(f"RCPT TO:<{i}{TO}>", "250")
        site.check("message.recipients", client.command(f"RCPT TO:<4{TO}>"), stage="connection")


# ---- our own trouble ----

def shutdown(site):
    """A session that is idle when relayd stops is told so; one that comes then, too."""
    with site.client() as client:
        site.relayd.process.send_signal(signal.SIGTERM)
        reply = client.reply()
        assert reply == site.said("session.shutdown"), reply
        assert client.is_closed()
    assert site.relayd.process.wait(harness.PATIENCE_S) == 0, site.relayd.log()
    site.relayd.process = None
    site.relayd.check_log()
    site.seen.add("session.shutdown")


def audit_trouble(site):
    """No file can be where the audit trail is; what is tried has no record, so no answer."""
    trail = site.relayd.state / "audit" / "audit.jsonl"
    kept = trail.with_suffix(".kept")
    said = site.said("audit.trouble")
    with site.client() as client, site.client("127.0.0.9") as stranger:
        stranger.expect(f"MAIL FROM:<{SENDER}>", "250")
        trail.rename(kept)
        trail.mkdir()

        def refuse():  # until it is looked whether the file is still the same
            reply = stranger.command(f"RCPT TO:<{TO}>")
            return None if reply.startswith("550 ") else reply

        taken_back = wait_until(refuse, "the trail to be missed")
        wanted = "421 4.3.0 " + said.split(" ", 2)[2]
        assert re.fullmatch(re.escape(wanted) + r" \[[0-9A-Z]+\]", taken_back), (taken_back, wanted)
        assert stranger.is_closed()
        reply = client.command(f"MAIL FROM:<{SENDER}>")  # that it cannot is known by now
        assert re.fullmatch(re.escape(said) + r" \[[0-9A-Z]+\]", reply), (reply, said)
        trail.rmdir()
        kept.rename(trail)
        wait_until(lambda: client.command(f"MAIL FROM:<{SENDER}>").startswith("250"),
                   "the trail to be written again")
    record = site.record("audit.trouble", "connect")
    assert record["reply"] == taken_back, (record, taken_back)
    site.check_story("audit.trouble", record["session"], taken_back, None, "connect")
    site.seen.add("audit.trouble")


def until_the_disk_fails(client):
    """The first reply that is no yes, and whether that was to MAIL."""
    for _ in range(1000):
        reply = client.command(f"MAIL FROM:<{SENDER}>")
        if not reply.startswith("250"):
            return reply, True
        client.expect(f"RCPT TO:<{TO}>", "250")
        client.expect("DATA", "354")
        client.send(BODY)
        reply = client.command(".")
        if not reply.startswith("250"):
            return reply, False
    raise AssertionError("the disk never failed")


def storage_fails(site, token):
    with site.client() as client:
        reply, is_early = until_the_disk_fails(client)
        site.check(token, reply, stage="connection" if is_early else None,
                   grant=None if is_early else "main")


def helpers_away(site):
    site.check("quota.trouble", site.rcpt("127.0.0.14"), stage="quota", grant="messages")
    with site.client() as client:
        site.check("auth.trouble", client.command(plain("billing", GOOD)), event="auth")


def in_order(workspace):
    """A service that is well: everything that clients bring upon themselves."""
    tokens = set()
    for style in STYLES:
        site = Site(workspace.path / style, style, has_tls=True)
        workspace.on_close(site.workspace.close)
        for part in (policy_reasons, limits_of_grants, logins, handshakes, connections,
                     early_talker, session_limits, messages, audit_trouble, shutdown):
            part(site)
        tokens |= site.seen
    return tokens


def out_of_order(workspace):
    """One that lacks what it needs: Redis, saslauthd, the disk."""
    tokens = set()
    for style in STYLES:
        for token, fault in (("storage.full", "ENOSPC"), ("storage.trouble", "EIO")):
            folder = workspace.path / f"{style}-{fault}"
            site = Site(folder, style, sasl=f'method = "saslauthd" saslauthd-path = "{folder}/mux"',
                        shared=f'shared {{ redis = "redis://127.0.0.1:{free_port()}/0" '
                               'when-away = "closed" }',
                        environment={"RELAYD_SPOOL_FAULTS": f"fail-sync=30+:{fault}"})
            workspace.on_close(site.workspace.close)
            helpers_away(site)
            storage_fails(site, token)
            site.relayd.stop()
            tokens |= site.seen
    return tokens


def replies_records_and_stories_agree(workspace):
    config = (harness.BUILD / "config.h").read_text()
    for needed in ("FAULT_INJECTION", "HAVE_REDIS"):
        if f"#define {needed} 1" not in config:
            raise Skip(f"this build is without {needed}")
    tokens = in_order(workspace) | out_of_order(workspace)
    known = set(documented_by())
    others = set(NOT_HERE) | set(ELSEWHERE)
    assert not tokens & others, "now they can be provoked"
    assert tokens | others == known, sorted(known ^ (tokens | others))


if __name__ == "__main__":
    harness.run(replies_records_and_stories_agree)
