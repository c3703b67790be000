#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""TLS and logins of clients that others speak for: PROXY headers before TLS, XCLIENT after it."""
import socket

import auth_test
import harness
import tls_test
from auth_test import GOOD, REALM
from harness import Client, Relayd, free_port, wait_until
from proxy_test import BILLING, FRONT, PROXY, last_connect, relays, v1, v2
from tls_test import Authority, anybody, connector, section

CONFIG = tls_test.CONFIG.replace("{extra}", "{extra}\n{grants}")
GRANTS = """
grant "known" {{ certificates = {{ "dns:app.example.com" }}
                 senders = {{ "@cert.example.com" }} recipients = {{ "*" }} }}
grant "people" {{ users = {{ "alice" }} senders = {{ "@people.example.com" }} recipients = {{ "*" }} }}
grant "billing" {{ networks = {{ "10.20.1.0/24" }}
                   senders = {{ "@billing.example.com" }} recipients = {{ "*" }} }}
sasl {{ users-file = "{users}" realm = "{realm}" }}
"""


class Site:
    """STARTTLS for all, and TLS at once for 10.20.99.0/24 on the same port; .tls_port is all TLS."""

    def __init__(self, workspace):
        self.authority = Authority(workspace)
        self.pair = self.authority.issue("relay", "DNS:relay.example.com")
        self.client_pair = self.authority.issue("app", "DNS:app.example.com")
        self.port, self.tls_port = free_port(), free_port()
        go_betweens = (f'proxy-protocol = {{ "{PROXY}" }} xclient = {{ "{FRONT}" }} '
                       'auth-mechanisms = { "PLAIN", "EXTERNAL" }')
        wide = go_betweens + ' remote-ip-ranges = { "10.20.0.0/16", "127.0.0.0/8" }'
        extra = (section("default", [self.pair], f'client-ca = "{self.authority.ca}"') +
                 self.connector("apps", self.port, "offered", wide) +
                 self.connector("inner", self.port, "implicit",
                                go_betweens + ' remote-ip-ranges = { "10.20.99.0/24" }') +
                 self.connector("secure", self.tls_port, "implicit", wide))
        users = workspace.path / "users"
        self.relayd = Relayd(workspace, config=CONFIG.replace("{grants}", GRANTS.format(
            users=users, realm=REALM).replace("{", "{{").replace("}", "}}")), port=self.port,
            extra=extra)
        auth_test.AuthRelayd.user(self.relayd, "add", "alice", password=GOOD)
        self.relayd.start()

    @staticmethod
    def connector(name, port, tls, options):
        return connector(name, port, tls, options).replace(
            'remote-ip-ranges = { "127.0.0.0/8" }', "")

    def context(self, certificate=None):
        context = anybody()
        if certificate is not None:
            context.load_cert_chain(*certificate)
        return context


def secured(client, context):
    client.socket = context.wrap_socket(client.socket, server_hostname="relay.example.com")
    return client


def starttls(client, context):
    client.expect("EHLO front", "250")
    client.expect("STARTTLS", "220")
    secured(client, context)
    client.expect("EHLO front", "250")
    return client


def header_comes_before_tls(workspace):
    site = Site(workspace)
    count = 0
    for header in (v1(BILLING), v2(BILLING)):
        for with_hello in (False, True):
            client = Client(site.tls_port, source=PROXY, greet=False)
            if with_hello:  # held back by the kernel until the client's hello is behind it
                client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
                client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
            client.send(header)
            secured(client, site.context(site.client_pair))
            client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
            assert client.reply().startswith("220 relay.example.com"), "the greeting under TLS"
            client.expect("EHLO app", "250")
            assert relays(client, "a@billing.example.com").startswith("250")
            # the proxy only carries octets: the certificate is its client's
            assert client.mail("a@cert.example.com").startswith("250")
            count += 1
            record = site.relayd.attempts(verdict="relayed")[-1]
            assert record["client"]["ip"] == BILLING and record["connector"] == "secure", record
            assert record["proxy"].startswith(PROXY) and "dns:app.example.com" in \
                record["tls"]["names"], record
            client.close()
    # nothing is said in clear, neither before the header nor behind it
    with Client(site.tls_port, source=PROXY, greet=False) as client:
        client.send(v1(BILLING) + b"EHLO app\r\n")
        said = b""
        try:
            while more := client.socket.recv(1000):
                said += more
        except ConnectionResetError:
            pass
        assert b"220" not in said and b"relay" not in said, said
    assert last_connect(site.relayd, "tls.handshake")["client"]["ip"] == BILLING
    # and with STARTTLS
    client = Client(site.port, source=PROXY, greet=False)
    client.send(v2(BILLING))
    assert client.reply().startswith("220")
    starttls(client, site.context(site.client_pair))
    assert client.mail("a@cert.example.com").startswith("250")
    client.close()
    wait_until(lambda: len(site.relayd.maildir()) == count + 1, "the mail")
    site.relayd.stop()


def xclient_in_clear_does_not_reach_what_begins_with_tls(workspace):
    site = Site(workspace)
    with Client(site.port, source=FRONT) as front:
        front.expect("EHLO front", "250")
        front.expect("XCLIENT ADDR=10.20.99.1", "421 4.3.2")
        assert front.is_closed()
    record = last_connect(site.relayd, "connection.go-between")
    assert record["connector"] == "inner" and "begins with TLS" in record["detail"], record
    # under TLS, however that began, it does
    with starttls(Client(site.port, source=FRONT), site.context()) as front:
        front.expect("XCLIENT ADDR=10.20.99.1", "220")
        front.expect("EHLO front", "250")
        front.expect("XCLIENT ADDR=10.20.1.7", "220")
        assert "STARTTLS" not in front.expect("EHLO front", "250")
        assert front.mail("a@billing.example.com").startswith("250")
    assert site.relayd.attempts(verdict="relayed")[-1]["tls"]["version"] == "TLSv1.3"
    site.relayd.stop()


def what_the_host_proved_is_not_its_clients(workspace):
    site = Site(workspace)
    for how in ("before", "after"):
        front = Client(site.port, source=FRONT)
        if how == "before":
            starttls(front, site.context(site.client_pair))
            assert relays(front, "a@cert.example.com").startswith("250"), "the host itself"
            front.expect("XCLIENT ADDR=10.20.7.7", "220")
        else:
            front.expect("EHLO front", "250")
            front.expect("XCLIENT ADDR=10.20.7.7", "220")
            starttls(front, site.context(site.client_pair))
        assert "EXTERNAL" not in front.expect("EHLO front", "250")
        assert relays(front, "a@cert.example.com").startswith("550 5.7.1 "), how
        assert "names" not in site.relayd.attempts(verdict="refused")[-1]["tls"]
        front.expect("AUTH EXTERNAL =", "504")
        front.close()
    # a login of the host's is forgotten, and so is one that was told when STARTTLS comes
    with starttls(Client(site.port, source=FRONT), site.context()) as front:
        front.expect(auth_test.plain("alice", GOOD), "235")
        assert relays(front, "a@people.example.com").startswith("250")
        front.expect("XCLIENT ADDR=10.20.7.7", "220")
        front.expect("EHLO front", "250")
        assert relays(front, "a@people.example.com").startswith("550 5.7.1 ")
        front.expect("XCLIENT LOGIN=alice HELO=told.example", "220")
        front.expect("EHLO front", "250")
        assert front.mail("a@people.example.com").startswith("250")
    record = site.relayd.attempts(verdict="relayed")[-1]
    assert record["auth"] == {"user": "alice", "mechanism": "XCLIENT"}, record
    assert record["grant"] == "people", record
    text = wait_until(site.relayd.maildir, "the mail")[0].read_text()
    assert "with ESMTPSA\n" in text and "10.20.7.7" in text and "alice" not in text, text
    with Client(site.port, source=FRONT) as front:
        front.expect("EHLO front", "250")
        front.expect("XCLIENT ADDR=10.20.7.7 LOGIN=alice", "220")
        starttls(front, site.context())
        assert relays(front, "a@people.example.com").startswith("550 5.7.1 ")
    site.relayd.stop()


def nobody_is_on_this_machine_because_another_says_so(workspace):
    site = Site(workspace)
    with Client(site.port, source=FRONT) as front:
        assert "AUTH PLAIN" in front.expect("EHLO front", "250")  # it is on this machine
        front.expect("XCLIENT ADDR=127.0.0.1", "220")
        assert "PLAIN" not in front.expect("EHLO front", "250")
        front.expect(auth_test.plain("alice", GOOD), "538 5.7.11")
        starttls(front, site.context())
        front.expect(auth_test.plain("alice", GOOD), "235")
    site.relayd.stop()


if __name__ == "__main__":
    harness.run(header_comes_before_tls, xclient_in_clear_does_not_reach_what_begins_with_tls,
                what_the_host_proved_is_not_its_clients,
                nobody_is_on_this_machine_because_another_says_so)
