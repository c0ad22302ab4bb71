#!/usr/bin/env bash
# FSR on long-tailed CIFAR, the authors' settings. Flags given here come last and win:
#   ieg/scripts/run_fsr_cifar_longtail.sh --dataset=cifar100_imbal_0.01 --checkpoint_path=runs/longtail
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
python="${PYTHON:-$root/.venv/tensorflow/bin/python}"
[[ -x "$(command -v "$python" || true)" ]] || python=python
exec "$python" "$root/ieg/main.py" \
    --dataset=cifar10_imbal_0.02 --method=fsr --network_name=resnet32 --batch_size=128 \
    --lr_schedule=custom_step --max_epoch=200 --decay_epochs=160,180 --decay_rate=0.01 \
    --label_smoothing=0.1 --use_mixup=False --use_pseudo_loss= --clip_meta_weight=False \
    --meta_start_epoch=160 --queue_capacity=3000 --queue_bs=800 --ds_include_metadata \
    "$@"
