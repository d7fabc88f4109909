"""A cinematographer's words: how the camera moves, how much it shows, through which lens, from where."""

from __future__ import annotations

from kinowatt.language.forms import Words, moves, words

LENSES_MM = (24, 35, 50, 85, 100)

MOVE: dict[str, Words] = {
    "static": moves(
        "@stay still|@remain fixed|@hold still|@keep still|@stay fixed|@be locked off|@be static|@be fixed|@rest on a tripod",
        "static camera|locked-off shot|fixed camera|static shot|tripod shot|locked-off camera|fixed shot|still camera|stationary camera"
        "|steady tripod shot|motionless camera|unmoving camera",
        "static|tripod|camera fixed|locked off|on a tripod|no camera movement|no camera motion|camera does not move|camera doesn't move"
        "|fixed frame|locked camera|stationary shot",
        "固定鏡頭|固定機位|定鏡|鏡頭固定不動|靜止鏡頭|腳架固定拍攝|機位不動|鏡頭靜止|鎖定機位|固定視角|三腳架拍攝|定點拍攝",
        "固定|腳架|三腳架|鏡頭不動|攝影機不動|相機不動|攝影機固定|相機固定|定點鏡頭|固定鏡位|固定攝影機|不移動鏡頭",
    ),
    "pan": moves(
        "pan|pan across|pan sideways|@turn sideways|@swivel",
        "panning camera|panning shot|pan shot|camera pan|horizontal pan|sweeping pan|panorama shot",
        "slow pan|whip pan|swish pan|panoramic pan",
        "搖鏡|橫搖|搖攝|水平搖鏡|搖鏡頭|橫向搖攝|左右搖鏡|水平橫搖",
        "搖拍|甩鏡|橫搖鏡頭",
    ),
    "pan-left": moves(
        "pan left|pan to the left|pan leftwards|pan from right to left|@turn left|@turn to the left|@swing left|@sweep left|@swivel left"
        "|@pivot left|@rotate left|@look left|@sweep to the left",
        "left pan|leftward pan|pan toward the left|leftward camera pan|slow left pan|panning shot to the left",
        "camera pan left|pan shot left|swish pan left|whip pan left|slow pan left|slow pan to the left",
        "鏡頭左搖|左搖|向左搖鏡|向左橫搖|鏡頭向左搖|鏡頭往左搖|由右往左搖鏡|鏡頭轉向左方|左搖鏡頭|往左搖攝|向左搖攝|水平左搖",
        "往左橫搖|鏡頭向左搖動|鏡頭往左轉|鏡頭向左轉|從右搖到左|鏡頭左轉|往左搖鏡|左橫搖",
    ),
    "pan-right": moves(
        "pan right|pan to the right|pan rightwards|pan from left to right|@turn right|@turn to the right|@swing right|@sweep right"
        "|@swivel right|@pivot right|@rotate right|@look right|@sweep to the right",
        "right pan|rightward pan|pan toward the right|rightward camera pan|slow right pan|panning shot to the right",
        "camera pan right|pan shot right|swish pan right|whip pan right|slow pan right|slow pan to the right",
        "鏡頭右搖|右搖|向右搖鏡|向右橫搖|鏡頭向右搖|鏡頭往右搖|由左往右搖鏡|鏡頭轉向右方|右搖鏡頭|往右搖攝|向右搖攝|水平右搖",
        "往右橫搖|鏡頭向右搖動|鏡頭往右轉|鏡頭向右轉|從左搖到右|鏡頭右轉|往右搖鏡|右橫搖",
    ),
    "tilt-up": moves(
        "tilt up|tilt upwards|tilt up slowly|tilt toward the sky|@look up|@pitch up|@swing up|@turn up to the sky|@turn upwards|@nose up",
        "upward tilt|tilt up shot|tilt-up|upward camera tilt|slow tilt up|tilting shot upwards|vertical pan upwards"
        "|tilt from bottom to top",
        "camera tilt up|pan up|pans up|panning up|pan upwards|tilt up to the sky",
        "鏡頭上搖|上搖|向上搖鏡|鏡頭向上搖|鏡頭往上搖|由下往上搖鏡|鏡頭上仰|鏡頭仰起|鏡頭抬起|上搖鏡頭|垂直上搖|往上搖攝",
        "鏡頭向上仰|從下搖到上|鏡頭往上抬|鏡頭抬高仰角|向上搖攝|往上搖鏡|上仰",
    ),
    "tilt-down": moves(
        "tilt down|tilt downwards|tilt down slowly|tilt toward the ground|@look down|@pitch down|@swing down|@turn downwards|@nose down",
        "downward tilt|tilt down shot|tilt-down|downward camera tilt|slow tilt down|tilting shot downwards|vertical pan downwards"
        "|tilt from top to bottom",
        "camera tilt down|pan down|pans down|panning down|pan downwards|tilt down to the ground",
        "鏡頭下搖|下搖|向下搖鏡|鏡頭向下搖|鏡頭往下搖|由上往下搖鏡|鏡頭下俯|鏡頭低下|鏡頭俯下|下搖鏡頭|垂直下搖|往下搖攝",
        "鏡頭向下俯|從上搖到下|鏡頭往下壓|向下搖攝|往下搖鏡|下俯",
    ),
    "track": moves(
        "track sideways|track along|truck sideways|truck along|@follow alongside|@move alongside|@slide alongside|@glide alongside",
        "tracking shot|trucking shot|parallel tracking shot|follow shot|lateral tracking shot|sideways tracking shot|travelling shot",
        "track|tracks|tracking|truck|trucking|parallel tracking|traveling shot|side tracking|following shot|tracking camera"
        "|camera follows|following|follow|follows|the camera follows|lateral dolly|sideways dolly|slider shot|crab shot",
        "平移跟拍|跟拍|移鏡|橫移跟拍|平移鏡頭|橫向跟拍|側面跟拍|跟隨拍攝|橫移鏡頭|平行跟拍|跟鏡頭|移動跟拍",
        "平移|橫移|跟鏡|跟隨鏡頭|鏡頭跟隨|平行移動|側跟|滑軌|滑軌拍攝|跟焦",
    ),
    "track-left": moves(
        "track left|track to the left|truck left|truck to the left|@slide left|@glide left|@move left|@travel left|@follow to the left"
        "|@slide to the left|@move to the left|@glide to the left|dolly left|crab left",
        "left tracking shot|leftward tracking shot|trucking shot to the left|tracking shot to the left|leftward slide"
        "|slider shot to the left",
        "leftward truck|parallel tracking to the left|camera left|tracking from right to left",
        "向左平移跟拍|向左移鏡|左移|鏡頭左移|鏡頭向左平移|往左平移跟拍|鏡頭往左平移|向左跟拍|向左橫移|鏡頭向左移動|往左跟拍"
        "|由右往左平移跟拍",
        "鏡頭往左移動|往左移鏡|往左橫移|向左平移|往左平移|左移鏡頭|左移跟拍",
    ),
    "track-right": moves(
        "track right|track to the right|truck right|truck to the right|@slide right|@glide right|@move right|@travel right"
        "|@follow to the right|@slide to the right|@move to the right|@glide to the right|dolly right|crab right",
        "right tracking shot|rightward tracking shot|trucking shot to the right|tracking shot to the right|rightward slide"
        "|slider shot to the right",
        "rightward truck|parallel tracking to the right|camera right|tracking from left to right",
        "向右平移跟拍|向右移鏡|右移|鏡頭右移|鏡頭向右平移|往右平移跟拍|鏡頭往右平移|向右跟拍|向右橫移|鏡頭向右移動|往右跟拍"
        "|由左往右平移跟拍",
        "鏡頭往右移動|往右移鏡|往右橫移|向右平移|往右平移|右移鏡頭|右移跟拍",
    ),
    "dolly-in": moves(
        "dolly in|push in|dolly forward|dolly closer|move closer|track in|creep closer|@move in|@move forward|@glide forward|@come closer"
        "|@approach|@advance|@draw near|@get closer|@inch forward|@drift closer|@move toward it",
        "slow push-in|push-in|dolly-in|forward dolly|push-in shot|dolly shot forward|slow dolly in|forward tracking shot|creeping push-in",
        "truck in|moving closer|approaching camera|forward camera move|track forward|tracks forward|tracking forward|push forward",
        "推鏡|推近|推進|鏡頭推近|鏡頭向前推|緩緩推近|鏡頭推進|向前推軌|鏡頭靠近|前推|推軌前進|鏡頭往前移動",
        "推鏡頭|往前推|向前推|鏡頭前移|鏡頭前進|鏡頭逼近|鏡頭慢慢推近|推軌|慢慢推近|緩緩推進|鏡頭拉進",
    ),
    "dolly-out": moves(
        "dolly out|pull back|pull out|dolly back|dolly away|move away|track out|@back away|@move back|@retreat|@glide backwards"
        "|@withdraw|@draw back|@move backwards|@drift away|@recede",
        "pull-back|dolly-out|slow pull-back|backward dolly|pull-out shot|pull-back shot|reverse dolly|slow dolly out"
        "|backward tracking shot",
        "slow pull-out|reverse tracking shot|backward camera move|track backward|tracks backward|tracking backward|track back",
        "拉鏡|拉遠|後拉|鏡頭拉遠|鏡頭向後拉|緩緩拉遠|鏡頭後退|向後拉軌|鏡頭遠離|鏡頭往後拉|退後拍攝|鏡頭後移",
        "拉鏡頭|往後拉|向後拉|鏡頭退後|鏡頭慢慢拉遠|慢慢拉遠|拉軌|鏡頭往後退|鏡頭拉開",
    ),
    "zoom-in": moves(
        "zoom in|zoom closer|zoom in slowly|zoom in smoothly|@magnify|@narrow its view",
        "zoom-in|slow zoom in|zoom-in shot|lens zoom in|optical zoom in|tightening zoom|crash zoom|zoom from wide to tight|punch-in zoom"
        "|telephoto zoom in|zooming in shot",
        "zoom|zooming|zooms|snap zoom|fast zoom in|increasing focal length",
        "變焦放大|放大|拉近|鏡頭拉近|變焦拉近|變焦推近|鏡頭變焦放大|鏡頭放大|焦距拉長|鏡頭緩緩放大|變焦推進|推變焦",
        "變焦|焦距變長|慢慢放大|慢慢拉近|緩緩拉近|急推變焦",
    ),
    "zoom-out": moves(
        "zoom out|zoom back|zoom out slowly|zoom out smoothly|@widen its view",
        "zoom-out|slow zoom out|zoom-out shot|lens zoom out|optical zoom out|widening zoom|zoom from tight to wide|reverse zoom"
        "|zooming out shot",
        "fast zoom out|decreasing focal length",
        "變焦縮小|縮小|變焦拉遠|鏡頭縮小|鏡頭變焦縮小|焦距縮短|變焦拉開|鏡頭緩緩縮小|變廣角|拉變焦|變焦後拉",
        "焦距變短|慢慢縮小|緩緩縮小",
    ),
    "orbit": moves(
        "orbit|circle around|orbit around|circle|revolve around|arc around|go around|@swing around|@travel around|@wheel around"
        "|@fly around",
        "drone orbit|circling camera|orbit shot|orbiting shot|arc shot|circling shot|revolving shot|orbiting camera",
        "circular tracking shot|orbital shot|roundabout shot|moving around",
        "環繞航拍|環繞|環拍|環繞拍攝|環繞鏡頭|繞拍|繞著拍攝|鏡頭環繞|弧形運鏡|環繞運鏡|圍繞拍攝|環形航拍",
        "盤旋|繞行|弧形鏡頭|旋轉拍攝|轉圈拍攝|圍繞",
    ),
    "orbit-left": moves(
        "orbit left|orbit to the left|orbit leftwards|circle to the left|circle left|arc left|arc to the left|orbit clockwise"
        "|circle clockwise"
        "|@revolve to the left|@swing around to the left|@fly around to the left",
        "left orbit|leftward orbit|drone orbit to the left|left arc shot|orbit shot to the left|clockwise orbit|clockwise arc shot",
        "clockwise|orbiting shot to the left|orbit around to the left|circle around to the left",
        "向左環繞航拍|向左環繞|鏡頭向左環繞|往左環繞|無人機向左環繞|往左環繞航拍|向左繞拍|順時針環繞|順時針環拍|左環繞|向左繞行|順時針航拍",
        "順時針|往左繞拍|鏡頭往左環繞|順時針繞拍|向左盤旋",
    ),
    "orbit-right": moves(
        "orbit right|orbit to the right|orbit rightwards|circle to the right|circle right|arc right|arc to the right|orbit counterclockwise"
        "|circle counterclockwise|@revolve to the right|@swing around to the right|@fly around to the right",
        "right orbit|rightward orbit|drone orbit to the right|right arc shot|orbit shot to the right|counterclockwise orbit"
        "|counterclockwise arc shot",
        "counterclockwise|anticlockwise|counter-clockwise|anti-clockwise|orbiting shot to the right|orbit around to the right"
        "|circle around to the right",
        "向右環繞航拍|向右環繞|鏡頭向右環繞|往右環繞|無人機向右環繞|往右環繞航拍|向右繞拍|逆時針環繞|逆時針環拍|右環繞|向右繞行|逆時針航拍",
        "逆時針|往右繞拍|鏡頭往右環繞|逆時針繞拍|向右盤旋",
    ),
    "flyover": moves(
        "fly over the scene|fly over|fly across the scene|soar over the scene|sweep over the scene|pass overhead|glide over the scene"
        "|@fly forward|@fly past|@fly above|@skim over the ground|@soar overhead",
        "drone fly-over|flyover|fly-over|flyover shot|aerial flyover|fly-over shot|low flyover|forward drone flight",
        "flying over|overflight|fly-by|flyby|drone flyover|airborne dolly|flythrough|fly through|flying through|FPV drone|fpv",
        "航拍飛越|飛越|無人機飛越|鏡頭飛越|飛越拍攝|從上空飛過|掠過上空|航拍掠過|空中飛越|鏡頭掠過|向前飛行航拍|低空飛越",
        "飛過|掠過|穿越機|無人機飛過|穿越航拍|飛掠|航拍推進",
    ),
    "aerial": moves(
        "@film from the air|@hover in the air|@hover overhead",
        "drone shot|aerial shot|aerial view|drone footage|aerial footage|drone view|airborne shot|shot from a drone|drone video",
        "drone|aerial|aerials|from the air|from a drone|quadcopter|helicopter shot|aerial cinematography|aerial photography|UAV"
        "|seen from the air|shot from the air|drone camera",
        "航拍|空拍|無人機航拍|空中拍攝|無人機鏡頭|航拍鏡頭|空拍鏡頭|無人機拍攝|空拍視角|航拍視角|無人機視角|空中視角",
        "無人機|空拍機|航拍畫面|航空攝影|高空拍攝|空拍畫面|從空中拍攝",
    ),
    "crane-up": moves(
        "crane up|boom up|jib up|pedestal up|crane upwards|@rise|@rise up|@ascend|@climb|@lift|@move up|@lift up|@float upwards|@soar up",
        "crane-up|rising crane shot|upward crane shot|rising camera|jib shot upwards|ascending camera|crane shot going up|rising shot"
        "|ascending shot",
        "crane shot|camera up|drone ascends|the drone ascends|drone rises|the drone rises|ascending drone|ascending drone shot"
        "|rising drone shot|crane|crane shot rising|rising over|jib shot|boom shot",
        "升鏡|鏡頭上升|升降鏡頭上升|鏡頭升起|鏡頭緩緩上升|搖臂上升|向上升鏡|鏡頭升高|機位升高|吊臂上升|鏡頭往上升|鏡頭向上移動",
        "升起鏡頭|上升鏡頭|鏡頭爬升|無人機上升|鏡頭緩緩升起|緩緩升起|垂直上升|升降鏡頭|搖臂|搖臂拍攝",
    ),
    "crane-down": moves(
        "crane down|boom down|jib down|pedestal down|crane downwards|@descend|@sink|@come down|@move down|@float down|@lower",
        "crane-down|descending crane shot|downward crane shot|descending camera|jib shot downwards|lowering camera|crane shot going down"
        "|sinking shot|descending shot",
        "camera down|drone descends|the drone descends|descending drone|descending drone shot",
        "降鏡|鏡頭下降|升降鏡頭下降|鏡頭降下|鏡頭緩緩下降|搖臂下降|向下降鏡|鏡頭降低|機位降低|吊臂下降|鏡頭往下降|鏡頭向下移動",
        "下降鏡頭|鏡頭沉降|無人機下降|垂直下降",
    ),
    "dolly-zoom": moves(
        "dolly zoom|@dolly in while zooming out|@dolly out while zooming in|@push in while zooming out|@pull back while zooming in",
        "dolly zoom|vertigo effect|vertigo shot|Hitchcock zoom|contra-zoom|trombone shot|dolly zoom shot|zolly|vertigo zoom"
        "|dolly-zoom effect"
        "|push-pull zoom|Hitchcock shot|reverse tracking zoom|background-stretching dolly zoom",
        "dolly zoom effect|Hitchcock effect|dolly counter zoom|counter zoom|trombone zoom|zido|smash zoom|stretch shot|triple reverse zoom"
        "|Jaws shot",
        "滑動變焦|希區考克變焦|眩暈鏡頭|推拉變焦|推軌變焦|迷魂記鏡頭|移動變焦|眩暈效果|希區考克鏡頭|反向變焦|滑軌變焦|背景拉伸變焦",
        "伸縮鏡頭|希區柯克變焦|德利變焦|杜利變焦|眩暈變焦|變焦推軌|推近同時變焦|壓縮變焦",
    ),
}

SHOT: dict[str, Words] = {
    "macro": words(
        "macro shot|extreme close-up|macro close-up|macro view|macro photograph|extreme close shot|super close-up|ultra close-up"
        "|microscopic close-up|very tight close-up|big close-up|macro framing",
        "macro|macro detail|extreme detail|macro lens",
        "ECU|XCU|extreme closeup|extreme close up shot|macro photography|insert shot|super macro|detail shot|very close up|extremely close",
        "微距|大特寫|微距鏡頭|微距拍攝|極近特寫|超近特寫|微距特寫|極端特寫|超特寫|放大特寫|局部大特寫|微觀特寫",
        "微距攝影|微距畫面|特大特寫|極特寫|細節特寫|超微距|極近距離|局部特寫|細部特寫",
    ),
    "close-up": words(
        "close-up|close shot|tight shot|close-up shot|close view|tight framing|close framing|tight close-up|intimate close-up|near close-up"
        "|detailed close-up|close camera view",
        "closeup|CU|up close|tight view",
        "close up|close range|at close range|close angle|closely framed|tightly framed|from up close|choker shot",
        "特寫|特寫鏡頭|緊湊特寫|特寫畫面|近距離特寫|清晰特寫|主體特寫|單獨特寫|緊景|近距特寫|特寫構圖|特寫拍攝",
        "特寫景別|近攝|貼近拍攝|近拍|給特寫|湊近",
    ),
    "near": words(
        "medium close-up|near shot|medium close shot|close medium shot|bust shot|chest shot|fairly close shot|near view"
        "|head-and-shoulders shot"
        "|moderately close shot|medium close framing|three-quarter close shot",
        "MCU|medium closeup|near framing",
        "medium close up|mid close-up|semi-close-up|bust-up|nearby view|medium-close shot|fairly close",
        "近景|中近景|近景鏡頭|近景構圖|胸景|半身近景|較近的景別|近景拍攝|近景畫面|中近景鏡頭|近距離鏡頭|胸部以上鏡頭",
        "近景別|近距離|近距離拍攝|胸像鏡頭|胸上鏡頭|近鏡頭|近鏡",
    ),
    "medium": words(
        "medium shot|mid shot|medium view|waist shot|mid-range shot|medium framing|middle-distance shot|medium-range view|half shot"
        "|mid-distance view|medium distance shot|midshot",
        "medium|MS|mid-shot|mid-range",
        "american shot|cowboy shot|middle shot|middle distance|medium distance|waist-up shot|knee shot|two-shot|two shot"
        "|from a medium distance",
        "中景|中景鏡頭|中景構圖|半身鏡頭|中等景別|中距離鏡頭|中景畫面|中景拍攝|腰景|膝上鏡頭|適中景別|中距離拍攝",
        "中鏡頭|中景別|半身景|七分身|牛仔鏡頭|美式鏡頭|中距離|半身",
    ),
    "wide": words(
        "wide shot|long shot|establishing shot|full shot|wide view|distant shot|panoramic view|sweeping wide shot|master shot|far shot"
        "|landscape shot|wide-angle view|vista shot|expansive view",
        "wide|wide angle|long view|WS|panorama|vista",
        "very wide|extreme wide shot|extreme long shot|ELS|EWS|very wide shot|ultra wide|wide angle shot|wide framing|wide landscape"
        "|from afar"
        "|from far away|far away|from a distance|long-distance shot|very long shot|distant view|full view|big picture",
        "遠景|全景|廣角|大遠景|遠景鏡頭|全景鏡頭|大全景|廣角鏡頭|遠距離鏡頭|開闊全景|寬廣的遠景|廣闊畫面|遠景構圖|定場鏡頭",
        "遠鏡頭|建立鏡頭|全身鏡頭|全景畫面|遠距離|從遠處拍攝|遠拍|超廣角|大場景|大景|大範圍鏡頭",
    ),
}

_SPELT = {24: "twenty-four", 35: "thirty-five", 50: "fifty", 85: "eighty-five", 100: "one hundred"}
_LENS_NAMES = {
    24: (
        "wide-angle lens|wide lens",
        "short lens|ultra-wide lens|ultra wide angle lens|superwide lens",
        "廣角鏡|廣角焦段",
        "超廣角鏡頭|超廣角鏡|短焦鏡頭|短焦",
    ),
    35: (
        "moderate wide-angle lens|reportage lens",
        "street lens|semi-wide lens|documentary lens",
        "小廣角鏡頭|小廣角",
        "人文焦段|人文鏡頭",
    ),
    50: (
        "standard lens|normal lens",
        "nifty fifty|standard prime|normal prime|standard focal length",
        "標準鏡頭|標準鏡",
        "標準焦段|標頭",
    ),
    85: (
        "portrait lens|short telephoto lens",
        "portrait prime|medium telephoto|medium telephoto lens|short tele",
        "人像鏡頭|人像鏡",
        "人像焦段|中長焦|中長焦鏡頭",
    ),
    100: (
        "telephoto lens|long lens",
        "telephoto|tele lens|telelens|long focal length",
        "長焦鏡頭|望遠鏡頭",
        "長焦|望遠鏡|望遠焦段|遠攝鏡頭",
    ),
}


def _lens(mm: int) -> Words:
    name, name_also, chinese, chinese_also = _LENS_NAMES[mm]
    spelt = _SPELT[mm]
    return words(
        f"{mm} mm lens|{mm} mm|{mm}mm lens|{name}|{mm} millimetre lens|{mm} mm prime|{spelt} millimetre lens|{mm} mm focal length"
        f"|{mm}mm prime lens|focal length of {mm} mm|{mm}-millimetre lens",
        f"{mm}mm|{mm} mm focal length|{mm}mm prime",
        f"{mm} millimeter lens|{mm} millimeters|{mm} millimetres|{spelt} mm|{spelt} millimeter lens|{spelt} millimeters|{name_also}",
        f"{mm} 毫米鏡頭|{mm}mm 鏡頭|{mm} 毫米|{mm} mm 鏡頭|焦距 {mm} 毫米|{mm} mm 定焦鏡|{mm}毫米定焦鏡頭"
        f"|{mm}mm 焦段|{chinese}|{mm} 毫米焦段|焦距 {mm} mm",
        f"{mm}毫米|{mm} 公厘|{mm}mm焦距|{chinese_also}",
    )


LENS: dict[str, Words] = {str(mm): _lens(mm) for mm in LENSES_MM}

ANGLE: dict[str, Words] = {
    "low": words(
        "low angle|from below|low-angle view|worm's-eye view|low camera position|from ground level|from a low angle|looking up from below"
        "|low viewpoint|camera close to the ground|from near the ground|low-angle perspective|upward-looking view",
        "low-angle shot|low angle shot|ground-level shot|low vantage point",
        "low-angle|frog perspective|frog's-eye view|ant's-eye view|ground level|knee-level shot|hip-level shot|low camera|low height"
        "|looking up"
        "|shot from below|worms eye view|worm's eye|upshot|low perspective|low POV",
        "低角度|仰拍|仰視|低角度拍攝|仰角|低機位|仰視角度|從低處仰拍|貼地視角|由下往上拍|蟲視角度|低角度仰拍",
        "仰角鏡頭|低視角|低機位拍攝|貼地拍攝|仰視鏡頭|仰攝|蟻視|從下往上拍|低位|仰望",
    ),
    "eye": words(
        "eye level|at eye level|from eye level|eye-level view|level camera|straight-on view|neutral angle|eye-level perspective"
        "|level viewpoint"
        "|at the height of the eyes|eye-level camera position|straight-on angle",
        "eye-level shot|straight-on shot|level shot|neutral camera angle",
        "eye-level|straight on|head-on|eye height|natural angle|normal angle|frontal view|at eye height|human-eye view",
        "平視|平視角度|平視拍攝|平拍|平視鏡頭|水平視角|與視線同高|平角拍攝|平視機位|人眼高度|平視構圖|正面平視",
        "平角|平視視角|水平角度|眼睛高度|眼平|正面拍攝|水平拍攝",
    ),
    "high": words(
        "high angle|from above|high-angle view|bird's-eye view|overhead view|from a high angle|looking down from above|top-down view"
        "|high camera position|elevated viewpoint|high vantage point|view from above|overhead perspective",
        "high-angle shot|high angle shot|overhead shot|top shot",
        "high-angle|top view|top-down|birds-eye view|bird's eye view|birds eye|bird's eye|bird's-eye|god's-eye view|gods eye view|overhead"
        "|looking down|shot from above|high perspective|downward angle|high POV|elevated view|birdseye view",
        "俯拍|高角度|俯視|鳥瞰|高角度俯拍|俯視角度|俯瞰|鳥瞰視角|從高處俯拍|由上往下拍|高機位|俯視鏡頭|上帝視角",
        "俯角|頂拍|俯攝|鳥瞰圖|鳥瞰鏡頭|從上往下拍|高視角|俯瞰鏡頭|俯角鏡頭|頂視|高位|正俯拍",
    ),
}
