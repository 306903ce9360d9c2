package installation

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"muster/allocator/allocatortest/servers"
	"muster/loadtest/processes"
)

// RedisNode is one redis-server. Besides what servers.RedisServer can do, its files can be cut while it is down.
type RedisNode struct {
	*servers.RedisServer
	Dir  string
	Link *Link // in a Cluster: everybody's way to this node, its replicas' too. Of a replica: its way to its primary
	tb   testing.TB
}

// redisConfig keeps a node's files and log where the installation's are.
func redisConfig(tb testing.TB, dir, name string) (folder string, config []string) {
	tb.Helper()
	folder = filepath.Join(dir, name)
	if err := os.Mkdir(folder, 0o755); err != nil {
		tb.Fatal(err)
	}
	return folder, []string{"--dir", folder, "--logfile", filepath.Join(dir, name+".log")}
}

func singleRedis(tb testing.TB, dir, name string, config ...string) *RedisNode {
	tb.Helper()
	folder, base := redisConfig(tb, dir, name)
	return &RedisNode{RedisServer: servers.Redis(tb, append(base, config...)...), Dir: folder, tb: tb}
}

// replicatedRedis is a primary and a replica that follows it through a link.
func replicatedRedis(tb testing.TB, dir string) []*RedisNode {
	tb.Helper()
	primary := singleRedis(tb, dir, "redis-0")
	link := newLink(tb, "replication", primary.Addr())
	host, port, err := net.SplitHostPort(link.Addr())
	if err != nil {
		tb.Fatal(err)
	}
	replica := singleRedis(tb, dir, "redis-1", "--replicaof", host+" "+port)
	replica.Link = link
	if err := replica.AwaitReplica(); err != nil {
		tb.Fatalf("replica: %v", err)
	}
	return []*RedisNode{primary, replica}
}

// clusterRedis is a Redis Cluster of masters with one replica each. Every node tells clients and other nodes to come
// through its link; only the bus between the nodes is direct.
func clusterRedis(tb testing.TB, dir string, masters int) []*RedisNode {
	tb.Helper()
	var nodes []*RedisNode
	var buses []int
	for i := range 2 * masters {
		name := fmt.Sprintf("redis-%d", i)
		link := newLink(tb, name, "127.0.0.1:1") // until the node has a port
		_, port, err := net.SplitHostPort(link.Addr())
		if err != nil {
			tb.Fatal(err)
		}
		bus, err := processes.FreePort()
		if err != nil {
			tb.Fatal(err)
		}
		node := singleRedis(tb, dir, name, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(bus),
			"--cluster-announce-ip", "127.0.0.1", "--cluster-announce-port", port, "--cluster-announce-bus-port", strconv.Itoa(bus),
			"--cluster-node-timeout", "1500", "--cluster-replica-validity-factor", "0")
		node.Link = link
		link.Point(node.Addr())
		nodes, buses = append(nodes, node), append(buses, bus)
	}
	if err := joinCluster(nodes, buses, masters); err != nil {
		tb.Fatalf("make a Redis Cluster: %v", err)
	}
	return nodes
}

const clusterSlots = 16384

func joinCluster(nodes []*RedisNode, buses []int, masters int) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, first, err := net.SplitHostPort(nodes[0].Addr())
	if err != nil {
		return err
	}
	for i, node := range nodes {
		var commands [][]any
		if i < masters {
			commands = append(commands, []any{"CLUSTER", "ADDSLOTSRANGE", i * clusterSlots / masters, (i+1)*clusterSlots/masters - 1})
		}
		commands = append(commands, []any{"CLUSTER", "SET-CONFIG-EPOCH", i + 1})
		if i > 0 {
			commands = append(commands, []any{"CLUSTER", "MEET", "127.0.0.1", first, buses[0]})
		}
		for _, command := range commands {
			if _, err := node.Do(ctx, command...); err != nil {
				return fmt.Errorf("%v: %w", command, err)
			}
		}
	}
	for i := masters; i < len(nodes); i++ {
		master, err := nodes[i-masters].Do(ctx, "CLUSTER", "MYID")
		if err != nil {
			return err
		}
		err = await(patience, func() error {
			_, err := nodes[i].Do(ctx, "CLUSTER", "REPLICATE", master)
			return err // until the two have met
		})
		if err != nil {
			return err
		}
	}
	for i, node := range nodes {
		if err := node.awaitCluster(len(nodes)); err != nil {
			return err
		}
		if i >= masters {
			if err := node.AwaitReplica(); err != nil {
				return err
			}
		}
	}
	return nil
}

// awaitCluster waits until the node knows so many and serves.
func (n *RedisNode) awaitCluster(nodes int) error {
	return await(patience, func() error {
		text, err := n.Do(context.Background(), "CLUSTER", "INFO")
		if err != nil {
			return err
		}
		info := fmt.Sprint(text)
		for _, want := range []string{"cluster_state:ok", fmt.Sprintf("cluster_known_nodes:%d", nodes), fmt.Sprintf("cluster_slots_ok:%d", clusterSlots)} {
			if !strings.Contains(info, want+"\r\n") {
				return fmt.Errorf("%s: no %s in\n%s", n.Addr(), want, info)
			}
		}
		return nil
	})
}

// awaitInfo waits until a section of INFO has that line.
func (n *RedisNode) awaitInfo(section, line string) error {
	return await(patience, func() error {
		text, err := n.Do(context.Background(), "INFO", section)
		if err != nil {
			return err
		}
		if !strings.Contains(fmt.Sprint(text), line+"\r\n") {
			return fmt.Errorf("%s: no %s", n.Addr(), line)
		}
		return nil
	})
}

// Do sends one command straight to the node.
func (n *RedisNode) Do(ctx context.Context, args ...any) (any, error) {
	client := redis.NewClient(&redis.Options{Addr: n.Addr(), MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true})
	defer client.Close()
	return client.Do(ctx, args...).Result()
}

// AwaitMaster waits, for at most a minute, until the node is a master.
func (n *RedisNode) AwaitMaster() error { return n.awaitInfo("replication", "role:master") }

// AwaitReplica waits, for at most a minute, until the node is a replica in step with its master.
func (n *RedisNode) AwaitReplica() error { return n.awaitInfo("replication", "master_link_status:up") }

// Clients counts the node's client connections, this question's own not.
func (n *RedisNode) Clients(ctx context.Context) (int, error) {
	text, err := n.Do(ctx, "CLIENT", "LIST", "TYPE", "normal")
	return max(0, strings.Count(fmt.Sprint(text), "\n")-1), err
}

// CutLog takes so many bytes off the end of the append-only file of a node that is down, as a crash of the machine may, and
// says how many there were to take.
func (n *RedisNode) CutLog(bytes int64) int64 {
	n.tb.Helper()
	files, err := filepath.Glob(filepath.Join(n.Dir, "appendonlydir", "*.incr.aof"))
	if err != nil || len(files) == 0 {
		n.tb.Errorf("no append-only file in %s: %v", n.Dir, err)
		return 0
	}
	newest := slices.MaxFunc(files, func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })
	info, err := os.Stat(newest)
	if err != nil {
		n.tb.Error(err)
		return 0
	}
	cut := min(bytes, info.Size())
	if err := os.Truncate(newest, info.Size()-cut); err != nil {
		n.tb.Error(err)
	}
	return cut
}
