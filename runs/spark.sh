#!/bin/sh
# spark from nothing, as it ships: world, codec, interpolator, painter, director, poser, observer, denoiser, distillation, exam. Prints the
# kilowatt-hours that it took.
#
#   runs/spark.sh [cpu|gpu|tiny] [FOLDER]
#
# On a CPU nine hours of two cores, the denoiser at 128 pixels first and then at 256; on an accelerator eight commands of at most ten minutes
# each; tiny rehearses all of it in minutes. What came of it is in FOLDER/model.
set -eu
recipe="${1:-cpu}"
folder="${2:-runs/checkpoints/spark-$recipe}"
large="$recipe" more=""
case "$recipe" in
  cpu) codec=25 interpolator=25 painter=60 director=50 poser=20 observer=15 spark=260 distil=60 large=cpu-256 more=85 ;;
  gpu) codec=9 interpolator=3 painter=1 director=3 poser=1 observer=2 spark=9 distil=5 ;;
  tiny) codec=.3 interpolator=.2 painter=.1 director=.1 poser=.1 observer=.1 spark=.2 distil=.2 more=.1 ;;
  *) echo "runs/spark.sh: the recipe is cpu, gpu or tiny, not $recipe" >&2; exit 2 ;;
esac
train() { # what, recipe, minutes, folder, more
  kinowatt train "$1" --recipe "$2" --minutes "$3" --folder "$4" --cache "$folder/cache" --receipts "$folder/receipts" $5
}
train codec "$recipe" "$codec" "$folder" ""
train interpolator "$large" "$interpolator" "$folder" ""
train painter "$recipe" "$painter" "$folder" ""
train director "$recipe" "$director" "$folder" ""
train poser "$recipe" "$poser" "$folder" ""
train observer "$recipe" "$observer" "$folder" ""
train spark "$recipe" "$spark" "$folder" ""
last="$folder"
if [ -n "$more" ]; then
  last="$folder/large"
  train spark "$large" "$more" "$last" "--start $folder"
fi
train distil "$large" "$distil" "$folder/model" "--start $last"
kinowatt exam "$folder/model" --quick -o "$folder/exam"
python "$(dirname "$0")/kwh.py" "$folder/receipts"
