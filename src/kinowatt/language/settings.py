"""Words for where and when: light, weather, ground, place, and the mood of it all."""

from __future__ import annotations

from kinowatt.language.forms import Words, words

TIME: dict[str, Words] = {
    "dawn": words(
        "at dawn|in early morning light|at sunrise|at daybreak|in the morning|in the early morning|at first light|at the break of day"
        "|as the sun rises"
        "|in the glow of sunrise|in soft morning light|just after sunrise|in the first rays of the sun|with the sun just up"
        "|in the rosy light of dawn"
        "|shortly after daybreak|in the cool morning light|as day breaks|at the crack of dawn|at sunup|in the light of the rising sun",
        "dawn|sunrise|early morning|daybreak|morning light",
        "morning|soft morning light|morning mist light|rising sun|sunup|dawn light|first light|morning sun|morning glow|early light"
        "|dawning|aurora",
        "黎明|清晨|日出時分|清早|破曉時分|天剛亮|晨光中|拂曉|一大早|旭日東升|朝陽下|日出的光線中|早晨|晨曦中|天亮時|曙光初現|太陽剛升起"
        "|早晨的陽光下|黎明時刻|晨間",
        "日出|早晨|早上|晨光|朝陽|破曉|晨曦|朝霞|曙光|旭日|早晨光線|凌晨",
    ),
    "noon": words(
        "at noon|in bright daylight|at midday|in broad daylight|in bright sunlight|in full sunlight|in the middle of the day"
        "|under the midday sun"
        "|in the daytime|under a high sun|in strong daylight|during the day|in the glare of noon|with the sun overhead|at high noon|by day"
        "|in brilliant sunlight|in harsh midday light|with the sun at its highest|in the noonday sun|in full daylight",
        "noon|midday|daylight|daytime|bright day",
        "day|midday sun|bright midday sun|noon sun|midday light|sunlight|sunshine|bright sunshine|afternoon|in the afternoon"
        "|sun overhead|sunlit|noonday|bright light|natural light|bright|brightly lit"
        "|high noon|full sun|lunchtime|daylit",
        "正午|白天|中午時分|日正當中|大白天|烈日下|日光下|正午的陽光下|明亮的日光中|陽光下|日間|晌午|豔陽高照|強烈日光下|太陽高掛"
        "|日頭正高|光天化日下|明亮的白晝|正午時刻|白日裡",
        "中午|日間光線|白晝|陽光|日光|下午|午後|艷陽|烈日|明亮|日照|陽光明媚|午間",
    ),
    "dusk": words(
        "at dusk|at sunset|in the evening|in the golden hour|at twilight|at sundown|as the sun sets|in the glow of sunset"
        "|in the evening light"
        "|at nightfall|in the last light of day|in warm evening light|under a setting sun|in the fading light|in the golden evening light"
        "|just before sunset|at the end of the day|with the sun sinking low|at eventide|in the gloaming|as daylight fades",
        "dusk|sunset|evening|golden hour|twilight",
        "sundown|setting sun|evening sun|nightfall|golden light|sunset light|magic hour|blue hour|sunset glow|low sun|evening glow"
        "|late afternoon"
        "|golden-hour light|sunset sky|evening light|backlit sunset",
        "黃昏|日落時分|傍晚|夕陽下|暮色中|夕陽西下|黃昏時分|落日餘暉中|魔幻時刻|日落的光線中|薄暮|向晚|日暮|晚霞中|太陽下山時|夕照中"
        "|天色將晚|斜陽下|傍晚的金光中|黃昏的光線裡",
        "日落|夕陽|暮色|晚霞|落日|黃金時刻|黃金時段|夕照|餘暉|金色陽光|金色時刻|藍調時刻|魔術時刻|斜陽|逆光夕陽",
    ),
    "night": words(
        "at night|under the moonlight|by moonlight|in the dark of night|at midnight|late at night|under the stars|after dark"
        "|in the middle of the night"
        "|beneath the moon|in the pale moonlight|under a night sky|in the dead of night|under a starry sky|in darkness|by night"
        "|beneath the stars"
        "|lit by the moon|in deep night|in the still of the night|on a moonlit night",
        "night|moonlight|midnight|nighttime|moonlit",
        "nocturnal|night sky|starry|starry sky|starlight|stars|moon|moonlit night|dark night|in the dark|darkness|starry night|full moon"
        "|late night"
        "|night scene|nightly|dimly lit|low-key lighting|low light",
        "夜晚|月光下|深夜|夜裡|星空下|午夜|夜間|月夜|黑夜裡|夜色中|半夜|月色下|夜深時分|晚上|漆黑的夜裡|星光下|三更半夜|入夜|夜幕下"
        "|夜闌人靜時",
        "夜|月光|晚間|夜色|夜空|星空|月亮|星星|夜景|黑夜|月色|星光|昏暗|黑暗",
    ),
}

WEATHER: dict[str, Words] = {
    "clear": words(
        "under a clear sky|under a cloudless sky|under a blue sky|in fine weather|in clear weather|beneath an open sky|under a spotless sky"
        "|in sunny weather|on a clear day|with not a cloud in the sky|under a bright blue sky|in fair weather|beneath a clear sky"
        "|on a fine day"
        "|in crisp clear air|under an unclouded sky|in the clear air|under a perfectly clear sky|beneath a cloudless sky"
        "|in glorious weather|with a clear sky above",
        "clear sky|clear|sunny|cloudless|blue sky",
        "clear skies|blue skies|cloudless sky|no clouds|without clouds|without a cloud|fine weather|fair weather|sunny day|clear weather"
        "|clear day"
        "|no cloud|free of clouds|bright sky|good weather|open sky",
        "晴朗|天氣晴朗|晴空下|藍天下|晴空萬里|萬里無雲|天朗氣清|碧空如洗|陽光普照|大晴天|無雲的天空下|天清氣朗|碧藍的天空下|好天氣"
        "|天空澄淨|晴朗的天空下|天色晴好|晴天|風和日麗|晴空",
        "晴|藍天|無雲|沒有雲|沒有雲朵|湛藍天空|藍色天空|清朗|沒雲|晴日",
    ),
    "cloudy": words(
        "with scattered clouds|under a partly cloudy sky|with white clouds in the sky|under drifting clouds|with clouds overhead"
        "|in cloudy weather"
        "|with a few clouds above|under a sky dotted with clouds|with fluffy clouds in the sky|beneath scattered clouds"
        "|with clouds floating by"
        "|under broken clouds|on a partly cloudy day|with puffy clouds above|under a sky full of clouds|beneath passing clouds"
        "|with patches of cloud|with cotton-wool clouds overhead|under a half-clouded sky|with clouds sailing past|beneath a patchy sky",
        "cloudy|scattered clouds|partly cloudy|clouds|white clouds",
        "cloud|fluffy clouds|puffy clouds|cumulus|broken clouds|cloudy sky|cloudscape|drifting clouds|passing clouds|some clouds"
        "|cloudy day|cumulus clouds",
        "多雲|白雲朵朵|雲朵飄過|天上有雲|天空有白雲|雲朵點點|飄著幾朵白雲|雲層散布|少雲|雲影浮動|白雲飄飄|天空飄著雲|雲彩片片|疏雲"
        "|朵朵白雲下|薄雲|多雲的天空下|雲朵飄浮|碎雲|浮雲片片",
        "白雲|雲|雲朵|雲彩|雲層|藍天白雲|有雲|雲海",
    ),
    "overcast": words(
        "under an overcast sky|under a grey sky|in gloomy weather|under heavy clouds|beneath a leaden sky|in dull weather|under a dull sky"
        "|on a grey day|beneath a blanket of cloud|under a solid layer of cloud|on an overcast day|under a cheerless grey sky"
        "|beneath a grey sky"
        "|in flat grey light|under a colourless sky|under low grey clouds|beneath an overcast sky|in sunless weather|with the sky all grey"
        "|beneath a murky sky|with the sun hidden by clouds",
        "overcast|grey sky|heavy clouds|leaden sky|dull sky",
        "gray sky|gloomy|dark clouds|grey clouds|gray clouds|gray day|grey skies|gray skies|gloom|cloud cover|storm clouds|diffuse light"
        "|overcast sky"
        "|murky|dull weather|soft overcast light|soft light|flat light",
        "陰天|陰沉的天空下|灰濛濛的天空下|烏雲密布|天色陰沉|天空灰暗|密雲|天氣陰沉|雲層厚重|灰色天空下|陰霾|烏雲蔽日|天陰|陰暗的天色裡"
        "|濃雲滿天|鉛灰色的天空下|不見太陽|陰雲密布|滿天陰雲|灰白的天空下",
        "陰沉|灰天|烏雲|厚雲|灰濛濛|陰暗|陰雲|天空陰沉|柔光",
    ),
    "fog": words(
        "in thick fog|in the mist|in the fog|in dense fog|in a thick mist|shrouded in fog|veiled in mist|in hazy air|wrapped in fog"
        "|through the haze"
        "|in drifting mist|in foggy weather|in a bank of fog|surrounded by fog|in a soft haze|half hidden by fog|in heavy fog"
        "|amid swirling mist"
        "|behind a veil of mist|in murky fog|lost in the fog",
        "fog|foggy|mist|misty|haze",
        "hazy|fog-bound|fogbound|smoke|smoky|thick fog|brume|smog|foggy weather|foggy day|dense fog|fog bank|smoggy|low visibility|mists"
        "|steam|steamy",
        "濃霧中|霧中|大霧裡|薄霧中|霧氣瀰漫|霧濛濛|被霧籠罩|迷霧中|白霧茫茫|起霧|霧靄中|濃霧瀰漫|霧裡|煙霧朦朧|水霧中|霧氣繚繞|大霧瀰漫"
        "|霧氣氤氳|霧鎖四周|一片白霧",
        "濃霧|霧|大霧|薄霧|霧氣|迷霧|煙霧|霾|朦朧|霧靄|有霧|晨霧|煙",
    ),
    "rain": words(
        "in the rain|in pouring rain|in heavy rain|in a downpour|in rainy weather|under falling rain|in a rain shower|in steady rain"
        "|on a rainy day"
        "|in a drizzle|during a rainstorm|with rain falling|in driving rain|in a light drizzle|as rain comes down|in wet weather"
        "|through the falling rain"
        "|in a cloudburst|in a summer shower|beneath a rainy sky|as it rains",
        "rain|rainy|pouring rain|downpour|drizzle",
        "raining|rain falls|rain falling|rain is falling|it rains|it is raining|rainfall|raindrops|rainstorm|rain shower|shower|showers"
        "|drizzling|drizzly|rains|heavy rain|thunderstorm|monsoon|pouring|cloudburst"
        "|deluge|torrential rain|light rain",
        "雨中|下著雨|大雨中|細雨中|滂沱大雨中|下雨天|毛毛雨中|雨天|陣雨中|暴雨中|傾盆大雨中|小雨紛紛|雨絲紛飛|冒著雨|雨勢不小|淅瀝雨中"
        "|雨水落下|綿綿細雨中|煙雨濛濛|大雨滂沱",
        "雨|下雨|大雨|細雨|小雨|暴雨|雨水|雨滴|毛毛雨|雷雨|雨景|煙雨|雨勢|陣雨",
    ),
    "snowfall": words(
        "in falling snow|in a snowfall|as snow falls|in a snowstorm|with snowflakes drifting down|in a flurry of snow|in heavy snowfall"
        "|while it is snowing|in gentle snowfall|in a snow shower|under falling snowflakes|in whirling snow|as snowflakes fall"
        "|in a blizzard"
        "|with snow coming down|through drifting snowflakes|in snowy weather|in steady snowfall|amid swirling snowflakes"
        "|with big flakes falling"
        "|in a flurry of snowflakes",
        "snowfall|falling snow|snowing|snowflakes|snowstorm",
        "snow falling|blizzard|snow flurries|snow storm|flurries|it snows|snow is falling|snow shower|flakes|snows|snow falls|snowflake"
        "|heavy snow"
        "|sleet",
        "下雪|雪花飄落|大雪紛飛|飄著雪|雪花紛飛|風雪中|下著雪|飛雪中|大雪中|細雪紛飛|雪片飄落|雪花漫天|暴風雪中|飄雪|雪花飛舞|白雪飄飄"
        "|鵝毛大雪中|瑞雪紛紛|落雪中|漫天飛雪",
        "雪花|大雪|小雪|暴雪|飛雪|風雪|暴風雪|降雪|雪片|落雪|飄雪花|雪中",
    ),
}

GROUND: dict[str, Words] = {
    "grass": words(
        "grass|meadow|lawn|green field|pasture|grassland|turf|short grass|grassy ground|green meadow|grassy plain|mown grass|village green"
        "|carpet of grass|grassy field|green lawn|prairie|steppe|green turf|greensward|grassy meadow",
        "",
        "field|grassy|fields|meadows|savanna|savannah|park|garden|farmland|football field|green grass|sward|golf course",
        "草地|草坪|草原|綠草地|青草地|草皮|牧場|青草|綠茵|草場|翠綠的草地|田野|綠色原野|短草地|綠地|牧草地|嫩草地|大草原|綠草坪|如茵草地",
        "草|原野|草叢|公園|田地|綠草|芳草地|花園|草甸|綠茵地",
    ),
    "sand": words(
        "sand|desert sand|sandy ground|dunes|sandy desert|desert floor|dry sand|yellow sand|sandy plain|soft sand|sand flats|fine sand"
        "|desert plain"
        "|sandy soil|sands|sun-baked sand|bare sand|rippled sand|sandy expanse|warm sand|sand dunes",
        "",
        "desert|sandy|dune|sandbox|sandpit|arid land|sahara|wasteland|sand dune",
        "沙地|沙漠|黃沙|沙丘|沙土地|沙面|細沙|荒漠|金色沙地|沙質地面|乾沙|沙原|沙漠地面|沙子|軟沙|大漠|黃沙地|砂地|沙礫地|沙海",
        "沙|戈壁|砂|沙堆|沙坑",
    ),
    "pavement": words(
        "pavement|stone tiles|paving stones|concrete|asphalt|paved square|street|cobblestones|flagstones|paved road|stone pavement"
        "|tarmac|town square"
        "|paved courtyard|cement floor|pavement slabs|stone slabs|tiled plaza|paved ground|concrete slabs|stone floor",
        "",
        "road|plaza|sidewalk|courtyard|paved|cobblestone|concrete floor|parking lot|pavements|roadway|city street|paving|tiled floor"
        "|cobbles|driveway"
        "|highway|alley|terrace|cement",
        "石板地|路面|街道|廣場|水泥地|柏油路|石磚地|人行道|鋪石地面|磚石地|混凝土地面|石板路|鋪磚廣場|馬路|石頭地面|地磚|瀝青路面"
        "|鋪裝路面|石階地|石鋪廣場",
        "道路|公路|街頭|街上|磚地|石地|混凝土|柏油|柏油路面|石板|停車場|庭院|步道|大街|巷子|瓷磚",
    ),
    "snow": words(
        "snow|snowy ground|snowfield|fresh snow|white snow|snow-covered ground|powder snow|deep snow|packed snow|blanket of snow"
        "|wintry ground"
        "|frozen ground|untouched snow|frosty ground|snow-covered field|winter snow|crisp snow|snowy plain|snowy field|virgin snow"
        "|carpet of snow",
        "",
        "snowy|ice|winter|snowscape|snow-covered|icy ground|icy|frozen lake|wintry|snow field|winter landscape|glacier|tundra|frost"
        "|snowy landscape",
        "雪地|雪|白雪|積雪|雪原|新雪|皚皚白雪|冰雪地|積雪的地面|厚厚的積雪|雪白的地面|鬆軟的雪|覆雪的地面|雪野|白皚皚的雪地|冬日雪地"
        "|雪面|粉雪|初雪|冰雪",
        "冰|冬天|冬季|冰面|冰天雪地|雪景|冰原|皚皚",
    ),
    "sea": words(
        "sea|ocean|waves|open sea|blue sea|open water|rippling water|ocean waves|sea surface|open ocean|deep water|wide sea|salt water"
        "|high seas"
        "|rolling waves|ocean surface|deep blue sea|seawater|choppy water|boundless sea|blue ocean",
        "",
        "water|offshore|wave|seascape|lake|surf|swell|marine|waters|at sea|river|pond|oceanic",
        "海面|大海|海|海洋|碧海|藍色大海|汪洋|波浪|海水|湛藍海面|波光粼粼的海面|遼闊的海面|海波|碧波|波濤|滄海|大洋|浩瀚海面|萬頃碧波",
        "海上|水面|離岸|浪|海浪|湖面|水上|浪花|湖|江面|水",
    ),
    "checker": words(
        "checkered floor|checkerboard|chessboard|checkerboard floor|chequered floor|checked floor|tiled checkerboard|chess board"
        "|chessboard floor|checkerboard pattern|chequerboard|black and white tiles|squared floor|checkered surface|chess-patterned floor"
        "|chequered surface|chequerboard floor|checked surface|giant chessboard|draughtboard|checkered ground",
        "",
        "checkered|checked|chequered|checkers|checkered tiles|checker floor|checkered board|black-and-white floor|checker"
        "|checkerboard tiles|gridded floor",
        "棋盤格地板|棋盤格|格子地板|黑白格地板|方格地板|棋盤|黑白方格|格紋地面|棋盤地板|方格地面|西洋棋盤|棋格地面|黑白相間的地板"
        "|格子地面|方格紋地板|黑白格子|棋盤狀地面|國際象棋盤|棋盤格紋|黑白棋盤",
        "棋盤格地面|格子|方格|棋盤花紋|格紋|黑白格",
    ),
}

SURFACE: dict[str, Words] = {
    "wet": words(
        "wet|rain-soaked|damp|rain-slicked|soaked|glistening wet|rain-wet|waterlogged|slick wet|drenched|moist|puddle-covered"
        "|rain-washed|water-covered"
        "|soaking|sodden|slippery wet|dripping|sopping|puddled",
        "",
        "wet ground|puddles|puddle|wetness|slippery|after rain|wet reflections|after the rain|wet surface|wet floor"
        "|wet asphalt reflections|rainy reflections|flooded",
        "濕|潮濕|濕滑|濕漉漉|積水|淋濕|濕潤|雨後|泛著水光|濕透|沾滿雨水|水亮|溼滑|濕淋淋|積著水|溼漉漉|溼|被雨打濕|潮潤|水光粼粼",
        "水窪|水坑|潮溼|濕地面|倒影|雨後地面|濕答答|水漬|地面濕滑",
    ),
}

PLACE: dict[str, Words] = {
    "beach": words(
        "by the sea|on a beach|on the beach|at the seaside|on the shore|by the ocean|at the water's edge|on the coast|near the sea"
        "|along the shore"
        "|beside the sea|on a sandy beach|at the edge of the sea|on the seashore|close to the surf|with the sea behind|on a sunny coast"
        "|by the shore|on the waterfront|along the coast|with waves breaking nearby",
        "beach|seaside|coast|shore|seashore",
        "coastal|shoreline|coastline|sandy beach|beaches|waterfront|lakeside|bay|oceanfront",
        "海邊|海灘上|沙灘上|岸邊|海岸邊|濱海|靠近大海|海濱|在海邊沙灘|臨海|水邊|海灣旁|海灘邊|海岸線上|背後是大海|濱海沙灘|海濱沙灘|海角"
        "|灘頭|海岸沙灘",
        "沙灘|海灘|海岸|海岸線|海灣|湖邊|海邊沙灘|水岸",
    ),
    "hills": words(
        "with hills in the distance|with hills behind|before a range of hills|with rolling hills in the background|among hills"
        "|with mountains on the horizon|in hilly country|with a ridge behind|below distant hills|against a backdrop of hills"
        "|with distant mountains"
        "|with a line of hills on the horizon|in front of low hills|with slopes behind|with mountains far away|near rolling hills"
        "|with peaks on the skyline|in a hilly landscape|with ridges far off|in front of a hilly skyline",
        "hills|hills in the distance|mountains|distant hills|rolling hills|distant mountains",
        "hill|mountain|hilly|mountainous|ridge|valley|slope|slopes|highlands|mountain range|hillside|foothills|peaks|in the mountains"
        "|rolling landscape",
        "遠處有山丘|背景有山|遠方是山|群山環繞|遠山如黛|背後是丘陵|山丘連綿|遠處山巒起伏|群山前|山腳下|丘陵地|遠處有山|山景|丘陵起伏"
        "|山影朦朧|山嶺在望|層巒疊嶂|遠方山脈連綿|青山在後|山坡旁",
        "山丘|遠山|山|丘陵|山脈|群山|山坡|山谷|山巒|青山|小山|高山",
    ),
}

MOOD: dict[str, Words] = {
    "lonely": words(
        "lonely mood|solitary atmosphere|feeling of loneliness|sense of solitude|air of isolation|sense of emptiness|touch of melancholy"
        "|desolate mood"
        "|forlorn atmosphere|wistful mood|hint of sadness|mournful feeling|feeling of abandonment|note of sorrow|air of desolation",
        "lonely|solitary|melancholic|desolate|forlorn|isolated|wistful|lonesome|abandoned|melancholy|bleak|sorrowful|mournful|friendless"
        "|companionless",
        "sad|alone|loneliness|solitude|isolation|lone|deserted|sadness|empty|blue mood|sombre|somber|heartbroken|nostalgic|depressing"
        "|left alone|bereft",
        "孤獨|寂寞|孤單|憂鬱|淒涼|落寞|孤寂|冷清|蕭瑟|惆悵|形單影隻|孤零零|悲涼|寂寥|冷寂|清冷|孤苦|哀傷|蒼涼|憂傷",
        "悲傷|荒涼|傷感|蕭條|孤立|感傷|悽涼|冷冷清清|孤身",
    ),
    "lively": words(
        "lively mood|cheerful atmosphere|feeling of joy|sense of fun|festive atmosphere|air of celebration|playful mood|burst of energy"
        "|happy feeling"
        "|bustling atmosphere|touch of merriment|sense of excitement|exuberant mood|carnival feeling|air of gaiety",
        "lively|cheerful|joyful|playful|energetic|merry|vibrant|bustling|upbeat|exuberant|festive|happy|jolly|spirited|vivacious",
        "busy|fun|joyous|joy|excited|exciting|dynamic|jubilant|bubbly|whimsical|energy|crowded|animated mood|party|celebratory|happiness"
        "|carefree|hilarious"
        "|celebration",
        "熱鬧|歡樂|活潑|快樂|歡快|喜慶|生氣勃勃|活力十足|輕快|開心|歡騰|朝氣蓬勃|熱烈|愉快|興高采烈|生龍活虎|繽紛熱鬧|歡欣|喜氣洋洋|俏皮",
        "高興|充滿活力|有趣|喜悅|熱情|動感|活力|歡喜|童趣",
    ),
    "calm": words(
        "calm mood|peaceful atmosphere|feeling of peace|sense of calm|tranquil atmosphere|air of serenity|soothing mood|restful feeling"
        "|sense of stillness|quiet atmosphere|touch of harmony|gentle mood|relaxing atmosphere|unruffled mood|air of quiet contentment",
        "calm|peaceful|serene|quiet|tranquil|relaxed|soothing|restful|placid|untroubled|harmonious|hushed|meditative|mellow|contented",
        "relaxing|serenity|peace|silent|zen|cozy|cosy|contemplative|tranquility|tranquillity|soft mood|idyllic|calming|quietly"
        "|peacefully|calmly|pastoral"
        "|healing|stillness",
        "平靜|寧靜|安靜|祥和|恬靜|靜謐|安詳|閒適|平和|悠閒|安寧|舒緩|幽靜|恬淡|悠然|心平氣和|寧謐|歲月靜好|和緩|溫和",
        "放鬆|療癒|愜意|溫馨|閒靜|和諧|沉靜|寂靜",
    ),
    "tense": words(
        "tense mood|dramatic atmosphere|feeling of suspense|sense of danger|air of menace|threatening atmosphere|ominous mood"
        "|nervous feeling"
        "|sense of threat|foreboding atmosphere|touch of drama|brooding mood|uneasy atmosphere|feeling of dread|edge of danger",
        "tense|dramatic|threatening|ominous|suspenseful|nervous|foreboding|menacing|uneasy|dangerous|anxious|brooding|fraught|alarming"
        "|nerve-racking",
        "tension|suspense|danger|thrilling|intense|thriller|anxiety|epic|sinister|scary|drama|frightening|horror|stressful|menace"
        "|violent|fierce",
        "緊張|戲劇性|壓迫|緊繃|驚險|懸疑|不安|危機四伏|肅殺|壓抑|劍拔弩張|凝重|令人屏息|焦慮|險惡|一觸即發|咄咄逼人|山雨欲來|提心吊膽|忐忑",
        "壓迫感|緊張感|恐怖|危險|驚悚|緊迫|戲劇張力|史詩|激烈|可怕",
    ),
    "mysterious": words(
        "mysterious mood|eerie atmosphere|sense of mystery|feeling of wonder|dreamlike atmosphere|air of secrecy|enigmatic mood"
        "|touch of magic"
        "|otherworldly feeling|uncanny atmosphere|ghostly mood|haunting atmosphere|air of the unknown|surreal feeling"
        "|hint of the supernatural",
        "mysterious|eerie|dreamy|mystical|enigmatic|uncanny|dreamlike|otherworldly|haunting|surreal|ghostly|magical|strange|spooky"
        "|unearthly",
        "mystery|mystic|magic|fantastical|ethereal|weird|fantasy|secretive|cryptic|fairy-tale|fairytale|esoteric|secret|wondrous"
        "|supernatural|moody",
        "神秘|詭異|夢幻|奇異|迷離|如夢似幻|奇幻|深不可測|詭譎|玄妙|撲朔迷離|幽深|謎樣|不可思議|縹緲|虛幻|陰森|魔幻|奇詭|恍如異境",
        "夢境|神祕|超現實|奇妙|怪異|魔法|謎團|靈異|夢境般",
    ),
}
