#!/usr/bin/python3
"""what_failed.py REPORT: the failed tests of a JUnit file of CTest, each with the end of what it printed.

The output of a long run is often kept from its end only, or cut in its middle: what failed stands there once more.
"""

import re
import sys
import xml.etree.ElementTree

KEPT = 6000  # Characters of each test.


def failed(report):
    """(name, what it printed) of each. Tests print what they like: characters that XML has not are left out."""
    with open(report, encoding="utf-8", errors="replace") as file:
        text = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", "?", file.read())
    for case in xml.etree.ElementTree.fromstring(text).iter("testcase"):
        if case.get("status") == "fail":
            yield case.get("name"), (case.findtext("system-out") or "").strip()


def main():
    for name, printed in failed(sys.argv[1]):
        print(f"\n=== {name} failed; the end of what it printed ===\n{printed[-KEPT:]}\n")


if __name__ == "__main__":
    main()
