"""Makes the RoBERTa fixture: `python generate.py` writes the files beside this one, always the same bytes.

Needs torch 2.5.1, transformers 4.46.3, tokenizers 0.20.3, "numpy<2".
"""

import json
from pathlib import Path

import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import RobertaConfig, RobertaForSequenceClassification, RobertaTokenizerFast

HERE = Path(__file__).parent
# <s>, <pad>, </s>, <unk>, <mask>: the first three have the ids that RoBERTa gives them.
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", AddedToken("<mask>", lstrip=True)]
PAD = 1
POSITIONS = 48  # and two more that RoBERTa does not use

SENTENCES = [
    "The film was slow, but the ending was wonderful.",
    "I did not like this movie at all, and I left early.",
    "A great cast and a warm, funny story about two brothers.",
    "Thank you for the help; it worked on the first try!",
    "You are not being fair to the people who wrote this page.",
    "The music lifts every scene, and the camera never sits still.",
    "She reads the old letters aloud while the rain falls on the roof.",
    "Nobody should have to read a comment like that about themselves.",
]

TEXTS = [
    "The film was wonderful!",
    "I did NOT like this movie at all; the ending was silly, boring and slow.",
    "Café naïve résumé — an honest, moving picture...",
    "映画 🙂 ½",
    "thank you for the help",
    "  extra   spaces\tand\nnew lines <br />  ",
    # A padding token inside a text is attended to, but has no position of its own.
    "the film <pad> was <pad><pad> slow",
    "a",
]


def tokenizer() -> RobertaTokenizerFast:
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=320, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False)
    bpe.train_from_iterator(SENTENCES, trainer)
    bpe.post_processor = processors.RobertaProcessing(sep=("</s>", 2), cls=("<s>", 0), add_prefix_space=False)
    bpe.save(str(HERE / "tokenizer.json"))
    return RobertaTokenizerFast(tokenizer_object=bpe, model_max_length=POSITIONS)


def model(vocabulary: int) -> RobertaForSequenceClassification:
    config = RobertaConfig(
        vocab_size=vocabulary,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=48,
        max_position_embeddings=POSITIONS + PAD + 1,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        id2label={0: "neutral", 1: "hateful", 2: "friendly"},
        label2id={"neutral": 0, "hateful": 1, "friendly": 2},
    )
    made = RobertaForSequenceClassification(config).eval()
    random = torch.Generator().manual_seed(20241124)
    with torch.no_grad():
        for name, parameter in sorted(made.named_parameters()):
            noise = torch.randn(parameter.shape, generator=random)
            if name.endswith("LayerNorm.weight"):
                parameter.copy_(1 + 0.25 * noise)
            else:
                parameter.copy_((0.4 if parameter.dim() == 2 else 0.2) * noise)
    return made


def shortest(values: torch.Tensor) -> list:
    """Numbers as the shortest decimals that read back to the same float32."""
    return [[float(str(value)) for value in row] for row in values.numpy().astype(np.float32)]


def batch(tokens: RobertaTokenizerFast, classifier, texts: list, truncate_to) -> dict:
    encoded = tokens(texts, padding=True, truncation=truncate_to is not None, max_length=truncate_to, return_tensors="pt")
    with torch.no_grad():
        logits = classifier(**encoded).logits
    return {
        "texts": texts,
        "truncate_to": truncate_to,
        "input_ids": encoded["input_ids"].tolist(),
        "attention_mask": encoded["attention_mask"].tolist(),
        "logits": shortest(logits),
        "probabilities": shortest(logits.softmax(dim=-1)),
    }


def main() -> None:
    tokens = tokenizer()
    classifier = model(len(tokens))
    classifier.save_pretrained(HERE)
    batches = [
        batch(tokens, classifier, TEXTS, None),
        batch(tokens, classifier, TEXTS[:1], None),
        # One that takes every position there is, and one that is padded as far.
        batch(tokens, classifier, [" ".join(SENTENCES), TEXTS[0]], POSITIONS),
        batch(tokens, classifier, [" ".join(SENTENCES), TEXTS[2], TEXTS[7]], 20),
    ]
    cases = {"probabilities": "softmax over the three labels", "pad_token_id": PAD, "batches": batches}
    (HERE / "cases.json").write_text(json.dumps(cases, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
