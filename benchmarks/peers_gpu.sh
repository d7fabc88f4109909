#!/usr/bin/env bash
# kinowatt beside diffusers at full size on one GPU, in ten minutes: Wan2.1-1.3B 832x480x81 and TI2V-5B 1280x704x121, random weights.
#
#   benchmarks/peers_gpu.sh                                        on an H100 or H200; writes benchmarks/peers_gpu.md
#   DEVICE=cpu PRESETS="tiny smoke" benchmarks/peers_gpu.sh        the same on a CPU, small: a rehearsal
#
# Joules are the GPU's own counter (NVML). The large model takes few steps: its seconds per step and its peak memory are what is asked.
set -euo pipefail
cd "$(dirname "$0")/.."
device=${DEVICE:-cuda}
read -r small large <<< "${PRESETS:-wan2.1-1.3b-480p wan2.2-ti2v-5b-704p}"
out=${OUT:-benchmarks/peers_gpu.md}
work=${WORK:-runs/bench}
begin=$SECONDS
[ "$device" = cpu ] || nvidia-smi --query-gpu=name,driver_version,power.limit --format=csv
peers() { ${KINOWATT:-kinowatt} bench peers --device "$device" --work "$work" -o "$out" "$@"; }
if [ "$device" = cpu ]; then tuned="diffusers, bfloat16, compiled"; else tuned="diffusers, cuDNN attention, compiled"; fi
peers --preset "$small" --rounds 1 --steps "${STEPS:-50}"
peers --preset "$large" --rounds 1 --steps "${STEPS_LARGE:-6}" --append --only "$tuned" --only "kinowatt, compile"
echo "all of it took $((SECONDS - begin)) s" | tee -a "$out"
