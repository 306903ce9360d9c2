package servers

import (
	"context"
	"fmt"
	"strconv"
	"testing"
)

const clusterSlots = 16384

// RedisCluster starts a private Redis Cluster of that many masters and returns their addresses; every node serves
// when this returns.
func RedisCluster(tb testing.TB, masters int) []string {
	tb.Helper()
	var addresses []string
	for _, server := range RedisClusterServers(tb, masters) {
		addresses = append(addresses, server.Addr())
	}
	return addresses
}

// RedisClusterServers is RedisCluster for tests that kill, pause and restart its nodes. A node is thought lost after
// two seconds without an answer, unless config says otherwise ("--cluster-node-timeout", milliseconds).
func RedisClusterServers(tb testing.TB, masters int, config ...string) []*RedisServer {
	tb.Helper()
	var nodes []*RedisServer
	for range masters {
		nodes = append(nodes, newRedis(tb, true, append([]string{"--cluster-node-timeout", "2000"}, config...)))
	}
	if err := joinCluster(nodes); err != nil {
		tb.Fatalf("make a Redis Cluster of %d: %v", masters, err)
	}
	return nodes
}

// joinCluster shares the slots out, gives each node an epoch of its own (so that none must be voted on), makes the
// nodes known to each other, and waits until each serves.
func joinCluster(nodes []*RedisServer) error {
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	for i, node := range nodes {
		first, last := i*clusterSlots/len(nodes), (i+1)*clusterSlots/len(nodes)-1
		commands := [][]any{
			{"CLUSTER", "ADDSLOTSRANGE", first, last},
			{"CLUSTER", "SET-CONFIG-EPOCH", i + 1},
			{"CLUSTER", "MEET", "127.0.0.1", nodes[0].port, nodes[0].busPort},
		}
		if i == 0 {
			commands = commands[:2]
		}
		client := node.client()
		defer client.Close()
		for _, command := range commands {
			if err := client.Do(ctx, command...).Err(); err != nil {
				return fmt.Errorf("%v: %w", command, err)
			}
		}
	}
	for _, node := range nodes {
		err := await(ctx, func(ctx context.Context) error { return node.serves(ctx, len(nodes)) })
		if err != nil {
			return fmt.Errorf("%s: %w", node.Addr(), err)
		}
	}
	return nil
}

// serves is nil when the node knows all nodes and each slot has one.
func (s *RedisServer) serves(ctx context.Context, nodes int) error {
	client := s.client()
	defer client.Close()
	info, err := client.ClusterInfo(ctx).Result()
	if err != nil {
		return err
	}
	for _, want := range [][2]string{
		{"cluster_state", "ok"},
		{"cluster_known_nodes", strconv.Itoa(nodes)},
		{"cluster_slots_ok", strconv.Itoa(clusterSlots)},
	} {
		if err := says(info, want[0], want[1]); err != nil {
			return err
		}
	}
	return nil
}
