-- Open: makes an epoch current.
--
-- KEYS[1]  the shard's epoch key
-- ARGV[1]  '1': the epoch was just issued; else it must be there
-- Returns  'OK'
-- Promises a newer epoch is never replaced; repeating it changes nothing. The feed is never empty afterwards, so that every
--          cursor names an entry.
local stored = call('GET', K_EPOCH)
if stored ~= INCARNATION then
  local n = stored and tonumber(string.match(stored, '^%d+')) or 0
  if n > EPOCH then return redis.error_reply('STALE the shard has epoch ' .. string.format('%.0f', n)) end
  if ARGV[1] ~= '1' or n == EPOCH then return redis.error_reply('LOST the shard has another epoch, or none') end
  call('SET', K_EPOCH, INCARNATION)
end
if call('EXISTS', K_FEED) == 0 then call('XADD', K_FEED, '*', 'd', '') end
return 'OK'
