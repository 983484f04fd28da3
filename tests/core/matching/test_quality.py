"""Real pairs of implementations keep the quality that was reached, in every order of their listings."""

import pytest

from benchmarks.cases import ORDERS, judge, listings
from tests.core.matching.helpers import case, mapping, scores
from wmtui.core.matching import match
from wmtui.core.proposal import Facts

PAIRS = (
    "fb_convnext_tiny__hf",
    "fb_detr_resnet50__hf",
    "fb_dinov2_vitb14__hf",
    "hf_gemma2_2b__litgpt",
    "hf_gpt2__nanogpt",
    "hf_llama2_7b__litgpt",
    "hf_wav2vec2_base_ctc__torchaudio",
    "ldm_sd15_vae__diffusers",
    "meta_llama3_8b__hf",
    "mistral_mixtral_8x7b__hf",
    "ms_swin_tiny__hf",
    "openai_whisper_small__hf",
    "prefix_compiled_ddp_vit",
    "tv_regnet_y_1_6gf__timm",
    "tv_resnet50__hf",
    "tv_vgg16bn__timm",
)
HELD = (
    "apple_depth_pro__hf",
    "amazon_bort_gluonnlp__hf",
    "audiocraft_musicgen_small_lm__hf",
    "cadene_polynet__pytorchcv",
    "chainercv_faster_rcnn_vgg16_voc__chenyuntc",
    "deepmind_biggan_deep_256_tfhub__hf",
    "descript_dac_44khz__hf",
    "eriklindernoren_yolov3__ultralytics",
    "fb_dit_xl2_256__diffusers",
    "fb_maskformer_r50_ade__hf",
    "google_funnel_b4_4_4_tf__hf",
    "google_recurrentgemma_2b__hf",
    "google_siglip_base__hf",
    "google_vit_base_npz__timm",
    "guoyww_animatediff_mm_v15_v2__diffusers",
    "harmonai_dance_diffusion_maestro__diffusers",
    "hf_gpt_oss_20b__gguf",
    "hszhao_pspnet101_voc__pytorchcv",
    "idea_dab_detr_r50__hf",
    "jaywalnut310_vits_ljs__hf",
    "kimiyoung_transformer_xl_wt103_tf__hf",
    "keras_efficientnet_b0__hf",
    "maum_univnet_c32__hf",
    "ms_prophetnet_large__hf",
    "ms_vqdiffusion_ithq__diffusers",
    "neonbjb_tortoise_clvp2__hf",
    "okojoalg_sequencer2d_s__timm",
    "openai_consistency_imagenet64__diffusers",
    "own_resnet34_sequential__camel",
    "parlai_blenderbot_3b__hf",
    "sai_sd3_medium__diffusers",
    "sai_stable_audio_oobleck__diffusers",
    "shi_oneformer_swin_large_ade__hf",
    "song_ncsnpp_ffhq_256__diffusers",
    "tencentarc_gfpgan_bilinear__clean",
    "tencent_hunyuan_video__diffusers",
    "timm_hrnet_w18__pytorchcv",
    "timm_inception_v3__pytorchcv",
    "timm_levit_256__hf",
    "tv_raft_large__princeton",
    "tv_retinanet_r50__yhenon",
    "tv_shufflenet_v2_x1_0__mmpretrain",
    "usefulsensors_moonshine_base_keras__hf",
    "wan21_t2v_1b3__diffusers",
    "zju3dv_efficientloftr__hf",
    "zllrunning_bisenet_face__pytorchcv",
)
IN_ORDER = (
    "lbcbsci_rinalmo_giga__multimolecule",
    "google_jaxnerf_blender_flax__yenchenlin",
    "thuml_unidiffuser_v1_uvit__diffusers",
    "own_gin_virtual_node_ogb__blocks",
    "vitae_vitpose_plus_base__hf",
    "wongkinyiu_yolov7__mmyolo",
    "zylo117_efficientdet_d0__rwightman",
)
"""Whose sorted listings have lost what tells."""

TARGET_IN_ORDER = ("huawei_tnt_s__timm", "mediapipe_blazeface_front_tflite__hollance")
"""Whose numbers tell enough of the source's order, though not of the target's."""


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", [*PAIRS, *HELD])
def test_real_pair_is_matched_without_an_error(name, order):
    assert scores(case(name), order) == (1.0, 1.0)


@pytest.mark.parametrize("name", TARGET_IN_ORDER)
def test_real_pair_is_matched_to_a_target_in_order(name):
    assert scores(case(name)) == scores(case(name), "source sorted") == (1.0, 1.0)


@pytest.mark.parametrize("name", IN_ORDER)
def test_real_pair_is_matched_in_its_own_order(name):
    assert scores(case(name)) == (1.0, 1.0)


def test_no_norm_is_much_surer_than_the_convolution_that_it_follows():
    """Sorted, nothing tells two branches of one shape in the pyramid pool apart, and each norm goes with its branch."""
    some = case("wongkinyiu_yolov7__mmyolo")
    proposal = match(*listings(some, "both sorted"))
    verdicts = judge(some, mapping(proposal)).verdicts
    assert max(proposal.pairs[key].confidence for key, right in verdicts.items() if not right) < 0.9


def test_order_counts_less_where_most_blocks_have_moved():
    """Counted from the top down against one flat list, its upsampling convolutions go backwards with the blocks."""
    assert scores(case("taming_vqgan_f16__codeformer")) == (1.0, 1.0)


def test_no_block_is_sure_where_like_ones_could_change_places():
    """Sorted, only usual places tell the decoder's middle from its upper blocks: they are right, but none at 0.9."""
    some = case("taming_vqgan_f16__codeformer")
    proposal = match(*listings(some, "source sorted"))
    assert all(judge(some, mapping(proposal)).verdicts.values())
    middle = [pair.confidence for key, pair in proposal.pairs.items() if key.startswith("decoder.mid.")]
    assert len(middle) > 20
    assert max(middle) < 0.9


def test_sure_pairs_are_right_and_most_right_pairs_are_sure():
    right = sure = sure_right = 0
    for name in PAIRS:
        some = case(name)
        proposal = match(*listings(some))
        verdicts = judge(some, mapping(proposal)).verdicts
        right += sum(verdicts.values())
        sure += sum(proposal.pairs[key].confidence >= 0.9 for key in verdicts)
        sure_right += sum(ok and proposal.pairs[key].confidence >= 0.9 for key, ok in verdicts.items())
    assert sure_right >= 0.995 * sure
    assert sure_right >= 0.8 * right


def test_blocks_of_unknown_direction_are_ambiguous_until_one_fact_settles_them():
    some = case("depth_anything_v2_small__hf")
    assert scores(some)[1] == 1.0
    fact = {"depth_head.scratch.refinenet4.out_conv.weight": "neck.fusion_stage.layers.0.projection.weight"}
    assert scores(some, facts=Facts(pairs=fact)) == (1.0, 1.0)
