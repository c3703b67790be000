#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Limits: of grants, counted over all workers and gateways, and of connectors.

Every limit lets through exactly what it says, however many clients ask at once, whatever is
reloaded or killed meanwhile, and says when more will be taken.
"""
import os
import re
import signal
import socket
import subprocess
import threading

import harness
from harness import Client, Relayd, Skip, free_port, require, wait_until

CONFIG = """
hostname  = "relay.example.com"
state-dir = "{state}"
workers   = {workers}
{user}
{shared}

connector "apps" {{
    bindings         = {{ "127.0.0.1:{port}" }}
    remote-ip-ranges = {{ "127.0.0.0/8" }}
    tarpit-interval  = "0s"
    {connector}
}}

grant "billing" {{
    networks   = {{ "127.0.0.0/8" }}
    senders    = {{ "@billing.example.com" }}
    recipients = {{ "*" }}
    limits     = {{ {limits} }}
    {grant}
}}
{extra}

route "drop" {{ recipients = {{ "*" }}  {route} }}
"""
SENDER = "app@billing.example.com"
MANY = "max-connections-per-source = unlimited"


def relayd(workspace, limits, *, connector=MANY, grant="", shared="", extra="", workers=3,
           state=None, **more):
    daemon = Relayd(workspace, workers=workers, **more)
    daemon.values.update(limits=limits, connector=connector, grant=grant, shared=shared,
                         extra=extra)
    daemon.write_config(CONFIG)
    return daemon.start()


def attempt(client, sender=SENDER, recipients=1, body="Subject: t\r\n\r\nhello\r\n",
            mail_options=""):
    """One message; its last reply, which is the refusal if there is one."""
    reply = client.command(f"MAIL FROM:<{sender}>{mail_options}")
    if not reply.startswith("250"):
        return reply
    for i in range(recipients):
        reply = client.command(f"RCPT TO:<u{i}@partner.example>")
        if not reply.startswith("250"):
            client.expect("RSET", "250")
            return reply
    client.expect("DATA", "354")
    client.send(f"From: {sender}\r\n{body}")
    return client.command(".")


def say_hello(port, **more):
    client = Client(port, **more)
    client.expect("EHLO client.example.com", "250")
    return client


def storm(ports, threads=12, each=20, **more):
    """Parallel clients; how many messages were accepted, and every other reply."""
    accepted, others, errors, lock = [], [], [], threading.Lock()

    def work(number):
        try:
            with say_hello(ports[number % len(ports)]) as client:
                for _ in range(each):
                    reply = attempt(client, **more)
                    with lock:
                        (accepted if reply.startswith("250") else others).append(reply)
        except Exception as error:
            errors.append(error)

    workers = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(harness.PATIENCE_S)
    assert not errors, errors
    assert len(accepted) + len(others) == threads * each
    return len(accepted), others


def one_attempt(daemon, **more):
    with say_hello(daemon.port) as client:
        return attempt(client, **more)


def last_detail(daemon, reason):
    records = daemon.attempts(reason=reason)
    assert records, reason
    return records[-1]["detail"]


# --- grants -------------------------------------------------------------------------------


def exactly_the_limit_is_accepted_under_parallel_load(workspace):
    daemon = relayd(workspace, '"100 messages/hour"')
    accepted, others = storm([daemon.port])
    assert accepted == 100, accepted
    for reply in others:
        assert re.match(r"451 4\.7\.1 Too many messages, try again later \[\w+\]$", reply), reply
    assert len(daemon.attempts(verdict="relayed")) == 100
    deferred = daemon.attempts(verdict="deferred")
    assert len(deferred) == 140
    for record in deferred:
        assert (record["reason"], record["stage"], record["grant"]) == \
            ("quota.messages", "quota", "billing"), record
        assert re.match(r"100 messages/hour of grant billing used up; frees in "
                        r"(1h|59m[0-9]+s|59m)", record["detail"]), record
    daemon.stop()


def counts_outlive_reloads_and_killed_workers(workspace):
    daemon = relayd(workspace, '"10 messages/hour"')
    accepted, _ = storm([daemon.port], threads=4, each=1)
    assert accepted == 4
    daemon.reload()
    for pid in daemon.worker_pids():
        before = set(daemon.worker_pids())
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: len(daemon.worker_pids()) == 3 and pid not in daemon.worker_pids(),
                   "the worker to be started again")
        assert before != set(daemon.worker_pids())
    accepted, _ = storm([daemon.port], threads=4, each=5)
    assert accepted == 6, accepted
    daemon.write_config(CONFIG, limits='"12 messages/hour"')
    daemon.reload()
    wait_until(lambda: {w["generation"] for w in daemon.status()["workers"]} == {3},
               "the old workers to end")
    accepted, _ = storm([daemon.port], threads=4, each=5)
    assert accepted == 2, accepted
    daemon.stop()


def window_ends_and_all_of_it_is_free(workspace):
    daemon = relayd(workspace, '"3 messages/2s"')
    with say_hello(daemon.port) as client:
        for _ in range(3):
            assert attempt(client).startswith("250")
        assert attempt(client).startswith("451 4.7.1")
        assert "frees in" in last_detail(daemon, "quota.messages")
    wait_until(lambda: one_attempt(daemon).startswith("250"), "the window to end")
    accepted, _ = storm([daemon.port], threads=3, each=2)
    assert accepted == 2, accepted
    daemon.stop()


def keys_are_counted_apart(workspace):
    daemon = relayd(workspace, '"2 messages/hour per sender", "5 messages/hour per address"')
    with say_hello(daemon.port) as client:
        for sender in ("a@billing.example.com", "A@Billing.example.com"):
            assert attempt(client, sender=sender).startswith("250")
        assert attempt(client, sender="a@billing.example.com").startswith("451")
        assert "used up by a@billing.example.com; frees in" in \
            last_detail(daemon, "quota.messages")
        for sender in ("b", "b", "c"):
            assert attempt(client, sender=f"{sender}@billing.example.com").startswith("250")
        assert attempt(client, sender="d@billing.example.com").startswith("451")
        assert "per address of grant billing used up by 127.0.0.1" in \
            last_detail(daemon, "quota.messages")
    with say_hello(daemon.port, source="127.0.0.2") as client:
        assert attempt(client, sender="d@billing.example.com").startswith("250")
        assert attempt(client, sender="a@billing.example.com").startswith("451")
    daemon.stop()


def recipients_are_refused_one_by_one(workspace):
    daemon = relayd(workspace, '"5 recipients/day"')
    with say_hello(daemon.port) as client:
        assert attempt(client, recipients=3).startswith("250")
        client.expect(f"MAIL FROM:<{SENDER}>", "250")
        client.expect("RCPT TO:<a@partner.example>", "250")
        client.expect("RCPT TO:<b@partner.example>", "250")
        client.expect("RCPT TO:<c@partner.example>", "452 4.5.3 Too many recipients")
        # what is not sent after all is given back
        client.expect("RSET", "250")
        client.expect(f"MAIL FROM:<{SENDER}>", "250")
        client.expect("RCPT TO:<a@partner.example>", "250")
        client.expect("RCPT TO:<b@partner.example>", "250")
        client.expect("DATA", "354")
        client.send("Subject: t\r\n\r\nhello\r\n")
        assert client.command(".").startswith("250")
        assert attempt(client).startswith("452 4.5.3")
    assert len(daemon.attempts(verdict="relayed")) == 5
    daemon.stop()


def octets_are_those_that_came(workspace):
    daemon = relayd(workspace, '"10KB bytes/day"')
    body = "Subject: t\r\n\r\n" + "x" * 70 + "\r\n"
    with say_hello(daemon.port) as client:
        # declared far more than it is: the rest is given back
        assert attempt(client, body=body, mail_options=" SIZE=10240").startswith("250")
        assert attempt(client, body=body + ("y" * 70 + "\r\n") * 100).startswith("250")
        # declared nothing, and too much came
        assert attempt(client, body=body + ("z" * 70 + "\r\n") * 100) \
            .startswith("451 4.7.1 Too much mail")
        # declared too much: said at RCPT
        reply = attempt(client, mail_options=" SIZE=9000")
        assert reply.startswith("451 4.7.1 Too much mail"), reply
        assert attempt(client, body=body).startswith("250")
        reply = attempt(client, mail_options=" SIZE=20000")
        assert reply.startswith("451 4.7.1"), reply
        assert "is less than the 20000 that this needs" in last_detail(daemon, "quota.octets")
    daemon.stop()


def what_is_not_accepted_is_not_counted(workspace):
    daemon = relayd(workspace, '"3 messages/hour", "3 recipients/hour"',
                    connector=MANY + '\n    max-message-size = "2KB"')
    with say_hello(daemon.port) as client:
        assert attempt(client).startswith("250")
        for _ in range(5):
            assert attempt(client, body=("x" * 70 + "\r\n") * 40).startswith("552")
    for _ in range(3):  # they leave in the middle
        with say_hello(daemon.port) as client:
            client.expect(f"MAIL FROM:<{SENDER}>", "250")
            client.expect("RCPT TO:<a@partner.example>", "250")
        wait_until(lambda: daemon.attempts(reason="session.abandoned"), "the record")
    wait_until(lambda: len(daemon.attempts(reason="session.abandoned")) == 3, "the records")
    accepted, _ = storm([daemon.port], threads=2, each=3)
    assert accepted == 2, accepted
    daemon.stop()


def sessions_at_a_time(workspace):
    daemon = relayd(workspace, '"2 sessions", "1 sessions per sender"')
    with say_hello(daemon.port) as first, say_hello(daemon.port) as second:
        assert attempt(first, sender="a@billing.example.com").startswith("250")
        assert attempt(first, sender="a@billing.example.com").startswith("250")
        reply = attempt(second, sender="a@billing.example.com")
        assert reply.startswith("451 4.7.1 Too many sessions"), reply
        assert attempt(second, sender="b@billing.example.com").startswith("250")
        with say_hello(daemon.port) as third:
            assert attempt(third, sender="c@billing.example.com").startswith("451")
        assert last_detail(daemon, "quota.sessions") == "2 sessions of grant billing used up"
        first.expect("QUIT", "221")
        with say_hello(daemon.port) as third:
            wait_until(lambda: attempt(third, sender="c@billing.example.com").startswith("250"),
                       "the first session to be over")
            for pid in daemon.worker_pids():  # whoever had them: they are no more
                os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(daemon.worker_pids()) == 3, "the workers to be started again")
    with say_hello(daemon.port) as one, say_hello(daemon.port) as two:
        assert attempt(one, sender="a@billing.example.com").startswith("250")
        assert attempt(two, sender="b@billing.example.com").startswith("250")
    daemon.stop()


def next_grant_takes_what_the_first_cannot(workspace):
    second = """
grant "overflow" {
    networks   = { "127.0.0.0/8" }
    senders    = { "@billing.example.com" }
    recipients = { "*" }
    limits     = { "2 messages/hour" }
}""".replace("{", "{{").replace("}", "}}")
    daemon = relayd(workspace, '"3 messages/hour"')
    daemon.write_config(CONFIG.replace("{extra}", second))
    daemon.reload()
    accepted, _ = storm([daemon.port], threads=3, each=4)
    assert accepted == 5, accepted
    grants = [r["grant"] for r in daemon.attempts(verdict="relayed")]
    assert (grants.count("billing"), grants.count("overflow")) == (3, 2), grants
    assert "grant billing" in last_detail(daemon, "quota.messages")
    daemon.stop()


def monitor_mode_accepts_and_records_what_it_would_have_refused(workspace):
    daemon = relayd(workspace, '"2 messages/hour"',
                    grant='mode = "monitor"\n    monitor-until = "2099-01-01"')
    with say_hello(daemon.port) as client:
        for _ in range(4):
            assert attempt(client).startswith("250")
    records = daemon.attempts(verdict="would-refuse")
    assert [r["reason"] for r in records] == ["quota.messages"] * 2, records
    assert "2 messages/hour of grant billing used up; frees in" in records[0]["detail"]
    daemon.stop()


def status_and_limits_tell_what_is_used(workspace):
    daemon = relayd(workspace, '"100 messages/hour", "5 messages/hour per sender", "9 sessions"')
    with say_hello(daemon.port) as client:
        for sender, count in (("a", 5), ("b", 2), ("c", 1)):
            for _ in range(count):
                assert attempt(client, sender=f"{sender}@billing.example.com").startswith("250")
        limits = daemon.status()["limits"]
        assert [(x["grant"], x["limit"]) for x in limits] == [
            ("billing", "100 messages/hour"), ("billing", "5 messages/hour per sender"),
            ("billing", "9 sessions")], limits
        assert limits[0]["used"] == 8 and limits[0]["max"] == 100, limits
        assert 3500 < limits[0]["frees_s"] <= 3620, limits
        assert limits[1]["keys"] == 3, limits
        assert [(k["key"], k["used"]) for k in limits[1]["top"]] == [
            ("a@billing.example.com", 5), ("b@billing.example.com", 2),
            ("c@billing.example.com", 1)], limits
        assert limits[2]["used"] == 1, limits
        text = daemon.ctl("limits").stdout
        for wanted in (r"billing +100 messages/hour +- +8 +8%", r"a@billing\.example\.com +5 +100%",
                       r"9 sessions +- +1 +11%"):
            assert re.search(wanted, text), (wanted, text)
        assert '"limit":"100 messages/hour"' in daemon.ctl("limits", "--json").stdout
    daemon.stop()


# --- Redis --------------------------------------------------------------------------------


class Redis:
    """A real redis-server of our own, in memory only."""

    def __init__(self, workspace, password=None):
        self.workspace = workspace
        self.port = free_port()
        self.password = password
        self.process = None
        self.program = require("redis-server")
        workspace.on_close(self.stop)
        self.start()

    def start(self):
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                     "--appendonly", "no", "--dir", str(self.workspace.path)]
        if self.password:
            arguments += ["--requirepass", self.password]
        self.process = subprocess.Popen([self.program, *arguments], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: self.ask("PING"), "Redis to serve")

    def ask(self, *words):
        """The first line of an answer; none while it does not serve."""
        command = b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words)
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as s:
                if self.password:
                    s.sendall(f"AUTH {self.password}\r\n".encode())
                    s.makefile("rb").readline()
                s.sendall(b"*%d\r\n%s" % (len(words), command))
                return s.makefile("rb").readline().decode()
        except OSError:
            return None

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def shared(redis, when_away="open", more=""):
    return (f'shared {{ redis = "redis://127.0.0.1:{redis.port}/3"  when-away = "{when_away}"'
            f' {more} }}')


class Side:
    """A second workspace inside the first: a gateway of its own."""

    def __init__(self, workspace, name):
        self.path = workspace.path / name
        self.path.mkdir()
        self.path.chmod(0o755)
        self.on_close = workspace.on_close


def two_gateways_admit_exactly_the_limit_together(workspace):
    redis = Redis(workspace)
    both = [relayd(Side(workspace, name), '"60 messages/hour", "500 recipients/day per sender"',
                   shared=shared(redis), workers=2) for name in ("one", "two")]
    accepted, others = storm([d.port for d in both], threads=12, each=10)
    assert accepted == 60, accepted
    assert all(reply.startswith("451 4.7.1 Too many messages") for reply in others), others
    each = [len(d.attempts(verdict="relayed")) for d in both]
    assert sum(each) == 60 and min(each) > 0, each
    for daemon in both:
        assert re.search(r"60 messages/hour of grant billing used up; frees in (1h|59m|60m)",
                         last_detail(daemon, "quota.messages")), last_detail(
                             daemon, "quota.messages")
        daemon.stop()
    # what was given back is free: 60 messages of one recipient each
    keys = redis.ask("INFO", "keyspace")
    assert keys is not None


def counts_in_redis_outlive_the_gateway(workspace):
    redis = Redis(workspace, password="correct horse")
    secret = workspace.path / "redis-password"
    secret.write_text("correct horse\n")
    daemon = relayd(workspace, '"5 messages/hour"',
                    shared=shared(redis, more=f'password-file = "{secret}"'))
    accepted, _ = storm([daemon.port], threads=1, each=3)
    assert accepted == 3
    daemon.stop()
    daemon.start()
    accepted, _ = storm([daemon.port], threads=2, each=4)
    assert accepted == 2, accepted
    daemon.stop()
    assert "correct horse" not in daemon.log()


def what_is_not_accepted_goes_back_to_redis(workspace):
    redis = Redis(workspace)
    daemon = relayd(workspace, '"4 messages/hour", "4 recipients/hour"', shared=shared(redis),
                    connector=MANY + '\n    max-message-size = "2KB"')
    with say_hello(daemon.port) as client:
        for _ in range(6):
            assert attempt(client, body=("x" * 70 + "\r\n") * 40).startswith("552")
        client.send(f"MAIL FROM:<{SENDER}>\r\n" + "RCPT TO:<a@partner.example>\r\n" * 6 +
                    "RSET\r\nNOOP\r\n")  # pipelined: each waits for its own answer
        codes = [client.reply()[:3] for _ in range(9)]
        assert codes == ["250"] + ["250"] * 4 + ["452"] * 2 + ["250"] * 2, codes
    for _ in range(20):  # they leave while Redis is asked, or just after
        with say_hello(daemon.port) as client:
            client.send(f"MAIL FROM:<{SENDER}>\r\nRCPT TO:<a@partner.example>\r\n")

    def used():
        return sum(k["used"] for k in daemon.status()["limits"])

    wait_until(lambda: daemon.status()["connectors"][0]["sessions_open"] == 0, "all to leave")
    wait_until(lambda: used() == 0, "all to be given back")
    accepted, _ = storm([daemon.port], threads=2, each=4)
    assert accepted == 4, accepted
    daemon.stop()


def away_records(daemon):
    return [(r["result"], r["detail"]) for r in daemon.audit("shared")]


def open_counts_here_while_redis_is_away(workspace):
    redis = Redis(workspace)
    daemon = relayd(workspace, '"6 messages/hour"', shared=shared(redis, "open"), workers=2)
    accepted, _ = storm([daemon.port], threads=2, each=1)
    assert accepted == 2
    redis.stop()
    wait_until(lambda: away_records(daemon), "the record")
    accepted, others = storm([daemon.port], threads=4, each=4)
    assert accepted == 4, accepted  # this gateway knows its own part
    assert all(reply.startswith("451 4.7.1") for reply in others)
    result, detail = away_records(daemon)[0]
    assert result == "failed" and "counted by this gateway alone" in detail, detail
    redis.start()  # empty: it has forgotten all
    wait_until(lambda: len(away_records(daemon)) == 2, "Redis to be back")
    assert "back: limits are counted there" in away_records(daemon)[1][1]
    wait_until(lambda: one_attempt(daemon).startswith("250"), "Redis to count again")
    daemon.stop()
    assert daemon.log().count(" is away: ") == 1, daemon.log()


def closed_defers_while_redis_is_away(workspace):
    redis = Redis(workspace)
    redis.stop()
    daemon = relayd(workspace, '"6 messages/hour"', shared=shared(redis, "closed"), workers=2)
    reply = one_attempt(daemon)
    assert reply.startswith("451 4.3.0 Cannot count now, try again later ["), reply
    assert last_detail(daemon, "quota.trouble") == \
        "6 messages/hour of grant billing cannot be counted: Redis is away"
    redis.start()
    wait_until(lambda: one_attempt(daemon).startswith("250"), "Redis to count")
    daemon.stop()


def monitor_mode_accepts_what_cannot_be_counted(workspace):
    redis = Redis(workspace)
    redis.stop()
    daemon = relayd(workspace, '"6 messages/hour"', shared=shared(redis, "closed"), workers=1,
                    connector=MANY + ' mode = "monitor"')
    assert one_attempt(daemon).startswith("250")
    record = daemon.attempts()[-1]
    assert (record["verdict"], record["reason"]) == ("would-refuse", "quota.trouble"), record
    daemon.stop()


def frozen_redis_delays_nobody_for_long(workspace):
    redis = Redis(workspace)
    daemon = relayd(workspace, '"600 messages/hour"', shared=shared(redis, "open"), workers=1)
    assert one_attempt(daemon).startswith("250")
    redis.freeze()
    try:
        # the first waits for the deadline, and others are served meanwhile
        with say_hello(daemon.port) as waiting, say_hello(daemon.port) as other:
            waiting.expect(f"MAIL FROM:<{SENDER}>", "250")
            waiting.send("RCPT TO:<a@partner.example>\r\n")
            other.expect("NOOP", "250")
            assert waiting.reply().startswith("250")
        accepted, _ = storm([daemon.port], threads=4, each=5)
        assert accepted == 20
        assert len(away_records(daemon)) == 1, away_records(daemon)
        assert "no answer in time" in away_records(daemon)[0][1]
    finally:
        redis.thaw()
    wait_until(lambda: len(away_records(daemon)) == 2, "Redis to be back")
    daemon.stop()


def scripts_that_redis_forgot_are_loaded_again(workspace):
    redis = Redis(workspace)
    daemon = relayd(workspace, '"600 messages/hour"', shared=shared(redis, "closed"), workers=1)
    assert one_attempt(daemon).startswith("250")
    assert redis.ask("SCRIPT", "FLUSH").startswith("+OK")
    wait_until(lambda: one_attempt(daemon).startswith("250"), "the scripts to be there again")
    daemon.stop()


# --- connectors ---------------------------------------------------------------------------


def connector_daemon(workspace, options):
    return relayd(workspace, '"1000 messages/hour"', connector=options, workers=1)


def reasons(daemon, event):
    return [r.get("reason") for r in daemon.audit(event)]


def connector_limits_have_their_replies_and_reasons(workspace):
    daemon = connector_daemon(workspace, MANY + """
    max-message-size = "2KB"
    max-recipients-per-message = 2
    max-protocol-errors = 2
    message-rate-limit = 4""")
    with say_hello(daemon.port) as client:
        reply = attempt(client, mail_options=" SIZE=3000")
        assert reply.startswith("552 5.3.4"), reply
        reply = attempt(client, body=("x" * 70 + "\r\n") * 40)
        assert reply.startswith("552 5.3.4"), reply
        assert reasons(daemon, "attempt")[-2:] == ["message.size"] * 2
        reply = attempt(client, recipients=3)
        assert reply.startswith("452 4.5.3"), reply
        assert "message.recipients" in reasons(daemon, "attempt")
        for _ in range(2):
            assert attempt(client).startswith("250")
        reply = attempt(client)
        assert re.match(r"451 4\.7\.1 Too many messages from your address, try again later", reply)
        assert re.match(r"4 messages/minute per address of connector apps used up by 127\.0\.0\.1; "
                        r"frees in (1m|5\ds|60s)", last_detail(daemon, "session.message-rate"))
        client.command("BOGUS")
        client.command("BOGUS")
        assert client.command("BOGUS").startswith("421 4.7.0")
        assert client.is_closed()
    assert reasons(daemon, "connect")[-1] == "session.errors"
    with say_hello(daemon.port, source="127.0.0.9") as client:
        assert attempt(client).startswith("250")
    daemon.stop()


def connection_limits_have_their_replies_and_reasons(workspace):
    daemon = connector_daemon(workspace, "max-connections = 3 max-connections-per-source = 2")
    with Client(daemon.port), Client(daemon.port):
        assert Client(daemon.port).banner.startswith("421 4.3.2")
        wait_until(lambda: reasons(daemon, "connect") == ["connection.source-limit"], "the record")
        with Client(daemon.port, source="127.0.0.2"):
            assert Client(daemon.port, source="127.0.0.3").banner.startswith("421 4.3.2")
            wait_until(lambda: reasons(daemon, "connect")[-1] == "connection.limit", "the record")
    daemon.stop()


def times_of_a_session_have_their_replies_and_reasons(workspace):
    daemon = connector_daemon(workspace, """inactivity-timeout = "300ms"
    connection-timeout = "1s" """)
    with say_hello(daemon.port) as client:
        client.expect(f"MAIL FROM:<{SENDER}>", "250")
        client.expect("RCPT TO:<a@partner.example>", "250")
        assert client.reply().startswith("421 4.4.2")
        assert client.is_closed()
    assert reasons(daemon, "attempt")[-1] == "session.timeout"
    with say_hello(daemon.port) as client:
        reply = "250"
        while reply.startswith("250"):  # busy, and yet it ends
            reply = client.command("NOOP")
        assert reply.startswith("421 4."), reply
    daemon.stop()


if __name__ == "__main__":
    harness.run(exactly_the_limit_is_accepted_under_parallel_load,
                counts_outlive_reloads_and_killed_workers, window_ends_and_all_of_it_is_free,
                keys_are_counted_apart, recipients_are_refused_one_by_one,
                octets_are_those_that_came, what_is_not_accepted_is_not_counted,
                sessions_at_a_time, next_grant_takes_what_the_first_cannot,
                monitor_mode_accepts_and_records_what_it_would_have_refused,
                status_and_limits_tell_what_is_used,
                two_gateways_admit_exactly_the_limit_together,
                counts_in_redis_outlive_the_gateway, what_is_not_accepted_goes_back_to_redis,
                open_counts_here_while_redis_is_away, closed_defers_while_redis_is_away,
                monitor_mode_accepts_what_cannot_be_counted,
                frozen_redis_delays_nobody_for_long, scripts_that_redis_forgot_are_loaded_again,
                connector_limits_have_their_replies_and_reasons,
                connection_limits_have_their_replies_and_reasons,
                times_of_a_session_have_their_replies_and_reasons)
