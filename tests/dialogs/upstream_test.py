#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""TLS, logins, failover and limits towards next hops: Postfix with TLS and Cyrus SASL, servers
that ask for certificates or show bad ones, and what all workers of relayd share."""
import contextlib
import os
import pathlib
import re
import shutil
import ssl
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "bench"))

import bench  # noqa: E402
import harness  # noqa: E402
from harness import Client, NextHop, Relayd, require, wait_until  # noqa: E402

FROM = "app@billing.example.com"
PASSWORD = "correct horse battery"


class Authority:
    """A CA, and what it signs, made by the openssl command."""

    def __init__(self, folder, name="ca"):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
        self.certificate, self.key = folder / f"{name}.crt", folder / f"{name}.key"
        self._openssl("req", "-x509", *self._new_key(), "-keyout", self.key, "-out",
                      self.certificate, "-subj", f"/CN={name}", "-days", "30", "-addext",
                      "basicConstraints=critical,CA:TRUE")

    @staticmethod
    def _new_key():
        return "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"

    @staticmethod
    def _openssl(*arguments):
        done = subprocess.run([require("openssl"), *map(str, arguments)], capture_output=True,
                              text=True, timeout=harness.PATIENCE_S)
        assert done.returncode == 0, done.stderr

    def sign(self, name, days=30):
        """A certificate for a host, also usable by clients; the paths of it and of its key."""
        certificate, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName=DNS:{name}\n")
        self._openssl("req", *self._new_key(), "-keyout", key, "-out", request, "-subj",
                      f"/CN={name}")
        self._openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key,
                      "-CAcreateserial", "-days", days, "-extfile", extensions, "-out",
                      certificate)
        key.chmod(0o644)  # relayd may run as another account here
        return certificate, key


class TlsHop(NextHop):
    """A next hop with STARTTLS, by Python's ssl."""

    def __init__(self, workspace, certificate, key, client_ca=None):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        if client_ca:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(client_ca)
        self.subjects = []
        super().__init__(workspace)

    def _serve(self, peer):
        with contextlib.suppress(OSError, ssl.SSLError):
            peer.sendall(b"220 next.example ESMTP\r\n")
            stream = peer.makefile("rb", buffering=0)
            while True:
                verb = stream.readline().strip().upper()
                if verb.startswith(b"EHLO"):
                    peer.sendall(b"250-next.example\r\n250 STARTTLS\r\n")
                elif verb == b"STARTTLS":
                    peer.sendall(b"220 go ahead\r\n")
                    break
                elif not verb or verb == b"QUIT":
                    peer.close()
                    return
                else:
                    peer.sendall(b"530 5.7.0 STARTTLS first\r\n")
            secured = self.context.wrap_socket(peer, server_side=True)
            self.subjects.append(secured.getpeercert())
            super()._serve(Greeted(secured))


class Greeted:
    """A socket whose first sendall, the greeting, is left out: STARTTLS has none after it."""

    def __init__(self, inner):
        self.inner, self.is_greeted = inner, False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.inner.close()

    def makefile(self, mode):
        return self.inner.makefile(mode)

    def sendall(self, data):
        if self.is_greeted:
            self.inner.sendall(data)
        self.is_greeted = True


class PostfixWithLogins(bench.PostfixUnderTest):
    """Relays for those who logged in under TLS, and for nobody else."""

    MORE = """
smtpd_tls_security_level = may
smtpd_tls_cert_file = {top}/own.crt
smtpd_tls_key_file = {top}/own.key
smtpd_tls_auth_only = yes
smtpd_tls_received_header = yes
smtpd_tls_loglevel = 1
smtpd_sasl_auth_enable = yes
smtpd_sasl_path = smtpd
smtpd_sasl_local_domain = example.com
smtpd_sasl_security_options = noanonymous
smtpd_sasl_authenticated_header = yes
"""
    SASL = """
pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: {top}/sasldb2
mech_list: PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256
"""

    def __init__(self, workspace, sink_port, certificate, key):
        top = workspace.path / "postfix"
        top.mkdir()
        top.chmod(0o755)
        shutil.copy(certificate, top / "own.crt")
        shutil.copy(key, top / "own.key")
        sasl = top / "etc" / "sasl"  # where Debian's Postfix looks first
        sasl.mkdir(parents=True)
        (sasl / "smtpd.conf").write_text(self.SASL.format(top=top))
        done = subprocess.run([require("saslpasswd2"), "-c", "-p", "-f", top / "sasldb2", "-u",
                               "example.com", "relay"], input=PASSWORD, text=True,
                              capture_output=True, timeout=harness.PATIENCE_S)
        assert done.returncode == 0, done
        if os.getuid() == 0:
            shutil.chown(top / "sasldb2", "postfix")
        self.MAIN = bench.PostfixUnderTest.MAIN.replace(
            "permit_mynetworks, reject_unauth_destination",
            "permit_sasl_authenticated, reject").replace(
            "smtpd_tls_security_level = none\n", "") + self.MORE
        self.log = top / "maillog"
        super().__init__(workspace, sink_port)


def password_file(workspace, text=PASSWORD):
    path = workspace.path / f"password{len(text)}"
    path.write_text(text + "\n")
    path.chmod(0o644)
    return path


def login(workspace, mechanism=None, password=PASSWORD):
    chosen = f'mechanism = "{mechanism}"' if mechanism else ""
    return (f'auth {{ {chosen} user = "relay@example.com" '
            f'password-file = "{password_file(workspace, password)}" }}')


def route_of(name, text):
    return f'route "{name}" {{ recipients = {{ "@{name}.example" }} {text} }}\n'


def send(relayd, *recipients, times=1):
    with Client(relayd.port) as client:
        client.expect("EHLO app7.example.com", "250")
        for _ in range(times):
            for recipient in recipients:
                assert client.mail(FROM, [recipient]).startswith("250")


def route_status(relayd, name):
    return next(r for r in relayd.status()["routes"] if r["name"] == name)


def deliveries(relayd, **wanted):
    return [r for r in relayd.audit("delivery") if all(r.get(k) == v for k, v in wanted.items())]


def logs_in_at_postfix_by_every_mechanism(workspace):
    ca = Authority(workspace.path / "ca")
    sink = NextHop(workspace)
    postfix = PostfixWithLogins(workspace, sink.port, *ca.sign("mail.example.org"))
    mechanisms = ["SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5", "PLAIN", "LOGIN"]
    common = (f'next-hops = {{ "127.0.0.1:{postfix.port}" }} tls = "verify" '
              f'tls-name = "mail.example.org" tls-ca = "{ca.certificate}" ')
    extra = "".join(route_of(m.lower(), common + login(workspace, m)) for m in mechanisms)
    extra += route_of("wrong", common + login(workspace, password="a guess"))
    extra += route_of("nobody", common)
    relayd = Relayd(workspace, route=common + login(workspace), extra=extra).start()
    send(relayd, "user@strongest.example", *[f"user@{m.lower()}.example" for m in mechanisms])
    messages = sink.wait(6)
    for _, recipients, body in messages:
        head = body.decode().replace("\r\n\t", " ")
        assert "(Authenticated sender: relay@example.com)" in head, head
        assert "using TLSv1.3" in head, head
    methods = re.findall(r"sasl_method=(\S+?),", postfix.log.read_text())
    assert sorted(methods) == sorted([*mechanisms, "SCRAM-SHA-256"]), methods
    for record in wait_until(lambda: (d := deliveries(relayd, result="delivered")) and
                             len(d) == 6 and d, "six records"):
        assert record["tls"] == {"version": "TLSv1.3", "cipher": "TLS_AES_256_GCM_SHA384",
                                 "verified": True}, record

    # a wrong password: nobody gets a bounce, the mail waits, the status says why
    send(relayd, "user@wrong.example")
    record = wait_until(lambda: deliveries(relayd, route="wrong"), "a record of the wait")[0]
    assert record["result"] == "deferred" and "login refused: 535" in record["reply"], record
    route = wait_until(lambda: (r := route_status(relayd, "wrong"))["login_failures"] and r,
                       "the status to tell")
    assert route["next_hops"][0]["state"] == "paused", route
    assert route["next_hops"][0]["trouble"] == "login refused", route
    assert route["waiting"] == 1 and route["dead"] == 0, route
    assert "login refused" in relayd.ctl("status").stdout

    # and without a login Postfix refuses for good
    send(relayd, "user@nobody.example")
    wait_until(lambda: deliveries(relayd, route="nobody", result="failed"), "a refusal")
    everything = relayd.log() + (relayd.state / "audit" / "audit.jsonl").read_text()
    assert PASSWORD not in everything and "a guess" not in everything
    relayd.stop()


def believes_only_the_certificate_that_it_should(workspace):
    good, other = Authority(workspace.path / "a"), Authority(workspace.path / "b")
    hops = {
        "good": TlsHop(workspace, *good.sign("mail.example.org")),
        "name": TlsHop(workspace, *good.sign("other.example.org")),
        "stranger": TlsHop(workspace, *other.sign("mail.example.org")),
        "expired": TlsHop(workspace, *good.sign("mail.example.org", days=-1)),
    }
    extra = ""
    for name, hop in hops.items():
        text = (f'next-hops = {{ "127.0.0.1:{hop.port}" }} tls-name = "mail.example.org" '
                f'tls-ca = "{good.certificate}" ')
        extra += route_of(f"v-{name}", text + 'tls = "verify"')
        extra += route_of(f"r-{name}", text + 'tls = "required"')
    relayd = Relayd(workspace, extra=extra).start()
    send(relayd, *[f"user@{level}-{name}.example" for name in hops for level in "vr"])
    hops["good"].wait(2)
    for name in ("name", "stranger", "expired"):
        hops[name].wait(1)
        record = wait_until(lambda: deliveries(relayd, route=f"v-{name}"), f"v-{name} to wait")[0]
        assert record["result"] == "deferred" and "4.7.5 TLS handshake" in record["reply"], record
        record = wait_until(lambda: deliveries(relayd, route=f"r-{name}"), f"r-{name}")[0]
        assert record["result"] == "delivered" and not record["tls"]["verified"], record
        assert record["tls"]["unverified"], record
        status = route_status(relayd, f"v-{name}")
        assert status["tls_failures"] > 0, status
        assert status["next_hops"][0]["trouble"] == "TLS failed", status
        assert len(hops[name].messages) == 1
    relayd.stop()


def shows_its_certificate(workspace):
    ca = Authority(workspace.path / "ca")
    mine = ca.sign("relay.example.com")
    hop = TlsHop(workspace, *ca.sign("mail.example.org"), client_ca=ca.certificate)
    common = f'next-hops = {{ "127.0.0.1:{hop.port}" }} tls = "required" '
    extra = route_of("bare", common)
    relayd = Relayd(workspace, extra=extra, route=common +
                    f'certificate = "{mine[0]}" key = "{mine[1]}"').start()
    send(relayd, "user@partner.example")
    hop.wait(1)
    assert (("DNS", "relay.example.com"),) == hop.subjects[0]["subjectAltName"], hop.subjects
    send(relayd, "user@bare.example")
    record = wait_until(lambda: deliveries(relayd, route="bare"), "the other to wait")[0]
    assert record["result"] == "deferred", record
    assert len(hop.messages) == 1
    relayd.stop()


def refuses_to_start_on_files_that_are_not_right(workspace):
    ca = Authority(workspace.path / "ca")
    certificate, _ = ca.sign("a.example.org")
    _, key = ca.sign("b.example.org")
    for options, words in (
            ('tls = "verify" tls-ca = "/nonexistent.pem"', "/nonexistent.pem"),
            (f'tls = "verify" certificate = "{certificate}" key = "{key}"', "key"),
            ('auth { user = "x" password-file = "/nonexistent" }', "/nonexistent")):
        relayd = Relayd(workspace, route='next-hops = { "127.0.0.1:9" } ' + options)
        done = subprocess.run([harness.BUILD / "sbin" / "relayd", "-t", "-c",
                               relayd.config_path], capture_output=True, text=True,
                              timeout=harness.PATIENCE_S)
        assert done.returncode == 1 and words in done.stderr and '"next"' in done.stderr, done
    relayd.write_config(harness.DEFAULT_CONFIG, route='next-hops = { "127.0.0.1:9" }')
    relayd.start()
    relayd.write_config(harness.DEFAULT_CONFIG,
                        route='next-hops = { "127.0.0.1:9" } tls-ca = "/nonexistent.pem"')
    done = relayd.ctl("reload", check=False)
    assert done.returncode != 0 and "/nonexistent.pem" in done.stdout + done.stderr, done
    assert relayd.status()["state"] == "running"
    relayd.stop()


class Counting(NextHop):
    """Notes how many messages are under way at once, and when each came.

    Not how many connections are open: the end of one is seen here after the next has begun.
    """

    def __init__(self, workspace, delay_s):
        self.now, self.most, self.times = 0, 0, []
        self.gate = threading.Lock()
        self.delay_s = delay_s
        super().__init__(workspace, self.note)

    def note(self, verb, _):
        if verb == "MAIL":
            with self.gate:
                self.now += 1
                self.most = max(self.most, self.now)
            self.times.append(time.monotonic())
        if verb == ".":
            threading.Event().wait(self.delay_s)  # this server is slow, not the test
            with self.gate:
                self.now -= 1


def keeps_to_the_connections_of_the_route_over_all_workers(workspace):
    hop = Counting(workspace, 0.05)
    route = f'next-hops = {{ "127.0.0.1:{hop.port}" }} connections = 3'
    relayd = Relayd(workspace, workers=4, route=route).start()
    senders = [threading.Thread(target=send, args=(relayd, f"user{i}@partner.example"),
                                kwargs={"times": 6}) for i in range(16)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    hop.wait(96)
    assert hop.most <= 3, hop.most
    assert len({m[1][0] for m in hop.messages}) == 16
    relayd.stop()


def keeps_to_the_messages_a_minute_over_all_workers(workspace):
    hop = Counting(workspace, 0)
    route = f'next-hops = {{ "127.0.0.1:{hop.port}" }} messages-per-minute = 1200'
    relayd = Relayd(workspace, workers=4, route=route).start()
    for i in range(10):
        send(relayd, f"user{i}@partner.example", times=4)
    hop.wait(40)
    times = sorted(hop.times)
    for begin in range(len(times) - 20):  # twenty-one messages are twenty times 50 ms apart
        assert times[begin + 20] - times[begin] >= 0.95, times
    relayd.stop()


def gives_a_dead_workers_connections_to_the_others(workspace):
    hop = Counting(workspace, 0.3)
    route = f'next-hops = {{ "127.0.0.1:{hop.port}" }} connections = 1'
    relayd = Relayd(workspace, workers=2, route=route).start()
    for i in range(8):
        send(relayd, f"user{i}@partner.example")
    wait_until(lambda: hop.times, "a message on its way")
    for pid in relayd.worker_pids():
        os.kill(pid, 9)
    wait_until(lambda: len({m[1][0] for m in list(hop.messages)}) == 8, "all of them to arrive")
    relayd.process.send_signal(15)
    assert relayd.process.wait(harness.PATIENCE_S) == 0
    relayd.process = None


def fails_over_for_each_kind_of_trouble(workspace):
    ca = Authority(workspace.path / "ca")
    last = TlsHop(workspace, *ca.sign("mail.example.org"))
    clear = NextHop(workspace)
    wrong = TlsHop(workspace, *ca.sign("other.example.org"))
    busy = TlsHop(workspace, *ca.sign("busy.example.org"))
    busy.context.load_cert_chain(*ca.sign("mail.example.org"))
    busy.behave = lambda verb, _: "451 4.3.0 not now" if verb == "." else None
    hops = ", ".join(f'"127.0.0.1:{port}"' for port in
                     (harness.free_port(), clear.port, wrong.port, busy.port, last.port))
    relayd = Relayd(workspace, retry='"1h"', route=f'next-hops = {{ {hops} }} tls = "verify" '
                    f'tls-name = "mail.example.org" tls-ca = "{ca.certificate}"').start()
    send(relayd, "user@partner.example", times=3)
    last.wait(3)
    assert not clear.messages and not wrong.messages and not busy.messages
    states = [h.get("trouble") for h in route_status(relayd, "next")["next_hops"]]
    assert states[0] == "no connection" and states[1] == states[2] == "TLS failed", states
    relayd.stop()


if __name__ == "__main__":
    harness.run(logs_in_at_postfix_by_every_mechanism,
                believes_only_the_certificate_that_it_should, shows_its_certificate,
                refuses_to_start_on_files_that_are_not_right,
                keeps_to_the_connections_of_the_route_over_all_workers,
                keeps_to_the_messages_a_minute_over_all_workers,
                gives_a_dead_workers_connections_to_the_others,
                fails_over_for_each_kind_of_trouble)
