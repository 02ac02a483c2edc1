#!/usr/bin/env python3
"""A Lambda function that answers with what it was given, and fails messages whose body is "fails"."""

import json
import os
import urllib.request

API = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"


def answer(event):
    if isinstance(event, dict) and "Records" in event:
        for record in event["Records"]:
            print("took", record["body"], "from", record["eventSourceARN"], flush=True)
        failed = [record["messageId"] for record in event["Records"] if record["body"] == "fails"]
        return {"batchItemFailures": [{"itemIdentifier": message} for message in failed]}
    told = {"event": event, "environment": dict(os.environ)}
    if isinstance(event, dict) and "requestContext" in event:
        return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(told)}
    return told


while True:
    with urllib.request.urlopen(API + "next") as next_one:
        request = next_one.headers["Lambda-Runtime-Aws-Request-Id"]
        given = json.load(next_one)
    said = json.dumps(answer(given)).encode()
    urllib.request.urlopen(API + request + "/response", said).close()
