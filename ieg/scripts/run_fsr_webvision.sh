#!/usr/bin/env bash
# FSR on WebVision mini, the authors' settings: 16 images on each of eight GPUs. Flags given here come last and win.
# `python -m preprocess.webvision_mini` prepares and checks the data.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
python="${PYTHON:-$root/.venv/tensorflow/bin/python}"
[[ -x "$(command -v "$python" || true)" ]] || python=python
exec "$python" "$root/ieg/main.py" \
    --dataset=webvisionmini --method=fsr --network_name=resnet50 --batch_size=16 \
    --max_iteration=123300 --warmup_epochs=3 --cos_t_mul=2 --cos_m_mul=0.9 --l2_weight_decay=1e-4 \
    --queue_capacity=5000 --queue_bs=200 --use_pseudo_loss=all_1_0.1_1 --clip_meta_weight=True \
    --val_batch_size=50 --eval_freq=10000 --use_imagenet_as_eval --ds_include_metadata \
    "$@"
