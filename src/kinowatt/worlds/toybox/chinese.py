"""Captions in Chinese, in traditional script: noun phrases, clauses, sentences."""

from __future__ import annotations

from collections import Counter

from kinowatt.worlds.toybox.pen import UNIFORM, Pen, looks_of
from kinowatt.worlds.toybox.physics import Thing
from kinowatt.worlds.toybox.seen import Seen

UNIT = {"turbine": "座", "panel": "塊", "domino": "張", "ball": "顆", "capsule": "顆"}
WITHOUT_UNIT = ("一對", "一雙")
CLAUSES = ("鏡頭", "機位", "吊臂", "搖臂", "無人機向")  # a wording that begins so is a clause already

FINITE = (
    "{where}{np}{how}{does}",
    "{np}{at}{how}{does}",
    "在{where}{np}{how}{does}",
    "只見{np}{at}{how}{does}",
    "畫面中{np}{at}{how}{does}",
    "可以看到{np}{at}{how}{does}",
    "{where}，{np}{how}{does}",
    "鏡頭裡{np}{at}{how}{does}",
    "{where}有{np}，{how}{does}",
    "畫面裡有{np}{at}{how}{does}",
    "這裡{np}{at}{how}{does}",
    "我們看到{np}{at}{how}{does}",
)
FRAGMENT = (
    "{where}{np}{how}{does}",
    "{np}{at}{how}{does}",
    "{np}{at}{how}{does}的畫面",
    "{where}{how}{does}的{np}",
    "{np}{how}{does}，{at}",
    "一段{np}{at}{how}{does}的影片",
    "{np}{at}{how}{does}的鏡頭",
)
TAILS: dict[str, tuple[str, ...]] = {
    "move": ("{word}", "{word}拍攝", "以{word}拍攝", "運鏡是{word}", "採用{word}", "運鏡方式是{word}"),
    "shot": ("{word}", "以{word}拍攝", "以{word}呈現", "用{word}", "採用{word}", "景別是{word}"),
    "lens": ("{word}", "用{word}拍攝", "使用{word}", "以{word}拍攝", "採用{word}"),
    "mood": (
        "{word}",
        "氣氛{word}",
        "{word}的氛圍",
        "畫面顯得{word}",
        "給人{word}的感覺",
        "整體感覺{word}",
        "透著{word}的氣息",
        "{word}的氣氛",
        "帶著{word}的情緒",
    ),
}
SENTENCES: dict[str, tuple[str, ...]] = {
    "move": ("{word}", "運鏡方式是{word}", "同時{word}", "拍攝時採用{word}", "隨後{word}", "這個鏡頭用的是{word}"),
    "shot": ("這是{word}", "景別是{word}", "以{word}呈現", "用的是{word}", "畫面採用{word}", "整個畫面是{word}"),
    "lens": ("用{word}拍攝", "使用{word}", "攝影機用的是{word}", "拍攝用的是{word}", "採用{word}"),
    "angle": ("角度是{word}", "採用{word}", "視角是{word}", "{word}", "機位是{word}"),
    "time": ("{word}", "一切發生在{word}", "時間：{word}", "場景：{word}"),
    "weather": ("{word}", "此時{word}", "天氣：{word}", "當時{word}"),
    "place": ("{word}", "地點：{word}", "背景：{word}", "場景：{word}"),
    "mood": (
        "整體氣氛{word}",
        "給人{word}的感覺",
        "畫面充滿{word}的氛圍",
        "一切顯得{word}",
        "整個場景透著{word}的氣息",
        "氛圍是{word}",
        "感覺{word}",
        "流露出{word}的情緒",
    ),
}
LABELS = {
    "move": ("運鏡：{word}", "{word}", "運鏡方式：{word}"),
    "shot": ("景別：{word}", "{word}", "畫面：{word}"),
    "lens": ("焦段：{word}", "{word}", "用{word}"),
    "angle": ("角度：{word}", "{word}", "機位：{word}"),
    "time": ("時間：{word}", "{word}", "光線：{word}"),
    "weather": ("天氣：{word}", "{word}", "天空：{word}"),
    "place": ("地點：{word}", "背景：{word}", "場景：{word}"),
    "mood": ("氣氛：{word}", "氛圍：{word}", "情緒：{word}"),
}
LISTS = ("{first}和{last}", "{first}與{last}", "{first}以及{last}")


def name(thing: Thing, pen: Pen, number: str = "一", unit: bool = True) -> str:
    """A thing with its measure word: "一顆嬌小、光亮的鮮紅色皮球"."""
    looks = looks_of(thing, pen)
    before = "、".join(pen.word(slot, looks[slot]) for slot in ("size", "material", "pattern") if slot in looks)
    color = pen.word("color", looks["color"]) if "color" in looks else ""
    of = "的" if len(color) > 1 and not before and pen.chance(0.5) else ""
    said = (before + "的" if before else "") + color + of + pen.word("kind", thing.kind)
    return number + UNIT.get(thing.kind, "個") + said if unit else said


def listed(names: list[str], pen: Pen) -> str:
    """Names in a row."""
    return names[0] if len(names) == 1 else pen.pick(LISTS).format(first="、".join(names[:-1]), last=names[-1])


def group(things: tuple[Thing, ...], pen: Pen, unit: bool = True) -> str:
    """All things: one by one, or counted where they are of one kind."""
    kinds = Counter(t.kind for t in things)
    kind, n = kinds.most_common(1)[0]
    if kind not in UNIFORM and (n == 1 or len(kinds) > 1 or pen.says(0.65)):
        return listed([name(t, pen, unit=unit) for t in things], pen)
    colors = {t.color for t in things}
    color = pen.word("color", next(iter(colors)) or "") if len(colors) == 1 and None not in colors else ""
    number = "一" if n == 1 else pen.word("count", str(n))
    noun = (color + "的" if color else "") + pen.word("kind", kind)
    said = number + ("" if number in WITHOUT_UNIT or (number.isascii() and " " in number) else UNIT.get(kind, "個")) + noun
    if not color and None not in colors and pen.says(0.6):
        said += "（" + "、".join(pen.word("color", t.color or "") for t in things) + "）"
    return said


def main(seen: Seen, kept: dict[str, str], pen: Pen, finite: bool) -> str:
    """What is there and what happens; takes ground and surface out of `kept`."""
    where = _where(kept, pen)
    if not seen.things:
        return where
    if seen.event is None:
        return where + (pen.pick(("", "有", "，", "可以看到")) if where else "") + group(seen.things, pen)
    does, how, subject = pen.word("event", seen.event), _how(seen, pen), seen.things
    if seen.event == "collide":
        subject = seen.things[:1]
        does += listed([name(t, pen) for t in seen.things[1:]], pen)
        how = how if pen.says(0.4) else ""
    template = pen.pick(FINITE if finite else FRAGMENT)
    text = template.format(where=where, at="在" + where if where else "", np=group(subject, pen), how=how, does=does)
    text = text.removeprefix("在") if text.startswith("在") and not where else text
    return text.strip("，").replace("，，", "，").removeprefix("有" if not where else "\0")


def _where(kept: dict[str, str], pen: Pen) -> str:
    ground, surface = kept.pop("ground", None), kept.pop("surface", None)
    if ground is None:
        return ""
    return (pen.word("surface", surface) + "的" if surface else "") + pen.word("ground", ground) + "上"


def _how(seen: Seen, pen: Pen) -> str:
    said = []
    if seen.heading and seen.event != "collide" and pen.says(0.65):
        said.append(pen.word("heading", seen.heading))
    if seen.speed and pen.says(0.6):
        said.append(pen.word("speed", seen.speed) + ("地" if pen.chance(0.5) else ""))
    return "".join(said)


def keywords(seen: Seen, kept: dict[str, str], pen: Pen) -> list[str]:
    """All of it as labels, in no order."""
    out = []
    if seen.things:
        crash = seen.event == "collide"
        first = group(seen.things[:1] if crash else seen.things, pen, unit=pen.chance(0.5))
        does = _how(seen, pen) + pen.word("event", seen.event) if seen.event else ""
        out.append(first + does + (listed([name(t, pen, unit=False) for t in seen.things[1:]], pen) if crash else ""))
    ground, surface = kept.pop("ground", None), kept.pop("surface", None)
    if ground:
        out.append((pen.word("surface", surface) + "的" if surface else "") + pen.word("ground", ground))
    return out + [pen.word(slot, value, short=True) for slot, value in kept.items()]


def tail(slot: str, value: str, pen: Pen) -> str:
    """A value as a clause among others."""
    return _filled(TAILS.get(slot, ("{word}",)), slot, value, pen)


def sentence(slot: str, value: str, pen: Pen) -> str:
    """A value as a sentence of its own."""
    return _filled(SENTENCES[slot], slot, value, pen)


def label(slot: str, value: str, pen: Pen) -> str:
    """A value as a line of a shot list."""
    return _filled(LABELS[slot], slot, value, pen)


def _filled(templates: tuple[str, ...], slot: str, value: str, pen: Pen) -> str:
    word = pen.word(slot, value)
    if word.startswith(CLAUSES):
        return word
    return pen.pick(templates).format(word=word).replace("拍攝拍攝", "拍攝")
