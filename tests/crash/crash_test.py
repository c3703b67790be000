#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Killed at random under load, and disks that fail: what was answered 250 is delivered.

    RELAYD_CRASH_KILLS   how often something is killed (20; the long run uses 500)

Each message carries a number of its own. A message may come twice only when it was in flight to
the next hop at a kill (upstream.py says what that is).
"""
import contextlib
import os
import pathlib
import random
import re
import signal
import subprocess
import threading

import sys
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "dialogs"))
import harness  # noqa: E402
from harness import Client, NextHop, Relayd, wait_until  # noqa: E402
from upstream import Upstream  # noqa: E402

KILLS = int(os.environ.get("RELAYD_CRASH_KILLS", "20"))
SENDERS = 20


class Senders:
    """Twenty senders that never give up; each notes what was answered 250, and what was not."""

    def __init__(self, daemon, count=SENDERS, lines=60):
        self.daemon = daemon
        self.lines = lines
        self.stop = threading.Event()
        self.accepted, self.refused = set(), set()
        self.attempted = 0
        self.replies = {}
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._run, args=(n,)) for n in range(count)]
        for thread in self.threads:
            thread.start()

    def _number(self):
        with self.lock:
            self.attempted += 1
            return self.attempted

    def _run(self, sender):
        while not self.stop.is_set():
            with contextlib.suppress(OSError, EOFError, AssertionError):
                self._session(sender)

    def _session(self, sender):
        with Client(self.daemon.port) as client:
            client.expect(f"EHLO sender{sender}.example", "250")
            while not self.stop.is_set():
                number = self._number()
                filler = f"{number:08d} " + ("x" * 60 + "\r\n") * (1 + number % self.lines)
                try:
                    reply = client.mail(body=f"Subject: n={number}=\r\n\r\n{filler}")
                except AssertionError as refusal:
                    self._note(self.refused, number, str(refusal))
                    raise
                self._note(self.accepted if reply.startswith("250") else self.refused,
                           number, reply)

    def _note(self, which, number, reply):
        with self.lock:
            which.add(number)
            code = reply.rsplit("got ", 1)[-1][:9]
            self.replies[code] = self.replies.get(code, 0) + 1

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()


def settle(daemon, hop, senders):
    """Wait until everything that was accepted has arrived; what came twice (Upstream)."""
    wait_until(lambda: senders.accepted <= hop.numbers(),
               f"all of {len(senders.accepted)} accepted messages", 120)
    wait_until(lambda: daemon.ctl("queue", "list", "--json").stdout.strip() == "[]",
               "an empty queue", 120)
    seen = hop.numbers()
    lost = senders.accepted - seen
    assert not lost, f"lost: {sorted(lost)[:20]}"
    wrong = senders.refused & seen
    assert not wrong, f"refused, and yet delivered: {sorted(wrong)[:20]}"
    return hop.duplicates()


def kill_daemon(daemon, hop):
    """All of its processes, none of which sees another go, and start it again."""
    pids = [*daemon.worker_pids(), daemon.process.pid]

    def kill():
        daemon.process.send_signal(signal.SIGSTOP)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        daemon.process.wait()
    hop.killing(kill)
    daemon.start()


def kill_worker(daemon, hop):
    pids = daemon.worker_pids()

    def kill():
        with contextlib.suppress(ProcessLookupError):
            os.kill(random.choice(pids), signal.SIGKILL)
    if pids:
        hop.killing(kill)


def loses_nothing_when_killed_at_random(workspace):
    random.seed(os.environ.get("RELAYD_CRASH_SEED", "1"))
    hop = Upstream(workspace)
    daemon = Relayd(workspace, next_hop=hop.port).start()
    senders = Senders(daemon)
    whole = 0
    try:
        for turn in range(KILLS):
            before = len(senders.accepted)
            target = before + random.randrange(1, 60)
            wait_until(lambda: len(senders.accepted) >= target, "more accepted mail", 60)
            if random.random() < 0.3:
                whole += 1
                kill_daemon(daemon, hop)
            else:
                kill_worker(daemon, hop)
    finally:
        senders.end()
    _, twice = settle(daemon, hop, senders)
    print(f"     {KILLS} kills ({whole} of the whole daemon), {len(senders.accepted)} accepted, "
          f"0 lost, {twice} twice", flush=True)
    ids = [r["id"] for r in daemon.attempts(verdict="relayed")]
    assert len(ids) >= len(senders.accepted), "an accepted message has no record"
    assert len(ids) == len(set(ids)), "an id was given twice"
    daemon.stop()


def faults_are_there(workspace):
    """Is this build one with --enable-fault-injection?"""
    if not (harness.BUILD / "config.h").read_text().count("#define FAULT_INJECTION 1"):
        raise harness.Skip("not configured with --enable-fault-injection")


def fault_case(workspace, faults):
    hop = Upstream(workspace)
    daemon = Relayd(workspace, next_hop=hop.port, workers=1,
                    environment={"RELAYD_SPOOL_FAULTS": faults}).start()
    senders = Senders(daemon, count=8)
    try:
        wait_until(lambda: len(senders.refused) > 0 and len(senders.accepted) > 50,
                   f"a refusal under {faults}", 60)
    finally:
        senders.end()
    hop.killing(daemon.kill)
    daemon.environment.pop("RELAYD_SPOOL_FAULTS")
    daemon.start()
    settle(daemon, hop, senders)
    assert all(code[0] in "24" for code in senders.replies), senders.replies
    daemon.stop()


def answers_4xx_when_a_write_fails(workspace):
    faults_are_there(workspace)
    fault_case(workspace, "fail-write=200+:EIO")


def answers_4xx_when_the_disk_says_full(workspace):
    faults_are_there(workspace)
    fault_case(workspace, "fail-write=200+:ENOSPC")


def answers_4xx_when_a_sync_fails(workspace):
    faults_are_there(workspace)
    fault_case(workspace, "fail-sync=15")


def accepts_nothing_on_a_full_disk_and_recovers(workspace):
    if os.getuid() != 0:
        raise harness.Skip("only root can mount a small disk")
    state = workspace.path / "state"
    state.mkdir(mode=0o750)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", state],
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise harness.Skip(f"cannot mount: {done.stderr.strip()}")
    workspace.on_close(lambda: subprocess.run(["umount", "-l", state], check=True))
    import shutil
    shutil.chown(state, "nobody")
    hop = NextHop(workspace, lambda verb, _: "451 4.3.0 later" if verb == "MAIL" and
                  not hop.opens else None)
    hop.opens = False
    daemon = Relayd(workspace, next_hop=hop.port, workers=1, retry='"200ms"').start()
    accepted, full = set(), None
    for number in range(1, 4000):
        with Client(daemon.port) as client:
            client.expect("EHLO a.example", "250")
            try:
                reply = client.mail(body=f"Subject: n={number}=\r\n\r\n{number:08d} " +
                                    ("x" * 70 + "\r\n") * 1400)
            except AssertionError as refusal:
                reply = str(refusal).rsplit("got ", 1)[1]
            if reply.startswith("250"):
                accepted.add(number)
            else:
                full = reply
                break
    assert full is not None and full.startswith("452 4.3.1"), full
    assert len(accepted) > 20, f"only {len(accepted)} messages fitted"
    hop.opens = True
    daemon.ctl("status")
    wait_until(lambda: accepted <= {int(re.search(rb"n=(\d+)=", b).group(1))
                                    for _, _, b in list(hop.messages)},
               "everything accepted to arrive", 60)

    def takes_again():
        with Client(daemon.port) as client:
            client.expect("EHLO a.example", "250")
            return client.command("MAIL FROM:<app@billing.example.com>").startswith("250")
    wait_until(takes_again, "mail to be taken again", 15)
    daemon.stop()


if __name__ == "__main__":
    harness.run(loses_nothing_when_killed_at_random, answers_4xx_when_a_write_fails,
                answers_4xx_when_the_disk_says_full, answers_4xx_when_a_sync_fails,
                accepts_nothing_on_a_full_disk_and_recovers)
