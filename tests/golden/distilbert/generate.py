"""DistilBERT with two labels: see `../fixture.py` for the commands, `../requirements.txt` for what they need."""

import sys
from pathlib import Path

from transformers import DistilBertConfig, DistilBertForSequenceClassification

sys.path.insert(0, str(Path(__file__).parent.parent))
import classifiers
import fixture

HERE = Path(__file__).parent


def draw(seed: int) -> dict:
    classifiers.word_piece(HERE, 280)
    config = DistilBertConfig(
        vocab_size=280,
        dim=32,
        hidden_dim=64,
        n_layers=2,
        n_heads=4,
        max_position_embeddings=64,
        id2label={0: "NEGATIVE", 1: "POSITIVE"},
        label2id={"NEGATIVE": 0, "POSITIVE": 1},
    )
    model = DistilBertForSequenceClassification(config)
    classifiers.draw_weights(model, seed)
    model.save_pretrained(HERE)
    batches = classifiers.batches(classifiers.TEXTS, 20, 32)
    return {"probabilities": "softmax over the two labels", "pad_token_id": 0, "batches": batches}


def answer(cases: dict) -> dict:
    return classifiers.answer(HERE, DistilBertForSequenceClassification, cases, lambda logits: logits.softmax(dim=-1))


if __name__ == "__main__":
    fixture.main(HERE, {"cases.json": (draw, answer)}, tolerance=1e-4, relative=False)
