"""Runs the AWS emulator until standard input ends, then ends everything that it started.

The tests hold the other end of that pipe: however a test ends, killed included, neither the emulator nor the function
binaries that it runs stay behind.
"""

import os
import signal
import sys
import threading

from ministack.app import main
from ministack.services import lambda_svc

environment_of = lambda_svc._provided_worker_env


def environment_with_a_name(config, code_dir, port):
    """Lets the tests know which function it is that calls: by the path of the address that it is given."""
    environment = environment_of(config, code_dir, port)
    environment["AWS_ENDPOINT_URL"] = os.environ["FUNCTIONS_CALL"] + "/" + config["FunctionName"]
    return environment


if "FUNCTIONS_CALL" in os.environ:
    lambda_svc._provided_worker_env = environment_with_a_name


def end_with_standard_input():
    sys.stdin.buffer.read()
    os.killpg(os.getpgid(0), signal.SIGKILL)


threading.Thread(target=end_with_standard_input, daemon=True).start()
sys.argv = ["ministack"]
main()
