#!/bin/sh
# spark from nothing, as it ships: world, codec, director, observer, denoiser, distillation, exam. Prints the kilowatt-hours that it took.
#
#   runs/spark.sh [cpu|gpu|tiny] [FOLDER]
#
# On a CPU seven hours of two cores; on an accelerator five commands of at most ten minutes each; tiny rehearses all of it in minutes.
set -eu
recipe="${1:-cpu}"
folder="${2:-runs/checkpoints/spark-$recipe}"
case "$recipe" in
  cpu) codec=25 director=50 observer=15 spark=260 distil=50 ;;
  gpu) codec=9 director=3 observer=2 spark=9 distil=5 ;;
  tiny) codec=.3 director=.1 observer=.1 spark=.3 distil=.2 ;;
  *) echo "runs/spark.sh: the recipe is cpu, gpu or tiny, not $recipe" >&2; exit 2 ;;
esac
train() { kinowatt train "$1" --recipe "$recipe" --minutes "$2" --folder "$folder" --cache "$folder/cache" --receipts "$folder/receipts" $3; }
train codec "$codec" ""
train director "$director" ""
train observer "$observer" ""
train spark "$spark" ""
train distil "$distil" "--start $folder"
kinowatt exam "$folder" --quick -o "$folder/exam"
python "$(dirname "$0")/kwh.py" "$folder/receipts"
