-- Takes a place out of the holds that lapse, before it is booked. Repeated, it answers 0.
--
-- KEYS[1], KEYS[2]  as for a hold
-- ARGV              place, secret
--
-- Returns 1, or 0 where the place is not held by this hold.
if redis.call('HGET', KEYS[2], ARGV[1]) ~= ARGV[2] then
  return 0
end
return redis.call('ZREM', KEYS[1], ARGV[1])
