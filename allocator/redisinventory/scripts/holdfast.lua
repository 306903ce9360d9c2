-- The fast path of hold: a call in which each item wants one place, all for the same length, nothing is out of the ordinary
-- and the shard is at this incarnation. It decides everything first; where it meets anything else it has written nothing, and
-- the rest of the script decides the whole call anew. Both give the same answers and leave the same state (tested).
--
-- Why: Redis makes every function of a script anew for each call, and Lua hashes each string that it makes. So there is no
-- function here, no table for an item, and records are put together from pieces that the caller packed.
local head = ARGV[1]
if string.byte(head, 5) == 1 and redis.call('GET', K_EPOCH) == INCARNATION then repeat
  local call, byte, char, sub, find = redis.call, string.byte, string.char, string.sub, string.find
  local clock = call('TIME')
  local micros = clock[1] * 1000000 + clock[2]
  local now = (micros - micros % 1000) / 1000

  local a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p = byte(head, 6, 21)
  local nSites, nSlots, nRevisions, nItems = a * 256 + b, c * 256 + d, e * 256 + f, g * 256 + h
  local nCodes, nBounds, nShapes = i * 256 + j, k * 256 + l, o * 256 + p
  local slotsAt = 1 + nSites
  local revisionsAt = slotsAt + nSlots
  local keysAt = revisionsAt + nRevisions
  local codesAt = keysAt + nItems + 1
  local boundsAt = codesAt + nCodes
  local shapesAt = boundsAt + nBounds + m * 256 + n
  local shapeOf = ARGV[shapesAt + 2 * nShapes + 1]

  a, b, c, d, e, f, g, h, i, j, k, l = byte(head, 22, 33)
  local from = ((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 256 + f
  local till = ((((g * 256 + h) * 256 + i) * 256 + j) * 256 + k) * 256 + l
  if now < from or now > till then break end
  a, b, c, d, e, f, g, h = byte(head, 34, 41)
  local deadline = now + ((a * 256 + b) * 256 + c) * 256 + d
  local due = deadline + ((e * 256 + f) * 256 + g) * 256 + h

  -- What lapsed is freed where that is called for, and at the latest REAP_AFTER_MS later. So are keys forgotten.
  local lapsed, old = now + 1, call('LINDEX', K_KEEP, 0)
  for q = 1, 2 do
    local first = q == 1 and call('LINDEX', K_EXP, 0) or q == 2 and call('ZRANGE', K_LATER, 0, 0)[1]
    if first then
      a, b, c, d, e, f = byte(first, 1, 6)
      lapsed = math.min(lapsed, ((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 256 + f)
    end
  end
  if old then
    a, b, c, d, e, f = byte(old, 1, 6)
    if ((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 256 + f <= now - REAP_AFTER_MS then break end
  end
  if lapsed <= now - REAP_AFTER_MS then break end

  local known = call('HMGET', K_GRANT, unpack(ARGV, keysAt + 1, codesAt))
  local last = known[nItems + 1]
  if last then
    a, b, c, d, e, f, g = byte(last, 1, 7)
    local stamped = (((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 256 + f) * 256 + g
    if micros <= stamped then micros = stamped + 1 end
  end
  local sites = call('HMGET', K_SITE, unpack(ARGV, 2, slotsAt))
  local slots = call('HMGET', K_SLOT, unpack(ARGV, slotsAt + 1, revisionsAt))

  -- Packed numbers of the whole call.
  local rest = micros
  g = rest % 256 rest = (rest - g) / 256
  f = rest % 256 rest = (rest - f) / 256
  e = rest % 256 rest = (rest - e) / 256
  d = rest % 256 rest = (rest - d) / 256
  c = rest % 256 rest = (rest - c) / 256
  b = rest % 256 rest = (rest - b) / 256
  local micros7 = char(rest % 256, b, c, d, e, f, g)
  local stamp = sub(EPOCH4, 3) .. micros7
  rest = deadline
  f = rest % 256 rest = (rest - f) / 256
  e = rest % 256 rest = (rest - e) / 256
  d = rest % 256 rest = (rest - d) / 256
  c = rest % 256 rest = (rest - c) / 256
  b = rest % 256 rest = (rest - b) / 256
  local deadline6 = char(rest % 256, b, c, d, e, f)
  local granted = stamp .. '\1\0' .. EPOCH4 .. deadline6
  local ready5 = EPOCH4 .. '\0'

  -- Of each shape that was met; and of each slot: claims by service, their number, its bitmap from the first byte with a free
  -- place on (cursor, value), which piece of the bitmap it is.
  local slotOf, codeOf, tailOf, boundsOf = {}, {}, {}, {}
  local counts, maps, cursors, values, pieces = {}, {}, {}, {}, {}
  local touched, nTouched, fresh = {}, 0, {}
  local owns, grants, due18, nGranted = {}, {}, {}, 0
  local replies, ordinary = {}, true

  for item = 1, nItems do
    local key = ARGV[keysAt + item]
    local raw = known[item] or fresh[key]
    a, b = byte(shapeOf, 2 * item - 1, 2 * item)
    local shape = a * 256 + b
    local body = ARGV[shapesAt + 2 * shape - 1]
    if raw then
      -- The same request again: see view in hold.lua.
      local print = sub(raw, 30, 37)
      if print ~= sub(body, 9, 16) and find(print, '[^%z]') then
        replies[item + 1] = '\1'
      else
        local state = byte(raw, 10)
        a, b, c, d, e, f, g, h, i, j, k, l, m, n = byte(raw, 16, 29)
        if state == 1 and now >= ((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 256 + f + ((k * 256 + l) * 256 + m) * 256 + n then
          state = 5
        end
        local at = 39 + byte(raw, 38)
        local claims, places = byte(raw, at), ''
        at = at + 1
        for _ = 1, claims do at = at + 7 + byte(raw, at + 6) end
        for q = at, at + 7 * (claims - 1), 7 do places = places .. sub(raw, q, q + 2) end
        replies[item + 1] = char(0, 1, state) .. sub(raw, 1, 9) .. sub(raw, 12, 21) .. char(claims) .. places
      end
    else
      local slot = slotOf[shape]
      if not slot then
        a, b, c, d, e, f, g, h, i, j = byte(ARGV[shapesAt + 2 * shape], 1, 10)
        slot = c * 256 + d
        slotOf[shape], codeOf[shape] = slot, ARGV[codesAt + i * 256 + j]
        local record, revision = sites[a * 256 + b], ARGV[revisionsAt + e * 256 + f]
        if not record or sub(record, 1, 5) ~= ready5 then ordinary = false break end
        local first = 24 + byte(record, 23)
        local at = find(record, revision, first, true)
        while at and (at - first) % 9 ~= 0 do at = find(record, revision, at + 1, true) end
        if not at then ordinary = false break end
        tailOf[shape] = sub(revision, 6) .. '\0'
        boundsOf[shape] = ARGV[boundsAt + g * 256 + h]
        local count = counts[slot]
        if not count then
          count = {}
          counts[slot], cursors[slot], values[slot], maps[slot], pieces[slot] = count, 1, 0, '', 0
          local s = slots[slot]
          if s then
            local q = 2
            for _ = 1, byte(s, 1) do
              local w = byte(s, q)
              a, b, c = byte(s, q + w + 1, q + w + 3)
              count[sub(s, q + 1, q + w)] = (a * 256 + b) * 256 + c
              q = q + w + 4
            end
            local w, piece = byte(s, q), 0
            local map = sub(s, q + w + 1)
            if w > 0 then
              local full = sub(s, q + 1, q + w)
              local y = find(full, '[^\255]') or w + 1
              local v = byte(full, y) or 0
              piece = (y - 1) * 8
              while v % 2 == 1 do v, piece = (v - 1) / 2, piece + 1 end
              if piece > 0 then map = call('HGET', K_MORE, ARGV[slotsAt + slot] .. char((piece - piece % 256) / 256, piece % 256)) or '' end
            end
            local y = find(map, '[^\255]') or #map + 1
            maps[slot], cursors[slot], values[slot], pieces[slot] = map, y, byte(map, y) or 0, piece
          end
        end
      end

      -- Seating: see joins.
      local count, code, bounds = counts[slot], codeOf[shape], boundsOf[shape]
      local worst, mine, at, size = 0, nil, 1, #bounds
      while at < size do
        a, b, c, d, e, f = byte(bounds, at, at + 5)
        local over = -(((b * 256 + c) * 256 + d) * 256 + e)
        for q = at + 6, at + 4 + 2 * f, 2 do
          g, h = byte(bounds, q, q + 1)
          over = over + (count[ARGV[codesAt + g * 256 + h]] or 0)
        end
        if over > worst then worst = over end
        if a == 1 and (not mine or over > mine) then mine = over end
        at = at + 6 + 2 * f
      end
      if not mine or worst - mine < 1 then
        if lapsed <= now then ordinary = false break end -- what has lapsed goes first
        replies[item + 1] = '\2\0\0\0\0\0\0\0\0'
      else
        -- The lowest free place: all bytes before the cursor are full.
        local y, v = cursors[slot], values[slot]
        if v == 255 then
          y = find(maps[slot], '[^\255]', y + 1) or math.max(y, #maps[slot]) + 1
          v = byte(maps[slot], y) or 0
        end
        local low, bit, rem = (y - 1) * 8, 1, v
        while rem % 2 == 1 do rem, bit, low = (rem - 1) / 2, bit * 2, low + 1 end
        v = v + bit
        if y > 256 or y == 256 and v == 255 then ordinary = false break end -- the piece becomes full
        cursors[slot], values[slot] = y, v
        if not touched[slot] then
          nTouched = nTouched + 1
          touched[slot], touched[-nTouched] = true, slot
        end
        count[code] = (count[code] or 0) + 1
        local place = pieces[slot] * 2048 + low
        local high = (place - place % 256) / 256
        local place3 = char((high - high % 256) / 256, high % 256, place % 256)
        local id = key .. stamp
        local record = granted .. body .. place3 .. tailOf[shape]
        nGranted = nGranted + 1
        due18[nGranted] = id
        owns[2 * nGranted - 1], owns[2 * nGranted] = ARGV[slotsAt + slot] .. place3, id .. '\0' .. code
        grants[2 * nGranted - 1], grants[2 * nGranted] = key, record
        fresh[key] = record
        replies[item + 1] = '\8' .. place3
      end
    end
  end
  if not ordinary then break end

  rest = now
  f = rest % 256 rest = (rest - f) / 256
  e = rest % 256 rest = (rest - e) / 256
  d = rest % 256 rest = (rest - d) / 256
  c = rest % 256 rest = (rest - c) / 256
  b = rest % 256 rest = (rest - b) / 256
  replies[1] = char(rest % 256, b, c, d, e, f) .. stamp .. deadline6
  if nGranted == 0 then return replies end

  local tail = call('LINDEX', K_EXP, -1)
  if tail then
    a, b, c, d, e, f = byte(tail, 1, 6)
    if due < ((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 256 + f then break end -- it lapses out of turn
  end

  -- The slots' records, and what the feed says of them.
  local set, more, news, used, nUsed, nMore = {}, {}, {}, {}, 0, 0
  for t = 1, nTouched do
    local slot = touched[-t]
    local name, s, codes, text = ARGV[slotsAt + slot], slots[slot], 0, ''
    for code, count in pairs(counts[slot]) do
      codes = codes + 1
      local high = (count - count % 256) / 256
      text = text .. char(#code) .. code .. char((high - high % 256) / 256, high % 256, count % 256)
    end
    text = char(codes) .. text
    news[t] = 'S' .. char(#name) .. name .. text
    local y = cursors[slot]
    local map = (y > 1 and string.rep('\255', y - 1) or '') .. char(values[slot]) .. sub(maps[slot], y + 1)
    set[2 * t - 1] = name
    if pieces[slot] > 0 then
      local q = 2
      for _ = 1, byte(s, 1) do q = q + byte(s, q) + 4 end
      set[2 * t] = text .. sub(s, q)
      local piece = pieces[slot]
      more[nMore + 1], more[nMore + 2] = name .. char((piece - piece % 256) / 256, piece % 256), map
      nMore = nMore + 2
    elseif s then
      local q = 2
      for _ = 1, byte(s, 1) do q = q + byte(s, q) + 4 end
      set[2 * t] = text .. sub(s, q, q + byte(s, q)) .. map
    else
      set[2 * t] = text .. '\0' .. map
      nUsed = nUsed + 1
      used[nUsed] = name
    end
  end

  call('HSET', K_OWN, unpack(owns, 1, 2 * nGranted))
  grants[2 * nGranted + 1], grants[2 * nGranted + 2] = 'micros', micros7
  call('HSET', K_GRANT, unpack(grants, 1, 2 * nGranted + 2))
  call('HSET', K_SLOT, unpack(set, 1, 2 * nTouched))
  if nMore > 0 then call('HSET', K_MORE, unpack(more, 1, nMore)) end
  if nUsed > 0 then
    -- Slots in use for the first time: see reindex.
    local fields, minutes = {}, {}
    for t = 1, nUsed do
      local name = used[t]
      local size = #name
      a, b, c, d, e, f = byte(name, size - 5, size)
      local start = ((a * 256 + b) * 256 + c) * 256 + d
      local minute = start % 1440
      local day = (start - minute) / 1440
      local high = (day - day % 256) / 256
      fields[t] = sub(name, 1, size - 6) .. char((high - high % 256) / 256, high % 256, day % 256)
      minutes[t] = char((minute - minute % 256) / 256, minute % 256, e, f)
    end
    local lists, days, of, nDays, index = call('HMGET', K_USED, unpack(fields, 1, nUsed)), {}, {}, 0, {}
    local write, nWrite = {}, 0
    for t = 1, nUsed do
      local field = fields[t]
      local at = of[field]
      if at then
        write[at] = write[at] .. minutes[t]
      else
        nWrite = nWrite + 2
        write[nWrite - 1], write[nWrite] = field, (lists[t] or '') .. minutes[t]
        of[field] = nWrite
        if not lists[t] then
          nDays = nDays + 1
          days[nDays] = field
        end
      end
    end
    call('HSET', K_USED, unpack(write, 1, nWrite))
    if nDays > 0 then
      local ids, n2 = {}, 0
      for t = 1, nDays do
        local id = sub(days[t], 1, #days[t] - 3)
        if not index[id] then
          n2 = n2 + 1
          ids[n2], index[id] = id, n2
        end
      end
      lists = call('HMGET', K_DAYS, unpack(ids, 1, n2))
      for t = 1, nDays do
        local field = days[t]
        local at = index[sub(field, 1, #field - 3)]
        lists[at] = (lists[at] or '') .. sub(field, #field - 2)
      end
      write = {}
      for t = 1, n2 do write[2 * t - 1], write[2 * t] = ids[t], lists[t] end
      call('HSET', K_DAYS, unpack(write, 1, 2 * n2))
    end
  end
  local ids = table.concat(due18)
  rest = due
  f = rest % 256 rest = (rest - f) / 256
  e = rest % 256 rest = (rest - e) / 256
  d = rest % 256 rest = (rest - d) / 256
  c = rest % 256 rest = (rest - c) / 256
  b = rest % 256 rest = (rest - b) / 256
  call('RPUSH', K_EXP, char(rest % 256, b, c, d, e, f) .. ids)
  rest = now + KEEP_MS
  f = rest % 256 rest = (rest - f) / 256
  e = rest % 256 rest = (rest - e) / 256
  d = rest % 256 rest = (rest - d) / 256
  c = rest % 256 rest = (rest - c) / 256
  b = rest % 256 rest = (rest - b) / 256
  call('RPUSH', K_KEEP, char(rest % 256, b, c, d, e, f) .. ids)
  call('XADD', K_FEED, 'MAXLEN', '~', FEED, '*', 'd', table.concat(news))
  do return replies end
until true end
