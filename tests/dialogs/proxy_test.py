#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Clients that others speak for: the PROXY protocol, XCLIENT, and hints of hidden clients.

Clients, proxies and hosts are addresses of 127.0.0.0/8, so who is who is real on every socket.
"""
import contextlib
import pathlib
import socket
import struct
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness
from harness import Client, Relayd, require, wait_until

PROXY = "127.0.0.5"      # named in proxy-protocol of "apps" and "all"
FRONT = "127.0.0.6"      # named in xclient of "apps"
BILLING = "10.20.1.7"    # a client that may relay
STRANGER = "192.0.2.9"   # one that may not

CONFIG = """
hostname  = "relay.example.com"
state-dir = "{state}"
workers   = {workers}
{user}
dns {{ hosts-file = true }}

table "fronts" {{ type = "network"  file = "{state}/../fronts.txt" }}

connector "apps" {{
    bindings         = {{ "127.0.0.1:{port}" }}
    remote-ip-ranges = {{ "10.20.0.0/16", "2001:db8::/32", "127.0.0.0/8" }}
    proxy-protocol   = {{ "127.0.0.5" }}
    xclient          = {{ "table:fronts" }}
    tarpit-interval  = "0s"
    max-connections-per-source = 2
    max-protocol-errors = 0
    {connector}
}}
connector "inner" {{ # on the same binding, and named by nobody
    bindings         = {{ "127.0.0.1:{port}" }}
    remote-ip-ranges = {{ "10.20.99.0/24" }}
    tarpit-interval  = "0s"
}}
connector "all" {{
    bindings         = {{ "127.0.0.1:{port}" }}
    proxy-protocol   = {{ "127.0.0.4-127.0.0.5" }}
    tarpit-interval  = "0s"
}}

grant "billing" {{
    networks   = {{ "10.20.1.0/24", "2001:db8::7" }}
    senders    = {{ "@billing.example.com" }}
    recipients = {{ "*" }}
}}
grant "inner" {{
    connectors = {{ "inner" }}
    senders    = {{ "@billing.example.com" }}
    recipients = {{ "*" }}
}}
grant "people" {{
    users      = {{ "alice", "*@example.com" }}
    senders    = {{ "alice@people.example.com" }}
    recipients = {{ "*" }}
}}
route "next" {{ recipients = {{ "*" }} {route} }}
queue {{ retry = {{ {retry} }} expires = "{expires}" }}
{extra}
"""

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v1(source, destination="127.0.0.1", ports="40000 25"):
    family = "TCP6" if ":" in source else "TCP4"
    return f"PROXY {family} {source} {destination} {ports}\r\n".encode()


def v2(source=None, command=0x21, family=None, body=None, tlvs=b""):
    """What HAProxy's send-proxy-v2 writes."""
    if body is None and source is not None:
        kind = socket.AF_INET6 if ":" in source else socket.AF_INET
        family = family or (0x21 if kind == socket.AF_INET6 else 0x11)
        there = "::1" if kind == socket.AF_INET6 else "127.0.0.1"
        body = (socket.inet_pton(kind, source) + socket.inet_pton(kind, there) +
                struct.pack("!HH", 40000, 25))
    body = (body or b"") + tlvs
    return SIGNATURE + bytes([command, family or 0]) + struct.pack("!H", len(body)) + body


def tlv(kind, value):
    return bytes([kind]) + struct.pack("!H", len(value)) + value


# ALPN, authority, CRC32C (any), unique id, TLS (flags, verify, version, CN), padding
TLVS = (tlv(0x01, b"smtp") + tlv(0x02, b"relay.example.com") + tlv(0x03, b"\x12\x34\x56\x78") +
        tlv(0x05, b"id-1") + tlv(0x20, b"\x07\0\0\0\0" + tlv(0x21, b"TLSv1.3") + tlv(0x22, b"app"))
        + tlv(0x04, b"\0" * 300))


def daemon(workspace, **options):
    (workspace.path / "fronts.txt").write_text(f"# those who may say XCLIENT\n{FRONT}\n")
    return Relayd(workspace, config=CONFIG, **options).start()


def proxied(relayd, header, source=PROXY):
    """A client that a proxy brings: connected, header sent, greeting read."""
    client = Client(relayd.port, source=source, greet=False)
    client.send(header)
    client.banner = client.reply()
    return client


def relays(client, sender="a@billing.example.com", to="b@partner.example"):
    """MAIL and RCPT, then RSET: the reply to RCPT, or to MAIL when it was refused."""
    reply = client.command(f"MAIL FROM:<{sender}>")
    if reply.startswith("250"):
        reply = client.command(f"RCPT TO:<{to}>")
        client.expect("RSET", "250")
    return reply


def last_connect(relayd, reason):
    found = wait_until(lambda: [r for r in relayd.audit("connect") if r["reason"] == reason],
                       f"a record of {reason}")
    return found[-1]


def header_tells_the_client(workspace):
    relayd = daemon(workspace, workers=1)
    for number, (header, ip) in enumerate((
            (v1(BILLING), BILLING), (v2(BILLING), BILLING), (v2(BILLING, tlvs=TLVS), BILLING),
            (v1("2001:db8::7", "::1"), "2001:db8::7"), (v2("2001:db8::7"), "2001:db8::7"),
            (v1("::ffff:10.20.1.7", "::1"), BILLING), (v2("::ffff:10.20.1.7"), BILLING))):
        client = proxied(relayd, header)
        client.expect("EHLO app7", "250")
        assert relays(client).startswith("250"), header
        assert client.mail(f"m{number}@billing.example.com").startswith("250 2.0.0"), header
        record = wait_until(
            lambda: relayd.attempts(**{"from": f"m{number}@billing.example.com"}), "the record")[-1]
        assert record["verdict"] == "relayed" and record["connector"] == "apps", record
        assert record["client"]["ip"] == ip and record["client"]["port"] == 40000, record
        assert record["proxy"].startswith(PROXY + ":"), record
        client.close()
    why = " ".join(relayd.ctl("why", record["id"]).stdout.split())
    assert f"through the proxy {PROXY}:" in why, why
    bodies = [p.read_bytes() for p in wait_until(
        lambda: len(relayd.maildir()) == 7 and relayd.maildir(), "all delivered")]
    assert sum(b"[10.20.1.7]" in b.split(b"by relay")[0] for b in bodies) == 5, bodies
    with proxied(relayd, v1(STRANGER)) as client:
        client.expect("EHLO stranger", "250")
        assert relays(client).startswith("550 5.7.1 "), "a stranger through the proxy"
    assert relayd.attempts(verdict="refused")[-1]["connector"] == "all"
    relayd.stop()


def header_in_pieces_and_clients_that_speak_too_soon(workspace):
    relayd = daemon(workspace)
    for header in (v1(BILLING), v2(BILLING, tlvs=TLVS)):
        client = Client(relayd.port, source=PROXY, greet=False)
        for at in range(len(header)):
            client.send(header[at:at + 1])
        assert client.reply().startswith("220 ")
        client.expect("EHLO app", "250")
        client.close()
        # the client's own bytes are there before it was greeted
        client = Client(relayd.port, source=PROXY, greet=False)
        client.send(header + b"EHLO app\r\n")
        assert client.reply().startswith("554 5.5.1")
        record = last_connect(relayd, "session.early-talker")
        assert record["client"]["ip"] == BILLING and "proxy" in record, record
        client.close()
    relayd.stop()


def proxies_that_speak_for_themselves(workspace):
    """LOCAL, UNKNOWN, unspecified and Unix families: the client is the proxy itself."""
    relayd = daemon(workspace)
    unix = v2(family=0x31, body=b"/run/client".ljust(108, b"\0") + b"/run/relay".ljust(108, b"\0"))
    for header in (b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ffff::1 ffff::1 1 2\r\n",
                   v2(command=0x20), v2(BILLING, command=0x20), v2(tlvs=TLVS), unix):
        with proxied(relayd, header) as client:
            assert client.banner.startswith("220 "), client.banner
            client.expect("EHLO health", "250")
            assert relays(client).startswith("550 5.7.1 "), header
            client.expect("QUIT", "221")
        record = relayd.attempts(verdict="refused")[-1]
        assert record["client"]["ip"] == PROXY and "proxy" not in record, record
    # whoever only looks whether the port is open leaves no record
    before = len(relayd.audit())
    Client(relayd.port, source=PROXY, greet=False).close()
    with proxied(relayd, v1(BILLING)):
        pass
    assert len(relayd.audit()) == before, relayd.audit()[before:]
    relayd.stop()


def malformed_headers_are_closed_and_recorded(workspace):
    relayd = daemon(workspace)
    for number, bad in enumerate((
            b"EHLO app\r\n", b"PROXY TCP4 10.20.1.7\r\n", b"PROXY TCP4 10.20.1.7 1.1.1.1 1 66666\r\n",
            b"PROXY TCP4 2001:db8::7 ::1 1 1\r\n", b"PROXY " + b"x" * 200,
            v2(BILLING, command=0x11), v2(BILLING, family=0x12), v2(BILLING, tlvs=b"\x04\0\x09x"),
            v2(BILLING, tlvs=tlv(4, b"\0" * 3000)))):
        client = Client(relayd.port, source=PROXY, greet=False)
        client.send(bad)
        assert client.is_closed() and not client.buffer
        client.close()
        found = wait_until(lambda: len(relayd.audit("connect")) == number + 1, "the record")
        record = last_connect(relayd, "connection.proxy-header")
        assert found and record["client"]["ip"] == PROXY and "reply" not in record, record
        assert record["verdict"] == "refused" and "no PROXY header" in record["detail"], record
    client = Client(relayd.port, source=PROXY, greet=False)
    client.send(v1(BILLING)[:-2])
    client.close()
    assert "in the middle" in wait_until(
        lambda: [r for r in relayd.audit("connect") if "middle" in r["detail"]], "record")[0]["detail"]
    assert "did not begin" in relayd.ctl("reason", "connection.proxy-header").stdout
    relayd.stop()


def silent_proxies_are_closed_in_time(workspace):
    relayd = daemon(workspace)
    silent = Client(relayd.port, source=PROXY, greet=False)
    slow = Client(relayd.port, source=PROXY, greet=False)
    slow.send(v2(BILLING)[:20])
    assert silent.is_closed() and slow.is_closed()
    record = last_connect(relayd, "connection.proxy-header")
    assert "5 seconds" in record["detail"], record
    # and those that still wait are no reason to go on
    waiting = Client(relayd.port, source=PROXY, greet=False)
    relayd.stop()
    waiting.close()


def headers_of_others_are_no_headers(workspace):
    relayd = daemon(workspace)
    early = Client(relayd.port, source="127.0.0.7", greet=False)
    early.send(v1(BILLING))
    # the kernel decides whether the octets are there when we look; either way nothing is believed
    assert early.reply()[:3] in ("554", "220")
    early.close()
    with Client(relayd.port, source="127.0.0.7") as client:
        client.send(v1(BILLING))
        assert client.reply().startswith("500 5.5.1")
        client.expect("EHLO liar", "250")
        assert relays(client).startswith("550 5.7.1 ")
        record = relayd.attempts(verdict="refused")[-1]
        assert record["client"]["ip"] == "127.0.0.7" and "proxy" not in record, record
    relayd.stop()


def connectors_believe_only_whom_they_name(workspace):
    relayd = daemon(workspace)
    for client, connector in (("10.20.99.1", "inner"),):
        for header in (v1(client), v2(client)):
            with proxied(relayd, header) as c:
                assert c.banner.startswith("421 4.3.2"), c.banner
        record = last_connect(relayd, "connection.go-between")
        assert record["connector"] == connector and record["client"]["ip"] == client, record
        assert record["proxy"].startswith(PROXY), record
    # 127.0.0.4 is named by "all" alone: not for the clients of "apps"
    with proxied(relayd, v1(BILLING), source="127.0.0.4") as c:
        assert c.banner.startswith("421"), c.banner
    with proxied(relayd, v1(STRANGER), source="127.0.0.4") as c:
        assert c.banner.startswith("220"), c.banner
    with Client(relayd.port, source=FRONT) as c:
        c.expect("EHLO front", "250")
        c.expect("XCLIENT ADDR=10.20.99.1", "421 4.3.2")
        assert c.is_closed()
    record = last_connect(relayd, "connection.go-between")
    assert record["xclient"].startswith(FRONT) and record["connector"] == "inner", record
    relayd.stop()


def limits_count_the_client_and_not_the_proxy(workspace):
    relayd = daemon(workspace, workers=2)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(proxied(relayd, v1(BILLING))) for _ in range(3)]
        assert [c.banner[:3] for c in clients].count("421") == 1, [c.banner for c in clients]
        record = last_connect(relayd, "connection.source-limit")
        assert record["client"]["ip"] == BILLING and "proxy" in record, record
        others = [stack.enter_context(proxied(relayd, v2(f"10.20.2.{i}"))) for i in range(20)]
        assert all(c.banner.startswith("220") for c in others)
        front = stack.enter_context(Client(relayd.port, source=FRONT))
        assert front.command(f"XCLIENT ADDR={BILLING}").startswith("421 4.3.2 Too many")
    wait_until(lambda: relayd.status()["connectors"][0]["sessions_open"] == 0, "no session")
    # an XCLIENT leaves the place of the address that it had before
    with Client(relayd.port, source=FRONT) as front:
        for i in range(10):
            front.expect(f"XCLIENT ADDR=10.20.3.{i}", "220")
            assert relayd.status()["connectors"][0]["sessions_open"] == 1
    wait_until(lambda: relayd.status()["connectors"][0]["sessions_open"] == 0, "no session")
    relayd.stop()


def xclient_is_for_those_named(workspace):
    relayd = daemon(workspace)
    with Client(relayd.port, source="127.0.0.7") as client:
        assert "XCLIENT" not in client.expect("EHLO app", "250")
        client.expect("XCLIENT ADDR=10.20.1.7", "550 5.7.0")
        assert relays(client).startswith("550 5.7.1 ")
    # one that comes through a proxy is judged by its own address
    with proxied(relayd, v1(BILLING)) as client:
        assert "XCLIENT" not in client.expect("EHLO app", "250")
        client.expect("XCLIENT ADDR=10.20.1.8", "550 5.7.0")
    with proxied(relayd, v1(FRONT)) as client:
        assert "XCLIENT" in client.expect("EHLO app", "250")
        client.expect(f"XCLIENT ADDR={BILLING} PORT=77", "220")
        client.expect("EHLO app", "250")
        assert relays(client).startswith("250")
        client.expect("MAIL FROM:<two@billing.example.com>", "250")
        client.expect("RCPT TO:<b@partner.example>", "250")
        client.expect("XCLIENT ADDR=10.20.1.8", "503 5.5.1")
    record = wait_until(lambda: relayd.attempts(**{"from": "two@billing.example.com"}), "record")[0]
    assert record["client"] == {"ip": BILLING, "port": 77, "helo": "app"}, record
    assert record["proxy"].startswith(PROXY) and record["xclient"] == f"{FRONT}:40000", record
    relayd.stop()


def xclient_makes_another_client(workspace):
    relayd = daemon(workspace)
    with Client(relayd.port, source=FRONT) as front:
        offer = front.expect("EHLO front", "250")
        assert "250-XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT" in offer, offer
        assert offer.splitlines()[-1].startswith("250 "), offer
        assert relays(front).startswith("550 5.7.1 ")
        assert front.expect(f"XCLIENT ADDR={BILLING} NAME=app7.example.com PORT=2525 PROTO=ESMTP "
                            "HELO=app7 DESTADDR=198.51.100.1 DESTPORT=587", "220 ")
        front.expect("MAIL FROM:<a@billing.example.com>", "503")  # it begins with the greeting
        assert "XCLIENT" in front.expect("EHLO front", "250")
        assert front.mail("full@billing.example.com").startswith("250 2.0.0")
        record = wait_until(lambda: relayd.attempts(**{"from": "full@billing.example.com"}), "it")[0]
        assert record["client"] == {"ip": BILLING, "port": 2525, "ptr": "app7.example.com",
                                    "helo": "app7"}, record
        assert record["local"] == "198.51.100.1:587" and record["connector"] == "apps", record
        why = " ".join(relayd.ctl("why", record["id"]).stdout.split())
        assert f"by XCLIENT of {FRONT}:" in why, why
        # again, as somebody else; what is not given stays, what is unavailable goes
        front.expect("xclient addr=IPV6:2001:db8::7 name=[UNAVAILABLE] helo=[TEMPUNAVAIL] "
                     "destaddr=[UNAVAILABLE] destport=[unavailable]", "220")
        front.expect("EHLO other", "250")
        assert front.mail("six@billing.example.com").startswith("250 2.0.0")
        record = wait_until(lambda: relayd.attempts(**{"from": "six@billing.example.com"}), "it")[0]
        assert record["client"] == {"ip": "2001:db8::7", "helo": "other"}, record
        assert record["local"] == f"127.0.0.1:{relayd.port}", record
        # the same client in its IPv6 form
        front.expect("XCLIENT ADDR=IPV6:::ffff:10.20.1.7", "220")
        front.expect("EHLO other", "250")
        assert relays(front).startswith("250")
        front.expect(f"XCLIENT ADDR={STRANGER}", "421")  # "all" does not name this host
    relayd.stop()


def xclient_syntax(workspace):
    relayd = daemon(workspace)
    with Client(relayd.port, source=FRONT) as front:
        for bad in ("", "ADDR", "ADDR=", "ADDR=10.20.1.7 ADDR=10.20.1.7", "ADDR=10.20.1.999",
                    "ADDR=2001:db8::1", "ADDR=IPV6:10.20.1.7", "ADDR=fe80::1%eth0", "PORT=-1",
                    "PORT=65536", "PORT=x", "PROTO=LMTP", "NAME=a+20b", "NAME=a+2", "NAME=a+0D+0Ab",
                    "HELO=<b>", "LOGIN=a+0Ab", "LOGIN=a+C3", "LOGIN=" + "x" * 256, "FOO=1",
                    "ADDR=10.20.1.7 FOO=1", "ADDR 10.20.1.7", "DESTADDR=x", "DESTPORT=99999"):
            front.expect(f"XCLIENT {bad}".rstrip(), "501 5.5.4")
        front.expect("EHLO front", "250")
        assert relays(front).startswith("550"), "a bad XCLIENT changed the client"
        front.send("XCLIENT ADDR=10.20.1.7\r\nEHLO x\r\n")
        assert front.reply().startswith("554 5.5.1")  # its reply must be waited for
    with Client(relayd.port, source=FRONT) as front:
        front.expect("XCLIENT ADDR=[TEMPUNAVAIL]", "421 4.3.2")
    assert "address" in last_connect(relayd, "connection.go-between")["detail"]
    # "::" is what files of the pickup directory are to grants
    with Client(relayd.port, source=FRONT) as front:
        front.expect("XCLIENT ADDR=IPV6:::", "421 4.3.2")
    for header in (v1("::", "::1"), v2("::")):
        with proxied(relayd, header) as client:
            assert client.banner.startswith("421 4.3.2"), client.banner
    relayd.stop()


def xclient_login(workspace):
    relayd = daemon(workspace)
    with Client(relayd.port, source=FRONT) as front:
        def rcpt(login):
            front.expect(f"XCLIENT ADDR=10.20.7.7 LOGIN={login}", "220")
            front.expect("EHLO front", "250")
            return relays(front, "alice@people.example.com")
        assert rcpt("alice").startswith("250")
        assert rcpt("bob").startswith("550 5.7.1 ")
        record = relayd.attempts(verdict="refused")[-1]
        assert record["auth"] == {"user": "bob", "mechanism": "XCLIENT"}, record
        assert rcpt("bob+40example.com").startswith("250")
        # it stays until another is told
        front.expect("XCLIENT ADDR=10.20.7.8", "220")
        front.expect("EHLO front", "250")
        assert relays(front, "alice@people.example.com").startswith("250")
        assert rcpt("[UNAVAILABLE]").startswith("550 5.7.1 ")
        assert "auth" not in relayd.attempts(verdict="refused")[-1]
    relayd.stop()


def swaks_says_xclient(workspace):
    swaks = require("swaks")
    relayd = daemon(workspace)

    def run(*more):
        return subprocess.run(
            [swaks, "--server", "127.0.0.1", "--port", str(relayd.port), "--local-interface", FRONT,
             "--from", "alice@people.example.com", "--to", "b@partner.example", "--quit-after",
             "RCPT", "--helo", "swaks", *more], capture_output=True, text=True, timeout=60)
    given = ("--xclient-addr", "10.20.7.7", "--xclient-name", "app.example.com", "--xclient-helo",
             "app", "--xclient-proto", "ESMTP")
    done = run(*given, "--xclient-login", "alice")
    assert done.returncode == 0, done.stdout + done.stderr
    record = wait_until(lambda: relayd.attempts(to="b@partner.example"), "its record")[-1]
    assert record["client"]["ip"] == "10.20.7.7" and record["client"]["helo"] == "app", record
    assert record["auth"]["user"] == "alice", record
    done = run(*given, "--xclient-login", "bob")
    assert done.returncode != 0 and "550 5.7.1" in done.stdout, done.stdout + done.stderr
    relayd.stop()


def swaks_speaks_the_proxy_protocol(workspace):
    swaks = require("swaks")
    relayd = daemon(workspace)
    for version in ("1", "2"):
        done = subprocess.run(
            [swaks, "--server", "127.0.0.1", "--port", str(relayd.port), "--local-interface", PROXY,
             "--from", "a@billing.example.com", "--to", f"v{version}@partner.example",
             "--proxy-version", version, "--proxy-family", "TCP4" if version == "1" else "AF_INET",
             "--proxy-source", BILLING, "--proxy-source-port", "1234", "--proxy-dest", "127.0.0.1",
             "--proxy-dest-port", "25", *(("--proxy-protocol", "STREAM") if version == "2" else ())],
            capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        record = wait_until(lambda: relayd.attempts(to=f"v{version}@partner.example"), "record")[-1]
        assert record["client"]["ip"] == BILLING and record["client"]["port"] == 1234, record
    relayd.stop()


def default_gateway():
    for line in pathlib.Path("/proc/net/route").read_text().splitlines()[1:]:
        words = line.split()
        if words[1] == "00000000" and words[7] == "00000000" and int(words[3], 16) & 3 == 3:
            return socket.inet_ntoa(struct.pack("=I", int(words[2], 16)))
    return None


def hidden_clients_are_hinted_at(workspace):
    gateway = default_gateway()
    (workspace.path / "fronts.txt").write_text(f"{FRONT}\n")
    config = CONFIG.replace('"127.0.0.0/8"', '"127.0.0.0/8", "172.17.0.1"' +
                            (f', "{gateway}"' if gateway and gateway != "172.17.0.1" else ""))
    config = config.replace("max-connections-per-source = 2", "max-connections-per-source = 0")
    relayd = Relayd(workspace, config=config, workers=2).start()
    assert relayd.status()["hidden_clients"] == []

    def say(source, names):
        for name in names:
            with Client(relayd.port, source=source) as client:
                client.expect(f"EHLO {name}", "250")
    say("127.0.0.8", [f"app{i}" for i in range(9)] + ["APP1", "app2"])
    assert relayd.status()["hidden_clients"] == []
    say("127.0.0.8", [f"printer{i}" for i in range(20)])

    def hints():
        return {h["ip"]: h for h in relayd.status()["hidden_clients"]}
    found = wait_until(hints, "a hint")["127.0.0.8"]
    assert 20 < found["names"] <= 29 and found["hellos"] == 31, found
    assert "proxy-protocol" in found["hint"] and "hidden by NAT" in found["hint"], found
    wanted = ["172.17.0.1"] + ([gateway] if gateway else [])
    with Client(relayd.port, source=FRONT) as front:
        for address in wanted:
            front.expect(f"XCLIENT ADDR={address}", "220")
            front.expect("EHLO one", "250")
    wait_until(lambda: all(a in hints() for a in wanted), "hints of the gateway and the bridge")
    assert "container" in hints()["172.17.0.1"]["hint"] or gateway == "172.17.0.1"
    if gateway:
        assert "default gateway" in hints()[gateway]["hint"], hints()
    text = relayd.ctl("status").stdout
    assert "hint: clients look hidden by NAT behind 127.0.0.8" in text, text
    for address in ["127.0.0.8"] + wanted:
        wait_until(lambda: f"hidden by NAT behind {address}" in relayd.log(), "the log to say so")
    relayd.reload()
    wait_until(lambda: set(hints()) >= {"127.0.0.8", *wanted}, "the hints after a reload")
    assert hints()["127.0.0.8"]["hellos"] == 31, hints()
    relayd.stop()
    assert relayd.log().count("hidden by NAT behind 127.0.0.8") == 1, relayd.log()


def hosts_that_cannot_connect_are_warned_of(workspace):
    config = CONFIG.replace('"2001:db8::/32", "127.0.0.0/8"', '"2001:db8::/32"').replace(
        '"table:fronts"', '"203.0.113.1", "table:fronts"').replace(
        '"127.0.0.4-127.0.0.5"', '"0.0.0.0/0"').replace('connector "all" {{',
        'connector "all" {{ remote-ip-ranges = {{ "10.0.0.0/8" }}')
    (workspace.path / "fronts.txt").write_text(f"{FRONT}\n")
    relayd = Relayd(workspace, config=config)
    done = subprocess.run([harness.BUILD / "sbin" / "relayd", "-t", "-c", relayd.config_path],
                          capture_output=True, text=True, timeout=60)
    said = done.stdout + done.stderr
    assert done.returncode == 0 and "names 203.0.113.1, which no connector there serves" in said, said
    assert "option 'proxy-protocol' holds every IPv4 address" in said, said


if __name__ == "__main__":
    harness.run(header_tells_the_client, header_in_pieces_and_clients_that_speak_too_soon,
                proxies_that_speak_for_themselves, malformed_headers_are_closed_and_recorded,
                silent_proxies_are_closed_in_time, headers_of_others_are_no_headers,
                connectors_believe_only_whom_they_name, limits_count_the_client_and_not_the_proxy,
                xclient_is_for_those_named, xclient_makes_another_client, xclient_syntax,
                xclient_login, swaks_says_xclient, swaks_speaks_the_proxy_protocol,
                hidden_clients_are_hinted_at, hosts_that_cannot_connect_are_warned_of)
