-- Shared by every script: the model of a shard, read through small caches and written back once, by flush(). So a script
-- decides everything before it writes anything, and a batch needs one variadic call for each hash.
--
-- The head, written by scripts.go, names the incarnation (EPOCH, EPOCH4, INCARNATION), the keys (K_…, built by keys.go,
-- all of one hash tag, hence of one node) and the settings (KEEP_MS, FEED, SET_ASIDE).
--
-- Records (big-endian numbers, the digit is the number of bytes)
--   K_SITE  site              epoch4 #builder1 overflowed1 generation7 built9 builder #last1 last {date3 revision6}*
--                             built is the stamp of the moment when the last rebuild ended
--   K_SLOT  site start4 len2  services1 {#code1 code count3}* #full1 full chunk0
--           chunk n is the bitmap of places 2048n … 2048n+2047, zero bytes at its end left out; full has a bit for each chunk
--           without a free place. So the lowest free place of any slot takes two searches.
--   K_MORE  slot chunk2       chunks 1, 2, …
--   K_OWN   slot place3       id18 booked1 service
--   K_GRANT request key9      stamp9 state1 extended1 epoch4 deadline6 | length4 grace4 print8 #site1 site n1 {start4 len2 #service1 service}n |
--                             {place3 revision4}n #reason1 reason {start4 len2 place3}*
--                             the last are its rows that ended while others of the grant live on
--           and in its field "micros" the last stamp: stamps never repeat, whatever the clock does
--   K_DAYS  site              {day3}*: UTC days in which slots are in use
--   K_USED  site day3         {minute2 len2}*: these slots
--   K_EXP, K_KEEP             due6 {id18}*: first in, first out
--   K_LATER                   due6 id18, scored by due: what lapses out of that order, as an extended hold does
--   K_STUCK                   id18
--   K_ASIDE:site              late messages of a site that is being rebuilt
local call, byte, char, sub, find, rep = redis.call, string.byte, string.char, string.sub, string.find, string.rep
local floor, concat = math.floor, table.concat
local HELD, PINNED, BOOKED, RELEASED, EXPIRED, ENDED = 1, 2, 3, 4, 5, 6
local CHUNK = 2048

-- gate answers an error where the shard is not at this incarnation. late lets a newer epoch pass.
local function gate(late)
  local stored = call('GET', K_EPOCH)
  if stored == INCARNATION then return nil end
  if not stored then return redis.error_reply('LOST the shard has no epoch') end
  local n = tonumber(string.match(stored, '^%d+'))
  if n and n > EPOCH then
    if late then return nil end
    return redis.error_reply('STALE the shard has epoch ' .. string.format('%.0f', n))
  end
  return redis.error_reply('LOST the shard has an older epoch or another identity')
end

local function p2(n) return char(floor(n / 256) % 256, n % 256) end
local function p3(n) return char(floor(n / 65536) % 256, floor(n / 256) % 256, n % 256) end
local function p4(n) return p2(floor(n / 65536)) .. p2(n % 65536) end
local function p6(n) return p3(floor(n / 16777216)) .. p3(n % 16777216) end
local function p7(n) return char(floor(n / 281474976710656) % 256) .. p6(n % 281474976710656) end
local function u2(s, i) local a, b = byte(s, i, i + 1) return a * 256 + b end
local function u3(s, i) local a, b, c = byte(s, i, i + 2) return (a * 256 + b) * 256 + c end
local function u4(s, i) return u2(s, i) * 65536 + u2(s, i + 2) end
local function u6(s, i) return u3(s, i) * 16777216 + u3(s, i + 3) end
local function u7(s, i) return byte(s, i) * 281474976710656 + u6(s, i + 1) end

local stamped -- the last stamp's microseconds, packed, where this call made one
local clock = call('TIME')
local micros = clock[1] * 1000000 + clock[2]
local now = floor(micros / 1000)

-- newStamp makes this call's stamp, later than any before it. last is the field "micros" of K_GRANT.
local function newStamp(last)
  if last and micros <= u7(last, 1) then micros = u7(last, 1) + 1 end
  return sub(EPOCH4, 3) .. p7(micros)
end

-- bulk calls a variadic command in pieces that fit Lua's stack. Every piece holds whole pairs.
local function bulk(command, key, list)
  for i = 1, #list, 4000 do
    call(command, key, unpack(list, i, math.min(i + 3999, #list)))
  end
end

-- fill reads the fields that a cache does not know yet, in one call.
local function fill(key, fields, cache, decode)
  local want, asked = {}, {}
  for _, f in ipairs(fields) do
    if cache[f] == nil and not asked[f] then
      asked[f] = true
      want[#want + 1] = f
    end
  end
  for i = 1, #want, 4000 do
    local last = math.min(i + 3999, #want)
    local got = call('HMGET', key, unpack(want, i, last))
    for j = i, last do
      local v = got[j - i + 1]
      if decode then v = decode(v, want[j]) end
      cache[want[j]] = v
    end
  end
end

-- Bits of a bitmap whose trailing zero bytes are left out.
local function bit(map, n)
  local b = byte(map, floor(n / 8) + 1)
  return b ~= nil and floor(b / 2 ^ (n % 8)) % 2 == 1
end

local function setBit(map, n)
  local i = floor(n / 8) + 1
  local b = byte(map, i)
  if not b then return map .. rep('\0', i - #map - 1) .. char(2 ^ (n % 8)) end
  return sub(map, 1, i - 1) .. char(b + 2 ^ (n % 8)) .. sub(map, i + 1)
end

local function clearBit(map, n)
  local i = floor(n / 8) + 1
  map = sub(map, 1, i - 1) .. char(byte(map, i) - 2 ^ (n % 8)) .. sub(map, i + 1)
  local last = #map
  while last > 0 and byte(map, last) == 0 do last = last - 1 end
  return sub(map, 1, last)
end

-- firstClear is the lowest clear bit from bit n on; it may lie behind the map.
local function firstClear(map, n)
  local i = floor(n / 8) + 1
  local b = byte(map, i)
  if not b then return n end
  if n % 8 > 0 then
    b = floor(b / 2 ^ (n % 8))
    while n < i * 8 and b % 2 == 1 do b, n = (b - 1) / 2, n + 1 end
    if n < i * 8 then return n end
    i = i + 1
  end
  i = find(map, '[^\255]', i)
  if not i then return #map * 8 end
  b, n = byte(map, i), (i - 1) * 8
  while b % 2 == 1 do b, n = (b - 1) / 2, n + 1 end
  return n
end

-- Slots.
local S, Sdirty = {}, {}

local function decodeSlot(raw)
  local s = { counts = {}, total = 0, full = '', stored = false, dirty = false, [0] = '' }
  if not raw then return s end
  local p = 2
  for _ = 1, byte(raw, 1) do
    local l = byte(raw, p)
    local a, b, c = byte(raw, p + l + 1, p + l + 3)
    local n = (a * 256 + b) * 256 + c
    s.counts[sub(raw, p + 1, p + l)] = n
    s.total = s.total + n
    p = p + l + 4
  end
  local l = byte(raw, p)
  if l > 0 then s.full = sub(raw, p + 1, p + l) end
  s[0] = sub(raw, p + l + 1)
  s.stored = true
  return s
end

local function slot(k)
  local s = S[k]
  if not s then
    s = decodeSlot(call('HGET', K_SLOT, k))
    S[k] = s
  end
  return s
end

local function chunk(k, s, c)
  local map = s[c]
  if not map then
    map = call('HGET', K_MORE, k .. p2(c)) or ''
    s[c] = map
  end
  return map
end

-- nextFree is the lowest free place from a number on.
local function nextFree(k, s, from)
  local c, n = floor(from / CHUNK), from % CHUNK
  while true do
    if n == 0 and s.full ~= '' then c = firstClear(s.full, c) end
    n = firstClear(chunk(k, s, c), n)
    if n < CHUNK then return c * CHUNK + n end
    c, n = c + 1, 0
  end
end

local function mark(k, s)
  if not s.dirty then
    s.dirty = true
    Sdirty[#Sdirty + 1] = k
  end
end

local function markChunk(s, c)
  if c > 0 then
    s.chunks = s.chunks or {}
    s.chunks[c] = true
  end
end

-- Places. O holds raw records, false for a free place.
local O, Odirty = {}, {}

local function place(k, n)
  local f = k .. p3(n)
  local v = O[f]
  if v == nil then
    v = call('HGET', K_OWN, f)
    O[f] = v
  end
  return v
end

-- take makes a free place a claim's.
local function take(k, n, owner, booked, service)
  local s, f, c = slot(k), k .. p3(n), floor(n / CHUNK)
  O[f] = owner .. (booked and '\1' or '\0') .. service
  Odirty[f] = true
  local map = setBit(chunk(k, s, c), n % CHUNK)
  s[c] = map
  if #map == CHUNK / 8 and not find(map, '[^\255]') then s.full = setBit(s.full, c) end
  s.counts[service] = (s.counts[service] or 0) + 1
  s.total = s.total + 1
  markChunk(s, c)
  mark(k, s)
end

-- give makes a place free if it is still the owner's; a booked one only where asked.
local function give(k, n, owner, booked)
  local v = place(k, n)
  if not v or sub(v, 1, 18) ~= owner or byte(v, 19) == 1 and not booked then return end
  local s, f, c = slot(k), k .. p3(n), floor(n / CHUNK)
  O[f] = false
  Odirty[f] = true
  s[c] = clearBit(chunk(k, s, c), n % CHUNK)
  if bit(s.full, c) then s.full = clearBit(s.full, c) end
  local service = sub(v, 20)
  local left = s.counts[service] - 1
  s.counts[service] = left > 0 and left or nil
  s.total = s.total - 1
  markChunk(s, c)
  mark(k, s)
end

-- Grants. G holds records, decoded where they were looked at, false for none.
local G, Gdirty = {}, {}

local function decodeGrant(raw, key)
  if not raw then return false end
  local l = byte(raw, 38)
  local n = byte(raw, 39 + l)
  local g = {
    key = key, id = key .. sub(raw, 1, 9), state = byte(raw, 10), extended = byte(raw, 11), epoch4 = sub(raw, 12, 15),
    deadline = u6(raw, 16), grace = u4(raw, 26), site = sub(raw, 39, 38 + l), n = n,
    slots = {}, services = {}, places = {}, revisions = {},
  }
  local at = 40 + l
  for i = 1, n do
    g.slots[i] = g.site .. sub(raw, at, at + 5)
    l = byte(raw, at + 6)
    g.services[i] = sub(raw, at + 7, at + 6 + l)
    at = at + 7 + l
  end
  g.body = sub(raw, 22, at - 1)
  for i = 1, n do
    g.places[i] = u3(raw, at)
    g.revisions[i] = sub(raw, at + 3, at + 6)
    at = at + 7
  end
  l = byte(raw, at)
  g.reason = sub(raw, at + 1, at + l)
  g.gone = sub(raw, at + 1 + l)
  return g
end

-- packPlaces writes {place3}n; placesAndRevisions {place3 revision4}n.
local function packPlaces(g)
  local packed = {}
  for i = 1, g.n do packed[i] = p3(g.places[i]) end
  return concat(packed)
end

local function placesAndRevisions(g)
  local packed = {}
  for i = 1, g.n do packed[i] = p3(g.places[i]) .. g.revisions[i] end
  return concat(packed)
end

-- claimsOf writes {start4 len2 place3 #service1 service}n.
local function claimsOf(g)
  local packed = {}
  for i = 1, g.n do packed[i] = sub(g.slots[i], #g.site + 1) .. p3(g.places[i]) .. char(#g.services[i]) .. g.services[i] end
  return concat(packed)
end

-- proven is placesAndRevisions, but with revision 0 where the grant is older than the site's last rebuild: it may have
-- survived what the rebuild could not know. Stamps are compared as numbers: Lua's order of strings is the locale's.
local function proven(g, t)
  local made, built = u3(g.id, 10), u3(t.built, 1)
  if made > built or made == built and u6(g.id, 13) > u6(t.built, 4) then return placesAndRevisions(g) end
  local packed = {}
  for i = 1, g.n do packed[i] = p3(g.places[i]) .. '\0\0\0\0' end
  return concat(packed)
end

local function encodeGrant(g)
  if type(g) == 'string' then return g end
  return sub(g.id, 10) .. char(g.state, g.extended) .. g.epoch4 .. p6(g.deadline) .. g.body .. placesAndRevisions(g) .. char(#g.reason) .. g.reason .. g.gone
end

-- grant finds the grant of a request; exact the one with this very id.
local function grant(key)
  local g = G[key]
  if g == nil then g = call('HGET', K_GRANT, key) end
  if type(g) == 'string' then g = decodeGrant(g, key) end
  G[key] = g
  return g
end

local function exact(id)
  local g = grant(sub(id, 1, 9))
  return g and g.id == id and g or false
end

-- newGrant makes a grant of claims as choose takes them. body is what never changes of its record.
local function newGrant(id, state, extended, deadline, body, places, claims)
  local key, rows = sub(id, 1, 9), ''
  for i = 1, #places do rows = rows .. p3(places[i]) .. sub(claims[i][2], 6) end
  G[key] = sub(id, 10) .. char(state, extended) .. EPOCH4 .. p6(deadline) .. body .. rows .. '\0'
  Gdirty[key] = true
end

-- stateOf is a grant's state as anyone may see it: a hold whose time is up is expired, reaped or not.
local function stateOf(g)
  if not g then return 0 end
  if g.state == HELD and now >= g.deadline + g.grace then return EXPIRED end
  return g.state
end

local function alive(g) return g and (g.state == HELD or g.state == PINNED) end

local function setState(g, state)
  g.state = state
  Gdirty[g.key] = true
end

local function forget(g)
  G[g.key] = false
  Gdirty[g.key] = true
end

local function giveAll(g, booked)
  for i = 1, g.n do give(g.slots[i], g.places[i], g.id, booked) end
end

-- drop removes a hold or pin that a row or a repair pushed out: it counts as lost from now on.
local function drop(id)
  local g = exact(id)
  if not alive(g) then return end
  giveAll(g, false)
  forget(g)
end

-- recorded marks a grant as booked: the places that it holds without a row go back.
local function recorded(id)
  local g = exact(id)
  if g and g.state ~= ENDED then
    giveAll(g, false)
    setState(g, BOOKED)
  end
end

-- First in, first out: appointments to push, and how many were taken off the front.
local pushes = { [K_EXP] = {}, [K_KEEP] = {}, [K_STUCK] = {} }
local fronts = {}

local function appoint(list, due, id)
  local q = pushes[list]
  local last = q[#q]
  if last and last.due == due then
    last[#last + 1] = id
  else
    q[#q + 1] = { due = due, p6(due), id }
  end
end

local function keep(id) appoint(K_KEEP, now + KEEP_MS, id) end

-- Lapsing. The list is in order of due times: lapsesInTurn adds to it what is due no sooner than its tail. All else goes
-- to the sorted set, so that nothing that is due late stands before what is due soon.
local laters, latersTaken, tail = {}, {}, nil

local function lapses(due, id)
  laters[#laters + 1] = string.format('%.0f', due)
  laters[#laters + 1] = p6(due) .. id
end

local function lapsesInTurn(due, id)
  if not tail then
    local e = call('LINDEX', K_EXP, -1)
    tail = e and u6(e, 1) or 0
  end
  if due < tail then return lapses(due, id) end
  tail = due
  appoint(K_EXP, due, id)
end

-- markable is the grant of an id's request, made where there is none.
local function markable(id, site)
  local g = grant(sub(id, 1, 9))
  if not g then
    newGrant(id, BOOKED, 0, 0, rep('\0', 16) .. char(#site) .. site .. '\0', {}, {})
    keep(id)
    g = exact(id)
  end
  return g
end

-- gone says whether a row of the grant ended before.
local function gone(g, k, n)
  local row = sub(k, #k - 5) .. p3(n)
  local at = find(g.gone, row, 1, true)
  while at and (at - 1) % 9 ~= 0 do at = find(g.gone, row, at + 1, true) end
  return at ~= nil
end

-- finish gives back every place of a grant and marks it ended.
local function finish(id, site, reason)
  local g = markable(id, site)
  if g.id ~= id then return end
  giveAll(g, true)
  if g.state ~= ENDED then
    setState(g, ENDED)
    g.reason = reason
  end
end

-- due reads up to limit ids off the front of a list whose time has come, and tells whether more are due. Where others is
-- given, its due6 id18, which are in order, are taken in between, also counted, and left out of it.
local function due(list, limit, others)
  local ids, n, other = {}, 0, 1
  while true do
    local e = call('LINDEX', list, n)
    if e and u6(e, 1) > now then e = nil end
    while others and others[other] and #ids < limit and (not e or u6(others[other], 1) < u6(e, 1)) do
      ids[#ids + 1] = sub(others[other], 7)
      latersTaken[other] = others[other]
      other = other + 1
    end
    if not e then break end
    local at = 7
    while at < #e and #ids < limit do
      ids[#ids + 1] = sub(e, at, at + 17)
      at = at + 18
    end
    if at < #e then
      if at > 7 or n > 0 then fronts[list] = { n, at > 7 and sub(e, 1, 6) .. sub(e, at) } end
      return ids, true
    end
    n = n + 1
    fronts[list] = { n }
  end
  return ids, others ~= nil and others[other] ~= nil
end

local function warmGrants(ids)
  local keys = {}
  for i, id in ipairs(ids) do keys[i] = sub(id, 1, 9) end
  fill(K_GRANT, keys, G)
  return keys
end

-- warmPlaces reads the places and slots of the grants, and those listed as {slot, number}.
local function warmPlaces(keys, rows)
  local fields, slots = {}, {}
  for _, key in ipairs(keys) do
    local g = grant(key)
    if g and g.state ~= EXPIRED and g.state ~= RELEASED then
      for i = 1, g.n do
        fields[#fields + 1] = g.slots[i] .. p3(g.places[i])
        slots[#slots + 1] = g.slots[i]
      end
    end
  end
  for _, row in ipairs(rows) do
    fields[#fields + 1] = row[1] .. p3(row[2])
    slots[#slots + 1] = row[1]
  end
  fill(K_OWN, fields, O)
  fill(K_SLOT, slots, S, decodeSlot)
end

-- living says of a grant that was read whether it is held or pinned, and whether it is the one with this id. Most are booked by
-- the time they are asked about: those are not taken apart.
local function living(id)
  local g = G[sub(id, 1, 9)]
  if not g then return false, false end
  if type(g) == 'string' then return byte(g, 10) <= PINNED, sub(g, 1, 9) == sub(id, 10) end
  return g.state <= PINNED, g.id == id
end

-- reap frees at most limit lapsed holds, lists lapsed pins as stuck, forgets at most limit keys; true: lapsed ones are left.
local function reap(limit)
  local later = call('ZRANGEBYSCORE', K_LATER, '-inf', string.format('%.0f', now), 'LIMIT', 0, limit + 1)
  local lapsed, more = due(K_EXP, limit, later)
  local old = due(K_KEEP, limit)
  if #lapsed == 0 and #old == 0 then return more end
  warmGrants(lapsed)
  warmGrants(old)
  local ids, keys = {}, {}
  for _, id in ipairs(lapsed) do
    local is, same = living(id)
    if is and same then
      ids[#ids + 1] = id
      keys[#keys + 1] = sub(id, 1, 9)
    end
  end
  warmPlaces(keys, {})
  for _, id in ipairs(ids) do
    local g = exact(id)
    if g.deadline + g.grace <= now then
      if g.state == HELD then
        giveAll(g, false)
        setState(g, EXPIRED)
      elseif g.state == PINNED then
        local q = pushes[K_STUCK]
        q[#q + 1] = { id }
      end
    end
  end
  for _, id in ipairs(old) do
    local is, same = living(id)
    if is and same then
      keep(id)
    elseif same then
      G[sub(id, 1, 9)] = false
      Gdirty[sub(id, 1, 9)] = true
    end
  end
  return more
end

-- Sites. Records are decoded only where they change.
local T, Tdirty = {}, {}

local function decodeSite(raw)
  if not raw then return false end
  local l = byte(raw, 5)
  local m = byte(raw, 23 + l)
  return {
    epoch = u4(raw, 1), overflowed = byte(raw, 6), generation = u7(raw, 7), built = sub(raw, 14, 22),
    builder = sub(raw, 23, 22 + l), last = sub(raw, 24 + l, 23 + l + m), revisions = sub(raw, 24 + l + m),
  }
end

local function encodeSite(t)
  return p4(t.epoch) .. char(#t.builder, t.overflowed) .. p7(t.generation) .. t.built .. t.builder .. char(#t.last) .. t.last .. t.revisions
end

local function site(id)
  local t = T[id]
  if t == nil then
    t = decodeSite(call('HGET', K_SITE, id))
    T[id] = t
  end
  return t
end

-- ready tells whether a site grants and pins: the site, or nil and whether it is being rebuilt.
local function ready(id)
  local t = site(id)
  if t and t.builder ~= '' then return nil, true end
  if not t or t.epoch ~= EPOCH then return nil, false end
  return t
end

-- revisionAt finds a date's entry in {date3 revision6}* from position first on; nil where it is missing.
local function revisionAt(packed, first, date3)
  local at = find(packed, date3, first, true)
  while at and (at - first) % 9 ~= 0 do at = find(packed, date3, at + 1, true) end
  return at
end

-- Changed days for the feed.
local days = {}

-- setRevision raises a day's revision; false where it is not newer.
local function setRevision(id, t, date3, revision)
  local at = revisionAt(t.revisions, 1, date3)
  if not at then
    t.revisions = t.revisions .. date3 .. p6(revision)
  elseif revision > u6(t.revisions, at + 3) then
    t.revisions = sub(t.revisions, 1, at + 2) .. p6(revision) .. sub(t.revisions, at + 9)
  else
    return false
  end
  Tdirty[id] = true
  return true
end

-- Seating: see allocator.FreeWithin. A set of bounds is {mine1 places4 services1 code*}*, where mine is 2 in the limit, which
-- goes on with spans1 {from4 until4}*. A code is index2 into codes, or, where there are none, #code1 code.
local function decodeBounds(packed, codes)
  local bounds, at = {}, 1
  while at < #packed do
    local kind = byte(packed, at)
    local b = { mine = kind == 1, places = u4(packed, at + 1) }
    local n = byte(packed, at + 5)
    at = at + 6
    for i = 1, n do
      local l = codes and 1 or byte(packed, at)
      b[i] = codes and codes[u2(packed, at)] or sub(packed, at + 1, at + l)
      at = at + 1 + l
    end
    if kind == 2 then
      b.spans = {}
      for i = 1, byte(packed, at) do b.spans[i] = { u4(packed, at + 8 * i - 7), u4(packed, at + 8 * i - 3) } end
      at = at + 1 + 8 * byte(packed, at)
      bounds.limit = b
    else
      bounds[#bounds + 1] = b
    end
  end
  return bounds
end

local function joins(bounds, counts, extra)
  local worst, mine = 0, nil
  for _, b in ipairs(bounds) do
    local over = -b.places
    for i = 1, #b do
      over = over + (counts[b[i]] or 0)
      if extra then over = over + (extra[b[i]] or 0) end
    end
    if over > worst then worst = over end
    if b.mine and (not mine or over > mine) then mine = over end
  end
  return mine ~= nil and worst - mine >= 1
end

-- limited says whether a limit has no room for claim i: it counts the claims at the slots of the site that start within its
-- spans, those that came into use in this call included, and the earlier claims of the same request.
local function limited(limit, claims, i)
  local k = claims[i][1]
  local site = sub(k, 1, #k - 6)
  local function covers(start)
    for _, s in ipairs(limit.spans) do
      if start >= s[1] and start < s[2] then return true end
    end
  end
  local days, used, keys = {}, {}, {}
  for _, s in ipairs(limit.spans) do
    for day = floor(s[1] / 1440), floor((s[2] - 1) / 1440) do days[#days + 1] = site .. p3(day) end
  end
  fill(K_USED, days, used)
  for f, list in pairs(used) do
    local first = u3(f, #f - 2) * 1440
    for at = 1, list and #list or 0, 4 do
      local start = first + u2(list, at)
      if covers(start) then keys[#keys + 1] = site .. p4(start) .. sub(list, at + 2, at + 3) end
    end
  end
  fill(K_SLOT, keys, S, decodeSlot)
  local n = 0
  for other, s in pairs(S) do
    if #other == #k and sub(other, 1, #site) == site and covers(u4(other, #other - 5)) then
      for _, service in ipairs(limit) do n = n + (s.counts[service] or 0) end
    end
  end
  for j = 1, i - 1 do
    if covers(u4(claims[j][1], #k - 5)) then
      for _, service in ipairs(limit) do
        if service == claims[j][4] then n = n + 1 end
      end
    end
  end
  return n >= limit.places
end

-- choose finds a place for each claim {slot, date3revision6, bounds, service, window, preferred}, in order, each on what
-- the earlier ones leave. It changes nothing. Answers places, or nil, outcome, claim (from 0), revision.
local FULL, OUTSIDE, STALE = 2, 3, 4
local function choose(revisions, first, claims)
  local places = {}
  for i = 1, #claims do
    local c = claims[i]
    local date3 = sub(c[2], 1, 3)
    local at = revisionAt(revisions, first, date3)
    local revision = at and u6(revisions, at + 3) or 0
    if revision == 0 or revision ~= u6(c[2], 4) then return nil, STALE, i - 1, revision end
    local w, k = c[5], c[1]
    if w then
      local lead = u4(k, #k - 5) * 60000 - now
      if w[1] ~= 0 and now < w[1] or lead < w[2] or w[3] ~= 0 and lead > w[3] then return nil, OUTSIDE, i - 1, 0 end
    end
    local s, extra, taken = slot(k), nil, nil
    for j = 1, i - 1 do
      if claims[j][1] == k then
        extra, taken = extra or {}, taken or {}
        extra[claims[j][4]] = (extra[claims[j][4]] or 0) + 1
        taken[places[j]] = true
      end
    end
    if not joins(c[3], s.counts, extra) then return nil, FULL, i - 1, 0 end
    if c[3].limit and limited(c[3].limit, claims, i) then return nil, FULL, i - 1, 0 end
    local n = c[6]
    if not n or taken and taken[n] or bit(chunk(k, s, floor(n / CHUNK)), n % CHUNK) then
      n = nextFree(k, s, 0)
      while taken and taken[n] do n = nextFree(k, s, n + 1) end
    end
    places[i] = n
  end
  return places
end

-- Index of slots in use.
local function reindex(changed)
  local fields, sites, used, inDays = {}, {}, {}, {}
  for i, k in ipairs(changed) do
    fields[i] = sub(k, 1, #k - 6) .. p3(floor(u4(k, #k - 5) / 1440))
  end
  fill(K_USED, fields, used)
  local touched = {}
  for i, k in ipairs(changed) do
    local f = fields[i]
    local entry = p2(u4(k, #k - 5) % 1440) .. sub(k, #k - 1)
    local list = used[f] or ''
    if touched[f] == nil then touched[f] = list ~= '' end
    if S[k].total == 0 then
      local at = find(list, entry, 1, true)
      while at and (at - 1) % 4 ~= 0 do at = find(list, entry, at + 1, true) end
      if at then list = sub(list, 1, at - 1) .. sub(list, at + 4) end
    else
      list = list .. entry
    end
    used[f] = list
  end
  local set, del = {}, {}
  for f, before in pairs(touched) do
    if used[f] == '' then del[#del + 1] = f else set[#set + 1] = f set[#set + 1] = used[f] end
    if before ~= (used[f] ~= '') then sites[#sites + 1] = sub(f, 1, #f - 3) end
  end
  bulk('HSET', K_USED, set)
  bulk('HDEL', K_USED, del)
  if #sites == 0 then return end
  fill(K_DAYS, sites, inDays)
  local siteOf = {}
  for f, before in pairs(touched) do
    if before ~= (used[f] ~= '') then
      local id, day = sub(f, 1, #f - 3), sub(f, #f - 2)
      local list = inDays[id] or ''
      if before then
        local at = find(list, day, 1, true)
        while at and (at - 1) % 3 ~= 0 do at = find(list, day, at + 1, true) end
        if at then list = sub(list, 1, at - 1) .. sub(list, at + 3) end
      else
        list = list .. day
      end
      inDays[id] = list
      siteOf[id] = true
    end
  end
  set, del = {}, {}
  for id in pairs(siteOf) do
    if inDays[id] == '' then del[#del + 1] = id else set[#set + 1] = id set[#set + 1] = inDays[id] end
  end
  bulk('HSET', K_DAYS, set)
  bulk('HDEL', K_DAYS, del)
end

-- slotsInUse lists a site's slots that have any claim.
local function slotsInUse(id)
  local list = call('HGET', K_DAYS, id)
  local found, fields, used = {}, {}, {}
  if not list then return found end
  for at = 1, #list, 3 do fields[#fields + 1] = id .. sub(list, at, at + 2) end
  fill(K_USED, fields, used)
  for _, f in ipairs(fields) do
    local day, entries = u3(f, #f - 2), used[f] or ''
    for at = 1, #entries, 4 do
      found[#found + 1] = id .. p4(day * 1440 + u2(entries, at)) .. sub(entries, at + 2, at + 3)
    end
  end
  return found
end

-- numbersOf lists a slot's places in use from first to last, in order.
local function numbersOf(k, first, last)
  local s, numbers, c = slot(k), {}, floor(first / CHUNK)
  while #numbers < s.total and c * CHUNK <= last do
    local map = chunk(k, s, c)
    for i = 1, #map do
      local b, n = byte(map, i), c * CHUNK + (i - 1) * 8
      while b > 0 do
        if b % 2 == 1 and n >= first and n <= last then numbers[#numbers + 1] = n end
        b, n = floor(b / 2), n + 1
      end
    end
    c = c + 1
  end
  return numbers
end

-- placesOf lists a slot's places in use, in order, and reads their owners.
local function placesOf(k)
  local numbers, fields = numbersOf(k, 0, 8192 * CHUNK - 1), {}
  for i, n in ipairs(numbers) do fields[i] = k .. p3(n) end
  fill(K_OWN, fields, O)
  return numbers
end

-- writeSlots writes the slots that changed and tells the feed.
local function writeSlots(news)
  local set, del, moreSet, moreDel, changed = {}, {}, {}, {}, {}
  for _, k in ipairs(Sdirty) do
    local s = S[k]
    local counts, n = '', 0
    for code, count in pairs(s.counts) do
      n = n + 1
      counts = counts .. char(#code) .. code .. p3(count)
    end
    counts = char(n) .. counts
    news[#news + 1] = 'S' .. char(#k) .. k .. counts
    if s.total > 0 then
      set[#set + 1] = k
      set[#set + 1] = counts .. char(#s.full) .. s.full .. s[0]
      if not s.stored then changed[#changed + 1] = k end
    elseif s.stored then
      del[#del + 1] = k
      changed[#changed + 1] = k
    end
    if s.chunks then for c in pairs(s.chunks) do
      if s[c] == '' then
        moreDel[#moreDel + 1] = k .. p2(c)
      else
        moreSet[#moreSet + 1] = k .. p2(c)
        moreSet[#moreSet + 1] = s[c]
      end
    end end
  end
  bulk('HSET', K_SLOT, set)
  bulk('HDEL', K_SLOT, del)
  bulk('HSET', K_MORE, moreSet)
  bulk('HDEL', K_MORE, moreDel)
  if #changed > 0 then reindex(changed) end
end

local function writeDirty(key, dirty, cache, encode)
  local set, del = {}, {}
  for f in pairs(dirty) do
    local v = cache[f]
    if v then
      set[#set + 1] = f
      set[#set + 1] = encode and encode(v) or v
    else
      del[#del + 1] = f
    end
  end
  if dirty == Gdirty and stamped then
    set[#set + 1] = 'micros'
    set[#set + 1] = stamped
  end
  bulk('HSET', key, set)
  bulk('HDEL', key, del)
end

-- flush writes everything that changed. Nothing is written before.
local function flush()
  local news = {}
  if #Sdirty > 0 then writeSlots(news) end
  writeDirty(K_OWN, Odirty, O)
  writeDirty(K_GRANT, Gdirty, G, encodeGrant)
  writeDirty(K_SITE, Tdirty, T, encodeSite)
  for list, q in pairs(pushes) do
    local elements = {}
    for i, e in ipairs(q) do elements[i] = concat(e) end
    bulk('RPUSH', list, elements)
  end
  for list, front in pairs(fronts) do
    if front[2] then call('LSET', list, front[1], front[2]) end
    if front[1] > 0 then call('LTRIM', list, front[1], -1) end
  end
  bulk('ZREM', K_LATER, latersTaken)
  bulk('ZADD', K_LATER, laters)
  for _, d in ipairs(days) do news[#news + 1] = d end
  if #news > 0 then call('XADD', K_FEED, 'MAXLEN', '~', FEED, '*', 'd', concat(news)) end
end
