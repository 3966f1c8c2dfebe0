"""What the classifiers' `generate.py` share: weights that show mistakes, a WordPiece tokenizer, batches of texts with their logits."""

from collections.abc import Callable
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from fixture import single

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
    "thank you for the help",
    "  extra   spaces\tand\nnew lines <br /><br /> here  ",
    "映画 zzzzqqqq 123 ???",
    "good",
]


def draw_weights(model: PreTrainedModel, seed: int) -> None:
    """Weights much larger than usual, biases and LayerNorms far from 0 and 1: a wrong transpose, activation or mask shows."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=random)
            is_norm = name.endswith(("LayerNorm.weight", "layer_norm.weight"))
            parameter.copy_(1 + 0.25 * noise if is_norm else (0.4 if noise.ndim == 2 else 0.2) * noise)


def word_piece(folder: Path, entries: int) -> None:
    """Writes a tokenizer as BERT's, in lower case."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    pieces.normalizer = normalizers.BertNormalizer(lowercase=True)
    pieces.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    pieces.decoder = decoders.WordPiece()
    pieces.train_from_iterator(SENTENCES, trainers.WordPieceTrainer(vocab_size=entries, special_tokens=special, show_progress=False))
    pieces.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, pieces.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    pieces.save(str(folder / "tokenizer.json"))


def batches(texts: list[str], long: int, most: int) -> list[dict]:
    """Texts of many lengths; one alone; two of which one is cut."""
    whole = " ".join(SENTENCES)
    return [
        {"texts": texts, "truncate_to": None},
        {"texts": texts[:1], "truncate_to": None},
        {"texts": [whole, texts[0]], "truncate_to": most},
        {"texts": [whole, texts[2], texts[-1]], "truncate_to": long},
    ]


def answer(folder: Path, kind: type[PreTrainedModel], cases: dict, probabilities: Callable) -> dict:
    """Token ids and logits of every batch, by the model and the tokenizer of the folder."""
    model = kind.from_pretrained(folder).eval()
    pad = cases["pad_token_id"]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=tokenizer.id_to_token(pad), padding_side="right")
    answered = []
    for batch in cases["batches"]:
        texts, most = batch["texts"], batch["truncate_to"]
        encoded = tokenizer(texts, padding=True, truncation=most is not None, max_length=most, return_tensors="pt")
        with torch.no_grad():
            logits = model(input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"]).logits
        answered.append(
            {
                "texts": texts,
                "truncate_to": most,
                "input_ids": encoded["input_ids"].tolist(),
                "attention_mask": encoded["attention_mask"].tolist(),
                "logits": single(logits),
                "probabilities": single(probabilities(logits)),
            }
        )
    return {**cases, "batches": answered}
