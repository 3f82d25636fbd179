#!/bin/sh
# gdsim-until-done FOLDER FILE [OPTION ...]: `gdsim run FILE --out FOLDER OPTION ...`, again while its exit code is 3, incomplete.
# It ends with the last exit code; with 3 after two attempts without a new shard, since a third would do no better.
set -u
if [ "$#" -lt 2 ]; then
  echo "usage: gdsim-until-done FOLDER FILE [OPTION ...]; $# arguments were given" >&2
  exit 2
fi
folder=$1
shift
child=
trap 'kill -TERM "$child" 2>/dev/null' INT TERM

shards() { find "$folder/shards" -name '*.parquet' 2>/dev/null | wc -l; }

fruitless=0 code=3
while [ "$code" -eq 3 ] && [ "$fruitless" -lt 2 ]; do
  before=$(shards)
  gdsim run "$@" --out "$folder" &
  child=$!
  while kill -0 "$child" 2>/dev/null; do  # a signal ends `wait` before gdsim has ended
    wait "$child"
    code=$?
  done
  if [ "$(shards)" -gt "$before" ]; then fruitless=0; else fruitless=$((fruitless + 1)); fi
done
exit "$code"
