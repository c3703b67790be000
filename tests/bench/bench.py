#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""relayd, Postfix, and the source straight to the sink: the same work, in turn, in one run.

    tests/bench/bench.py [--rounds N] [--only NAME,...] [--json FILE] [--quick]

Run it from a build folder as root (Postfix wants that), as `make bench` does. Every relay makes
a message durable before 250: relayd with one fdatasync for a group, Postfix with its default
fsync of each queue file. Both log (Postfix to a file, relayd its audit trail). Figures are medians
over the rounds; CPU is that of all processes of the relay, from /proc; memory is their PSS.
"""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "dialogs"))
import harness  # noqa: E402

BUILD = harness.BUILD
SOURCE = BUILD / "tests" / "bench" / "source"
SINK = BUILD / "tests" / "bench" / "sink"
TLS_SOURCE = BUILD / "tests" / "bench" / "tls_source"
TICK = os.sysconf("SC_CLK_TCK")
LIMIT_S = 300
OCTETS = 4096


def stat_of(pid):
    """(parent, seconds of CPU with waited-for children)"""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return int(fields[1]), sum(int(fields[i]) for i in (11, 12, 13, 14)) / TICK


def tree(root):
    """root and all that descends from it."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                parents[int(name)] = stat_of(name)[0]
    found = {root}
    grew = True
    while grew:
        more = {p for p, parent in parents.items() if parent in found} - found
        found |= more
        grew = bool(more)
    return found


def cpu_of(root):
    total = 0
    for pid in tree(root):
        with contextlib.suppress(OSError):
            total += stat_of(pid)[1]
    return total


def pss_kib(root):
    total = 0
    for pid in tree(root):
        with contextlib.suppress(OSError):
            for line in open(f"/proc/{pid}/smaps_rollup"):
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total


class Direct:
    """No relay at all: the source talks to the sink."""

    name = "direct"
    root = None

    def __init__(self, workspace, sink_port, **_):
        self.port = sink_port

    def stop(self):
        pass


class RelaydUnderTest:
    name = "relayd"

    def __init__(self, workspace, sink_port, environment=None, **_):
        self.relayd = harness.Relayd(workspace, next_hop=sink_port, environment=environment,
                                     connector="max-connections = 100000").start()
        self.port = self.relayd.port
        self.root = self.relayd.process.pid

    def stop(self):
        self.relayd.stop()


def make_certificate(folder):
    """An ECDSA certificate as everybody has one today; (certificate, key)."""
    pair = folder / "tls.pem", folder / "tls.key"
    subprocess.run([harness.require("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "90", "-subj",
                    "/CN=relay.example.com", "-out", pair[0], "-keyout", pair[1]],
                   check=True, capture_output=True, timeout=60)
    pair[1].chmod(0o644)
    return pair


class RelaydWithTls(RelaydUnderTest):
    """A second connector speaks TLS from the first octet, at tls_port."""

    def __init__(self, workspace, sink_port, **_):
        certificate, key = make_certificate(workspace.path)
        self.tls_port = harness.free_port()
        extra = (f'tls "default" {{ certificate = "{certificate}" key = "{key}" }}\n'
                 f'connector "smtps" {{ bindings = {{ "127.0.0.1:{self.tls_port}" }} '
                 'tls = "implicit" max-connections = 100000 '
                 'max-connections-per-source = 100000 connection-timeout = "1h" }')
        self.relayd = harness.Relayd(workspace, next_hop=sink_port, extra=extra,
                                     connector="max-connections = 100000").start()
        self.port = self.relayd.port
        self.root = self.relayd.process.pid


class RelaydFarAway:
    """relayd with many connections to a next hop that is 50 ms away; with cut-through or without."""

    def __init__(self, workspace, sink_port, cut_through, connections):
        route = (f'next-hops = {{ "127.0.0.1:{sink_port}" }} connections = {connections} '
                 f'cut-through = {str(cut_through).lower()}')
        self.relayd = harness.Relayd(workspace, route=route,
                                     connector="max-connections = 100000").start()
        self.port = self.relayd.port
        self.root = self.relayd.process.pid

    def stop(self):
        self.relayd.stop()


class PostfixUnderTest:
    """Debian's Postfix with its own directories, on its own port."""

    name = "postfix"

    MAIN = """
compatibility_level = 3.6
queue_directory = {top}/queue
data_directory = {top}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = postfix.example.com
mydestination =
local_recipient_maps =
alias_maps =
mynetworks = 127.0.0.1/32
relayhost = [127.0.0.1]:{sink}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtp_destination_concurrency_limit = 20
default_process_limit = 200
message_size_limit = 104857600
maillog_file = {log}
maillog_file_prefixes = {top}
smtp_tls_security_level = none
smtpd_tls_security_level = none
smtputf8_enable = yes
smtp_dns_support_level = disabled
"""

    MASTER = """
127.0.0.1:{port} inet n - n - 200 smtpd
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
verify    unix  - - n - 1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - - proxymap
smtp      unix  - - n - 100 smtp
relay     unix  - - n - 100 smtp
error     unix  - - n - - error
retry     unix  - - n - - error
discard   unix  - - n - - discard
anvil     unix  - - n - 1 anvil
scache    unix  - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""

    def __init__(self, workspace, sink_port, **_):
        self.postfix = harness.require("postfix")
        if os.getuid() != 0:
            raise harness.Skip("Postfix starts only as root")
        top = workspace.path / "postfix"
        self.etc = top / "etc"
        self.etc.mkdir(parents=True, exist_ok=True)
        (top / "queue").mkdir()
        (top / "data").mkdir()
        shutil.chown(top / "data", "postfix")
        self.port = harness.free_port()
        self.etc.joinpath("main.cf").write_text(self.MAIN.format(
            top=top, sink=sink_port, log=top / "maillog"))
        self.etc.joinpath("master.cf").write_text(self.MASTER.format(port=self.port))
        done = subprocess.run([self.postfix, "-c", self.etc, "start"], capture_output=True,
                              text=True, timeout=60)
        if done.returncode != 0:
            raise RuntimeError(f"postfix start: {done.stdout}{done.stderr}")
        workspace.on_close(self.stop)
        self.running = True
        pid_file = top / "queue" / "pid" / "master.pid"
        self.root = int(harness.wait_until(
            lambda: pid_file.exists() and pid_file.read_text().strip(), "Postfix to start"))
        harness.wait_until(lambda: self._answers(), "Postfix to answer")

    def _answers(self):
        with contextlib.suppress(OSError, EOFError):
            harness.Client(self.port).close()
            return True

    def stop(self):
        if self.running:
            self.running = False
            subprocess.run([self.postfix, "-c", self.etc, "stop"], capture_output=True,
                           timeout=60)


LOGIN, PASSWORD = "billing", "correct horse battery staple"

LOGINS_CONFIG = """
hostname  = "relay.example.com"
state-dir = "{state}"
workers   = {workers}
{user}
sasl {{ users-file = "{state}/../users" realm = "example.com" }}
connector "apps" {{
    bindings = {{ "127.0.0.1:{port}" }}
    auth-mechanisms = {{ "PLAIN", "SCRAM-SHA-256" }}
    max-connections-per-source = 100000
}}
grant "billing" {{ users = {{ "billing" }} senders = {{ "*" }} recipients = {{ "*" }} }}
route "drop" {{ recipients = {{ "*" }} maildir = "{state}/maildir" }}
"""


def relayd_with_logins(workspace):
    relayd = harness.Relayd(workspace, config=LOGINS_CONFIG)
    subprocess.run([BUILD / "bin" / "relayctl", "-c", relayd.config_path, "user", "add", LOGIN],
                   input=PASSWORD, text=True, check=True, capture_output=True)
    relayd.start()
    relayd.root = relayd.process.pid
    return relayd


def postfix_with_logins(workspace):
    """smtpd with Cyrus in its process, over a sasldb (clear text, as Postfix' SCRAM wants it)."""
    postfix = PostfixUnderTest(workspace, harness.free_port())
    sasldb = workspace.path / "sasldb2"
    subprocess.run([harness.require("saslpasswd2"), "-p", "-c", "-u", "example.com", "-f", sasldb,
                    LOGIN], input=PASSWORD, text=True, check=True, capture_output=True)
    shutil.chown(sasldb, "postfix")
    (postfix.etc / "sasl").mkdir()
    (postfix.etc / "sasl" / "smtpd.conf").write_text(
        f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {sasldb}\n"
        "mech_list: PLAIN SCRAM-SHA-256\n")
    subprocess.run(["postconf", "-c", postfix.etc, "-e", "smtpd_sasl_auth_enable=yes",
                    f"cyrus_sasl_config_path={postfix.etc}/sasl",
                    "smtpd_sasl_local_domain=example.com"], check=True)
    subprocess.run([postfix.postfix, "-c", postfix.etc, "reload"], capture_output=True, timeout=60)
    harness.wait_until(postfix._answers, "Postfix to answer")
    return postfix


def logins(relay_name, tool, *, mechanism, count):
    """Connect, EHLO, AUTH, QUIT, by 16 clients at once."""
    workspace = harness.Workspace()
    try:
        relay = (relayd_with_logins if relay_name == "relayd" else postfix_with_logins)(workspace)

        def log_in(times):
            subprocess.run([BUILD / "tests" / "bench" / "logins", "-s", "16", "-u", LOGIN, "-p",
                            PASSWORD, "-a", mechanism, "-n", str(times),
                            f"127.0.0.1:{relay.port}"], check=True, stdout=subprocess.DEVNULL,
                           timeout=LIMIT_S)
        log_in(64)
        with Measured(relay) as measured:
            log_in(count)
        relay.stop()
        return {"per_second": count / measured.seconds, "cpu_ms": measured.cpu * 1000 / count}
    finally:
        workspace.close()


class PostfixWithTls(PostfixUnderTest):
    """Its only port speaks TLS from the first octet."""

    def __init__(self, workspace, sink_port, **_):
        certificate, key = make_certificate(workspace.path)
        self.MAIN = PostfixUnderTest.MAIN.replace(
            "smtpd_tls_security_level = none",
            f"smtpd_tls_wrappermode = yes\nsmtpd_tls_cert_file = {certificate}\n"
            f"smtpd_tls_key_file = {key}")
        super().__init__(workspace, sink_port)
        self.tls_port = self.port

    def _answers(self):
        return port_is_open(self.port)


TLS_RELAYS = {"relayd": RelaydWithTls, "postfix": PostfixWithTls}

RELAYS = {"relayd": RelaydUnderTest, "postfix": PostfixUnderTest, "direct": Direct}


class Measured:
    """Wall time and the relay's CPU of a block."""

    def __init__(self, relay):
        self.relay = relay

    def __enter__(self):
        self.cpu_began = cpu_of(self.relay.root) if self.relay.root else 0
        self.began = time.monotonic()
        return self

    def __exit__(self, *_):
        self.seconds = time.monotonic() - self.began
        self.cpu = (cpu_of(self.relay.root) if self.relay.root else 0) - self.cpu_began


def fast_sink(port, count):
    process = subprocess.Popen([SINK, "-m", str(count), f"127.0.0.1:{port}"],
                               stdout=subprocess.DEVNULL)
    return process


def smtp_sink(port, count):
    sink = harness.require("smtp-sink")
    stop = ["-M", str(count)] if count else []
    return subprocess.Popen([sink, "-u", "nobody", *stop, f"127.0.0.1:{port}", "1000"],
                            stdout=subprocess.DEVNULL)


def fast_source(port, sessions, count, octets, keep):
    command = [SOURCE, "-s", str(sessions), "-m", str(count), "-l", str(octets)]
    if keep:
        command.append("-d")
    return subprocess.run([*command, f"127.0.0.1:{port}"], check=True, capture_output=True,
                          text=True, timeout=LIMIT_S)


def smtp_source(port, sessions, count, octets, keep):
    source = harness.require("smtp-source")
    command = [source, "-s", str(sessions), "-m", str(count), "-l", str(octets),
               "-f", "app@billing.example.com", "-t", "user@partner.example"]
    if keep:
        command.append("-d")
    return subprocess.run([*command, f"127.0.0.1:{port}"], check=True, capture_output=True,
                          text=True, timeout=LIMIT_S)


TOOLS = {"smtp-source": (smtp_source, smtp_sink), "fast": (fast_source, fast_sink)}


def end_to_end(relay_name, tool, *, sessions, count, octets, keep, environment=None):
    """Messages a second from the first connect to the last message at the sink."""
    source, sink = TOOLS[tool]
    workspace = harness.Workspace()
    sink_port = harness.free_port()
    taker = None
    # a sink that ends with its last message would cut the source off that talks to it
    sink_ends = not (relay_name == "direct" and tool == "smtp-source")
    try:
        taker = sink(sink_port, count if sink_ends else None)
        harness.wait_until(lambda: port_is_open(sink_port), "the sink")
        relay = RELAYS[relay_name](workspace, sink_port, environment=environment)
        with Measured(relay) as measured:
            source(relay.port, sessions, count, octets, keep)
            if sink_ends:
                taker.wait(LIMIT_S)
        memory = pss_kib(relay.root) if relay.root else 0
        relay.stop()
        return {"per_second": count / measured.seconds,
                "mb_per_second": count * octets / measured.seconds / 1e6,
                "cpu_ms": measured.cpu * 1000 / count, "memory_mib": memory / 1024}
    finally:
        if taker is not None and taker.poll() is None:
            taker.kill()
            taker.wait()
        workspace.close()


def far_away(_, tool, *, sessions, count):
    """Messages a second to an upstream whose replies take 50 ms, and how long clients wait."""
    workspace = harness.Workspace()
    sink_port = harness.free_port()
    taker = subprocess.Popen([SINK, "-m", str(count), "-w", "50", f"127.0.0.1:{sink_port}"],
                             stdout=subprocess.DEVNULL)
    try:
        harness.wait_until(lambda: port_is_open(sink_port), "the sink")
        relay = RelaydFarAway(workspace, sink_port, tool == "cut-through", 100)
        with Measured(relay) as measured:
            sent = json.loads(fast_source(relay.port, sessions, count, OCTETS, True).stdout)
            taker.wait(LIMIT_S)
        syncs = relay.relayd.status()["spool"]
        relay.stop()
        return {"per_second": count / measured.seconds, "p50_ms": sent["p50_ms"],
                "p99_ms": sent["p99_ms"], "cpu_ms": measured.cpu * 1000 / count,
                "stored": float(syncs.get("commits", 0))}
    finally:
        if taker.poll() is None:
            taker.kill()
            taker.wait()
        workspace.close()


def port_is_open(port):
    """Without connecting: some sinks count connections."""
    wanted = f":{port:04X} "
    with open("/proc/net/tcp") as f:
        return any(wanted in line and " 0A " in line for line in f)


def latency(relay_name, tool, *, count):
    workspace = harness.Workspace()
    sink_port = harness.free_port()
    taker = fast_sink(sink_port, count)
    try:
        harness.wait_until(lambda: port_is_open(sink_port), "the sink")
        relay = RELAYS[relay_name](workspace, sink_port)
        done = fast_source(relay.port, 1, count, OCTETS, True)
        figures = json.loads(done.stdout)
        relay.stop()
        return {"p50_ms": figures["p50_ms"], "p99_ms": figures["p99_ms"]}
    finally:
        taker.kill()
        taker.wait()
        workspace.close()


def refused(relay_name, tool, *, count):
    workspace = harness.Workspace()
    sink_port = harness.free_port()
    try:
        relay = RELAYS[relay_name](workspace, sink_port)
        # 127.0.0.1 may relay; what it may not: relayd by sender, Postfix by a closed domain
        command = [SOURCE, "-r", "-s", "20", "-m", str(count), "-f", "ceo@example.com"]
        if relay_name == "postfix":
            etc = relay.etc
            subprocess.run(["postconf", "-c", etc, "-e", "mynetworks=192.0.2.1/32"], check=True)
            subprocess.run([relay.postfix, "-c", etc, "reload"], capture_output=True, timeout=60)
            harness.wait_until(relay._answers, "Postfix to answer")
        with Measured(relay) as measured:
            subprocess.run([*command, f"127.0.0.1:{relay.port}"], check=True,
                           capture_output=True, timeout=LIMIT_S)
        if relay_name == "relayd":
            records = len(relay.relayd.attempts(verdict="refused"))
            assert records == count, f"{records} records of {count} refusals"
        relay.stop()
        return {"per_second": count / measured.seconds, "cpu_ms": measured.cpu * 1000 / count}
    finally:
        workspace.close()


def idle(relay_name, tool, *, sessions):
    workspace = harness.Workspace()
    try:
        relay = RELAYS[relay_name](workspace, harness.free_port())
        before = pss_kib(relay.root)
        holder = subprocess.Popen([SOURCE, "-i", str(sessions), f"127.0.0.1:{relay.port}"],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                  preexec_fn=raise_files)
        try:
            json.loads(holder.stdout.readline())
            after = pss_kib(relay.root)
            times = []
            for _ in range(500):
                holder.stdin.write("\n")
                holder.stdin.flush()
                times.append(json.loads(holder.stdout.readline())["ehlo_ms"])
        finally:
            holder.stdin.close()
            holder.wait(60)
        relay.stop()
        return {"kib_each": (after - before) / sessions,
                "ehlo_p99_ms": statistics.quantiles(times, n=100)[98]}
    finally:
        workspace.close()


def library_handshakes(kind, seconds):
    """The bare library's rate and CPU, from tls_bench."""
    done = subprocess.run([BUILD / "tests" / "bench" / "tls_bench", kind, str(seconds)], check=True,
                          capture_output=True, text=True, timeout=LIMIT_S)
    line = next(line for line in done.stdout.splitlines() if line.startswith("library"))
    words = line.split()
    return {"per_second": float(words[1]), "cpu_ms": float(words[3])}


def handshakes(relay_name, kind, *, seconds):
    """TLS handshakes a second, with the greeting, by two clients; "direct" is the library."""
    if relay_name == "direct":
        return library_handshakes(kind, seconds)
    workspace = harness.Workspace()
    try:
        relay = TLS_RELAYS[relay_name](workspace, harness.free_port())
        command = [TLS_SOURCE, kind, str(seconds), f"127.0.0.1:{relay.tls_port}"]
        warm_up = [TLS_SOURCE, kind, "1", f"127.0.0.1:{relay.tls_port}"]
        subprocess.run(warm_up, check=True, capture_output=True, timeout=LIMIT_S)
        with Measured(relay) as measured:
            done = subprocess.run(command, check=True, capture_output=True, text=True,
                                  timeout=LIMIT_S)
        figures = json.loads(done.stdout)
        count = figures["handshakes"]
        if kind == "resumed":
            assert figures["resumed"] >= count - 2, figures
        relay.stop()
        return {"per_second": count / measured.seconds, "cpu_ms": measured.cpu * 1000 / count}
    finally:
        workspace.close()


def tls_idle(relay_name, tool, *, sessions):
    """Memory of an idle session under TLS, and beyond a plain one."""
    workspace = harness.Workspace()
    try:
        relay = TLS_RELAYS[relay_name](workspace, harness.free_port())
        each = {}
        for what, command in (("plain", [SOURCE, "-i", str(sessions), f"127.0.0.1:{relay.port}"]),
                              ("tls", [TLS_SOURCE, "idle", str(sessions),
                                       f"127.0.0.1:{relay.tls_port}"])):
            before = pss_kib(relay.root)
            holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      text=True, preexec_fn=raise_files)
            try:
                json.loads(holder.stdout.readline())
                each[what] = (pss_kib(relay.root) - before) / sessions
            finally:
                holder.stdin.close()
                holder.wait(60)
        relay.stop()
        return {"kib_each": each["tls"], "kib_beyond": each["tls"] - each["plain"]}
    finally:
        workspace.close()


def tls_company(relay_name, tool, *, seconds, rate):
    """EHLO of a plain session, alone and next to so many handshakes a second."""
    workspace = harness.Workspace()
    try:
        relay = TLS_RELAYS[relay_name](workspace, harness.free_port())
        result = {}
        for what in ("alone", "in_company"):
            pacer = None
            if what == "in_company":
                pacer = subprocess.Popen([TLS_SOURCE, "pace", str(rate),
                                          f"127.0.0.1:{relay.tls_port}"])
            times, until = [], time.monotonic() + seconds
            try:
                with harness.Client(relay.port) as client:
                    while time.monotonic() < until:
                        if len(times) % 90 == 89:  # a session may only do so much to no end
                            client.close()
                            client = harness.Client(relay.port)
                        began = time.monotonic()
                        client.expect("EHLO app.example", "250")
                        times.append((time.monotonic() - began) * 1000)
                        time.sleep(0.002)
                    client.close()
            finally:
                if pacer is not None:
                    assert pacer.poll() is None, "the handshakes stopped"
                    pacer.kill()
                    pacer.wait()
            result[f"ehlo_p99_ms_{what}"] = statistics.quantiles(times, n=100)[98]
        relay.stop()
        return result
    finally:
        workspace.close()


OTHER_ROUTE = """
route "other" {{
    recipients = {{ "@elsewhere.example" }}
    next-hops  = {{ "127.0.0.1:{other}" }}
}}
"""


def took(call):
    began = time.monotonic()
    result = call()
    return time.monotonic() - began, result


def new_mail_rate(when, relay, count, sink_port):
    """Messages a second for a route that is up, whatever waits for others."""
    taker = fast_sink(sink_port, count)
    try:
        harness.wait_until(lambda: port_is_open(sink_port), "the sink")
        with Measured(relay) as measured:
            subprocess.run([SOURCE, "-s", "20", "-m", str(count), "-l", str(OCTETS), "-d",
                            "-t", "user@elsewhere.example", f"127.0.0.1:{relay.port}"],
                           check=True, capture_output=True, timeout=LIMIT_S)
            taker.wait(LIMIT_S)
        return {f"new_mail_{when}": count / measured.seconds,
                f"new_mail_{when}_cpu_ms": measured.cpu * 1000 / count}
    finally:
        if taker.poll() is None:
            taker.kill()
            taker.wait()


def drain_rate(relay, sink_port, count, go):
    """Messages a second from the return of the next hop to the last message there."""
    taker = fast_sink(sink_port, count)
    try:
        harness.wait_until(lambda: port_is_open(sink_port), "the sink")
        with Measured(relay) as measured:
            go()
            taker.wait(LIMIT_S)
        return {"drained_per_second": count / measured.seconds,
                "drain_cpu_ms": measured.cpu * 1000 / count}
    finally:
        if taker.poll() is None:
            taker.kill()
            taker.wait()


def serves_after(relayd):
    """Seconds from the start of the daemon to its greeting."""
    with open(relayd.log_path, "ab") as log:
        relayd.process = subprocess.Popen(
            [BUILD / "sbin" / "relayd", "-c", relayd.config_path], stdin=subprocess.DEVNULL,
            stdout=log, stderr=log, env=relayd.environment)

    def greets():
        with contextlib.suppress(OSError, EOFError):
            harness.Client(relayd.port).close()
            return True
    return took(lambda: harness.wait_until(greets, "a greeting"))[0]


def queue_relayd(count):
    workspace = harness.Workspace()
    port, other = harness.free_port(), harness.free_port()
    try:
        relayd = harness.Relayd(workspace, next_hop=port, retry='"1h"', extra=OTHER_ROUTE.format(
            other=other), connector="max-connections = 100000").start()
        relay = argparse.Namespace(port=relayd.port, root=relayd.process.pid)
        figures = new_mail_rate("before", relay, count // 5, other)
        before = pss_kib(relay.root)
        fast_source(relay.port, 20, count, OCTETS, True)
        harness.wait_until(lambda: relayd.status()["routes"][1]["waiting"] == count,
                           "a full queue")
        figures["octets_a_message"] = (pss_kib(relay.root) - before) * 1024 / count
        figures.update(new_mail_rate("meanwhile", relay, count // 5, other))
        figures["list_s"] = took(lambda: relayd.ctl("queue", "list"))[0]
        figures["status_s"] = took(lambda: relayd.ctl("status"))[0]
        figures["hold_all_s"] = took(lambda: relayd.ctl("queue", "hold", "--all"))[0]
        figures["release_by_sender_s"] = took(
            lambda: relayd.ctl("queue", "release", "--from", "@billing.example.com"))[0]
        for pid in tree(relay.root):
            os.kill(pid, signal.SIGKILL)
        relayd.process.wait()
        figures["restart_s"] = serves_after(relayd)
        relay.root = relayd.process.pid
        figures["whole_queue_known_s"] = took(lambda: harness.wait_until(
            lambda: relayd.status()["routes"][1]["waiting"] == count, "the queue"))[0]
        figures.update(drain_rate(relay, port, count, lambda: relayd.ctl("queue", "retry",
                                                                         "--route", "next")))
        relayd.stop()
        return figures
    finally:
        workspace.close()


def queue_postfix(count):
    workspace = harness.Workspace()
    port = harness.free_port()
    try:
        relay = PostfixUnderTest(workspace, port)
        fast_source(relay.port, 20, count, OCTETS, True)
        deferred = workspace.path / "postfix" / "queue" / "deferred"
        harness.wait_until(lambda: sum(len(f) for _, _, f in os.walk(deferred)) == count,
                           "a deferred queue", LIMIT_S)
        figures = drain_rate(relay, port, count, lambda: subprocess.run(
            ["postqueue", "-c", relay.etc, "-f"], check=True, capture_output=True, timeout=60))
        relay.stop()
        return figures
    finally:
        workspace.close()


def queue(relay_name, tool, *, count):
    """What a long queue costs while its next hop is down, and how fast it goes when it returns."""
    return queue_relayd(count) if relay_name == "relayd" else queue_postfix(count)


def raise_files():
    import resource
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def decision(_, __):
    done = subprocess.run([BUILD / "tests" / "bench" / "decision_bench"], check=True,
                          capture_output=True, text=True, timeout=LIMIT_S)
    return done.stdout


SLOW_DISK = {"RELAYD_SPOOL_FAULTS": "sync-delay=5ms"}


def workloads(quick):
    scale = 10 if quick else 1
    mail = dict(sessions=20, octets=OCTETS)
    return {
        "one-per-connection": dict(
            run=end_to_end, relays=("relayd", "postfix", "direct"), tools=("smtp-source", "fast"),
            count={"relayd": 30000 // scale, "postfix": 4000 // scale, "direct": 30000 // scale},
            keep=False, **mail),
        "many-per-connection": dict(
            run=end_to_end, relays=("relayd", "postfix", "direct"), tools=("smtp-source", "fast"),
            count={"relayd": 60000 // scale, "postfix": 4000 // scale, "direct": 60000 // scale},
            keep=True, **mail),
        "large": dict(
            run=end_to_end, relays=("relayd", "postfix", "direct"), tools=("smtp-source", "fast"),
            count={"relayd": 1000 // scale, "postfix": 500 // scale, "direct": 1000 // scale},
            keep=True, sessions=4, octets=1 << 20),
        "quiet-latency": dict(run=latency, relays=("relayd", "postfix", "direct"),
                              tools=("fast",), count=2000 // scale),
        "refused": dict(run=refused, relays=("relayd", "postfix"), tools=("fast",),
                        count=20000 // scale),
        "login-plain": dict(run=logins, relays=("relayd", "postfix"), tools=("fast",),
                            mechanism="PLAIN", count=40000 // scale),
        "login-scram": dict(run=logins, relays=("relayd", "postfix"), tools=("fast",),
                            mechanism="SCRAM-SHA-256",
                            count={"relayd": 20000 // scale, "postfix": 1000 // scale}),
        "idle": dict(run=idle, relays=("relayd",), tools=("fast",), sessions=10000 // scale),
        "queue": dict(run=queue, relays=("relayd", "postfix"), tools=("fast",),
                      count={"relayd": 100000 // scale, "postfix": 5000 // scale}),
        "far-away": dict(run=far_away, relays=("relayd",), tools=("spool", "cut-through"),
                         sessions=100, count=20000 // scale),
        "far-away-few": dict(run=far_away, relays=("relayd",), tools=("spool", "cut-through"),
                             sessions=4, count=400 // scale),
        "slow-disk": dict(run=end_to_end, relays=("relayd",), tools=("fast",),
                          count=30000 // scale, keep=True, sessions=200, octets=OCTETS,
                          environment=SLOW_DISK),
        "normal-disk-200": dict(run=end_to_end, relays=("relayd",), tools=("fast",),
                                count=30000 // scale, keep=True, sessions=200, octets=OCTETS),
        "tls": dict(run=handshakes, relays=("relayd", "postfix", "direct"),
                    tools=("full", "resumed"), seconds=2 if quick else 8),
        "tls-idle": dict(run=tls_idle, relays=("relayd",), tools=("fast",),
                         sessions=10000 // scale),
        "tls-company": dict(run=tls_company, relays=("relayd",), tools=("fast",),
                            seconds=2 if quick else 8, rate=200),
    }


def median_of(rounds):
    return {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}


def measure(name, load, rounds):
    load = dict(load)
    run, relays, tools = load.pop("run"), load.pop("relays"), load.pop("tools")
    results = {}
    for tool in tools:
        taken = {relay: [] for relay in relays}
        for _ in range(rounds):
            for relay in relays:
                arguments = {k: v[relay] if isinstance(v, dict) and k == "count" else v
                             for k, v in load.items()}
                taken[relay].append(run(relay, tool, **arguments))
                print(f"  {name:20} {tool:12} {relay:8} " +
                      "  ".join(f"{k} {v:.3f}" for k, v in taken[relay][-1].items()), flush=True)
        results[tool] = {relay: median_of(r) for relay, r in taken.items()}
    return results


def report(results):
    print("\nmedians, and relayd / Postfix, relayd / direct")
    for name, tools in results.items():
        for tool, relays in tools.items():
            mine = relays["relayd"]
            for key, value in mine.items():
                line = f"{name:20} {tool:12} {key:14} relayd {value:11.3f}"
                for other in ("postfix", "direct"):
                    theirs = relays.get(other, {}).get(key)
                    if theirs:
                        line += f"   {other} {theirs:11.3f} ({value / theirs:.3f} x)"
                print(line)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help="names of workloads, with commas between")
    parser.add_argument("--json", help="write the figures there", default="bench.json")
    parser.add_argument("--quick", action="store_true", help="a tenth of the messages")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
    raise_files()
    known = workloads(options.quick)
    wanted = options.only.split(",") if options.only else [*known, "decision"]
    results = {}
    for name in wanted:
        if name == "decision":
            print(decision(None, None))
        elif name in known:
            results[name] = measure(name, known[name], options.rounds)
        else:
            parser.error(f"no workload '{name}'; there are {', '.join(known)}, decision")
    report(results)
    with open(options.json, "w") as out:
        json.dump({"rounds": options.rounds, "cores": os.cpu_count(), "figures": results}, out,
                  indent=1)
    print(f"\nwritten: {options.json}")


if __name__ == "__main__":
    main()
