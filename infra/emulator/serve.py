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
from ministack.services.cloudformation import provisioners

environment_of = lambda_svc._provided_worker_env


def environment_with_a_name(config, code_dir, port):
    """Lets the tests know which function it is that calls: by the path of the address that it is given."""
    environment = environment_of(config, code_dir, port)
    environment["AWS_ENDPOINT_URL"] = os.environ["FUNCTIONS_CALL"] + "/" + config["FunctionName"]
    return environment


if "FUNCTIONS_CALL" in os.environ:
    lambda_svc._provided_worker_env = environment_with_a_name

alarm_of = provisioners._cw_metric_alarm_record


def alarm_without_arithmetic(name, properties):
    """The emulator refuses an alarm on several metrics. It is let have the first of them, so that a stack with one deploys; what the
    arithmetic comes to is worked out by the tests."""
    metrics = [metric["MetricStat"] for metric in properties.get("Metrics", []) if "MetricStat" in metric]
    if metrics:
        first, statistic = metrics[0]["Metric"], metrics[0]
        properties = {**properties, **first, "Statistic": statistic["Stat"], "Period": statistic["Period"]}
        del properties["Metrics"]
    return alarm_of(name, properties)


provisioners._cw_metric_alarm_record = alarm_without_arithmetic


def end_with_standard_input():
    sys.stdin.buffer.read()
    os.killpg(os.getpgid(0), signal.SIGKILL)


threading.Thread(target=end_with_standard_input, daemon=True).start()
sys.argv = ["ministack"]
main()
