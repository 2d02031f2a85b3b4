"""Expands a SAM template on stdin to the CloudFormation template on stdout that a deployment would create.

Linting the expansion finds what linting the source misses: a wrong `Effect`, an unknown action, a timeout that is too
long. It must not need an AWS account.
"""

import json
import sys

from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

template = yaml_parse(sys.stdin.read())
for resource in template["Resources"].values():
    if resource["Type"] == "AWS::Serverless::Function":
        # What `sam package` uploads; the translator accepts no local path.
        resource["Properties"]["CodeUri"] = "s3://bucket/key"
template.get("Globals", {}).get("Function", {}).pop("CodeUri", None)

expanded = Translator(managed_policy_map={}, sam_parser=Parser()).translate(template, parameter_values={})
json.dump(expanded, sys.stdout, indent=2)
