-- Changes: reads the feed.
--
-- KEYS[1]  the shard's epoch key
-- ARGV[1]  the id of the last entry read, or '' for the last one written
-- ARGV[2]  about how many changes
-- Returns  reset1; the last id; 1 where there are more; then entries, each {#key…} as flush() writes them
-- Promises nothing between the cursor and the answer is left out: where entries were trimmed it answers a reset.
local bad = gate()
if bad then return bad end
local cursor, limit = ARGV[1], tonumber(ARGV[2])
local function lastID()
  local e = call('XREVRANGE', K_FEED, '+', '-', 'COUNT', 1)[1]
  return e and e[1] or '0-0'
end
if cursor == '' then return { 0, lastID(), 0 } end
local entries = call('XRANGE', K_FEED, cursor, '+', 'COUNT', math.min(limit, 1000) + 2)
if not entries[1] or entries[1][1] ~= cursor then return { 1, lastID(), 0 } end
local reply, bytes, i = { 0, cursor, 0 }, 0, 2
while entries[i] and #reply < limit + 3 and bytes < 1000000 do
  reply[#reply + 1] = entries[i][2][2]
  bytes = bytes + #entries[i][2][2]
  reply[2] = entries[i][1]
  i = i + 1
end
if entries[i] then reply[3] = 1 end
return reply
