#!/usr/bin/env python3
"""A complete helper for iovad, with nothing but the standard library.

    helper.py SOCKET MEMORY DEVICE COMMAND...

Asks whether a guest of that size fits, has the device and an iommufd handed over, and starts the command with their
descriptors: {iommufd} and {device} in it stand for their numbers. It keeps the connection, on which the context's lease
hangs, for as long as the command runs, and comes back when the daemon restarts.
"""

import json
import os
import socket
import subprocess
import sys
import threading
import time


class Refused(Exception):
    """The daemon's error; `kind` is what a program looks at."""

    def __init__(self, error):
        super().__init__(error["message"])
        self.kind = error.get("data", {}).get("class")


class Daemon:
    """One connection. Requests are answered in order; what comes in between are events."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.buffer = b""
        self.fds = []
        self.last = 0
        greeting = self.read()
        if greeting.get("method") != "greeting":
            raise Refused(greeting["error"])
        self.instance = greeting["params"]["instance"]

    def read(self):
        """The next line. Descriptors come with the first byte of the answer that they belong to."""
        while b"\n" not in self.buffer:
            data, fds, _flags, _address = socket.recv_fds(self.socket, 65536, 8)
            if not data:
                raise ConnectionError("the daemon has closed the connection")
            self.buffer += data
            self.fds += fds
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)

    def call(self, method, **params):
        self.last += 1
        wire = {name.replace("_", "-"): value for name, value in params.items()}
        request = {"jsonrpc": "2.0", "id": self.last, "method": method, "params": wire}
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        while True:
            message = self.read()
            if message.get("id") != self.last:
                continue
            if "error" in message:
                raise Refused(message["error"])
            return message["result"]

    def take_fds(self):
        fds, self.fds = self.fds, []
        return fds


def say(*words):
    print("helper:", *words, flush=True)


def reconnect(path, context):
    """Until the daemon is back; then the context's lease is this connection's again, where the daemon has kept it."""
    while True:
        time.sleep(0.05)
        try:
            daemon = Daemon(path)
        except OSError:
            continue
        try:
            daemon.call("resume-context", context=context)
            say("back, and the context is resumed")
        except Refused as refused:
            # The command has its descriptors, and goes on with them.
            say("back, and the context is not:", refused.kind)
        return daemon


def keep(daemon, path, context):
    """Reads to the end of each connection, and takes up the next."""
    while True:
        try:
            daemon.read()
        except OSError:
            say("the daemon has gone")
            daemon = reconnect(path, context)


def main(path, memory, device, command):
    daemon = Daemon(path)
    predicted = daemon.call("predict-allowed-ranges", devices=[device])
    say("usable:", *(f"{each['start']}-{each['last']}" for each in predicted["ranges"]))
    machine = {"type": "q35", "memory": memory}
    checked = daemon.call("check-layout", machine=machine, devices=[device])
    if not checked["fits"]:
        # What keeps the device from any guest, and what would make the layout fit.
        say("it does not fit:", "; ".join(each["detail"] for each in checked["blockers"] + checked["remedies"]))
        return 1
    context = f"helper-{os.getpid()}"
    daemon.call("create-context", context=context, lease="connection")
    daemon.call("hand-over-device", device=device, context=context)
    iommufd, cdev = daemon.take_fds()
    words = [word.replace("{iommufd}", str(iommufd)).replace("{device}", str(cdev)) for word in command]
    with subprocess.Popen(words, pass_fds=(iommufd, cdev)) as child:
        os.close(iommufd)
        os.close(cdev)
        threading.Thread(target=keep, args=(daemon, path, context), daemon=True).start()
        return child.wait()


if __name__ == "__main__":
    if sys.argv[1:] == ["--help"]:
        sys.exit(print(__doc__))
    if len(sys.argv) < 5:
        sys.exit("usage: helper.py SOCKET MEMORY DEVICE COMMAND...")
    try:
        sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]))
    except (Refused, OSError) as error:
        sys.exit(f"helper: {error}")
