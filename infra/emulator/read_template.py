"""Prints template.yaml as JSON: as it is written ("source") and as SAM deploys it ("deployed")."""

import copy
import json
import os
import sys

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse


class NoManagedPolicies:
    """The template names none; the translator would ask AWS for their list otherwise."""

    def load(self):
        return {}


os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
with open(sys.argv[1], encoding="utf-8") as file:
    source = yaml_parse(file.read())
built = copy.deepcopy(source)
# `sam deploy` uploads the code and puts its place here.
built["Globals"]["Function"]["CodeUri"] = "s3://bucket/key"
print(json.dumps({"source": source, "deployed": transform(built, {}, NoManagedPolicies())}, default=str))
