#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""TLS of the whole program: STARTTLS and implicit, certificates of both sides, reloads, abuse."""
import os
import re
import signal
import smtplib
import socket
import ssl
import subprocess
import threading
import time
import warnings
import xml.etree.ElementTree as xml

import harness
from harness import BUILD, Client, Relayd, Skip, free_port, require, wait_until

CONFIG = """
hostname  = "relay.example.com"
state-dir = "{state}"
workers   = {workers}
{user}
dns {{ hosts-file = true }}
{extra}
route "next" {{ recipients = {{ "*" }} {route} }}
"""

EVERYBODY = ('grant "everybody" { networks = { "127.0.0.0/8" } senders = { "@example.com" } '
             'recipients = { "*" } }')


def openssl(*arguments, **keywords):
    done = subprocess.run([require("openssl"), *map(str, arguments)], capture_output=True,
                          timeout=harness.PATIENCE_S, **keywords)
    assert done.returncode == 0, f"openssl {arguments}: {done.stderr.decode()}"
    return done.stdout.decode(errors="replace")


class Authority:
    """A CA of the test's own, and the files of what it signed."""

    def __init__(self, workspace, name="ca"):
        self.folder = workspace.path / name
        self.folder.mkdir()
        self.ca = self.folder / "ca.pem"
        openssl("req", "-x509", *self.new_key("ec"), "-keyout", self.folder / "ca.key", "-out",
                self.ca, "-subj", f"/CN={name} of the test", "-days", "100",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature")

    @staticmethod
    def new_key(kind):
        parameter = ("ec_paramgen_curve:P-256" if kind == "ec" else "rsa_keygen_bits:2048")
        return ["-newkey", kind, "-pkeyopt", parameter, "-nodes"]

    def issue(self, file, names, *, kind="ec", cn=None, days=90, end=None):
        """file.pem and file.key; end: "20200101000000Z", for one that is over."""
        pem, key, request = (self.folder / f"{file}.{e}" for e in ("pem", "key", "csr"))
        extensions = self.folder / f"{file}.ext"
        extensions.write_text(f"subjectAltName={names}\n" if names else "basicConstraints=CA:false\n")
        openssl("req", "-new", *self.new_key(kind), "-keyout", key, "-out", request, "-subj",
                f"/CN={cn or file}")
        if end is None:
            openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey",
                    self.folder / "ca.key", "-out", pem, "-days", days, "-extfile", extensions)
        else:
            self._issue_ended(request, pem, extensions, end)
        key.chmod(0o644)  # the account nobody reads it again at a reload
        return pem, key

    def _issue_ended(self, request, pem, extensions, end):
        settings = self.folder / "ca.cnf"
        (self.folder / "index.txt").write_text("")
        (self.folder / "serial").write_text("01\n")
        settings.write_text(
            f"[ca]\ndefault_ca=d\n[d]\nnew_certs_dir={self.folder}\ndefault_md=sha256\n"
            f"database={self.folder}/index.txt\nserial={self.folder}/serial\npolicy=p\n"
            "[p]\ncommonName=supplied\n")
        openssl("ca", "-batch", "-config", settings, "-cert", self.ca, "-keyfile",
                self.folder / "ca.key", "-in", request, "-out", pem, "-startdate",
                "20190101000000Z", "-enddate", end, "-extfile", extensions, "-notext")


def fingerprint(pem):
    text = openssl("x509", "-in", pem, "-noout", "-fingerprint", "-sha256")
    return text.split("=")[1].strip().replace(":", "").lower()


def section(name, pairs, options=""):
    certificates = ", ".join(f'"{pem}"' for pem, _ in pairs)
    keys = ", ".join(f'"{key}"' for _, key in pairs)
    return f'tls "{name}" {{ certificate = {{ {certificates} }} key = {{ {keys} }} {options} }}\n'


def connector(name, port, tls, options=""):
    return (f'connector "{name}" {{ bindings = {{ "127.0.0.1:{port}" }} tls = "{tls}"\n'
            f'    remote-ip-ranges = {{ "127.0.0.0/8" }} tarpit-interval = "0s" '
            f'max-connections-per-source = unlimited {options} }}\n')


class Site:
    """A CA, a certificate, and a relayd with STARTTLS at .port and TLS at once at .tls_port."""

    def __init__(self, workspace, *, sections=None, connectors=None, grants=EVERYBODY, workers=2,
                 pair=None, demand="offered", options="", start=True):
        self.authority = Authority(workspace)
        self.pair = pair or self.authority.issue(
            "relay", "DNS:relay.example.com,DNS:localhost,IP:127.0.0.1")
        self.port, self.tls_port = free_port(), free_port()
        sections = sections or section("default", [self.pair], options)
        connectors = connectors or (connector("starttls", self.port, demand) +
                                    connector("implicit", self.tls_port, "implicit"))
        self.relayd = Relayd(workspace, config=CONFIG, workers=workers, port=self.port,
                             extra=sections + connectors + grants)
        if start:
            self.relayd.start()

    def context(self, certificate=None):
        context = ssl.create_default_context(cafile=self.authority.ca)
        if certificate is not None:
            context.load_cert_chain(*certificate)
        return context

    def client(self, context=None, **keywords):
        return TlsClient(self.port, context or self.context(), **keywords)

    def implicit(self, context=None, **keywords):
        return TlsClient(self.tls_port, context or self.context(), is_implicit=True, **keywords)

    def change(self, sections, connectors, grants=EVERYBODY):
        self.relayd.write_config(CONFIG, extra=sections + connectors + grants)

    def figures(self, name):
        return next(c for c in self.relayd.status()["connectors"] if c["name"] == name)


class TlsClient(Client):
    """harness.Client, after its handshake."""

    def __init__(self, port, context, *, is_implicit=False, name="relay.example.com",
                 session=None):
        super().__init__(port, greet=not is_implicit)
        try:
            if not is_implicit:
                assert "250-STARTTLS" in self.expect("EHLO before.example", "250").split("\n")
                self.expect("STARTTLS", "220 2.0.0")
            self.socket = context.wrap_socket(self.socket, server_hostname=name, session=session)
            if is_implicit:
                self.banner = self.reply()
        except BaseException:
            self.close()
            raise

    def certificate(self):
        return self.socket.getpeercert(binary_form=True)


def anybody(minimum=None, maximum=None, ciphers=None):
    """A client that believes everything."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if ciphers is not None:
        context.set_ciphers(ciphers)
    if minimum is not None:
        context.minimum_version = minimum
    if maximum is not None:
        context.maximum_version = maximum
    return context


def der(pair):
    return ssl.PEM_cert_to_DER_cert(pair[0].read_text().split("-----END CERTIFICATE-----")[0] +
                                    "-----END CERTIFICATE-----\n")


def handshake_fails(make):
    try:
        make().close()
    except (ssl.SSLError, ConnectionError, EOFError):
        return True
    return False


# ---- The ordinary way ----

def speaks_tls_after_starttls(workspace):
    site = Site(workspace, demand="required")
    with Client(site.port) as client:
        client.expect("STARTTLS", "503")
        client.expect("EHLO app.example", "250")
        client.expect("STARTTLS now", "501")
        reply = client.expect("MAIL FROM:<a@example.com>", "530 5.7.0 ")
        assert "STARTTLS" in reply
    with site.client() as client:
        client.expect("MAIL FROM:<a@example.com>", "503")  # it was greeted in clear only
        client.expect("STARTTLS", "503")
        offers = client.expect("EHLO under.example", "250").split("\n")
        assert not any("STARTTLS" in offer for offer in offers), offers
        client.expect("STARTTLS", "503 5.5.1 TLS already active")
        assert client.mail("a@example.com").startswith("250")
    message = wait_until(site.relayd.maildir, "the mail")[0].read_text()
    assert "from under.example " in message and "before.example" not in message, message
    assert re.search(r"with ESMTPS\s+id \w+\s+for <user@partner.example>\s+"
                     r"tls TLS_AES_256_GCM_SHA384 \(TLSv1.3\);", message), message
    refused, relayed = site.relayd.attempts()
    assert (refused["reason"], refused["stage"]) == ("tls.required", "tls") and "tls" not in refused
    assert relayed["tls"] == {"version": "TLSv1.3", "cipher": "TLS_AES_256_GCM_SHA384"}, relayed
    site.relayd.stop()


def speaks_tls_from_the_first_octet(workspace):
    site = Site(workspace)
    with site.implicit() as client:
        assert client.banner.startswith("220 relay.example.com")
        offers = client.expect("EHLO app.example", "250")
        assert "STARTTLS" not in offers
        client.expect("STARTTLS", "503 5.5.1 TLS already active")
        assert client.mail("a@example.com").startswith("250")
    assert site.relayd.attempts()[0]["connector"] == "implicit"
    figures = site.figures("implicit")
    assert (figures["tls_handshakes"], figures["tls_failures"]) == (1, 0), figures
    site.relayd.stop()


def does_not_know_starttls_where_it_is_not_offered(workspace):
    port = free_port()
    site = Site(workspace, connectors=connector("clear", port, "none"))
    with Client(port) as client:
        assert "STARTTLS" not in client.expect("EHLO app.example", "250")
        client.expect("STARTTLS", "502")
        assert client.mail("a@example.com").startswith("250")
    site.relayd.stop()


def takes_large_mail_and_many_messages(workspace):
    site = Site(workspace)
    line = b"x" * 76 + b"\r\n"
    with site.client() as client:
        client.expect("EHLO app.example", "250")
        for _ in range(3):
            assert client.mail("a@example.com",
                               body=b"Subject: large\r\n\r\n" + line * 40000).startswith("250")
        client.send("MAIL FROM:<a@example.com>\r\nRCPT TO:<b@partner.example>\r\nRSET\r\nNOOP\r\n")
        for start in ("250", "250", "250", "250"):
            assert client.reply().startswith(start)
        client.expect("QUIT", "221")
        assert client.is_closed()
    wait_until(lambda: len(site.relayd.maildir()) == 3, "the mail")
    assert all(path.read_bytes().count(b"x" * 76) == 40000 for path in site.relayd.maildir())
    site.relayd.stop()


# ---- Programs that people use ----

def serves_smtplib(workspace):
    site = Site(workspace)
    with smtplib.SMTP("localhost", site.port, timeout=harness.PATIENCE_S) as client:
        client.starttls(context=site.context())
        client.sendmail("a@example.com", ["b@partner.example"], "Subject: one\r\n\r\none\r\n")
    with smtplib.SMTP_SSL("localhost", site.tls_port, context=site.context(),
                          timeout=harness.PATIENCE_S) as client:
        client.sendmail("a@example.com", ["b@partner.example"], "Subject: two\r\n\r\ntwo\r\n")
    wait_until(lambda: len(site.relayd.maildir()) == 2, "the mail")
    site.relayd.stop()


def serves_swaks(workspace):
    swaks = require("swaks")
    site = Site(workspace)
    for port, how in ((site.port, "--tls"), (site.tls_port, "--tls-on-connect")):
        done = subprocess.run([swaks, "--server", "localhost", "--port", str(port), how,
                               "--tls-verify", "--tls-ca-path", site.authority.ca, "--from",
                               "a@example.com", "--to", "b@partner.example"],
                              capture_output=True, text=True, timeout=harness.PATIENCE_S)
        if "Net::SSLeay" in done.stdout + done.stderr:
            raise Skip("swaks without Net::SSLeay")
        assert done.returncode == 0 and "queued as" in done.stdout, done
    wait_until(lambda: len(site.relayd.maildir()) == 2, "the mail")
    site.relayd.stop()


def serves_curl(workspace):
    curl = require("curl")
    site = Site(workspace)
    letter = workspace.path / "letter"
    letter.write_text("Subject: curl\r\n\r\nhello\r\n")
    for url, more in ((f"smtps://localhost:{site.tls_port}/app.example", []),
                      (f"smtp://localhost:{site.port}/app.example", ["--ssl-reqd"])):
        done = subprocess.run([curl, "-sS", "--cacert", site.authority.ca, *more, "--mail-from",
                               "a@example.com", "--mail-rcpt", "b@partner.example", "-T", letter,
                               url], capture_output=True, text=True, timeout=harness.PATIENCE_S)
        assert done.returncode == 0, done
    done = subprocess.run([curl, "-sS", f"smtps://localhost:{site.tls_port}"],
                          capture_output=True, text=True, timeout=harness.PATIENCE_S)
    assert done.returncode == 60, f"curl believed an unknown CA: {done}"
    wait_until(lambda: len(site.relayd.maildir()) == 2, "the mail")
    record = wait_until(lambda: site.relayd.audit("connect"), "the record of curl's alert")[0]
    assert record["reason"] == "tls.handshake" and "unknown ca" in record["detail"], record
    site.relayd.stop()


def serves_s_client(workspace):
    site = Site(workspace)
    text = openssl("s_client", "-connect", f"127.0.0.1:{site.port}", "-starttls", "smtp", "-CAfile",
                   site.authority.ca, "-verify_return_error", "-verify_hostname",
                   "relay.example.com", input=b"QUIT\r\n")
    assert "Verification: OK" in text and "TLSv1.3" in text, text
    assert "Compression: NONE" in text, text
    site.relayd.stop()


# ---- Profiles, names, kinds ----

def keeps_each_connector_to_its_profile(workspace):
    authority = Authority(workspace, "keys")
    pair = authority.issue("relay", "DNS:relay.example.com", kind="rsa")
    ports = {profile: free_port() for profile in ("modern", "intermediate", "legacy")}
    site = Site(workspace,
                sections="".join(section(p, [pair], f'profile = "{p}"') for p in ports),
                connectors="".join(connector(p, port, "offered", f'tls-section = "{p}"')
                                   for p, port in ports.items()))
    v = ssl.TLSVersion
    old = "ALL:@SECLEVEL=0"
    cases = (  # version, ciphers, where it is taken
        (v.TLSv1_3, None, ("modern", "intermediate", "legacy")),
        (v.TLSv1_2, "ECDHE-RSA-AES128-GCM-SHA256", ("intermediate", "legacy")),
        (v.TLSv1_2, "ECDHE-RSA-AES128-SHA", ("legacy",)),  # CBC
        (v.TLSv1_2, "AES128-GCM-SHA256", ("legacy",)),     # no forward secrecy
        (v.TLSv1_1, old, ("legacy",)),
        (v.TLSv1, old, ("legacy",)),
        (v.TLSv1_2, "aNULL:@SECLEVEL=0", ()),
    )
    warnings.simplefilter("ignore", DeprecationWarning)
    for version, ciphers, taken in cases:
        for profile, port in ports.items():
            context = anybody(version, version, ciphers)
            # asking for the name of another section changes nothing about it
            failed = handshake_fails(lambda: TlsClient(port, context))
            assert failed == (profile not in taken), f"{profile}, {version!r}, {ciphers}"
    with TlsClient(ports["legacy"], anybody(v.TLSv1, v.TLSv1, old)) as client:
        client.expect("EHLO printer.example", "250")
        assert client.mail("a@example.com").startswith("250")
    assert site.relayd.attempts()[-1]["tls"]["version"] == "TLSv1"
    failures = [r for r in site.relayd.audit("connect") if r["reason"] == "tls.handshake"]
    assert any("unsupported protocol" in r["detail"] for r in failures), failures
    assert any("no shared cipher" in r["detail"] for r in failures), failures
    site.relayd.stop()


def shows_the_certificate_that_was_asked_for(workspace):
    authority = Authority(workspace, "keys")
    pairs = {name: authority.issue(name, f"DNS:{name}.example.org") for name in ("one", "two")}
    port, other = free_port(), free_port()
    site = Site(workspace,
                sections=section("default", [pairs["one"]]) +
                section("two", [pairs["two"]], 'server-names = { "two.example.org", "*.wide.example" }'),
                connectors=connector("a", port, "offered") +
                connector("b", other, "implicit", 'tls-section = "two"'))
    for name, wanted in (("one.example.org", "one"), ("two.example.org", "two"),
                         ("TWO.example.org", "two"), ("x.wide.example", "two"),
                         ("nobody.example", "one"), (None, "one")):
        with TlsClient(port, anybody(), name=name) as client:
            assert client.certificate() == der(pairs[wanted]), f"{name}: not {wanted}"
    with TlsClient(other, anybody(), name="nobody.example", is_implicit=True) as client:
        assert client.certificate() == der(pairs["two"]), "the connector's own section"
    with TlsClient(other, anybody(), name="one.example.org", is_implicit=True) as client:
        assert client.certificate() == der(pairs["one"])
    site.relayd.stop()


def shows_rsa_to_those_that_want_it(workspace):
    authority = Authority(workspace, "keys")
    rsa = authority.issue("rsa", "DNS:relay.example.com", kind="rsa")
    ecdsa = authority.issue("ecdsa", "DNS:relay.example.com")
    site = Site(workspace, sections=section("default", [rsa, ecdsa]))
    kinds = {c["kind"] for c in site.relayd.status()["certificates"]}
    assert kinds == {"RSA", "ECDSA"}, kinds
    two = ssl.TLSVersion.TLSv1_2
    for ciphers, pair in (("ECDHE-RSA-AES128-GCM-SHA256", rsa),
                          ("ECDHE-ECDSA-AES128-GCM-SHA256", ecdsa)):
        with site.client(anybody(two, two, ciphers)) as client:
            assert client.certificate() == der(pair), ciphers
    site.relayd.stop()


def staples_what_the_responder_said(workspace):
    authority = Authority(workspace, "keys")
    pair = authority.issue("relay", "DNS:relay.example.com")
    serial = openssl("x509", "-in", pair[0], "-noout", "-serial").split("=")[1].strip()
    folder = authority.folder
    (folder / "ocsp.txt").write_text(f"V\t350101000000Z\t\t{serial}\tunknown\t/CN=relay\n")
    openssl("ocsp", "-issuer", authority.ca, "-cert", pair[0], "-reqout", folder / "ask.der")
    openssl("ocsp", "-index", folder / "ocsp.txt", "-CA", authority.ca, "-rsigner", authority.ca,
            "-rkey", folder / "ca.key", "-reqin", folder / "ask.der", "-ndays", "3", "-respout",
            folder / "staple.der")
    site = Site(workspace, sections=section("default", [pair],
                                            f'ocsp-staple = "{folder}/staple.der"'))
    text = openssl("s_client", "-connect", f"127.0.0.1:{site.port}", "-starttls", "smtp", "-status",
                   input=b"QUIT\r\n")
    assert "OCSP Response Status: successful" in text and "Cert Status: good" in text, text
    assert "staple_expires" in site.relayd.status()["certificates"][0]
    site.relayd.stop()


def has_no_weak_protocol_or_cipher(workspace):
    authority = Authority(workspace, "keys")
    pairs = [authority.issue("rsa", "DNS:relay.example.com", kind="rsa"),
             authority.issue("ecdsa", "DNS:relay.example.com")]
    sslscan = require("sslscan")
    site = Site(workspace, sections=section("default", pairs))
    for arguments in (["--starttls-smtp", f"127.0.0.1:{site.port}"],
                      [f"127.0.0.1:{site.tls_port}"]):
        done = subprocess.run([sslscan, "--no-colour", "--xml=-", *arguments], capture_output=True,
                              timeout=4 * harness.PATIENCE_S)
        assert done.returncode == 0, done
        result = xml.fromstring(done.stdout)
        on = {p.get("type") + p.get("version") for p in result.iter("protocol")
              if p.get("enabled") == "1"}
        assert on == {"tls1.2", "tls1.3"}, on
        ciphers = {c.get("cipher"): c for c in result.iter("cipher")}
        assert ciphers, done.stdout
        for name, cipher in ciphers.items():
            assert cipher.get("strength") in ("strong", "acceptable"), name
            assert name.startswith(("TLS_AES", "TLS_CHACHA20", "ECDHE")), name
            assert "GCM" in name or "POLY1305" in name, name
            assert int(cipher.get("bits")) >= 128, name
        for bad in result.iter("heartbleed"):
            assert bad.get("vulnerable") == "0"
        assert all(r.get("supported") == "0" for r in result.iter("renegotiation")), done.stdout
        assert all(c.get("supported") == "0" for c in result.iter("compression")), done.stdout
    site.relayd.stop()


# ---- Resumption ----

def first_session(make, context):
    with make(context) as client:
        client.expect("EHLO app.example", "250")  # tickets of TLS 1.3 come with the first reply
        return client.socket.session


def resumes_with_every_worker_and_across_a_reload(workspace):
    site = Site(workspace, workers=4)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = site.context()
        context.minimum_version = context.maximum_version = version
        session = first_session(site.client, context)
        before = site.figures("starttls")["tls_resumed"]
        for reload in (False, True):
            if reload:
                site.relayd.reload()
            for _ in range(16):  # the kernel spreads them over the workers
                with site.client(context, session=session) as client:
                    assert client.socket.session_reused, f"{version!r} after reload: {reload}"
                    client.expect("EHLO app.example", "250")
        assert site.figures("starttls")["tls_resumed"] - before == 32
    session = first_session(site.implicit, context)
    with site.implicit(context, session=session) as client:
        assert client.socket.session_reused
        assert client.expect("EHLO app.example", "250") and \
            client.mail("a@example.com").startswith("250")
    site.relayd.stop()


def resumes_nothing_across_a_restart(workspace):
    site = Site(workspace, workers=1)
    context = site.context()
    session = first_session(site.client, context)
    site.relayd.stop()
    site.relayd.start()
    with site.client(context, session=session) as client:
        assert not client.socket.session_reused
    site.relayd.stop()


# ---- Files ----

def says_what_is_wrong_with_the_files(workspace):
    site = Site(workspace, start=False)
    authority, connectors = site.authority, connector("a", site.port, "offered")
    other = authority.issue("other", "DNS:other.example")
    ended = authority.issue("ended", "DNS:relay.example.com", end="20200101000000Z")
    garbage = workspace.path / "garbage.pem"
    garbage.write_text("nothing of the kind\n")
    cases = (
        (section("default", [(site.pair[0], other[1])]),
         [f"the key in {other[1]} does not belong to the certificate in {site.pair[0]}"]),
        (section("default", [ended]), [f"the certificate in {ended[0]} expired on 2020-01-01"]),
        (section("default", [("/nowhere/c.pem", site.pair[1])]),
         ["open /nowhere/c.pem: No such file or directory"]),
        (section("default", [(garbage, site.pair[1])]), [f"{garbage} holds no certificate"]),
        (section("default", [site.pair, other]), ["ECDSA"]),
        (section("default", [site.pair], f'client-ca = "{garbage}"'), [str(garbage)]),
    )
    for sections, words in cases:
        site.change(sections, connectors)
        for arguments in (["-t"], []):
            done = subprocess.run([BUILD / "sbin" / "relayd", *arguments, "-c",
                                   site.relayd.config_path], capture_output=True, text=True,
                                  timeout=harness.PATIENCE_S)
            assert done.returncode == (1 if arguments else 3), done
            assert 'tls "default"' in done.stderr, done.stderr
            assert all(word in done.stderr for word in words), done.stderr
    site.change(section("default", [site.pair]), connectors)
    done = subprocess.run([BUILD / "sbin" / "relayd", "-t", "-c", site.relayd.config_path],
                          capture_output=True, text=True, timeout=harness.PATIENCE_S)
    assert done.returncode == 0 and "warning" not in done.stderr, done


def takes_a_new_certificate_without_dropping_a_session(workspace):
    site = Site(workspace)
    old = site.client()
    old.expect("EHLO old.example", "250")
    before = der(site.pair)
    assert old.certificate() == before
    site.authority.issue("relay", "DNS:relay.example.com,DNS:localhost")  # the same files
    site.relayd.process.send_signal(signal.SIGHUP)

    def is_new():
        with site.client() as client:
            return client.certificate() != before

    wait_until(is_new, "the new certificate")
    assert old.mail("a@example.com").startswith("250"), "the old session goes on"
    old.expect("QUIT", "221")
    site.relayd.stop()


def keeps_the_old_certificate_when_the_new_one_is_bad(workspace):
    site = Site(workspace)
    before = der(site.pair)
    pem, key = site.pair
    good = pem.read_bytes(), key.read_bytes()
    ended = site.authority.issue("ended", "DNS:relay.example.com", end="20200101000000Z")
    other = site.authority.issue("other", "DNS:other.example")
    for new, words in ((ended, ["expired on 2020-01-01", str(pem)]),
                       ((other[0], None), ["does not belong to", str(pem), str(key)])):
        pem.write_bytes(new[0].read_bytes())
        if new[1] is not None:
            key.write_bytes(new[1].read_bytes())
        done = site.relayd.ctl("reload", check=False)
        assert done.returncode != 0, done
        assert all(word in done.stdout + done.stderr for word in words), done
        assert "the old configuration stays in force" in site.relayd.log()
        assert site.relayd.audit("reload")[-1]["result"] == "failed"
        with site.client() as client:
            assert client.certificate() == before
        pem.write_bytes(good[0])
        key.write_bytes(good[1])
    site.relayd.reload()
    site.relayd.stop()


def says_how_a_reload_can_read_the_key(workspace):
    if os.getuid() != 0:
        raise Skip("only root gives up root")
    site = Site(workspace, start=False)
    site.pair[1].chmod(0o600)
    site.relayd.start()
    log = site.relayd.log()
    assert f"a reload will not be able to read {site.pair[1]}" in log and "chgrp" in log, log
    done = site.relayd.ctl("reload", check=False)
    text = done.stdout + done.stderr
    assert done.returncode != 0 and str(site.pair[1]) in text, done
    assert "Permission denied" in text and "chmod 640" in text, text
    with site.client() as client:
        client.expect("EHLO app.example", "250")
    site.pair[1].chmod(0o644)
    site.relayd.reload()
    site.relayd.stop()


def warns_before_a_certificate_expires(workspace):
    authority = Authority(workspace, "keys")
    soon = authority.issue("soon", "DNS:relay.example.com", days=10)
    late = authority.issue("late", "DNS:late.example.com", days=60)
    site = Site(workspace, sections=section("default", [soon]) + section("late", [late]))
    words = f'tls "default": the certificate in {soon[0]} (ECDSA) expires in 9 days'
    assert site.relayd.log().count(words) == 1 and str(late[0]) not in site.relayd.log()
    site.relayd.reload()
    assert site.relayd.log().count(words) == 2, "not told again at the reload"
    status = site.relayd.status()
    days = {c["section"]: c["days_left"] for c in status["certificates"]}
    assert days == {"default": 9, "late": 59}, days
    assert any(words in w for w in status["warnings"]), status["warnings"]
    text = site.relayd.ctl("status").stdout
    assert re.search(rf"default +ECDSA +9 +\d{{4}}-\d\d-\d\d +{re.escape(str(soon[0]))}", text), text
    done = subprocess.run([BUILD / "sbin" / "relayd", "-t", "-c", site.relayd.config_path],
                          capture_output=True, text=True, timeout=harness.PATIENCE_S)
    assert done.returncode == 0 and words in done.stderr, done
    site.relayd.stop()


# ---- Grants ----

def relays_for_certificates(workspace):
    clients = Authority(workspace, "clients")
    strangers = Authority(workspace, "strangers")
    names = {"dns": "DNS:billing.example.com,DNS:other.example", "email": "email:erp@example.com",
             "cn": None, "sha256": "DNS:pinned.example", "none": "DNS:nobody.example"}
    pairs = {kind: clients.issue(kind, n, cn=f"The {kind} machine") for kind, n in names.items()}
    pinned = strangers.issue("pinned", "DNS:billing.example.com", cn="The cn machine")
    matches = {"dns": "dns:billing.example.com", "email": "email:erp@example.com",
               "cn": "cn:The cn machine", "sha256": f"sha256:{fingerprint(pairs['sha256'][0])}"}
    grants = "".join(f'grant "{kind}" {{ certificates = {{ "{name}" }} senders = '
                     f'{{ "{kind}@example.com" }} recipients = {{ "*" }} }}\n'
                     for kind, name in matches.items())
    site = Site(workspace, options=f'client-ca = "{clients.ca}"', grants=grants)

    def attempt(pair, sender):
        with site.client(site.context(pair)) as client:
            client.expect("EHLO app.example", "250")
            client.expect(f"MAIL FROM:<{sender}@example.com>", "250")
            reply = client.command("RCPT TO:<user@partner.example>")
            if reply.startswith("250"):
                client.expect("DATA", "354")
                assert client.command("Subject: x\r\n\r\nx\r\n.").startswith("250")
        return reply

    for kind in matches:
        assert attempt(pairs[kind], kind).startswith("250"), kind
        record = site.relayd.attempts(verdict="relayed")[-1]
        assert record["grant"] == kind, record
        assert matches[kind] in record["tls"]["names"], record
        assert attempt(pairs["none"], kind).startswith("550 5.7.1 "), kind
        assert attempt(None, kind).startswith("550 5.7.1 "), kind
    assert site.relayd.attempts()[0]["tls"]["client"] == "dns:billing.example.com"
    # whose CA nobody trusts is known by its fingerprint alone
    assert attempt(pinned, "dns").startswith("550 5.7.1 ")
    assert attempt(pinned, "cn").startswith("550 5.7.1 ")
    record = site.relayd.attempts()[-1]
    assert record["tls"]["client"] == f"sha256:{fingerprint(pinned[0])}", record
    assert attempt(pairs["sha256"], "dns").startswith("550 5.7.367 "), "another grant's sender"
    # and again with a resumed session
    context = site.context(pairs["dns"])
    session = first_session(site.client, context)
    with site.client(context, session=session) as client:
        assert client.socket.session_reused
        client.expect("EHLO app.example", "250")
        assert client.mail("dns@example.com").startswith("250")
    story = site.relayd.ctl("why", site.relayd.attempts()[-1]["id"]).stdout
    assert "client certificate dns:billing.example.com" in story, story
    explain = ["explain", "--client", "127.0.0.1", "--from", "dns@example.com", "--to", "b@x.example"]
    assert site.relayd.ctl(*explain, "--tls", "--cert", "dns:billing.example.com").returncode == 0
    assert site.relayd.ctl(*explain, "--tls", "--cert", "dns:nobody.example",
                           check=False).returncode == 1
    assert site.relayd.ctl(*explain, "--tls", check=False).returncode == 1
    site.relayd.stop()


def asks_for_certificates_only_where_they_count(workspace):
    grants = ('grant "certified" { connectors = { "implicit" } certificates = '
              '{ "dns:a.example" } senders = { "*" } recipients = { "*" } }\n' + EVERYBODY)
    site = Site(workspace, grants=grants)
    for port, more, wanted in ((site.port, ["-starttls", "smtp"], False),
                               (site.tls_port, [], True)):
        text = openssl("s_client", "-connect", f"127.0.0.1:{port}", "-trace", *more,
                       input=b"QUIT\r\n")
        assert ("CertificateRequest" in text) == wanted, text
    site.relayd.stop()


def demands_tls_where_a_grant_does(workspace):
    site = Site(workspace, grants='grant "secret" { networks = { "127.0.0.1" } require-tls = true '
                                  'senders = { "@example.com" } recipients = { "*" } }')
    with Client(site.port) as client:
        client.expect("EHLO app.example", "250")
        client.expect("MAIL FROM:<a@example.com>", "530 5.7.0 ")
    record = site.relayd.attempts()[0]
    assert record["reason"] == "tls.required" and record["grant"] == "secret", record
    with site.client() as client:
        client.expect("EHLO app.example", "250")
        assert client.mail("a@example.com").startswith("250")
    explain = ["explain", "--client", "127.0.0.1", "--from", "a@example.com", "--to", "b@x.example"]
    done = site.relayd.ctl(*explain, check=False)
    assert done.returncode == 1 and "tls.required" in done.stdout, done
    assert site.relayd.ctl(*explain, "--tls").returncode == 0
    site.relayd.stop()


# ---- Abuse ----

def takes_nothing_that_came_behind_starttls(workspace):
    site = Site(workspace, workers=1)
    with Client(site.port) as client:
        client.expect("EHLO app.example", "250")
        client.send("STARTTLS\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@partner.example>\r\n")
        assert client.reply().startswith("554 5.5.1 ")
        assert client.is_closed()
    assert site.relayd.audit("connect")[-1]["reason"] == "session.early-talker"
    # a little later, but still in clear: it is no TLS
    with Client(site.port) as client:
        client.expect("EHLO app.example", "250")
        client.expect("STARTTLS", "220")
        client.send("EHLO again.example\r\nMAIL FROM:<a@example.com>\r\n")
        assert client.is_closed()
    wait_until(lambda: site.relayd.audit("connect")[-1]["reason"] == "tls.handshake", "the record")
    # the same in front of a proper handshake
    with Client(site.port) as client:
        client.expect("EHLO app.example", "250")
        client.expect("STARTTLS", "220")
        client.send("NOOP\r\n")
        assert handshake_fails(lambda: anybody().wrap_socket(client.socket))
    assert not site.relayd.attempts()
    site.relayd.stop()


def forgets_a_transaction_and_a_refused_one(workspace):
    site = Site(workspace)
    with Client(site.port) as client:
        client.expect("EHLO app.example", "250")
        client.expect("MAIL FROM:<a@example.com>", "250")
        client.expect("STARTTLS", "503")  # not within a transaction
        client.expect("RCPT TO:<b@partner.example>", "250")
        client.expect("RSET", "250")
        client.expect("STARTTLS", "220")
        client.socket = anybody().wrap_socket(client.socket)
        client.expect("RCPT TO:<b@partner.example>", "503")
        client.expect("EHLO app.example", "250")
        client.expect("RCPT TO:<b@partner.example>", "503")
        assert client.mail("a@example.com").startswith("250")
    site.relayd.stop()


def withstands_garbage_on_the_tls_port(workspace):
    site = Site(workspace, workers=1)
    pieces = (b"EHLO app.example\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x40\x00" + b"\x01" * 40,
              b"\x80\x2e\x01\x03\x01", os.urandom(4000), b"\x15\x03\x01\x00\x02\x02\x28", b"\x00" * 600,
              b"")
    for piece in pieces * 25:
        client = Client(site.tls_port, greet=False)
        client.send(piece)
        client.socket.shutdown(socket.SHUT_WR)
        said = b""
        try:
            while more := client.socket.recv(65536):
                said += more
        except ConnectionResetError:
            pass
        assert b"220" not in said and b"relay.example.com" not in said, f"{piece}: {said}"
        client.close()
    count = len(pieces) * 25
    wait_until(lambda: site.figures("implicit")["tls_failures"] == count, "the figures")
    records = site.relayd.audit("connect")
    assert 0 < len(records) <= 120, f"{len(records)} records of {count} failures"
    assert {r["reason"] for r in records} == {"tls.handshake"}
    assert not any("reply" in r for r in records)
    with site.implicit() as client:
        client.expect("EHLO app.example", "250")
        assert client.mail("a@example.com").startswith("250")
    site.relayd.stop()


def says_nothing_in_clear_on_the_tls_port(workspace):
    port = free_port()
    site = Site(workspace, workers=1,
                connectors=connector("few", port, "implicit").replace(
                    "max-connections-per-source = unlimited", "max-connections-per-source = 1"))
    with TlsClient(port, anybody(), is_implicit=True):
        with Client(port, greet=False) as second:
            assert second.socket.recv(1000) == b"", "a refusal in clear"
    assert site.relayd.audit("connect")[0]["reason"] == "connection.source-limit"
    site.relayd.stop()


def is_not_held_up_by_handshakes_that_stall(workspace):
    site = Site(workspace, workers=1)
    hello = client_hello()
    stalled = []
    for i in range(200):
        client = Client(site.tls_port, greet=False)
        client.send(hello[:1 + i % (len(hello) - 1)])
        stalled.append(client)
    began = time.monotonic()
    with Client(site.port) as client:
        client.expect("EHLO app.example", "250")
        assert client.mail("a@example.com").startswith("250")
    with site.implicit() as client:
        client.expect("EHLO app.example", "250")
    assert time.monotonic() - began < (20 if harness.SANITIZED else 5)
    assert site.figures("implicit")["sessions_open"] == 200
    began = time.monotonic()
    site.relayd.stop()  # nobody waits for them
    assert time.monotonic() - began < 20
    for client in stalled:
        assert client.is_closed()
        client.close()


def client_hello():
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        anybody().wrap_bio(incoming, outgoing).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def ends_handshakes_that_take_too_long(workspace):
    port = free_port()
    site = Site(workspace, workers=1,
                connectors=connector("hasty", port, "implicit", 'inactivity-timeout = "1s" '
                                     'connection-timeout = "2s"'))
    client = Client(port, greet=False)
    for octet in client_hello()[:20]:  # drips do not prolong it
        client.send(bytes([octet]))
        time.sleep(0.05)
    assert client.is_closed()
    record = wait_until(lambda: site.relayd.audit("connect"), "the record")[0]
    assert record["detail"] == "TLS handshake: not finished in time", record
    site.relayd.stop()


def refuses_to_renegotiate(workspace):
    site = Site(workspace)
    with subprocess.Popen([require("openssl"), "s_client", "-connect", f"127.0.0.1:{site.port}",
                           "-starttls", "smtp", "-tls1_2", "-crlf"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
        limit = threading.Timer(harness.PATIENCE_S, client.kill)
        limit.start()
        try:
            text = b""
            client.stdin.write(b"NOOP\n")
            client.stdin.flush()
            while b"250 2.0.0" not in text:
                more = client.stdout.read1(65536)
                assert more, text
                text += more
            client.stdin.write(b"R\n")
            client.stdin.flush()
            text = client.stdout.read()  # it ends, because the server does
        finally:
            limit.cancel()
            client.kill()
    assert b"no renegotiation" in text or b"handshake failure" in text, text
    site.relayd.stop()


if __name__ == "__main__":
    harness.run(
        speaks_tls_after_starttls,
        speaks_tls_from_the_first_octet,
        does_not_know_starttls_where_it_is_not_offered,
        takes_large_mail_and_many_messages,
        serves_smtplib,
        serves_swaks,
        serves_curl,
        serves_s_client,
        keeps_each_connector_to_its_profile,
        shows_the_certificate_that_was_asked_for,
        shows_rsa_to_those_that_want_it,
        staples_what_the_responder_said,
        has_no_weak_protocol_or_cipher,
        resumes_with_every_worker_and_across_a_reload,
        resumes_nothing_across_a_restart,
        says_what_is_wrong_with_the_files,
        takes_a_new_certificate_without_dropping_a_session,
        keeps_the_old_certificate_when_the_new_one_is_bad,
        says_how_a_reload_can_read_the_key,
        warns_before_a_certificate_expires,
        relays_for_certificates,
        asks_for_certificates_only_where_they_count,
        demands_tls_where_a_grant_does,
        takes_nothing_that_came_behind_starttls,
        forgets_a_transaction_and_a_refused_one,
        withstands_garbage_on_the_tls_port,
        says_nothing_in_clear_on_the_tls_port,
        is_not_held_up_by_handshakes_that_stall,
        ends_handshakes_that_take_too_long,
        refuses_to_renegotiate,
    )
