"""Hugging Face models built from a config: what is seen equals their own hidden states and attentions, holds equal edited copies."""

import copy

import pytest
import torch

from neuropil.observe import clamp, lesion, names, observe, patch

transformers = pytest.importorskip("transformers", reason="transformers is not installed; pip install 'neuropil[llm]' runs these tests")

IDS, OTHER = (torch.randint(0, 11, (2, 5), generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
SMALL = {"vocab_size": 11, "attn_implementation": "eager", "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": None}


def gpt2():
    config = transformers.GPT2Config(n_layer=3, n_head=2, n_embd=8, n_positions=16, **SMALL)
    return transformers.GPT2LMHeadModel(config), "transformer.h.{}", "transformer.h.{}.attn", "transformer.ln_f"


def llama():
    config = transformers.LlamaConfig(
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=1,
        hidden_size=8,
        intermediate_size=16,
        max_position_embeddings=16,
        **SMALL,
    )
    return transformers.LlamaForCausalLM(config), "model.layers.{}", "model.layers.{}.self_attn", "model.norm"


def bert():
    config = transformers.BertConfig(
        num_hidden_layers=3,
        num_attention_heads=2,
        hidden_size=8,
        intermediate_size=16,
        max_position_embeddings=16,
        **{**SMALL, "pad_token_id": 0},
    )
    return transformers.BertForMaskedLM(config), "bert.encoder.layer.{}", "bert.encoder.layer.{}.attention.self", "bert.encoder.layer.2"


@pytest.fixture(params=[gpt2, llama, bert], ids=lambda build: build.__name__)
def built(request):
    torch.manual_seed(0)
    model, *where = request.param()
    return model.eval(), *where


def test_seen_equals_hidden_states_attentions_and_logits(built):
    model, block, attention, last = built
    layers = [block.format(k) for k in range(2)] + [last]
    patterns = [attention.format(k) + ".attention" for k in range(3)]
    with torch.no_grad():
        own = model(IDS, output_hidden_states=True, output_attentions=True)
        with observe(model, *layers, *patterns, "output") as seen:
            plain = model(IDS)
    assert torch.equal(plain.logits, own.logits)
    assert torch.equal(seen["output"], own.logits)
    for name, theirs in zip(layers, own.hidden_states[1:], strict=True):
        assert torch.equal(seen[name], theirs)
    for name, theirs in zip(patterns, own.attentions, strict=True):
        assert torch.equal(seen[name], theirs)
        assert torch.allclose(seen[name].sum(-1), torch.ones(()))
    assert set(layers) < set(names(model))


def test_all_blocks_patched_from_another_run_give_that_run(built):
    model, block, _, _ = built
    blocks = [block.format(k) for k in range(3)]
    with torch.no_grad():
        clean, corrupt = model(IDS).logits, model(OTHER).logits
        with patch(model, *blocks, source=(model, IDS)):
            assert torch.equal(model(OTHER).logits, clean)
        with patch(model, f"{blocks[2]}[:, -1]", source=(model, {"input_ids": IDS})):
            mixed = model(OTHER).logits
        assert torch.equal(mixed[:, -1], clean[:, -1])
        assert torch.equal(mixed[:, :-1], corrupt[:, :-1])
        assert torch.equal(model(OTHER).logits, corrupt)


def test_a_held_weight_is_a_hand_edited_copy(built):
    model = built[0]
    tied = next(name for name, p in model.named_parameters() if p.shape == (11, 8))
    twin = copy.deepcopy(model)
    with torch.no_grad():
        twin.get_parameter(tied)[3] = 0.5
        with clamp(model, {f"{tied}[3]": 0.5}):
            assert torch.equal(model(IDS).logits, twin(IDS).logits)
        assert not torch.equal(model(IDS).logits, twin(IDS).logits)


def test_a_lesioned_head_is_a_zeroed_projection():
    torch.manual_seed(0)
    model = gpt2()[0].eval()
    twin = copy.deepcopy(model)
    with torch.no_grad():
        twin.transformer.h[1].attn.c_proj.weight[:4] = 0  # the rows that read head 0
        with lesion(model, "transformer.h.1.attn.c_proj.weight[:4]"):
            assert torch.equal(model(IDS).logits, twin(IDS).logits)


def test_clamped_neurons_learn_nothing_and_the_rest_does():
    torch.manual_seed(0)
    model = gpt2()[0]
    model.eval()
    with clamp(model, {"transformer.h.1.mlp.act[..., 17]": 0.0}):
        model(IDS, labels=IDS).loss.backward()
    into, out = model.transformer.h[1].mlp.c_fc.weight.grad, model.transformer.h[1].mlp.c_proj.weight.grad
    assert into[:, 17].abs().max() == 0
    assert out[17].abs().max() == 0
    assert (into.abs().sum(0) > 0).sum() == 31


def test_generation_runs_under_a_clamp():
    torch.manual_seed(0)
    model = gpt2()[0].eval()
    bias = torch.full((11,), -50.0)
    bias[7] = 50.0
    with clamp(model, {"lm_head": bias}), observe(model, "lm_head") as seen:
        tokens = model.generate(IDS, attention_mask=torch.ones_like(IDS), max_new_tokens=4, do_sample=False, pad_token_id=0)
    assert (tokens[:, 5:] == 7).all()
    assert seen["lm_head"].shape[1] == 1
