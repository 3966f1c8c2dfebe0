"""RoBERTa with three labels: see `../fixture.py` for the commands, `../requirements.txt` for what they need."""

import sys
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import RobertaConfig, RobertaForSequenceClassification

sys.path.insert(0, str(Path(__file__).parent.parent))
import classifiers
import fixture

HERE = Path(__file__).parent
# <s>, <pad>, </s>, <unk>, <mask>: the first three have the ids that RoBERTa gives them.
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", AddedToken("<mask>", lstrip=True)]
PAD = 1
POSITIONS = 48  # and two more that RoBERTa does not use
TEXTS = [
    *classifiers.TEXTS[:3],
    "映画 🙂 ½",
    "thank you for the help",
    "  extra   spaces\tand\nnew lines <br />  ",
    # A padding token inside a text is attended to, but has no position of its own.
    "the film <pad> was <pad><pad> slow",
    "a",
]


def byte_pairs() -> int:
    """Writes the tokenizer, and gives the number of its entries."""
    pairs = Tokenizer(models.BPE())
    pairs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pairs.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=320, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False)
    pairs.train_from_iterator(classifiers.SENTENCES, trainer)
    pairs.post_processor = processors.RobertaProcessing(sep=("</s>", 2), cls=("<s>", 0), add_prefix_space=False)
    pairs.save(str(HERE / "tokenizer.json"))
    return pairs.get_vocab_size()


def draw(seed: int) -> dict:
    config = RobertaConfig(
        vocab_size=byte_pairs(),
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
    model = RobertaForSequenceClassification(config)
    classifiers.draw_weights(model, seed)
    model.save_pretrained(HERE)
    # The one that is cut takes every position there is.
    batches = classifiers.batches(TEXTS, 20, POSITIONS)
    return {"probabilities": "softmax over the three labels", "pad_token_id": PAD, "batches": batches}


def answer(cases: dict) -> dict:
    return classifiers.answer(HERE, RobertaForSequenceClassification, cases, lambda logits: logits.softmax(dim=-1))


if __name__ == "__main__":
    fixture.main(HERE, {"cases.json": (draw, answer)}, tolerance=1e-4, relative=False)
