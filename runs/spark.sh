#!/bin/sh
# spark from nothing, as it ships: world, codec, denoiser, distillation, exam. Prints the kilowatt-hours of all receipts.
#
#   runs/spark.sh [cpu|gpu]        on a CPU about three hours of two cores; on an accelerator three commands of at most ten minutes each
set -eu
recipe="${1:-cpu}"
folder=runs/checkpoints/spark
case "$recipe" in
  cpu) codec=40 spark=60 distil=10 ;;
  gpu) codec=9 spark=9 distil=5 ;;
  *) echo "runs/spark.sh: the recipe is cpu or gpu, not $recipe" >&2; exit 2 ;;
esac
kinowatt train codec --recipe "$recipe" --minutes "$codec" --folder "$folder"
kinowatt train spark --recipe "$recipe" --minutes "$spark" --folder "$folder"
kinowatt train distil --recipe "$recipe" --minutes "$distil" --folder "$folder" --start "$folder"
kinowatt exam "$folder" --quick
python runs/kwh.py
