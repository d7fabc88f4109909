"""The shot lexicon: free text (English, 繁體, 简体) to the tokens that spark reads, and which words were understood.

A phrase that the lexicon knows becomes one token `slot=value`, the same in every language, in the prompt's order; any other word
stays as `~word`. The world's captions are written with the same table, so what can be written can be read.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass

from kinowatt.errors import ShotError


@dataclass(frozen=True)
class Words:
    """The phrases of one value: those that captions use, and others that are only understood. Chinese is kept in traditional script."""

    english: tuple[str, ...]
    english_also: tuple[str, ...]
    chinese: tuple[str, ...]
    chinese_also: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """Every phrase."""
        return self.english + self.english_also + self.chinese + self.chinese_also


def _w(english: str, also: str, chinese: str, chinese_also: str = "") -> Words:
    return Words(*(tuple(p for p in part.split("|") if p) for part in (english, also, chinese, chinese_also)))


def plural(verb: str) -> str:
    """A verb phrase in the third person singular, made plural: "falls down" to "fall down", "is thrown" to "are thrown"."""
    first, _, rest = verb.partition(" ")
    many = {"is": "are", "flies": "fly", "crashes": "crash"}.get(first, first.removesuffix("s"))
    return f"{many} {rest}".strip()


LENSES_MM = (24, 35, 50, 85, 100)

LEXICON: dict[str, dict[str, Words]] = {
    "kind": {
        "ball": _w("ball|sphere", "orb|globe|marble|balls|spheres|football|basketball", "球", "圓球|球體|皮球"),
        "cube": _w("cube|box|block", "crate|dice|cubes|boxes|blocks|crates", "方塊|立方體", "箱子|方箱|盒子|積木"),
        "cylinder": _w("cylinder|drum", "barrel|can|log|tube|cylinders|drums|barrels|cans", "圓柱|圓筒", "圓柱體|桶|罐子"),
        "cone": _w("cone", "traffic cone|pyramid|funnel|cones", "圓錐", "錐體|圓錐體|三角錐"),
        "domino": _w("dominoes", "domino|domino tiles|tiles in a row", "骨牌", "多米諾骨牌|多米諾"),
        "turbine": _w(
            "wind turbine|wind turbines", "windmill|windmills|wind farm|turbine|turbines|wind power", "風力發電機|風機", "風車|風電|風電場"
        ),
        "panel": _w(
            "solar panels|solar panel",
            "solar farm|photovoltaic panels|photovoltaics|pv panels|solar",
            "太陽能板|光電板",
            "光伏板|光伏|太陽能",
        ),
    },
    "color": {
        "red": _w("red", "crimson|scarlet|ruby", "紅色", "紅|赤色"),
        "orange": _w("orange", "tangerine", "橙色", "橘色|橙"),
        "yellow": _w("yellow", "golden|gold|amber", "黃色", "黃|金色"),
        "green": _w("green", "emerald|lime|olive", "綠色", "綠"),
        "blue": _w("blue", "azure|navy|cobalt", "藍色", "藍"),
        "purple": _w("purple", "violet|lilac", "紫色", "紫"),
        "pink": _w("pink", "rosy|salmon", "粉紅色", "粉色|粉紅"),
        "white": _w("white", "ivory|pale", "白色", "白"),
        "black": _w("black", "dark|ebony", "黑色", "黑"),
        "brown": _w("brown", "chestnut|tan", "棕色", "褐色|咖啡色"),
        "cyan": _w("cyan", "turquoise|teal", "青色", "青綠色|青"),
    },
    "material": {
        "matte": _w("matte|rubber", "dull|clay|wooden", "霧面", "啞光|橡膠|木頭"),
        "glossy": _w("shiny|glossy", "polished|plastic|smooth", "亮面", "光滑|塑膠"),
        "metal": _w("metal|chrome", "metallic|steel|iron|silver", "金屬", "鋼|不鏽鋼"),
    },
    "pattern": {"striped": _w("striped", "stripy|stripes|banded", "條紋")},
    "size": {
        "small": _w("small", "tiny|little", "小"),
        "large": _w("large|big", "huge|giant|tall", "大", "巨大|高大"),
    },
    "count": {
        "2": _w("two", "2|a pair of|both", "兩", "二|兩個"),
        "3": _w("three", "3", "三"),
        "4": _w("four", "4|several|many", "四"),
        "5": _w("five", "5", "五"),
        "6": _w("six", "6", "六"),
        "7": _w("seven", "7", "七"),
        "8": _w("eight", "8", "八"),
        "9": _w("nine", "9", "九"),
        "10": _w("ten", "10", "十"),
    },
    "event": {
        "fall": _w("falls to the ground|drops from above", "falls|fall|falling|drops|drop|dropping|falls down", "落下|掉落", "墜落|掉下"),
        "bounce": _w("bounces up and down|bounces", "bounce|bouncing|hops", "彈跳", "彈起|反彈|跳動"),
        "roll": _w("rolls|rolls along", "roll|rolling|rolls across", "滾動", "滾|滾過"),
        "collide": _w("crashes into|collides with", "collide|collides|collision|hits|hit|crash|crashes|bumps into", "撞上", "相撞|碰撞|撞"),
        "pendulum": _w("swings like a pendulum|swings on a string", "swings|swinging|swing|pendulum", "像鐘擺一樣擺動|擺動", "鐘擺|擺盪"),
        "domino": _w("topple one after another|fall in a chain", "chain reaction|falling dominoes", "依次倒下", "接連倒下|連鎖倒下"),
        "topple": _w("topples over|collapses", "topple|toppling|tumbles|collapse|tips over|tower falls", "倒塌", "崩塌|翻倒|倒下"),
        "projectile": _w(
            "flies through the air|is thrown", "flies|flying|thrown|throw|launched|is launched|projectile", "拋出", "拋射|飛過空中|拋物線"
        ),
        "turn": _w("turning|rotating", "turn|turns|spinning|spin|spins|rotate|rotates", "轉動|旋轉", "運轉"),
        "still": _w("stands still|rests", "rest|still life|still|stands|motionless|resting", "靜止", "靜物|不動|擺著"),
    },
    "heading": {
        "left": _w("to the left", "leftwards|leftward|from right to left", "向左", "往左"),
        "right": _w("to the right", "rightwards|rightward|from left to right", "向右", "往右"),
    },
    "speed": {
        "slow": _w("slowly|gently", "slow|slow motion", "緩慢", "慢慢|慢|慢動作"),
        "fast": _w("fast|quickly", "rapidly|quick|rapid", "快速", "快|飛快"),
    },
    "move": {
        "static": _w("static camera|locked-off shot", "fixed camera|tripod|static shot|camera fixed", "固定鏡頭", "固定機位|定鏡"),
        "pan": _w("panning camera", "pan|pans|panning|the camera pans", "搖鏡", "橫搖"),
        "pan-left": _w("the camera pans left", "pan left|pans left|panning left|pan to the left", "鏡頭左搖", "左搖|向左搖鏡|向左橫搖"),
        "pan-right": _w(
            "the camera pans right", "pan right|pans right|panning right|pan to the right", "鏡頭右搖", "右搖|向右搖鏡|向右橫搖"
        ),
        "tilt-up": _w("the camera tilts up", "tilt up|tilts up|tilting up", "鏡頭上搖", "上搖|向上搖鏡"),
        "tilt-down": _w("the camera tilts down", "tilt down|tilts down|tilting down", "鏡頭下搖", "下搖|向下搖鏡"),
        "track": _w("tracking shot", "track|tracking|trucking shot|parallel tracking|follow shot", "平移跟拍", "跟拍|移鏡|平移"),
        "track-left": _w("the camera tracks left", "track left|truck left|trucks left|tracking left", "向左平移跟拍", "向左移鏡|左移"),
        "track-right": _w(
            "the camera tracks right", "track right|truck right|trucks right|tracking right", "向右平移跟拍", "向右移鏡|右移"
        ),
        "dolly-in": _w("the camera dollies in|slow push-in", "dolly in|push in|push-in|dollies in|moves closer", "推鏡", "推近|推進"),
        "dolly-out": _w("the camera pulls back|dolly out", "pull back|pull out|pulls out|dollies out", "拉鏡", "拉遠|後拉"),
        "zoom-in": _w("the lens zooms in|zoom in", "zooms in|zooming in", "變焦放大", "放大|拉近"),
        "zoom-out": _w("the lens zooms out|zoom out", "zooms out|zooming out", "變焦縮小", "縮小"),
        "orbit": _w("drone orbit|circling camera", "orbit|orbits|orbiting|arc shot|circling|orbit shot", "環繞航拍", "環繞|環拍"),
        "orbit-left": _w("the drone orbits left", "orbit left|orbits left|orbiting left", "向左環繞航拍", "向左環繞"),
        "orbit-right": _w("the drone orbits right", "orbit right|orbits right|orbiting right", "向右環繞航拍", "向右環繞"),
        "flyover": _w("drone fly-over|flying over the scene", "flyover|fly-over|fly over|flies over|flying over", "航拍飛越", "飛越"),
        "aerial": _w("drone shot|aerial shot", "drone|aerial|drone footage|aerial view", "航拍", "空拍|無人機|無人機航拍"),
        "crane-up": _w("the camera cranes up|crane up", "cranes up|rising camera|boom up", "升鏡", "鏡頭上升"),
        "crane-down": _w("the camera cranes down|crane down", "cranes down|descending camera|boom down", "降鏡", "鏡頭下降"),
    },
    "shot": {
        "macro": _w("macro shot|extreme close-up", "macro|macro lens|extreme close up", "微距", "大特寫|微距鏡頭"),
        "close-up": _w("close-up|close shot", "close up|closeup|tight shot", "特寫"),
        "near": _w("medium close-up|near shot", "medium close up|near", "近景"),
        "medium": _w("medium shot|mid shot", "medium|waist shot", "中景"),
        "wide": _w("wide shot|long shot", "wide|establishing shot|wide angle|wide-angle|full shot|very wide", "遠景|全景", "廣角|大遠景"),
    },
    "lens": {str(mm): _w(f"{mm} mm lens|{mm} mm", f"{mm}mm|{mm}mm lens", f"{mm} 毫米鏡頭", f"{mm}毫米|{mm} 毫米") for mm in LENSES_MM},
    "angle": {
        "low": _w("low angle", "low-angle|from below|worm's-eye view|low angle shot", "低角度", "仰拍|仰視"),
        "eye": _w("eye level", "eye-level", "平視"),
        "high": _w(
            "high angle|from above", "high-angle|bird's-eye view|birds-eye view|top view|high angle shot", "俯拍", "高角度|俯視|鳥瞰"
        ),
    },
    "time": {
        "dawn": _w("at dawn|in early morning light", "dawn|sunrise|early morning|morning|daybreak", "黎明|清晨", "日出|早晨|早上"),
        "noon": _w("at noon|in bright daylight", "noon|midday|daylight|daytime|day|bright", "正午|白天", "中午|日間"),
        "dusk": _w("at dusk|at sunset", "dusk|sunset|evening|golden hour|twilight|sundown", "黃昏|日落", "傍晚|夕陽|暮色"),
        "night": _w("at night|under the moonlight", "night|moonlight|midnight|nighttime|moonlit", "夜晚|月光下", "夜|深夜|夜間|晚上|月光"),
    },
    "weather": {
        "clear": _w("under a clear sky", "clear sky|clear|sunny|cloudless|blue sky", "晴朗", "晴天|晴|藍天"),
        "cloudy": _w("with scattered clouds", "cloudy|clouds|partly cloudy|cloud", "多雲", "白雲|雲"),
        "overcast": _w("under an overcast sky", "overcast|grey sky|gray sky|gloomy", "陰天", "陰沉|灰天"),
        "fog": _w("in thick fog|in the mist", "fog|foggy|mist|misty|haze|hazy", "濃霧|霧中", "霧|大霧|薄霧"),
    },
    "ground": {
        "grass": _w("grass|meadow", "lawn|field|green field|grassland", "草地", "草原|草坪|田野"),
        "sand": _w("sand", "desert|dunes|sandy ground", "沙地", "沙|沙漠"),
        "pavement": _w("pavement|stone tiles", "paved square|street|road|plaza|concrete|asphalt|square", "石板地", "路面|街道|廣場|水泥地"),
        "snow": _w("snow", "snowy|ice|snowfield|winter", "雪地", "雪|冰"),
        "sea": _w("sea|ocean", "water|offshore|waves", "海面", "大海|海|海上|海洋"),
        "checker": _w(
            "checkered floor", "checkerboard|chessboard|checkerboard floor|checkered|chequered floor", "棋盤格地板", "棋盤|格子地板"
        ),
    },
    "place": {
        "beach": _w("by the sea|on a beach", "beach|coast|shore|seaside", "海邊", "沙灘|海灘|海岸"),
        "hills": _w("hills in the distance", "hills|mountains|hill|mountain|hilly", "遠處有山丘", "山丘|遠山|山"),
    },
    "mood": {
        "lonely": _w(
            "lonely mood|a solitary atmosphere", "lonely|solitary|melancholic|sad|alone|desolate|loneliness", "孤獨", "寂寞|孤單|憂鬱|淒涼"
        ),
        "lively": _w("lively mood|a cheerful atmosphere", "lively|cheerful|busy|joyful|happy|playful|energetic", "熱鬧", "歡樂|活潑|快樂"),
        "calm": _w("calm mood|a peaceful atmosphere", "calm|peaceful|serene|quiet|tranquil|relaxed", "平靜", "寧靜|安靜|祥和"),
        "tense": _w("tense mood|a dramatic atmosphere", "tense|dramatic|threatening|ominous", "緊張", "戲劇性|壓迫"),
        "mysterious": _w("mysterious mood|an eerie atmosphere", "mysterious|eerie|dreamy|mystical|enigmatic", "神秘", "詭異|夢幻"),
    },
}
VOCABULARY: tuple[str, ...] = tuple(f"{slot}={value}" for slot, values in LEXICON.items() for value in values)

# Characters of the lexicon that the two scripts write differently, in pairs. Input is folded to the simplified one before it is read.
_TRADITIONAL = "圓體塊積錐諾風發電機車場陽紅黃綠藍鏽鋼啞膠頭屬條紋兩墜彈滾過鐘擺樣盪連鎖拋飛轉運靜動著緩鏡橫搖鏈進變縮環繞無頂寫遠廣視鳥間雲陰濃霧麗盤邊灘處獨憂熱鬧歡樂潑寧張戲劇壓詭異夢釐個與圍畫裡從後單線緊涼淒鬱時這們輛隻為裏顆"
_SIMPLIFIED = "圆体块积锥诺风发电机车场阳红黄绿蓝锈钢哑胶头属条纹两坠弹滚过钟摆样荡连锁抛飞转运静动着缓镜横摇链进变缩环绕无顶写远广视鸟间云阴浓雾丽盘边滩处独忧热闹欢乐泼宁张戏剧压诡异梦厘个与围画里从后单线紧凉凄郁时这们辆只为里颗"
_FOLD = str.maketrans(_TRADITIONAL, _SIMPLIFIED)


def simplified(text: str) -> str:
    """Chinese text of the lexicon in simplified script; other characters stay."""
    return text.translate(_FOLD)


# Words that say nothing about the picture, or nothing that their neighbours do not.
_SMALL_ENGLISH = """
a an the of on in at with and is are to from by into under over across along as it its this that there be being each they them one
camera scene view video clip mood atmosphere lens light sky shot moving moves next while up down row field some very
film footage cinematic 4k hd realistic beautiful against onto above behind front middle for s
"""
_SMALL = frozenset(_SMALL_ENGLISH.split())
_SMALL_CHINESE = simplified("的了在個時座塊張片和與上下中著地是有氛圍鏡頭畫面從一與裡天空隻顆排它們把被向這那裏以及為")
_MM = re.compile(r"(\d{1,4})\s*(?:-\s*)?(?:mm|毫米|厘米镜|公厘)")


@dataclass(frozen=True)
class Reading:
    """What was read in a prompt: tokens in order, values per slot, and the words understood and not understood."""

    tokens: tuple[str, ...]
    fields: dict[str, tuple[str, ...]]
    understood: tuple[str, ...]
    not_understood: tuple[str, ...]


def _is_chinese(phrase: str) -> bool:
    return any("\u3400" <= c <= "\u9fff" for c in phrase)


@functools.cache
def _phrases() -> tuple[dict[str, str], re.Pattern[str]]:
    """Phrase to token, and one expression that finds the longest phrase, a number of millimetres, a word, or a Chinese character."""
    table = {simplified(p): f"{slot}={value}" for slot, values in LEXICON.items() for value, words in values.items() for p in words.all}
    table |= {plural(p): f"event={value}" for value, words in LEXICON["event"].items() for p in words.english}
    chinese = sorted((p for p in table if _is_chinese(p)), key=len, reverse=True)
    english = sorted((p for p in table if not _is_chinese(p)), key=len, reverse=True)
    latin = "|".join(re.escape(p).replace(r"\ ", r"\s+") for p in english)
    pattern = rf"(?P<mm>{_MM.pattern})|(?P<zh>{'|'.join(map(re.escape, chinese))})|(?<![\w])(?P<en>{latin})(?![\w])"
    return table, re.compile(pattern + r"|(?P<han>[\u3400-\u9fff])|(?P<word>[^\W_](?:[\w'’-]*\w)?)")


def nearest_lens(mm: float) -> str:
    """The lens of the lexicon nearest to a focal length, by ratio."""
    return str(min(LENSES_MM, key=lambda known: max(known / mm, mm / known)))


def spans(text: str) -> list[tuple[int, int, str | None]]:
    """Every word that says something, as (start, end, token); the token is None where the lexicon does not know it."""
    table, pattern = _phrases()
    out: list[tuple[int, int, str | None]] = []
    run_ends = -1  # where the last unknown Chinese character ended, so that neighbours make one word
    for match in pattern.finditer(_folded(text)):
        found, (start, end) = match.group(), match.span()
        if match.lastgroup == "han":
            if found in _SMALL_CHINESE:
                continue
            if run_ends == start:
                start = out.pop()[0]
            run_ends = end
            out.append((start, end, None))
        elif match.group("mm"):
            millimetres = int(re.findall(r"\d+", found)[0])
            out.append((start, end, f"lens={nearest_lens(max(millimetres, 1))}"))
        elif match.lastgroup in ("zh", "en"):
            out.append((start, end, table[re.sub(r"\s+", " ", found)]))
        elif found not in _SMALL:
            out.append((start, end, None))
    return out


def _folded(text: str) -> str:
    """Lower case and simplified script, character by character, so that places stay."""
    return simplified("".join(c.lower() if len(c.lower()) == 1 else c for c in text))


def read(text: str) -> Reading:
    """Read free text. Never fails; what it does not know it says."""
    folded = _folded(text)
    tokens: list[str] = []
    fields: dict[str, list[str]] = {}
    known: list[str] = []
    unknown: list[str] = []
    for start, end, token in spans(text):
        if token is None:
            tokens.append("~" + folded[start:end])
            unknown.append(text[start:end].lower())
            continue
        slot, value = token.split("=", 1)
        tokens.append(token)
        known.append(text[start:end].lower())
        if value not in fields.setdefault(slot, []):
            fields[slot].append(value)
    once = {slot: tuple(values) for slot, values in fields.items()}
    return Reading(tuple(tokens), once, tuple(dict.fromkeys(known)), tuple(dict.fromkeys(unknown)))


def controls(
    *,
    move: str | None = None,
    lens_mm: float | None = None,
    shot: str | None = None,
    angle: str | None = None,
    light: str | None = None,
    mood: str | None = None,
) -> tuple[str, ...]:
    """Tokens of explicit controls. ShotError if a value is not one of the lexicon's."""
    tokens = []
    for slot, said, value in (
        ("shot", "shot", shot),
        ("angle", "angle", angle),
        ("move", "camera move", move),
        ("time", "light", light),
        ("mood", "mood", mood),
    ):
        if value is None:
            continue
        name = value.strip().lower().replace("_", "-")
        if name not in LEXICON[slot]:
            raise ShotError(f"{said} {value[:80]!r} is unknown; use one of {', '.join(LEXICON[slot])}")
        tokens.append(f"{slot}={name}")
    if lens_mm is not None:
        if not 8 <= lens_mm <= 1200:
            raise ShotError(f"a lens of {lens_mm:g} mm does not exist here; use 8 to 1200 (spark knows {', '.join(map(str, LENSES_MM))})")
        tokens.append(f"lens={nearest_lens(lens_mm)}")
    return tuple(tokens)


def merge(reading: Reading, extra: Iterable[str]) -> tuple[str, ...]:
    """The prompt's tokens with explicit ones at the end; an explicit value replaces the prompt's in its slot."""
    extra = tuple(extra)
    taken = {token.split("=", 1)[0] for token in extra}
    return tuple(t for t in reading.tokens if t.startswith("~") or t.split("=", 1)[0] not in taken) + extra
