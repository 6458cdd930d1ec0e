#!/usr/bin/env bash
# Installs reluproof from the action's own files into a virtual environment of its own: the job's Python stays as it is.
set -euo pipefail

where=$RUNNER_TEMP/reluproof
"$INPUT_PYTHON" -m venv "$where"
"$where/bin/python" -m pip install --quiet --disable-pip-version-check \
  -c "$GITHUB_ACTION_PATH/constraints.txt" "$GITHUB_ACTION_PATH"
echo "command=$where/bin/reluproof" >> "$GITHUB_OUTPUT"
