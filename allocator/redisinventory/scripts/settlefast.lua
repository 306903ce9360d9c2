-- The fast path of settle: each message tells of one row, at the very place that a held or pinned grant of one claim has, of a
-- site that is built. It decides everything first; where it meets anything else it has written nothing, and the rest of the
-- script decides the whole call anew.
if string.byte(ARGV[1], 1) == 1 and redis.call('GET', K_EPOCH) == INCARNATION then repeat
  local call, byte, sub = redis.call, string.byte, string.sub
  local a, b, c, d, e, f, g, h = byte(ARGV[1], 2, 9)
  if ((e * 256 + f) * 256 + g) * 256 + h > EPOCH then break end
  local nSites, nItems, ready5, ordinary = a * 256 + b, c * 256 + d, EPOCH4 .. '\0', true
  local itemsAt = 1 + nSites
  local keys, fields, wanted = {}, {}, {}
  for item = 1, nItems do
    local packed = ARGV[itemsAt + item] -- site2 'S' id18 0 start4 len2 place3 #service1 service
    a, b = byte(packed, 1, 2)
    keys[item] = sub(packed, 4, 12)
    fields[item] = ARGV[1 + a * 256 + b] .. sub(packed, 23, 31)
    wanted[item] = sub(packed, 4, 22) .. sub(packed, 33)
  end
  local owners = call('HMGET', K_OWN, unpack(fields, 1, nItems))
  local known = call('HMGET', K_GRANT, unpack(keys, 1, nItems))
  local sites = call('HMGET', K_SITE, unpack(ARGV, 2, itemsAt))
  local owns, grants, outcomes = {}, {}, {}
  for item = 1, nItems do
    local raw, want = known[item], wanted[item]
    if not raw or owners[item] ~= want or sub(raw, 1, 9) ~= sub(want, 10, 18) then ordinary = false break end
    local at = 39 + byte(raw, 38)
    if byte(raw, 10) > 2 or byte(raw, at) ~= 1 or #raw ~= at + 15 + byte(raw, at + 7) then ordinary = false break end
    owns[2 * item - 1], owns[2 * item] = fields[item], sub(want, 1, 18) .. '\1' .. sub(want, 20)
    grants[2 * item - 1], grants[2 * item] = keys[item], sub(raw, 1, 9) .. '\3' .. sub(raw, 11)
    outcomes[item] = 0
  end
  if not ordinary then break end
  for s = 1, nSites do
    local record = sites[s]
    if not record or sub(record, 1, 5) ~= ready5 then ordinary = false break end
  end
  if not ordinary then break end
  call('HSET', K_OWN, unpack(owns, 1, 2 * nItems))
  call('HSET', K_GRANT, unpack(grants, 1, 2 * nItems))
  do return outcomes end
until true end
