"""Tables 9 to 11 of the paper, copied by hand in its own notation, and a parser of its text for the same entries."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ameir_pl.space.architecture import Architecture, Block, MlpLayer

LAYERS = {
    "1x1 Conv": "conv1", "1x3 Conv": "conv3", "1x3 Dconv": "dconv3", "1x5 Dconv": "dconv5", "1x7 Dconv": "dconv7",
    "1x3 AvgPool": "avg_pool3", "1x3 MaxPool": "max_pool3", "Bi-GRU": "bigru",
    "2-Head Self Attention": "self_attention2", "4-Head Self Attention": "self_attention4",
    "Attention from Target": "target_attention", "Zero": "zero",
}
ACTIVATIONS = {"ReLU": "relu", "GeLU": "gelu", "Swish": "swish", "Identity": "identity", "Dice": "dice"}
NORMS = {"LayerNorm": "layer_norm", "None": "none"}
ALIMAMA_FIELDS = {
    "F01": "userid", "F02": "adgroup_id", "F03": "pid", "F04": "cms_segid", "F05": "cms_group_id",
    "F06": "final_gender_code", "F07": "age_level", "F08": "pvalue_level", "F09": "shopping_level",
    "F10": "occupation", "F11": "new_user_class_level", "F12": "campaign_id", "F13": "customer", "F14": "cate_id",
    "F15": "brand",
}
ZERO = ("Zero",)


@dataclass(frozen=True)
class Entry:
    """One run of a table: blocks, interactions and the MLP of AMEIR-C in the paper's words, and its numbers."""

    blocks: tuple[tuple[str, ...], ...] = ()
    interactions: tuple[tuple[str, ...], ...] = ()
    mlp: tuple[tuple[int, str], ...] = ()
    numbers: tuple[str, ...] = ()

    def architecture(self) -> Architecture:
        """Return the entry with the names of this package."""
        return Architecture(
            blocks=tuple(Block("zero") if b == ZERO else Block(LAYERS[b[0]], ACTIVATIONS[b[1]], NORMS[b[2]])
                         for b in self.blocks),
            interactions=tuple(tuple(ALIMAMA_FIELDS.get(f, f) for f in i) for i in self.interactions),
            mlp=tuple(MlpLayer(units, ACTIVATIONS[activation]) for units, activation in self.mlp))


def _split(text: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(part.split()) for part in text.split(","))


TABLES: dict[str, Entry] = {
    # Table 9; numbers: AUC of AMEIR-A, AMEIR-B, AMEIR-C.
    "alimama_1": Entry((("1x7 Dconv", "Swish", "None"), ZERO, ("1x5 Dconv", "Identity", "LayerNorm")),
                       _split("F08 F11, F04 F10, F06 F11, F07 F09 F10, F05 F06 F11"),
                       ((42, "ReLU"), (10, "ReLU")), ("0.6358", "0.6362", "0.6387")),
    "alimama_2": Entry((("1x3 Dconv", "Identity", "None"), ("1x3 AvgPool", "Swish", "None"),
                        ("1x3 Conv", "Identity", "None")),
                       _split("F04 F10, F03 F06, F06 F07 F11, F03 F08 F11, F05 F06 F11"),
                       ((42, "ReLU"), (21, "ReLU")), ("0.6357", "0.6358", "0.6379")),
    "alimama_3": Entry((("2-Head Self Attention", "GeLU", "None"), ("Bi-GRU", "ReLU", "LayerNorm"),
                        ("1x3 AvgPool", "Identity", "None")),
                       _split("F04 F10, F06 F11, F01 F06, F05 F06 F10, F03 F05 F07"),
                       ((42, "ReLU"), (10, "ReLU")), ("0.6356", "0.6357", "0.6383")),
    "alimama_4": Entry((ZERO, ("1x5 Dconv", "ReLU", "None"), ("Bi-GRU", "Identity", "LayerNorm")),
                       _split("F08 F11, F07 F10, F04 F06, F06 F10, F06 F11"),
                       ((42, "ReLU"), (10, "ReLU")), ("0.6358", "0.6361", "0.6385")),
    # Table 10; numbers: HR@1, HR@5, NDCG@5.
    "beauty_1": Entry((("1x5 Dconv", "GeLU", "LayerNorm"), ("1x5 Dconv", "Identity", "None"), ZERO,
                       ("1x7 Dconv", "Identity", "None"), ZERO, ("1x7 Dconv", "Identity", "None")),
                      numbers=("0.164", "0.345", "0.260")),
    "beauty_2": Entry((("4-Head Self Attention", "Swish", "LayerNorm"), ("2-Head Self Attention", "GeLU", "LayerNorm"),
                       ("4-Head Self Attention", "Identity", "LayerNorm"), ZERO, ("Bi-GRU", "Swish", "LayerNorm"),
                       ("1x5 Dconv", "Swish", "None")), numbers=("0.153", "0.337", "0.254")),
    "beauty_3": Entry((("1x3 Conv", "ReLU", "LayerNorm"), ZERO, ZERO,
                       ("4-Head Self Attention", "Identity", "LayerNorm"),
                       ("4-Head Self Attention", "Swish", "LayerNorm"), ("1x3 Dconv", "Swish", "None")),
                      numbers=("0.159", "0.341", "0.255")),
    "beauty_4": Entry((("2-Head Self Attention", "Swish", "LayerNorm"),
                       ("4-Head Self Attention", "Swish", "LayerNorm"), ("1x3 Dconv", "ReLU", "None"),
                       ("Bi-GRU", "Swish", "LayerNorm"), ZERO, ("Bi-GRU", "Swish", "None")),
                      numbers=("0.158", "0.341", "0.256")),
    "steam_1": Entry((ZERO, ("4-Head Self Attention", "Swish", "LayerNorm"),
                      ("2-Head Self Attention", "Identity", "LayerNorm"), ZERO, ("1x5 Dconv", "GeLU", "None"),
                      ("1x5 Dconv", "GeLU", "None")), numbers=("0.339", "0.682", "0.517")),
    "steam_2": Entry((("2-Head Self Attention", "GeLU", "LayerNorm"), ZERO,
                      ("4-Head Self Attention", "Identity", "LayerNorm"), ZERO, ZERO, ("Bi-GRU", "Identity", "None")),
                     numbers=("0.339", "0.683", "0.519")),
    "steam_3": Entry((("1x1 Conv", "GeLU", "None"), ("1x3 Conv", "ReLU", "LayerNorm"),
                      ("4-Head Self Attention", "ReLU", "LayerNorm"), ("2-Head Self Attention", "GeLU", "None"), ZERO,
                      ("2-Head Self Attention", "Swish", "None")), numbers=("0.337", "0.681", "0.517")),
    "steam_4": Entry((ZERO, ("1x7 Dconv", "GeLU", "LayerNorm"), ZERO, ("4-Head Self Attention", "Swish", "None"),
                      ("2-Head Self Attention", "Swish", "None"), ("1x5 Dconv", "ReLU", "None")),
                     numbers=("0.335", "0.678", "0.515")),
    # Table 11; numbers: AUC and log loss of AMEIR-B, then of AMEIR-C.
    "criteo_1": Entry(interactions=_split("C10 C13, C13 C26, C15 C24, C15 C20, C11 C21, C13 C19, C4 C16, C2 C15, "
                                          "C7 C19, C21 C26, C19 C24, C15 C19, C14 C23, C3 C6, C10 C16"),
                      mlp=((174, "Swish"), (21, "ReLU"), (21, "Identity")),
                      numbers=("0.8029", "0.4487", "0.8034", "0.4482")),
    "criteo_2": Entry(interactions=_split("C6 C13, C11 C24, C4 C26, C13 C26, C2 C24, C11 C20, C6 C16, C7 C16, "
                                          "C10 C19, C2 C15, C3 C18, C10 C24, C4 C25, C3 C21, C16 C17"),
                      mlp=((152, "ReLU"), (87, "Identity"), (21, "ReLU")),
                      numbers=("0.8030", "0.4486", "0.8035", "0.4483")),
    "criteo_3": Entry(interactions=_split("C6 C13, C10 C13, C7 C11, C11 C24, C4 C26, C13 C26, C14 C18, C2 C24, "
                                          "C13 C16, C15 C24, C12 C16, C12 C13, C6 C11, C2 C13, C15 C20"),
                      mlp=((152, "ReLU"), (65, "ReLU"), (21, "ReLU")),
                      numbers=("0.8032", "0.4483", "0.8036", "0.4480")),
    "criteo_4": Entry(interactions=_split("C6 C13, C13 C26, C14 C18, C12 C16, C15 C20, C11 C23, C13 C19, C3 C12, "
                                          "C2 C15, C10 C24, C19 C24, C2 C10, C3 C15, C4 C25, C10 C16"),
                      mlp=((174, "Swish"), (65, "Dice"), (21, "Dice")),
                      numbers=("0.8028", "0.4490", "0.8032", "0.4485")),
    "avazu_1": Entry(interactions=_split(
        "C15 C18, device_conn_type C18, app_category device_type, site_category C18, app_domain C15, site_id C21, "
        "app_category C15, site_id device_id, app_id C21, C1 C15, weekday site_id, app_domain C17, device_id C15, "
        "day app_category, day device_model"),
        mlp=((1092, "Swish"), (780, "ReLU"), (156, "Identity"), (156, "ReLU"), (156, "Identity")),
        numbers=("0.7794", "0.3796", "0.7798", "0.3794")),
    "avazu_2": Entry(interactions=_split(
        "device_conn_type C18, C1 C21, site_domain device_conn_type, day C1, site_id C21, app_category C15, "
        "site_id C20, device_model C16, site_category C21, site_category device_id, weekday site_id, C18 C19, "
        "site_id C17, app_domain C17, device_id C15"),
        mlp=((936, "Identity"), (468, "Dice"), (156, "ReLU"), (156, "Swish"), (156, "ReLU")),
        numbers=("0.7796", "0.3795", "0.7799", "0.3793")),
    "avazu_3": Entry(interactions=_split(
        "C15 C18, day C16, banner_pos app_id, C1 C21, app_id device_type, device_id C16, banner_pos device_type, "
        "site_category device_type, banner_pos C20, app_id device_id, site_id device_id, app_id C21, C1 C15, "
        "weekday site_id, device_id C15"),
        mlp=((936, "ReLU"), (468, "Identity"), (156, "Identity"), (156, "ReLU"), (156, "ReLU")),
        numbers=("0.7802", "0.3793", "0.7806", "0.3791")),
    "avazu_4": Entry(interactions=_split(
        "device_conn_type C18, app_category device_type, day C1, device_id C16, weekday site_domain, banner_pos C20, "
        "app_domain C15, day weekday, site_id C20, site_category device_conn_type, hour C14, app_domain device_ip, "
        "site_domain device_ip, weekday site_id, C16 C21"),
        mlp=((936, "ReLU"), (312, "ReLU"), (156, "Swish"), (156, "ReLU"), (156, "Identity")),
        numbers=("0.7797", "0.3792", "0.7802", "0.3790")),
}


def parse_paper(path: Path) -> dict[str, Entry]:
    """Return the entries of Tables 9 to 11 found in the paper's text, whose tables are broken over lines."""
    text = " ".join(path.read_text(encoding="utf-8").replace("×", "x").split())
    start = {n: text.index(f"Table {n}: Searched") for n in (9, 10, 11)}
    alimama = text[start[9]:start[10]]
    beauty, steam = re.split(r" Steam (?=1 Block)", text[start[10]:start[11]])
    criteo, avazu = re.split(r" Avazu (?=1 \[)", text[start[11]:])
    auc, brackets = r"(0\.\d+)", r"(\[\(.*?\)\])"
    entries: dict[str, Entry] = {}
    for run, blocks, a, chosen, b, mlp, c in re.findall(
            rf"(\d) (Block 1: .*?) None AMEIR-A \[.*?\] {auc} {brackets} AMEIR-B {auc} AMEIR-C {brackets} {auc}",
            alimama):
        entries[f"alimama_{run}"] = Entry(_blocks(blocks), _interactions(chosen), _mlp(mlp), (a, b, c))
    for dataset, table in (("beauty", beauty), ("steam", steam)):
        for run, blocks, *numbers in re.findall(
                rf"(\d) (Block 1: .*?Block 6: (?:\(.*?\)|Zero)) {auc} {auc} {auc}", table):
            entries[f"{dataset}_{run}"] = Entry(_blocks(blocks), numbers=tuple(numbers))
    for dataset, table in (("criteo", criteo), ("avazu", avazu)):
        for run, chosen, b_auc, b_loss, mlp, c_auc, c_loss in re.findall(
                rf"(\d) {brackets} AMEIR-B \[.*?\] {auc} {auc} AMEIR-C {brackets} {auc} {auc}", table):
            entries[f"{dataset}_{run}"] = Entry((), _interactions(chosen), _mlp(mlp), (b_auc, b_loss, c_auc, c_loss))
    return entries


def _blocks(text: str) -> tuple[tuple[str, ...], ...]:
    found = re.findall(r"Block (\d): (?:\((.*?)\)|(Zero))", text)
    if [int(place) for place, _, _ in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"the blocks are not in order: {text}")
    return tuple(ZERO if zero else _parts(entry) for _, entry, zero in found)


def _interactions(text: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(name.replace(" ", "_") for name in _parts(entry)) for entry in re.findall(r"\((.*?)\)", text))


def _mlp(text: str) -> tuple[tuple[int, str], ...]:
    return tuple((int(units), activation) for units, activation in map(_parts, re.findall(r"\((.*?)\)", text)))


def _parts(entry: str) -> tuple[str, ...]:
    # Run 2 of Table 9 prints "(F06, , F07, F11)".
    return tuple(part.strip() for part in entry.split(",") if part.strip())
