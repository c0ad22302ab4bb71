import numpy as np
import torch

from common.pytorch.process_group import Group
from re_sln.datasets import load as datasets
from re_sln.training.experiment import build
from re_sln.training.mean_softmax import mean_softmax, plain_config
from tests.re_sln.small_runs import config_of, small_data

ALONE = Group(0, 1, torch.device("cpu"))


def test_the_average_over_epochs_of_a_plain_networks_softmax_on_uncropped_images():
    """Trained once more here, with CE and its own reading of every epoch's weights."""
    config = config_of(
        sigma=0.5, mo=True, lc_n_epoch=2, n_epochs=9, noise_mode="dependent", dependent_epochs=3, lr=0.05,
        batch_size=16, augmentation="crop_flip",
    )  # fmt: skip
    data = small_data()
    found = mean_softmax(build(plain_config(config), data, ALONE))
    plain = config_of(sigma=0.0, n_epochs=3, p=0.0, lr=0.05, batch_size=16, augmentation="crop_flip")
    images = torch.tensor(((data.train / 255 - data.mean) / data.std).transpose(0, 3, 1, 2), dtype=torch.float32)
    each = []

    def read(trainer, _):
        network = trainer.networks.model.eval()
        with torch.no_grad():
            each.append(network(images).double().softmax(dim=1).numpy())

    build(plain, data, ALONE).train([], lambda _: None, read)
    assert len(each) == 3
    np.testing.assert_allclose(found, sum(each) / 3, atol=1e-5)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-12)
    assert found.dtype == np.float64
    assert not np.allclose(found, each[-1], atol=1e-3)


def test_all_images_with_clean_labels_are_learnt_whatever_the_run_will_see(tmp_path):
    config = config_of(
        noise_mode="dependent", dependent_epochs=3, sigma=0.5, mo=True, lc_n_epoch=2, limit_train_examples=150,
        data_dir=str(tmp_path),
    )  # fmt: skip
    plain = plain_config(config)
    assert (plain.model, plain.sigma, plain.mo, plain.flags.n_epochs, plain.noise) == ("ce", 0.0, False, 3, None)
    data = datasets.load(plain)
    assert len(data.given) == 1437 and not data.is_noisy.any() and not list(tmp_path.iterdir())
