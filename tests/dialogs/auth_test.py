#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Logins (RFC 4954): every mechanism with real clients, every mistake, helpers that die, guesses."""
import base64
import contextlib
import hashlib
import hmac
import json
import os
import pathlib
import pwd
import re
import secrets
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import time

import harness
import tls_test
from harness import Client, Relayd, Skip, require, wait_until

FROM, TO = "app@billing.example.com", "user@partner.example"
REALM = "example.com"
GOOD = "Right-" + secrets.token_hex(8)  # every password of a run; none may be found anywhere
BAD = "Wrong-" + secrets.token_hex(8)

CONFIG = """
hostname  = "{hostname}"
state-dir = "{state}"
workers   = {workers}
{user}
sasl {{ {sasl} realm = "example.com" }}
auth-ban {{ {ban} }}

connector "apps" {{
    bindings         = {{ "0.0.0.0:{port}" }}
    tarpit-interval  = "0s"
    max-protocol-errors = 100
    auth-mechanisms  = {{ {mechanisms} }}
    {connector}
}}
grant "billing" {{
    users      = {{ {users} }}
    senders    = {{ "@billing.example.com" }}
    recipients = {{ "*" }}
}}
{extra}
route "drop" {{
    recipients = {{ "*" }}
    maildir    = "{state}/maildir"
}}
"""


class AuthRelayd(Relayd):
    """A relayd where one has to log in."""

    def __init__(self, workspace, *, sasl=None, mechanisms='"SCRAM-SHA-256", "PLAIN", "LOGIN"',
                 users='"billing"', ban='exempt = {{ "127.0.0.0/8" }}', hostname="relay.example.com",
                 **keywords):
        keywords.setdefault("port", harness.free_port("0.0.0.0"))
        super().__init__(workspace, config="", **keywords)
        self.users = workspace.path / "users"
        sasl = sasl or f'users-file = "{self.users}"'
        self.write_config(CONFIG, sasl=sasl, mechanisms=mechanisms, users=users, hostname=hostname,
                          ban=ban.replace("{{", "{").replace("}}", "}"))

    def user(self, *arguments, password=None, check=True):
        done = subprocess.run([harness.BUILD / "bin" / "relayctl", "-c", self.config_path, "user",
                               *arguments], input=password, capture_output=True, text=True,
                              timeout=harness.PATIENCE_S)
        assert not check or done.returncode == 0, done
        return done

    def helpers(self, state="running"):
        return [h for h in self.status()["helpers"] if h["state"] == state]

    def wait_helpers(self, count):
        wait_until(lambda: len(self.helpers()) == count, f"{count} helpers")

    def auth_events(self, **wanted):
        return [e for e in self.audit("auth") if all(e.get(k) == v for k, v in wanted.items())]

    def check_secrets(self):
        """No password of this run, in any form that SASL gives it, is in what relayd wrote."""
        found = []
        forms = []
        for password in (GOOD, BAD):
            forms.append(password.encode())
            for before in ("", *(f"\0{u}\0" for u in ("billing", "billing@example.com"))):
                encoded = base64.b64encode((before + password).encode()).rstrip(b"=")
                forms.append(encoded[len(encoded) // 2:-1])
        paths = [self.log_path] + [p for p in self.state.rglob("*") if p.is_file()]
        for path in paths:
            if "maildir" not in str(path):
                data = path.read_bytes()
                found += [str(path) for form in forms if form in data]
        assert not found, found

    def stop(self):
        pids = [h["pid"] for h in self.status()["helpers"]] if self.process else []
        super().stop()
        assert not any(os.path.exists(f"/proc/{pid}") for pid in pids), "helpers were left behind"
        self.check_secrets()


def b64(text):
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


def plain(user, password):
    return "AUTH PLAIN " + b64(f"\0{user}\0{password}")


def run(*command, **keywords):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True,
                          timeout=harness.PATIENCE_S * 2, **keywords)


def started(workspace, user="billing", **keywords):
    relayd = AuthRelayd(workspace, **keywords)
    relayd.user("add", user, "--sha1", password=GOOD)
    return relayd.start()


def hello(relayd, **keywords):
    client = Client(relayd.port, **keywords)
    client.expect("EHLO client.example", "250")
    return client


class Scram:
    """The client's side of SCRAM (RFC 5802), for replies to be looked at."""

    def __init__(self, user, password, digest="sha256", gs2="n,,"):
        self.password, self.digest, self.gs2 = password, digest, gs2
        self.bare = f"n={user},r={secrets.token_hex(9)}"

    def first(self):
        return b64(self.gs2 + self.bare)

    def channel(self):
        return b64(self.gs2)

    def final(self, server_first):
        self.server_first = base64.b64decode(server_first).decode()
        parts = dict(p.split("=", 1) for p in self.server_first.split(","))
        self.salt = parts["s"]
        salted = hashlib.pbkdf2_hmac(self.digest, self.password.encode(),
                                     base64.b64decode(parts["s"]), int(parts["i"]))
        key = hmac.digest(salted, b"Client Key", self.digest)
        without = f"c={self.channel()},r={parts['r']}"
        message = ",".join((self.bare, self.server_first, without)).encode()
        signature = hmac.digest(hashlib.new(self.digest, key).digest(), message, self.digest)
        proof = bytes(a ^ b for a, b in zip(key, signature))
        self.wanted = b64(hmac.digest(hmac.digest(salted, b"Server Key", self.digest), message,
                                      self.digest))
        return b64(f"{without},p={b64(proof)}")


def scram_login(client, user, password, digest="sha256", name="SCRAM-SHA-256", gs2="n,,"):
    """The last reply, and the exchange."""
    scram = Scram(user, password, digest, gs2)
    reply = client.command(f"AUTH {name} {scram.first()}")
    if not reply.startswith("334 "):
        return reply, scram
    reply = client.command(scram.final(reply[4:]))
    if reply.startswith("334 "):  # the server proves that it knows the keys, too
        assert base64.b64decode(reply[4:]).decode() == "v=" + scram.wanted
        reply = client.command("")
    return reply, scram


def sasldb_make(path):
    done = run(require("saslpasswd2"), "-p", "-c", "-u", REALM, "-f", path, "billing", input=GOOD)
    assert done.returncode == 0, done
    if os.getuid() == 0:
        shutil.chown(path, "nobody")


def with_sasldb(workspace, **keywords):
    require("saslpasswd2")
    path = workspace.path / "sasldb2"
    relayd = AuthRelayd(workspace, sasl=f'method = "sasldb" sasldb-path = "{path}"', **keywords)
    sasldb_make(path)
    return relayd.start()


# ---- clients ----

def by_swaks(relayd, mechanism, password):
    return run("swaks", "--server", f"127.0.0.1:{relayd.port}", "--from", FROM, "--to", TO,
               "--auth", mechanism, "--auth-user", "billing", "--auth-password", password)


def by_curl(relayd, mechanism, password):
    message = relayd.workspace.path / "message.eml"
    message.write_text("Subject: from curl\r\n\r\nhello\r\n")
    return run("curl", "-sS", f"smtp://127.0.0.1:{relayd.port}/client.example", "--mail-from",
               FROM, "--mail-rcpt", TO, "-T", message, "--login-options", f"AUTH={mechanism}",
               "-u", f"billing:{password}")


def by_msmtp(relayd, mechanism, password):
    secret = relayd.workspace.path / "msmtp.password"
    secret.write_text(password + "\n")
    return run("msmtp", "--file=/dev/null", "--host=127.0.0.1", f"--port={relayd.port}",
               "--tls=off", f"--auth={mechanism.lower()}", "--user=billing",
               f"--passwordeval=cat {secret}", f"--from={FROM}", TO,
               input="Subject: from msmtp\n\nhello\n")


def by_smtplib(relayd, mechanism, password):
    class Result:
        returncode, stdout, stderr = 0, "", ""
    with smtplib.SMTP("127.0.0.1", relayd.port, timeout=harness.PATIENCE_S) as client:
        client.user, client.password = "billing@example.com", password
        client.ehlo("client.example")
        call = {"PLAIN": client.auth_plain, "LOGIN": client.auth_login,
                "CRAM-MD5": client.auth_cram_md5}[mechanism]
        try:
            client.auth(mechanism, call)
            client.sendmail(FROM, [TO], "Subject: from smtplib\r\n\r\nhello\r\n")
        except smtplib.SMTPAuthenticationError as error:
            Result.returncode, Result.stdout = 1, f"{error.smtp_code} {error.smtp_error.decode()}"
    return Result


NODEMAILER = """
const nodemailer = require('nodemailer');
const [port, from, to, method, pass] = process.argv.slice(2);
const transport = nodemailer.createTransport({ host: '127.0.0.1', port: +port, secure: false,
    ignoreTLS: true, authMethod: method, auth: { user: 'billing', pass } });
transport.sendMail({ from, to, subject: 'from nodemailer', text: 'hello' })
  .then((info) => console.log(info.response))
  .catch((error) => { console.log(error.response || String(error)); process.exitCode = 1; });
"""


def nodemailer_modules():
    """Where node finds nodemailer, which is installed when it is not there."""
    folder = harness.BUILD / "tests" / "node"
    if not (folder / "node_modules" / "nodemailer").exists():
        folder.mkdir(parents=True, exist_ok=True)
        done = run(require("npm"), "install", "--prefix", folder, "--no-audit", "--no-fund",
                   "--silent", "nodemailer@6")
        if done.returncode != 0:
            raise Skip("nodemailer cannot be installed here")
    return folder / "node_modules"


def by_nodemailer(relayd, mechanism, password):
    modules = nodemailer_modules()
    script = relayd.workspace.path / "send.js"
    script.write_text(NODEMAILER)
    return run("node", script, relayd.port, FROM, TO, mechanism, password,
               env=dict(os.environ, NODE_PATH=str(modules)))


def clients_log_in(relayd, wanted):
    """Each client with each of its mechanisms: refused first, then its mail arrives."""
    count = 0
    for program, by, mechanisms in wanted:
        if program is not None and shutil.which(program) is None:
            print(f"     left out: {program} is not installed")
            continue
        for mechanism in mechanisms:
            bad = by(relayd, mechanism, BAD)
            assert bad.returncode != 0, (program, mechanism, bad)
            good = by(relayd, mechanism, GOOD)
            assert good.returncode == 0, (program, mechanism, good, relayd.log())
            count += 1
            event = relayd.auth_events()[-1]
            assert event["result"] == "succeeded" and event["auth"] == {
                "user": "billing@example.com", "mechanism": mechanism}, event
            failed = relayd.auth_events(result="failed")
            assert len(failed) >= count and failed[-1]["reason"] == "auth.failed", failed
            assert failed[-1]["auth"]["mechanism"] == mechanism, failed[-1]
    wait_until(lambda: len(relayd.maildir()) == count, f"{count} messages in the Maildir")
    for path in relayd.maildir():
        text = path.read_text()
        assert "with ESMTPA\n" in text and "billing@example.com" not in text, text
    attempts = relayd.attempts(verdict="relayed")
    assert len(attempts) == count, attempts
    assert all(a["auth"]["user"] == "billing@example.com" for a in attempts)
    connector = relayd.status()["connectors"][0]
    assert connector["logins"] == count and connector["logins_failed"] >= count, connector
    relayd.stop()


def real_clients_log_in_with_the_users_file(workspace):
    relayd = started(workspace, mechanisms='"SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "LOGIN"')
    clients_log_in(relayd, [
        ("swaks", by_swaks, ("PLAIN", "LOGIN")),
        ("curl", by_curl, ("PLAIN", "LOGIN")),
        (None, by_smtplib, ("PLAIN", "LOGIN")),
        ("msmtp", by_msmtp, ("PLAIN", "LOGIN", "SCRAM-SHA-1", "SCRAM-SHA-256")),
        ("node", by_nodemailer, ("PLAIN", "LOGIN")),
    ])


def real_clients_log_in_with_a_sasldb(workspace):
    relayd = with_sasldb(workspace, mechanisms='"CRAM-MD5", "PLAIN", "LOGIN"')
    clients_log_in(relayd, [
        ("swaks", by_swaks, ("CRAM-MD5", "PLAIN")),
        ("curl", by_curl, ("CRAM-MD5",)),
        (None, by_smtplib, ("CRAM-MD5", "LOGIN")),
        ("msmtp", by_msmtp, ("CRAM-MD5",)),
        ("node", by_nodemailer, ("CRAM-MD5",)),
    ])


def scram_works_byte_by_byte(workspace):
    relayd = started(workspace, mechanisms='"SCRAM-SHA-256", "SCRAM-SHA-1"')
    for user in ("billing", "billing@example.com", "billing@EXAMPLE.com"):
        for digest, name in (("sha256", "SCRAM-SHA-256"), ("sha1", "SCRAM-SHA-1")):
            with hello(relayd) as client:
                reply, _ = scram_login(client, user, GOOD, digest, name)
                assert reply == "235 2.7.0 Authentication successful", (user, name, reply)
                assert client.mail().startswith("250 2.0.0 Ok: queued")
    with hello(relayd) as client:
        reply, _ = scram_login(client, "billing", BAD)
        assert reply.startswith("535 5.7.8 "), reply
    relayd.stop()


# ---- RFC 4954, line by line ----

def every_mistake_has_its_reply(workspace):
    relayd = started(workspace, mechanisms='"SCRAM-SHA-256", "PLAIN", "LOGIN", "EXTERNAL", '
                     '"SCRAM-SHA-256-PLUS"', connector="max-logon-failures = unlimited")
    with hello(relayd) as client:
        offered = re.search(r"^250.AUTH (.*)$", client.command("EHLO client.example"), re.M)
        assert offered.group(1) == "SCRAM-SHA-256 PLAIN LOGIN", offered.group(0)
        for command, reply in (
                ("AUTH", "501 5.5.4 "),
                ("AUTH DIGEST-MD5", "504 5.5.4 "),
                ("AUTH NTLM", "504 5.5.4 "),
                ("AUTH ANONYMOUS", "504 5.5.4 "),
                ("AUTH EXTERNAL", "504 5.5.4 "),
                ("AUTH SCRAM-SHA-256-PLUS", "504 5.5.4 "),
                ("AUTH GSSAPI", "504 5.5.4 "),
                ("AUTH PLAIN !", "501 5.5.2 "),
                ("AUTH PLAIN AA=A", "501 5.5.2 "),
                ("AUTH PLAIN " + b64("\0billing"), "535 5.7.8 "),
        ):
            client.expect(command, reply)
        # an empty challenge and the answer to it; cancelled, broken, too long
        client.expect("AUTH PLAIN", "334 ")
        client.expect("*", "501 5.7.0 ")
        client.expect("AUTH LOGIN", "334 " + b64("Username:"))
        client.expect("not base64", "501 5.5.2 ")
        client.expect("AUTH plain", "334 ")
        client.expect("A" * 12287, "500 5.5.6 ")  # 12289 octets with CRLF
        client.expect("AUTH PLAIN", "334 ")
        client.send("A" * 100000 + "\r\n")
        assert client.reply().startswith("500 5.5.6 ")
        client.expect("AUTH PLAIN", "334 ")
        client.expect("A" * 12284, "535 5.7.8 ")  # as long as may be: judged, not cut
        client.expect("AUTH PLAIN", "334 ")
        client.expect("", "535 5.7.8 ")
        # a line that comes in pieces; then twice, and inside a transaction
        client.expect("AUTH PLAIN", "334 ")
        line = b64(f"\0billing\0{GOOD}") + "\r\n"
        for octet in line[:-1]:
            client.send(octet)
        client.send(line[-1])
        assert client.reply().startswith("235 2.7.0 ")
        client.expect(plain("billing", GOOD), "503 5.5.1 ")
        assert "AUTH" not in client.command("EHLO client.example").split()
        client.expect(f"MAIL FROM:<{FROM}> AUTH=<>", "250")
        client.expect("AUTH PLAIN", "503 5.5.1 ")
        client.expect("RCPT TO:<a@b.example>", "250")
        client.expect("AUTH PLAIN", "503 5.5.1 ")
    with Client(relayd.port) as client:  # before EHLO
        client.expect(plain("billing", GOOD), "503 5.5.1 ")
    with hello(relayd) as client:  # an empty initial response is an answer
        client.expect("AUTH PLAIN =", "535 5.7.8 ")
    # nothing may follow AUTH, or an answer, before its reply
    for first, then in ((plain("billing", GOOD), None), ("AUTH PLAIN", b64(f"\0billing\0{GOOD}"))):
        with hello(relayd) as client:
            if then is not None:
                client.expect(first, "334")
                first = then
            client.send(f"{first}\r\nMAIL FROM:<{FROM}>\r\n")
            assert client.reply().startswith("554 5.5.1 ")
            assert client.is_closed()
    # who went away in the middle is forgotten
    for _ in range(50):
        client = hello(relayd)
        client.expect("AUTH LOGIN", "334")
        client.close()
    with hello(relayd) as client:
        client.expect(plain("billing", GOOD), "235")
    reasons = {e["reason"] for e in relayd.auth_events(result="failed")}
    assert reasons == {"auth.failed", "auth.mechanism"}, reasons
    relayd.stop()


def nobody_logs_in_where_auth_is_not_offered(workspace):
    relayd = Relayd(workspace).start()
    assert relayd.status()["helpers"] == []
    with Client(relayd.port) as client:
        assert "AUTH" not in client.expect("EHLO client.example", "250")
        client.expect(plain("billing", GOOD), "503 5.5.1 ")
    relayd.stop()


def own_address():
    """An address of this machine that is not a loopback one."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(("192.0.2.1", 9))
        address = s.getsockname()[0]
        if not address.startswith("127."):
            return address
    raise Skip("this machine has no address but loopback")


def passwords_in_clear_are_refused(workspace):
    address = own_address()
    relayd = started(workspace)
    with hello(relayd, host=address) as client:
        assert "250-AUTH SCRAM-SHA-256\n" in client.command("EHLO client.example")
        reply = client.expect(plain("billing", GOOD), "538 5.7.11 Encryption required")
        client.expect("AUTH LOGIN", "538 5.7.11 ")
        why = relayd.ctl("why", re.search(r"\[(\w+)\]$", reply).group(1))
        assert "without TLS" in why.stdout, why
        reply, _ = scram_login(client, "billing", GOOD)
        assert reply.startswith("235"), reply
        assert client.mail().startswith("250 2.0.0 Ok: queued")
    assert {e["reason"] for e in relayd.auth_events(result="failed")} == {"auth.tls-required"}
    relayd.write_config(CONFIG, connector="auth-without-tls = true")
    relayd.reload()
    with hello(relayd, host=address) as client:
        client.expect(plain("billing", GOOD), "235")
    relayd.stop()


def tls_makes_more_possible(workspace):
    address = own_address()
    authority = tls_test.Authority(workspace)
    pair = authority.issue("relay", f"DNS:relay.example.com,IP:{address}")
    person = authority.issue("person", "email:billing@example.com,DNS:laptop.example.com")
    nobody = authority.issue("nobody", "email:nobody@example.com")
    relayd = started(
        workspace, ban='failures = "unlimited"', mechanisms='"SCRAM-SHA-256-PLUS", "EXTERNAL", "SCRAM-SHA-256", "PLAIN"',
        connector='tls = "offered"',
        extra=tls_test.section("default", [pair], f'client-ca = "{authority.ca}"'))

    def secure(client, certificate=None):
        context = ssl.create_default_context(cafile=authority.ca)
        if certificate is not None:
            context.load_cert_chain(*certificate)
        client.expect("STARTTLS", "220")
        client.socket = context.wrap_socket(client.socket, server_hostname="relay.example.com")
        return re.search(r"^250.AUTH (.*)$", client.expect("EHLO client.example", "250"),
                         re.M).group(1)
    with hello(relayd, host=address) as client:
        client.expect(plain("billing", BAD), "538 5.7.11")
        reply, _ = scram_login(client, "billing", GOOD)
        assert reply.startswith("235")
        offered = secure(client)  # which forgets the login
        assert offered == "SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN", offered
        client.expect(f"MAIL FROM:<{FROM}>", "530 5.7.0")
        client.expect(plain("billing", GOOD), "235")
        assert client.mail().startswith("250 2.0.0 Ok: queued")
    wait_until(relayd.maildir, "the message in the Maildir")
    assert "with ESMTPSA\n" in relayd.maildir()[0].read_text()
    with hello(relayd, host=address) as client:  # bound or not, as RFC 5802 wants it
        secure(client)
        reply, _ = scram_login(client, "billing", GOOD, gs2="y,,")
        assert reply.startswith("535 5.7.8 "), reply  # it could have bound, and was kept from it
        reply, _ = scram_login(client, "billing", GOOD, name="SCRAM-SHA-256-PLUS")
        assert reply.startswith("535 5.7.8 "), reply  # bound by name only
    for certificate, wanted in ((person, "235"), (nobody, "235"), (None, "504")):
        with hello(relayd, host=address) as client:
            assert ("EXTERNAL" in secure(client, certificate)) == (certificate is not None)
            client.expect("AUTH EXTERNAL =", wanted)
            if certificate is not None:
                client.expect(f"MAIL FROM:<{FROM}>", "250")
                client.expect(f"RCPT TO:<{TO}>", "250" if certificate is person else "550 5.7.1")
    with hello(relayd, host=address) as client:  # nobody else than it says
        secure(client, person)
        client.expect("AUTH EXTERNAL " + b64("boss@example.com"), "535 5.7.8")
    relayd.user("disable", "billing")
    with hello(relayd, host=address) as client:
        secure(client, person)
        client.expect("AUTH EXTERNAL =", "535 5.7.8")
    relayd.stop()


# ---- helpers ----

def helpers_hold_no_more_than_they_need(workspace):
    relayd = started(workspace)
    relayd.wait_helpers(2)
    pid = relayd.helpers()[0]["pid"]
    limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
    assert re.search(r"Max core file size\s+0\s+0", limits), limits
    for worker in relayd.worker_pids():  # passwords pass through their memory
        assert re.search(r"Max core file size\s+0\s+0",
                         pathlib.Path(f"/proc/{worker}/limits").read_text())
    if not harness.SANITIZED:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        assert re.search(r"^NoNewPrivs:\s+1$", status, re.M), status
        assert re.search(r"^Seccomp:\s+2$", status, re.M), status
        assert re.search(r"^CapEff:\s+0+$", status, re.M), status
    if os.getuid() == 0:
        assert f"Uid:\t{pwd.getpwnam('nobody').pw_uid}" in pathlib.Path(
            f"/proc/{pid}/status").read_text()
        sockets = [os.readlink(p) for p in pathlib.Path(f"/proc/{pid}/fd").iterdir()]
        assert len([s for s in sockets if s.startswith("socket:")]) == 2, sockets  # one a worker
        # dead or alive, nobody but root looks into it
        assert os.stat(f"/proc/{pid}/mem").st_uid == 0
    relayd.stop()


def a_helper_that_dies_is_replaced(workspace):
    relayd = started(workspace, extra="""
        grant "quiet" { networks = { "127.0.0.1" } senders = { "@quiet.example.com" }
                        recipients = { "*" } }""")
    relayd.wait_helpers(2)
    other = hello(relayd)
    other.expect("MAIL FROM:<app@quiet.example.com>", "250")
    waiting = [hello(relayd) for _ in range(4)]
    for client in waiting:
        client.expect("AUTH LOGIN", "334")
        client.expect(b64("billing"), "334")
    before = {h["pid"] for h in relayd.helpers()}
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(relayd.helpers()) == 2 and
               not before & {h["pid"] for h in relayd.helpers()}, "other helpers")
    for client in waiting:  # what the dead knew is lost, and may be tried again
        client.expect(b64(GOOD), "454 4.7.0 ")
        client.expect(plain("billing", GOOD), "235")
        client.close()
    other.expect("RCPT TO:<a@b.example>", "250")
    other.close()
    assert all(h["restarts"] >= 1 for h in relayd.helpers())
    assert {e["reason"] for e in relayd.auth_events(result="failed")} == {"auth.trouble"}
    relayd.stop()


def a_helper_that_hangs_is_replaced(workspace):
    relayd = started(workspace, extra="""
        grant "quiet" { networks = { "127.0.0.1" } senders = { "@quiet.example.com" }
                        recipients = { "*" } }""")
    relayd.wait_helpers(2)
    with hello(relayd) as client:
        client.expect(plain("billing", GOOD), "235")
    before = {h["pid"] for h in relayd.helpers()}
    for pid in before:
        os.kill(pid, signal.SIGSTOP)
    stuck = [hello(relayd) for _ in range(6)]
    for client in stuck:
        client.send(plain("billing", GOOD) + "\r\n")
    began = time.monotonic()
    with hello(relayd) as other:  # and nobody else notices
        assert other.mail(sender="app@quiet.example.com").startswith("250 2.0.0 Ok: queued")
        assert time.monotonic() - began < 8
    for client in stuck:
        assert client.reply().startswith("454 4.7.0 "), "trouble is expected"
    wait_until(lambda: len(relayd.helpers()) == 2 and
               not before & {h["pid"] for h in relayd.helpers()}, "other helpers")
    for client in stuck:
        client.expect(plain("billing", GOOD), "235")
        client.close()
    relayd.stop()


def a_reload_keeps_what_goes_on(workspace):
    relayd = started(workspace)
    relayd.wait_helpers(2)
    old = hello(relayd)
    old.expect("AUTH LOGIN", "334")
    relayd.user("add", "other", password=GOOD)
    relayd.write_config(CONFIG, users='"other"', mechanisms='"PLAIN"')
    relayd.reload()
    assert len({h["generation"] for h in relayd.helpers()}) == 2
    with hello(relayd) as client:
        client.expect("AUTH LOGIN", "504")
        client.expect(plain("other", GOOD), "235")
        assert client.mail().startswith("250")
    old.expect(b64("billing"), "334")
    old.expect(b64(GOOD), "235")
    assert old.mail().startswith("250")  # under the old grants
    old.close()
    relayd.wait_helpers(2)
    # without any mechanism there are no helpers
    relayd.write_config(CONFIG.replace("users      = {{ {users} }}",
                                       'networks   = {{ "127.0.0.1" }}'), mechanisms="")
    relayd.reload()
    relayd.wait_helpers(0)
    wait_until(lambda: relayd.status()["helpers"] == [], "no helpers")
    relayd.stop()


def users_change_without_a_reload(workspace):
    relayd = started(workspace, users='"*@example.com"')

    def login(name, password):
        with hello(relayd) as client:
            return client.command(plain(name, password))[:3]
    new = "Other-" + secrets.token_hex(8)
    assert login("new", new) == "535"
    relayd.user("add", "new", password=new)
    assert login("new", new) == "235"
    relayd.user("passwd", "new@example.com", password=GOOD)
    assert login("new", new) == "535"
    assert login("new", GOOD) == "235"
    relayd.user("disable", "new")
    assert login("new", GOOD) == "535"
    relayd.user("enable", "new")
    assert login("new", GOOD) == "235"
    relayd.user("remove", "new")
    assert login("new", GOOD) == "535"
    made = relayd.user("add", "made", "--generate").stdout.strip()
    assert login("made", made) == "235"
    # a file that cannot be read puts logins off
    away = relayd.users.with_suffix(".away")
    relayd.users.rename(away)
    assert login("billing", GOOD) == "454"
    away.rename(relayd.users)
    assert login("billing", GOOD) == "235"
    assert new not in relayd.log() and made not in relayd.log()
    relayd.stop()


# ---- guesses ----

def a_stranger_learns_nothing(workspace):
    relayd = started(workspace, connector="max-logon-failures = unlimited",
                     ban='failures = "unlimited"')
    relayd.user("add", "gone", password=GOOD)
    relayd.user("disable", "gone")
    relayd.user("add", "weak", password=GOOD)  # has no verifier of SHA-1
    replies, salts = set(), {}
    for user in ("billing", "nobody", "gone"):
        with hello(relayd, source="127.0.0.7") as client:
            replies.add(re.sub(r"\[\w+\]", "[ID]", client.command(plain(user, BAD))))
    assert replies == {"535 5.7.8 Authentication credentials invalid [ID]"}, replies
    for user in ("billing", "nobody", "gone", "nobody", "gone", "billing"):
        with hello(relayd, source="127.0.0.8") as client:
            scram = Scram(user, BAD)
            first = client.expect("AUTH SCRAM-SHA-256 " + scram.first(), "334 ")
            final = scram.final(first[4:])
            assert salts.setdefault(user, scram.salt) == scram.salt, user
            assert "i=4096" in scram.server_first
            client.expect("*", "501")
            assert final
    assert len({len(s) for s in salts.values()}) == 1 and len(set(salts.values())) == 3, salts
    relayd.stop()
    relayd.start()  # nor from a restart
    with hello(relayd) as client:
        scram = Scram("nobody", BAD)
        scram.final(client.expect("AUTH SCRAM-SHA-256 " + scram.first(), "334 ")[4:])
        assert scram.salt == salts["nobody"]
    relayd.stop()


def guesses_end_the_session_and_then_in_a_ban(workspace):
    relayd = started(workspace, connector="max-logon-failures = 2", ban=(
        'failures = 3 window = "10m" duration = "5s" exempt = {{ "127.0.0.3" }}'))
    with hello(relayd, source="127.0.0.2") as client:
        began = time.monotonic()
        client.expect(plain("billing", BAD), "535")
        first = time.monotonic() - began
        assert first >= 0.45, first
        client.expect(plain("nobody", BAD), "535")
        assert time.monotonic() - began - first >= 0.95
        assert client.reply().startswith("421 4.7.0 ")
        assert client.is_closed()
    with hello(relayd, source="127.0.0.2") as client:
        early = hello(relayd, source="127.0.0.2")
        client.expect(plain("billing", BAD), "535 5.7.8 ")
        assert client.reply().startswith("421 4.7.0 Too many failed logins")
        assert client.is_closed()
    banned = time.monotonic()
    with early:  # it was there before the ban
        early.expect(plain("billing", GOOD), "421 4.7.0 Too many failed logins")
    with Client(relayd.port, source="127.0.0.2", greet=False) as client:
        assert client.reply().startswith("421 4.7.0 Too many failed logins")
        assert client.is_closed()
    with hello(relayd, source="127.0.0.9") as client:  # nobody else suffers, the login least
        client.expect(plain("billing", GOOD), "235")
    for _ in range(4):
        with hello(relayd, source="127.0.0.3") as client:
            client.expect(plain("nobody", BAD), "535")

    def is_served():
        with Client(relayd.port, source="127.0.0.2", greet=False) as client:
            return client.reply().startswith("220")
    wait_until(is_served, "the end of the ban")
    assert time.monotonic() - banned >= 4.5
    with hello(relayd, source="127.0.0.2") as client:
        client.expect(plain("billing", GOOD), "235")
    assert {e["reason"] for e in relayd.auth_events(result="failed")} == {
        "auth.failed", "auth.banned"}
    assert {e["reason"] for e in relayd.audit("connect")} == {"auth.banned", "session.errors"}
    line = re.search(r"auth failed: .*$", relayd.log(), re.M).group(0)
    assert re.fullmatch(r"auth failed: client=127.0.0.2 user=billing@example.com mechanism=PLAIN "
                        r"reason=auth.failed session=\w+", line), line
    if shutil.which("fail2ban-regex"):
        said = run("fail2ban-regex", "--out", "ip", relayd.log_path, fail2ban_filter(workspace))
        assert set(said.stdout.split()) == {"127.0.0.2", "127.0.0.3"}, said
    relayd.stop()


def fail2ban_filter(workspace):
    """The filter beside fail2ban's own files, as it is installed."""
    folder = workspace.path / "fail2ban"
    folder.mkdir()
    shutil.copy("/etc/fail2ban/filter.d/common.conf", folder)
    return shutil.copy(harness.TOP / "contrib" / "fail2ban" / "relayd.conf", folder)


def who_mistypes_is_forgiven(workspace):
    relayd = started(workspace, ban='failures = 3')
    for _ in range(4):
        with hello(relayd, source="127.0.0.4") as client:
            client.expect(plain("billing", BAD), "535")
            client.expect(plain("billing", GOOD), "235")
    relayd.stop()


# ---- grants ----

def grants_know_users(workspace):
    (workspace.path / "people.txt").write_text("# users\ncarol\ndave@example.com\n")
    relayd = started(workspace, users='"billing"', extra="""
table "people" { type = "user" file = "%s/people.txt" }
grant "domain" { users = { "*@example.com" } senders = { "@all.example.com" }
                 recipients = { "@partner.example" } }
grant "table"  { users = { "table:people" } senders = { "@people.example.com" }
                 recipients = { "*" } }
grant "placed" { users = { "billing" } networks = { "192.0.2.0/24" }
                 senders = { "@placed.example.com" } recipients = { "*" } }
""" % workspace.path)
    for name in ("carol", "dave", "erin"):
        relayd.user("add", name, password=GOOD)
    cases = [
        (None, FROM, "530 5.7.0 Authentication required"),
        ("billing", FROM, "250"), ("billing@example.com", FROM, "250"),
        ("erin", FROM, "550 5.7.367"), ("erin", "x@all.example.com", "250"),
        ("billing", "x@all.example.com", "250"),
        ("carol", "x@people.example.com", "250"), ("dave", "x@people.example.com", "250"),
        ("carol@example.com", "x@people.example.com", "250"),
        ("billing", "x@people.example.com", "550 5.7.367"),
        ("billing", "x@placed.example.com", "550 5.7.367"),
    ]
    for user, sender, wanted in cases:
        with hello(relayd) as client:
            if user is not None:
                client.expect(plain(user, GOOD), "235")
            reply = client.command(f"MAIL FROM:<{sender}>")
            if reply.startswith("250"):
                reply = client.command(f"RCPT TO:<{TO}>")
            assert reply.startswith(wanted), (user, sender, reply)
        given = ["--user", user] if user else []
        told = relayd.ctl("explain", "--client", "127.0.0.1", *given, "--from", sender, "--to", TO,
                          "--json", check=False)
        verdict = json.loads(told.stdout)["verdict"]
        assert (verdict == "relayed") == (wanted == "250"), (user, sender, told.stdout)
    # EHLO and RSET do not end a login
    with hello(relayd) as client:
        client.expect(plain("billing", GOOD), "235")
        client.expect("EHLO again.example", "250")
        client.expect("RSET", "250")
        assert client.mail().startswith("250 2.0.0 Ok: queued")
    relayd.stop()


# ---- other sources ----

SLAPD = """include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {top}/slapd.pid
database mdb
suffix "dc=example,dc=com"
directory {top}/db
access to attrs=userPassword by anonymous auth
access to * by * read
"""
LDIF = """dn: dc=example,dc=com
objectClass: dcObject
objectClass: organization
o: example
dc: example

dn: uid=billing,dc=example,dc=com
objectClass: account
objectClass: simpleSecurityObject
uid: billing
userPassword: {password}
"""


def background(workspace, *command, **keywords):
    log = open(workspace.path / "background.log", "ab")
    process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=log,
                               stderr=log, start_new_session=True, **keywords)

    def end():
        log.close()
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    workspace.on_close(end)
    return process


def port_answers(port):
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True


def ldap_through_saslauthd(workspace):
    slapd, saslauthd = require("slapd"), require("saslauthd")
    top = workspace.path / "ldap"
    (top / "db").mkdir(parents=True)
    (top / "slapd.conf").write_text(SLAPD.format(top=top))
    (top / "ldif").write_text(LDIF.format(password=GOOD))
    done = run(require("slapadd"), "-f", top / "slapd.conf", "-l", top / "ldif")
    assert done.returncode == 0, done
    port = harness.free_port()
    background(workspace, slapd, "-f", top / "slapd.conf", "-h", f"ldap://127.0.0.1:{port}/", "-d",
               "0")
    wait_until(lambda: port_answers(port), "slapd")
    (top / "saslauthd.conf").write_text(
        f"ldap_servers: ldap://127.0.0.1:{port}/\nldap_search_base: dc=example,dc=com\n"
        "ldap_filter: (uid=%U)\nldap_timeout: 5\n")
    folder = workspace.path / "saslauthd"
    folder.mkdir()
    folder.chmod(0o755)
    command = (saslauthd, "-d", "-a", "ldap", "-O", top / "saslauthd.conf", "-m", folder, "-n", "1")
    daemon = background(workspace, *command)
    wait_until(lambda: (folder / "mux").exists(), "saslauthd")
    relayd = AuthRelayd(workspace, mechanisms='"PLAIN", "LOGIN"',
                        sasl=f'method = "saslauthd" saslauthd-path = "{folder}/mux"')
    relayd.start()
    assert {h["pool"] for h in relayd.helpers()} == {"slow"}
    with hello(relayd) as client:
        client.expect(plain("billing", BAD), "535")
        client.expect(plain("nobody", GOOD), "535")
        client.expect(plain("billing@example.com", GOOD), "235")
        assert client.mail().startswith("250 2.0.0 Ok: queued")
    wait_until(relayd.maildir, "the message in the Maildir")
    daemon.send_signal(signal.SIGSTOP)  # its directory takes very long
    with hello(relayd) as client, hello(relayd) as other:
        client.send(plain("billing", GOOD) + "\r\n")
        other.expect("NOOP", "250")
        assert client.reply().startswith("454 4.7.0 ")
        daemon.send_signal(signal.SIGCONT)
        client.expect(plain("billing", GOOD), "235")
    daemon.terminate()
    daemon.wait()
    with hello(relayd) as client:
        client.expect(plain("billing", GOOD), "454 4.7.0 ")
    relayd.stop()


KRB5 = """[libdefaults]
 default_realm = EXAMPLE.COM
 dns_lookup_kdc = false
 dns_canonicalize_hostname = false
 rdns = false
 udp_preference_limit = 1
[realms]
 EXAMPLE.COM = {{
  kdc = 127.0.0.1:{port}
 }}
"""
KDC = """[kdcdefaults]
 kdc_ports = ""
[realms]
 EXAMPLE.COM = {{
  database_name = {top}/principal
  key_stash_file = {top}/stash
  acl_file = {top}/acl
  kdc_listen = 127.0.0.1:{port}
  kdc_tcp_listen = 127.0.0.1:{port}
 }}
"""


def a_kerberos_ticket_logs_in(workspace):
    kdc, kdb5_util = require("krb5kdc"), require("kdb5_util")
    kadmin, kinit = require("kadmin.local"), require("kinit")
    if "GSS-API" not in run(require("curl"), "-V").stdout:
        raise Skip("curl knows no Kerberos")
    top = workspace.path / "kerberos"
    top.mkdir()
    top.chmod(0o755)
    port = harness.free_port()
    (top / "krb5.conf").write_text(KRB5.format(port=port))
    (top / "kdc.conf").write_text(KDC.format(top=top, port=port))
    env = dict(os.environ, KRB5_CONFIG=str(top / "krb5.conf"), KRB5CCNAME=str(top / "tickets"),
               KRB5_KDC_PROFILE=str(top / "kdc.conf"))

    def admin(query):
        done = run(kadmin, "-q", query, env=env)
        assert done.returncode == 0, done
    assert run(kdb5_util, "create", "-s", "-P", "master", env=env).returncode == 0
    background(workspace, kdc, "-n", env=env)
    wait_until(lambda: port_answers(port), "the KDC")
    admin(f"addprinc -pw {GOOD} billing@EXAMPLE.COM")
    admin("addprinc -randkey smtp/localhost@EXAMPLE.COM")
    admin(f"ktadd -k {top}/keytab smtp/localhost@EXAMPLE.COM")
    if os.getuid() == 0:
        shutil.chown(top / "keytab", "nobody")
    users = workspace.path / "users"
    relayd = AuthRelayd(
        workspace, hostname="localhost", mechanisms='"GSSAPI", "PLAIN"',
        sasl=f'users-file = "{users}" keytab = "{top}/keytab"',
        environment={"KRB5_CONFIG": str(top / "krb5.conf")})
    relayd.user("add", "other", password=GOOD)
    relayd.start()
    assert {h["pool"] for h in relayd.helpers()} == {"fast", "slow"}

    def is_offered():
        with hello(relayd) as client:
            return "AUTH GSSAPI PLAIN" in client.command("EHLO client.example")
    try:
        wait_until(is_offered, "GSSAPI", 5)
    except AssertionError:
        raise Skip("Cyrus SASL's GSSAPI is not installed") from None

    def send():
        message = workspace.path / "message.eml"
        message.write_text("Subject: from curl\r\n\r\nhello\r\n")
        return run("curl", "-sS", f"smtp://localhost:{relayd.port}/client.example", "-4",
                   "--mail-from", FROM, "--mail-rcpt", TO, "-T", message, "--login-options",
                   "AUTH=GSSAPI", "-u", "billing@EXAMPLE.COM:", env=env)
    assert send().returncode != 0  # no ticket
    assert run(kinit, "billing@EXAMPLE.COM", input=GOOD + "\n", env=env).returncode == 0
    sent = send()
    assert sent.returncode == 0, (sent, relayd.log())
    wait_until(relayd.maildir, "the message in the Maildir")
    assert relayd.auth_events(result="succeeded")[-1]["auth"] == {
        "user": "billing@example.com", "mechanism": "GSSAPI"}
    relayd.stop()


if __name__ == "__main__":
    harness.run(real_clients_log_in_with_the_users_file, real_clients_log_in_with_a_sasldb,
                scram_works_byte_by_byte, every_mistake_has_its_reply,
                nobody_logs_in_where_auth_is_not_offered, passwords_in_clear_are_refused,
                tls_makes_more_possible,
                helpers_hold_no_more_than_they_need, a_helper_that_dies_is_replaced,
                a_helper_that_hangs_is_replaced, a_reload_keeps_what_goes_on,
                users_change_without_a_reload, a_stranger_learns_nothing,
                guesses_end_the_session_and_then_in_a_ban, who_mistypes_is_forgiven,
                grants_know_users, ldap_through_saslauthd, a_kerberos_ticket_logs_in)
