"""Byte-level BPE like GPT-2's: see `../fixture.py` for the commands, `../requirements.txt` for what they need.

The seed of `--write` decides nothing here: the tokenizer is trained on the texts below.
"""

import sys
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

sys.path.insert(0, str(Path(__file__).parent.parent))
import fixture

HERE = Path(__file__).parent
ENTRIES = 400
END = "<|endoftext|>"
SENTENCES = [
    "This movie was great, and I'd watch it again; the story and the cast are wonderful.",
    "I didn't like it at all: the ending was silly, and the plot isn't there.",
    "They're two brothers who haven't seen each other in years, and it shows.",
    "She's the one who reads the letters; we've all heard them before.",
    "A warm and funny picture. The music lifts it, the camera never sits still.",
    "If you're looking for a thing to do on a rainy evening, this is it.",
]
TEXTS = [
    *SENTENCES[:2],
    "<br /><br />The plot?<br />None.",
    "  two leading spaces and trailing  ",
    "line one\nline two\r\n\n\tindented",
    "Café naïve über — “quoted” …",
    "emoji 😀👍🏽 family 👨\u200d👩\u200d👧 end",
    "映画はとても良かった。 Привет мир مرحبا",
    "a",
    " ",
    "\n",
    "  ",
    " a",
    "don't DON'T it's 's 'S",
    "10/10 !!! ??? $3.50 1,000,000 3.14e-5",
    "the end<|endoftext|>a new start",
    "<|endoftext|>",
    "combining e\u0301 and zero\u200bwidth and nbsp\xa0here",
    "tab\tseparated\tvalues   then   many    spaces",
    "MiXeD CaSe_with_underscores-and-hyphens/slashes\\backslashes",
    "Hello , world . It is n't clean ; do n't strip !",
]
# Those whose beginnings are decoded, each of so many tokens at most.
CUT = [0, 6, 7, 20]
MOST = 32


def draw(_seed: int) -> dict:
    pairs = Tokenizer(models.BPE())
    pairs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pairs.decoder = decoders.ByteLevel()
    pairs.post_processor = processors.ByteLevel(trim_offsets=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=ENTRIES - 1, initial_alphabet=alphabet, min_frequency=1, show_progress=False)
    pairs.train_from_iterator(SENTENCES, trainer)
    pairs.add_special_tokens([END])
    pairs.save(str(HERE / "tokenizer.json"))
    ids = [pairs.encode(TEXTS[at]).ids for at in CUT]
    cut_short = [{"ids": row[:length]} for row in ids for length in range(1, min(len(row), MOST) + 1)]
    return {"vocab_size": pairs.get_vocab_size(), "cases": [{"text": text} for text in TEXTS], "cut_short": cut_short}


def answer(cases: dict) -> dict:
    pairs = Tokenizer.from_file(str(HERE / "tokenizer.json"))
    cleaning = PreTrainedTokenizerFast(tokenizer_object=pairs, clean_up_tokenization_spaces=True)

    def case(text: str) -> dict:
        encoded = pairs.encode(text)
        return {
            "text": text,
            "ids": encoded.ids,
            "tokens": encoded.tokens,
            "decoded": pairs.decode(encoded.ids, skip_special_tokens=False),
            "decoded_skip_special": pairs.decode(encoded.ids, skip_special_tokens=True),
            "decoded_hf_cleaned": cleaning.decode(encoded.ids),
        }

    decoded = lambda ids: {"ids": ids, "decoded": pairs.decode(ids, skip_special_tokens=False)}
    return {
        "vocab_size": pairs.get_vocab_size(),
        "end_of_text_id": pairs.token_to_id(END),
        "cases": [case(each["text"]) for each in cases["cases"]],
        "cut_short": [decoded(each["ids"]) for each in cases["cut_short"]],
    }


if __name__ == "__main__":
    fixture.main(HERE, {"cases.json": (draw, answer)}, tolerance=0.0)
