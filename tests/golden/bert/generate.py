"""BERT with six labels, each on its own: see `../fixture.py` for the commands, `../requirements.txt` for what they need."""

import sys
from pathlib import Path

from transformers import BertConfig, BertForSequenceClassification

sys.path.insert(0, str(Path(__file__).parent.parent))
import classifiers
import fixture

HERE = Path(__file__).parent
LABELS = ["toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate"]


def draw(seed: int) -> dict:
    classifiers.word_piece(HERE, 260)
    config = BertConfig(
        vocab_size=260,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        id2label=dict(enumerate(LABELS)),
        label2id={label: at for at, label in enumerate(LABELS)},
        problem_type="multi_label_classification",
    )
    model = BertForSequenceClassification(config)
    classifiers.draw_weights(model, seed)
    model.save_pretrained(HERE)
    batches = classifiers.batches(classifiers.TEXTS, 20, 24)
    return {"probabilities": "sigmoid of each label on its own", "pad_token_id": 0, "batches": batches}


def answer(cases: dict) -> dict:
    return classifiers.answer(HERE, BertForSequenceClassification, cases, lambda logits: logits.sigmoid())


if __name__ == "__main__":
    fixture.main(HERE, {"cases.json": (draw, answer)}, tolerance=1e-4, relative=False)
