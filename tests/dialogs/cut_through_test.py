#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Cut-through: every way in which a next hop may behave while a client waits, with clients
that wait and clients that leave. Whatever happens: what got 250 arrives, or is in the queue;
nothing is refused that the next hop took from us; the trail says what the client heard."""
import contextlib
import itertools
import os
import queue
import re
import signal
import socket
import threading
import time

import harness
from harness import Client, Relayd, Workspace, free_port, wait_until

FROM = "app@billing.example.com"
STAGES = ("CONNECT", "EHLO", "MAIL", "RCPT", "DATA", ".")


class Hop:
    """A next hop that does at one stage, to one message, what the test says, and then behaves.

    plan: (stage, deed). A deed is a reply to give, "close", "reset", "stall" (until released),
    or at RCPT a list with a reply for each recipient. "took" is the ambiguous one: it takes
    the message and closes without a word."""

    def __init__(self, workspace):
        self.plan = None
        self.taken = []  # (recipients, message id) of all that were answered 250, or taken so
        self.silent = []  # taken without a word
        self.lock = threading.Lock()
        self.reached = threading.Event()  # the plan's stage was reached
        self.released = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        workspace.on_close(self.close)

    def close(self):
        self.released.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def arm(self, stage, deed):
        self.reached.clear()
        self.released.clear()
        self.plan = (stage, deed)

    def disarm(self):
        self.plan = None
        self.released.set()

    def _accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._run, args=(peer,), daemon=True).start()

    def _run(self, peer):
        with contextlib.suppress(OSError, ValueError), peer:
            self._serve(peer, peer.makefile("rb"))

    def _deed(self, stage):
        plan = self.plan
        return plan[1] if plan and plan[0] == stage else None

    def _act(self, peer, stage, usual):
        """True: the connection goes on."""
        deed = self._deed(stage)
        if isinstance(deed, list):
            deed = deed[self.rcpt % len(deed)] or None
        if deed is None:
            peer.sendall(usual)
            return usual[:1] in b"23"
        if stage not in ("CONNECT", "EHLO") or deed in ("close", "reset", "stall"):
            self.reached.set()
        if deed == "stall":
            self.released.wait(harness.PATIENCE_S)
            peer.sendall(usual)
            return True
        if deed == "reset":
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        if deed in ("close", "reset", "took"):
            raise ValueError
        peer.sendall(deed.encode() + b"\r\n")
        return deed[0] in "23"

    def _serve(self, peer, stream):
        sender = None
        recipients = []
        if not self._act(peer, "CONNECT", b"220 next.example ESMTP\r\n"):
            return
        while True:
            line = stream.readline()
            if not line:
                return
            verb, _, argument = line.strip().decode().partition(" ")
            verb = verb.upper()
            if verb == "EHLO":
                self._act(peer, "EHLO", b"250-next.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n"
                                        b"250-DSN\r\n250 SIZE 104857600\r\n")
            elif verb == "MAIL":
                recipients, self.rcpt = [], 0
                sender = argument if self._act(peer, "MAIL", b"250 2.1.0 ok\r\n") else None
            elif verb == "RCPT":
                usual = b"250 2.1.5 ok\r\n" if sender else b"503 5.5.1 MAIL first\r\n"
                if self._act(peer, "RCPT", usual):
                    recipients.append(re.search(r"<([^>]*)>", argument).group(1))
                self.rcpt += 1
            elif verb == "DATA":
                if not recipients:
                    peer.sendall(b"554 5.5.1 no valid recipients\r\n")
                    continue
                if self._act(peer, "DATA", b"354 go on\r\n"):
                    self._data(peer, stream, recipients)
            elif verb == "QUIT":
                peer.sendall(b"221 2.0.0 bye\r\n")
                return
            else:
                peer.sendall(b"250 2.0.0 ok\r\n")

    def _data(self, peer, stream, recipients):
        name = None
        while True:
            line = stream.readline()
            if not line:
                return
            if line == b".\r\n":
                break
            if line.lower().startswith(b"message-id:"):
                name = line.split(b":", 1)[1].strip().decode()
        if self._deed(".") == "took":
            with self.lock:
                self.silent += [(r, name) for r in recipients]
        is_taken = self._deed(".") is None
        if is_taken:  # it has it before it says so
            with self.lock:
                self.taken += [(r, name) for r in recipients]
        if self._act(peer, ".", b"250 2.0.0 Ok: queued as NEXT42\r\n") and not is_taken:
            with self.lock:
                self.taken += [(r, name) for r in recipients]

    def count(self, recipient, name):
        with self.lock:
            return self.taken.count((recipient, name))


CUT = 'next-hops = {{ "127.0.0.1:{hop}" }} cut-through = true cut-through-wait = "{wait}"'


def gateway(workspace, hop, wait="1s", workers=1, retry='"10s"', **more):
    route = CUT.format(hop=hop.port, wait=wait)
    return Relayd(workspace, workers=workers, route=route, retry=retry, **more).start()


class Sending:
    """One message through a client that may leave."""

    serial = itertools.count(1)

    def __init__(self, relayd, recipients=1, domain="partner.example", mail=""):
        self.relayd = relayd
        self.name = f"<m{next(self.serial)}@billing.example.com>"
        self.to = [f"r{i}@{domain}" for i in range(recipients)]
        self.client = Client(relayd.port)
        self.client.expect("EHLO app.example.com", "250")
        self.client.expect(f"MAIL FROM:<{FROM}>{mail}", "250")
        for to in self.to:
            self.client.expect(f"RCPT TO:<{to}>", "250")
        self.client.expect("DATA", "354")
        self.reply = None

    def give(self, body="hello\r\n", behind=""):
        self.client.send(f"From: {FROM}\r\nSubject: x\r\nMessage-ID: {self.name}\r\n\r\n{body}.\r\n"
                         f"{behind}")
        return self

    def wait(self):
        self.reply = self.client.reply()
        return self.reply

    def leave(self):
        self.client.close()

    def attempts(self):
        return [r for r in self.relayd.attempts() if r.get("message_id") == self.name]

    def recorded(self):
        return wait_until(lambda: len(self.attempts()) >= len(self.to) and self.attempts(),
                          f"the records of {self.name}")

    def deliveries(self, attempts):
        ids = {a["id"].split(".")[0] for a in attempts}
        return [r for r in self.relayd.audit("delivery") if r["id"] in ids]


def queued(relayd):
    status = relayd.status()
    return sum(r["waiting"] + r["in_flight"] for r in status["routes"]), status


def settle(relayd, hop):
    """The next hop behaves: everything that was promised arrives now."""
    hop.disarm()
    def done():
        relayd.ctl("queue", "retry", "--all", check=False)
        return queued(relayd)[0] == 0
    wait_until(done, "an empty queue")


def check(relayd, hop, sending, left):
    """The promises, once the next hop behaved again and the queue is empty."""
    attempts = sending.recorded()
    assert len(attempts) == len(sending.to), attempts
    reply = sending.reply
    silent = set(hop.silent)
    for attempt in attempts:
        recipient = attempt["to"]
        count = hop.count(recipient, sending.name)
        tries = [d for d in sending.deliveries(attempts) if d["to"] == recipient]
        told = [d["result"] for d in tries]
        # the next hop was silent behind the dot, and the client was gone: nobody can know
        is_unknown = left and any(
            "given up while waiting for the reply to the message" in d["reply"] for d in tries)
        where = f"{sending.name} to {recipient}: reply {reply!r}, {attempt}, {told}, {count}"
        assert count <= 1, f"twice: {where}"
        assert told.count("delivered") == count or is_unknown, where
        if reply is not None and not left:
            assert attempt["reply"].split(" [")[0] == reply.split(" [")[0].split("\n")[0], where
        if reply is not None and reply.startswith("2"):
            assert attempt["verdict"] == "relayed", where
            assert count == 1 or "failed" in told, f"lost: {where}"
        if reply is not None and reply.startswith("5"):
            assert attempt["verdict"] == "refused" and count == 0, f"false failure: {where}"
            assert attempt["reason"] == "next-hop.refused", where
            assert (recipient, sending.name) not in silent, f"false failure: {where}"
        if reply is not None and reply.startswith("4"):
            raise AssertionError(f"nothing was wrong with us: {where}")
        if attempt["verdict"] == "relayed" and left:
            assert count == 1 or "failed" in told, f"lost: {where}"
        if attempt["verdict"] == "refused":
            assert "failed" in told and count == 0, where
        if attempt["verdict"] == "deferred":
            assert left and attempt["reason"] == "session.abandoned", where
            assert count == 0 or is_unknown, where


DEEDS = [("nothing", None)] + \
    [(s, d) for s in ("MAIL", "RCPT", "DATA", ".")
     for d in ("451 4.3.0 not now", "550 5.1.1 never")] + \
    [("CONNECT", "554 5.3.2 no service"), ("CONNECT", "421 4.3.2 later"), ("EHLO", "421 4.3.2 x")] + \
    [(s, d) for s in STAGES for d in ("close", "stall")] + \
    [("MAIL", "421 4.3.2 closing"), (".", "421 4.3.2 closing"), ("DATA", "reset"),
     (".", "reset"), (".", "took"), (".", "garbage"),
     ("RCPT", ["550 5.1.1 nobody", None, None]), ("RCPT", [None, "451 4.2.1 later", None]),
     ("RCPT", [None, "451 4.2.1 later", "550 5.1.1 nobody"]),
     ("RCPT", ["550 5.1.1 a", "551 5.1.6 b", "553 5.1.3 c"]),
     ("RCPT", ["550 5.7.1 Unable to relay"])]

def expected(stage, deed, count):
    """The first digit of the reply, and whether the next hop has it by then."""
    if isinstance(deed, list):
        said = [deed[i % len(deed)] for i in range(count)]
        return ("5", False) if all(d and d[0] == "5" for d in said) else \
            ("2", all(d is None for d in said))
    if deed and deed[0] == "5" and stage != "CONNECT":
        return "5", False
    return "2", deed is None


def schedule_run(workspace, stage, deed, count, leaves):
    """Each has a relayd of its own: a stall makes a route cautious for a minute."""
    hop = Hop(workspace)
    relayd = gateway(workspace, hop)
    hop.arm(stage, deed)
    sending = Sending(relayd, count).give()
    left = False
    if leaves and stage != "nothing":
        hop.reached.wait(3)
        sending.leave()
        left = True
    elif leaves:
        sending.leave()
        left = True
    else:
        reply = sending.wait()
        digit, has_it = expected(stage, deed, count)
        what = f"{stage} {deed!r} {count}: {reply}"
        assert reply[0] == digit, what
        if has_it:
            assert "passed on as" in reply and "NEXT42" in reply, what
            assert hop.count(sending.to[0], sending.name) == 1, what
        elif digit == "2":
            assert "queued as" in reply, what
        else:
            assert re.search(r" \[[0-9A-Z]+\]$", reply), what
    if leaves:
        sending.recorded()
    settle(relayd, hop)
    check(relayd, hop, sending, left)
    relayd.stop()
    if left:
        return "left: " + sending.attempts()[0]["verdict"]
    return "refused" if sending.reply[0] == "5" else \
        "passed on" if "passed on" in sending.reply else "queued"


def every_schedule(workspace):
    """next hop x client x recipients; several gateways at a time, since stalls take a second."""
    work = queue.Queue()
    failures = []
    seen = {}
    for (stage, deed), count, leaves in itertools.product(DEEDS, (1, 3), (False, True)):
        if isinstance(deed, list) and count == 1 and len(deed) > 1:
            continue
        work.put((stage, deed, count, leaves))

    def worker():
        while True:
            try:
                item = work.get_nowait()
            except queue.Empty:
                return
            own = Workspace()
            try:
                end = schedule_run(own, *item)
                seen[end] = seen.get(end, 0) + 1
            except Exception as error:  # reported below, with the schedule
                failures.append(f"{item}: {type(error).__name__}: {error}")
            finally:
                with contextlib.suppress(Exception):
                    own.close()

    threads = [threading.Thread(target=worker) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, f"{len(failures)} schedules:\n" + "\n".join(failures)
    print("    " + ", ".join(f"{n} {what}" for what, n in sorted(seen.items())), flush=True)
    for what in ("passed on", "queued", "refused", "left: relayed", "left: refused",
                 "left: deferred"):
        assert seen.get(what), f"no schedule led to: {what} ({seen})"


def nothing_is_stored_that_the_next_hop_took(workspace):
    hop = Hop(workspace)
    relayd = gateway(workspace, hop)
    for _ in range(20):
        assert "passed on" in Sending(relayd, 2).give().wait()
    spool = relayd.status()["spool"]
    assert spool["messages"] == 0, spool
    assert spool.get("commits", 0) == 0 and spool.get("syncs", 0) <= 1, spool
    assert len(relayd.attempts(verdict="relayed")) == 40
    assert [r["result"] for r in relayd.audit("delivery")] == ["delivered"] * 40
    relayd.stop()


def the_session_goes_on_behind_it(workspace):
    hop = Hop(workspace)
    relayd = gateway(workspace, hop)
    sending = Sending(relayd).give(behind=f"MAIL FROM:<{FROM}>\r\nRCPT TO:<r0@partner.example>\r\n"
                                          "DATA\r\n")
    assert "passed on" in sending.wait()
    assert [sending.client.reply()[:3] for _ in range(3)] == ["250", "250", "354"]
    hop.arm(".", "552 5.2.2 full")
    sending.client.send("Subject: second\r\n\r\n.\r\nNOOP\r\nQUIT\r\n")
    assert sending.client.reply().startswith("552 5.2.2 full ["), "the refusal"
    assert [sending.client.reply()[:3] for _ in range(2)] == ["250", "221"]
    relayd.stop()


def the_next_hops_words_reach_the_client(workspace):
    hop = Hop(workspace)
    relayd = gateway(workspace, hop)
    for deed, wanted in (
            ("550 5.1.1 No such user", r"550 5\.1\.1 No such user \[\w+\]"),
            ("550 nobody here", r"550 5\.0\.0 nobody here \[\w+\]"),
            ("530 5.7.57 Client was not authenticated", r"554 5\.7\.57 Client was not .*\[\w+\]"),
            ("554 5.7.1 <r0@partner.example>: Relay access denied",
             r"550 5\.7\.367 Remote server returned not permitted to relay -> 554 5\.7\.1 .*"
             r"Relay access denied \[\w+\]")):
        hop.arm("RCPT", deed)
        sending = Sending(relayd).give()
        reply = sending.wait()
        assert re.fullmatch(wanted, reply), reply
        attempt = sending.recorded()[0]
        assert attempt["verdict"] == "refused" and attempt["reason"] == "next-hop.refused"
        assert attempt["reply"] == reply and attempt["grant"] == "billing", attempt
        story = relayd.ctl("why", attempt["id"]).stdout
        assert "next-hop.refused" in story or "passed it on" in story, story
    relayd.stop()


def what_it_is_not_for_goes_to_the_spool(workspace):
    hop = Hop(workspace)
    relayd = gateway(workspace, hop, extra="""
route "other" { recipients = { "@other.example" } next-hops = { "127.0.0.1:%d" } }
""" % hop.port)
    large = "x" * 900 + "\r\n"
    def plain(client):
        client.expect("EHLO app.example.com", "250")
        client.expect(f"MAIL FROM:<{FROM}>", "250")
    cases = []
    with Client(relayd.port) as client:  # recipients of two routes
        plain(client)
        client.expect("RCPT TO:<a@partner.example>", "250")
        client.expect("RCPT TO:<b@other.example>", "250")
        client.expect("DATA", "354")
        client.send("Subject: x\r\n\r\n")
        cases.append(client.command("."))
        plain(client)  # a success report is wanted
        client.expect("RCPT TO:<a@partner.example> NOTIFY=SUCCESS", "250")
        client.expect("DATA", "354")
        client.send("Subject: x\r\n\r\n")
        cases.append(client.command("."))
        plain(client)  # large: it has a file of its own
        client.expect("RCPT TO:<a@partner.example>", "250")
        client.expect("DATA", "354")
        client.send("Subject: x\r\n\r\n" + large * 4000)
        cases.append(client.command("."))
        wait_until(lambda: queued(relayd)[0] == 0, "nothing older that waits")
        plain(client)
        client.expect("RCPT TO:<a@partner.example>", "250")
        client.expect("DATA", "354")
        client.send("Subject: x\r\n\r\n")
        assert "passed on" in client.command(".")
    assert all("queued as" in reply for reply in cases), cases
    wait_until(lambda: len(hop.taken) == 5, "all of them")
    relayd.stop()


def a_client_waits_so_long_and_no_longer(workspace):
    """Before the dot the connection is broken off, behind it the reply is waited for: once."""
    for stage in ("RCPT", "."):
        own = Workspace()
        try:
            hop = Hop(own)
            relayd = gateway(own, hop, wait="1s")
            hop.arm(stage, "stall")
            start = time.monotonic()
            sending = Sending(relayd).give()
            assert "queued as" in sending.wait()
            took = time.monotonic() - start
            assert 0.9 < took < 6, took
            start = time.monotonic()
            other = Sending(relayd, domain="second.example").give()  # the route is cautious now
            assert "queued as" in other.wait()
            assert time.monotonic() - start < 1, "it waited again"
            settle(relayd, hop)
            for one in (sending, other):
                wait_until(lambda: hop.count(one.to[0], one.name) == 1, "one copy")
            relayd.stop()
        finally:
            own.close()


def a_worker_killed_while_it_waits_promised_nothing(workspace):
    hop = Hop(workspace)
    relayd = gateway(workspace, hop, wait="30s")
    hop.arm(".", "stall")
    sending = Sending(relayd).give()
    assert hop.reached.wait(harness.PATIENCE_S)
    for pid in relayd.worker_pids():
        os.kill(pid, signal.SIGKILL)
    try:
        reply = sending.wait()
        raise AssertionError(f"a killed worker said {reply}")
    except (EOFError, ConnectionResetError):
        pass
    assert not relayd.attempts(verdict="relayed"), "a success that nobody was told of"
    hop.disarm()
    wait_until(lambda: relayd.worker_pids(), "a new worker")
    assert queued(relayd)[0] == 0, "nothing was promised, so nothing is kept"
    again = Sending(relayd).give()
    assert again.wait().startswith("250")
    relayd.stop()


def a_stop_waits_for_the_next_hop(workspace):
    hop = Hop(workspace)
    relayd = gateway(workspace, hop, wait="20s")
    hop.arm(".", "stall")
    sending = Sending(relayd).give()
    assert hop.reached.wait(harness.PATIENCE_S)
    relayd.process.send_signal(signal.SIGTERM)
    hop.disarm()
    assert "passed on" in sending.wait()
    assert relayd.process.wait(harness.PATIENCE_S) == 0, relayd.log()
    relayd.process = None
    relayd.check_log()


def many_clients_at_once(workspace):
    """A next hop at random: each 250 arrives exactly once, each 5xx never does."""
    hop = Hop(workspace)
    relayd = gateway(workspace, hop, workers=2, retry='"1s"')
    replies, lock = [], threading.Lock()

    def run(which):
        for i in range(12):
            if which == 0:
                hop.arm(*[(".", "451 4.3.0 x"), ("RCPT", "550 5.1.1 y"), ("MAIL", "close"),
                          (".", "550 5.6.0 z"), ("DATA", "close"), ("nothing", None)][i % 6])
            sending = Sending(relayd, 1 + i % 3).give()
            with contextlib.suppress(EOFError):
                sending.wait()
            with lock:
                replies.append(sending)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    settle(relayd, hop)
    assert len(replies) == 96 and all(s.reply for s in replies)
    for sending in replies:
        attempts = sending.recorded()
        for to in sending.to:
            count = hop.count(to, sending.name)
            failed = any(d["to"] == to and d["result"] == "failed"
                         for d in sending.deliveries(attempts))
            assert count == (0 if sending.reply[0] == "5" or failed else 1), \
                (sending.reply, to, count, failed)
    relayd.stop()


harness.run(nothing_is_stored_that_the_next_hop_took, the_session_goes_on_behind_it,
            the_next_hops_words_reach_the_client, what_it_is_not_for_goes_to_the_spool,
            a_client_waits_so_long_and_no_longer,
            a_worker_killed_while_it_waits_promised_nothing, a_stop_waits_for_the_next_hop,
            many_clients_at_once, every_schedule)
