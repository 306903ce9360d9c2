-- Takes a place of a slot: one whose hold has lapsed, else the next that nobody had yet.
--
-- KEYS[1]  sorted set of the slot's holds: place → deadline in ms
-- KEYS[2]  hash of the slot: next, the number of places ever given; and place → secret of its hold
-- ARGV     capacity, secret, length of a hold in ms
--
-- Returns the place, or 0 where none is free: then nothing has changed.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lapsed = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. now, 'LIMIT', 0, 1)
local place = lapsed[1]
if not place then
  local given = tonumber(redis.call('HGET', KEYS[2], 'next') or '0')
  if given >= tonumber(ARGV[1]) then
    return 0
  end
  place = given + 1
  redis.call('HSET', KEYS[2], 'next', place, place, ARGV[2])
else
  redis.call('HSET', KEYS[2], place, ARGV[2])
end
redis.call('ZADD', KEYS[1], now + ARGV[3], place)
return tonumber(place)
