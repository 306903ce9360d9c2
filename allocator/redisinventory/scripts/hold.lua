-- Hold: grants places to as many holds as wait for the shard.
--
-- KEYS[1]  the shard's epoch key (the head names the others)
-- ARGV[1]  reap4 fast1 sites2 slots2 revisions2 items2 codes2 bounds2 windows2 shapes2 from6 till6 length4 grace4: how many
--          lapsed holds to free; how many follow of each; where fast is 1, each item wants one place, all for this length and
--          grace, and all windows are open between these instants, both included
-- ARGV[2…] site ids; slot keys; date3 revision6; request keys and the word "micros"; service codes; sets of bounds (see
--          decodeBounds); windows "opens minLead maxLead"; then two for each shape of an item:
--            length4 grace4 print8 #site1 site n1 {start4 len2 #service1 service}n
--            site2 {slot2 revision2 bounds2 code2 window2}n, indexes from 1
--          and last, shape2 of each item
-- Returns  now6, where fast is 1 perhaps with stamp9 deadline6, then for each item: outcome1 and
--            8: place3; granted just now, with that stamp and deadline
--            granted: repeated1 state1 stamp9 epoch4 deadline6 n1 place3 × n
--            full, outside, stale: claim1 revision6 more1
-- Promises items are decided in order, each on what the earlier ones left; all claims of an item or none; the lowest free
--          places; a key that is known takes no place. Repeating it answers the same grants.
local bad = gate()
if bad then return bad end

local head = ARGV[1]
local at = 2
local function section(n) local first = at at = at + n return first end
local nSites, nSlots, nItems = u2(head, 6), u2(head, 8), u2(head, 12)
local sitesAt, slotsAt, revisionsAt, keysAt = section(nSites), section(nSlots), section(u2(head, 10)), section(nItems + 1)
local codesAt, boundsAt, windowsAt = section(u2(head, 14)), section(u2(head, 16)), section(u2(head, 18))
local shapesAt = section(2 * u2(head, 20))

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
  for p = 3, #packed, 10 do
    n = n + 1
    claims[n] = {
      ARGV[slotsAt + u2(packed, p) - 1], ARGV[revisionsAt + u2(packed, p + 2) - 1], boundsOf(u2(packed, p + 4)),
      codes[u2(packed, p + 6)], windowOf(u2(packed, p + 8)),
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
  local shapeAt = shapesAt + 2 * u2(ARGV[at], 2 * i - 1) - 2
  replies[i + 1] = hold(ARGV[keysAt + i - 1], ARGV[shapeAt], ARGV[shapeAt + 1], known[i])
end
flush()
return replies
