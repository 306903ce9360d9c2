package servers

import (
	"context"
	"testing"

	"muster/loadtest/processes"
)

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
	var joining []*processes.Redis
	for range masters {
		node := newRedis(tb, true, append([]string{"--cluster-node-timeout", "2000"}, config...))
		nodes, joining = append(nodes, node), append(joining, node.server)
	}
	if err := processes.JoinCluster(context.Background(), joining); err != nil {
		tb.Fatalf("make a Redis Cluster of %d: %v", masters, err)
	}
	return nodes
}
