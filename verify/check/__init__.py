"""The independent checker of certificates. It is written from FORMAT.md alone, and shares no code with what writes them.

from verify.check import check
report = check(certificate_bytes, network_bytes)
report.accepted, report.reason, report.margins, report.words
"""

from verify.check.report import Report as Report
from verify.check.report import check as check
