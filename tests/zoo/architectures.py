"""The zoo: architectures that nobody here wrote, built from configurations, small enough to run in a moment.

One table, name -> `Case`. Sizes are chosen such that no dimension but the batch has ``BATCH`` entries: a table of
positions is never taken for a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from zoo.ingredients import (
    BATCH,
    CLASSES,
    TARGETS,
    TOKENS,
    VOCABULARY,
    Case,
    Loss,
    boxes,
    classified,
    contrastive,
    each_pixel,
    each_position,
    energy,
    generator,
    images,
    its_own,
    labelled_sound,
    next_token,
    padding,
    pictures_and_captions,
    segments,
    text,
    tokens,
)
from zoo.recurrent import Encoder, PackedTagger, SequenceClassifier, TokenByToken, Translator


def from_config(name: str, **options: Any) -> Callable[[], nn.Module]:
    """A class of the transformers package with random weights."""

    def build() -> nn.Module:
        import transformers  # a second or more: only for those who run the zoo

        kind = getattr(transformers, name)
        return kind(kind.config_class(**options))

    return build


def vision(name: str, size: int = 32, **options: Any) -> Case:
    return Case(from_config(name, num_labels=CLASSES, **options), images(size), classified, TARGETS)


def language(name: str, *, loss: Loss = next_token, **options: Any) -> Case:
    build = from_config(name, vocab_size=VOCABULARY, **options)
    return Case(build, text(), loss, tokens(BATCH, TOKENS))


# options that many share
TRANSFORMER: Mapping[str, Any] = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
}  # fmt: skip
PATCHES: Mapping[str, Any] = {**TRANSFORMER, "image_size": 32, "patch_size": 8}
DECODER: Mapping[str, Any] = {**TRANSFORMER, "num_key_value_heads": 1, "max_position_embeddings": 16}
SPEECH: Mapping[str, Any] = {
    **TRANSFORMER, "vocab_size": 24, "conv_dim": (8, 8, 8), "conv_stride": (5, 2, 2), "conv_kernel": (10, 3, 3),
    "num_feat_extract_layers": 3, "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2,
    "mask_time_length": 2, "layerdrop": 0.3,
}  # fmt: skip
ENCODER_DECODER: Mapping[str, Any] = {
    "d_model": 16, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32,
}  # fmt: skip


def small_backbone(kind: str) -> Any:
    import transformers

    if kind == "resnet":
        return transformers.ResNetConfig(
            embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], layer_type="basic",
            out_features=["stage4"],
        )  # fmt: skip
    if kind == "swin":
        return transformers.SwinConfig(
            image_size=64, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=4,
            out_features=["stage1", "stage2", "stage3", "stage4"],
        )  # fmt: skip
    return transformers.ConvNextConfig(
        hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], out_features=["stage1", "stage2", "stage3", "stage4"]
    )


def with_backbone(name: str, kind: str, **options: Any) -> Callable[[], nn.Module]:
    return lambda: from_config(name, backbone_config=small_backbone(kind), **options)()


def checkpointed(build: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """In train mode activations are thrown away, and computed again in the backward."""

    def built() -> nn.Module:
        model: Any = build()
        model.activation_checkpointing_enable()
        return model

    return built


def clip() -> nn.Module:
    ends = {"bos_token_id": 1, "eos_token_id": 2}
    text_part = {**TRANSFORMER, **ends, "vocab_size": VOCABULARY, "max_position_embeddings": 16}
    build = from_config("CLIPModel", text_config=text_part, vision_config=dict(PATCHES), projection_dim=12)
    return build()


CASES: dict[str, Case] = {
    # images: convolutions
    "resnet basic": vision(
        "ResNetForImageClassification", embedding_size=8, hidden_sizes=[8, 16], depths=[2, 1], layer_type="basic"
    ),
    "resnet bottleneck": vision(
        "ResNetForImageClassification", embedding_size=8, hidden_sizes=[16, 32], depths=[1, 2]
    ),
    "regnet": vision(
        "RegNetForImageClassification", embedding_size=8, hidden_sizes=[16, 24], depths=[1, 2], groups_width=8
    ),
    "mobilenet v1": vision("MobileNetV1ForImageClassification", image_size=32, depth_multiplier=0.25),
    "mobilenet v2": vision("MobileNetV2ForImageClassification", image_size=32, depth_multiplier=0.25),
    "efficientnet": vision(
        "EfficientNetForImageClassification", image_size=32, width_coefficient=0.5, depth_coefficient=0.5,
        in_channels=[32, 16, 24], out_channels=[16, 24, 40], kernel_sizes=[3, 3, 5], strides=[1, 2, 2],
        num_block_repeats=[1, 2, 2], expand_ratios=[1, 4, 4], hidden_dim=640,
    ),
    "convnext": vision(
        "ConvNextForImageClassification", hidden_sizes=[8, 16, 16, 32], depths=[1, 1, 2, 1], drop_path_rate=0.2
    ),
    "convnext v2": vision("ConvNextV2ForImageClassification", hidden_sizes=[8, 16, 16, 32], depths=[1, 1, 2, 1]),
    # images: attention and pooling
    "vit": vision("ViTForImageClassification", **PATCHES, hidden_dropout_prob=0.1),
    "deit": vision("DeiTForImageClassificationWithTeacher", **PATCHES),
    "beit": vision("BeitForImageClassification", **PATCHES, use_relative_position_bias=True),
    "dinov2": vision("Dinov2ForImageClassification", **PATCHES),
    "swin": vision(
        "SwinForImageClassification", image_size=32, patch_size=4, embed_dim=8, depths=[2, 2], num_heads=[1, 2],
        window_size=4,
    ),
    "swin v2": vision(
        "Swinv2ForImageClassification", image_size=32, patch_size=4, embed_dim=8, depths=[2, 2], num_heads=[1, 2],
        window_size=4,
    ),
    "poolformer": vision(
        "PoolFormerForImageClassification", depths=[1, 1, 2, 1], hidden_sizes=[8, 16, 16, 24], drop_path_rate=0.2
    ),
    "vit mae": Case(
        from_config(
            "ViTMAEForPreTraining", **PATCHES, decoder_num_attention_heads=2, decoder_hidden_size=16,
            decoder_num_hidden_layers=1, decoder_intermediate_size=32,
        ),
        images(),
        its_own,
    ),
    "levit": vision(
        "LevitForImageClassification", image_size=64, hidden_sizes=[16, 24, 32], num_attention_heads=[1, 2, 2],
        depths=[1, 1, 1], key_dim=[8, 8, 8], size=64,
    ),
    # images: detection and segmentation
    "detr": Case(
        with_backbone(
            "DetrForObjectDetection", "resnet", **ENCODER_DECODER, num_queries=6, num_labels=CLASSES
        ),
        lambda: {"pixel_values": images(64)(), "labels": boxes()},
        its_own,
    ),
    "yolos": Case(
        from_config(
            "YolosForObjectDetection", **{**PATCHES, "image_size": [32, 32]}, num_detection_tokens=6,
            num_labels=CLASSES,
        ),
        lambda: {"pixel_values": images()(), "labels": boxes()},
        its_own,
    ),
    "segformer": Case(
        from_config(
            "SegformerForSemanticSegmentation", hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1],
            num_attention_heads=[1, 1, 2, 2], mlp_ratios=[2, 2, 2, 2], decoder_hidden_size=16, num_labels=CLASSES,
        ),
        images(),
        each_pixel,
    ),
    "upernet": Case(
        with_backbone(
            "UperNetForSemanticSegmentation", "convnext", hidden_size=16, auxiliary_channels=8, num_labels=CLASSES
        ),
        images(64),
        each_pixel,
    ),
    "mask2former": Case(
        with_backbone(
            "Mask2FormerForUniversalSegmentation", "swin", feature_size=32, mask_feature_size=32, hidden_dim=32,
            encoder_feedforward_dim=32, encoder_layers=1, decoder_layers=2, num_attention_heads=2,
            dim_feedforward=32, num_queries=6, train_num_points=16, num_labels=CLASSES,
        ),
        lambda: segments(64),
        its_own,
    ),
    # images and text
    "clip": Case(clip, pictures_and_captions, contrastive),
    # text: encoders
    "bert": Case(
        from_config("BertForSequenceClassification", **TRANSFORMER, vocab_size=VOCABULARY, num_labels=CLASSES),
        text(attention_mask=padding),
        classified,
        TARGETS,
    ),
    "distilbert": Case(
        from_config(
            "DistilBertForSequenceClassification", vocab_size=VOCABULARY, dim=16, n_layers=2, n_heads=2,
            hidden_dim=32, num_labels=CLASSES,
        ),
        text(attention_mask=padding),
        classified,
        TARGETS,
    ),
    "roberta": language("RobertaForMaskedLM", loss=each_position, **TRANSFORMER),
    "albert": language("AlbertForMaskedLM", loss=each_position, **TRANSFORMER, embedding_size=8),
    "electra": language("ElectraForMaskedLM", loss=each_position, **TRANSFORMER, embedding_size=8),
    "deberta v2": language(
        "DebertaV2ForMaskedLM", loss=each_position, **TRANSFORMER, relative_attention=True,
        pos_att_type=["p2c", "c2p"], max_position_embeddings=16,
    ),
    "fnet": language(
        "FNetForMaskedLM", loss=each_position, hidden_size=16, num_hidden_layers=2, intermediate_size=32
    ),
    "funnel": language(
        "FunnelForMaskedLM", loss=each_position, block_sizes=[1, 1], d_model=16, n_head=2, d_head=8, d_inner=32,
        num_decoder_layers=1,
    ),
    "xlnet": language("XLNetLMHeadModel", loss=each_position, d_model=16, n_layer=2, n_head=2, d_inner=32),
    # text: decoders
    "gpt2": language("GPT2LMHeadModel", n_embd=16, n_layer=2, n_head=2, n_positions=16, bos_token_id=1, eos_token_id=2),
    "opt": language(
        "OPTForCausalLM", hidden_size=16, num_hidden_layers=2, num_attention_heads=2, ffn_dim=32,
        word_embed_proj_dim=8, max_position_embeddings=16, layerdrop=0.2,
    ),
    "gpt-neox": language("GPTNeoXForCausalLM", **TRANSFORMER, max_position_embeddings=16),
    "bloom": language("BloomForCausalLM", hidden_size=16, n_layer=2, n_head=2),
    "llama, checkpointed": Case(
        checkpointed(from_config("LlamaForCausalLM", vocab_size=VOCABULARY, **DECODER)),
        text(),
        next_token,
        tokens(BATCH, TOKENS),
    ),
    "llama": language("LlamaForCausalLM", **DECODER),
    "mistral": language("MistralForCausalLM", **DECODER, sliding_window=4),
    "qwen3": language("Qwen3ForCausalLM", **DECODER, head_dim=8),
    "mixtral": language("MixtralForCausalLM", **DECODER, num_local_experts=3, num_experts_per_tok=2),
    "mamba": language("MambaForCausalLM", hidden_size=16, num_hidden_layers=2, state_size=4),
    # text: encoder and decoder
    "t5": Case(
        from_config(
            "T5ForConditionalGeneration", vocab_size=VOCABULARY, d_model=16, d_kv=8, d_ff=32, num_layers=2,
            num_heads=2, decoder_start_token_id=0,
        ),
        text(labels=lambda: tokens(BATCH, 6)),
        its_own,
    ),
    "bart": Case(
        from_config(
            "BartForConditionalGeneration", **ENCODER_DECODER, vocab_size=VOCABULARY, max_position_embeddings=16
        ),
        text(labels=lambda: tokens(BATCH, 6)),
        its_own,
    ),
    # sound
    "whisper": Case(
        from_config(
            "WhisperForConditionalGeneration", **ENCODER_DECODER, vocab_size=VOCABULARY, num_mel_bins=8,
            max_source_positions=10, max_target_positions=12, decoder_start_token_id=1, pad_token_id=0,
            bos_token_id=1, eos_token_id=2, apply_spec_augment=True, mask_time_length=2, dropout=0.1,
        ),
        lambda: {
            "input_features": torch.randn(BATCH, 8, 20, generator=generator()),
            "labels": tokens(BATCH, 6),
        },
        its_own,
    ),
    "wav2vec2": Case(from_config("Wav2Vec2ForCTC", **SPEECH), labelled_sound, its_own),
    "hubert": Case(from_config("HubertForCTC", **SPEECH), labelled_sound, its_own),
    # torch's own sequence layers
    "lstm": Case(
        lambda: SequenceClassifier(nn.LSTM, batch_first=True), lambda: tokens(BATCH, TOKENS), classified, TARGETS
    ),
    "lstm, sequence first": Case(
        lambda: SequenceClassifier(nn.LSTM, batch_first=False), lambda: tokens(TOKENS, BATCH), classified, TARGETS, 1
    ),
    "gru": Case(
        lambda: SequenceClassifier(nn.GRU, batch_first=True, bidirectional=True),
        lambda: tokens(BATCH, TOKENS),
        classified,
        TARGETS,
    ),
    "gru, sequence first": Case(
        lambda: SequenceClassifier(nn.GRU, batch_first=False), lambda: tokens(TOKENS, BATCH), classified, TARGETS, 1
    ),
    "gru, packed": Case(PackedTagger, lambda: (tokens(BATCH, TOKENS), padding().sum(1)), energy),
    "lstm cell": Case(TokenByToken, lambda: tokens(BATCH, TOKENS), classified, TARGETS),
    "transformer encoder": Case(
        lambda: Encoder(batch_first=True, norm_first=True),
        lambda: tokens(BATCH, TOKENS),
        each_position,
        tokens(BATCH, TOKENS) % CLASSES,
    ),
    "transformer encoder, sequence first": Case(
        lambda: Encoder(batch_first=False, norm_first=False),
        lambda: tokens(TOKENS, BATCH),
        each_position,
        tokens(TOKENS, BATCH) % CLASSES,
        1,
    ),
    "transformer, sequence first": Case(
        Translator,
        lambda: (tokens(TOKENS, BATCH), tokens(6, BATCH)),
        each_position,
        tokens(6, BATCH),
        1,
    ),
}  # fmt: skip
