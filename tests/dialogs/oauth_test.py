#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Logins upstream with OAuth 2.0: tokens from a real HTTPS endpoint, a next hop that wants them."""
import base64
import contextlib
import hashlib
import http.server
import json
import os
import pwd
import re
import signal
import ssl
import socket
import stat
import subprocess
import sys
import threading
import time
import urllib.parse

from harness import DEFAULT_CONFIG, TOP, Client, Relayd, free_port, require, run, wait_until

USER = "relay@example.com"


def certificate(workspace, name, san="IP:127.0.0.1", key="rsa:2048"):
    """A self-signed certificate: (PEM file, key file)."""
    openssl = require("openssl")
    pem, private = workspace.path / f"{name}.pem", workspace.path / f"{name}.key"
    options = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if key == "ec" else ["-newkey", key]
    subprocess.run([openssl, "req", "-x509", *options, "-nodes", "-days", "2", "-subj", f"/CN={name}",
                    "-addext", f"subjectAltName={san}", "-keyout", private, "-out", pem],
                   check=True, capture_output=True)
    private.chmod(0o644)
    return pem, private


class TokenServer:
    """An HTTPS token endpoint; answer(form) gives (status, object) or nothing for a token."""

    def __init__(self, workspace, answer=None, lifetime=3600):
        self.answer = answer or (lambda form: None)
        self.lifetime = lifetime
        self.forms = []
        self.good = set()
        self.pem, key = certificate(workspace, "login")
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                length = int(self.headers["Content-Length"])
                form = dict(urllib.parse.parse_qsl(self.rfile.read(length).decode()))
                server.forms.append(form)
                result = server.answer(form)
                if result is None:
                    token = f"token-{len(server.forms)}." + "x" * 2000
                    server.good = {token}
                    result = 200, {"token_type": "Bearer", "access_token": token,
                                   "expires_in": server.lifetime}
                body = json.dumps(result[1]).encode() if not isinstance(result[1], bytes) else result[1]
                self.send_response(result[0])
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.pem, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}/oauth2/token"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        workspace.on_close(self.close)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class TokenHop:
    """A next hop with STARTTLS that takes mail only after AUTH with a token of the server's."""

    def __init__(self, workspace, tokens, mechanism="XOAUTH2"):
        self.tokens, self.mechanism = tokens, mechanism
        self.messages, self.logins, self.refused = [], [], []
        self.pem, key = certificate(workspace, "hop")
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.pem, key)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.last_words = []
        threading.Thread(target=self.accept, daemon=True).start()
        workspace.on_close(self.listener.close)

    def accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def may_log_in(self, response):
        text = base64.b64decode(response, validate=True).decode()
        self.logins.append(text)
        if self.mechanism == "XOAUTH2":
            return any(text == f"user={USER}\1auth=Bearer {t}\1\1" for t in self.tokens.good)
        return any(text == f"n,a={USER},\1host=127.0.0.1\1port={self.port}\1auth=Bearer {t}\1\1"
                   for t in self.tokens.good)

    def serve(self, peer):
        with contextlib.suppress(OSError, ConnectionError, ValueError):
            peer.sendall(b"220 hop.example ESMTP\r\n")
            stream, is_tls, is_in = peer.makefile("rb"), False, False
            while True:
                line = stream.readline().strip().decode()
                verb, _, argument = line.partition(" ")
                verb = verb.upper()
                if not line:
                    return
                if verb == "EHLO":
                    peer.sendall(b"250-hop.example\r\n" +
                                 (b"" if is_tls else b"250-STARTTLS\r\n") +
                                 (b"250-AUTH " + self.mechanism.encode() + b"\r\n" if is_tls else b"") +
                                 b"250 8BITMIME\r\n")
                elif verb == "STARTTLS":
                    peer.sendall(b"220 go\r\n")
                    peer = self.context.wrap_socket(peer, server_side=True)
                    stream, is_tls = peer.makefile("rb"), True
                elif verb == "AUTH":
                    if self.may_log_in(argument.split(" ")[1]):
                        is_in = True
                        peer.sendall(b"235 2.7.0 welcome\r\n")
                    else:
                        self.refused.append(argument)
                        peer.sendall(b"334 " + base64.b64encode(b'{"status":"401"}') + b"\r\n")
                        self.last_words.append(stream.readline())
                        peer.sendall(b"535 5.7.3 Authentication unsuccessful\r\n")
                elif verb in ("MAIL", "RCPT"):
                    peer.sendall(b"250 2.1.0 ok\r\n" if is_in else b"530 5.7.57 not authenticated\r\n")
                elif verb == "DATA":
                    peer.sendall(b"354 go\r\n")
                    body = b""
                    while not body.endswith(b"\r\n.\r\n"):
                        body += stream.readline()
                    self.messages.append(body)
                    peer.sendall(b"250 2.0.0 taken\r\n")
                elif verb == "QUIT":
                    peer.sendall(b"221 2.0.0 bye\r\n")
                    return
                else:
                    peer.sendall(b"250 2.0.0 ok\r\n")


def start(workspace, tokens, hop, *, auth, workers=2, mechanism="XOAUTH2"):
    secret = workspace.path / "secret"
    secret.write_text("s3cr3t/+&=pass\n")
    route = f"""next-hops = {{ "127.0.0.1:{hop.port}" }}
    tls = "verify"  tls-ca = "{hop.pem}"  tls-name = "127.0.0.1"
    auth {{ mechanism = "{mechanism}" user = "{USER}" token-endpoint = "{tokens.url}"
           client-id = "relayd-client" scope = "https://mail.example/.default" token-ca = "{tokens.pem}"
           {auth.format(path=workspace.path)} }}"""
    return Relayd(workspace, route=route, workers=workers).start()


SECRET = 'client-secret-file = "{path}/secret"'


def send(relayd):
    with Client(relayd.port) as client:
        client.expect("EHLO app", "250")
        assert client.mail().startswith("250"), "accepted"


def token_of(relayd):
    return relayd.status()["routes"][0]["token"]


def logs_in_with_a_token_and_keeps_it_over_a_restart(workspace):
    tokens = TokenServer(workspace)
    hop = TokenHop(workspace, tokens)
    relayd = start(workspace, tokens, hop, auth=SECRET)
    wait_until(lambda: token_of(relayd)["state"] == "valid", "a token")
    send(relayd)
    wait_until(lambda: hop.messages, "a message")
    assert tokens.forms == [{"grant_type": "client_credentials", "client_id": "relayd-client",
                             "client_secret": "s3cr3t/+&=pass",
                             "scope": "https://mail.example/.default"}], tokens.forms
    kept = relayd.state / "tokens" / "next"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    token = json.loads(kept.read_text())["token"]
    for text in (relayd.log(), json.dumps(relayd.audit()), json.dumps(relayd.status())):
        assert token not in text and "s3cr3t" not in text
    relayd.stop()
    relayd.start()
    wait_until(lambda: token_of(relayd)["state"] == "valid", "the kept token")
    send(relayd)
    wait_until(lambda: len(hop.messages) == 2, "another message")
    assert len(tokens.forms) == 1, "the token was asked for again"
    relayd.stop()


def oauthbearer_is_spoken_too(workspace):
    tokens = TokenServer(workspace)
    hop = TokenHop(workspace, tokens, "OAUTHBEARER")
    relayd = start(workspace, tokens, hop, auth=SECRET, mechanism="OAUTHBEARER")
    wait_until(lambda: token_of(relayd)["state"] == "valid", "a token")
    send(relayd)
    wait_until(lambda: hop.messages, "a message")
    relayd.stop()


def a_token_that_the_next_hop_rejects_is_renewed_once_for_all(workspace):
    tokens = TokenServer(workspace)
    hop = TokenHop(workspace, tokens)
    relayd = start(workspace, tokens, hop, auth=SECRET, workers=3)
    wait_until(lambda: token_of(relayd)["state"] == "valid", "a token")
    tokens.good = set()  # withdrawn behind our back
    for _ in range(6):
        send(relayd)
    wait_until(lambda: hop.refused, "a refusal")
    wait_until(lambda: len(hop.messages) == 6, "the messages, after a new token", 60)
    assert hop.last_words and set(hop.last_words) == {b"\r\n"}, hop.last_words
    assert len(tokens.forms) == 2, tokens.forms
    assert not [r for r in relayd.audit("bounce")]
    relayd.stop()


def a_short_token_is_renewed_before_it_ends(workspace):
    tokens = TokenServer(workspace, lifetime=4)
    hop = TokenHop(workspace, tokens)
    relayd = start(workspace, tokens, hop, auth=SECRET)
    wait_until(lambda: len(tokens.forms) >= 3, "three tokens")
    relayd.stop()


def withdrawn_consent_is_told_and_mail_waits(workspace):
    answers = [(400, {"error": "invalid_client", "error_description": "AADSTS7000222: the secret expired\r\nTrace"})]
    tokens = TokenServer(workspace, lambda form: answers[0] if answers else None)
    hop = TokenHop(workspace, tokens)
    relayd = start(workspace, tokens, hop, auth=SECRET)
    wait_until(lambda: token_of(relayd)["state"] == "refused", "the refusal")
    assert token_of(relayd)["trouble"] == ("the endpoint refuses: invalid_client: AADSTS7000222: "
                                           "the secret expired")
    assert "no token for route next: the endpoint refuses: invalid_client" in relayd.log()
    send(relayd)
    wait_until(lambda: [r for r in relayd.audit("delivery") if "no access token" in r.get("reply", "")],
               "a deferral that says why")
    assert not hop.messages
    answers.clear()
    wait_until(lambda: hop.messages, "the message after all")
    relayd.stop()


def an_endpoint_that_talks_nonsense_is_tried_again(workspace):
    answers = [(200, b"<html>"), (500, b""), (200, {"access_token": "with blank s"}),
               (200, {"access_token": ""}), (200, b"x" * 100000)]
    tokens = TokenServer(workspace, lambda form: answers[0])
    hop = TokenHop(workspace, tokens)
    relayd = start(workspace, tokens, hop, auth=SECRET)
    wait_until(lambda: token_of(relayd)["state"] == "trouble", "trouble")
    assert "nothing that is a token" in token_of(relayd)["trouble"]
    relayd.stop()


def nobody_but_a_trusted_endpoint_gets_the_secret(workspace):
    tokens = TokenServer(workspace)
    other, _ = certificate(workspace, "other")
    hop = TokenHop(workspace, tokens)
    tokens.pem = other
    relayd = start(workspace, tokens, hop, auth=SECRET)
    wait_until(lambda: token_of(relayd)["state"] == "trouble", "trouble")
    assert "certificate" in token_of(relayd)["trouble"], token_of(relayd)
    assert not tokens.forms
    relayd.stop()


def a_certificate_signs_in_place_of_a_secret(workspace):
    for kind in ("rsa:2048", "ec"):
        name = kind.replace(":", "")
        pem, key = certificate(workspace, "client" + name, key=kind)
        if os.getuid() == 0:
            os.chown(key, pwd.getpwnam("nobody").pw_uid, -1)
        tokens = TokenServer(workspace)
        hop = TokenHop(workspace, tokens)
        folder = workspace.path / ("state-" + name)
        relayd = start(workspace, tokens, hop, auth=f'certificate = "{pem}" key = "{key}"')
        wait_until(lambda: token_of(relayd)["state"] == "valid", "a token")
        form = tokens.forms[0]
        assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        assert "client_secret" not in form
        check_assertion(workspace, form["client_assertion"], pem, tokens.url, kind)
        relayd.stop()
        (relayd.state / "tokens" / "next").unlink()


def check_assertion(workspace, text, pem, audience, kind):
    def decode(part):
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))

    head, claims, signature = text.split(".")
    header, claim = json.loads(decode(head)), json.loads(decode(claims))
    der = ssl.PEM_cert_to_DER_cert(pem.read_text())
    thumb = base64.urlsafe_b64encode(hashlib.sha1(der).digest()).rstrip(b"=").decode()
    assert header["x5t"] == thumb and header["typ"] == "JWT"
    assert header["alg"] == ("ES256" if kind == "ec" else "RS256")
    assert claim["aud"] == audience and claim["iss"] == claim["sub"] == "relayd-client"
    assert claim["nbf"] <= time.time() < claim["exp"] <= time.time() + 600 and claim["jti"]
    raw = decode(signature)
    if kind == "ec":  # DER again, for openssl
        def integer(b):
            b = b.lstrip(b"\0")
            b = b"\0" + b if b[0] & 0x80 else b
            return b"\x02" + bytes([len(b)]) + b
        pair = integer(raw[:32]) + integer(raw[32:])
        raw = b"\x30" + bytes([len(pair)]) + pair
    (workspace.path / "sig").write_bytes(raw)
    (workspace.path / "signed").write_bytes(f"{head}.{claims}".encode())
    public = subprocess.run(["openssl", "x509", "-in", pem, "-pubkey", "-noout"], check=True,
                            capture_output=True).stdout
    (workspace.path / "pub").write_bytes(public)
    subprocess.run(["openssl", "dgst", "-sha256", "-verify", workspace.path / "pub", "-signature",
                    workspace.path / "sig", workspace.path / "signed"], check=True, capture_output=True)


def a_refresh_token_is_used_and_its_successor_kept(workspace):
    (workspace.path / "refresh").write_text("first-refresh\n")

    def answer(form):
        number = len(tokens.forms)
        token = f"access-{number}"
        tokens.good = {token}
        return 200, {"access_token": token, "expires_in": "4", "refresh_token": f"refresh-{number}"}

    tokens = TokenServer(workspace, answer)
    hop = TokenHop(workspace, tokens)
    relayd = start(workspace, tokens, hop, auth='refresh-token-file = "{path}/refresh"')
    wait_until(lambda: len(tokens.forms) >= 2, "two renewals")
    assert [f["refresh_token"] for f in tokens.forms[:2]] == ["first-refresh", "refresh-1"], tokens.forms
    relayd.stop()
    seen = len(tokens.forms)
    relayd.start()
    wait_until(lambda: len(tokens.forms) > seen, "a renewal after a restart")
    assert tokens.forms[seen]["refresh_token"] == f"refresh-{seen}", tokens.forms[seen]
    relayd.stop()


def the_fetcher_is_started_again(workspace):
    tokens = TokenServer(workspace)
    hop = TokenHop(workspace, tokens)
    relayd = start(workspace, tokens, hop, auth=SECRET)
    wait_until(lambda: token_of(relayd)["state"] == "valid", "a token")
    children = subprocess.run(["pgrep", "-P", str(relayd.process.pid)], capture_output=True,
                              text=True).stdout.split()
    fetcher, = [int(c) for c in children if int(c) not in relayd.worker_pids()]
    os.kill(fetcher, signal.SIGKILL)
    wait_until(lambda: "the fetcher process ended" in relayd.log(), "its end")
    send(relayd)
    wait_until(lambda: hop.messages, "mail with the token that is there")
    relayd.stop()


def configurations_say_what_is_wrong(workspace):
    hop = free_port()
    base = 'next-hops = {{ "mail.example.com:587" }} tls = "{tls}" auth {{ mechanism = "XOAUTH2" user = "u@example.com" {rest} }}'
    good = 'token-endpoint = "https://login.example/token" client-id = "c" client-secret-file = "/etc/hostname"'
    relayd = Relayd(workspace, next_hop=hop)
    for tls, rest, words in (
            ("verify", good.replace("https:", "http:"), "is not an address that begins with https://"),
            ("verify", good.replace('client-id = "c"', ""), "has no client-id"),
            ("verify", good.replace("client-secret-file", "scope"), "does not say how relayd proves who it is"),
            ("opportunistic", good, "would hand its token to whoever answers"),
            ("verify", good + ' password-file = "/etc/hostname"', "has no effect with a token"),
            ("verify", good + ' certificate = "/etc/hostname"', "needs both certificate and key"),
            ("verify", good.replace("token-endpoint", "token-endpiont"), "did you mean 'token-endpoint'")):
        relayd.values["route"] = base.format(tls=tls, rest=rest)
        relayd.write_config(DEFAULT_CONFIG)
        result = relayd.ctl("explain", "--client", "127.0.0.1", "--from", "a@b.example", "--to",
                            "c@d.example", check=False)
        assert words in result.stderr, (words, result.stderr)


def the_ready_made_routes_load(workspace):
    """Each file of etc/routes, with the files that it names."""
    profiles = sorted((TOP / "etc" / "routes").glob("*.conf"))
    assert len(profiles) >= 6
    pem, key = certificate(workspace, "client")
    for profile in profiles:
        text = profile.read_text()
        for name in set(re.findall(r'"(/etc/relayd/[^"]+)"', text)):
            kept = workspace.path / name.rsplit("/", 1)[1]
            kept.write_text(pem.read_text() if name.endswith(".pem") else "secret\n")
            text = text.replace(name, str(kept))
        name = re.search(r'^route "([^"]+)"', text, re.M).group(1)
        relayd = Relayd(workspace, next_hop=9, config="""
hostname = "relay.example.com"
state-dir = "{state}"
{user}
connector "apps" {{ bindings = {{ "127.0.0.1:{port}" }} remote-ip-ranges = {{ "127.0.0.1" }} }}
grant "a" {{ networks = {{ "127.0.0.1" }} senders = {{ "@example.com" }}
            recipients = {{ "@example.com" }} route = "%s" }}
""" % name + text.replace("{", "{{").replace("}", "}}"))
        result = relayd.ctl("explain", "--client", "127.0.0.1", "--from", "a@example.com", "--to",
                            "c@example.com", check=False)
        assert result.returncode == 0, (profile, result)


if __name__ == "__main__":
    sys.exit(run(logs_in_with_a_token_and_keeps_it_over_a_restart, oauthbearer_is_spoken_too,
                 a_token_that_the_next_hop_rejects_is_renewed_once_for_all,
                 a_short_token_is_renewed_before_it_ends, withdrawn_consent_is_told_and_mail_waits,
                 an_endpoint_that_talks_nonsense_is_tried_again,
                 nobody_but_a_trusted_endpoint_gets_the_secret, a_certificate_signs_in_place_of_a_secret,
                 a_refresh_token_is_used_and_its_successor_kept, the_fetcher_is_started_again,
                 configurations_say_what_is_wrong, the_ready_made_routes_load))
