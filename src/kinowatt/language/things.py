"""Words for what is in the picture: kinds of things, how many, what happens to them, which way and how fast."""

from __future__ import annotations

from kinowatt.language.forms import Words, nouns, verbs, words

KIND: dict[str, Words] = {
    "ball": nouns(
        "ball|sphere|orb|globe|beach ball|marble|rubber ball|bowling ball|football|basketball|toy ball|billiard ball|soccer ball"
        "|tennis ball"
        "|round ball|bead|spheroid|playing ball|bouncy ball",
        "golf ball|volleyball|bauble|snooker ball|pool ball|wrecking ball|kickball|ping-pong ball|cannonball",
        "球|圓球|球體|皮球|小圓球|彈力球|足球|籃球|珠子|彈珠|玩具球|保齡球|撞球|網球|排球|橡皮球|鐵球|球狀物",
        "玻璃珠|水晶球|乒乓球|高爾夫球|圓珠|彈跳球|沙灘球|鋼珠",
    ),
    "cube": nouns(
        "cube|box|block|crate|square block|dice|toy block|building block|brick|cubic block|square box|cuboid|wooden box|packing case|parcel"
        "|toy cube|carton|package",
        "cubical|square brick|hexahedron|container|boxy object",
        "方塊|立方體|箱子|方箱|盒子|積木|正方體|方盒|骰子|磚塊|木箱|紙箱|方形箱子|立方塊|方形盒子|方磚|方形積木|包裹|正立方體|匣子",
        "貨箱|魔術方塊|四方體|箱|盒|磚|長方體",
    ),
    "cylinder": nouns(
        "cylinder|drum|barrel|tube|log|tin|oil drum|canister|keg|round column|pillar|pipe|roller|tin can|cask|round post|steel drum"
        "|cylindrical block|spool",
        "tank|cylindrical object",
        "圓柱|圓筒|圓柱體|桶|罐子|鐵桶|圓桶|油桶|鐵罐|柱子|滾筒|木桶|圓木|管子|圓管|柱體|汽油桶|易開罐|筒狀物|罐頭",
        "桶子|罐|水桶|圓罐|柱|筒",
    ),
    "cone": nouns(
        "cone|traffic cone|pyramid|funnel|pointed cone|road cone|party hat|spike|toy cone|cone shape|tipi|pointed hat|conical block"
        "|spinning top"
        "|ice-cream cone|pylon|safety cone|tepee|wizard hat|conical object",
        "conical|ice cream cone|cone-shaped object",
        "圓錐|錐體|圓錐體|三角錐|交通錐|錐形體|漏斗|尖錐|路錐|金字塔|錐形物|圓錐形|尖帽|派對帽|尖塔|甜筒|安全錐|錐子|尖頂帽|圓錐積木",
        "錐形|角錐|錐|雪糕筒",
    ),
    "domino": nouns(
        "domino|domino tile|domino piece|standing tile|domino stone|upright tile|game tile|domino brick|tile|standing domino"
        "|flat standing block"
        "",
        "dominos|domino row|line of dominoes|tiles in a row|rows of dominoes|chain of dominoes",
        "骨牌|多米諾骨牌|多米諾|骨牌片|直立的骨牌|牌片|立著的骨牌|骨牌塊|牌塊|多米諾牌|直立牌塊",
        "一排骨牌|牌九|麻將|一列骨牌|排好的骨牌|骨牌陣",
    ),
    "turbine": nouns(
        "wind turbine|windmill|turbine|wind generator|wind power turbine|wind engine|wind tower|three-bladed turbine|wind power plant"
        "|wind machine|wind-energy turbine|wind energy converter|three-bladed wind turbine|tall wind turbine|wind-power generator",
        "wind farm|wind power|wind park|wind energy|rotor|turbine blades|blades|rotor blades|wind mill|row of wind turbines",
        "風力發電機|風機|風車|風力渦輪機|風電機組|風力機|風力發電塔|發電風車|三葉風機|風電塔|風力發電機組|大風車|風輪機|白色風車|風渦輪",
        "風電|風電場|風力發電|風場|渦輪機|扇葉|葉片|風力發電廠",
    ),
    "panel": nouns(
        "solar panel|photovoltaic panel|solar module|PV panel|solar collector|PV module|photovoltaic module|sun panel|solar array panel"
        "|solar cell panel|solar electricity panel|solar power panel|tilted solar panel|solar cell|solar generator",
        "solar farm|photovoltaics|solar|PV|solar park|solar array|solar power|solar energy|solar plant|solar field|photovoltaic"
        "|solar power plant",
        "太陽能板|光電板|光伏板|太陽能電池板|光伏組件|太陽能面板|太陽能模組|太陽電池板|光電模組|太陽能光電板|傾斜的太陽能板|太陽光電板"
        "|光伏面板|太陽能發電板|集光板",
        "光伏|太陽能|光電|太陽能電廠|太陽能電站|太陽能發電|光伏電站|太陽能電池|太陽光電",
    ),
    "torus": nouns(
        "torus|ring|donut|doughnut|hoop|tyre|tire|bagel|inner tube|swim ring|lifebuoy|rubber ring|round ring|toroid|annulus|life ring"
        "|toy ring|quoit|wheel rim|circular ring",
        "tori|life preserver|hula hoop|wheel|ringlet|donut shape|O-ring",
        "圓環|環|甜甜圈|輪胎|救生圈|圓圈|游泳圈|鐵環|套圈|呼拉圈|環形物|圈圈|橡膠圈|環狀物|環面|圓環體|鐵圈|木環|泳圈|貝果",
        "圈|環形|輪子|車輪|圓環面",
    ),
    "capsule": nouns(
        "capsule|pill|lozenge|sausage|tablet|bean|rounded cylinder|pellet|rounded rod|medicine capsule|pill shape|caplet|rounded bar"
        "|round-ended cylinder|oblong pill|bullet shape|gel capsule|jellybean|stubby sausage|round-ended rod",
        "pill-shaped object|capsule shape|bullet|spherocylinder",
        "膠囊|藥丸|膠囊體|藥錠|香腸|膠囊形物體|圓頭柱|藥片|豆子|圓角柱|圓頭圓柱|膠囊形|藥粒|膠囊狀物|糖豆|軟糖|圓頭棒|膠丸|橢圓柱|膠囊積木",
        "子彈形",
    ),
}

_NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_HAN = "二三四五六七八九十"
_MORE_COUNTS = {
    2: ("a pair of|a couple of|a duo of|twin", "both|a pair|a couple|couple of|pair of|twins|dual|double", "兩|一對|一雙|雙", "倆|成對"),
    3: ("a trio of|a threesome of", "trio|trio of|triple|triplet", "三|一組三|總共三", "三重|仨"),
    4: (
        "a quartet of|a foursome of",
        "several|many|numerous|quartet|multiple|various|lots of|handful of|a handful of|bunch of|a bunch of",
        "四|一組四|總共四|共有四",
        "幾個|好幾|多個|許多|數個|很多|一些|一群|若干|眾多|一堆",
    ),
    5: ("a quintet of", "quintet", "五|一組五|總共五|共有五", ""),
    6: ("half a dozen|a half-dozen", "sextet|half-dozen", "六|一組六|總共六|共有六", "半打"),
    7: ("a septet of", "", "七|一組七|總共七|共有七", ""),
    8: ("an octet of", "", "八|一組八|總共八|共有八", ""),
    9: ("a nonet of", "", "九|一組九|總共九", ""),
    10: ("", "a dozen|dozens of|dozen", "十|一組十|總共十", ""),
}


def _count(n: int) -> Words:
    english, also, chinese, chinese_also = _MORE_COUNTS[n]
    name = _NUMBERS[n - 2]
    sets = f"a set of {name}|a total of {name}|exactly {name}|a group of {name}|a cluster of {name}|a collection of {name}"
    return words(f"{name}|{english}|{sets}", str(n), f"{also}|{name} pieces of", chinese, f"{chinese_also}|{_HAN[n - 2]}")


COUNT: dict[str, Words] = {str(n): _count(n) for n in range(2, 11)}

EVENT: dict[str, Words] = {
    "fall": verbs(
        "fall to the ground|drop from above|fall|drop|fall down|plummet|plunge down|drop to the ground|come down from above"
        "|fall from the sky"
        "|drop out of the air|plunge to the ground|fall straight down|descend in free fall|drop down|crash down|cascade down"
        "|land with a thud"
        "|tumble out of the sky|plop down",
        "free fall|free-falling|drops down from the sky|fell|dropped|raining down|comes falling down|come falling down",
        "落下|掉落|從上方落下|墜落|掉下|從空中落下|掉到地上|自由落下|從天而降|往下掉|下墜|跌落|落到地上|直直落下|掉下來|砸下來"
        "|從高處掉下|自高處墜下|落地|垂直落下",
        "自由落體|落下來|墜下|下落|跌下|掉在地上|摔下|摔落|落在",
    ),
    "bounce": verbs(
        "bounce up and down|bounce|hop|bounce repeatedly|rebound|hop up and down|bounce around|spring up and down|jump up and down"
        "|bob up and down"
        "|bounce off the ground|bounce again and again|leap up and down|skip up and down|boing up and down|bounce on the spot|jounce"
        "|rebound from the floor|bound up and down|hop about",
        "dribble|jump|leap|bouncy|bounces high|bounces back|springs back|bounced|keep bouncing|keeps bouncing",
        "彈跳|上下彈跳|彈起|反彈|跳動|蹦跳|不停彈跳|蹦蹦跳跳|上下跳動|一跳一跳|彈來彈去|連續彈跳|落地彈起|跳躍|彈上彈下|一蹦一跳"
        "|來回彈跳|彈跳不停|原地彈跳|反覆彈跳",
        "跳|蹦|彈|跳起|跳來跳去|彈回|彈跳著",
    ),
    "roll": verbs(
        "roll along|roll|roll across the ground|trundle along|roll over the ground|roll by|roll onward|roll past|wheel along|roll forward"
        "|roll from one side to the other|trundle past|roll steadily onward|bowl along|travel along rolling|rumble along|roll evenly along"
        "|roll over and over|trundle|roll on",
        "rolls across|rolling across|roll across|roll over|rolling over|roll away|rolls away|rolls down|roll down|rolling down|rolled"
        "|tumbles along|keeps rolling|keep rolling|comes rolling|goes rolling",
        "滾動|滾過|滾|滾動前進|一路滾動|骨碌碌滾動|不停滾動|滾過地面|翻滾前進|沿地面滾動|滾動而過|滾滾向前|向前滾動|咕嚕咕嚕滾動"
        "|持續滾動|貼地滾動|滾著前進|骨碌碌地滾|滾動經過|一直滾",
        "翻滾|滾來滾去|滾走|滾下|滾動著|滾開",
    ),
    "collide": verbs(
        "crash into|collide with|hit|smash into|bump into|run into|slam into|strike|ram into|knock into|bang into|impact|ram|crash against"
        "|bump against|knock against|hit against|clash with|bash into|barge into|slam against",
        "collide|collision|crash|bump|smash|impacts with|crashes together|collide together|smash together|bump into each other|knock"
        "|hits it"
        "|collide with each other|collisions",
        "撞上|撞到|撞擊|碰撞|衝撞|撞向|迎面撞上|狠狠撞上|碰到|撞|猛撞|衝向|碰上|直撞|撞進|迎頭撞上|磕到|碰撞到|擊中|一頭撞上",
        "相撞|互撞|對撞|碰|打中|撞在一起|碰在一起|相碰",
    ),
    "pendulum": verbs(
        "swing like a pendulum|swing on a string|swing back and forth|sway to and fro|swing from a rope|swing|oscillate|dangle and swing"
        "|swing to and fro|sway on a rope|swing from side to side|rock back and forth|hang swinging from a string|swing on a rope"
        "|oscillate like a pendulum|sway from side to side|sway like a pendulum|swing freely on a cord|sway back and forth"
        "|swing through an arc",
        "pendulum|pendulums|sway|dangle|hang from a string|hangs from a rope|hangs on a string|on a string|on a rope|back and forth"
        "|hanging from a string|hanging from a rope|suspended from a rope|newton's cradle",
        "像鐘擺一樣擺動|擺動|來回擺動|來回擺盪|擺盪|左右擺動|繫著繩子擺動|如鐘擺般來回|懸在繩上擺動|盪來盪去|吊著擺動|左右搖擺|晃來晃去"
        "|來回晃動|像單擺一樣擺動|懸掛擺動|吊在繩上晃動|盪著擺動|往復擺動|吊著晃盪",
        "鐘擺|單擺|搖擺|擺錘|晃動|盪鞦韆|懸掛|吊著|搖晃|擺來擺去|搖來搖去",
    ),
    "domino": verbs(
        "topple one after another|fall in a chain|fall one by one|knock each other over|tumble in a chain reaction"
        "|fall one after another|topple in sequence"
        "|fall like dominoes|go down one after another|tip over in a chain|fall in a row|collapse in a chain reaction|topple in a wave"
        "|fall over one by one|knock one another down|topple in turn|fall one after the other|tumble one by one|tip over one by one"
        "|go down in a chain reaction|fall over in sequence",
        "chain reaction|domino effect|knock over the next|chain of falling|one after another|one by one|toppling dominoes|falling dominoes",
        "依次倒下|接連倒下|連鎖倒下|一個接一個倒下|相繼倒下|陸續倒下|逐一倒下|連環倒下|像骨牌一樣倒下|一張張倒下|依序倒下|連鎖反應般倒下"
        "|一片片倒下|接二連三倒下|逐個倒下|挨個倒下|先後倒下|一路倒下|連續倒下|一張接一張倒下",
        "連鎖反應|骨牌效應|推倒|一個接一個|多米諾效應",
    ),
    "topple": verbs(
        "topple over|collapse|tip over|tumble to the ground|fall apart|tumble down|cave in|fall in a heap|crumble|give way"
        "|collapse in a heap|keel over|lose balance and fall|collapse to the ground|fall over|fall over sideways|crash to the ground"
        "|buckle and fall|crumple|lose balance and tip over",
        "topple|tumble|tower falls|stack falls|tower collapses|knocked over|stack|tower|falling tower|pile|stacked|collapsing tower"
        "|falls over|comes tumbling down|comes crashing down|come crashing down|goes tumbling down",
        "倒塌|崩塌|翻倒|倒下|垮下來|塌下來|傾倒|坍塌|散落倒塌|轟然倒塌|歪倒|頹然倒下|失去平衡倒下|整堆倒塌|垮掉|塌陷|倒成一堆|散架"
        "|嘩啦倒下|應聲倒下",
        "倒|崩落|疊塔|積木塔|堆疊|搖搖欲墜|搖搖欲墜後倒下|垮|塌|疊起來|倒落|崩解",
    ),
    "projectile": verbs(
        "fly through the air|be thrown|be launched|be hurled|sail through the air|be tossed|soar through the air|shoot through the air"
        "|follow an arc through the air|be flung|arc through the air|be lobbed|be catapulted|be pitched into the air|trace a parabola"
        "|curve through the air|be cast into the air|be slung|be propelled into the air|fly in a high arc",
        "fly|throw|toss|launch|thrown|launched|projectile|hurl|hurled|tossed|lob|fling|parabola|ballistic|catapult|flung|cannon"
        "|thrown into the air"
        "|flies through the sky",
        "拋出|拋射|飛過空中|拋物線飛行|被拋出|被丟出|被扔出|飛出|劃過空中|凌空飛過|彈射|被拋向空中|拋飛|被投擲|投射|呈拋物線飛出"
        "|騰空飛出|飛向空中|被甩出|甩飛",
        "拋物線|丟|扔|投擲|拋|飛|發射|射出|丟出去|扔出去|拋起|飛行",
    ),
    "turn": verbs(
        "turn|rotate|spin|turn evenly|turn steadily|spin round|rotate steadily|revolve|turn in the wind|spin in the wind|whirl"
        "|go round and round"
        "|spin around|turn round and round|rotate in the wind|turn with the wind|whirl around|revolve steadily|wheel round|twirl",
        "gyrate|rotation|spinning around|revolution|turning around|rotational|keep turning|keeps turning|keep spinning|keeps spinning",
        "轉動|旋轉|運轉|不停轉動|迎風轉動|隨風轉動|轉個不停|徐徐旋轉|規律轉動|持續旋轉|一圈圈轉動|迎風旋轉|穩定運轉|打轉|隨風旋轉|轉呀轉"
        "|不斷旋轉|自轉|悠悠轉動|回轉",
        "轉|轉著|轉圈|迴轉|旋轉著|發電",
    ),
    "still": verbs(
        "stand still|rest|lie still|stay put|sit still|wait motionless|stand motionless|rest in place|remain still|stand in place"
        "|stay perfectly still"
        "|remain in place|sit motionless|lie motionless|rest quietly|stand quietly|remain motionless|stay in place|repose|sit there",
        "still life|still|motionless|stand|standing|stands|sit|sits|sitting|lie|lies|lying|immobile|unmoving|stationary|not moving"
        "|does not move|doesn't move|at rest|is at rest|are at rest|do not move|don't move",
        "靜止|不動|擺著|靜靜擺著|靜靜立著|一動不動|靜置|靜靜放著|靜止不動|安放|擺放|原地不動|穩穩立著|停著|紋絲不動|默默立著|靜物般擺著"
        "|置於原地|佇立|靜立",
        "靜物|站|站在|站著|擺|擺在|放在|立在|靜靜立在|靜靜躺在|躺在|躺著|放著|立著|擺設|放置|靜靜的|停止|坐落",
    ),
    "wind": verbs(
        "be blown along by the wind|drift in the wind|be swept along by a gust|tumble in the breeze|be pushed by the wind"
        "|be carried by the wind"
        "|be blown away|be driven by the wind|be swept away by the wind|drift on the breeze|skitter before the wind|be buffeted by the wind"
        "|be moved along by a breeze|be blown about|be chased along by the wind|be caught by the wind|scud before the wind"
        "|be blown sideways"
        "|be tossed about by the wind|slide along in the wind",
        "wind|windy|wind-blown|windblown|breeze|breezy|gust|gusts|gusty|blow|blown by the wind|blown|strong wind|gale|blows|blowing"
        "|wind blowing|storm|stormy|in the wind"
        "|wind blows|the wind blows|blustery|howling wind",
        "被風吹動|隨風飄移|被風吹走|被風吹著跑|隨風滾動|被大風吹動|被強風推動|隨風移動|被風颳走|順風飄動|隨風翻滾|讓風吹著走|被風帶走"
        "|乘風而去|被陣風掃過|給風吹跑|被狂風推著走|被風推動|迎著風飄動|在風中移動",
        "風|吹|吹動|吹走|颳風|大風|微風|強風|狂風|風吹|有風|陣風|隨風|暴風|刮風|起風|風中",
    ),
}

HEADING: dict[str, Words] = {
    "left": words(
        "to the left|leftwards|from right to left|toward the left|leftward|off to the left|to the left-hand side|in the left direction"
        "|towards the left side|towards the left edge|to the viewer's left|toward the left-hand edge|out to the left|over to the left"
        "|to the left side|in a leftward direction",
        "",
        "left|towards the left|on the left|right-to-left|heading left|going left|moving left",
        "向左|往左|從右往左|由右向左|朝左|往左邊|向左側|朝左邊|從右邊往左邊|往左方|向左方|朝左側|自右向左|由右至左|往左側|朝著左邊",
        "左|從右滾到左|從右飛到左|左邊|向左邊|從右到左|左側|左方|由右往左|從右向左",
    ),
    "right": words(
        "to the right|rightwards|from left to right|toward the right|rightward|off to the right|to the right-hand side"
        "|in the right direction"
        "|towards the right side|towards the right edge|to the viewer's right|toward the right-hand edge|out to the right|over to the right"
        "|to the right side|in a rightward direction",
        "",
        "right|towards the right|on the right|left-to-right|heading right|going right|moving right",
        "向右|往右|從左往右|由左向右|朝右|往右邊|向右側|朝右邊|從左邊往右邊|往右方|向右方|朝右側|自左向右|由左至右|往右側|朝著右邊",
        "右|從左滾到右|從左飛到右|右邊|向右邊|從左到右|右側|右方|由左往右|從左向右",
    ),
}

SPEED: dict[str, Words] = {
    "slow": words(
        "slowly|gently|at a slow pace|unhurriedly|leisurely|sluggishly|at a leisurely pace|lazily|at low speed|without haste|gradually"
        "|ever so slowly"
        "|at walking pace|at a snail's pace|steadily and slowly|sedately|with little speed|languidly|at a gentle pace|very slowly",
        "slow|slow motion",
        "gentle|slow-motion|slow-moving|slomo|slow-mo|slower|smoothly and slowly|ponderously|calmly and slowly|super slow motion",
        "緩慢|慢慢|緩緩|徐徐|慢速|不疾不徐|慢吞吞|輕緩|悠悠|低速|慢悠悠|不慌不忙|遲緩|慢條斯理|平緩|從容|懶洋洋|緩速|悠緩|徐緩",
        "慢|慢動作|慢鏡頭|很慢|漸漸|升格|慢速度",
    ),
    "fast": words(
        "fast|quickly|rapidly|swiftly|at high speed|speedily|at great speed|briskly|at full speed|hurriedly|in a rush|with great speed"
        "|at a fast pace"
        "|at a rapid pace|in a flash|hastily|at top speed|like lightning|at full tilt|with lightning speed|very fast",
        "quick|rapid|high-speed",
        "speedy|swift|speeding|fast-moving|faster|fleet|hasty|super fast|super-fast|timelapse|time-lapse|at speed",
        "快速|快|飛快|迅速|高速|急速|疾速|飛速|極快|一溜煙|火速|迅疾|快步|急急|風馳電掣|全速|嗖嗖|風一般|疾風般|快如閃電",
        "很快|快節奏|急|迅猛|快動作|縮時|猛然|急忙|快快",
    ),
}
