#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A next hop with random faults, and relayd killed at random: each message arrives once.

    RELAYD_FAULTS_MESSAGES   how many messages (2,000; the long run uses 10,000)
    RELAYD_FAULTS_KILLS      how often something is killed meanwhile (20; 100)

None is lost. One may arrive again only when the reply to its dot was lost on purpose, or when
it was in flight at a kill (upstream.py says what that is).
"""
import contextlib
import os
import random
import signal
import sys
import pathlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "dialogs"))
import harness  # noqa: E402
from harness import Relayd, wait_until  # noqa: E402
from crash_test import Senders, kill_daemon, kill_worker, settle  # noqa: E402
from upstream import Upstream  # noqa: E402

MESSAGES = int(os.environ.get("RELAYD_FAULTS_MESSAGES", "2000"))
KILLS = int(os.environ.get("RELAYD_FAULTS_KILLS", "20"))


def delivers_once_through_faults_and_kills(workspace):
    seed = os.environ.get("RELAYD_CRASH_SEED", "1")
    random.seed(seed)
    hop = Upstream(workspace, seed)
    daemon = Relayd(workspace, next_hop=hop.port).start()
    senders = Senders(daemon)
    whole = 0
    try:
        for turn in range(KILLS):
            target = (turn + random.random()) * MESSAGES / KILLS
            wait_until(lambda: len(senders.accepted) >= target, "more accepted mail", 120)
            if random.random() < 0.5:
                whole += 1
                kill_daemon(daemon, hop)
            else:
                kill_worker(daemon, hop)
        wait_until(lambda: len(senders.accepted) >= MESSAGES, "more accepted mail", 120)
    finally:
        senders.end()
    twice = settle(daemon, hop, senders)
    faults = ", ".join(f"{n} {name}" for name, n in sorted(hop.faults.items()))
    print(f"     {len(senders.accepted)} accepted, {KILLS} kills ({whole} of the whole daemon); "
          f"faults: {faults}; 0 lost, twice: {twice[0]} after a lost reply, {twice[1]} in flight "
          "at a kill", flush=True)
    daemon.stop()


if __name__ == "__main__":
    harness.run(delivers_once_through_faults_and_kills)
