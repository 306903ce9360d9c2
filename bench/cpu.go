package bench

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// tick is the unit of /proc/PID/stat, which Linux fixed for all programs.
const tick = 10 * time.Millisecond

// The processes whose CPU is counted.
const (
	cpuServer    = "server"
	cpuRedis     = "redis"
	cpuPostgres  = "postgres"
	cpuGenerator = "generator"
)

// meter reads how much CPU every process of an engine has used.
type meter struct {
	server     int // process ids; 0: none, or not to be seen from here
	postmaster int
	redis      []*redis.Client
}

// usage is CPU time by process. A process that cannot be seen is left out.
type usage map[string]time.Duration

func (m *meter) read(ctx context.Context) (usage, error) {
	u := usage{cpuGenerator: ownCPU()}
	var err error
	if m.server != 0 {
		if u[cpuServer], _, err = processCPU(m.server); err != nil {
			return nil, err
		}
	}
	if m.postmaster != 0 {
		if u[cpuPostgres], err = familyCPU(m.postmaster); err != nil {
			return nil, err
		}
	}
	for _, node := range m.redis {
		used, err := redisCPU(ctx, node)
		if err != nil {
			return nil, err
		}
		u[cpuRedis] += used
	}
	return u, nil
}

func (u usage) since(before usage) usage {
	spent := make(usage)
	for name, d := range u {
		spent[name] = d - before[name]
	}
	return spent
}

func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// processCPU is what a process itself used, and what its ended children did.
func processCPU(pid int) (self, ended time.Duration, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // the name before may hold anything
	var ticks [4]int64                                                        // user, system, and both of ended children
	if len(fields) < 15 {
		return 0, 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	for i := range ticks {
		if ticks[i], err = strconv.ParseInt(fields[11+i], 10, 64); err != nil {
			return 0, 0, err
		}
	}
	return time.Duration(ticks[0]+ticks[1]) * tick, time.Duration(ticks[2]+ticks[3]) * tick, nil
}

// familyCPU is what a process, its ended children and its living ones of one thread used.
func familyCPU(pid int) (time.Duration, error) {
	self, ended, err := processCPU(pid)
	if err != nil {
		return 0, err
	}
	sum := self + ended
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0, err
	}
	for word := range strings.FieldsSeq(string(children)) {
		child, err := strconv.Atoi(word)
		if err != nil {
			return 0, err
		}
		if self, err := threadCPU(child); err == nil { // else it ended just now, and its time is the parent's
			sum += self
		}
	}
	return sum, nil
}

// threadCPU is what a process of one thread used, to the nanosecond: ticks are too coarse for a sum over many that did little.
func threadCPU(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
	if err != nil {
		return 0, err
	}
	running, _, _ := strings.Cut(string(text), " ")
	nanoseconds, err := strconv.ParseInt(running, 10, 64)
	return time.Duration(nanoseconds), err
}

// redisCPU is what Redis says of itself, forked writers included.
func redisCPU(ctx context.Context, client *redis.Client) (sum time.Duration, err error) {
	for _, name := range []string{"used_cpu_sys", "used_cpu_user", "used_cpu_sys_children", "used_cpu_user_children"} {
		seconds, err := redisInfo(ctx, client, "cpu", name)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(seconds * float64(time.Second))
	}
	return sum, nil
}

// memory is what Redis nodes use for data, in bytes.
func memory(ctx context.Context, nodes []*redis.Client) (sum int64, err error) {
	for _, node := range nodes {
		used, err := redisInfo(ctx, node, "memory", "used_memory")
		if err != nil {
			return 0, err
		}
		sum += int64(used)
	}
	return sum, nil
}

// redisInfo is one figure of a section of INFO.
func redisInfo(ctx context.Context, client *redis.Client, section, name string) (float64, error) {
	info, err := client.Info(ctx, section).Result()
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(info) {
		if key, value, _ := strings.Cut(strings.TrimSpace(line), ":"); key == name {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("INFO %s does not tell %s", section, name)
}

// machineCPU is how long all cores together were busy since the machine started; 0 where that cannot be seen.
func machineCPU() (busy time.Duration) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	for i, field := range strings.Fields(line) {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err == nil && i >= 1 && i <= 8 && i != 4 && i != 5 { // neither idle nor waiting for a disk; guests count as users
			busy += time.Duration(ticks) * tick
		}
	}
	return busy
}

// findPostmaster is the process id of PostgreSQL's first process, or 0 where it runs elsewhere.
func findPostmaster(ctx context.Context, c *pgx.Conn) (int, error) {
	var backend int
	if err := c.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&backend); err != nil {
		return 0, err
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", backend))
	if err != nil {
		return 0, nil
	}
	name, rest, _ := strings.Cut(string(text), ")")
	if fields := strings.Fields(rest); strings.Contains(name, "postgres") && len(fields) > 1 {
		return strconv.Atoi(fields[1])
	}
	return 0, nil
}
