#!/bin/bash
# VNN-COMP: run_instance.sh v1 CATEGORY ONNX VNNLIB RESULTS_FILE TIMEOUT. Writes sat (with the point), unsat, unknown,
# timeout or error to RESULTS_FILE. The machine is not shared: every core is used.
set -uo pipefail
[ "${1:-}" = v1 ] || { echo "expected first argument (version string) 'v1', got '${1:-}'" >&2; exit 1; }
[ $# -eq 6 ] || { echo "expected: v1 CATEGORY ONNX VNNLIB RESULTS_FILE TIMEOUT" >&2; exit 1; }
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
python="$root/.venv/bin/python"
[ -x "$python" ] || python=${PYTHON:-python3}
rm -f "$5"
PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" "$python" -m verify.cli.main verify "$3" "$4" --timeout "$6" --witness "$5" &
pid=$!
echo "$pid" > "${TMPDIR:-/tmp}/reluproof-vnncomp-$(id -u).pid"
wait "$pid"
code=$?
# 0, 1 and 3 are answers, and they have been written; anything else is not.
case $code in 0 | 1 | 3) [ -s "$5" ] || echo error > "$5" ;; *) echo error > "$5" ;; esac
exit 0
