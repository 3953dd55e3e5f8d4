"""Reckons presigned addresses anew with botocore, and says which differ.

Reads {"access_key", "secret", "token", "cases": [{"method", "key", "region", "address"}]} from standard input.
"""
import datetime
import json
import sys
from urllib.parse import parse_qs, quote, urlsplit

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

given = json.load(sys.stdin)
credentials = Credentials(given["access_key"], given["secret"], given["token"])
wrong = []
for case in given["cases"]:
    parts = urlsplit(case["address"])
    query = {name: values[0] for name, values in parse_qs(parts.query, strict_parsing=True).items()}
    when = datetime.datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ")
    botocore.auth.get_current_datetime = lambda *_, **__: when
    path = "/" + case["prefix"] + quote(case["key"], safe="-._~/")
    request = AWSRequest(method=case["method"], url=f"{parts.scheme}://{parts.netloc}{path}")
    expires = int(query["X-Amz-Expires"])
    botocore.auth.S3SigV4QueryAuth(credentials, "s3", case["region"], expires=expires).add_auth(request)
    expected = {name: values[0] for name, values in parse_qs(urlsplit(request.url).query).items()}
    if parts.path != path or query != expected:
        wrong.append({"case": case, "path": path, "expected": expected})
json.dump({"checked": len(given["cases"]), "wrong": wrong}, sys.stdout)
