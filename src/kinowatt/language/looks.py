"""Words for how a thing looks: its colour, material, pattern and size."""

from __future__ import annotations

from kinowatt.language.forms import Words, words

COLOR: dict[str, Words] = {
    "red": words(
        "red|crimson|scarlet|ruby|bright red|cherry-red|vermilion|deep red|fire-red|carmine|ruby-red|blood-red|tomato-red|cardinal red"
        "|vivid red|poppy-red|strawberry-red|brick-red|rosy-red|lipstick-red|signal red|fiery red",
        "",
        "dark red|maroon|reddish|burgundy|light red|wine-red",
        "紅色|紅|鮮紅色|大紅色|深紅色|赤色|朱紅色|火紅色|緋紅色|猩紅色|血紅色|正紅色|亮紅色|赤紅色|艷紅色|櫻桃紅|豔紅色|番茄紅|玫瑰紅"
        "|寶石紅",
        "鮮紅|朱紅|大紅|深紅|火紅|赤紅|緋紅|酒紅|暗紅|通紅|暗紅色|磚紅|磚紅色|紅通通|酒紅色",
    ),
    "orange": words(
        "orange|tangerine|bright orange|vivid orange|pumpkin-orange|apricot|carrot-coloured|burnt orange|mandarin-coloured|deep orange"
        "|tangerine-coloured|orange-coloured|pumpkin-coloured|carrot-orange|papaya-coloured|persimmon|fiery orange|marigold|neon orange"
        "|apricot-coloured",
        "",
        "dark orange|light orange|orangey|orange-red",
        "橙色|橘色|橙|橘紅色|鮮橙色|亮橙色|橘黃色|深橙色|柳橙色|南瓜色|杏色|亮橘色|橘|胡蘿蔔色|橙黃色|柿子色|橙紅色|鮮橘色|暖橙色|螢光橘",
        "橘黃|橘紅|橙黃|橙紅|桔色|桔黃色|桔紅色",
    ),
    "yellow": words(
        "yellow|lemon-yellow|bright yellow|canary-yellow|amber|sunny yellow|mustard-yellow|vivid yellow|buttercup-yellow|banana-yellow"
        "|sunflower-yellow|saffron|golden-yellow|butter-yellow|corn-yellow|lemon-coloured|honey-coloured|daffodil-yellow|primrose-yellow"
        "|egg-yolk yellow|neon yellow",
        "",
        "golden|gold|mustard|light yellow|pale yellow|yellowish|dark yellow",
        "黃色|黃|鮮黃色|檸檬黃|亮黃色|金黃色|鵝黃色|明黃色|深黃色|香蕉黃|琥珀色|土黃色|嫩黃色|芥末黃|向日葵黃|淡黃色|蛋黃色|奶油黃"
        "|螢光黃|杏黃色",
        "金色|金黃|鮮黃|鵝黃|明黃|淡黃|檸檬色|黃澄澄|檸檬黃色",
    ),
    "green": words(
        "green|emerald|lime-green|olive-green|bright green|forest-green|grass-green|jade-green|emerald-green|apple-green|deep green"
        "|leaf-green"
        "|bottle-green|vivid green|moss-green|pea-green|fern-green|mint-green|pine-green|shamrock-green|spring-green",
        "",
        "lime|olive|jade|dark green|light green|greenish|sea-green",
        "綠色|綠|翠綠色|草綠色|深綠色|鮮綠色|碧綠色|墨綠色|嫩綠色|祖母綠|橄欖綠|森林綠|蘋果綠|亮綠色|青蔥色|薄荷綠|翡翠色|萊姆綠|松綠色"
        "|抹茶色",
        "翠綠|碧綠|墨綠|草綠|嫩綠|深綠|淺綠色|淺綠|淡綠色|綠油油|翡翠綠",
    ),
    "blue": words(
        "blue|azure|navy-blue|cobalt|bright blue|royal-blue|sapphire|deep blue|ultramarine|cobalt-blue|ocean-blue|indigo|electric blue"
        "|sapphire-blue|vivid blue|cornflower-blue|denim-blue|marine-blue|ink-blue|midnight-blue|Prussian blue",
        "",
        "navy|light blue|dark blue|sky-blue|bluish|baby-blue|pale blue",
        "藍色|藍|湛藍色|深藍色|寶藍色|天藍色|蔚藍色|海軍藍|鈷藍色|亮藍色|靛藍色|鮮藍色|海藍色|碧藍色|藏青色|群青色|皇家藍|寶石藍|牛仔藍"
        "|藏藍色",
        "湛藍|蔚藍|寶藍|深藍|天藍|淺藍色|淺藍|水藍色|靛藍|靛色|碧藍|淡藍色",
    ),
    "purple": words(
        "purple|violet|lilac|deep purple|lavender|bright purple|plum-coloured|amethyst|grape-coloured|mauve|vivid purple|royal purple"
        "|aubergine|violet-coloured|plum-purple|grape-purple|heather-coloured|wisteria|orchid-purple|mulberry|regal purple",
        "",
        "plum|dark purple|light purple|purplish|eggplant",
        "紫色|紫|深紫色|紫羅蘭色|淡紫色|薰衣草色|葡萄紫|亮紫色|茄紫色|紫水晶色|鮮紫色|丁香紫|絳紫色|藍紫色|皇家紫|梅紫色|薰衣草紫|紫藤色"
        "|暗紫色|黛紫色",
        "紫紅色|淺紫色|葡萄色|茄子色|紫羅蘭|淺紫",
    ),
    "pink": words(
        "pink|rosy|salmon-pink|bright pink|hot-pink|rose-coloured|bubblegum-pink|blush-pink|flamingo-pink|candy-pink|coral-pink|rose-pink"
        "|soft pink|vivid pink|cherry-blossom pink|pastel pink|baby-pink|peach-pink|carnation-pink|shocking pink|flamingo-coloured",
        "",
        "salmon|magenta|fuchsia|light pink|dark pink|pinkish|coral|peachy",
        "粉紅色|粉色|粉紅|桃紅色|櫻花粉|淡粉色|玫瑰粉|嫩粉色|亮粉色|粉嫩色|蜜桃粉|珊瑚粉|鮭魚粉|糖果粉|桃色|櫻粉色|淺粉紅色|桃粉色"
        "|霓虹粉|芭比粉",
        "玫瑰色|洋紅色|淺粉色|粉嫩|桃紅|珊瑚色|桃粉",
    ),
    "white": words(
        "white|ivory|snow-white|pure white|milk-white|bright white|pearl-white|chalk-white|cream-white|paper-white|bone-white|cotton-white"
        "|brilliant white|porcelain-white|lily-white|alabaster|swan-white|plain white|marble-white|sugar-white|frosty white",
        "",
        "pale|cream|off-white|whitish|milky",
        "白色|白|雪白色|純白色|乳白色|米白色|潔白色|象牙白|奶白色|亮白色|珍珠白|粉白色|雪白|素白色|蛋白色|月白色|瓷白色|牛奶白|霜白色|瓷白",
        "純白|潔白|乳白|米白|象牙色|奶油色|銀白色|白白的",
    ),
    "black": words(
        "black|jet-black|ebony|pitch-black|coal-black|ink-black|raven-black|charcoal-black|onyx|deep black|obsidian|pure black|soot-black"
        "|midnight-black|tar-black|inky|raven-coloured|solid black|sable|crow-black|coal-coloured",
        "",
        "charcoal|blackish|onyx-black|darkest black|noir",
        "黑色|黑|漆黑色|烏黑色|墨黑色|純黑色|深黑色|炭黑色|亮黑色|曜石黑|烏木色|煤黑色|墨色|玄色|烏黑|黝黑色|暗黑色|鴉黑色|瀝青黑|墨黑",
        "漆黑|純黑|黝黑|黑漆漆|炭黑",
    ),
    "brown": words(
        "brown|chestnut|tan|chocolate-brown|coffee-coloured|dark brown|hazel|walnut-brown|cocoa-coloured|earth-brown|chestnut-brown|caramel"
        "|nut-brown|cinnamon-coloured|mahogany|bronze-coloured|umber|toffee-coloured|sepia-coloured|tan-coloured|cinnamon",
        "",
        "chocolate|beige|light brown|brownish|khaki|wood-coloured",
        "棕色|褐色|咖啡色|深棕色|巧克力色|栗色|茶色|棕褐色|深褐色|焦糖色|紅棕色|土棕色|胡桃色|黃褐色|赭色|可可色|栗褐色|咖啡棕|肉桂色|棕",
        "褐|淺棕色|木色|茶褐色|米色|卡其色|駝色",
    ),
    "cyan": words(
        "cyan|turquoise|teal|aqua|aquamarine|blue-green|bright cyan|turquoise-blue|teal-blue|lagoon-coloured|sea-foam|greenish-blue"
        "|peacock-blue"
        "|aqua-blue|vivid cyan|petrol-coloured|bright turquoise|teal-coloured|deep teal|cyan-blue|peacock-coloured",
        "",
        "dark cyan|light cyan|bluish-green|deep turquoise|petrol-blue",
        "青色|青綠色|青|青藍色|藍綠色|水綠色|碧青色|孔雀藍|綠松石色|亮青色|湖水綠|松石綠|鮮青色|湖藍色|土耳其藍|孔雀綠|水青色|蒂芙尼藍"
        "|石青色|天青色",
        "藍綠|湖藍|湖綠色|松石色|青綠|碧色",
    ),
}

MATERIAL: dict[str, Words] = {
    "matte": words(
        "matte|rubber|dull|clay|wooden|chalky|matt|unpolished|plaster|foam|non-reflective|flat-finished|rubbery|earthenware|felt-covered"
        "|velvety|terracotta|suede-like|powdery|unvarnished",
        "",
        "wood|matte-finished|non-shiny|rough|paper|cardboard|cork|fabric|leather|flat matte|ceramic",
        "霧面|啞光|橡膠|木頭|陶土|石膏|霧面質感|啞光質感|黏土|無光澤|消光|木製|泡棉|磨砂|素面|橡膠質感|軟木|陶製|粗糙|絨面",
        "木質|紙質|皮革|不反光|陶瓷|消光質感|毛氈|粗陶",
    ),
    "glossy": words(
        "shiny|glossy|polished|plastic|smooth|lacquered|gleaming|varnished|shining|waxed|enamelled|lustrous|sleek|glazed|high-gloss|buffed"
        "|plastic-coated|shellacked|satin|mirror-smooth",
        "",
        "sparkling|sparkly|reflective|gloss|lacquer|glistening|porcelain|acrylic|vinyl|slick-looking|enameled",
        "亮面|光滑|塑膠|光亮|有光澤|拋光|亮光|油亮|上釉|上漆|光潔|烤漆|釉面|亮澤|閃亮|打蠟|亮漆|平滑|瓷釉|壓克力",
        "塑料|反光|發亮|閃閃發亮|漆面|光澤|亮晶晶|閃耀",
    ),
    "metal": words(
        "metal|chrome|metallic|steel|iron|stainless-steel|chromed|brushed-metal|aluminium|burnished-metal|silvery|polished-steel|tin-plated"
        "|nickel-plated|chromium|titanium|solid-steel|metal-plated|mirrored|cast-iron",
        "",
        "silver|aluminum|copper|brass|bronze|mirror|mirror-like|chrome-plated|brushed steel|made of metal|mercury",
        "金屬|鋼|不鏽鋼|鋼鐵|鍍鉻|金屬質感|鋁合金|鐵製|金屬製|鉻|鋼製|鐵|鋁製|鏡面金屬|合金|鍍鎳|純鋼|拉絲金屬|鈦合金|銀光",
        "鏡面|銀色|銅|黃銅|鋁|鈦|銀|金屬光澤|鉻合金|青銅",
    ),
    "glass": words(
        "glass|transparent|see-through|crystal|translucent|clear-glass|glassy|crystalline|crystal-clear|blown-glass|clear-crystal|limpid"
        "|lucite|ice-like|pellucid|light-transmitting|tinted-glass|perspex|gem-like|vitreous",
        "",
        "made of glass|quartz|jelly|jelly-like|gelatinous|diamond|refractive|stained-glass|clear glass",
        "玻璃|透明|水晶|半透明|琉璃|玻璃製|剔透|晶瑩|透光|晶瑩剔透|清透|透明玻璃|玻璃質感|水晶般|通透|水晶玻璃|有色玻璃|澄透|冰晶般|透亮",
        "果凍|鑽石|石英|玻璃質|玻璃材質|寶石般",
    ),
}

PATTERN: dict[str, Words] = {
    "striped": words(
        "striped|stripy|banded|candy-striped|stripe-patterned|zebra-striped|streaked|pinstriped|two-tone striped|barred|boldly striped"
        "|ring-striped|lined|ribboned",
        "",
        "stripes|stripe|with stripes|zebra|bands|pinstripes|stripey",
        "條紋|帶條紋|斑馬紋|有條紋|橫條紋|直條紋|條狀花紋|雙色條紋|彩條|間條|條紋圖案|斑紋|條紋花樣|線條紋",
        "花紋|條紋狀|橫紋|直紋|紋路",
    ),
}

SIZE: dict[str, Words] = {
    "small": words(
        "small|tiny|little|miniature|mini|compact|petite|pint-sized|small-sized|undersized|diminutive|wee|pocket-sized|palm-sized"
        "|bite-sized|toy-sized|dainty|smallish|teeny",
        "",
        "baby-sized|microscopic|smaller|smallest|thumb-sized",
        "小|小小|迷你|小型|細小|嬌小|微小|袖珍|小巧|掌上型|小號|小尺寸|小不點|個頭小|微型|小個子|細小型|玲瓏|小一號|小巧玲瓏",
        "小小的|極小|很小|矮小|渺小|較小",
    ),
    "large": words(
        "large|big|huge|giant|enormous|massive|oversized|hefty|gigantic|bulky|great big|sizeable|immense|jumbo|king-sized|colossal|mighty"
        "|large-sized|hulking|monumental",
        "",
        "tall|larger|bigger|biggest|towering|vast|titanic",
        "大|巨大|大型|碩大|龐大|超大|大大|特大|偌大|巨型|大號|大尺寸|粗大|個頭大|特大號|厚重|加大|重型|大塊頭|大個",
        "高大|很大|極大|大大的|宏偉|高聳|較大",
    ),
}
