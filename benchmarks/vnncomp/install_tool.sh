#!/bin/bash
# VNN-COMP: install_tool.sh v1. Makes a virtual environment beside the repository's root and installs reluproof in it.
set -euo pipefail
[ "${1:-}" = v1 ] || { echo "expected first argument (version string) 'v1', got '${1:-}'" >&2; exit 1; }
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
"${PYTHON:-python3.11}" -m venv "$root/.venv"
"$root/.venv/bin/pip" install -c "$root/constraints.txt" -e "$root[onnxruntime,vnnlib]"
