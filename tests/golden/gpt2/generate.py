"""GPT-2 with a value head: see `../fixture.py` for the commands, `../requirements.txt` for what they need."""

import copy
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel

sys.path.insert(0, str(Path(__file__).parent.parent))
import fixture
from fixture import single

HERE = Path(__file__).parent
VOCABULARY = 211
PAD = VOCABULARY - 1
ADAMW = {"lr": 0.01, "betas": [0.9, 0.999], "eps": 1e-08, "weight_decay": 0.0}
ADAM = {"lr": 0.00141, "betas": [0.9, 0.999], "eps": 1e-08}


def draw(seed: int) -> dict:
    random = torch.Generator().manual_seed(seed)
    config = GPT2Config(vocab_size=VOCABULARY, n_positions=64, n_embd=32, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0)
    model = GPT2LMHeadModel(config)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=random)
            is_norm = ".ln_" in name and name.endswith("weight")
            parameter.copy_(1 + 0.3 * noise if is_norm else 0.3 * noise)
    model.save_pretrained(HERE)
    head = {"v_head.summary.weight": torch.randn(1, 32, generator=random), "v_head.summary.bias": torch.randn(1, generator=random)}
    save_file(head, HERE / "value_head.safetensors")

    ids = lambda *shape: torch.randint(1, PAD, shape, generator=random).tolist()
    lengths = [5, 9, 1, 7]
    padded = [[PAD] * (9 - length) + ids(length) for length in lengths]
    mask = [[0] * (9 - length) + [1] * length for length in lengths]
    return {
        "pad_token_id": PAD,
        "bos_token_id": 0,
        "plain": {"input_ids": ids(3, 11)},
        "left_padded": {"input_ids": padded, "attention_mask": mask},
        # none: the most common of the tokens chosen without one
        "greedy": {"max_new_tokens": 12, "input_ids": padded, "attention_mask": mask, "with_eos": {"eos_token_id": None}},
        "perplexity": {"sequences": [ids(6), ids(13), ids(1), ids(9)]},
        "gradients": {"adamw_settings": ADAMW, "adam_settings": ADAM},
    }


def answer(cases: dict) -> dict:
    model = GPT2LMHeadModel.from_pretrained(HERE).eval()
    head = load_file(HERE / "value_head.safetensors")
    pad, bos = cases["pad_token_id"], cases["bos_token_id"]
    ids = torch.tensor(cases["plain"]["input_ids"])
    with torch.no_grad():
        plain = {"input_ids": ids.tolist(), **outputs(model, head, ids)}
        left_padded = of_padded(model, head, cases["left_padded"])
        greedy = of_greedy(model, cases["greedy"], pad)
        perplexity = of_perplexity(model, cases["perplexity"], pad, bos)
    return {
        "pad_token_id": pad,
        "bos_token_id": bos,
        "plain": plain,
        "left_padded": left_padded,
        "greedy": greedy,
        "perplexity": perplexity,
        "gradients": of_gradients(model, cases["gradients"], ids),
    }


def forward(model, head: dict, ids, mask=None, positions=None):
    """Logits, and the value head on the last hidden state, which comes after the last LayerNorm."""
    out = model(ids, attention_mask=mask, position_ids=positions, output_hidden_states=True)
    values = out.hidden_states[-1] @ head["v_head.summary.weight"][0] + head["v_head.summary.bias"]
    return out.logits, values


def outputs(model, head: dict, ids) -> dict:
    logits, values = forward(model, head, ids)
    log_probs = logits.log_softmax(dim=-1)
    return {
        "logits": single(logits),
        "next_token_logprobs": single(log_probs[:, :-1].gather(-1, ids[:, 1:, None])[..., 0]),
        "entropy": single(-(log_probs.exp() * log_probs).sum(dim=-1)),
        "values": single(values),
    }


def positions_of(mask):
    return (mask.cumsum(dim=-1) - 1).masked_fill(mask == 0, 1)


def of_padded(model, head: dict, case: dict) -> dict:
    ids, mask = torch.tensor(case["input_ids"]), torch.tensor(case["attention_mask"])
    positions = positions_of(mask)
    logits, values = forward(model, head, ids, mask, positions)
    real = [row.bool() for row in mask]
    return {
        "input_ids": case["input_ids"],
        "attention_mask": case["attention_mask"],
        "position_ids": positions.tolist(),
        "logits_at_real_positions": [single(row[at]) for row, at in zip(logits, real)],
        "values_at_real_positions": [single(row[at]) for row, at in zip(values, real)],
    }


def of_greedy(model, case: dict, pad: int) -> dict:
    ids, mask = torch.tensor(case["input_ids"]), torch.tensor(case["attention_mask"])
    chosen, margins = [], []
    for _ in range(case["max_new_tokens"]):
        logits = model(ids, attention_mask=mask, position_ids=positions_of(mask)).logits[:, -1]
        best = logits.topk(2)
        margins.append(best.values[:, 0] - best.values[:, 1])
        chosen.append(best.indices[:, :1])
        ids, mask = torch.cat([ids, chosen[-1]], dim=1), torch.cat([mask, torch.ones_like(chosen[-1])], dim=1)
    tokens = torch.cat(chosen, dim=1)
    eos = case["with_eos"]["eos_token_id"]
    eos = int(tokens.flatten().mode().values) if eos is None else eos
    # the tokens of a row do not depend on those of another, so that an end only cuts it
    ended = [[pad if eos in row[:at] else token for at, token in enumerate(row)] for row in tokens.tolist()]
    note = "after the end token a row is filled with pad_token_id; generation ends when every row has ended"
    return {
        "max_new_tokens": case["max_new_tokens"],
        "input_ids": case["input_ids"],
        "attention_mask": case["attention_mask"],
        "new_tokens": tokens.tolist(),
        "smallest_top2_margin": single(torch.stack(margins).min()),
        "with_eos": {"eos_token_id": eos, "new_tokens": ended, "note": note},
    }


def of_perplexity(model, case: dict, pad: int, bos: int) -> dict:
    def perplexity(tokens: list[int]):
        ids = torch.tensor([tokens])
        log_probs = model(ids).logits.log_softmax(dim=-1)[0, :-1].gather(-1, ids[0, 1:, None])
        return (-log_probs.mean()).exp() if len(tokens) > 1 else None

    with_bos = [perplexity([bos, *tokens]) for tokens in case["sequences"]]
    without = [perplexity(tokens) for tokens in case["sequences"]]
    mean = lambda values: single(torch.stack([value for value in values if value is not None]).mean())
    numbers = lambda values: [None if value is None else single(value) for value in values]
    return {
        "sequences": case["sequences"],
        "bos_prepended": numbers(with_bos),
        "mean_bos_prepended": mean(with_bos),
        "no_bos": numbers(without),
        "mean_no_bos_where_defined": mean(without),
    }


def of_gradients(model, case: dict, ids) -> dict:
    def loss(model):
        log_probs = model(ids).logits[:, :-1].log_softmax(dim=-1).gather(-1, ids[:, 1:, None])
        return -log_probs.mean()

    def after_a_step(optimizer: type, settings: dict) -> float:
        stepped = copy.deepcopy(model)
        step = optimizer(stepped.parameters(), **{**settings, "betas": tuple(settings["betas"])})
        loss(stepped).backward()
        step.step()
        return single(loss(stepped))

    begun = copy.deepcopy(model)
    first = loss(begun)
    first.backward()
    norms = {name: parameter.grad.norm() for name, parameter in begun.named_parameters()}
    return {
        "loss": single(first),
        "grad_l2": {name: single(norm) for name, norm in norms.items()},
        "grad_l2_all": single(torch.stack(list(norms.values())).norm()),
        "loss_after_one_adamw_step": after_a_step(torch.optim.AdamW, case["adamw_settings"]),
        "adamw_settings": case["adamw_settings"],
        "loss_after_one_adam_step": after_a_step(torch.optim.Adam, case["adam_settings"]),
        "adam_settings": case["adam_settings"],
        "batch": "plain.input_ids; mean over all next-token positions; dropout off",
    }


if __name__ == "__main__":
    fixture.main(HERE, {"cases.json": (draw, answer)}, tolerance=1e-4)
