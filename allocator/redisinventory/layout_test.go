package redisinventory_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"

	"muster/allocator/allocatortest/servers"
)

// layouts take site, slot6, id18 for each hold.
var layouts = map[string]string{
	"hash per slot": `
redis.call('GET','{t}:epoch') local now=redis.call('TIME')[1]
local g,exp={}, {}
for i=1,#ARGV,3 do
  local k='{t}:'..ARGV[i]..ARGV[i+1]
  local r=redis.call('HMGET',k,'c','b')
  local c,b=tonumber(r[1] or 0), r[2] or ''
  local at=string.find(b,'[^\255]') local n
  if at then local x=string.byte(b,at) n=(at-1)*8 while x%2==1 do x=(x-1)/2 n=n+1 end b=string.sub(b,1,at-1)..string.char(string.byte(b,at)+2^(n%8))..string.sub(b,at+1) else n=#b*8 b=b..'\1' end
  redis.call('HSET',k,'c',c+1,'b',b,n,ARGV[i+2]..'\0RSV:Adult')
  g[#g+1]=string.sub(ARGV[i+2],1,9) g[#g+1]=string.sub(ARGV[i+2],10)..string.rep('x',50) exp[#exp+1]=ARGV[i+2]
end
redis.call('HSET','{t}:grant',unpack(g)) redis.call('RPUSH','{t}:exp',table.concat(exp)) return 1`,
	"hash per site": `
redis.call('GET','{t}:epoch') local now=redis.call('TIME')[1]
local g,exp={}, {}
for i=1,#ARGV,3 do
  local k='{t}:'..ARGV[i]
  local s=ARGV[i+1]
  local r=redis.call('HGET',k,s) or '\1\9RSV:Adult\0\0\0'
  local c,b=string.byte(r,14), string.sub(r,15)
  local at=string.find(b,'[^\255]') local n
  if at then local x=string.byte(b,at) n=(at-1)*8 while x%2==1 do x=(x-1)/2 n=n+1 end b=string.sub(b,1,at-1)..string.char(string.byte(b,at)+2^(n%8))..string.sub(b,at+1) else n=#b*8 b=b..'\1' end
  redis.call('HSET',k,s,string.sub(r,1,13)..string.char(c+1)..b, s..string.char(0,0,n), ARGV[i+2]..'\0RSV:Adult')
  g[#g+1]=string.sub(ARGV[i+2],1,9) g[#g+1]=string.sub(ARGV[i+2],10)..string.rep('x',50) exp[#exp+1]=ARGV[i+2]
end
redis.call('HSET','{t}:grant',unpack(g)) redis.call('RPUSH','{t}:exp',table.concat(exp)) return 1`,
	"packed per shard": `
redis.call('GET','{t}:epoch') local now=redis.call('TIME')[1]
local g,exp,keys,own,set={}, {},{},{},{}
for i=1,#ARGV,3 do keys[#keys+1]=ARGV[i]..ARGV[i+1] end
local rs=redis.call('HMGET','{t}:slot',unpack(keys))
local cache={}
for i=1,#ARGV,3 do
  local j=(i+2)/3
  local k=keys[j]
  local r=cache[k] or rs[j] or '\1\9RSV:Adult\0\0\0'
  local c,b=string.byte(r,14), string.sub(r,15)
  local at=string.find(b,'[^\255]') local n
  if at then local x=string.byte(b,at) n=(at-1)*8 while x%2==1 do x=(x-1)/2 n=n+1 end b=string.sub(b,1,at-1)..string.char(string.byte(b,at)+2^(n%8))..string.sub(b,at+1) else n=#b*8 b=b..'\1' end
  cache[k]=string.sub(r,1,13)..string.char(c+1)..b
  set[#set+1]=k set[#set+1]=cache[k]
  own[#own+1]=k..string.char(0,0,n) own[#own+1]=ARGV[i+2]..'\0RSV:Adult'
  g[#g+1]=string.sub(ARGV[i+2],1,9) g[#g+1]=string.sub(ARGV[i+2],10)..string.rep('x',50) exp[#exp+1]=ARGV[i+2]
end
redis.call('HSET','{t}:slot',unpack(set)) redis.call('HSET','{t}:own',unpack(own))
redis.call('HSET','{t}:grant',unpack(g)) redis.call('RPUSH','{t}:exp',table.concat(exp)) return 1`,
}

// BenchmarkLayouts compares three layouts by scripts that do the same little work: count, lowest free place, owner, grant,
// appointment. Each layout is measured with small hashes as listpacks and without.
func BenchmarkLayouts(b *testing.B) {
	ctx := context.Background()
	for _, lp := range []string{"128", "0"} {
		for name, script := range layouts {
			node := servers.Redis(b, "--appendonly", "no", "--hash-max-listpack-entries", lp)
			c := redis.NewClient(&redis.Options{Addr: node.Addr()})
			sha := c.ScriptLoad(ctx, script).Val()
			n := 0
			run := func(holds, batch int) float64 {
				before, _ := redisCPU(b, c)
				for done := 0; done < holds; done += batch {
					args := make([]any, 0, 3*batch)
					for range batch {
						at := n * 7919
						slot := (at/2833)%28*40 + n/31%40
						args = append(args, fmt.Sprintf("S%05d", at%2833), fmt.Sprintf("%06d", slot), fmt.Sprintf("%018d", n))
						n++
					}
					if err := c.EvalSha(ctx, sha, []string{"{t}:epoch"}, args...).Err(); err != nil {
						b.Fatal(err)
					}
				}
				after, _ := redisCPU(b, c)
				return (after - before) / float64(holds)
			}
			_, empty := redisCPU(b, c)
			run(200_000, 128)
			_, full := redisCPU(b, c)
			b128, b1 := run(50_000, 128), run(10_000, 1)
			b.Logf("listpack %s, %-17s %4.0f B/claim, %5.1f µs/hold at 128, %5.1f at 1", lp, name, float64(full-empty)/200_000, b128, b1)
			c.Close()
			node.Kill()
		}
	}
}
