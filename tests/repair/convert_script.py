"""A script that converts, for tests that kill it or start it in odd ways. Deliberately without a main guard.

Arguments: JSON with images, stores, and what else to do.
"""

import json
import sys

with open(json.loads(sys.argv[1])["log"], "a") as log:
    log.write("started\n")

sys.path.insert(0, json.loads(sys.argv[1])["helpers"])
from conversions import convert

from kerasdiag.errors import StoreError

options = json.loads(sys.argv[1])
if "fsize" in options:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (options["fsize"], options["fsize"]))
if options.get("lie_about_space"):
    import shutil
    import types

    shutil.disk_usage = lambda _: types.SimpleNamespace(free=2**50)
if options.get("start_method"):
    import multiprocessing

    multiprocessing.set_start_method(options["start_method"])
try:
    prepared = convert(options["images"], options["stores"], verbose=options.get("verbose", 0))
except StoreError as error:
    print(json.dumps({"error": str(error)}))
else:
    answer = {"converted": prepared.converted, "records": prepared.record_of_row.tolist()}
    print(json.dumps({**answer, "reason": prepared.in_process_reason}))
