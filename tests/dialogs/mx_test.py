#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Routes to mail exchangers, DANE and MTA-STS, against signed zones that nsd serves, SMTP
servers on addresses of their own, and HTTPS servers that have policies."""
import base64
import contextlib
import hashlib
import http.server
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import harness  # noqa: E402
from harness import Client, NextHop, Relayd, require, wait_until  # noqa: E402
from upstream_test import Authority, Greeted, deliveries, route_status  # noqa: E402

FROM = "app@billing.example.com"


def port_of_all(hosts):
    """One port that is free on each of the addresses."""
    while True:
        port = harness.free_port(hosts[0])
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for host in hosts:
                s = stack.enter_context(
                    socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET))
                s.bind((host, port))
            return port


class Exchanger(NextHop):
    """An SMTP server at an address, with STARTTLS if it has a certificate."""

    def __init__(self, workspace, host, port, pair=None, behave=None):
        self.behave = behave or (lambda verb, argument: None)
        self.messages, self.lock, self.port = [], threading.Lock(), port
        self.context = None
        if pair:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*pair)
        self.listener = socket.create_server((host, port), backlog=128)
        self.is_open, self.connections = True, 0
        threading.Thread(target=self._accept, daemon=True).start()
        workspace.on_close(self.close)

    def _serve(self, peer):
        if self.context is None:
            super()._serve(peer)
            return
        with contextlib.suppress(OSError, ssl.SSLError):
            peer.sendall(b"220 mx.example ESMTP\r\n")
            stream = peer.makefile("rb", buffering=0)
            while True:
                verb = stream.readline().strip().upper()
                if verb.startswith(b"EHLO"):
                    peer.sendall(b"250-mx.example\r\n250 STARTTLS\r\n")
                elif verb == b"STARTTLS":
                    peer.sendall(b"220 go ahead\r\n")
                    break
                else:  # in clear, where TLS failed and may
                    super()._serve(Greeted(Replayed(peer, verb)))
                    return
            super()._serve(Greeted(self.context.wrap_socket(peer, server_side=True)))

    @property
    def recipients(self):
        with self.lock:
            return [r for _, recipients, _ in self.messages for r in recipients]


class Replayed:
    """A socket of which a line was read already."""

    def __init__(self, inner, line):
        self.inner, self.line = inner, line

    def close(self):
        self.inner.close()

    def sendall(self, data):
        self.inner.sendall(data)

    def makefile(self, mode):
        import io
        return io.BufferedReader(_Chained(self.line + b"\r\n", self.inner))


class _Chained(__import__("io").RawIOBase):
    def __init__(self, first, peer):
        self.first, self.peer = first, peer

    def readable(self):
        return True

    def readinto(self, room):
        got = self.first or self.peer.recv(len(room))
        self.first = b""
        room[:len(got)] = got
        return len(got)


class PolicyHost:
    """An HTTPS server that has one policy."""

    def __init__(self, workspace, host, port, pair, text, status=200, kind="text/plain"):
        outer = self
        self.requests = 0

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests += 1
                body = text.encode()
                good = self.path == "/.well-known/mta-sts.txt"
                self.send_response(status if good else 404)
                if status in (301, 302):
                    self.send_header("Location", f"https://{self.headers['Host']}/elsewhere")
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
        self.server = http.server.ThreadingHTTPServer((host, port), Handler)
        self.server.daemon_threads = True
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        workspace.on_close(self.close)

    def close(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None


class Zones:
    """nsd with zones, some of them signed; the trust anchors of the signed ones."""

    def __init__(self, workspace, zones, signed=(), forged=()):
        self.folder = workspace.path / "dns"
        self.folder.mkdir()
        self.folder.chmod(0o777)
        self.port = port_of_all(["127.0.0.1"])
        self.anchors = self.folder / "anchors"
        self.anchors.write_text("")
        names = {}
        for zone, records in zones.items():
            path = self.folder / zone
            path.write_text(f"$ORIGIN {zone}.\n$TTL 60\n"
                            f"@ SOA ns.{zone}. root.{zone}. 1 60 60 600 5\n@ NS ns.{zone}.\n"
                            f"ns A 127.0.0.1\n{records}\n")
            names[zone] = path
            if zone in signed or zone in forged:
                names[zone] = self._sign(zone, path, zone in forged)
        self.anchors.chmod(0o644)
        config = self.folder / "nsd.conf"
        config.write_text(
            f'server:\n ip-address: 127.0.0.1@{self.port}\n username: ""\n zonesdir: "{self.folder}"\n'
            f' database: ""\n pidfile: "{self.folder}/nsd.pid"\n xfrdfile: "{self.folder}/xfrd"\n'
            f' zonelistfile: "{self.folder}/zonelist"\n xfrdir: "{self.folder}"\n server-count: 1\n'
            f' hide-version: yes\n'
            f' logfile: "{self.folder}/log"\nremote-control:\n control-enable: no\n' +
            "".join(f'zone:\n name: "{zone}"\n zonefile: "{path}"\n'
                    for zone, path in names.items()))
        self.process = subprocess.Popen([require("nsd"), "-d", "-c", config],
                                        stdout=subprocess.DEVNULL,
                                        stderr=open(self.folder / "stderr", "wb"))
        workspace.on_close(self.close)
        wait_until(self._answers, "nsd to answer")

    def close(self):
        self.process.terminate()
        self.process.wait(harness.PATIENCE_S)

    def _answers(self):
        assert self.process.poll() is None, (self.folder / "stderr").read_text() + \
            (self.folder / "log").read_text()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.2)
            s.sendto(b"\0\1\0\0\0\1\0\0\0\0\0\0\3lab\0\0\6\0\1", ("127.0.0.1", self.port))
            with contextlib.suppress(OSError):
                return s.recv(512)
        return None

    def _key(self, zone):
        done = subprocess.run([require("ldns-keygen"), "-a", "ECDSAP256SHA256", "-k", zone],
                              cwd=self.folder, capture_output=True, text=True,
                              timeout=harness.PATIENCE_S)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def _sign(self, zone, path, is_forged):
        """A forged zone is signed with another key than the one that is believed."""
        key = self._key(zone)
        believed = self._key(zone) if is_forged else key
        done = subprocess.run([require("ldns-signzone"), path, key], cwd=self.folder,
                              capture_output=True, text=True, timeout=harness.PATIENCE_S)
        assert done.returncode == 0, done.stderr
        with open(self.anchors, "a") as anchors:
            anchors.write((self.folder / f"{believed}.key").read_text())
        return pathlib.Path(f"{path}.signed")


def digest(certificate, selector=1, kind="sha256"):
    """The data of a TLSA record for the certificate."""
    der = subprocess.run([require("openssl"), "x509", "-in", certificate, "-outform", "DER"],
                         capture_output=True, check=True).stdout
    if selector == 1:
        pem = subprocess.run([require("openssl"), "x509", "-in", certificate, "-noout",
                              "-pubkey"], capture_output=True, check=True, text=True).stdout
        der = base64.b64decode("".join(pem.splitlines()[1:-1]))
    return der.hex() if kind is None else hashlib.new(kind, der).hexdigest()


CONFIG = harness.DEFAULT_CONFIG.replace(
    "dns {{ hosts-file = true }}",
    'dns {{ hosts-file = false forwarders = {{ "127.0.0.1@{dns}" }} {anchors} }}\n{sts}')


def start(workspace, zones, route, *, sts="", signed=False, extra="", workers=1, **more):
    relayd = Relayd(workspace, route=route, extra=extra, workers=workers, **more)
    relayd.values.update(dns=zones.port, sts=sts,
                         anchors=f'trust-anchor-file = "{zones.anchors}"' if signed else "")
    relayd.write_config(CONFIG)
    return relayd.start()


def send(relayd, *recipients, together=False):
    with Client(relayd.port) as client:
        client.expect("EHLO app7.example.com", "250")
        for group in ([list(recipients)] if together else [[r] for r in recipients]):
            assert client.mail(FROM, group).startswith("250")


def record_of(relayd, recipient, result):
    return wait_until(lambda: deliveries(relayd, to=recipient, result=result),
                      f"{recipient} to be {result}")[0]


def follows_mx_records(workspace):
    hosts = [f"127.0.0.{i}" for i in range(11, 16)] + ["127.0.0.1"]
    port = port_of_all(hosts)
    first, second = Exchanger(workspace, "127.0.0.11", port), Exchanger(workspace, "127.0.0.12",
                                                                        port)
    direct, spare = Exchanger(workspace, "127.0.0.13", port), NextHop(workspace)
    zones = Zones(workspace, {"lab": """
first A 127.0.0.11
second A 127.0.0.12
closed A 127.0.0.14
looping A 127.0.0.15
both AAAA ::1
both A 127.0.0.12
alias CNAME first
plain MX 10 first
plain MX 20 second
order MX 30 first
order MX 5 closed
order MX 20 second
nomx A 127.0.0.13
null MX 0 .
self MX 10 relay.example.com.
backup MX 10 first
backup MX 20 relay.example.com.
backup MX 30 second
circle MX 10 looping
numbers MX 10 127.0.0.13.
six MX 10 both
cname MX 10 alias
gone MX 10 closed
xn--mnchen-3ya MX 10 second
nothing TXT "no mail here"
"""})
    route = f'next-hops = {{ "mx" }} port = {port} tls = "none"'
    extra = f"""connector "loop" {{ bindings = {{ "127.0.0.15:{port}" }}
                remote-ip-ranges = {{ "127.0.0.15" }} }}
                route "spare" {{ recipients = {{ "@gone.lab" }} port = {port} tls = "none"
                next-hops = {{ "mx", "127.0.0.1:{spare.port}" }} }}"""
    relayd = start(workspace, zones, route, extra=extra)

    send(relayd, "a@plain.lab", "a@order.lab", "a@nomx.lab", "a@[127.0.0.13]", "a@six.lab",
         "a@cname.lab", "a@backup.lab", "a@gone.lab")
    wait_until(lambda: len(deliveries(relayd, result="delivered")) == 8, "eight deliveries")
    assert sorted(first.recipients) == ["a@backup.lab", "a@cname.lab", "a@plain.lab"]
    assert sorted(second.recipients) == ["a@order.lab", "a@six.lab"], second.recipients
    assert sorted(direct.recipients) == ["a@[127.0.0.13]", "a@nomx.lab"]
    assert spare.messages[0][1] == ["a@gone.lab"]
    assert record_of(relayd, "a@six.lab", "delivered")["next_hop"] == f"both.lab:{port}"

    for recipient, words in (("a@null.lab", "5.1.10 "), ("a@absent.lab", "5.1.2 "),
                             ("a@self.lab", "5.4.6 "), ("a@circle.lab", "5.4.6 "),
                             ("a@numbers.lab", "5.4.4 ")):
        send(relayd, recipient)
        record = record_of(relayd, recipient, "failed")
        assert record["reply"].startswith(words), record
    # what could not be looked up, and a host without an address, waits
    for recipient, words in (("a@elsewhere.example", "4.4.3 "), ("a@nothing.lab", "4.4.4 ")):
        send(relayd, recipient)
        assert words in record_of(relayd, recipient, "deferred")["reply"]

    # one message for several domains, some good, some not, one in another script
    with Client(relayd.port) as client:
        client.expect("EHLO app7.example.com", "250")
        client.expect(f"MAIL FROM:<{FROM}> SMTPUTF8", "250")
        for recipient in ("b@plain.lab", "b@null.lab", "b@nomx.lab", "c@plain.lab",
                          "b@münchen.lab"):
            client.expect(f"RCPT TO:<{recipient}>", "250")
        client.expect("DATA", "354")
        client.expect("Subject: x\r\n\r\nx\r\n.", "250")
    wait_until(lambda: "b@münchen.lab" in second.recipients, "the IDN domain's mail")
    wait_until(lambda: {"b@plain.lab", "c@plain.lab"} <= set(first.recipients), "plain.lab")
    together = [r for _, r, _ in first.messages if "b@plain.lab" in r]
    assert together == [["b@plain.lab", "c@plain.lab"]], together
    wait_until(lambda: "b@nomx.lab" in direct.recipients, "nomx.lab")
    assert record_of(relayd, "b@null.lab", "failed")["reply"].startswith("5.1.10")
    status = wait_until(lambda: (s := route_status(relayd, "next"))["waiting"] >= 2 and s,
                        "the status to settle")
    assert status["domains"] > 5 and status["next_hops"][0]["name"] == "mx", status
    relayd.stop()


def a_dead_domain_holds_up_no_other(workspace):
    port = port_of_all(["127.0.0.11", "127.0.0.12"])
    alive = Exchanger(workspace, "127.0.0.11", port)
    deaf = socket.create_server(("127.0.0.12", port), backlog=128)  # connects, says nothing
    workspace.on_close(deaf.close)
    zones = Zones(workspace, {"lab": "alive A 127.0.0.11\ndeaf A 127.0.0.12\n" + "".join(
        f"good{i} MX 10 alive\nbad{i} MX 10 deaf\n" for i in range(30))})
    relayd = start(workspace, zones, f'next-hops = {{ "mx" }} port = {port} tls = "none" '
                   'connections = 8')
    send(relayd, *[f"u{n}@bad0.lab" for n in range(20)])
    wait_until(lambda: route_status(relayd, "next")["connections_open"] > 0, "a connection")
    begin = time.monotonic()
    send(relayd, *[f"u{n}@good{i}.lab" for n in range(5) for i in range(30)])
    wait_until(lambda: len(alive.recipients) == 150, "the mail of all living domains")
    assert time.monotonic() - begin < 20
    assert len(set(alive.recipients)) == 150
    # after a restart the rest is still there, and what comes goes all the same
    relayd.stop()
    relayd.start()
    send(relayd, "again@good1.lab")
    wait_until(lambda: "again@good1.lab" in alive.recipients, "mail after the restart")
    assert route_status(relayd, "next")["waiting"] + route_status(relayd, "next")["in_flight"] >= 20
    assert len(alive.recipients) == 151
    relayd.stop()


def believes_tlsa_records_that_dnssec_vouches_for(workspace):
    hosts = {name: f"127.0.0.{30 + i}" for i, name in enumerate(
        ["ee", "full", "wrong", "ta", "taname", "tadom", "none", "unusable", "unusableclear",
         "clear", "forged"])}
    port = port_of_all(list(hosts.values()))
    ca, other = Authority(workspace.path / "ca"), Authority(workspace.path / "other", "other")
    pairs = {name: other.sign(f"{name}.secure.lab") for name in hosts}
    for name, subject in (("ta", "ta.secure.lab"), ("taname", "elsewhere.secure.lab"),
                          ("tadom", "dane-tadom.secure.lab")):
        certificate, key = ca.sign(subject)
        with open(certificate, "a") as chain:  # the CA itself has to be shown
            chain.write(ca.certificate.read_text())
        pairs[name] = certificate, key
    tlsa = {
        "ee": "3 1 1 " + digest(pairs["ee"][0]),
        "full": "3 0 0 " + digest(pairs["full"][0], 0, None),
        "wrong": "3 1 1 " + digest(pairs["ee"][0]),
        "ta": "2 0 2 " + digest(ca.certificate, 0, "sha512"),
        "taname": "2 0 1 " + digest(ca.certificate, 0),
        "tadom": "2 1 1 " + digest(ca.certificate),
        "unusable": "1 1 1 " + digest(pairs["ee"][0]),
        "unusableclear": "0 0 1 " + digest(pairs["ee"][0], 0),
        "clear": "3 1 1 " + digest(pairs["ee"][0]),
    }
    records = "".join(
        f"{name} A {address}\ndane-{name} MX 10 {name}\n" +
        (f"_{port}._tcp.{name} TLSA {tlsa[name]}\n" if name in tlsa else "")
        for name, address in hosts.items())
    zones = Zones(workspace, {
        "secure.lab": records,
        "forged.lab": f"host A {hosts['forged']}\nmail MX 10 host\n",
        "half.lab": f"host A {hosts['forged']}\n",
        # MX records that nobody vouches for: the TLSA records behind them count for nothing
        "lab": "insecure MX 10 wrong.secure.lab.\n",
    }, signed={"secure.lab"}, forged={"forged.lab"})
    servers = {name: Exchanger(workspace, address, port,
                               None if name.endswith("clear") else pairs[name])
               for name, address in hosts.items()}
    fixed = "".join(f'route "fixed-{name}" {{ recipients = {{ "@{name}.fixed" }} tls = "dane" '
                    f'next-hops = {{ "{name}.secure.lab:{port}" }} }}\n'
                    for name in ("ee", "wrong"))
    relayd = start(workspace, zones,
                   f'next-hops = {{ "mx" }} port = {port} tls = "dane" mta-sts = false',
                   extra=fixed, signed=True)
    for name in hosts:
        if name != "forged":
            send(relayd, f"a@dane-{name}.secure.lab")
    send(relayd, "a@mail.forged.lab", "a@insecure.lab", "a@ee.fixed", "a@wrong.fixed")
    for name in ("ee", "full", "ta", "tadom"):
        tls = record_of(relayd, f"a@dane-{name}.secure.lab", "delivered")["tls"]
        assert tls["policy"] == "dane" and tls["policy_met"] and tls["verified"], (name, tls)
    for name in ("none", "unusable"):
        tls = record_of(relayd, f"a@dane-{name}.secure.lab", "delivered")["tls"]
        assert "policy" not in tls and not tls["verified"] and tls["version"], (name, tls)
    for name in ("wrong", "taname", "clear", "unusableclear"):
        reply = record_of(relayd, f"a@dane-{name}.secure.lab", "deferred")["reply"]
        assert " 4.7." in reply, (name, reply)
    assert "4.4.3" in record_of(relayd, "a@mail.forged.lab", "deferred")["reply"]
    assert "policy" not in record_of(relayd, "a@insecure.lab", "delivered")["tls"]
    assert record_of(relayd, "a@ee.fixed", "delivered")["tls"]["policy"] == "dane"
    assert "4.7.5" in record_of(relayd, "a@wrong.fixed", "deferred")["reply"]
    for name in ("taname", "clear", "unusableclear", "forged"):
        assert not servers[name].messages, name
    assert servers["wrong"].recipients == ["a@insecure.lab"]
    relayd.stop()


def policy(mode, *patterns, age=86400):
    return "".join(f"{line}\r\n" for line in (
        "version: STSv1", f"mode: {mode}", *[f"mx: {p}" for p in patterns], f"max_age: {age}"))


def keeps_to_mta_sts_policies(workspace):
    ca, other = Authority(workspace.path / "ca"), Authority(workspace.path / "other", "other")
    good, bad, clear = "127.0.0.51", "127.0.0.52", "127.0.0.53"
    port = port_of_all([good, bad, clear])
    servers = {"good": Exchanger(workspace, good, port, ca.sign("good.lab")),
               "bad": Exchanger(workspace, bad, port, other.sign("bad.lab")),
               "clear": Exchanger(workspace, clear, port)}
    domains = {  # name: (exchanger, policy, what the HTTPS server does otherwise)
        "enforced": ("good", policy("enforce", "good.lab", "backup.example"), {}),
        "wildcard": ("good", policy("enforce", "*.lab"), {}),
        "wrongcert": ("bad", policy("enforce", "bad.lab"), {}),
        "noclear": ("clear", policy("enforce", "clear.lab"), {}),
        "notlisted": ("good", policy("enforce", "*.good.lab", "other.lab"), {}),
        "testing": ("bad", policy("testing", "bad.lab"), {}),
        "testclear": ("clear", policy("testing", "clear.lab"), {}),
        "testgood": ("good", policy("testing", "good.lab"), {}),
        "none": ("bad", policy("none"), {}),
        "nonsense": ("bad", "mode: enforce\n", {}),
        "redirect": ("bad", policy("enforce", "bad.lab"), {"status": 302}),
        "html": ("bad", policy("enforce", "bad.lab"), {"kind": "text/html"}),
        "huge": ("bad", policy("enforce", "bad.lab") + "x: " + "y" * 70000, {}),
        "stranger": ("bad", policy("enforce", "bad.lab"), {"ca": other}),
        "nohost": ("bad", None, {}),
    }
    addresses = {name: f"127.0.1.{i + 1}" for i, name in enumerate(domains)}
    https = port_of_all(list(addresses.values()))
    hosts = {}
    records = f"good A {good}\nbad A {bad}\nclear A {clear}\n"
    for name, (exchanger, text, more) in domains.items():
        records += (f'{name} MX 10 {exchanger}\n_mta-sts.{name} TXT "v=STSv1; id=20261122;"\n'
                    f"mta-sts.{name} A {addresses[name]}\n")
        if text:
            authority = more.pop("ca", ca)
            hosts[name] = PolicyHost(workspace, addresses[name], https,
                                     authority.sign(f"mta-sts.{name}.lab"), text, **more)
    records += ("norecord MX 10 bad\nmta-sts.norecord A 127.0.1.1\n"
                'two MX 10 bad\n_mta-sts.two TXT "v=STSv1; id=1;"\n_mta-sts.two TXT "v=STSv1; id=2;"\n')
    zones = Zones(workspace, {"lab": records})
    relayd = start(workspace, zones, f'next-hops = {{ "mx" }} port = {port} '
                   f'tls-ca = "{ca.certificate}"',
                   sts=f'mta-sts {{ ca = "{ca.certificate}" port = {https} }}')
    everyone = [*domains, "norecord", "two"]
    send(relayd, *[f"a@{name}.lab" for name in everyone])
    for name in ("enforced", "wildcard"):
        tls = record_of(relayd, f"a@{name}.lab", "delivered")["tls"]
        assert tls["verified"] and tls["policy"] == "mta-sts" and tls["policy_met"], (name, tls)
    for name, met in (("testing", False), ("testclear", False), ("testgood", True)):
        tls = record_of(relayd, f"a@{name}.lab", "delivered")["tls"]
        assert tls["policy"] == "mta-sts-testing" and tls["policy_met"] is met, (name, tls)
    for name, words in (("wrongcert", "4.7.5 TLS handshake"), ("noclear", "4.7."),
                        ("notlisted", "4.7.5 the domain's MTA-STS policy does not allow")):
        record = record_of(relayd, f"a@{name}.lab", "deferred")
        assert words in record["reply"], record
    for name in ("none", "nonsense", "redirect", "html", "huge", "stranger", "nohost",
                 "norecord", "two"):
        tls = record_of(relayd, f"a@{name}.lab", "delivered")["tls"]
        assert "policy" not in tls, (name, tls)
    assert not any("wrongcert" in r for r in servers["bad"].recipients)
    assert not any("noclear" in r for r in servers["clear"].recipients)

    # one fetch is enough for many messages
    send(relayd, *[f"b{i}@enforced.lab" for i in range(10)])
    wait_until(lambda: len(servers["good"].recipients) >= 13, "more mail")
    assert hosts["enforced"].requests == 1

    # a policy outlives a restart, although its host does not answer any more
    relayd.stop()
    assert (relayd.state / "mta-sts" / "wrongcert.lab").stat().st_mode & 0o777 == 0o600
    for host in hosts.values():
        host.close()
    relayd.start()
    send(relayd, "c@wrongcert.lab", "c@enforced.lab")
    tls = record_of(relayd, "c@enforced.lab", "delivered")["tls"]
    assert tls["policy"] == "mta-sts", tls
    record_of(relayd, "c@wrongcert.lab", "deferred")
    assert not any("wrongcert" in r for r in servers["bad"].recipients)
    relayd.stop()


def dane_outranks_mta_sts(workspace):
    ca, other = Authority(workspace.path / "ca"), Authority(workspace.path / "other", "other")
    addresses = ["127.0.0.61", "127.0.0.62"]
    port, https = port_of_all(addresses), port_of_all(["127.0.1.61", "127.0.1.62"])
    pinned, listed = other.sign("pinned.lab"), ca.sign("listed.lab")
    one, two = (Exchanger(workspace, addresses[0], port, pinned),
                Exchanger(workspace, addresses[1], port, listed))
    PolicyHost(workspace, "127.0.1.61", https, ca.sign("mta-sts.a.lab"),
               policy("enforce", "elsewhere.lab"))
    PolicyHost(workspace, "127.0.1.62", https, ca.sign("mta-sts.b.lab"),
               policy("enforce", "listed.lab"))
    zones = Zones(workspace, {"lab": f"""
pinned A {addresses[0]}
_{port}._tcp.pinned TLSA 3 1 1 {digest(pinned[0])}
listed A {addresses[1]}
_{port}._tcp.listed TLSA 3 1 1 {digest(pinned[0])}
plain A {addresses[1]}
a MX 10 pinned
_mta-sts.a TXT "v=STSv1; id=1"
mta-sts.a A 127.0.1.61
b MX 10 listed
_mta-sts.b TXT "v=STSv1; id=1"
mta-sts.b A 127.0.1.62
"""}, signed={"lab"})
    relayd = start(workspace, zones, f'next-hops = {{ "mx" }} port = {port} tls = "dane" '
                   f'tls-ca = "{ca.certificate}"', signed=True,
                   sts=f'mta-sts {{ ca = "{ca.certificate}" port = {https} }}')
    send(relayd, "u@a.lab", "u@b.lab")
    assert record_of(relayd, "u@a.lab", "delivered")["tls"]["policy"] == "dane"
    assert "4.7.5" in record_of(relayd, "u@b.lab", "deferred")["reply"]
    assert one.recipients == ["u@a.lab"] and not two.messages
    relayd.stop()


def configurations_say_what_is_wrong(workspace):
    relayd = Relayd(workspace, route="")
    for route, words in (
            ('next-hops = {{ "mx" }} tls = "dane"', "needs answers that DNSSEC vouches for"),
            ('next-hops = {{ "a.example:25", "mx" }}', "has to come first, and once"),
            ('next-hops = {{ "mx", "mx" }}', "has to come first, and once"),
            ('next-hops = {{ "mx" }} balance = true', "has no meaning for mail exchangers"),
            ('next-hops = {{ "mx" }} cut-through = true', "is for named next hops only"),
            ('next-hops = {{ "mx" }} tls-name = "a.example"', "has no meaning for mail"),
            ('next-hops = {{ "mx" }} auth {{ user = "u" password-file = "/etc/hostname" }}',
             "would tell the login to the mail exchangers"),
            ('next-hops = {{ "mx" }} tls = "none" mta-sts = true', "has no effect without TLS"),
            ('next-hops = {{ "a.example" }} mta-sts = true', "without mail exchangers"),
            ('next-hops = {{ "a.example" }} port = 26', "write the port behind the next hop"),
            ('next-hops = {{ "mx" }} port = 0', "port")):
        relayd.write_config(harness.DEFAULT_CONFIG.replace("{route}", route))
        done = subprocess.run([harness.BUILD / "sbin" / "relayd", "-t", "-c",
                               relayd.config_path], capture_output=True, text=True,
                              timeout=harness.PATIENCE_S)
        assert done.returncode == 1 and words in done.stderr, (route, done)


if __name__ == "__main__":
    harness.run(follows_mx_records, a_dead_domain_holds_up_no_other,
                believes_tlsa_records_that_dnssec_vouches_for, keeps_to_mta_sts_policies,
                dane_outranks_mta_sts, configurations_say_what_is_wrong)
