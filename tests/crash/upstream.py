# SPDX-License-Identifier: ISC
"""A next hop that knows what it took, when, over which connection, and whether it told so.

With faults it answers 4xx and 421, hangs up anywhere before and after the dot, and takes its
time, at random but for a seed. Every message bears a number ("Subject: n=17="). What arrives
twice is excused only by what happened to the earlier arrival: the reply to it was thrown away on
purpose, or the other end was killed while it was in flight.
"""
import asyncio
import contextlib
import random
import re
import threading
import time

import harness

# How far a killed process may have been behind with what it knew: the reply that was on its way,
# and the mark in the spool that waited for a sync that was going on.
BEHIND_S = 5.0 if harness.SANITIZED else 2.0

NUMBER = re.compile(rb"Subject: n=(\d+)=")


class Arrival:
    """One time that a message was taken."""

    def __init__(self, connection):
        self.connection = connection
        self.at = time.monotonic()
        self.was_told = True  # False: the reply was thrown away


class Connection:
    def __init__(self):
        self.ended = None  # when the peer went away


class Upstream:
    def __init__(self, workspace, seed=None):
        """seed None: it behaves well."""
        self.random = random.Random(seed) if seed is not None else None
        self.faults = {}
        self.arrivals = {}  # number: [Arrival, ...]
        self.order = []  # numbers, as they arrived
        self.lock = threading.Lock()
        self.kills = []  # (before, after)
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        self.port = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        assert self.ready.wait(harness.PATIENCE_S)
        workspace.on_close(self.close)

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(harness.PATIENCE_S)

    def _run(self):
        asyncio.set_event_loop(self.loop)
        # StreamReader's limit is for one line
        server = self.loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=512, limit=1 << 16))
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        self.loop.run_forever()
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        server.close()
        self.loop.run_until_complete(asyncio.sleep(0))

    def behaves(self):
        """From now on it does."""
        self.random = None

    def killing(self, kill):
        """Do it, and remember when."""
        before = time.monotonic()
        kill()
        self.kills.append((before, time.monotonic()))

    def _draw(self, *faults):
        """One of (probability, name), or None."""
        if self.random is None:
            return None
        x = self.random.random()
        for probability, name in faults:
            if x < probability:
                self.faults[name] = self.faults.get(name, 0) + 1
                return name
            x -= probability
        return None

    async def _serve(self, reader, writer):
        connection = Connection()
        try:
            await self._session(reader, writer, connection)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            connection.ended = time.monotonic()
            with contextlib.suppress(Exception):
                writer.transport.abort()

    async def _session(self, reader, writer, connection):
        async def say(text):
            writer.write(text.encode() + b"\r\n")
            await writer.drain()

        fault = self._draw((0.01, "banner 421"), (0.01, "no banner"))
        if fault == "banner 421":
            await say("421 4.3.2 busy")
            writer.close()
            return
        if fault:
            return
        await say("220 next.example ESMTP")
        has_sender = recipients = 0
        while True:
            line = await reader.readline()
            if not line:
                return
            verb = line[:4].upper()
            if verb == b"EHLO":
                await say("250-next.example\r\n250-PIPELINING\r\n250 8BITMIME")
            elif verb == b"MAIL":
                fault = self._draw((0.02, "451 to MAIL"), (0.005, "421 to MAIL"),
                                   (0.005, "hung up at MAIL"))
                if fault and fault != "451 to MAIL":
                    if fault == "421 to MAIL":
                        await say("421 4.3.2 later")
                    return
                has_sender, recipients = not fault, 0
                await say("451 4.3.0 later" if fault else "250 2.1.0 ok")
            elif verb == b"RCPT":
                refused = not has_sender or self._draw((0.02, "450 to RCPT"))
                recipients += not refused
                await say("450 4.2.1 later" if refused else "250 2.1.5 ok")
            elif verb == b"DATA":
                if not recipients or self._draw((0.01, "451 to DATA")):
                    await say("451 4.3.0 not now")
                    continue
                await say("354 go on")
                if not await self._message(reader, say, connection):
                    return
                has_sender = recipients = 0
            elif verb == b"RSET":
                has_sender = recipients = 0
                await say("250 2.0.0 ok")
            elif verb == b"QUIT":
                await say("221 2.0.0 bye")
                return
            else:
                await say("500 5.5.1 what?")

    async def _message(self, reader, say, connection):
        """Read one and answer; False: the connection is over."""
        cut = self._draw((0.01, "hung up in the message"))
        lines = []
        while True:
            line = await reader.readline()
            if not line:
                return False
            if line == b".\r\n":
                break
            lines.append(line[1:] if line.startswith(b".") else line)
            if cut and len(lines) > 5:
                return False
        if self._draw((0.05, "took its time")):
            await asyncio.sleep(self.random.random() / 20 if self.random else 0)
        fault = self._draw((0.02, "451 to the dot"), (0.01, "421 to the dot"),
                           (0.01, "hung up before taking it"),
                           (0.02, "hung up after taking it"))
        if fault == "451 to the dot":
            await say("451 4.3.0 not now")
            return True
        if fault == "421 to the dot":
            await say("421 4.3.2 later")
            return False
        if fault == "hung up before taking it":
            return False
        arrival = self._take(b"".join(lines), connection)
        if fault:
            arrival.was_told = False
            return False
        await say("250 2.0.0 taken")
        return True

    def _take(self, body, connection):
        number = int(NUMBER.search(body).group(1))
        filler = body.rsplit(b"\r\n\r\n", 1)[1].decode()
        assert filler.startswith(f"{number:08d} ") and filler.endswith("\r\n"), body
        arrival = Arrival(connection)
        with self.lock:
            self.arrivals.setdefault(number, []).append(arrival)
            self.order.append(number)
        return arrival

    # ---- Afterwards ----

    def numbers(self):
        with self.lock:
            return set(self.arrivals)

    def _excuse(self, arrival):
        """Why the sender could not know of it: "lost reply", "kill", or None."""
        if not arrival.was_told:
            return "lost reply"
        for before, after in self.kills:
            # what the killed one had sent may be read only after its death
            ended = arrival.connection.ended
            went_with_it = ended is not None and before <= ended <= after + BEHIND_S
            if went_with_it and before - BEHIND_S <= arrival.at <= ended:
                return "kill"
        return None

    def duplicates(self):
        """(by lost replies, by kills); everyone must be excused."""
        counts = {"lost reply": 0, "kill": 0}
        with self.lock:
            for number, arrivals in self.arrivals.items():
                for arrival in arrivals[:-1]:
                    why = self._excuse(arrival)
                    assert why, (f"{number} came {len(arrivals)} times, at "
                                 f"{[a.at for a in arrivals]}; kills {self.kills}")
                    counts[why] += 1
        return counts["lost reply"], counts["kill"]
