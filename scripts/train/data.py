"""The corpus: reading it, holding stories out, training the tokenizer, drawing windows of tokens."""

from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

END = "<|endoftext|>"
SEPARATOR = "<|endofstory|>"
HELD_OUT_EVERY = 33  # every 33rd story is held out: 3 %


def read_corpus(folder):
    """(classics text, training stories, held-out stories) of a corpus folder."""
    folder = Path(folder)
    classics = (folder / "childrens_classics.txt").read_text(encoding="utf-8")
    text = (folder / "simple_stories_ccby.txt").read_text(encoding="utf-8")
    stories = [s.strip() for s in text.split(SEPARATOR) if s.strip()]
    held_out = [s for i, s in enumerate(stories) if i % HELD_OUT_EVERY == HELD_OUT_EVERY - 1]
    held = set(held_out)
    return classics, [s for s in stories if s not in held], held_out


def train_tokenizer(classics, stories, vocab_size):
    """A byte-level BPE with GPT-2's pre-tokenizer, from the stories and every tenth paragraph of the classics."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(stories + classics.split("\n\n")[::10], trainer)
    return tokenizer


def without_title(story):
    """The story from its second line on."""
    return story.split("\n", 1)[-1].strip()


def stream(tokenizer, texts):
    """Texts joined into one array of ids, each preceded by the end-of-text id, and where each begins."""
    end = tokenizer.token_to_id(END)
    ids, starts = [], []
    for encoding in tokenizer.encode_batch(texts):
        starts.append(len(ids))
        ids.append(end)
        ids += encoding.ids
    ids.append(end)
    return np.array(ids, np.int32), np.array(starts)


class Windows:
    """Random windows of `length` + 1 tokens; half of a story's windows begin where a story begins."""

    def __init__(self, tokenizer, classics, stories, length):
        self.length = length
        # the classics in pieces of about 20 paragraphs, so that a beginning is sometimes seen there too
        paragraphs = [p for p in classics.split("\n\n") if p.strip()]
        pieces = ["\n".join(paragraphs[i : i + 20]) for i in range(0, len(paragraphs), 20)]
        self.classics = stream(tokenizer, pieces)
        self.stories = [stream(tokenizer, stories), stream(tokenizer, [without_title(s) for s in stories])]

    def batch(self, rng, size, story_share):
        """(size, length + 1) ids; each row comes from the stories with probability `story_share`."""
        rows = []
        for _ in range(size):
            if rng.random() < story_share:
                ids, starts = self.stories[int(rng.integers(2))]
            else:
                ids, starts = self.classics
            last = len(ids) - self.length - 1
            at = int(rng.choice(starts)) if rng.random() < 0.5 else int(rng.integers(last + 1))
            at = min(at, last)
            rows.append(ids[at : at + self.length + 1])
        return np.stack(rows)


def held_out_windows(tokenizer, stories, length):
    """All held-out stories as windows of `length` + 1 ids and a mask of the targets that count.

    A story longer than a window goes on in the next window, without the tokens before it. The end of the story counts.
    """
    end = tokenizer.token_to_id(END)
    rows, masks = [], []
    for encoding in tokenizer.encode_batch(stories):
        ids = [end, *encoding.ids, end]
        for at in range(0, len(ids) - 1, length):
            part = ids[at : at + length + 1]
            fill = length + 1 - len(part)
            rows.append(part + [end] * fill)
            masks.append([1.0] * (len(part) - 1) + [0.0] * fill)
    return np.array(rows, np.int32), np.array(masks, np.float32)
