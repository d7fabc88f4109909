// The toybox's light: one analytic ray caster. Solids, ground, hills, sea, sky and fog; a whole clip in one dispatch.
// A software renderer runs both sides of every branch, so what a scene lacks is left out when its shader is compiled. Constants that
// stand before this text: SOLIDS (bit k: type k may occur), WATER (sea or shore), HILLS, GLASS, FALLING (rain or snow), DEPTH.
#define HAS(type) ((SOLIDS >> (type) & 1) == 1)
layout(local_size_x = 8, local_size_y = 8) in;
layout(std430, binding = 1) readonly buffer Frames { vec4 F[]; };   // per frame: 4 vec4 of camera, then N solids of 4 vec4
layout(std430, binding = 2) writeonly buffer Picture { uint O[]; };  // r, g, b, id (0 none, 1..63 thing, 64 ground, 65 hills, 66 water)
layout(std430, binding = 3) writeonly buffer Depth { float D[]; };   // metres along the camera's axis; infinite in the sky

uniform int N;              // solids
uniform int SAMPLES;        // most per pixel
uniform vec2 RES;           // width, height in pixels
uniform float T0, DT;       // seconds: first frame, frame interval
uniform vec3 SUN, SUN_RGB, ZENITH, HORIZON, AMBIENT, FOG_RGB;
uniform vec4 FOG;           // density per metre, fall-off per metre of height, haze round the sun, most
uniform vec4 SKY;           // cloud cover, stars, drift, seed
uniform int GROUND;         // 0 grass, 1 sand, 2 pavement, 3 snow, 4 sea, 5 checker
uniform vec3 GROUND_A, GROUND_B;
uniform vec4 LAND;          // hill height, hill start radius, shore line (0: none), wetness
uniform vec4 FALL;          // 1 rain, 2 snow; m/s; metres to +x per metre fallen; length of a streak in metres
uniform vec4 LAMP;          // position, strength
uniform vec3 LAMP_RGB, FALL_RGB, TINT;
uniform vec3 GRADE;         // exposure, saturation, contrast
uniform vec2 LENS;          // metres to the focus, share of the distance from it that goes soft on the land (0: sharp everywhere)

int first;      // index of this frame's camera in F
float now;      // seconds
float pixel_rad;

// ---- noise
float hash(vec2 p) {
  ivec2 q = ivec2(p);
  uint h = uint(q.x) * 1597334677u ^ uint(q.y) * 3812015801u;
  h = (h ^ (h >> 15)) * 2246822519u;
  h ^= h >> 13;
  return float(h >> 8) / 16777216.0;
}
float noise(vec2 p) {
  vec2 i = floor(p), f = p - i;
  f = f * f * (3.0 - 2.0 * f);
  return mix(mix(hash(i), hash(i + vec2(1, 0)), f.x), mix(hash(i + vec2(0, 1)), hash(i + vec2(1, 1)), f.x), f.y);
}
// Octaves finer than the footprint fade to their mean, so that far ground does not sparkle.
float fbm(vec2 p, int octaves, float footprint) {
  float sum = 0.0, gain = 0.5, freq = 1.0;
  for (int i = 0; i < octaves; i++) {
    float keep = clamp(1.5 - footprint * freq, 0.0, 1.0);
    if (keep <= 0.0) { sum += gain; break; }
    sum += gain * mix(0.5, noise(p), keep);
    p = mat2(1.6, 1.2, -1.2, 1.6) * p + 7.3;
    freq *= 2.0;
    gain *= 0.5;
  }
  return sum;
}

// ---- solids: distance along the ray or -1, and the normal
vec3 rotate(vec4 q, vec3 v) { return v + 2.0 * cross(q.xyz, cross(q.xyz, v) + q.w * v); }
float hit_box(vec3 o, vec3 d, vec3 half_size, out vec3 n) {
  vec3 inv = 1.0 / d, k = abs(inv) * half_size, a = -inv * o - k, b = -inv * o + k;
  float near = max(max(a.x, a.y), a.z), far = min(min(b.x, b.y), b.z);
  n = -sign(d) * step(a.yzx, a.xyz) * step(a.zxy, a.xyz);
  return near > far || far < 0.0 ? -1.0 : near;
}
float hit_cylinder(vec3 o, vec3 d, float radius, float half_height, out vec3 n) {
  n = vec3(0);
  float a = dot(d.xy, d.xy), b = dot(o.xy, d.xy), c = dot(o.xy, o.xy) - radius * radius, h = b * b - a * c;
  if (h < 0.0) return -1.0;
  float t = (-b - sqrt(h)) / a;
  if (a > 1e-6 && abs(o.z + t * d.z) < half_height) { n = vec3((o.xy + d.xy * t) / radius, 0); return t; }
  t = (-sign(d.z) * half_height - o.z) / d.z;
  vec2 p = o.xy + t * d.xy;
  if (dot(p, p) > radius * radius) return -1.0;
  n = vec3(0, 0, -sign(d.z));
  return t;
}
float hit_cone(vec3 o, vec3 d, float radius, float half_height, out vec3 n) {
  n = vec3(0);
  float k = radius / (2.0 * half_height), best = -1.0;
  k *= k;
  float z = o.z - half_height;
  float a = dot(d.xy, d.xy) - k * d.z * d.z, b = dot(o.xy, d.xy) - k * z * d.z, c = dot(o.xy, o.xy) - k * z * z, h = b * b - a * c;
  if (h > 0.0) for (int i = 0; i < 2; i++) {
    float t = (-b + (i == 0 ? -1.0 : 1.0) * sqrt(h) * sign(a)) / a;
    if (t > 0.0 && abs(o.z + t * d.z) < half_height && (best < 0.0 || t < best)) {
      best = t;
      vec3 p = o + d * t;
      n = normalize(vec3(p.xy, k * (half_height - p.z)));
    }
  }
  float t = (-half_height - o.z) / d.z;
  vec2 p = o.xy + t * d.xy;
  if (t > 0.0 && dot(p, p) < radius * radius && (best < 0.0 || t < best)) { best = t; n = vec3(0, 0, -1); }
  return best;
}
// A cylinder of half length h with round ends.
float hit_capsule(vec3 o, vec3 d, float radius, float h, out vec3 n) {
  float a = dot(d.xy, d.xy), b = dot(o.xy, d.xy), c = dot(o.xy, o.xy) - radius * radius, k = b * b - a * c;
  n = vec3(0);
  if (k < 0.0) return -1.0;
  float t = a > 1e-6 ? (-b - sqrt(k)) / a : 0.0, z = o.z + t * d.z, end = a > 1e-6 ? sign(z) : -sign(d.z);
  if (a > 1e-6 && abs(z) < h) { n = vec3((o.xy + t * d.xy) / radius, 0); return t; }
  vec3 e = o - vec3(0, 0, end * h);
  b = dot(e, d);
  k = b * b - dot(e, e) + radius * radius;
  if (k < 0.0) return -1.0;
  t = -b - sqrt(k);
  n = (e + t * d) / radius;
  return t;
}
// |p|^2 + R^2 - r^2 = 2 R |p.xy| squared, with t counted from the ray's closest approach to the centre: a quartic without its cubic
// term, t^4 + p t^2 + q t + s. It splits into two quadratics by the largest root of the resolvent cubic.
float hit_torus(vec3 o, vec3 d, float major, float minor, out vec3 n) {
  n = vec3(0);
  float start = dot(o, d), best = 1e9;
  o = (o - start * d) / major;
  float r = minor / major, g = dot(o, o) + 1.0 - r * r, p = 2.0 * g - 4.0 * dot(d.xy, d.xy), q = -8.0 * dot(o.xy, d.xy), s = g * g - 4.0 * dot(o.xy, o.xy);
  float P = -p * p / 9.0 - 4.0 / 3.0 * s, Q = -p * p * p / 27.0 + 4.0 / 3.0 * p * s - 0.5 * q * q, disc = Q * Q + P * P * P, y;
  if (disc > 0.0) {
    float root = sqrt(disc), u = -Q + (Q > 0.0 ? -root : root);
    u = sign(u) * pow(abs(u), 1.0 / 3.0);
    y = u - P / (abs(u) > 1e-9 ? u : 1e-9);
  } else y = 2.0 * sqrt(-P) * cos(acos(clamp(-Q / max(sqrt(-P * P * P), 1e-12), -1.0, 1.0)) / 3.0);
  float nudged = abs(q) < 1e-4 ? 1e-4 : q;  // a ray in a plane of symmetry: the two quadratics need some q to be told apart
  y = max(y - 2.0 / 3.0 * p, 0.0);
  for (int i = 0; i < 3; i++) {  // the subtraction above loses a small y, which Newton finds again
    float slope = (3.0 * y + 4.0 * p) * y + p * p - 4.0 * s;
    if (abs(slope) > 1e-6) y = max(y - (((y + 2.0 * p) * y + p * p - 4.0 * s) * y - nudged * nudged) / slope, 1e-12);
  }
  float w = sqrt(y);
  for (int side = 0; side < 2; side++) {
    float half_sum = 0.5 * (p + y), b = side == 0 ? -0.5 * w : 0.5 * w, c = half_sum + (side == 0 ? -0.5 : 0.5) * nudged / w, k = b * b - c;
    if (k < 0.0) continue;
    k = sqrt(k);
    if (b - k > start / major) best = min(best, b - k);
    if (b + k > start / major) best = min(best, b + k);
  }
  if (best > 1e8) return -1.0;
  for (int i = 0; i < 2; i++) {  // single precision loses digits in the split; Newton finds them again
    float slope = 4.0 * best * best * best + 2.0 * p * best + q;
    if (abs(slope) > 1e-4) best -= clamp((((best * best + p) * best + q) * best + s) / slope, -0.02, 0.02);
  }
  vec3 at = o + best * d;
  n = normalize(at - vec3(at.xy * inversesqrt(max(dot(at.xy, at.xy), 1e-12)), 0));
  return best * major - start;
}
float hit_solid(int i, vec3 ro, vec3 rd, out vec3 n) {
  int k = first + 4 + 4 * i;
  vec4 place = F[k], size = F[k + 1];
  vec3 oc = ro - place.xyz;
  int type = int(place.w);
  float reach = type == 0 ? size.x : length(size.xyz), b = dot(oc, rd), disc = b * b - dot(oc, oc) + reach * reach;
  n = vec3(0);
  if (disc < 0.0) return -1.0;
  if (type == 0) { float t = -b - sqrt(disc); n = (oc + rd * t) / size.x; return t; }
  vec4 q = F[k + 3], back = vec4(-q.xyz, q.w);
  vec3 o = rotate(back, oc), d = rotate(back, rd);
  float t = -1.0;
  if (HAS(1) && type == 1) t = hit_box(o, d, size.xyz, n);
  if (HAS(2) && type == 2) t = hit_cylinder(o, d, size.x, size.z, n);
  if (HAS(3) && type == 3) t = hit_cone(o, d, size.x, size.z, n);
  if (HAS(4) && type == 4) t = hit_torus(o, d, size.x - size.z, size.z, n);
  if (HAS(5) && type == 5) t = hit_capsule(o, d, size.x, size.z - size.x, n);
  n = rotate(q, n);
  return t;
}
// What part of the light arrives: glass lets half of it through.
float unshaded(vec3 ro, vec3 rd, float far) {
  vec3 n;
  float part = 1.0;
  for (int i = 0; i < N; i++) {
    float t = hit_solid(i, ro, rd, n);
    if (t > 1e-3 && t < far) part *= F[first + 5 + 4 * i].w == 3.0 ? 0.5 : 0.0;
    if (part == 0.0) break;
  }
  return part;
}
// Each solid darkens as a sphere would: cheap, and it grounds things.
float open_sky(vec3 p, vec3 n) {
  float open = 1.0;
  for (int i = 0; i < N; i++) {
    int k = first + 4 + 4 * i;
    vec3 s = F[k + 1].xyz, d = F[k].xyz - p;
    float r = F[k].w == 0.0 ? s.x : min(length(s) * 0.62, 2.2 * min(s.x, min(s.y, s.z))), l2 = dot(d, d);
    if (l2 < r * r * 36.0) open *= 1.0 - 0.85 * clamp(dot(n, d) * inversesqrt(l2), 0.0, 1.0) * min(r * r / l2, 1.0);
  }
  return open;
}

// ---- land and sky
float hill(vec2 p, int octaves) {
  float m = smoothstep(LAND.y, LAND.y * 3.0, length(p));
  return m <= 0.0 ? 0.0 : LAND.x * m * (0.15 + 1.15 * fbm(p * (0.9 / LAND.y) + SKY.w, octaves, 0.0));
}
vec3 sky(vec3 rd, bool disc) {
  float z = max(rd.z, 0.0), s = max(dot(rd, SUN), 0.0);
  vec3 c = mix(HORIZON, ZENITH, pow(z, 0.45)) + SUN_RGB * (0.06 * pow(s, 6.0) + 0.25 * pow(s, 48.0)) * FOG.z;
  if (disc) c += SUN_RGB * 2.5 * smoothstep(0.9990, 0.9996, s);
  if (rd.z < 0.01) return c;
  vec2 q = rd.xy / (rd.z + 0.12) * 1.3 + vec2(now * SKY.z, SKY.w);
  if (SKY.x > 0.01) {
    float k = fbm(q, 5, 0.3 * pixel_rad / (rd.z * rd.z + 0.02));
    float cover = smoothstep(1.0 - SKY.x, 1.22 - SKY.x * 0.75, k + 0.12) * clamp(rd.z * 5.0, 0.0, 1.0) * 0.92;
    float lit = clamp(0.75 - 1.2 * (fbm(q + SUN.xy * 0.15, 3, 0.0) - k), 0.45, 1.15);
    c = mix(c, (AMBIENT * 1.1 + SUN_RGB * 0.42) * lit, cover);
  }
  if (SKY.y > 0.0) {
    vec2 g = rd.xy / (rd.z + 0.3) * 70.0;
    c += SKY.y * step(0.985, hash(floor(g))) * smoothstep(0.3, 0.0, length(fract(g) - 0.5)) * vec3(0.9, 0.95, 1.0);
  }
  return c;
}
vec3 dull_sky(vec3 rd) { return mix(HORIZON, ZENITH, sqrt(max(rd.z, 0.0))); }  // for faint reflections: quick to compile, too
vec3 through_fog(vec3 c, vec3 ro, vec3 rd, float t) {
  float k = FOG.x * exp(-max(ro.z, 0.0) * FOG.y), dz = rd.z * FOG.y;
  float depth = abs(dz) > 1e-4 ? k * (1.0 - exp(-t * dz)) / dz : k * t;
  vec3 veil = FOG_RGB + SUN_RGB * 0.35 * FOG.z * pow(max(dot(rd, SUN), 0.0), 8.0);
  return mix(c, veil, (1.0 - exp(-max(depth, 0.0))) * FOG.w);
}

// ---- what a ray meets: id -1 sky, 0.. solid, -2 ground plane, -3 hills
struct Hit { float t; vec3 n; int id; };
Hit trace(vec3 ro, vec3 rd, int skip) {
  Hit h = Hit(1e9, vec3(0, 0, 1), -1);
  vec3 n;
  for (int i = 0; i < N; i++) { float t = hit_solid(i, ro, rd, n); if (t > 1e-3 && t < h.t && i != skip) h = Hit(t, n, i); }
  if (rd.z < -1e-4) { float t = -ro.z / rd.z; if (t < h.t) h = Hit(t, vec3(0, 0, 1), -2); }
  if (!HILLS) return h;
  float a = dot(rd.xy, rd.xy), b = dot(ro.xy, rd.xy), c = dot(ro.xy, ro.xy) - LAND.y * LAND.y, disc = b * b - a * c;
  float t = c > 0.0 || disc < 0.0 ? 0.0 : max((-b + sqrt(disc)) / a, 0.0), before = t, far = min(h.t, LAND.y * 9.0);
  if (rd.z > 0.0) far = min(far, (LAND.x * 1.35 - ro.z) / rd.z);
  for (int i = 0; i < 36 && t < far; i++) {
    vec3 p = ro + rd * t;
    float gap = p.z - hill(p.xy, 3);
    if (gap < 0.0) {
      for (int j = 0; j < 5; j++) { float m = 0.5 * (before + t); p = ro + rd * m; if (p.z < hill(p.xy, 3)) t = m; else before = m; }
      p = ro + rd * t;
      float z = hill(p.xy, 3), e = LAND.y * 0.02 + t * pixel_rad * 2.0;
      if (z > 0.02) h = Hit(t, normalize(vec3(z - hill(p.xy + vec2(e, 0), 4), z - hill(p.xy + vec2(0, e), 4), e)), -3);
      break;
    }
    before = t;
    t += max(gap * 0.7, t * 0.035 + LAND.y * 0.02);
  }
  return h;
}

struct Surface { vec3 albedo, n; float gloss; bool metal, water, glass; };
// Waves of seven lengths and headings with no common period, bent by noise: the sea never repeats.
vec3 wave_normal(vec2 p, float footprint) {
  vec2 slope = vec2(0), bent = p + 1.7 * vec2(noise(p * 0.11 + 3.1), noise(p * 0.13 + 17.9));
  float freq = 0.55, heading = 0.4 + SKY.w;
  for (int i = 0; i < 7; i++) {
    vec2 dir = vec2(cos(heading), sin(heading));
    slope += dir * cos(dot(dir, bent) * freq + now * sqrt(9.81 * freq) + float(i) * 1.7) * 0.07 * clamp(1.4 - footprint * freq * 0.5, 0.0, 1.0);
    freq *= 1.73;
    heading += 2.39996;
  }
  vec2 r = p * 3.1 + vec2(now * 0.6, -now * 0.4);
  slope += 0.20 * (vec2(noise(r), noise(r + 31.7)) - 0.5) * clamp(1.3 - footprint * 4.0, 0.0, 1.0);
  return normalize(vec3(-slope, 1.0));
}
Surface solid_surface(int i, vec3 p, vec3 n, float footprint) {
  int k = first + 4 + 4 * i, material = int(F[k + 1].w), pattern = int(F[k + 2].w) % 16;
  vec4 q = F[k + 3];
  vec3 s = F[k + 1].xyz, local = rotate(vec4(-q.xyz, q.w), p - F[k].xyz);
  Surface out_ = Surface(F[k + 2].rgb, n, material == 1 ? 0.07 : material == 2 ? 0.75 : material == 3 ? 0.05 : material == 4 ? 0.14 : 0.0, material == 2, false, material == 3);
  if (pattern == 1) out_.albedo = mix(out_.albedo, vec3(min(F[k + 2].r, min(F[k + 2].g, F[k + 2].b)) > 0.6 ? 0.05 : 0.93), 0.88 * smoothstep(-0.15, 0.15, sin(local.z / max(s.x, max(s.y, s.z)) * 8.0)));
  if (pattern == 2) {  // solar cells
    vec2 g = abs(fract(local.xy * vec2(3.5)) - 0.5);
    float w = 0.05 + footprint * 2.0, line = max(smoothstep(0.5 - w, 0.5, g.x), smoothstep(0.5 - w, 0.5, g.y));
    out_.albedo = mix(vec3(0.03, 0.07, 0.24), vec3(0.60, 0.65, 0.70), line * 0.7);
  }
  return out_;
}
Surface land_surface(Hit h, vec3 p, float footprint) {
  vec2 q = p.xy;
  float big = fbm(q * 0.35 + SKY.w, 3, footprint * 0.35), fine = fbm(q * 5.0, 4, footprint * 5.0);
  Surface s = Surface(mix(GROUND_A, GROUND_B, clamp(big * 0.75 + fine * 0.75 - 0.25, 0.0, 1.0)), h.n, 0.0, false, false, false);
  bool shore = LAND.z > 0.0 && q.y - LAND.z + 1.2 * sin(q.x * 0.35 + SKY.w) + fine > 0.0;
  if (WATER && h.id == -2 && (GROUND == 4 || shore)) {
    vec3 deep = GROUND == 4 ? GROUND_A : vec3(0.02, 0.10, 0.15);
    return Surface(mix(deep, deep * 2.2 + 0.02, big) * 0.6, wave_normal(q, footprint), 0.02, false, true, false);
  }
  if (LAND.w > 0.0 && GROUND != 2 && GROUND != 5) s.albedo *= 0.62;
  if (GROUND == 0 || GROUND == 1 || GROUND == 3) s.n = normalize(s.n + (GROUND == 0 ? 0.45 : 0.12) * vec3(SUN.xy, 0));  // blades and grains catch a low sun
  if (GROUND == 0) s.albedo *= 0.72 + 0.56 * fbm(q * 22.0, 3, footprint * 22.0);
  if (GROUND == 1) {
    float ripple = sin(q.y * 9.0 + 4.0 * big + 2.0 * fine) * clamp(1.2 - footprint * 14.0, 0.0, 1.0);
    s.n = normalize(s.n + vec3(0, 0.10 * ripple, 0));
    s.albedo *= 0.94 + 0.06 * ripple;
  }
  if (GROUND == 2) {
    vec2 g = abs(fract(q * 0.5) - 0.5);
    float w = 0.014 + footprint * 1.2, line = max(smoothstep(0.5 - w, 0.5, g.x), smoothstep(0.5 - w, 0.5, g.y));
    s.albedo = mix(s.albedo, s.albedo * 0.45, line * clamp(1.0 - footprint * 0.6, 0.0, 1.0));
    s.gloss = 0.02;
  }
  if (GROUND == 3) s.albedo *= 0.94 + 0.1 * fine;
  if (GROUND == 5) {
    vec2 g = floor(q * 0.8);
    float odd = mix(mod(g.x + g.y, 2.0), 0.5, clamp(footprint * 1.2, 0.0, 1.0));
    s.albedo = mix(GROUND_A, GROUND_B, odd) * (0.92 + 0.16 * fine);
    s.gloss = 0.03;
  }
  if (LAND.w > 0.0 && (GROUND == 2 || GROUND == 5)) {  // a film of water, puddles where the ground is low
    float puddle = smoothstep(0.50, 0.58, fbm(q * 0.8 + 5.0 + SKY.w, 3, footprint * 0.8));
    s.albedo *= mix(0.55, 0.34, puddle);
    s.gloss = mix(0.10, 0.26, puddle);
    vec2 drop = FALL.x == 1.0 ? vec2(noise(q * 11.0 + now * 7.0), noise(q * 11.0 - now * 7.0 + 9.0)) - 0.5 : vec2(fine - 0.5) * (1.0 - puddle);
    s.n = normalize(s.n + vec3(drop, 0) * 0.07 * clamp(1.2 - footprint * 8.0, 0.0, 1.0));
  }
  if (h.id == -3 && GROUND == 3) s.albedo = mix(vec3(0.35, 0.36, 0.40), s.albedo, smoothstep(0.55, 0.8, h.n.z));
  return s;
}
int id_of(Hit h, bool water) {
  if (h.id >= 0) return int(F[first + 4 + 4 * h.id + 2].w) / 16;
  return h.id == -1 ? 0 : h.id == -3 ? 65 : water ? 66 : 64;
}

// ---- light: two path segments
vec3 shade(vec3 ro, vec3 rd, vec2 jitter, out int id, out float far) {
  vec3 sum = vec3(0), weight = vec3(1);
  int skip = -1;
  far = 1e9;
  for (int bounce = 0; bounce < 2; bounce++) {
    Hit h = trace(ro, rd, skip);
    if (h.id == -1) {
      if (bounce == 0) id = 0;
      return sum + weight * through_fog(sky(rd, bounce == 0), ro, rd, mix(60.0, 400.0, clamp(rd.z * 3.0, 0.0, 1.0)));
    }
    vec3 p = ro + rd * h.t;
    if (bounce == 0) far = h.t;
    float footprint = (h.t * pixel_rad + LENS.y * abs(h.t - LENS.x)) / max(abs(rd.z), 0.08);
    Surface s;
    if (h.id >= 0) s = solid_surface(h.id, p, h.n, footprint); else s = land_surface(h, p, footprint);
    if (bounce == 0) id = id_of(h, s.water);
    vec3 side = normalize(cross(SUN, vec3(0.3, 0.1, 1.0)));
    vec3 l = normalize(SUN + 0.035 * (jitter.x * side + jitter.y * cross(side, SUN)));
    float ndl = dot(s.n, l), sun = max(ndl, 0.0);
    if (ndl > 0.0 && h.t < 120.0) sun *= unshaded(p + h.n * 2e-3, l, 60.0);
    vec3 skylight = mix(AMBIENT * 0.55 + GROUND_A * 0.12 * AMBIENT, AMBIENT, 0.5 + 0.5 * s.n.z) * open_sky(p + h.n * 1e-3, h.n);
    vec3 c = s.albedo * (SUN_RGB * sun + skylight);
    if (LAMP.w > 0.0) {
      vec3 d = LAMP.xyz - p;
      float l2 = dot(d, d);
      c += s.albedo * LAMP_RGB * LAMP.w * max(dot(s.n, d) * inversesqrt(l2), 0.0) / (0.3 + l2);
    }
    vec3 v = -rd, specular = s.metal ? s.albedo : vec3(1);
    float ndv = clamp(dot(s.n, v), 0.02, 1.0), sharp = s.water ? 220.0 : s.metal ? 90.0 : s.gloss > 0.04 ? 160.0 : 12.0;
    float glint = pow(max(dot(s.n, normalize(l + v)), 0.0), sharp) * (sharp + 8.0) * 0.04;
    float fresnel = s.gloss + (1.0 - s.gloss) * pow(1.0 - ndv, 5.0) * (s.gloss > 0.0 ? 1.0 : 0.15);
    if (s.metal) c *= 0.25;
    if (s.glass) c *= 0.18;
    c += SUN_RGB * glint * sun * (s.gloss > 0.0 ? s.gloss + 0.15 : 0.03) * specular;
    if (GLASS && s.glass && bounce == 0) {  // see through: a ball bends the light twice, other solids shift it a little
      sum += through_fog(c + fresnel * dull_sky(reflect(rd, s.n)) * (dot(s.n, vec3(0, 0, 1)) > -0.3 ? 1.0 : 0.4), ro, rd, h.t);
      weight *= (1.0 - fresnel) * pow(s.albedo, vec3(0.35 + 0.45 * (1.0 - ndv))) * (1.0 - 0.6 * pow(1.0 - ndv, 3.0)) * exp(-FOG.x * h.t * 0.8);
      bool ball = F[first + 4 + 4 * h.id].w == 0.0;
      rd = refract(rd, h.n, ball ? 1.0 / 1.45 : 1.0 / 1.2);
      ro = p;
      if (ball) {
        ro = p - 2.0 * dot(h.n, rd) * F[first + 5 + 4 * h.id].x * rd;
        rd = refract(rd, normalize(F[first + 4 + 4 * h.id].xyz - ro), 1.45);
      }
      skip = h.id;
      continue;
    }
    bool mirror = s.gloss > 0.0 && bounce == 0;
    if (!mirror && s.gloss > 0.0) c += fresnel * specular * dull_sky(reflect(rd, s.n)) * 0.7;
    if (mirror && !s.metal) c *= 1.0 - fresnel;
    sum += weight * through_fog(c, ro, rd, h.t);
    if (!mirror) return sum;
    weight *= specular * (s.metal ? max(fresnel, 0.6) : fresnel) * exp(-FOG.x * h.t * 0.8);
    rd = reflect(rd, s.n);
    if (dot(rd, h.n) < 0.0) rd = reflect(rd, h.n);
    ro = p + h.n * 3e-3;
  }
  return sum;
}
// Rain and snow hang in the world, not on the screen: one column of drops per cell of a grid, which the ray walks through.
float precipitation(vec3 ro, vec3 rd, float far) {
  bool rain = FALL.x == 1.0;
  float size = rain ? 0.45 : 0.34, period = rain ? 1.1 : 0.5, clear = 1.0;
  vec2 o = ro.xy + vec2(FALL.z * ro.z, 0), d = rd.xy + vec2(FALL.z * rd.z, 0);  // sheared, so that slanting drops fall straight
  d += vec2(lessThan(abs(d), vec2(1e-4))) * 2e-4;
  vec2 cell = floor(o / size), way = sign(d), each = size / abs(d), next = ((cell + step(0.0, d)) * size - o) / d;
  for (int i = 0; i < 16 && min(next.x, next.y) < far + size; i++) {
    float a = hash(cell), b = hash(cell + 31.0), c = hash(cell + 77.0);
    vec2 p = (cell + 0.15 + 0.7 * vec2(a, b)) * size;
    float t = dot(p - o, d) / dot(d, d), z = ro.z + t * rd.z, beat = (z + FALL.y * (0.8 + 0.4 * c) * now) / period + c * 7.0, gap, width, on = 1.0;
    if (rain) {
      gap = length(o + t * d - p);
      width = 0.0022;
      float along = fract(beat) * period;
      on = smoothstep(0.0, 0.06, along) * smoothstep(FALL.w, FALL.w * 0.6, along) * 0.5;
    } else {
      float k = floor(beat);
      p += 0.05 * vec2(sin(now * 1.3 + k * 2.4 + a * 6.0), cos(now * 1.1 + k * 1.7 + b * 6.0));
      vec3 to = vec3(p, z + (k + 0.5 - beat) * period) - vec3(o, ro.z), dir = vec3(d, rd.z);
      t = dot(to, dir) / dot(dir, dir);
      gap = length(to - t * dir);
      width = 0.008 + 0.008 * c;
    }
    float blur = max(t * pixel_rad, 0.0), reach = max(width, blur);
    if (t > 0.35 && t < far) clear *= 1.0 - on * min(width / reach, 1.0) * smoothstep(reach + 0.5 * blur, reach * 0.4, gap) * 0.9;
    if (next.x < next.y) { cell.x += way.x; next.x += each.x; } else { cell.y += way.y; next.y += each.y; }
  }
  return 1.0 - clear;
}
vec3 tone(vec3 x) {  // filmic curve, sRGB-like gamma, then the mood's grade
  x *= GRADE.x * TINT;
  x = clamp((x * (2.51 * x + 0.03)) / (x * (2.43 * x + 0.59) + 0.14), 0.0, 1.0);
  x = pow(x, vec3(1.0 / 2.2));
  x = mix(vec3(dot(x, vec3(0.30, 0.59, 0.11))), x, GRADE.y);
  return clamp((x - 0.5) * GRADE.z + 0.5, 0.0, 1.0);
}
vec3 ray(vec2 at) {
  vec2 q = (at - 0.5 * RES) / (0.5 * RES.y);
  return normalize(q.x * F[first + 1].xyz + q.y * F[first + 2].xyz + F[first].w * F[first + 3].xyz);
}
vec3 sample_at(vec2 at, float turn, out int id, out float far) {
  return tone(shade(F[first].xyz, ray(at), vec2(cos(turn), sin(turn)), id, far));
}
// Two samples everywhere; where they disagree, four more: edges are smooth and flat parts cheap.
void main() {
  uvec3 g = gl_GlobalInvocationID;
  if (float(g.x) >= RES.x || float(g.y) >= RES.y) return;
  first = int(g.z) * (4 + 4 * N);
  now = T0 + DT * float(g.z);
  pixel_rad = 1.0 / (F[first].w * 0.5 * RES.y);
  vec2 px = vec2(g.xy);
  const vec2 AT[6] = vec2[](vec2(0.30, 0.36), vec2(0.70, 0.64), vec2(0.82, 0.18), vec2(0.14, 0.84), vec2(0.56, 0.08), vec2(0.46, 0.93));
  const float TURN[6] = float[](0.8, 3.9, 2.4, 5.5, 0.1, 4.6);
  int id = 0;
  float far = 1e9;
  vec3 sum = vec3(0), one = vec3(0);
  int k = 0, other = 0;
  for (; k < SAMPLES; k++) {  // one copy of the program in one loop: quick to compile, and left early
    vec3 gap = abs(one * 2.0 - sum);
    if (k == 2 && id == other && max(gap.r, max(gap.g, gap.b)) < 0.09) break;
    int seen;
    float reach;
    one = sample_at(px + AT[k], TURN[k], seen, reach);
    sum += one;
    if (k == 0) id = seen;
    if (k < 2) { other = seen; far = min(far, reach); }
  }
  id = max(id, other);
  vec3 c = sum / float(k);
  vec3 rd = ray(px + 0.5);
  if (FALLING) c = mix(c, tone(FALL_RGB), precipitation(F[first].xyz, rd, far));
  uint at = (g.z * uint(RES.y) + uint(RES.y) - 1u - g.y) * uint(RES.x) + g.x;
  if (DEPTH) {
    Hit h = trace(F[first].xyz, rd, -1);
    D[at] = h.id == -1 ? uintBitsToFloat(0x7F800000u) : h.t * dot(rd, F[first + 3].xyz);
  }
  uvec3 u = uvec3(c * 255.0 + 0.5);
  O[at] = u.r | (u.g << 8) | (u.b << 16) | (uint(id) << 24);
}
