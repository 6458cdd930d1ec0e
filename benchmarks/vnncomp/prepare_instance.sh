#!/bin/bash
# VNN-COMP: prepare_instance.sh v1 CATEGORY ONNX VNNLIB. Exits 0 when the instance can be run; nothing is converted.
set -euo pipefail
[ "${1:-}" = v1 ] || { echo "expected first argument (version string) 'v1', got '${1:-}'" >&2; exit 1; }
[ $# -eq 4 ] || { echo "expected: v1 CATEGORY ONNX VNNLIB" >&2; exit 1; }
[ -r "$3" ] && [ -r "$4" ] || { echo "cannot read '$3' or '$4'" >&2; exit 1; }
# What an earlier instance may have left behind: only processes of ours that run_instance.sh wrote down.
pid_file="${TMPDIR:-/tmp}/reluproof-vnncomp-$(id -u).pid"
if [ -f "$pid_file" ]; then
    pid=$(cat "$pid_file")
    if grep -qa verify.cli.main "/proc/$pid/cmdline" 2>/dev/null; then kill -9 "$pid" || true; fi
    rm -f "$pid_file"
fi
