"""Runs the AWS emulator until standard input ends, then ends everything that it started.

The tests hold the other end of that pipe: however a test ends, killed included, neither the emulator nor the function
binaries that it runs stay behind.
"""

import os
import signal
import sys
import threading

from ministack.app import main


def end_with_standard_input():
    sys.stdin.buffer.read()
    os.killpg(os.getpgid(0), signal.SIGKILL)


threading.Thread(target=end_with_standard_input, daemon=True).start()
sys.argv = ["ministack"]
main()
