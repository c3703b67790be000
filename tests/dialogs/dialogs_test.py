#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Plays the transcripts (*.dialog) against a real relayd, each in three ways: command by command,
pipelined as far as RFC 2920 allows, and byte by byte. The replies must be the same.

    # text            a comment
    @ connector TEXT  put TEXT into the connector's section
    @ source ADDRESS  connect from this address
    C: text           the client sends text and CRLF
    X: text           the client sends the octets, with \\r \\n \\0 \\xNN; no reply is awaited here
    S: text           the server's next line; * stands for anything, ID for an id
    closed            the server closes the connection
"""
import pathlib
import re

import harness
from harness import Client, Relayd

FOLDER = pathlib.Path(__file__).resolve().parent
LAST_IN_GROUP = re.compile(r"^(EHLO|HELO|DATA|VRFY|EXPN|QUIT|NOOP|HELP|STARTTLS|AUTH)\b", re.I)


class Step:
    """What the client sends at once, and the lines that must come back."""

    def __init__(self, data):
        self.data = data
        self.lines = []
        self.ends_group = LAST_IN_GROUP.match(data.decode("latin-1")) is not None


class Dialog:
    def __init__(self, path):
        self.path = path
        self.connector, self.source = "", None
        self.greeting, self.steps = [], []
        self.is_closed = False
        target = self.greeting
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if not line or line.startswith("#"):
                continue
            kind, _, text = line.partition(" ")
            if kind == "@":
                name, _, value = text.partition(" ")
                if name == "connector":
                    self.connector += value + "\n    "
                elif name == "source":
                    self.source = value
                else:
                    raise ValueError(f"{path.name}:{number}: @ {name}?")
            elif kind == "C:":
                self.steps.append(Step(text.encode() + b"\r\n"))
                target = self.steps[-1].lines
            elif kind == "X:":
                raw = text.encode().decode("unicode_escape").encode("latin-1")
                self.steps.append(Step(raw))
                target = self.steps[-1].lines
            elif kind == "S:":
                target.append((number, text))
            elif kind == "closed":
                self.is_closed = True
            else:
                raise ValueError(f"{path.name}:{number}: {line}")

    def compare(self, expected, got):
        number, pattern = expected
        pattern = re.escape(pattern).replace(r"\*", ".*")
        pattern = re.sub(r"\bID\b", r"[0-9A-Z]{8,14}(\\.[0-9]+)?", pattern)
        assert re.fullmatch(pattern, got), \
            f"{self.path.name}:{number}: wanted {expected[1]!r}, got {got!r}"

    def read(self, client, lines):
        for expected in lines:
            try:
                got = client.line()
            except EOFError:
                got = "(closed)"
            self.compare(expected, got)

    def groups(self, mode):
        """Lists of steps to send together."""
        group = []
        for step in self.steps:
            group.append(step)
            if mode != "pipelined" or step.ends_group or not step.lines:
                yield group
                group = []
        if group:
            yield group

    def play(self, port, mode):
        with Client(port, source=self.source, greet=False) as client:
            self.read(client, self.greeting)
            for group in self.groups(mode):
                data = b"".join(step.data for step in group)
                if mode == "bytes":
                    for i in range(len(data)):
                        client.send(data[i:i + 1])
                else:
                    client.send(data)
                for step in group:
                    self.read(client, step.lines)
            if self.is_closed:
                assert client.is_closed(), f"{self.path.name}: still open"


def test_of(path):
    def test(workspace):
        dialog = Dialog(path)
        relayd = Relayd(workspace, connector=dialog.connector, workers=1).start()
        for mode in ("lines", "pipelined", "bytes"):
            try:
                dialog.play(relayd.port, mode)
            except AssertionError as error:
                raise AssertionError(f"({mode}) {error}") from None
        relayd.stop()
    test.__name__ = path.stem
    return test


if __name__ == "__main__":
    paths = sorted(FOLDER.glob("*.dialog"))
    assert paths, "no transcripts"
    harness.run(*[test_of(path) for path in paths])
