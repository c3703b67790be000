#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The queue and its operators: relayctl queue against a running relayd, and long queues.

    RELAYD_QUEUE_MESSAGES   of the long one (20,000; fewer under sanitizers)
"""
import contextlib
import json
import os
import pwd
import re
import signal
import subprocess
import threading
import time

import harness
from harness import BUILD, Client, NextHop, Relayd, wait_until

MESSAGES = int(os.environ.get("RELAYD_QUEUE_MESSAGES", "2000" if harness.SANITIZED else "20000"))


class Gate:
    """A next hop that says later until it is opened."""

    def __init__(self, workspace):
        self.is_open = False
        self.hop = NextHop(workspace, self._behave)

    def _behave(self, verb, _):
        return "451 4.3.0 later" if verb == "MAIL" and not self.is_open else None


def relayd_with_a_queue(workspace, count=6, **options):
    """Messages to u0, u1, ...@partner.example that wait for an hour; their ids."""
    gate = Gate(workspace)
    daemon = Relayd(workspace, next_hop=gate.hop.port, retry='"1h"', **options).start()
    with Client(daemon.port) as client:
        client.expect("EHLO a.example", "250")
        for i in range(count):
            client.mail(sender=f"app{i % 2}@billing.example.com",
                        recipients=[f"u{i}@partner.example"],
                        body=f"Subject: number {i}\r\nX-Test: \x1b[31mred\r\n\r\nhello\r\n")
    wait_until(lambda: all(m["tries"] == 1 for m in queue_of(daemon)) and
               len(queue_of(daemon)) == count, "a queue")
    by_recipient = {m["recipients"][0]["address"]: m["id"] for m in queue_of(daemon)}
    return gate, daemon, [by_recipient[f"u{i}@partner.example"] for i in range(count)]


def queue_of(daemon, *filters):
    return json.loads(daemon.ctl("queue", "list", "--json", *filters).stdout)


def act(daemon, *arguments, status=0):
    result = daemon.ctl("queue", *arguments, check=False)
    assert result.returncode == status, f"{arguments}: {result}"
    return result.stdout + result.stderr


def figures(daemon):
    return next(r for r in daemon.status()["routes"] if r["name"] == "next")


def retries_by_id_and_by_route(workspace):
    gate, daemon, ids = relayd_with_a_queue(workspace)
    gate.is_open = True
    assert act(daemon, "retry", ids[2]) == "1 message retried\n"
    assert gate.hop.wait(1)[0][1] == ["u2@partner.example"]
    assert act(daemon, "retry", "--route", "next") == "5 messages retried\n"
    gate.hop.wait(6)
    wait_until(lambda: not queue_of(daemon), "an empty queue")
    assert "nothing of that kind" in act(daemon, "retry", "--all", status=1)
    daemon.stop()


def holds_over_restart_and_reload_until_released(workspace):
    gate, daemon, ids = relayd_with_a_queue(workspace)
    # small letters and the bracket of a reply will do
    assert act(daemon, "hold", ids[0], f"[{ids[1].lower()}]") == "2 messages held\n"
    assert act(daemon, "hold", "--to", "u2@partner.example", "--from",
               "@billing.example.com") == "1 message held\n"
    assert "held already" in act(daemon, "hold", ids[0])
    assert {m["id"] for m in queue_of(daemon, "--state", "held")} == set(ids[:3])
    assert "3 messages held" in daemon.ctl("queue", "list").stdout
    wait_until(lambda: figures(daemon)["held"] == 3 and figures(daemon)["waiting"] == 3,
               "figures of it")
    gate.is_open = True
    daemon.reload()
    wait_until(lambda: figures(daemon)["held"] == 3, "the new workers to know")
    daemon.stop()
    daemon.start()
    wait_until(lambda: figures(daemon)["held"] == 3, "it to be remembered")
    assert act(daemon, "retry", "--all").startswith("3 messages retried\n3 held")
    gate.hop.wait(3)
    assert act(daemon, "release", ids[0]) == "1 message released\n"
    assert act(daemon, "release", "--all") == "2 messages released\n"
    assert len(gate.hop.wait(6)) == 6
    daemon.stop()


def removes_for_good(workspace):
    gate, daemon, ids = relayd_with_a_queue(workspace)
    assert act(daemon, "remove", ids[0]) == "1 message removed\n"
    assert "--yes" in act(daemon, "remove", "--all", status=2)
    assert act(daemon, "remove", "--from", "app1@billing.example.com", "--yes") == \
        "3 messages removed\n"
    assert {m["id"] for m in queue_of(daemon)} == {ids[2], ids[4]}
    gate.is_open = True
    daemon.stop()
    daemon.start()
    act(daemon, "retry", "--all")
    gate.hop.wait(2)
    wait_until(lambda: not queue_of(daemon), "an empty queue")
    assert len(gate.hop.messages) == 2
    assert act(daemon, "remove", ids[0], "7F3K2M9Q", status=1) == \
        "the queue holds nothing of that kind\n"
    daemon.stop()


def asks_on_a_terminal_before_it_removes_many(workspace):
    import pty
    _, daemon, ids = relayd_with_a_queue(workspace)
    for typed, status, left in ((b"n\n", 1, 6), (b"\n", 1, 6), (b"y\n", 0, 0)):
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [BUILD / "bin" / "relayctl", "-c", daemon.config_path, "queue", "remove", "--all"],
            stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        os.write(ours, typed)
        _, said = process.communicate(timeout=harness.PATIENCE_S)
        os.close(ours)
        os.close(theirs)
        assert process.returncode == status and "remove 6 messages for good?" in said, said
        wait_until(lambda: len(queue_of(daemon)) == left, f"{left} messages")
    daemon.stop()


def shows_a_message_with_its_history(workspace):
    _, daemon, ids = relayd_with_a_queue(workspace)
    act(daemon, "hold", ids[0])
    shown = daemon.ctl("queue", "show", ids[0]).stdout
    for text in ("app0@billing.example.com", "u0@partner.example", "451 4.3.0 later",
                 "held by an operator", "Subject: number 0", "root" if os.getuid() == 0 else ""):
        assert text in shown, f"{text} is not in: {shown}"
    assert "\x1b" not in shown and "hello" not in shown, shown
    told = json.loads(daemon.ctl("queue", "show", ids[0], "--json").stdout)
    assert [r["event"] for r in told["history"]] == ["delivery", "operator"], told
    assert told["held"] and "red\r\n" in told["header"], told
    assert "relayctl why" in act(daemon, "show", "7F3K2M9Q", status=1)
    act(daemon, "show", status=2)
    # without a daemon, too; and a body that has a file of its own
    with Client(daemon.port) as client:
        client.expect("EHLO a.example", "250")
        reply = client.mail(body="Subject: large\r\n\r\n" + ("x" * 70 + "\r\n") * 60000)
    large = reply.rsplit(" ", 1)[1]
    daemon.stop()
    assert "Subject: large" in daemon.ctl("queue", "show", large).stdout
    daemon.start()
    daemon.stop()


def records_who_did_what(workspace):
    _, daemon, ids = relayd_with_a_queue(workspace)
    act(daemon, "hold", "--to", "u1@partner.example")
    records = daemon.audit("operator")
    assert len(records) == 2, records
    one, whole = sorted(records, key=lambda r: "id" not in r)
    assert one["id"] == ids[1] and one["action"] == "hold" and one["uid"] == os.getuid(), one
    assert whole["count"] == 1 and whole["selection"] == {"to": ["u1@partner.example"]}, whole
    assert whole["user"] == pwd.getpwuid(os.getuid()).pw_name, whole
    assert re.search(r"Operator .*hold, by ", daemon.ctl("why", ids[1]).stdout)
    listed = daemon.ctl("audit", "list", "--event", "operator", "--id", ids[1]).stdout
    assert "hold" in listed and len(listed.splitlines()) == 2, listed
    # looking is not acting
    queue_of(daemon)
    assert len(daemon.audit("operator")) == 2
    daemon.stop()


def obeys_root_and_itself_alone(workspace):
    if os.getuid() != 0:
        raise harness.Skip("only root can become somebody else")
    _, daemon, ids = relayd_with_a_queue(workspace)
    nobody = pwd.getpwnam("nobody")
    stranger = pwd.getpwnam("daemon")
    for path in (daemon.state, daemon.state / "control.sock"):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)

    def as_user(uid):
        return subprocess.run(
            [BUILD / "bin" / "relayctl", "-c", daemon.config_path, "queue", "hold", ids[0]],
            capture_output=True, text=True, timeout=harness.PATIENCE_S, user=uid,
            group=nobody.pw_gid, extra_groups=[])
    refused = as_user(stranger.pw_uid)
    assert refused.returncode == 3 and "only root and the account" in refused.stderr, refused
    assert not daemon.audit("operator")
    assert as_user(nobody.pw_uid).returncode == 0
    assert daemon.audit("operator")[0]["uid"] == nobody.pw_uid
    daemon.stop()


def ask_socket(daemon, request):
    import socket
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(harness.PATIENCE_S)
        s.connect(str(daemon.state / "control.sock"))
        s.sendall(json.dumps(request).encode() + b"\n")
        return json.loads(s.makefile().readline())


def refuses_requests_that_it_does_not_understand(workspace):
    _, daemon, ids = relayd_with_a_queue(workspace, count=2)
    for request, why in (
            ({"command": "queue", "action": "hold"}, "which messages"),
            ({"command": "queue", "action": "explode", "all": True}, "action"),
            ({"command": "queue", "action": "remove", "rout": "next"}, "not known"),
            ({"command": "queue", "action": "remove", "all": False}, "value"),
            ({"command": "queue", "action": "remove", "ids": []}, "value"),
            ({"command": "queue", "action": "remove", "ids": [""]}, "value"),
            ({"command": "queue", "action": "remove", "to": ["a b"]}, "pattern"),
            ({"command": "queue", "action": "remove", "before": "yesterday"}, "value"),
            ({"command": "retry"}, "unknown command")):
        answer = ask_socket(daemon, request)
        assert answer["ok"] is False and why in answer["errors"][0], (request, answer)
    assert len(queue_of(daemon)) == 2
    many = ask_socket(daemon, {"command": "queue", "action": "hold",
                               "ids": [f"{n:08d}" for n in range(5000)] + ids})
    assert many["ok"] and many["done"] == 2, many
    daemon.stop()


def says_when_a_worker_did_not_live_to_answer(workspace):
    _, daemon, ids = relayd_with_a_queue(workspace, workers=2)
    victim = daemon.worker_pids()[0]
    os.kill(victim, signal.SIGSTOP)
    answers = []
    asking = threading.Thread(target=lambda: answers.append(
        daemon.ctl("queue", "hold", "--all", check=False)))
    asking.start()
    # the other one has done its part when there are records of it, or none of them are its own
    with contextlib.suppress(AssertionError):
        wait_until(lambda: daemon.audit("operator"), "the part of the other worker", 2)
    assert not answers
    os.kill(victim, signal.SIGKILL)
    asking.join(harness.PATIENCE_S)
    assert answers[0].returncode == 3, answers
    assert "1 of 2 workers ended before they answered" in answers[0].stderr, answers
    assert daemon.audit("operator")[-1]["result"] == "partial"

    def held():
        result = daemon.ctl("queue", "hold", "--all", check=False)
        return result.returncode == 0 and figures(daemon)["held"] == 6
    wait_until(held, "all to be held in the end")
    daemon.stop()


def keeps_a_long_queue_in_order_and_is_ready_at_once(workspace):
    """What waits when the next hop returns goes in order of arrival, worker by worker."""

    gate = Gate(workspace)
    gate.hop.close()
    daemon = Relayd(workspace, next_hop=gate.hop.port, retry='"1h"', workers=2,
                    connector="max-connections = 100000").start()
    threads = [threading.Thread(target=fill, args=(daemon.port, n, MESSAGES // 8))
               for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(lambda: figures(daemon)["waiting"] == MESSAGES, "a long queue", 60)
    status_began = time.monotonic()
    daemon.status()
    print(f"     {MESSAGES} wait; status {time.monotonic() - status_began:.3f} s", end="")
    for pid in [daemon.process.pid, *daemon.worker_pids()]:
        os.kill(pid, signal.SIGKILL)
    daemon.process.wait()
    began = time.monotonic()
    daemon.start()
    with Client(daemon.port) as client:  # it takes mail while it reads its queue
        client.expect("EHLO a.example", "250")
        print(f", ready again after {time.monotonic() - began:.3f} s", end="")
    wait_until(lambda: figures(daemon)["waiting"] == MESSAGES, "the whole queue")
    print(f", all known after {time.monotonic() - began:.3f} s", flush=True)
    order = {m["id"]: (m["shard"], m["uid"]) for m in queue_of(daemon)}
    assert len(order) == MESSAGES
    began = time.monotonic()
    gate = Recorder(workspace, gate.hop.port)
    daemon.ctl("queue", "retry", "--all")
    wait_until(lambda: len(gate.ids) >= MESSAGES, "everything to arrive", 120)
    print(f"     drained at {MESSAGES / (time.monotonic() - began):.0f} messages/s", flush=True)
    assert len(set(gate.ids)) == MESSAGES == len(gate.ids)
    for shard in {s for s, _ in order.values()}:
        arrived = [order[i][1] for i in gate.ids if order[i][0] == shard]
        # several connections at once: one may overtake as many as there are
        place = {uid: n for n, uid in enumerate(sorted(arrived))}
        worst = max(abs(n - place[uid]) for n, uid in enumerate(arrived))
        assert worst <= 100, f"shard {shard}: {worst} places out of order"
    daemon.stop()


def fill(port, number, count):
    with Client(port) as client:
        client.expect("EHLO a.example", "250")
        for _ in range(count):
            client.send("MAIL FROM:<app@billing.example.com>\r\n"
                        f"RCPT TO:<u{number}@partner.example>\r\nDATA\r\n")
            for code in ("250", "250", "354"):
                assert client.reply().startswith(code)
            client.expect("Subject: long queue\r\n\r\nhello\r\n.", "250")


class Recorder:
    """A next hop that notes the ids of what it takes, in order, and is quick about it."""

    ID = re.compile(rb"\tid ([0-9A-Z]+)\r\n")

    def __init__(self, workspace, port):
        import asyncio
        self.ids = []
        self.loop = asyncio.new_event_loop()
        server = self.loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", port, backlog=512))
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        workspace.on_close(lambda: self.loop.call_soon_threadsafe(self.loop.stop))
        self.server = server

    async def _serve(self, reader, writer):
        with contextlib.suppress(ConnectionError):
            writer.write(b"220 next.example ESMTP\r\n")
            while line := await reader.readline():
                verb = line[:4].upper()
                if verb == b"EHLO":
                    writer.write(b"250-next.example\r\n250 PIPELINING\r\n")
                elif verb == b"DATA":
                    writer.write(b"354 go on\r\n")
                    body = await reader.readuntil(b"\r\n.\r\n")
                    self.ids.append(self.ID.search(body).group(1).decode())
                    writer.write(b"250 2.0.0 taken\r\n")
                else:
                    writer.write(b"250 2.0.0 ok\r\n")
            writer.close()


if __name__ == "__main__":
    harness.run(retries_by_id_and_by_route, holds_over_restart_and_reload_until_released,
                removes_for_good, asks_on_a_terminal_before_it_removes_many,
                shows_a_message_with_its_history, records_who_did_what,
                obeys_root_and_itself_alone, refuses_requests_that_it_does_not_understand,
                says_when_a_worker_did_not_live_to_answer,
                keeps_a_long_queue_in_order_and_is_ready_at_once)
