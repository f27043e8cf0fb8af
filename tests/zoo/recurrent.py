"""Networks around torch's own recurrent and attention layers, with the batch in the first or the second dimension."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class SequenceClassifier(nn.Module):
    """Tokens → recurrent layer → last position → logits."""

    def __init__(self, kind: type[nn.RNNBase], *, batch_first: bool, bidirectional: bool = False) -> None:
        super().__init__()
        self.embed = nn.Embedding(40, 12)
        self.recurrent = kind(12, 16, 2, batch_first=batch_first, bidirectional=bidirectional, dropout=0.1)
        self.norm = nn.LayerNorm(32 if bidirectional else 16)
        self.head = nn.Linear(self.norm.normalized_shape[0], 4)

    def forward(self, tokens: Tensor) -> Tensor:
        states, _ = self.recurrent(self.embed(tokens))
        last = states[:, -1] if self.recurrent.batch_first else states[-1]
        return self.head(self.norm(last))


class PackedTagger(nn.Module):
    """Sequences of different lengths: what goes into and comes out of the layer is a PackedSequence."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(40, 12)
        self.recurrent = nn.GRU(12, 16, batch_first=True)
        self.head = nn.Linear(16, 4)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(self.embed(tokens), lengths, batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.recurrent(packed)[0], batch_first=True)
        return self.head(states)


class TokenByToken(nn.Module):
    """One cell, called once a position."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(40, 12)
        self.cell = nn.LSTMCell(12, 16)
        self.head = nn.Linear(16, 4)

    def forward(self, tokens: Tensor) -> Tensor:
        state = None
        for position in self.embed(tokens).unbind(1):
            state = self.cell(position, state)
        return self.head(state[0])


class Encoder(nn.Module):
    """Tokens → `torch.nn.TransformerEncoder` → logits at every position."""

    def __init__(self, *, batch_first: bool, norm_first: bool) -> None:
        super().__init__()
        self.embed = nn.Embedding(40, 16)
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=batch_first, norm_first=norm_first)
        self.encoder = nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(16), enable_nested_tensor=False)
        self.head = nn.Linear(16, 4)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.encoder(self.embed(tokens)))


class Translator(nn.Module):
    """`torch.nn.Transformer`, encoder and decoder, with a causal mask."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(40, 16)
        # the encoder that it would build for itself warns of a fast path that it does not take
        layer = nn.TransformerEncoderLayer(16, 2, 32)
        encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.transformer = nn.Transformer(16, 2, 1, 1, 32, custom_encoder=encoder)
        self.head = nn.Linear(16, 40)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        # bool, as the mask of the padding would be: (length, length), True where position may not look
        later = torch.ones(len(target), len(target), dtype=torch.bool).triu(1)
        return self.head(self.transformer(self.embed(source), self.embed(target), tgt_mask=later))
