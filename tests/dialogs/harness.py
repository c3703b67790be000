# SPDX-License-Identifier: ISC
"""What the tests of the whole program share: a relayd of their own, clients, next hops.

Everything lives on loopback, on ports that the kernel chose, below a temporary folder, and is
ended by pid. Nothing waits for time to pass: a test waits for a condition, with a limit.
"""
import contextlib
import json
import os
import pathlib
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("RELAYD_BUILD", os.environ.get("abs_builddir", os.getcwd())))
SANITIZED = os.environ.get("RELAYD_SANITIZED") == "yes"
PATIENCE_S = 60 if SANITIZED else 30  # an upper limit, never a pause


class Skip(Exception):
    """The machine lacks what the test needs; the text says what."""


def wait_until(condition, what, patience_s=PATIENCE_S):
    """Poll a condition until it gives something true; that is returned."""
    end = time.monotonic() + patience_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"in vain waited {patience_s} s for: {what}")
        time.sleep(0.01)


_given = set()


def free_port(host="127.0.0.1"):
    """A port that nobody listens on now, and that no other call gave out.

    From below those that the kernel gives to outgoing connections: one of these could take it
    before whoever it is for does.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    while True:
        port = random.randrange(10000, 32000)
        with socket.socket(family) as s, contextlib.suppress(OSError):
            s.bind((host, port))
            if port not in _given:
                _given.add(port)
                return port


def require(program):
    path = shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if path is None:
        raise Skip(f"{program} is not installed")
    return path


class Workspace:
    """A temporary folder that an unprivileged account can reach too."""

    def __init__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="relayd-test."))
        self.path.chmod(0o755)
        self.closers = []

    def on_close(self, call):
        self.closers.append(call)

    def close(self, keep=False):
        errors = []
        for call in reversed(self.closers):
            try:
                call()
            except Exception as error:  # every closer has its turn
                errors.append(error)
        if keep or os.environ.get("RELAYD_KEEP"):
            print(f"kept: {self.path}", file=sys.stderr)
        else:
            shutil.rmtree(self.path, ignore_errors=True)
        if errors:
            raise errors[0]


DEFAULT_CONFIG = """
hostname  = "relay.example.com"
state-dir = "{state}"
workers   = {workers}
{user}
dns {{ hosts-file = true }}

connector "apps" {{
    bindings         = {{ "127.0.0.1:{port}" }}
    remote-ip-ranges = {{ "127.0.0.0/8" }}
    tarpit-interval  = "0s"
    max-connections-per-source = 100000
    {connector}
}}

grant "billing" {{
    owner      = "finance-it@example.com"
    ticket     = "CHG-1042"
    networks   = {{ "127.0.0.1" }}
    senders    = {{ "@billing.example.com" }}
    recipients = {{ "*" }}
}}

{extra}

route "next" {{
    recipients = {{ "*" }}
    {route}
}}
queue {{ retry = {{ {retry} }} expires = "{expires}" }}
"""


class Relayd:
    """A relayd in the foreground with a configuration of its own."""

    def __init__(self, workspace, *, port=None, config=None, workers=2, connector="", extra="",
                 route=None, next_hop=None, retry='"250ms"', expires="5d", environment=None):
        self.workspace = workspace
        self.port = port or free_port()
        self.state = workspace.path / "state"
        self.config_path = workspace.path / "relayd.conf"
        self.log_path = workspace.path / "relayd.log"
        self.process = None
        self.environment = dict(os.environ, **(environment or {}))
        if not self.state.exists():
            self.state.mkdir(mode=0o750)
            if os.getuid() == 0:
                nobody = pwd.getpwnam("nobody")
                os.chown(self.state, nobody.pw_uid, nobody.pw_gid)
        if route is None:
            route = (f'next-hops = {{ "127.0.0.1:{next_hop}" }}' if next_hop
                     else f'maildir = "{self.state}/maildir"')
        self.values = dict(state=self.state, workers=workers, port=self.port, extra=extra,
                           connector=connector, route=route, retry=retry, expires=expires,
                           user='user = "nobody"' if os.getuid() == 0 else "")
        self.write_config(config or DEFAULT_CONFIG)
        workspace.on_close(self.kill)

    def write_config(self, template, **changes):
        self.values.update(changes)
        self.config_path.write_text(template.format(**self.values))

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [BUILD / "sbin" / "relayd", "-c", self.config_path], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, env=self.environment)
        wait_until(self._serves, "relayd to serve")
        return self

    def _serves(self):
        if self.process.poll() is not None:
            raise AssertionError(f"relayd ended with {self.process.returncode}:\n{self.log()}")
        return self.status(check=False) is not None

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def ctl(self, *arguments, check=True):
        result = subprocess.run([BUILD / "bin" / "relayctl", "-c", self.config_path, *arguments],
                                capture_output=True, text=True, timeout=PATIENCE_S,
                                env=self.environment)
        if check and result.returncode != 0:
            raise AssertionError(f"relayctl {arguments}: exit {result.returncode}\n"
                                 f"{result.stdout}{result.stderr}")
        return result

    def status(self, check=True):
        result = self.ctl("status", "--json", check=check)
        return json.loads(result.stdout) if result.returncode == 0 else None

    def worker_pids(self, generation=None):
        return [w["pid"] for w in self.status()["workers"] if w["state"] == "running"]

    def audit(self, event=None):
        """Every record so far; each line must be whole."""
        path = self.state / "audit" / "audit.jsonl"
        if not path.exists():
            return []
        text = path.read_bytes()
        assert not text or text.endswith(b"\n"), "the audit file ends in half a line"
        records = [json.loads(line) for line in text.splitlines()]
        return [r for r in records if event is None or r["event"] == event]

    def attempts(self, **wanted):
        return [r for r in self.audit("attempt") if all(r.get(k) == v for k, v in wanted.items())]

    def reload(self):
        return self.ctl("reload")

    def stop(self):
        """SIGTERM; the exit status must be 0 and nothing may have been said by a sanitizer."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(PATIENCE_S)
        self.process = None
        assert status == 0, f"relayd ended with {status}:\n{self.log()}"
        self.check_log()

    def check_log(self):
        text = self.log()
        for sign in ("ERROR: AddressSanitizer", "runtime error:", "LeakSanitizer", "Assertion"):
            assert sign not in text, text

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(Exception):
                self.stop()
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def maildir(self):
        folder = self.state / "maildir" / "new"
        return sorted(folder.iterdir()) if folder.exists() else []


class Client:
    """An SMTP client that sends exactly what it is told."""

    def __init__(self, port, host="127.0.0.1", source=None, greet=True):
        self.socket = socket.create_connection(
            (host, port), PATIENCE_S, source_address=(source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        if greet:
            self.banner = self.reply()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def line(self):
        while b"\r\n" not in self.buffer:
            more = self.socket.recv(65536)
            if not more:
                raise EOFError(f"closed in the middle of {self.buffer!r}" if self.buffer
                               else "closed")
            self.buffer += more
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line.decode("utf-8", "surrogateescape")

    def reply(self):
        """One reply, all its lines joined with newlines."""
        lines = [self.line()]
        while lines[-1][3:4] == "-":
            lines.append(self.line())
        assert all(re.match(r"^[2-5]\d\d[ -]", line) for line in lines), lines
        return "\n".join(lines)

    def command(self, text):
        self.send(text + "\r\n")
        return self.reply()

    def expect(self, text, start):
        reply = self.command(text)
        assert reply.startswith(start), f"{text}: wanted {start}..., got {reply}"
        return reply

    def is_closed(self):
        try:
            while True:
                if not self.socket.recv(65536):
                    return True
        except ConnectionResetError:
            return True

    def mail(self, sender="app@billing.example.com", recipients=("user@partner.example",),
             body="Subject: test\r\n\r\nhello\r\n"):
        """A whole transaction; the last reply."""
        self.expect(f"MAIL FROM:<{sender}>", "250")
        for recipient in recipients:
            self.expect(f"RCPT TO:<{recipient}>", "250")
        self.expect("DATA", "354")
        self.send(body if isinstance(body, bytes) else body.encode())
        return self.command(".")


class NextHop:
    """An SMTP server that keeps what it gets; behave(verb, argument) may give another reply."""

    def __init__(self, workspace, behave=None, port=None):
        self.behave = behave or (lambda verb, argument: None)
        self.messages = []  # (sender, [recipients], bytes)
        self.lock = threading.Lock()
        self.port = port or free_port()
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=512)
        self.is_open = True
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()
        workspace.on_close(self.close)

    def close(self):
        if self.is_open:
            self.is_open = False
            with contextlib.suppress(OSError):
                self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()

    def _accept(self):
        while self.is_open:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        with contextlib.suppress(OSError, ConnectionError), peer:
            stream = peer.makefile("rb")
            peer.sendall(b"220 next.example ESMTP\r\n")
            sender, recipients = None, []
            while True:
                line = stream.readline()
                if not line:
                    return
                verb, _, argument = line.strip().decode("utf-8", "replace").partition(" ")
                verb = verb.upper()
                other = self.behave(verb, argument)
                if other is not None:
                    if other == "drop":
                        return
                    peer.sendall(other.encode() + b"\r\n")
                    if verb != "DATA" or not other.startswith("354"):
                        continue
                if verb == "EHLO":
                    peer.sendall(b"250-next.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n"
                                 b"250-SMTPUTF8\r\n250 SIZE 104857600\r\n")
                elif verb == "MAIL":
                    sender, recipients = argument, []
                    peer.sendall(b"250 2.1.0 ok\r\n")
                elif verb == "RCPT":
                    recipients.append(re.search(r"<([^>]*)>", argument).group(1))
                    peer.sendall(b"250 2.1.5 ok\r\n")
                elif verb == "DATA":
                    if other is None:
                        peer.sendall(b"354 go on\r\n")
                    body = self._data(stream)
                    if body is None:
                        return
                    answer = self.behave(".", "")
                    if answer == "drop":
                        return
                    if answer is None:
                        with self.lock:
                            self.messages.append(
                                (re.search(r"<([^>]*)>", sender).group(1), recipients, body))
                        answer = "250 2.0.0 taken"
                    peer.sendall(answer.encode() + b"\r\n")
                elif verb == "QUIT":
                    peer.sendall(b"221 2.0.0 bye\r\n")
                    return
                else:
                    peer.sendall(b"250 2.0.0 ok\r\n")

    @staticmethod
    def _data(stream):
        lines = []
        while True:
            line = stream.readline()
            if not line:
                return None
            assert line.endswith(b"\r\n"), f"a line without CRLF reached the next hop: {line!r}"
            assert b"\r" not in line[:-2], f"bare CR reached the next hop: {line!r}"
            if line == b".\r\n":
                return b"".join(lines)
            lines.append(line[1:] if line.startswith(b".") else line)

    def wait(self, count, patience_s=PATIENCE_S):
        wait_until(lambda: len(self.messages) >= count, f"{count} messages at the next hop",
                   patience_s)
        with self.lock:
            return list(self.messages)


def run(*tests):
    """Run the tests, each in a workspace of its own; the exit status for automake."""
    if os.environ.get("RELAYD_TESTS") == "units":
        print("only unit tests were asked for")
        sys.exit(77)
    wanted = sys.argv[1:]
    failed = skipped = 0
    for test in tests:
        if wanted and test.__name__ not in wanted:
            continue
        workspace = Workspace()
        bad = False
        try:
            test(workspace)
            print(f"ok   {test.__name__}", flush=True)
        except Skip as why:
            skipped += 1
            print(f"skip {test.__name__}: {why}", flush=True)
        except Exception:
            bad = True
            failed += 1
            print(f"FAIL {test.__name__}", flush=True)
            traceback.print_exc(file=sys.stdout)
            log = workspace.path / "relayd.log"
            if log.exists():
                print("--- relayd's log\n" + log.read_text(errors="replace")[-4000:])
        try:
            workspace.close(keep=bad and "RELAYD_KEEP" in os.environ)
        except Exception:
            failed += 1
            print(f"FAIL {test.__name__}: at the end")
            traceback.print_exc(file=sys.stdout)
    ran = len([t for t in tests if not wanted or t.__name__ in wanted])
    print(f"{ran - failed - skipped} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed else 77 if skipped == ran else 0)
