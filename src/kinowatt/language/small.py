"""Words beside the lexicon: those that say nothing about the picture, those that deny, and those that must not be read in parts."""

from __future__ import annotations

_ENGLISH = """
a an the of on in at with and is are to from by into under over across along as it its it's this that there there's be being been each
they them one ones camera scene view video clip mood atmosphere lens light sky shot moving moves move next while up down row some very
film footage cinematic 4k 8k hd uhd realistic photorealistic beautiful against onto above behind front middle for s i we us you see sees
seen watch watches show shows showing shown here where which who whose then first finally now all everything only just also again after
before or nor but so than between around beside near through towards toward out off filmed framed captured taken recorded viewed using
use used have has had do does place takes happens happening playing plays set looks look feels feel feeling like sense image picture
frame subject object objects thing things please make create generate want i'd would let let's high-quality quality detailed style
stunning lighting background foreground air ground surface floor another other same about more most few piece photography photographed
focal length prime millimetre rendered render shooting angle perspective movement motion weather tone composition center centre centered
centred side edge itself their his her my our can will may must opens ends begins starts open end begin start ending opening scene's
what during whole outdoors meanwhile throughout location fills framing leaves ourselves find was were plus action ext int entire overall
story time moment
"""
SMALL_ENGLISH = frozenset(_ENGLISH.split())

_CHINESE = """
的 了 在 個 時 座 塊 張 片 和 與 上 中 著 地 是 有 從 一 裡 隻 顆 排 它 們 把 被 向 這 那 裏 以 及 為 正 而 就 也 都 下 又 還 再 用 由
並 枚 根 台 臺 支 呈 現 拍 景 鏡 場 位 往 於 到 後 前 旁 邊 內 外 讓 使 令 給 請 想 要 我 你 來 去 過 隨 將 其 此 之 對 同 比 得 出 起
氛圍 鏡頭 畫面 天空 攝影機 攝影 拍攝 整體 整個 感覺 顯得 給人 帶著 充滿 透著 流露 呈現 氣氛 情緒 場景 影片 視頻 影像 電影感 電影 短片
看見 看到 只見 可以看到 焦距 焦段 定焦 定焦鏡 定焦鏡頭 光線 光 開場 接著 同時 隨後 最後 然後 這裡 那裡 其中 地面 地上 背景 前景 遠處
近處 一切 發生在 時間 時刻 天氣 地點 主體 畫質 高清 寫實 逼真 真實感 風格 風景 景色 美麗 漂亮 角度 視角 運鏡 機位 景別 構圖 我們 它們
一個 一顆 一座 一塊 一張 一片 一隻 一幅 一段 一種 一根 一枚 一起 出現 位於 生成 製作 做一個 幫我 需要 以及 並且 之間 之中 之上 之下 周圍
四周 眼前 表面 質感 材質 顏色 色 感 氣息 心情 意味 裡面 上面 下面 方向 彼此 另一個 另外 旁邊 一台 一臺 當 時候 時分 用的是 使用 採用
方式 慢慢地 東西 物體 微微 環境 形狀 節奏
"""
SMALL_CHINESE = frozenset(_CHINESE.split())

# Phrases whose words mean something else on their own: a field of view is no meadow.
OTHER_ENGLISH = frozenset(
    [
        "depth of field",
        "shallow depth of field",
        "field of view",
        "magnetic field",
        "force field",
        "rubber duck",
        "polar bear",
        "black hole",
        "ice cream",
        "hot air balloon",
        "traffic light",
        "traffic lights",
        "ball gown",
        "ball game",
        "golden retriever",
        "fish tank",
        "swimming pool",
        "coffee table",
        "night club",
        "water bottle",
        "sea lion",
        "white house",
        "blue whale",
        "red panda",
        "rolling stones",
        "rolling shutter",
        "lens flare",
        "motion blur",
        "box office",
        "ring tone",
        "wedding ring",
    ]
)

WITHOUT = frozenset(
    [
        "no",
        "not",
        "without",
        "never",
        "isn't",
        "aren't",
        "doesn't",
        "don't",
        "won't",
        "neither",
        "lacking",
        "devoid",
        "minus",
        "except",
        "avoid",
        "instead of",
        "rather than",
        "free of",
        "nothing",
        "沒有",
        "沒",
        "無",
        "不要",
        "不是",
        "別",
        "不",
        "非",
        "毫無",
        "避免",
        "而不是",
        "並非",
        "不帶",
        "勿",
        "未",
        "除了",
        "不見",
        "不許",
        "禁止",
    ]
)

# Words whose characters mean something else on their own: an elephant (大象) is not large.
_OTHER_CHINESE = """
大象 大人 大學 大樓 大廈 大家 大門 大概 大腦 大衣 大橋 大樹 小孩 小狗 小貓 小鳥 小姐 小說 小時 小朋友 小女孩 小男孩 小提琴 小學 小屋
小船 小溪 小鎮 小吃 小麥 老大 青蛙 青年 紅綠燈 紅酒 紅包 黃金 黃瓜 黑板 黑洞 黑客 白菜 白酒 白宮 白馬 白鴿 白鷺 綠茶 藍莓 金魚 金髮 金幣
銀行 銀河 銅像 鐵路 地鐵 鐵塔 高鐵 鐵道 鐵軌 鋼琴 鋼鐵人 鋼筆 風箏 風扇 風鈴 風味 風暴 颱風 龍捲風 風衣 飛機 飛鳥 飛船 飛碟 飛龍 飛行員
跳舞 跳傘 跳水 跳繩 水果 水杯 水壺 水母 水牛 水彩 水晶燈 水族館 汽水 口水 淚水 香水 瀑布 山羊 火山 海豚 海鷗 海龜 海盜 海報 海軍 海鮮
海馬 上海 青海 北海道 草莓 花草 稻草 煙火 煙囪 香煙 炊煙 冰箱 冰淇淋 冰山 冰塊 雪人 雪茄 雪橇 雪豹 雪松 滑雪 雨傘 雨衣 雨林 夜市 夜店
雲南 雲霄飛車 雲端 轉身 轉頭 轉彎 快遞 快餐 急診 慢跑 汽車 火車 卡車 箱型車 信箱 飯盒 磚牆 環保 耳環 花環 連環畫 圓桌 方向盤 方形 正方
三明治 三文魚 四季 四川 五官 七夕 八卦 十字路口 十字架 二手 二維碼 沙發 沙拉 沙灘車 路燈 街燈 公車 月餅 月球 星球 太陽眼鏡 太陽花 桃花
櫻花 梅花 玫瑰 紫禁城 香蕉 橘子 橙子 檸檬 葡萄 蘋果 西瓜 鐵人 機器人 滾滾 淺景深 景深 暖色調 冷色調 色調 睡覺 站台 車站 網站 電站 窗邊
窗戶 玻璃杯 玻璃窗 足球員 足球場 籃球員 球員 球場 地球 氣球 熱氣球 眼球 環遊 快門 單車 自行車 摩托車 跑車 賽車 風帽 風雲 手錶 左手 右手
東方 歌手 草帽 牛仔 熊貓 老虎 獅子 狐狸 兔子 貓咪
"""
OTHER_CHINESE = frozenset(_OTHER_CHINESE.split())
