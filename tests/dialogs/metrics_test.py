#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Figures for Prometheus, fetched over HTTP and read by a parser that forgives nothing."""
import http.client
import os
import pathlib
import re
import signal
import socket
import subprocess

import harness
from harness import Client, NextHop, Relayd, free_port, wait_until

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')
TYPES = ("counter", "gauge")


def labels_of(text, line):
    labels, at = {}, 0
    while at < len(text):
        match = LABEL.match(text, at)
        assert match, f"labels of {line!r} are bad at {at}"
        name, value = match.groups()
        assert name not in labels, f"{line!r} has the label {name} twice"
        labels[name] = re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], value)
        at = match.end()
        if at < len(text):
            assert text[at] == "," and at + 1 < len(text), f"no comma in {line!r}"
            at += 1
    return tuple(sorted(labels.items()))


def parse(text):
    """{family: {labels: value}}: the text format 0.0.4, with HELP and TYPE before samples."""
    assert text.endswith("\n"), "the last line does not end"
    families, types, current, helped = {}, {}, None, None
    for line in text[:-1].split("\n"):
        assert line and line == line.strip() and "\r" not in line, f"odd line {line!r}"
        match = re.fullmatch(rf"# HELP ({NAME}) (\S.*)", line)
        if match:
            helped = match[1]
            assert helped not in families, f"{helped} stands twice"
            continue
        match = re.fullmatch(rf"# TYPE ({NAME}) (\w+)", line)
        if match:
            assert match[1] == helped, f"{line!r} has no HELP before it"
            assert match[2] in TYPES, line
            current = match[1]
            types[current], families[current] = match[2], {}
            assert current.startswith("relayd_"), current
            assert current.endswith("_total") == (match[2] == "counter"), line
            continue
        match = re.fullmatch(rf"({NAME})(?:\{{(.+)\}})? (-?\d+)", line)
        assert match, f"not a sample: {line!r}"
        assert match[1] == current, f"{line!r} stands in the family {current}"
        labels = labels_of(match[2] or "", line)
        assert labels not in families[current], f"{line!r} stands twice"
        value = int(match[3])
        assert value >= 0 or types[current] == "gauge", f"{line!r} counts backwards"
        families[current][labels] = value
    return families


def fetch(port, path="/metrics", method="GET", host="127.0.0.1"):
    connection = http.client.HTTPConnection(host, port, timeout=harness.PATIENCE_S)
    connection.request(method, path)
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response, body


def figures(port):
    response, body = fetch(port)
    assert response.status == 200, (response.status, body)
    assert response.getheader("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
    return parse(body)


def value(families, name, **labels):
    return families[name].get(tuple(sorted(labels.items())), 0)


def daemon_with_metrics(workspace, extra="", **options):
    port = free_port()
    extra += f'\nmetrics {{ listen = "127.0.0.1:{port}" }}'
    return Relayd(workspace, extra=extra, **options).start(), port


def counts_what_happens(workspace):
    def behave(verb, argument):
        if verb == "RCPT" and "later@" in argument:
            return "451 4.3.0 later"
        return "550 5.1.1 nobody" if verb == "RCPT" and "bad@" in argument else None

    hop = NextHop(workspace, behave)
    daemon, port = daemon_with_metrics(workspace, next_hop=hop.port, retry='"1h"')
    with Client(daemon.port) as client:
        client.expect("EHLO a.example", "250")
        client.mail()
        client.mail(recipients=["bad@partner.example"])
        client.mail(recipients=["later@partner.example"])
        client.expect("MAIL FROM:<x@other.example>", "250")
        client.expect("RCPT TO:<u@partner.example>", "550 5.7.367")

        def settled():
            now = figures(port)
            return now if (value(now, "relayd_recipients_delivered_total", route="next") == 1 and
                           value(now, "relayd_recipients_failed_total", route="next") == 1 and
                           value(now, "relayd_queue_waiting", route="next") == 1) else None

        now = wait_until(settled, "the figures of three messages")
        assert value(now, "relayd_sessions_open", connector="apps") == 1
    attempts = now["relayd_attempts_total"]
    assert value(now, "relayd_attempts_total", connector="apps", verdict="relayed",
                 reason="none") == 3, attempts
    assert value(now, "relayd_attempts_total", connector="apps", verdict="refused",
                 reason="sender.not-authorized") == 1, attempts
    assert value(now, "relayd_sessions_total", connector="apps") == 1
    assert value(now, "relayd_messages_accepted_total", connector="apps") == 3
    assert value(now, "relayd_recipients_deferred_total", route="next") >= 1
    assert value(now, "relayd_queue_oldest_timestamp_seconds", route="next") > 1_500_000_000
    assert value(now, "relayd_next_hop_up", route="next", next_hop=f"127.0.0.1:{hop.port}") == 1
    for name, label in (("grant", {"grant": "billing"}),
                        ("sender_domain", {"domain": "billing.example.com"})):
        for event, count in (("delivered", 1), ("failed", 1)):
            assert value(now, f"relayd_{name}_recipients_total", event=event, **label) == count
    assert value(now, "relayd_spool_messages") >= 0
    assert value(now, "relayd_workers", state="running") == 2
    assert list(now["relayd_build_info"].values()) == [1]
    assert value(now, "relayd_start_time_seconds") > 1_500_000_000
    # the same figures as relayctl status has
    status = daemon.status()["connectors"][0]
    assert {(a["verdict"], a["reason"]): a["count"] for a in status["attempts"]} == {
        ("relayed", "none"): 3, ("refused", "sender.not-authorized"): 1}
    daemon.stop()


def certificate_new(path):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "20", "-subj",
                    "/CN=relay.example.com", "-keyout", path, "-out", f"{path}.crt"],
                   check=True, capture_output=True)
    path.write_text(path.read_text() + pathlib.Path(f"{path}.crt").read_text())
    path.chmod(0o644)


def limits_and_certificates_are_there_and_names_are_escaped(workspace):
    pem = workspace.path / 'a "quoted" \\ name.pem'
    certificate_new(pem)
    written = str(pem).replace("\\", "\\\\").replace('"', '\\"')
    daemon, port = daemon_with_metrics(workspace, extra=f'''
tls "default" {{ certificate = "{written}"  key = "{written}" }}
grant "limited" {{ networks = {{ "127.0.0.1" }}  senders = {{ "@q.example" }}
    recipients = {{ "*" }}  limits = {{ "7 messages/hour" }} }}''')
    with Client(daemon.port) as client:
        client.expect("EHLO a.example", "250")
        client.mail(sender="a@q.example")
    now = figures(port)
    limit = {"grant": "limited", "limit": "7 messages/hour"}
    assert value(now, "relayd_limit_max", **limit) == 7, now["relayd_limit_max"]
    assert value(now, "relayd_limit_used", **limit) == 1, now["relayd_limit_used"]
    (labels, days), = now["relayd_certificate_days_left"].items()
    assert dict(labels)["file"] == str(pem), labels
    assert days in (19, 20)
    assert value(now, "relayd_warnings") >= 1, "the certificate ends in 20 days"
    daemon.stop()


def refuses_what_is_no_scrape(workspace):
    daemon, port = daemon_with_metrics(workspace)
    assert fetch(port, "/")[0].status == 404
    assert fetch(port, "/metrics/../../etc/passwd")[0].status == 404
    response, _ = fetch(port, method="POST")
    assert (response.status, response.getheader("Allow")) == (405, "GET, HEAD")
    response, body = fetch(port, method="HEAD")
    assert (response.status, body) == (200, "")
    for junk in (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"GET /metrics HTTP/1.1\r\n" +
                 b"X: " + b"y" * 100000 + b"\r\n\r\n", b"EHLO a\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port), harness.PATIENCE_S) as client:
            try:
                client.sendall(junk)
                while client.recv(65536):
                    pass
            except ConnectionResetError:
                pass
    # somebody who says nothing keeps nobody waiting
    with socket.create_connection(("127.0.0.1", port), harness.PATIENCE_S) as silent:
        silent.sendall(b"GET /metr")
        assert figures(port)
    daemon.stop()


def metrics_pid(daemon):
    """The companion: a child of the supervisor that is no worker."""
    supervisor, workers = daemon.status()["pid"], {w["pid"] for w in daemon.status()["workers"]}
    children = open(f"/proc/{supervisor}/task/{supervisor}/children").read().split()
    (pid,) = {int(c) for c in children} - workers
    return pid


def goes_with_reloads_and_comes_back(workspace):
    daemon, port = daemon_with_metrics(workspace)
    figures(port)
    first = metrics_pid(daemon)
    daemon.reload()
    figures(port)  # the socket stayed open: nobody is refused meanwhile
    wait_until(lambda: metrics_pid(daemon) != first, "a new process")
    os.kill(metrics_pid(daemon), signal.SIGKILL)
    figures(port)  # answered as soon as it runs again
    other = free_port()
    config = harness.DEFAULT_CONFIG
    daemon.write_config(config, extra=f'metrics {{ listen = "127.0.0.1:{other}" }}')
    daemon.reload()
    figures(other)
    wait_until(lambda: not listens(port), "the old port to close")
    with socket.create_server(("127.0.0.1", port)):
        daemon.write_config(config, extra=f'metrics {{ listen = "127.0.0.1:{port}" }}')
        result = daemon.ctl("reload", check=False)
        assert result.returncode != 0 and "Address already in use" in result.stderr, result
    figures(other)  # the configuration in force has its own
    daemon.write_config(config, extra="")
    daemon.reload()
    wait_until(lambda: not listens(other), "the last port to close")
    daemon.stop()


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    harness.run(counts_what_happens,
                limits_and_certificates_are_there_and_names_are_escaped,
                refuses_what_is_no_scrape,
                goes_with_reloads_and_comes_back)
