"""Small Detoxify checkpoints with random weights, of the published architectures, and the base folders they need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from tests.signals.texts import LANGUAGES

CORPUS = (*LANGUAGES, "the quick brown fox jumps over the lazy dog", "You are an idiot.", "a short text")
ORIGINAL = ["toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate"]
UNBIASED = ["toxicity", "severe_toxicity", "obscene", "identity_attack", "insult", "threat", "sexual_explicit"]
KINDS: dict[str, dict[str, Any]] = {
    "bert": {
        "model": "BertForSequenceClassification",
        "tokenizer": "BertTokenizer",
        "hub": "bert-base-uncased",
        "labels": ORIGINAL,
        "outputs": 6,
        "positions": 256,
    },
    "roberta": {
        "model": "RobertaForSequenceClassification",
        "tokenizer": "RobertaTokenizer",
        "hub": "roberta-base",
        "labels": UNBIASED,
        "outputs": 16,  # identities were trained too, and have no label
        "positions": 258,
    },
    "xlm": {
        "model": "XLMRobertaForSequenceClassification",
        "tokenizer": "XLMRobertaTokenizer",
        "hub": "xlm-roberta-base",
        "labels": UNBIASED,
        "outputs": 16,
        "positions": 258,
    },
}


def make_base(kind: str, folder: Path) -> Path:
    """A folder as the hub would hold it: config.json and a tokeniser trained on a few sentences."""
    facts = KINDS[kind]
    folder.mkdir(parents=True)
    tokenizer = _wordpiece() if kind == "bert" else _bytes() if kind == "roberta" else _unigram()
    tokenizer.save(str(folder / "tokenizer.json"))
    window = facts["positions"] - (0 if kind == "bert" else 2)
    (folder / "tokenizer_config.json").write_text(
        f'{{"tokenizer_class": "{facts["tokenizer"]}", "model_max_length": {window}}}', encoding="utf-8"
    )
    shape = getattr(transformers, facts["model"]).config_class(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=96,
        max_position_embeddings=facts["positions"],
        type_vocab_size=2 if kind == "bert" else 1,
        pad_token_id=0 if kind == "bert" else 1,
    )
    shape.save_pretrained(folder)
    return folder


def make_checkpoint(kind: str, base: Path, path: Path, model_type: str | None = None) -> Path:
    """A checkpoint in Detoxify's format; ``model_type`` a folder makes the package itself work offline."""
    facts = KINDS[kind]
    family = getattr(transformers, facts["model"])
    torch.manual_seed(7)
    model = family(family.config_class.from_pretrained(base, num_labels=facts["outputs"]))
    with torch.no_grad():  # as they start, weights are so small that every text scores alike
        for parameter in model.parameters():
            parameter.mul_(4)
    arguments = {
        "model_type": model_type or facts["hub"],
        "model_name": facts["model"],
        "tokenizer_name": facts["tokenizer"],
        "num_classes": facts["outputs"],
    }
    config = {"arch": {"args": arguments}, "dataset": {"args": {"classes": facts["labels"]}}}
    torch.save({"config": config, "state_dict": model.state_dict()}, path)
    return path


def _wordpiece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(
        CORPUS, trainers.WordPieceTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def _bytes() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(vocab_size=500, special_tokens=special, initial_alphabet=alphabet, show_progress=False),
    )
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer.train_from_iterator(
        CORPUS,
        trainers.UnigramTrainer(vocab_size=400, special_tokens=special, unk_token="<unk>", show_progress=False),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer
