-- The fast path of pin: every grant is there, held in time, pinned or booked, and every site is built. It decides everything
-- first; where it meets anything else it has written nothing, and the rest of the script decides the whole call anew.
if redis.call('GET', K_EPOCH) == INCARNATION then repeat
  local call, byte, char, sub = redis.call, string.byte, string.char, string.sub
  local clock = call('TIME')
  local now = clock[1] * 1000 + (clock[2] - clock[2] % 1000) / 1000
  local a, b, c, d, e, f, g, h, i, j, k, l, m, n = byte(ARGV[1], 1, 4)
  local nSites, nItems = a * 256 + b, c * 256 + d
  local keysAt = 1 + nSites
  local itemsAt = keysAt + nItems
  local known = call('HMGET', K_GRANT, unpack(ARGV, keysAt + 1, itemsAt))
  local sites = call('HMGET', K_SITE, unpack(ARGV, 2, keysAt))
  local replies, set, nSet, ordinary, ready5 = {}, {}, 0, true, EPOCH4 .. '\0'
  for item = 1, nItems do
    local raw, packed = known[item], ARGV[itemsAt + item]
    if not raw or sub(raw, 1, 9) ~= sub(packed, 1, 9) then ordinary = false break end
    local state, at = byte(raw, 10), 39 + byte(raw, 38)
    if state > 3 then ordinary = false break end
    if state == 1 then
      a, b, c, d, e, f, g, h, i, j, k, l, m, n = byte(raw, 16, 29)
      if now >= ((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 256 + f + ((k * 256 + l) * 256 + m) * 256 + n then
        ordinary = false
        break
      end
      set[nSet + 1], set[nSet + 2] = ARGV[keysAt + item], sub(raw, 1, 9) .. '\2' .. sub(raw, 11)
      nSet, state = nSet + 2, 2
    end
    a, b, c, d, e, f, g, h, i, j = byte(packed, 10, 19)
    local till = ((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 256 + f + ((g * 256 + h) * 256 + i) * 256 + j
    local claims = byte(raw, at)
    at = at + 1
    for _ = 1, claims do at = at + 7 + byte(raw, at + 6) end
    replies[item] = char(now < till and 1 or 0, 3, state, claims) .. sub(raw, at, at + 7 * claims - 1)
  end
  if not ordinary then break end
  for s = 1, nSites do
    local record = sites[s]
    if not record or sub(record, 1, 5) ~= ready5 then ordinary = false break end
    replies[nItems + s] = sub(record, 7, 22)
  end
  if not ordinary then break end
  if nSet > 0 then call('HSET', K_GRANT, unpack(set, 1, nSet)) end
  do return replies end
until true end
