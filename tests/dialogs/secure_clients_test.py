#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Programs that people use, logging in under TLS: STARTTLS and implicit, right and wrong."""
import base64
import os
import re
import shutil
import smtplib
import socket
import ssl
import subprocess

import auth_test
import harness
import tls_test
from auth_test import BAD, FROM, GOOD, TO, AuthRelayd, Scram, b64, run
from harness import Client, require, wait_until

STARTTLS, IMPLICIT = "starttls", "implicit"


class SecureRelayd(AuthRelayd):
    """Logins under TLS only: .port wants STARTTLS, .tls_port begins with TLS."""

    def __init__(self, workspace, mechanisms, *, sasl=None, options="", extra="", **keywords):
        self.authority = tls_test.Authority(workspace)
        self.pair = self.authority.issue("relay", "DNS:relay.example.com,DNS:localhost,IP:127.0.0.1")
        self.tls_port = harness.free_port()
        extra += tls_test.section("default", [self.pair],
                                  f'client-ca = "{self.authority.ca}" {options}')
        extra += tls_test.connector("secure", self.tls_port, "implicit",
                                    f"max-protocol-errors = 100 auth-mechanisms = {{ {mechanisms} }}")
        super().__init__(workspace, sasl=sasl, mechanisms=mechanisms, extra=extra,
                         connector='tls = "required"', **keywords)

    def port_of(self, how):
        return self.port if how == STARTTLS else self.tls_port

    def context(self, certificate=None):
        context = ssl.create_default_context(cafile=self.authority.ca)
        if certificate is not None:
            context.load_cert_chain(*certificate)
        return context

    def client(self, how, certificate=None, context=None):
        client = tls_test.TlsClient(self.port_of(how), context or self.context(certificate),
                                    is_implicit=how == IMPLICIT)
        client.offers = client.expect("EHLO client.example", "250")
        return client


def with_users_file(workspace, mechanisms, **keywords):
    relayd = SecureRelayd(workspace, mechanisms, **keywords)
    relayd.user("add", "billing", "--sha1", password=GOOD)
    return relayd.start()


def message(relayd):
    path = relayd.workspace.path / "message.eml"
    path.write_text("Subject: from curl\r\n\r\nhello\r\n")
    return path


# ---- clients ----

def by_swaks(relayd, how, mechanism, password):
    return run("swaks", "--server", f"localhost:{relayd.port_of(how)}", "--from", FROM, "--to", TO,
               "--tls" if how == STARTTLS else "--tlsc", "--tls-verify", "--tls-ca-path",
               relayd.authority.ca, "--auth", mechanism, "--auth-user", "billing",
               "--auth-password", password)


def by_curl(relayd, how, mechanism, password, user="billing", certificate=None, env=None):
    scheme, more = ("smtp", ["--ssl-reqd"]) if how == STARTTLS else ("smtps", [])
    if certificate is not None:
        more += ["--cert", certificate[0], "--key", certificate[1]]
    return run("curl", "-sS", "-4", "--cacert", relayd.authority.ca, *more, "--mail-from", FROM,
               "--mail-rcpt", TO, "-T", message(relayd), "--login-options", f"AUTH={mechanism}",
               "-u", f"{user}:{password}",
               f"{scheme}://localhost:{relayd.port_of(how)}/client.example", env=env)


def by_msmtp(relayd, how, mechanism, password, certificate=None):
    secret = relayd.workspace.path / "msmtp.password"
    secret.write_text(password + "\n")
    more = ([] if certificate is None else
            [f"--tls-cert-file={certificate[0]}", f"--tls-key-file={certificate[1]}"])
    return run("msmtp", "--file=/dev/null", "--host=localhost", f"--port={relayd.port_of(how)}",
               "--tls=on", f"--tls-starttls={'on' if how == STARTTLS else 'off'}",
               f"--tls-trust-file={relayd.authority.ca}", *more, f"--auth={mechanism.lower()}",
               "--user=billing", f"--passwordeval=cat {secret}", f"--from={FROM}", TO,
               input="Subject: from msmtp\n\nhello\n")


class Done:
    """What subprocess.run would give."""

    def __init__(self, returncode, stdout=""):
        self.returncode, self.stdout, self.stderr = returncode, stdout, ""


def by_smtplib(relayd, how, mechanism, password):
    port, context = relayd.port_of(how), relayd.context()
    client = (smtplib.SMTP("localhost", port, timeout=harness.PATIENCE_S) if how == STARTTLS else
              smtplib.SMTP_SSL("localhost", port, context=context, timeout=harness.PATIENCE_S))
    with client:
        if how == STARTTLS:
            client.starttls(context=context)
        client.user, client.password = "billing@example.com", password
        client.ehlo("client.example")
        call = {"PLAIN": client.auth_plain, "LOGIN": client.auth_login,
                "CRAM-MD5": client.auth_cram_md5}[mechanism]
        try:
            client.auth(mechanism, call)
            client.sendmail(FROM, [TO], "Subject: from smtplib\r\n\r\nhello\r\n")
        except smtplib.SMTPAuthenticationError as error:
            return Done(1, f"{error.smtp_code} {error.smtp_error.decode()}")
    return Done(0)


NODEMAILER = auth_test.NODEMAILER.replace(
    "[port, from, to, method, pass]", "[port, from, to, method, pass, secure, ca]").replace(
    "host: '127.0.0.1'", "host: 'localhost', tls: { ca: require('fs').readFileSync(ca) }").replace(
    "secure: false,", "secure: secure === 'true',").replace("ignoreTLS: true", "requireTLS: true")


def by_nodemailer(relayd, how, mechanism, password):
    modules = auth_test.nodemailer_modules()
    script = relayd.workspace.path / "send.js"
    script.write_text(NODEMAILER)
    return run("node", script, relayd.port_of(how), FROM, TO, mechanism, password,
               "true" if how == IMPLICIT else "false", relayd.authority.ca,
               env=dict(os.environ, NODE_PATH=str(modules)))


class PipedClient(Client):
    """A Client that speaks through a program's standard input and output."""

    def __init__(self, *command, **keywords):
        self.socket, theirs = socket.socketpair()
        self.buffer = b""
        self.socket.settimeout(harness.PATIENCE_S)
        keywords.setdefault("stdout", theirs)
        with theirs:
            self.process = subprocess.Popen([str(c) for c in command], stdin=theirs,
                                            stderr=subprocess.DEVNULL, **keywords)

    def close(self):
        self.socket.close()
        self.process.terminate()  # s_client -quiet does not mind the end of its input
        self.process.wait(harness.PATIENCE_S)
        if self.process.stdout is not None:
            self.process.stdout.close()


def by_s_client(relayd, how, mechanism, password):
    more = ["-starttls", "smtp"] if how == STARTTLS else []
    with PipedClient("openssl", "s_client", "-quiet", "-verify_return_error", "-CAfile",
                     relayd.authority.ca, "-verify_hostname", "relay.example.com", *more,
                     "-connect", f"127.0.0.1:{relayd.port_of(how)}") as client:
        if how == IMPLICIT:
            client.reply()  # the greeting
        client.expect("EHLO client.example", "250")
        if mechanism == "PLAIN":
            reply = client.command(auth_test.plain("billing", password))
        else:
            client.expect("AUTH LOGIN", "334 " + b64("Username:"))
            client.expect(b64("billing"), "334 " + b64("Password:"))
            reply = client.command(b64(password))
        if not reply.startswith("235"):
            return Done(1, reply)
        assert client.mail().startswith("250 2.0.0 Ok: queued")
        client.expect("QUIT", "221")
    return Done(0)


def clients_log_in(relayd, wanted):
    """Each client with each of its mechanisms both ways: refused first, then its mail arrives."""
    count = 0
    for program, by, mechanisms in wanted:
        if program is not None and shutil.which(program) is None:
            print(f"     left out: {program} is not installed")
            continue
        for how in (STARTTLS, IMPLICIT):
            for mechanism in mechanisms:
                what = (program or "smtplib", how, mechanism)
                bad = by(relayd, how, mechanism, BAD)
                assert bad.returncode != 0, (what, bad)
                failed = relayd.auth_events(result="failed")[-1]
                assert failed["reason"] == "auth.failed", (what, failed)
                assert failed["auth"]["mechanism"] == mechanism, (what, failed)
                good = by(relayd, how, mechanism, GOOD)
                assert good.returncode == 0, (what, vars(good), relayd.log())
                count += 1
                event = relayd.auth_events()[-1]
                assert event["result"] == "succeeded" and event["auth"] == {
                    "user": "billing@example.com", "mechanism": mechanism}, (what, event)
                assert event["connector"] == ("apps" if how == STARTTLS else "secure"), event
    arrived(relayd, count)
    return count


def arrived(relayd, count):
    """All of it, and that it came under TLS with a login."""
    wait_until(lambda: len(relayd.maildir()) == count, f"{count} messages in the Maildir")
    for path in relayd.maildir():
        text = path.read_text()
        assert "with ESMTPSA\n" in text and "billing@example.com" not in text, text
        assert re.search(r"tls TLS_\w+ \(TLSv1\.3\)", text), text
    attempts = relayd.attempts(verdict="relayed")
    assert len(attempts) == count, attempts
    assert all(a["auth"]["user"] == "billing@example.com" and a["tls"]["version"] == "TLSv1.3"
               for a in attempts), attempts
    relayd.stop()  # looks for passwords in all that relayd wrote, too


def clients_log_in_with_the_users_file(workspace):
    relayd = with_users_file(workspace, '"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", '
                             '"PLAIN", "LOGIN", "EXTERNAL"')
    clients_log_in(relayd, [
        ("swaks", by_swaks, ("PLAIN", "LOGIN")),
        ("curl", by_curl, ("PLAIN", "LOGIN")),
        (None, by_smtplib, ("PLAIN", "LOGIN")),
        ("msmtp", by_msmtp, ("PLAIN", "LOGIN", "SCRAM-SHA-1", "SCRAM-SHA-256")),
        ("node", by_nodemailer, ("PLAIN", "LOGIN")),
        ("openssl", by_s_client, ("PLAIN", "LOGIN")),
    ])


def clients_log_in_with_a_sasldb(workspace):
    require("saslpasswd2")
    path = workspace.path / "sasldb2"
    relayd = SecureRelayd(workspace, '"CRAM-MD5", "PLAIN"',
                          sasl=f'method = "sasldb" sasldb-path = "{path}"')
    auth_test.sasldb_make(path)
    relayd.start()
    clients_log_in(relayd, [
        ("swaks", by_swaks, ("CRAM-MD5",)),
        ("curl", by_curl, ("CRAM-MD5",)),
        (None, by_smtplib, ("CRAM-MD5",)),
        ("msmtp", by_msmtp, ("CRAM-MD5",)),
        ("node", by_nodemailer, ("CRAM-MD5",)),
    ])


def certificates_log_in(workspace):
    """AUTH EXTERNAL of curl and msmtp; a certificate of another CA is no login."""
    relayd = with_users_file(workspace, '"EXTERNAL", "PLAIN"')
    person = relayd.authority.issue("person", "email:billing@example.com")
    strangers = tls_test.Authority(workspace, "strangers")
    stranger = strangers.issue("stranger", "email:billing@example.com")
    count = 0
    for program, by in (("curl", lambda how, pair: by_curl(
            relayd, how, "EXTERNAL", "", certificate=pair)), ("msmtp", lambda how, pair:
            by_msmtp(relayd, how, "EXTERNAL", "", certificate=pair))):
        require(program)
        for how in (STARTTLS, IMPLICIT):
            refused = by(how, stranger)
            assert refused.returncode != 0, (program, how, refused)
            done = by(how, person)
            assert done.returncode == 0, (program, how, done, relayd.log())
            count += 1
            assert relayd.auth_events()[-1]["auth"] == {
                "user": "billing@example.com", "mechanism": "EXTERNAL"}
    for how in (STARTTLS, IMPLICIT):
        with relayd.client(how, stranger) as client:
            assert "EXTERNAL" not in client.offers, client.offers
            client.expect("AUTH EXTERNAL =", "504 5.5.4")
    arrived(relayd, count)


# ---- channel binding ----

class BoundClient(PipedClient):
    """A client that knows what binds to its TLS connection (RFC 9266)."""

    def __init__(self, port):
        super().__init__(harness.BUILD / "tests" / "dialogs" / "exporter_client", port,
                         stdout=subprocess.PIPE)
        self.binding = bytes.fromhex(self.process.stdout.readline().decode())
        assert len(self.binding) == 32
        self.banner = self.reply()
        self.offers = self.expect("EHLO client.example", "250")


class BoundScram(Scram):
    def __init__(self, user, password, digest, binding, kind="tls-exporter"):
        super().__init__(user, password, digest, gs2=f"p={kind},,")
        self.binding = binding

    def channel(self):
        return base64.b64encode(self.gs2.encode() + self.binding).decode()


def bound_login(client, name, scram):
    reply = client.command(f"AUTH {name} {scram.first()}")
    if reply.startswith("334 "):
        reply = client.command(scram.final(reply[4:]))
    if reply.startswith("334 "):
        assert base64.b64decode(reply[4:]).decode() == "v=" + scram.wanted
        reply = client.command("")
    return reply


def scram_plus_is_bound_to_the_connection(workspace):
    relayd = with_users_file(workspace, '"SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256"')
    count = 0
    with BoundClient(relayd.tls_port) as another:
        wrong = (  # binding, kind, password
            (lambda own: another.binding, "tls-exporter", GOOD),
            (lambda own: own[:-1] + bytes([own[-1] ^ 1]), "tls-exporter", GOOD),
            (lambda own: b"", "tls-exporter", GOOD),
            (lambda own: own + b"\0", "tls-exporter", GOOD),
            (lambda own: own, "tls-unique", GOOD),
            (lambda own: own, "tls-exporter", BAD),
        )
        for name, digest in (("SCRAM-SHA-256-PLUS", "sha256"), ("SCRAM-SHA-1-PLUS", "sha1")):
            for number, (binding, kind, password) in enumerate(wrong):
                with BoundClient(relayd.tls_port) as client:
                    assert name in client.offers and client.binding != another.binding
                    scram = BoundScram("billing", password, digest, binding(client.binding), kind)
                    reply = bound_login(client, name, scram)
                    assert reply.startswith("535 5.7.8 "), (name, number, reply)
                    scram = BoundScram("billing", GOOD, digest, client.binding)
                    reply = bound_login(client, name, scram)
                    assert reply.startswith("235 2.7.0 "), (name, number, reply)
                    assert client.mail().startswith("250 2.0.0 Ok: queued")
                    count += 1
                assert relayd.auth_events()[-1]["auth"] == {
                    "user": "billing@example.com", "mechanism": name}
    # what has no binding that is worth it is not offered it
    context = relayd.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with relayd.client(IMPLICIT, context=context) as client:
        assert "AUTH SCRAM-SHA-256" in client.offers and "PLUS" not in client.offers
        client.expect("AUTH SCRAM-SHA-256-PLUS", "504 5.5.4")
    arrived(relayd, count)


if __name__ == "__main__":
    harness.run(clients_log_in_with_the_users_file, clients_log_in_with_a_sasldb,
                certificates_log_in, scram_plus_is_bound_to_the_connection)
