#!/usr/bin/env bash
# Runs the gate, says in $GITHUB_OUTPUT what came of it and where the reports are, and ends with the gate's exit code.
set -euo pipefail

if [[ -z $INPUT_REPORTS || $INPUT_REPORTS == *$'\n'* ]]; then
  echo "reluproof gate: the input 'reports' is empty or has a line break: give the name of one folder" >&2
  printf 'status=error\nexit-code=2\n' >> "$GITHUB_OUTPUT"
  exit 2
fi
mkdir -p "$INPUT_REPORTS"

arguments=(gate --policy "$INPUT_POLICY")
if [[ -n $INPUT_BASELINE ]]; then
  arguments+=(--baseline "$INPUT_BASELINE")
fi
files=(json=gate.json junit=junit.xml sarif=gate.sarif markdown=gate.md html=gate.html ledger=ledger.json)
for file in "${files[@]}"; do
  path=$INPUT_REPORTS/${file#*=}
  rm -f "$path" # of an earlier run: it would pass for this one's
  arguments+=("--${file%%=*}" "$path")
done
read -r -d '' -a more <<< "$INPUT_ARGUMENTS" || true # it ends at the end of the text, and calls that a failure
arguments+=(${more[@]+"${more[@]}"})

code=0
"$INPUT_COMMAND" "${arguments[@]}" || code=$?

case $code in
  0) status=passed ;;
  1) status=failed ;;
  3) status=undecided ;;
  *) status=error ;;
esac
{
  echo "status=$status"
  echo "exit-code=$code"
  for file in "${files[@]}"; do
    path=$INPUT_REPORTS/${file#*=}
    if [[ -f $path ]]; then
      echo "${file%%=*}=$path"
    fi
  done
} >> "$GITHUB_OUTPUT"
exit "$code"
