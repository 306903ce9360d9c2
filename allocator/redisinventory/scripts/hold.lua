-- Hold: grants places to as many holds as wait for the shard.
--
-- KEYS[1]  the shard's epoch key (the head names the others)
-- ARGV[1]  reap4 sites2 slots2 items2 codes2 bounds2 windows2: how many lapsed holds to free, and how many follow of each
-- ARGV[2…] site ids; slot keys; request keys and the word "micros"; service codes; sets of bounds (see decodeBounds);
--          windows "opens minLead maxLead"; then two for each item:
--            length4 grace4 print8 #site1 site n1 {start4 len2 #service1 service}n
--            site2 {slot2 date3 revision6 bounds2 code2 window2}n, indexes from 1
-- Returns  now6 packed, then for each item: outcome1 and
--            granted: repeated1 state1 stamp9 epoch4 deadline6 n1 place3 × n
--            full, outside, stale: claim1 revision6 more1
-- Promises items are decided in order, each on what the earlier ones left; all claims of an item or none; the lowest free
--          places; a key that is known takes no place. Repeating it answers the same grants.
local bad = gate()
if bad then return bad end

local head = ARGV[1]
local at = 2
local function section(n) local first = at at = at + n return first end
local nSites, nSlots, nItems = u2(head, 5), u2(head, 7), u2(head, 9)
local sitesAt, slotsAt, keysAt = section(nSites), section(nSlots), section(nItems + 1)
local codesAt, boundsAt, windowsAt = section(u2(head, 11)), section(u2(head, 13)), section(u2(head, 15))

local more = reap(u4(head, 1))

-- read is HMGET of a section of ARGV.
local function read(key, first, n)
  local all = {}
  for i = 1, n, 4000 do
    local last = math.min(i + 3999, n)
    local got = call('HMGET', key, unpack(ARGV, first + i - 1, first + last - 1))
    if n <= 4000 then return got end
    for j = i, last do all[j] = got[j - i + 1] end
  end
  return all
end

local sites, slots, known = read(K_SITE, sitesAt, nSites), read(K_SLOT, slotsAt, nSlots), read(K_GRANT, keysAt, nItems + 1)
for i = 1, nSlots do
  local k = ARGV[slotsAt + i - 1]
  if not S[k] then S[k] = decodeSlot(slots[i]) end
end
local stamp = newStamp(known[nItems + 1])
local ready5 = EPOCH4 .. '\0'

local bounds, windows = {}, {}
local codes = {}
for i = codesAt, boundsAt - 1 do codes[i - codesAt + 1] = ARGV[i] end
local function boundsOf(i)
  local b = bounds[i]
  if not b then
    b = decodeBounds(ARGV[boundsAt + i - 1], codes)
    bounds[i] = b
  end
  return b
end
local function windowOf(i)
  local w = windows[i]
  if not w then
    local opens, low, high = string.match(ARGV[windowsAt + i - 1], '^(%S+) (%S+) (%S+)$')
    w = { tonumber(opens), tonumber(low), tonumber(high) }
    windows[i] = w
  end
  return w
end

local function view(g, repeated)
  return char(0, repeated, stateOf(g)) .. sub(g.id, 10) .. g.epoch4 .. p6(g.deadline) .. char(g.n) .. packPlaces(g)
end

local function hold(key, body, packed, raw)
  local g = G[key]
  if g == nil then
    g = raw
    G[key] = g
  end
  if g then
    g = grant(key)
    local print = sub(g.body, 9, 16)
    if print ~= sub(body, 9, 16) and find(print, '[^%z]') then return '\1' end -- a mark alone does not know the body
    return view(g, 1)
  end
  local record = sites[u2(packed, 1)]
  if not record then return '\5' end
  if byte(record, 5) ~= 0 then return '\6' end
  if sub(record, 1, 5) ~= ready5 then return '\5' end
  local claims, n = {}, 0
  for p = 3, #packed, 17 do
    n = n + 1
    claims[n] = {
      ARGV[slotsAt + u2(packed, p) - 1], sub(packed, p + 2, p + 10), boundsOf(u2(packed, p + 11)),
      codes[u2(packed, p + 13)], windowOf(u2(packed, p + 15)),
    }
  end
  local places, outcome, claim, revision = choose(record, 24 + byte(record, 23), claims)
  if not places then return char(outcome, claim) .. p6(revision) .. (more and '\1' or '\0') end
  local id = key .. stamp
  local deadline = now + u4(body, 1)
  newGrant(id, HELD, 0, deadline, body, places, claims)
  for i = 1, n do take(claims[i][1], places[i], id, false, claims[i][4]) end
  stamped = sub(stamp, 3)
  lapsesInTurn(deadline + u4(body, 5), id)
  keep(id)
  local packed3 = ''
  for i = 1, n do packed3 = packed3 .. p3(places[i]) end
  return '\0\0\1' .. stamp .. EPOCH4 .. p6(deadline) .. char(n) .. packed3
end

local replies = { p6(now) }
for i = 1, nItems do
  local itemAt = windowsAt + u2(head, 15) + 2 * i - 2
  replies[i + 1] = hold(ARGV[keysAt + i - 1], ARGV[itemAt], ARGV[itemAt + 1], known[i])
end
flush()
return replies
